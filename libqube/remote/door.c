/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The way in for those who ask often (admin/door.c): a request is one packet with the connection
 * that it is answered on. Whoever asks a few times connects each time, as to any host. */
#include "remote/request.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum {
	FDS_MAX = 4,
	ASKED = 4,	    /* times, before a door is worth its own request */
	PATIENCE_MS = 1000, /* of a host that does not answer a connection is as slow */
};

int qube__remote_enter(int *out_fd, struct qube__remote *r, struct qube__buf *request,
		       const int *fds, size_t n)
{
	int all[FDS_MAX];
	int pair[2];
	ssize_t sent;

	if (r->door < 0 || request->len > QUBE__ADMIN_DOOR_MAX || n >= FDS_MAX ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 0;
	all[0] = pair[1];
	for (size_t i = 0; i < n; i++)
		all[i + 1] = fds[i];
	sent = qube__io_send_fds(r->door, qube__buf_data(request), request->len, all, n + 1);
	qube__close_fd(&pair[1]);
	if (sent == (ssize_t)request->len) {
		*out_fd = pair[0];
		return 1;
	}
	qube__close_fd(&pair[0]);
	/* The host is gone, and another one may be there by now. */
	if (sent != QUBE_E_AGAIN) {
		qube__close_fd(&r->door);
		r->asked = 0;
	}
	return 0;
}

/* The answer is an empty one, with the door. -1: another answer, or none. */
static int read_door(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int door[1] = { -1 };
	size_t n = 1;
	char answer[512];
	ssize_t len = 0;

	if (poll(&p, 1, PATIENCE_MS) == 1)
		len = qube__io_recv_fds(fd, answer, sizeof(answer), door, &n);
	if (!n || door[0] < 0)
		return -1;
	if (len < 2 || memcmp(answer, "0", 2) != 0)
		qube__close_fd(&door[0]);
	return door[0];
}

void qube__remote_find_door(qube_ctx *ctx)
{
	struct qube__remote *r = qube__remote_of(ctx);
	qube__autofd fd = -1;

	if (r->door >= 0 || r->no_door || r->asked++ < ASKED)
		return;
	/* Also while it is asked for. */
	r->no_door = true;
	if (qube__remote_send(&fd, ctx, "qube.Door", NULL, "dom0", NULL, 0, NULL, 0) < 0) {
		r->no_door = false;
		r->asked = 0;
		return;
	}
	r->door = read_door(fd);
	r->no_door = r->door < 0;
}
