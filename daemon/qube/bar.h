/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How far long work is, in one line. Pure: a line is a test's text. */
#ifndef QUBE_CLI_BAR_H
#define QUBE_CLI_BAR_H

#include <stddef.h>
#include <stdint.h>

struct cli_bar {
	const char *title;
	const char *stage;
	uint64_t done_bytes;
	uint64_t total_bytes; /* 0: not known, and no bar is drawn */
	uint64_t moved_bytes; /* of done_bytes, in the time below */
	uint64_t moved_ms;    /* 0: no rate yet */
};

/* At most width columns. What does not fit is left out, the least important first: the time that is
 * left, the rate, the bar. */
void cli_bar_line(char *out, size_t cap, const struct cli_bar *b, unsigned int width);

#endif
