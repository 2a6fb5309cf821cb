/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A channel to another domain, held by a qube-vchan of its own (daemon/vchan): for everybody else
 * it is a pair of descriptors. */
#ifndef QUBE_TRANSPORT_PROGRAM_H
#define QUBE_TRANSPORT_PROGRAM_H

#include "base/spawn.h"

#include <stdbool.h>
#include <stdint.h>

struct qube__vchan {
	const char *path; /* of qube-vchan, absolute */
	const char *const *env;
	uint32_t peer; /* domain */
	uint32_t port;
	bool server;
	uint32_t ring;	 /* bytes each way, of a server */
	uint32_t wait_s; /* for the peer */
	bool jail;	 /* gives up all rights, to become uid and gid */
	uint32_t uid;
	uint32_t gid;
};

/* So long what a peer that is no more still said may wait for its reader (SIGTERM), and then who
 * does not end is killed. */
enum { QUBE__VCHAN_END_MS = 30000 };

/* fds: what it reads from and what it writes to; borrowed. It ends with either side. */
int qube__vchan_spawn(struct qube__child *out, const struct qube__vchan *v, const int fds[2]);

#endif
