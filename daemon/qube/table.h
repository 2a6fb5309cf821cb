/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tables of aligned columns for people. */
#ifndef QUBE_CLI_TABLE_H
#define QUBE_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { CLI_TABLE_COLUMNS = 16 };

struct cli_table {
	size_t columns;
	size_t n_cells;
	size_t room;
	char **cells; /* escaped */
	bool failed;  /* out of memory: nothing is printed */
};

/* heads: column names; the first row. */
void cli_table_init(struct cli_table *t, const char *const *heads, size_t columns);
/* The next cell, row by row; text is escaped, NULL is shown as "-". */
void cli_table_add(struct cli_table *t, const char *text);
/* The cell in a row (0: the heads), or "" beyond the end. */
const char *cli_table_cell(const struct cli_table *t, size_t row, size_t column);
size_t cli_table_rows(const struct cli_table *t);
/* mark, if not NULL, is called in front of the cells of column mark_column. It writes exactly two
 * columns' width (row 0 is the heads). Returns false when memory had run out. */
bool cli_table_print(struct cli_table *t, FILE *f, size_t mark_column,
		     void (*mark)(FILE *f, const char *cell, size_t row));
void cli_table_fini(struct cli_table *t);

#endif
