/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A transport in memory: two bounded queues and an eventfd an end, which stays readable while there
 * is something to receive (or the peer closed). */
#include "transport/transport.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

struct mem_transport {
	struct qube__transport base;
	struct mem_transport *peer; /* NULL: closed */
	struct qube__buf in;
	int fd;
};

static struct mem_transport *self(struct qube__transport *t)
{
	return (struct mem_transport *)(void *)t;
}

static void update(struct mem_transport *m)
{
	eventfd_t ignored;

	if (m->in.len || !m->peer)
		eventfd_write(m->fd, 1);
	else
		eventfd_read(m->fd, &ignored);
}

static ssize_t mem_recv(struct qube__transport *t, void *buf, size_t cap)
{
	struct mem_transport *m = self(t);
	size_t n = m->in.len < cap ? m->in.len : cap;

	if (!m->in.len)
		return m->peer ? QUBE_E_AGAIN : QUBE_E_CLOSED;
	memcpy(buf, qube__buf_data(&m->in), n);
	qube__buf_consume(&m->in, n);
	update(m);
	return (ssize_t)n;
}

static ssize_t mem_send(struct qube__transport *t, const void *buf, size_t len)
{
	struct mem_transport *m = self(t);
	size_t room;

	if (!m->peer)
		return QUBE_E_CLOSED;
	room = m->peer->in.max - m->peer->in.len;
	if (len > room)
		len = room;
	if (!len)
		return QUBE_E_AGAIN;
	if (qube__buf_append(&m->peer->in, buf, len) < 0)
		return QUBE_E_AGAIN;
	update(m->peer);
	return (ssize_t)len;
}

static bool mem_pending(struct qube__transport *t)
{
	return self(t)->in.len != 0;
}

static void mem_get_fds(struct qube__transport *t, int *recv_fd, int *send_fd)
{
	*recv_fd = *send_fd = self(t)->fd;
}

/* An eventfd is always writable; room for sending is not signalled, tests ask again. */
static uint32_t mem_events(struct qube__transport *t, bool want_write)
{
	(void)t;
	return EPOLLIN | (want_write ? (uint32_t)EPOLLOUT : 0);
}

static void mem_ack(struct qube__transport *t)
{
	(void)t;
}

static void mem_close(struct qube__transport *t)
{
	struct mem_transport *m = self(t);

	if (m->peer) {
		m->peer->peer = NULL;
		update(m->peer);
	}
	qube__buf_fini(&m->in);
	qube__close_fd(&m->fd);
	free(m);
}

static const struct qube__transport_ops mem_ops = {
	.name = "mem",
	.recv = mem_recv,
	.send = mem_send,
	.pending = mem_pending,
	.get_fds = mem_get_fds,
	.events = mem_events,
	.ack = mem_ack,
	.close = mem_close,
};

int qube__transport_mem(struct qube__transport *out[2], size_t cap)
{
	struct mem_transport *m[2] = { NULL, NULL };

	for (int i = 0; i < 2; i++) {
		m[i] = calloc(1, sizeof(*m[i]));
		if (m[i])
			m[i]->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (!m[i] || m[i]->fd < 0) {
			free(m[i]);
			if (i)
				mem_close(&m[0]->base);
			return qube__fail_nomem();
		}
		m[i]->base.ops = &mem_ops;
		qube__buf_init(&m[i]->in, cap);
	}
	m[0]->peer = m[1];
	m[1]->peer = m[0];
	out[0] = &m[0]->base;
	out[1] = &m[1]->base;
	return 0;
}
