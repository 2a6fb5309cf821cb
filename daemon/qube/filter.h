/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a guest may write to our terminal. Its bytes are hostile: a terminal answers some sequences
 * on the keyboard's channel, sets titles and the clipboard, prints to files, or shows text in
 * another order than it stands.
 *
 * Plain mode is for ordinary output: bytes 0x20..0x7e and TAB, LF, CR, BS, BEL; each other byte
 * becomes '_'. Screen mode is for --pty: also UTF-8 without controls, and the few sequences that
 * only draw. A sequence is kept back until its last byte has been seen and is then passed whole or
 * dropped whole, so a terminal never sees the beginning of one that we would refuse. */
#ifndef QUBE_CLI_FILTER_H
#define QUBE_CLI_FILTER_H

#include <stddef.h>
#include <stdint.h>

enum { CLI_FILTER_PLAIN = 0, CLI_FILTER_SCREEN = 1 };
enum { CLI_FILTER_HELD = 64 };

/* What a guest switched on and cli_filter_reset() switches off again. */
enum {
	CLI_SCREEN_ATTRIBUTES = 1,
	CLI_SCREEN_CURSOR = 2, /* hidden, or another shape */
	CLI_SCREEN_OTHER = 4,  /* the alternate screen */
	CLI_SCREEN_PASTE = 8,  /* bracketed paste */
	CLI_SCREEN_KEYS = 16,  /* application cursor keys or keypad */
	CLI_SCREEN_REGION = 32 /* a scrolling region */
};

struct cli_filter {
	uint32_t mode;	/* CLI_FILTER_* */
	uint32_t state; /* of the machine in filter.c */
	uint32_t used;	/* CLI_SCREEN_* */
	uint32_t n_held;
	uint32_t want;	  /* length of the UTF-8 character that is held */
	uint32_t dropped; /* bytes of the string that is being dropped */
	unsigned char held[CLI_FILTER_HELD];
};

void cli_filter_init(struct cli_filter *f, uint32_t mode);
/* Filters a piece of the stream into out, which has room for len + CLI_FILTER_HELD bytes. Returns
 * how many bytes were written. */
size_t cli_filter(struct cli_filter *f, char *out, const void *untrusted, size_t len);
/* The stream ended: what undoes the changes that are still in force. Static storage pieces joined
 * into out (room for 64 bytes); returns the length. */
size_t cli_filter_reset(const struct cli_filter *f, char out[64]);

#endif
