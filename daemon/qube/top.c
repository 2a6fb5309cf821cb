/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The screen of qube top. All text passes cli_escape(): nothing that a qube or its owner wrote
 * moves the cursor. */
#include "top.h"

#include "common/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 512, CELL_MAX = 64, NAME_MIN = 16 };

static const struct {
	const char *word;
	enum cli_top_sort by;
} sorts[] = {
	{ "cpu", CLI_TOP_BY_CPU },   { "memory", CLI_TOP_BY_MEMORY }, { "name", CLI_TOP_BY_NAME },
	{ "pids", CLI_TOP_BY_PIDS }, { "uptime", CLI_TOP_BY_START },
};

bool cli_top_sort_parse(enum cli_top_sort *out, const char *word)
{
	for (size_t i = 0; i < sizeof(sorts) / sizeof(sorts[0]); i++) {
		if (strcmp(sorts[i].word, word) == 0) {
			*out = sorts[i].by;
			return true;
		}
	}
	return false;
}

static const char *word_of(enum cli_top_sort by)
{
	for (size_t i = 0; i < sizeof(sorts) / sizeof(sorts[0]); i++)
		if (sorts[i].by == by)
			return sorts[i].word;
	return "?";
}

static uint64_t key_of(const struct cli_top_row *r, enum cli_top_sort by)
{
	uint64_t key = 0;

	if (by == CLI_TOP_BY_CPU)
		key = r->cpu_permille;
	else if (by == CLI_TOP_BY_MEMORY)
		key = r->memory_bytes;
	else if (by == CLI_TOP_BY_PIDS)
		key = r->pids;
	else if (by == CLI_TOP_BY_START)
		return r->start_time_ms == CLI_TOP_UNKNOWN ? 0 : UINT64_MAX - r->start_time_ms;
	return key == CLI_TOP_UNKNOWN ? 0 : key;
}

static int compare(const void *left, const void *right, void *by)
{
	const struct cli_top_row *a = left;
	const struct cli_top_row *b = right;
	uint64_t x = key_of(a, *(enum cli_top_sort *)by);
	uint64_t y = key_of(b, *(enum cli_top_sort *)by);

	if (x != y)
		return x > y ? -1 : 1;
	return strcmp(a->name, b->name);
}

void cli_top_sort(struct cli_top_row *rows, size_t n, enum cli_top_sort by)
{
	if (n)
		qsort_r(rows, n, sizeof(*rows), compare, &by);
}

uint64_t cli_top_share(const struct cli_top_row *before, const struct cli_top_row *now)
{
	if (before->cpu_ns == CLI_TOP_UNKNOWN || now->cpu_ns == CLI_TOP_UNKNOWN ||
	    before->start_time_ms != now->start_time_ms || now->cpu_ns < before->cpu_ns ||
	    now->taken_ms <= before->taken_ms)
		return CLI_TOP_UNKNOWN;
	return (now->cpu_ns - before->cpu_ns) / (now->taken_ms - before->taken_ms) / 1000;
}

static void put_size(char *out, uint64_t bytes, bool guessed)
{
	char size[CELL_MAX - 1];

	if (bytes == CLI_TOP_UNKNOWN) {
		snprintf(out, CELL_MAX, "-");
		return;
	}
	cli_format_size(size, sizeof(size), bytes);
	snprintf(out, CELL_MAX, "%s%s", guessed ? "~" : "", size);
}

static void put_uptime(char *out, const struct cli_top_row *r, uint64_t now_ms)
{
	uint64_t s = now_ms > r->start_time_ms ? (now_ms - r->start_time_ms) / 1000 : 0;

	if (r->start_time_ms == CLI_TOP_UNKNOWN)
		snprintf(out, CELL_MAX, "-");
	else if (s >= 86400)
		snprintf(out, CELL_MAX, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
	else
		snprintf(out, CELL_MAX, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600,
			 s / 60 % 60, s % 60);
}

/* No line is longer than the terminal is wide: it would become two. */
static void put_line(FILE *f, const struct cli_top_view *v, const char *line)
{
	int width = v->width ? (int)v->width : LINE_MAX_BYTES;
	size_t len = strlen(line);

	while (len && line[len - 1] == ' ')
		len--;
	fprintf(f, "%.*s%s", len < (size_t)width ? (int)len : width, line,
		v->live ? "\033[K\r\n" : "\n");
}

static void put_row(FILE *f, const struct cli_top_view *v, const struct cli_top_row *r,
		    int name_width)
{
	char line[2 * LINE_MAX_BYTES];
	char name[4 * CLI_TOP_NAME_MAX];
	char isolation[CELL_MAX];
	char unenforced[CELL_MAX];
	char cpu[CELL_MAX] = "-";
	char memory[CELL_MAX];
	char target[CELL_MAX];
	char pids[CELL_MAX] = "-";
	char uptime[CELL_MAX];

	cli_escape(name, sizeof(name), r->name);
	cli_escape(isolation, sizeof(isolation), r->isolation);
	cli_escape(unenforced, sizeof(unenforced), r->unenforced);
	if (r->cpu_permille != CLI_TOP_UNKNOWN)
		snprintf(cpu, sizeof(cpu), "%" PRIu64 ".%" PRIu64, r->cpu_permille / 10,
			 r->cpu_permille % 10);
	if (r->pids != CLI_TOP_UNKNOWN)
		snprintf(pids, sizeof(pids), "%" PRIu64, r->pids);
	put_size(memory, r->memory_bytes, r->guessed);
	put_size(target, r->target_bytes, false);
	put_uptime(uptime, r, v->now_ms);
	snprintf(line, sizeof(line), "%-*s  %-12s  %-9s  %6s  %11s  %11s  %5s  %9s  %s%s%s",
		 name_width, name, r->klass, r->state, cpu, memory, target, pids, uptime, isolation,
		 *unenforced ? "  not enforced: " : "", unenforced);
	put_line(f, v, line);
}

static int name_width(const struct cli_top_row *rows, size_t n)
{
	size_t width = NAME_MIN;
	char name[4 * CLI_TOP_NAME_MAX];

	for (size_t i = 0; i < n; i++) {
		cli_escape(name, sizeof(name), rows[i].name);
		if (strlen(name) > width)
			width = strlen(name);
	}
	return (int)width;
}

void cli_top_draw(FILE *f, const struct cli_top_row *rows, size_t n,
		  const struct cli_top_view *view)
{
	char line[LINE_MAX_BYTES];
	size_t shown = n;
	int width = name_width(rows, n);

	snprintf(line, sizeof(line), "%zu running, by %s%s", n, word_of(view->by),
		 view->live ? "   sort: c cpu, m memory, p pids, n name, t uptime; q quits" : "");
	put_line(f, view, line);
	snprintf(line, sizeof(line), "%-*s  %-12s  %-9s  %6s  %11s  %11s  %5s  %9s  %s", width,
		 "NAME", "CLASS", "STATE", "CPU%", "MEMORY", "TARGET", "PIDS", "UPTIME",
		 "ISOLATION");
	put_line(f, view, line);
	/* The cursor's line at the bottom stays free, or the terminal would scroll. */
	if (view->height && shown + 3 > view->height)
		shown = view->height > 3 ? view->height - 3 : 0;
	for (size_t i = 0; i < shown; i++)
		put_row(f, view, &rows[i], width);
}
