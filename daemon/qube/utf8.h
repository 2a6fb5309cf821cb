/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * UTF-8, and which of its characters may reach a terminal. */
#ifndef QUBE_CLI_UTF8_H
#define QUBE_CLI_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The length that a first byte promises: 1 to 4; 0 for a byte that begins nothing. */
size_t cli_utf8_length(unsigned char first);
/* Decodes one character of exactly len (= cli_utf8_length()) bytes. False: overlong, a surrogate,
 * beyond U+10FFFF or a bad continuation. */
bool cli_utf8_decode(uint32_t *out, const unsigned char *untrusted, size_t len);
/* Writes text to a terminal: what may not reach one, but for TAB and LF, becomes '_'. */
void cli_utf8_write(FILE *f, const char *untrusted, size_t len);
/* False for controls (C0, DEL, C1), characters that reorder or hide text, and line separators. */
bool cli_utf8_printable(uint32_t c);

#endif
