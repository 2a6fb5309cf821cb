/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Text: quoting for a shell, escaping for a terminal, numbers for people. */
#ifndef QUBE_CLI_TEXT_H
#define QUBE_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* text with every byte outside 0x20..0x7e (and the backslash) as \xHH; cut to fit, ending in "..."
 * then. Names and messages of others are printed by this only. */
void cli_escape(char *out, size_t cap, const char *text);
/* The same, allocated and never cut; NULL: out of memory. */
char *cli_escape_dup(const char *text);

/* One command line for a POSIX shell: a single argument as it is (it is a command already),
 * several each quoted. Allocated; NULL: out of memory. */
char *cli_quote_command(char *const *args, int n);
/* The arguments each quoted, also when there is one. Allocated; NULL: out of memory. */
char *cli_quote_args(char *const *args, int n);

/* "182.3 MiB", "512 bytes". */
void cli_format_size(char *out, size_t cap, uint64_t bytes);
/* "512", or with K, M, G or T behind it: "10G". False: it is none. */
bool cli_parse_size(uint64_t *out, const char *text);
/* "4,212". */
void cli_format_count(char *out, size_t cap, uint64_t n);

/* Of a clock that never jumps. */
int64_t cli_now_ms(void);

#endif
