/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What qubes use, as rows: taken from the host, sorted, drawn. Drawing is pure, so that a screen is
 * a test's text. */
#ifndef QUBE_CLI_TOP_H
#define QUBE_CLI_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CLI_TOP_NAME_MAX = 32, CLI_TOP_TEXT_MAX = 64 };

/* One qube; numbers that are not known are UINT64_MAX. */
struct cli_top_row {
	char name[CLI_TOP_NAME_MAX];
	const char *klass;
	const char *state;
	char isolation[CLI_TOP_TEXT_MAX];
	char unenforced[CLI_TOP_TEXT_MAX];
	bool guessed;	       /* memory_bytes is */
	uint64_t cpu_permille; /* of one processor */
	uint64_t cpu_ns;
	uint64_t memory_bytes;
	uint64_t target_bytes; /* that it may use now */
	uint64_t pids;
	uint64_t read_bytes;
	uint64_t write_bytes;
	uint64_t start_time_ms;
	uint64_t taken_ms; /* monotonic: when cpu_ns was read */
};
#define CLI_TOP_UNKNOWN UINT64_MAX

/* By what rows are sorted, also the key that chooses it; the largest first, names from a. */
enum cli_top_sort {
	CLI_TOP_BY_CPU = 'c',
	CLI_TOP_BY_MEMORY = 'm',
	CLI_TOP_BY_NAME = 'n',
	CLI_TOP_BY_PIDS = 'p',
	CLI_TOP_BY_START = 't'
};
/* False: no such way to sort. */
bool cli_top_sort_parse(enum cli_top_sort *out, const char *word);
void cli_top_sort(struct cli_top_row *rows, size_t n, enum cli_top_sort by);
/* The share of a processor between two readings of one life of a qube, or unknown. */
uint64_t cli_top_share(const struct cli_top_row *before, const struct cli_top_row *now);

struct cli_top_view {
	unsigned int width;  /* columns; longer lines are cut */
	unsigned int height; /* lines, the heads included; 0: as many as there are rows */
	enum cli_top_sort by;
	bool live;	 /* for a terminal in raw mode: each line is ended and its rest erased */
	uint64_t now_ms; /* realtime, for how long qubes run */
};
void cli_top_draw(FILE *f, const struct cli_top_row *rows, size_t n,
		  const struct cli_top_view *view);

#endif
