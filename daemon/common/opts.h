/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Options of our own programs, by table. Strict on purpose: no abbreviations, no option twice, no
 * value that looks like an option unless it is glued on with '='; behind "--" nothing is an option.
 * So what a caller wrote has one reading only. */
#ifndef QUBE_CLI_OPTS_H
#define QUBE_CLI_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLI_ARG_NONE = 0, CLI_ARG_NEEDED = 1, CLI_ARG_MAYBE = 2 /* by '=' only */ };

struct cli_optdef {
	const char *name;    /* without dashes */
	char letter;	     /* 0: none */
	uint8_t arg;	     /* CLI_ARG_* */
	const char *metavar; /* NULL: none */
	const char *help;
};

/* A set of options, a bit each. Compilers have the type where pointers have 64 bits. */
__extension__ typedef unsigned __int128 cli_bits;
#define CLI_BITS_ONE ((cli_bits)1)

enum { CLI_OPTS_MAX = 128, CLI_MULTI_MAX = 32, CLI_NO_DASHES = -1 };

struct cli_parsed {
	const char *value[CLI_OPTS_MAX];  /* by index into the table; "" where there is none */
	cli_bits seen;			  /* bit i: option i was given */
	const char *multi[CLI_MULTI_MAX]; /* values of the options that may be repeated */
	size_t n_multi;
	char **pos;	 /* positional arguments, in the caller's argv */
	int n_pos;	 /* how many */
	int n_before;	 /* how many of them stood before "--"; CLI_NO_DASHES without one */
	char error[256]; /* set when parsing failed */
};

/* What is accepted: bit i stands for option i of defs. */
struct cli_syntax {
	const struct cli_optdef *defs;
	size_t n_defs;
	cli_bits accepted;
	cli_bits multi;	  /* may be repeated */
	bool stop_at_pos; /* end at the first positional argument, leaving it */
};

/* Parses argv[0..argc) (no program name in it). Positional arguments are moved to its front, and
 * p->pos points there. Adds to what p already holds. Returns how many arguments were consumed (all,
 * or less with stop_at_pos), -1 with p->error set. */
int cli_parse(struct cli_parsed *p, const struct cli_syntax *s, int argc, char **argv);

static inline bool cli_given(const struct cli_parsed *p, int option)
{
	return (p->seen >> option) & 1;
}

/* How far meant is from word as typing errors go, less being nearer: letters left out, put in,
 * changed or swapped, or an end not typed; CLI_FAR: it is something else. */
enum { CLI_FAR = 3 };
int cli_distance(const char *word, const char *meant);

/* A decimal number of digits only, at most max. */
bool cli_parse_u64(uint64_t *out, const char *text, uint64_t max);

#endif
