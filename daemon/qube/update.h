/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Templates updated beside each other: each is started to be thrown away, gets the packages through
 * a call, and is kept only if its own database of packages says that they are applied. Built on the
 * public headers alone; the owner runs the loop. */
#ifndef QUBE_CLI_UPDATE_H
#define QUBE_CLI_UPDATE_H

#include "update_report.h"

#include <qube/qube.h>

#include <poll.h>
#include <stdint.h>

enum {
	CLI_UPDATE_JOBS_MAX = 16,
	CLI_UPDATE_POLLFDS = 3 * CLI_UPDATE_JOBS_MAX,
	CLI_UPDATE_TAIL = 2048,
};

enum cli_update_step {
	CLI_STEP_WAITS,
	CLI_STEP_START,
	CLI_STEP_CALL,
	CLI_STEP_DRAIN,
	CLI_STEP_END,
	CLI_STEP_OVER
};

struct cli_update;

struct cli_update_item {
	struct cli_update *u;
	qube_domain *d; /* owned */
	enum cli_update_step step;
	qube_op *op;
	int fd[3];	       /* our ends of its three streams; -1: closed */
	uint64_t sent;	       /* of the packages */
	int64_t call_until_ms; /* 0: no limit */
	int64_t drain_until_ms;
	struct cli_update_report report;
	char tail[CLI_UPDATE_TAIL + 1]; /* the end of what its package manager said; untrusted */
	size_t tail_len;
	/* once it is over */
	enum cli_update_result result;
	int exit_code; /* of the package manager, if that failed */
	char error[CLI_UPDATE_LINE_MAX];
};

struct cli_update {
	struct cli_update_item *items; /* owned */
	size_t n;
	size_t jobs; /* at most so many at a time */
	size_t running;
	bool canceled;
	int64_t timeout_ms; /* of each call; 0: none */
	int packages;	    /* a tar file; borrowed */
	uint64_t bytes;
	const char *command; /* what is run in a template; borrowed */
	/* A stage began, or it is over. */
	void (*told)(void *user, const struct cli_update_item *i);
	/* An operation of it ended, and how may be looked at. May be NULL. */
	void (*ended)(void *user, const struct cli_update_item *i, qube_op *op);
	void *user;
};

/* Begins as many as may be under way. */
void cli_update_next(struct cli_update *u);
bool cli_update_is_over(const struct cli_update *u);
/* What is under way is undone, the rest is not begun. */
void cli_update_cancel(struct cli_update *u);
/* Fills in what to poll for; returns how many. */
size_t cli_update_poll(const struct cli_update *u, struct pollfd fds[CLI_UPDATE_POLLFDS]);
void cli_update_serve(struct cli_update *u, const struct pollfd *fds, size_t n);
/* What to call its present doing. */
const char *cli_update_doing(const struct cli_update_item *i);
void cli_update_fini(struct cli_update *u);

#endif
