/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Transports over descriptors: a pair of pipes, and either end of a UNIX stream socket. */
#include "transport/transport.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { CHANNEL_BYTES = 1 << 20, CHANNEL_FIRST = 64 * 1024 };

struct fd_transport {
	struct qube__transport base;
	int recv_fd;
	int send_fd; /* the same for a socket */
};

static struct fd_transport *self(struct qube__transport *t)
{
	return (struct fd_transport *)(void *)t;
}

static ssize_t pipe_recv(struct qube__transport *t, void *buf, size_t cap)
{
	ssize_t n = qube__io_read(self(t)->recv_fd, buf, cap);

	return n == 0 && cap ? QUBE_E_CLOSED : n;
}

static ssize_t pipe_send(struct qube__transport *t, const void *buf, size_t len)
{
	return qube__io_write(self(t)->send_fd, buf, len);
}

static ssize_t code(ssize_t n)
{
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return QUBE_E_AGAIN;
	return errno == EPIPE || errno == ECONNRESET ? QUBE_E_CLOSED : QUBE_E_SYSTEM;
}

static ssize_t sock_recv(struct qube__transport *t, void *buf, size_t cap)
{
	ssize_t n;

	do
		n = recv(self(t)->recv_fd, buf, cap, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n == 0 && cap ? QUBE_E_CLOSED : code(n);
}

static ssize_t sock_send(struct qube__transport *t, const void *buf, size_t len)
{
	ssize_t n;

	do
		n = send(self(t)->send_fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return code(n);
}

static ssize_t sock_send_fds(struct qube__transport *t, const void *buf, size_t len, const int *fds,
			     size_t n)
{
	return qube__io_send_fds(self(t)->send_fd, buf, len, fds, n);
}

static ssize_t sock_recv_fds(struct qube__transport *t, void *buf, size_t cap, int *fds, size_t *n)
{
	ssize_t got = qube__io_recv_fds(self(t)->recv_fd, buf, cap, fds, n);

	if (got != 0)
		return got;
	for (size_t i = 0; i < *n; i++)
		qube__close_fd(&fds[i]);
	*n = 0;
	return QUBE_E_CLOSED;
}

static bool never_pending(struct qube__transport *t)
{
	(void)t;
	return false;
}

static void get_fds(struct qube__transport *t, int *recv_fd, int *send_fd)
{
	*recv_fd = self(t)->recv_fd;
	*send_fd = self(t)->send_fd;
}

static uint32_t events(struct qube__transport *t, bool want_write)
{
	bool both = self(t)->recv_fd == self(t)->send_fd;

	return EPOLLIN | (want_write && both ? (uint32_t)EPOLLOUT : 0);
}

static void ack(struct qube__transport *t)
{
	(void)t;
}

static void close_both(struct qube__transport *t)
{
	struct fd_transport *f = self(t);

	if (f->send_fd != f->recv_fd)
		qube__close_fd(&f->send_fd);
	qube__close_fd(&f->recv_fd);
	free(f);
}

static void pipe_end(struct qube__transport *t)
{
	qube__close_fd(&self(t)->send_fd);
}

static const struct qube__transport_ops pipe_ops = {
	.name = "pipe",
	.recv = pipe_recv,
	.send = pipe_send,
	.pending = never_pending,
	.get_fds = get_fds,
	.events = events,
	.ack = ack,
	.end = pipe_end,
	.close = close_both,
};

static const struct qube__transport_ops host_ops = {
	.name = "socket",
	.recv = sock_recv,
	.send = sock_send,
	.pending = never_pending,
	.get_fds = get_fds,
	.send_fds = sock_send_fds,
	.events = events,
	.ack = ack,
	.close = close_both,
};

static const struct qube__transport_ops guest_ops = {
	.name = "socket",
	.recv = sock_recv,
	.send = sock_send,
	.pending = never_pending,
	.get_fds = get_fds,
	.recv_fds = sock_recv_fds,
	.events = events,
	.ack = ack,
	.close = close_both,
};

/* Of a pipe's end no other flag can be set that matters: it need not be asked for them. */
static int pipe_nonblock(int fd)
{
	return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? qube__fail_os("cannot use a pipe") : 0;
}

static int open_fds(struct qube__transport **out, const struct qube__transport_ops *ops,
		    int recv_fd, int send_fd)
{
	int (*nonblock)(int fd) = ops == &pipe_ops ? pipe_nonblock : qube__io_nonblock;
	struct fd_transport *f = malloc(sizeof(*f));
	int r = f ? 0 : qube__fail_nomem();

	if (r == 0 && recv_fd >= 0)
		r = nonblock(recv_fd);
	if (r == 0)
		r = nonblock(send_fd);
	if (r < 0) {
		free(f);
		if (send_fd != recv_fd)
			qube__close_fd(&send_fd);
		qube__close_fd(&recv_fd);
		return r;
	}
	*f = (struct fd_transport){ { ops }, recv_fd, send_fd };
	*out = &f->base;
	return 0;
}

int qube__transport_pipe(struct qube__transport **out, int recv_fd, int send_fd)
{
	return open_fds(out, &pipe_ops, recv_fd, send_fd);
}

int qube__transport_socket_host(struct qube__transport **out, int fd)
{
	return open_fds(out, &host_ops, fd, fd);
}

int qube__transport_socket_guest(struct qube__transport **out, int fd)
{
	return open_fds(out, &guest_ops, fd, fd);
}

int qube__transport_channel(int one[2], int other[2])
{
	int there[2];
	int back[2];

	/* Blocking: the two ends are descriptions of their own and each side sets what it needs. */
	if (pipe2(there, O_CLOEXEC) < 0)
		return qube__fail_os("cannot make a channel");
	if (pipe2(back, O_CLOEXEC) < 0) {
		qube__close_fd(&there[0]);
		qube__close_fd(&there[1]);
		return qube__fail_os("cannot make a channel");
	}
	/* Who has one as /dev/stdin may open it by that name, in whatever qube and as whatever
	 * user. */
	fchmod(there[0], 0666);
	fchmod(back[0], 0666);
	one[0] = back[0];
	one[1] = there[1];
	other[0] = there[0];
	other[1] = back[1];
	return 0;
}

bool qube__transport_channel_grow(int send_fd)
{
	/* Refused past the user's soft limit; the channel is then only slower. */
	return fcntl(send_fd, F_GETPIPE_SZ) >= CHANNEL_FIRST &&
	       fcntl(send_fd, F_SETPIPE_SZ, CHANNEL_BYTES) > 0;
}
