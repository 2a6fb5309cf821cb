/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Many qubes started or stopped at once, in the order in which they need each other: who serves
 * others (their netvm, guivm or audiovm) comes up before them and goes down after them. Built on
 * the public headers alone; the context's owner runs the loop. */
#ifndef QUBE_COMMON_FLEET_H
#define QUBE_COMMON_FLEET_H

#include <qube/qube.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cli_fleet_what { CLI_FLEET_START = 1, CLI_FLEET_STOP = 2 };

struct cli_fleet_opts {
	enum cli_fleet_what what;
	uint32_t at_once;   /* operations under way at a time; 0: no bound */
	int32_t timeout_ms; /* STOP: for all of it, then what is left is killed; < 0: for ever */
	/* START: which; borrowed for the call. */
	bool (*wanted)(void *user, qube_domain *d);
	/* One qube is done; e is NULL if it went well. May be NULL. */
	void (*told)(void *user, const char *name, const struct qube_error *e);
	/* An operation of it ended, and how may be looked at. May be NULL. */
	void (*ended)(void *user, const char *name, qube_op *op);
	/* All are done; from dispatch, or from begin if nothing could be begun. Not called if
	 * there is nothing to do. */
	void (*done)(void *user);
	void *user;
};

struct cli_fleet;

/* 1: under way, *out is owned until done was called or the context is closed; 0: there is nothing
 * to do; < 0: the qubes cannot be listed. */
int cli_fleet_begin(struct cli_fleet **out, qube_ctx *ctx, const struct cli_fleet_opts *opts);
size_t cli_fleet_failed(const struct cli_fleet *f);
/* Its operations go on untold. */
void cli_fleet_free(struct cli_fleet *f);

#endif
