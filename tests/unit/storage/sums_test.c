/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The index of a folder of packages. */
#include "qtest.h"

#include "sums.h"

#include <qube/error.h>

#include <stdio.h>
#include <string.h>

#define D "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int parse(struct worker_sums *s, size_t *line, const char *text)
{
	return worker_sums_parse(s, line, text, strlen(text));
}

QTEST(sums, are_sorted_and_have_packages_only)
{
	struct worker_sums s = { 0 };
	size_t line;

	QT_INT(parse(&s, &line, D "  z.rpm\n" D " *a.deb\n" D "  README\n"), 0);
	QT_INT(s.n, 2);
	QT_STR(s.list[0].name, "a.deb");
	QT_STR(s.list[1].name, "z.rpm");
	QT_INT(s.list[1].digest[0], 0x01);
	QT_INT(s.list[1].digest[31], 0xef);
	QT_TRUE(worker_sums_find(&s, "z.rpm") == &s.list[1]);
	QT_TRUE(worker_sums_find(&s, "README") == NULL);
	worker_sums_fini(&s);
}

QTEST(sums, threat_26_refuse_what_is_no_line_of_sha256sum)
{
	static const char *const bad[] = {
		"\n",
		D "\n",
		D "  \n",
		D " a.deb\n",
		D "  a.deb",
		"\\" D "  a.deb\n",
		"0" D "  a.deb\n",
		"G123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef  a.deb\n",
		"A123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef  a.deb\n",
		D "  ../a.deb\n",
		D "  /a.deb\n",
		D "  .deb\n",
		D "  -a.deb\n",
		D "  a b.deb\n",
		D "  a.deb\r\n",
		D "  \xc3\xa4.deb\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct worker_sums s = { 0 };
		char text[512];
		size_t line = 0;

		snprintf(text, sizeof(text), D "  first.deb\n%s", bad[i]);
		QT_INT(parse(&s, &line, text), QUBE_E_PROTO);
		QT_INT(line, 2);
		QT_TRUE(s.list == NULL);
	}
}

QTEST(sums, threat_26_refuse_a_name_that_is_there_twice)
{
	struct worker_sums s = { 0 };
	size_t line;

	QT_INT(parse(&s, &line, D "  a.deb\n" D "  b.deb\n" D " *a.deb\n"), QUBE_E_EXISTS);
	QT_INT(worker_sums_parse(&s, &line, D "  a.deb\0\n", 72), QUBE_E_PROTO);
}
