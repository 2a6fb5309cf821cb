/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is kept with a domain for the next host. */
#include "qtest.h"

#include "driver/xen/xen.h"

#include <stdlib.h>
#include <string.h>

static const struct qube__xen_record sample = {
	.name = "work",
	.qid = 7,
	.id_base = 9,
	.start_ms = 1234567890123,
	.bound = true,
	.image = "root.img",
};

QTEST(xen_record, comes_back_as_it_was)
{
	struct qube__xen_record r;
	char text[512];

	QT_INT(qube__xen_record_put(text, sizeof(text), &sample), 0);
	QT_INT(qube__xen_record_get(&r, text), 0);
	QT_STR(r.name, sample.name);
	QT_STR(r.image, sample.image);
	QT_INT(r.qid, 7);
	QT_INT(r.id_base, 9);
	QT_INT((long long)r.start_ms, 1234567890123);
	QT_TRUE(r.bound);
	QT_INT(qube__xen_record_put(text, 20, &sample), QUBE_E_LIMIT);
}

QTEST(xen_record, nothing_else_is_believed)
{
	static const char *const bad[] = {
		"",
		"format 1\n",
		"format 1\nname \nqid 1\nids 1\nstart 1\nbound 0\nimage \n",
		"format 1\nname a\nqid x\nids 1\nstart 1\nbound 0\nimage \n",
		"format 1\nname a\nqid 1\nids 1\nstart 1\nbound 2\nimage \n",
		"format 1\nname a\nqid 1\nids 1\nstart 1\nbound 0\nimage a/b\n",
		"format 1\nname a\nqid 1\nids 1\nstart 1\nbound 0\nimage a\nmore\n",
		"format 1\nname a-name-that-is-much-longer-than-any-qube-has\nqid 1\nids 1\nstart "
		"1\nbound 0\nimage a\n",
	};
	struct qube__xen_record r;
	char text[512];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		QT_INT(qube__xen_record_get(&r, bad[i]), QUBE_E_PROTO);
	QT_INT(qube__xen_record_get(&r, "format 2\nname a\n"), QUBE_E_NOTSUP);
	QT_INT(qube__xen_record_put(text, sizeof(text), &sample), 0);
	for (size_t n = strlen(text); n--;) {
		char *cut = strndup(text, n);

		QT_TRUE(qube__xen_record_get(&r, cut) < 0);
		free(cut);
	}
}
