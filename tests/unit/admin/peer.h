/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The client's end of an Admin API connection, byte by byte. */
#ifndef TEST_ADMIN_PEER_H
#define TEST_ADMIN_PEER_H

#include "rig.h"

#include <stdint.h>

struct answer {
	uint8_t *bytes; /* with a NUL behind them */
	size_t len;
	bool closed; /* by the host */
};
void answer_fini(struct answer *a);
#define ANSWER __attribute__((cleanup(answer_fini))) struct answer

/* The client's descriptor of a new connection, or -1. */
int peer_open(qube_ctx *ctx);
/* Dispatches until the host closes, or for at most five seconds; what it sent. */
struct answer peer_read(qube_ctx *ctx, int fd);
/* Sends the bytes, ends its side, reads the answer, closes. */
struct answer peer_ask(qube_ctx *ctx, const void *bytes, size_t len);
/* "METHOD+ARG SOURCE name DEST\0PAYLOAD"; arg NULL: no '+'. */
struct answer peer_call(qube_ctx *ctx, const char *source, const char *method, const char *arg,
			const char *dest, const char *payload);

#endif
