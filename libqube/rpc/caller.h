/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The caller engine: one call out of this qube, through its agent. */
#ifndef QUBE_RPC_CALLER_H
#define QUBE_RPC_CALLER_H

#include "event/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qube__caller;

struct qube__caller_opts {
	const char *agent_socket; /* NULL: QUBE__AGENT_TRIGGER_SOCKET */
	const char *target;	  /* as qrexec names it; may be "" */
	const char *service;	  /* NAME[+ARG] */
	const char *source;	  /* for a relay, or NULL */
	const void *prefix;	  /* sent before any input */
	size_t prefix_len;
	bool filter_out; /* make harmless for a terminal */
	bool filter_err;
	/* Transferred, also on failure. With program: in and out are not relayed but handed to it.
	 */
	int in;
	int out;
	int err;
	const char *const *program; /* argv, [0] is a path; NULL: none */
	const char *const *env;	    /* of the program */
	void *user;
	/* Once, from the loop; may destroy. code as qrexec's client gives it; why: NULL or a line.
	 */
	void (*done)(void *user, int32_t code, const char *why);
};

int qube__caller_create(struct qube__caller **out, struct qube__loop *loop,
			const struct qube__caller_opts *opts);
void qube__caller_destroy(struct qube__caller *c);

#endif
