/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The picture of qube VERB --trace. */
#include "trace.h"

#include "common/text.h"

#include <stdbool.h>
#include <string.h>

enum { BAR_COLUMNS = 40, NAME_COLUMNS = 20 };

static uint64_t end_of(const struct qube_op_stage *stages, size_t n)
{
	uint64_t end = 0;

	for (size_t i = 0; i < n; i++)
		if (stages[i].start_ns + stages[i].duration_ns > end)
			end = stages[i].start_ns + stages[i].duration_ns;
	return end;
}

static size_t column_of(uint64_t at, uint64_t end)
{
	size_t c = end ? (size_t)((double)at / (double)end * BAR_COLUMNS) : 0;

	return c < BAR_COLUMNS ? c : BAR_COLUMNS;
}

/* At least one column wide: a short stage is seen too. */
static void draw_bar(char bar[BAR_COLUMNS + 1], const struct qube_op_stage *s, uint64_t end)
{
	uint64_t stop = s->duration_ns ? s->start_ns + s->duration_ns : end;
	size_t from = column_of(s->start_ns, end);
	size_t to = column_of(stop, end);

	if (from == BAR_COLUMNS)
		from--;
	if (to <= from)
		to = from + 1;
	memset(bar, ' ', BAR_COLUMNS);
	memset(bar + from, !s->duration_ns ? '.' : *s->name == '/' ? '=' : '#', to - from);
	bar[BAR_COLUMNS] = '\0';
}

void cli_trace_draw(FILE *f, const struct qube_op_stage *stages, size_t n)
{
	uint64_t end = end_of(stages, n);

	fprintf(f, "%-20s  %12s  %12s  %4s\n", "STAGE", "START ms", "DURATION ms", "%");
	for (size_t i = 0; i < n; i++) {
		const struct qube_op_stage *s = &stages[i];
		char bar[BAR_COLUMNS + 1];
		char name[64];

		bool part = *s->name == '/';

		/* A part stands under its stage. */
		cli_escape(name, sizeof(name), part ? s->name + 1 : s->name);
		draw_bar(bar, s, end);
		fprintf(f, "%s%-*s  %12.3f  %12.3f  %4.0f  |%s|\n", part ? "  " : "",
			part ? NAME_COLUMNS - 2 : NAME_COLUMNS, name, (double)s->start_ns / 1e6,
			(double)s->duration_ns / 1e6,
			end ? (double)s->duration_ns * 100 / (double)end : 0, bar);
	}
	fprintf(f, "%-20s  %12s  %12.3f\n", "all", "", (double)end / 1e6);
}
