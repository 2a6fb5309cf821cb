/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Doors: a client of the socket that asks often hands in each request as one packet, with the
 * connection that it is to be answered on. Neither side then waits for the other to connect, to
 * write and to say that it has written. What is in a packet is a request as on any connection, and
 * as untrusted. */
#include "admin/call.h"
#include "admin/serve.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"

#include <stdlib.h>
#include <sys/socket.h>

enum { DOORS_MAX = 256 };

struct door {
	struct qube__list link; /* host->doors */
	struct qube__source source;
	struct qube__host *host;
	int fd;
	uid_t uid;
	gid_t gid;
};

static void door_close(struct door *d)
{
	qube__source_remove(&d->host->ctx.loop, &d->source);
	qube__list_remove(&d->link);
	d->host->n_doors--;
	qube__close_fd(&d->fd);
	free(d);
}

/* A connection as the one that the door was asked for on, and of the same user. */
static bool is_answerable(const struct door *d, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int domain = 0;
	int type = 0;
	socklen_t n = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM &&
	       getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == d->uid;
}

/* False: the door is of no more use. */
static bool take_packet(struct door *d)
{
	uint8_t untrusted[QUBE__ADMIN_DOOR_MAX];
	int fds[1 + QUBE__CALL_FDS];
	size_t n_fds = 1 + QUBE__CALL_FDS;
	ssize_t n = qube__io_recv_fds(d->fd, untrusted, sizeof(untrusted), fds, &n_fds);

	if (n == QUBE_E_AGAIN)
		return true;
	if (n <= 0 || !n_fds || !is_answerable(d, fds[0])) {
		for (size_t i = 0; n >= 0 && i < n_fds; i++)
			qube__close_fd(&fds[i]);
		return false;
	}
	if (qube__admin_serve_packet(d->host, fds, n_fds, untrusted, (size_t)n, d->uid, d->gid) < 0)
		qube__ctx_log(&d->host->ctx, 5, "a request was dropped: %s",
			      qube_error_last()->message);
	return true;
}

static void on_door(struct qube__source *s, uint32_t revents)
{
	struct door *d = qube__container_of(s, struct door, source);

	(void)revents;
	if (!take_packet(d))
		door_close(d);
}

int qube__m_door(struct qube__admin_call *c)
{
	struct door *d;
	int pair[2];
	int r;

	if (c->host->n_doors >= DOORS_MAX)
		return qube__fail(QUBE_E_LIMIT, "more than %d doors", DOORS_MAX);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return qube__fail_os("cannot make a socket pair");
	d = calloc(1, sizeof(*d));
	r = d ? qube__source_add(&c->host->ctx.loop, &d->source, pair[0], EPOLLIN, on_door) :
		qube__fail_nomem();
	if (r < 0) {
		free(d);
		qube__close_fd(&pair[0]);
		qube__close_fd(&pair[1]);
		return r;
	}
	d->host = c->host;
	d->fd = pair[0];
	d->uid = c->uid;
	d->gid = c->gid;
	c->host->n_doors++;
	qube__list_append(&c->host->doors, &d->link);
	c->give_fd = pair[1];
	return 0;
}

void qube__admin_close_doors(struct qube__host *h)
{
	while (!qube__list_empty(&h->doors))
		door_close(qube__container_of(h->doors.next, struct door, link));
}
