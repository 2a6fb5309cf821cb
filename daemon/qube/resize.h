/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The size of our terminal, told to the one in the qube whenever it is another: by a call of its
 * own to qube-pty, so that nothing is mixed into what is typed or drawn. */
#ifndef QUBE_CLI_RESIZE_H
#define QUBE_CLI_RESIZE_H

#include <qube/qube.h>

#include <stdbool.h>
#include <stdint.h>

struct cli_resize {
	qube_domain *d;	   /* borrowed */
	const char *user;  /* as of the call with the terminal */
	char id[33];	   /* by which that is found inside */
	unsigned int rows; /* as last told */
	unsigned int cols;
	qube_op *op;	  /* the call that tells; NULL: none is under way */
	int64_t wait_ms;  /* between two tries; grows */
	int64_t again_ms; /* not before */
	bool off;	  /* it cannot be told */
};

/* A new id; the rest is for the caller to fill in. 0 or -1. */
int cli_resize_init(struct cli_resize *r);
/* How long until there may be something to do, in milliseconds; -1: until a signal. */
int cli_resize_wait(const struct cli_resize *r, int64_t now_ms);
/* Looks, and tells what is new. Never blocks. */
void cli_resize_turn(struct cli_resize *r, int64_t now_ms);
void cli_resize_fini(struct cli_resize *r);

#endif
