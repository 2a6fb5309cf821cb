/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Layers are merged while everything goes on. */
#include "qtest.h"
#include "rig.h"
#include "util.h"

#include "storage/volume_file.h"

#include <stdio.h>
#include <string.h>

static int has_one_layer(void *arg)
{
	struct qube__volume_spec tpl = root_of("tpl");
	struct qube__volume_info info;
	struct fixture *f = arg;

	return qube__volume_info(&info, f->p, &tpl) == 0 && info.revisions[0].n_layers == 1;
}

static int nothing_left(void *arg)
{
	return no_trash(arg) && count_entries(at("pools/main/layers")) == 0 &&
	       count_entries(at("pools/main/tmp")) == 0;
}

QTEST(merge, many_layers_become_one_and_nothing_else_changes)
{
	struct fixture f;
	struct qube__volume_spec tpl = root_of("tpl");
	struct qube__volume_spec app = app_root("work", "tpl");
	struct qube__volume_info info;
	struct qube__volume_run before;
	struct qube__volume_run after;
	struct qube__pool_cb cb;
	struct waiter w;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	cb = waiter_cb(&w);
	for (int i = 0; i < QUBE__LAYERS_MERGE - 1; i++)
		QT_INT(change_template(&f, "change-0", 1), 0);
	QT_INT(qube__volume_start(&before, f.p, &app), 0);
	QT_INT(before.n_layers, QUBE__LAYERS_MERGE);
	QT_INT(change_template(&f, "change-1", 1), 0);
	QT_INT(wait_until(&f.loop, has_one_layer, &f), 0);
	/* What runs keeps what it has; it is behind, but not because of the merge. */
	for (uint32_t i = 0; i < before.n_layers; i++)
		QT_TRUE(exists(before.layers[i]));
	QT_INT(qube__volume_info(&info, f.p, &app), 0);
	QT_TRUE(info.outdated);
	QT_INT(qube__volume_stop(NULL, f.p, &app, false, &cb), 0);
	QT_INT(qube__volume_start(&after, f.p, &app), 0);
	QT_INT(after.n_layers, 1);
	QT_STR(get_file(at("pools/main/layers/%s/etc/version", strrchr(after.layers[0], '/') + 1)),
	       "1\n");
	QT_INT(count_entries(after.layers[0]), 3);
	QT_INT(qube__volume_info(&info, f.p, &app), 0);
	QT_TRUE(!info.outdated);
	/* The one before the newest is not of the merged ones: it can still be had. */
	QT_INT(qube__volume_info(&info, f.p, &tpl), 0);
	QT_INT(info.n_revisions, 2);
	QT_TRUE(info.revisions[1].n_layers > 1);
	QT_INT(qube__volume_stop(NULL, f.p, &app, false, &cb), 0);
	qube__volume_run_fini(&before);
	qube__volume_run_fini(&after);
	QT_INT(qube__volume_revert(f.p, &tpl, info.revisions[1].number), 0);
	QT_INT(qube__volume_start(&before, f.p, &app), 0);
	QT_INT(before.n_layers, QUBE__LAYERS_MERGE);
	qube__volume_run_fini(&before);
	teardown(&f);
}

QTEST(merge, a_qube_on_the_layers_that_were_merged_is_not_behind)
{
	struct fixture f;
	struct qube__volume_spec app = app_root("work", "tpl");
	struct qube__volume_info info;
	struct qube__volume_run run;
	struct qube__pool_cb cb;
	struct waiter w;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	cb = waiter_cb(&w);
	for (int i = 0; i < QUBE__LAYERS_MERGE; i++)
		QT_INT(change_template(&f, "same", 1), 0);
	/* the commit has begun the merge; this starts before it is done */
	QT_INT(qube__volume_start(&run, f.p, &app), 0);
	QT_INT(run.n_layers, QUBE__LAYERS_MERGE + 1);
	QT_INT(wait_until(&f.loop, has_one_layer, &f), 0);
	QT_INT(qube__volume_info(&info, f.p, &app), 0);
	QT_TRUE(info.started && !info.outdated);
	/* Nor after another host took it over. */
	for (uint32_t i = 0; i < run.n_layers; i++)
		f.layers[f.n_layers++] = strrchr(run.layers[i], '/') + 1;
	f.spec = app;
	QT_INT(reopen(&f), 0);
	QT_INT(qube__volume_info(&info, f.p, &app), 0);
	QT_TRUE(info.started && !info.outdated);
	QT_TRUE(exists(run.layers[0]));
	QT_INT(qube__volume_stop(NULL, f.p, &app, false, &cb), 0);
	QT_TRUE(!exists(run.layers[0]));
	qube__volume_run_fini(&run);
	teardown(&f);
}

QTEST(merge, of_a_template_that_goes_meanwhile_leaves_nothing)
{
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	for (int i = 0; i < QUBE__LAYERS_MERGE; i++)
		QT_INT(change_template(&f, "same", 1), 0);
	QT_INT(qube__volumes_remove(f.p, "tpl"), 0);
	QT_INT(wait_until(&f.loop, nothing_left, NULL), 0);
	teardown(&f);
}

QTEST(merge, that_a_dead_host_began_is_done_by_the_next)
{
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	for (int i = 0; i < QUBE__LAYERS_MERGE; i++)
		QT_INT(change_template(&f, "same", 1), 0);
	QT_INT(reopen(&f), 0);
	QT_INT(wait_until(&f.loop, has_one_layer, &f), 0);
	teardown(&f);
}
