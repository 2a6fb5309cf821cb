/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The streams of a call: our standard input to the guest, its output and errors to ours, filtered
 * where they reach a terminal. Nothing here blocks, so an embedded host goes on beside it. */
#ifndef QUBE_CLI_RELAY_H
#define QUBE_CLI_RELAY_H

#include "filter.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLI_RELAY_PIECE = 65536, CLI_RELAY_STREAMS = 3, CLI_RELAY_POLLFDS = 6 };
enum { CLI_RELAY_STUCK_MS = 1000 };
enum { CLI_RELAY_KEY = 0x1d /* Ctrl-] */, CLI_RELAY_KEYS = 3 };

struct cli_stream {
	int from;	/* -1: ended, or never there */
	int to;		/* -1: closed by its reader */
	bool filter;	/* what passes is a guest's and goes to a terminal */
	bool close_to;	/* close to behind the last byte */
	size_t at, len; /* waiting bytes: data[at..len) */
	struct cli_filter state;
	char data[CLI_RELAY_PIECE + CLI_FILTER_HELD];
};

struct cli_relay {
	struct cli_stream stream[CLI_RELAY_STREAMS]; /* input, output, errors */
	int guest_fd[CLI_RELAY_STREAMS];	     /* the guest's ends; -1 once closed */
	bool broken; /* the reader of our standard output went away */
	bool keys;   /* three times Ctrl-] in a row is for us: left */
	bool left;
	unsigned int n_keys; /* in a row so far */
	int64_t moved_ms;    /* when input was last read, or taken by the guest */
};

/* Makes the pipes. mode: CLI_FILTER_* for outputs that are terminals. With separate_stderr unset
 * the guest has no third stream. 0, or -1 with errno. */
int cli_relay_init(struct cli_relay *r, unsigned int mode, bool separate_stderr);
/* The guest's ends were handed over. */
void cli_relay_close_guest(struct cli_relay *r);
/* Fills in what to poll for; returns how many entries were used. */
size_t cli_relay_poll(const struct cli_relay *r, struct pollfd fds[CLI_RELAY_POLLFDS]);
/* For how long to poll at most, in milliseconds; -1: no end. */
int cli_relay_wait(const struct cli_relay *r);
/* Serves what poll found. */
void cli_relay_serve(struct cli_relay *r, const struct pollfd *fds, size_t n);
/* The call ended: passes on what is still on its way, for deadline_ms at most, and resets the
 * terminal. */
void cli_relay_drain(struct cli_relay *r, int deadline_ms);
void cli_relay_fini(struct cli_relay *r);

#endif
