/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tables of aligned columns. Cells are ASCII once they are escaped, so bytes are columns. */
#include "table.h"

#include "common/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void cli_table_init(struct cli_table *t, const char *const *heads, size_t columns)
{
	memset(t, 0, sizeof(*t));
	assert(columns <= CLI_TABLE_COLUMNS);
	t->columns = columns;
	for (size_t i = 0; i < columns; i++)
		cli_table_add(t, heads[i]);
}

void cli_table_add(struct cli_table *t, const char *text)
{
	if (t->n_cells == t->room) {
		size_t room = t->room ? 2 * t->room : 64;
		char **cells = reallocarray(t->cells, room, sizeof(*cells));

		if (!cells) {
			t->failed = true;
			return;
		}
		t->cells = cells;
		t->room = room;
	}
	t->cells[t->n_cells] = cli_escape_dup(text ? text : "-");
	if (!t->cells[t->n_cells])
		t->failed = true;
	else
		t->n_cells++;
}

const char *cli_table_cell(const struct cli_table *t, size_t row, size_t column)
{
	size_t i = row * t->columns + column;

	return i < t->n_cells ? t->cells[i] : "";
}

size_t cli_table_rows(const struct cli_table *t)
{
	return (t->n_cells + t->columns - 1) / t->columns;
}

static size_t width_of(const struct cli_table *t, size_t column)
{
	size_t width = 0;

	for (size_t row = 0; row < cli_table_rows(t); row++) {
		size_t len = strlen(cli_table_cell(t, row, column));

		if (len > width)
			width = len;
	}
	return width;
}

bool cli_table_print(struct cli_table *t, FILE *f, size_t mark_column,
		     void (*mark)(FILE *f, const char *cell, size_t row))
{
	size_t widths[CLI_TABLE_COLUMNS];

	for (size_t column = 0; column < t->columns; column++)
		widths[column] = width_of(t, column);
	for (size_t row = 0; !t->failed && row < cli_table_rows(t); row++) {
		for (size_t column = 0; column < t->columns; column++) {
			const char *cell = cli_table_cell(t, row, column);

			if (mark && column == mark_column)
				mark(f, cell, row);
			/* The last column is not padded: no spaces at the end of lines. */
			if (column + 1 == t->columns)
				fprintf(f, "%s\n", cell);
			else
				fprintf(f, "%-*s  ", (int)widths[column], cell);
		}
	}
	return !t->failed;
}

void cli_table_fini(struct cli_table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	memset(t, 0, sizeof(*t));
}
