/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Volumes' files as each format number left them, in formats/N.vol. */
#include "qtest.h"
#include "rig.h"
#include "util.h"

#include "storage/volume_file.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

static const char *fixture(int format)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/unit/storage/formats/%d.vol", QUBE_TEST_SOURCE_DIR,
		 format);
	return get_file(path);
}

static void plant(const char *owner, const char *text)
{
	static const char *const layers[] = { "aaaa", "bbbb", "cccc", "mmmm", "base" };

	for (size_t i = 0; i < sizeof(layers) / sizeof(layers[0]); i++)
		put_file(at("pools/main/layers/%s/f", layers[i]), "x", 0600);
	put_file(at("pools/main/volumes/%s/root.vol", owner), text, 0600);
}

QTEST(volume_format, every_one_that_ever_was_still_starts_and_is_committed_to)
{
	for (int format = 1; format <= QUBE__VOLUME_FORMAT; format++) {
		struct qube__volume_spec v = root_of("tpl");
		struct qube__volume_info info;
		struct fixture f;

		QT_INT(setup(&f), 0);
		plant("tpl", fixture(format));
		QT_INT(reopen(&f), 0);
		QT_INT(qube__volume_info(&info, f.p, &v), 0);
		QT_INT(info.n_revisions, 2);
		QT_INT(info.revisions[0].number, 7);
		QT_INT(info.revisions[0].time, 1700000002);
		QT_INT(info.revisions[0].n_layers, format == 1 ? 3 : 2);
		QT_INT(info.revisions[1].number, 5);
		QT_INT(change_template(&f, "new", 2), 0);
		QT_INT(qube__volume_info(&info, f.p, &v), 0);
		QT_INT(info.revisions[0].number, 8);
		QT_INT(info.revisions[2].number, 5);
		teardown(&f);
	}
}

/* A newer one, or a damaged one: named by what wants it, left as it is with all that it may list;
 * other volumes go on. */
static void keeps_aside(const char *text, int code, const char *why)
{
	struct qube__volume_spec v = root_of("odd");
	struct qube__volume_run run;
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant("odd", text);
	put_file(at("pools/main/layers/only0odd0knows/f"), "x", 0600);
	plant_template("tpl");
	QT_INT(reopen(&f), 0);
	QT_INT(qube__volume_start(&run, f.p, &v), code);
	QT_TRUE(strstr(qube_error_last()->message, "volumes/odd/root.vol") != NULL);
	QT_TRUE(strstr(qube_error_last()->message, why) != NULL);
	QT_INT(qube__volume_create(f.p, &v), QUBE_E_EXISTS);
	QT_INT(change_template(&f, "new", 1), 0);
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	QT_STR(get_file(at("pools/main/volumes/odd/root.vol")), text);
	QT_TRUE(exists(at("pools/main/layers/only0odd0knows/f")));
	teardown(&f);
}

QTEST(volume_format, a_newer_one_is_named_and_left_as_it_is)
{
	char text[64];

	snprintf(text, sizeof(text), "qube-volume %d\nof another kind\n", QUBE__VOLUME_FORMAT + 1);
	keeps_aside(text, QUBE_E_NOTSUP, "was written by a newer libqube");
}

QTEST(volume_format, a_damaged_one_is_named_and_left_as_it_is)
{
	keeps_aside("qube-volume 1\nrevision 7 17000", QUBE_E_PROTO, "is damaged");
	keeps_aside("qube-volume 0\nrevision 1 1 aaaa\n", QUBE_E_PROTO, "is damaged");
}
