/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Sessions of a template whose writes are to be discarded, unless they are kept. */
#include "qtest.h"
#include "rig.h"
#include "util.h"

#include "base/error.h"

/* Starts the template and writes a file. */
static int begin(struct fixture *f, bool discard)
{
	struct qube__volume_spec v = root_of("tpl");
	struct qube__volume_run run;
	int r;

	v.discard = discard;
	r = qube__volume_start(&run, f->p, &v);
	if (r < 0)
		return r;
	put_file(at("pools/main/run/tpl/root/upper/new"), "x\n", 0644);
	qube__volume_run_fini(&run);
	return 0;
}

/* The result of the stop; of the commit, if there is one. */
static int end(struct fixture *f, uint32_t how)
{
	struct waiter w;
	struct qube__pool_cb cb = waiter_cb(&w);
	struct qube__volume_spec v = root_of("tpl");
	int r;

	v.revisions_to_keep = 4;
	r = qube__volume_stop(NULL, f->p, &v, how, &cb);

	return r == 1 ? wait_for(&f->loop, &w) : r;
}

/* 0: there are writes that were not saved. */
static uint32_t revisions(struct fixture *f)
{
	struct qube__volume_spec v = root_of("tpl");
	struct qube__volume_info info;

	return qube__volume_info(&info, f->p, &v) < 0 || info.dirty ? 0 : info.n_revisions;
}

QTEST(discard, a_session_that_began_with_it_leaves_nothing_unless_it_is_kept)
{
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(begin(&f, true), 0);
	QT_INT(end(&f, QUBE__STOP_AS_STARTED), 0);
	QT_INT(revisions(&f), 1);
	QT_TRUE(!exists(at("pools/main/run/tpl")));
	QT_INT(begin(&f, true), 0);
	QT_INT(end(&f, QUBE__STOP_KEEP), 0);
	QT_INT(revisions(&f), 2);
	QT_TRUE(!exists(at("pools/main/run/tpl")));
	QT_INT(begin(&f, false), 0);
	QT_INT(end(&f, QUBE__STOP_AS_STARTED), 0);
	QT_INT(revisions(&f), 3);
	teardown(&f);
}

QTEST(discard, is_refused_for_a_volume_that_is_not_kept_anyway)
{
	struct qube__volume_spec app = app_root("work", "tpl");
	struct qube__volume_run run;
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	app.discard = true;
	QT_INT(qube__volume_start(&run, f.p, &app), QUBE_E_INVALID);
	teardown(&f);
}

QTEST(discard, threat_34_holds_after_a_crash_of_the_host)
{
	struct qube__volume_spec v = root_of("tpl");
	struct qube__volume_run run;
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(begin(&f, true), 0);
	QT_INT(reopen(&f), 0);
	QT_TRUE(!exists(at("pools/main/run/tpl")));
	QT_INT(revisions(&f), 1);
	/* Found by a start: the host lived on, and could not settle it. */
	put_file(at("pools/main/run/tpl/root/discard"), "", 0600);
	put_file(at("pools/main/run/tpl/root/upper/half"), "x", 0644);
	QT_INT(qube__volume_start(&run, f.p, &v), 0);
	QT_TRUE(!exists(at("pools/main/run/tpl/root/upper/half")));
	QT_TRUE(!exists(at("pools/main/run/tpl/root/discard")));
	qube__volume_run_fini(&run);
	teardown(&f);
}

QTEST(discard, does_not_take_writes_that_were_not_saved_before)
{
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(begin(&f, false), 0);
	QT_INT(reopen(&f), 0);
	QT_INT(begin(&f, true), QUBE_E_STATE);
	QT_TRUE(exists(at("pools/main/run/tpl/root/upper/new")));
	QT_TRUE(!exists(at("pools/main/run/tpl/root/discard")));
	teardown(&f);
}

QTEST(discard, holds_for_a_machine_that_was_adopted)
{
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(begin(&f, true), 0);
	f.spec = root_of("tpl");
	f.layers[f.n_layers++] = "base";
	QT_INT(reopen(&f), 0);
	QT_TRUE(exists(at("pools/main/run/tpl/root/upper/new")));
	QT_INT(end(&f, QUBE__STOP_AS_STARTED), 0);
	QT_INT(revisions(&f), 1);
	QT_TRUE(!exists(at("pools/main/run/tpl")));
	teardown(&f);
}
