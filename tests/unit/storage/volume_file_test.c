/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "storage/volume_file.h"

#include <qube/error.h>

#include <stdio.h>

static int parse(struct qube__volume_file *f, const char *text)
{
	return qube__volume_file_parse(f, text, strlen(text));
}

QTEST(volume_file, reads_what_it_wrote)
{
	static const char text[] = "qube-volume 1\npending zz9\nrevision 4 1700000000 c b a\n"
				   "revision 2 1600000000 a\n";
	struct qube__volume_file f;
	char out[512];
	int n;

	QT_INT(parse(&f, text), 0);
	QT_STR(f.pending, "zz9");
	QT_INT(f.n_states, 2);
	QT_INT(f.states[0].n_layers, 3);
	QT_STR(f.states[0].layers[0], "c");
	n = qube__volume_file_encode(out, sizeof(out), &f);
	QT_INT(n, (int)strlen(text));
	QT_MEM(out, text, strlen(text));
}

QTEST(volume_file, a_merged_layer_takes_the_place_of_its_list_wherever_it_ends_one)
{
	static const char text[] = "qube-volume 1\nrevision 3 30 d c b a\nrevision 2 20 c b a\n"
				   "revision 1 10 b a\n";
	static const char want[] = "qube-volume 2\nmerged m c\nrevision 3 30 d m\n"
				   "revision 2 20 m\nrevision 1 10 b a\n";
	struct qube__volume_state list;
	struct qube__volume_file f;
	char out[512];
	int n;

	QT_INT(parse(&f, text), 0);
	list = f.states[1];
	QT_INT(qube__volume_file_merge(&f, &list, "m"), 2);
	n = qube__volume_file_encode(out, sizeof(out), &f);
	QT_INT(n, (int)strlen(want));
	QT_MEM(out, want, strlen(want));
	QT_INT(parse(&f, want), 0);
	QT_TRUE(qube__volume_file_same(&f, &f.states[1], &list));
	QT_TRUE(!qube__volume_file_same(&f, &f.states[0], &list));
	/* Merged again: what it shows has the oldest name. What nothing lists is forgotten. */
	list = f.states[1];
	QT_INT(qube__volume_file_merge(&f, &list, "n"), 2);
	QT_INT(f.n_merged, 1);
	QT_STR(f.merged[0].id, "n");
	QT_STR(f.merged[0].top, "c");
	QT_INT(qube__volume_file_merge(&f, &list, "o"), 0); /* no state ends with it any more */
}

QTEST(volume_file, rejects_what_is_damaged)
{
	static const char *const bad[] = {
		"",
		"qube-volume 1",
		"qube-volume 1\n",
		"qube-volume 0\nrevision 1 1 a\n",
		"qube-volume 1\nrevision 1 1 a",
		"qube-volume 1\nrevision 1 1 ../x\n",
		"qube-volume 1\nrevision 1 1 A\n",
		"qube-volume 1\nrevision 1 1  a\n",
		"qube-volume 1\nrevision 1 1 a \n",
		"qube-volume 1\nrevision x 1 a\n",
		"qube-volume 1\nrevision 1 1 a\nrevision 1 1 a\n",
		"qube-volume 1\nrevision 1 1 a\npending b\n",
		"qube-volume 1\nother\n",
		"qube-volume 1\npending a\npending b\nrevision 1 1 a\n",
		"qube-volume 1\nrevision 1 1 abcdefghijklmnop\n",
		"qube-volume 1\n\nrevision 1 1 a\n",
		"qube-volume 2\nmerged a\nrevision 1 1 a\n",
		"qube-volume 2\nmerged a b c\nrevision 1 1 a\n",
		"qube-volume 2\nrevision 1 1 a\nmerged a b\n",
		"xqube-volume 1\nrevision 1 1 a\n",
	};
	struct qube__volume_file f;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(&f, bad[i]) != QUBE_E_PROTO)
			QT_FAIL("case %zu was accepted", i);
	QT_INT(qube__volume_file_parse(&f, "qube-volume 1\nrevision 1 1 a\0\n", 31), QUBE_E_PROTO);
}

QTEST(volume_file, refuses_a_newer_format_as_such)
{
	struct qube__volume_file f;

	QT_INT(parse(&f, "qube-volume 3\nanything\n"), QUBE_E_NOTSUP);
}

QTEST(volume_file, keeps_as_many_old_states_as_asked)
{
	struct qube__volume_file f = { 0 };
	struct qube__volume_state s = { .n_layers = 1, .layers = { "a" } };

	for (int i = 0; i < 5; i++)
		QT_INT(qube__volume_file_push(&f, &s, 2), 0);
	QT_INT(f.n_states, 3);
	QT_INT(f.states[0].number, 5);
	QT_INT(f.states[2].number, 3);
	QT_INT(qube__volume_file_push(&f, &s, 0), 0);
	QT_INT(f.n_states, 1);
	QT_INT(f.states[0].number, 6);
	for (int i = 0; i < 100; i++)
		QT_INT(qube__volume_file_push(&f, &s, 1000), 0);
	QT_INT(f.n_states, QUBE__REVISIONS_MAX);
}
