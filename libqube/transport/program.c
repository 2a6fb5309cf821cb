/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Starts a qube-vchan. */
#include "transport/program.h"

#include <stdio.h>

int qube__vchan_spawn(struct qube__child *out, const struct qube__vchan *v, const int fds[2])
{
	char peer[16];
	char port[16];
	char ring[16];
	char wait[16];
	char ids[32];
	const char *const argv[] = { "qube-vchan",
				     v->server ? "--server" : "--client",
				     "--peer",
				     peer,
				     "--port",
				     port,
				     "--ring",
				     ring,
				     "--wait",
				     wait,
				     v->jail ? "--jail" : NULL,
				     ids,
				     NULL };
	/* One that could be taken over has nowhere to write to but its channel. */
	const int given[] = { -1, -1, v->jail ? -1 : 2, fds[0], fds[1] };
	struct qube__spawn s = {
		.path = v->path,
		.exec_fd = -1,
		.argv = argv,
		.envp = v->env,
		.fds = given,
		.n_fds = sizeof(given) / sizeof(given[0]),
		.flags = QUBE__SPAWN_SETSID,
	};

	snprintf(peer, sizeof(peer), "%u", v->peer);
	snprintf(port, sizeof(port), "%u", v->port);
	snprintf(ring, sizeof(ring), "%u", v->ring);
	snprintf(wait, sizeof(wait), "%u", v->wait_s);
	snprintf(ids, sizeof(ids), "%u:%u", v->uid, v->gid);
	return qube__spawn(out, &s);
}
