/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tables of aligned columns. */
#include "qtest.h"

#include "table.h"

#include <stdlib.h>

static char *print(struct cli_table *t, void (*mark)(FILE *f, const char *cell, size_t row))
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	cli_table_print(t, f, 1, mark);
	fclose(f);
	return text;
}

QTEST(cli_table, aligns_columns_without_trailing_spaces)
{
	static const char *const heads[] = { "NAME", "STATE" };
	struct cli_table t;
	char *text;

	cli_table_init(&t, heads, 2);
	cli_table_add(&t, "personal");
	cli_table_add(&t, "Running");
	cli_table_add(&t, "x");
	cli_table_add(&t, NULL);
	text = print(&t, NULL);
	QT_STR(text, "NAME      STATE\npersonal  Running\nx         -\n");
	free(text);
	cli_table_fini(&t);
}

static void mark(FILE *f, const char *cell, size_t row)
{
	fputs(row && *cell == 'R' ? "* " : "  ", f);
}

QTEST(cli_table, puts_marks_before_a_column)
{
	static const char *const heads[] = { "NAME", "STATE" };
	struct cli_table t;
	char *text;

	cli_table_init(&t, heads, 2);
	cli_table_add(&t, "a");
	cli_table_add(&t, "Running");
	text = print(&t, mark);
	QT_STR(text, "NAME    STATE\na     * Running\n");
	free(text);
	cli_table_fini(&t);
}

QTEST(cli_table, threat_04_escapes_cells)
{
	static const char *const heads[] = { "A" };
	struct cli_table t;
	char *text;

	cli_table_init(&t, heads, 1);
	cli_table_add(&t, "x\033[2J\ny\xe2\x80\xae");
	text = print(&t, NULL);
	QT_STR(text, "A\nx\\x1b[2J\\x0ay\\xe2\\x80\\xae\n");
	free(text);
	cli_table_fini(&t);
}
