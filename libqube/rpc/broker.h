/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The broker engine: the host's end of every guest's control channel and of every call to or from
 * the host. It reads guests' bytes, decides nothing and knows no policy: core does, over proto.h.
 * It runs on the caller's loop; in qubed that is a process of its own. */
#ifndef QUBE_RPC_BROKER_H
#define QUBE_RPC_BROKER_H

#include "event/loop.h"

#include <stdint.h>

struct qube__broker;

/* Zero means the default in each. */
struct qube__broker_limits {
	uint32_t pending_max; /* undecided requests of a guest: 256 */
	uint32_t calls_max;   /* calls of a guest, either way: 256 */
	uint32_t hello_ms;    /* to say hello: 60,000 */
	uint32_t frame_ms;    /* to complete a message once begun: 30,000 */
	uint32_t connect_ms;  /* the other end of a host's call to say hello: 120,000 */
	uint64_t bytes_max;   /* queued for or from a guest: 16 MiB */
};

/* sock is one end of qube__rpc_pair(), transferred, also on failure. limits may be NULL. */
int qube__broker_create(struct qube__broker **out, struct qube__loop *loop, int sock,
			const struct qube__broker_limits *limits);
/* Ends every session without a message. Not from inside on_closed. */
void qube__broker_destroy(struct qube__broker *b);
/* The process is the broker's alone: what it does about SIGPIPE now it always will. */
void qube__broker_alone(struct qube__broker *b);
/* Called once, from the loop, when core closed its end or broke the protocol. */
void qube__broker_on_closed(struct qube__broker *b, void (*fn)(void *user), void *user);

#endif
