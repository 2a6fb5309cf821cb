/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Readings of a log, each the last part of it: what a later one has that an earlier one had not. */
#ifndef QUBE_CLI_LOG_TAIL_H
#define QUBE_CLI_LOG_TAIL_H

#include <stddef.h>
#include <stdint.h>

/* The last n lines of text. */
const char *cli_log_tail(const char *text, uint64_t n);
/* Where in now the lines begin that came after seen; NULL: there is a gap between the two. */
const char *cli_log_fresh(const char *seen, const char *now);

#endif
