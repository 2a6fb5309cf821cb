/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A transport over libxenvchan: a ring in memory that both domains write to. Linked by qube-vchan
 * alone. The descriptor says "something changed since the last wait", not "readable": it is waited
 * for (ack) only after it fired, and then all is tried until nothing moves. */
#include "transport/transport.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <libxenvchan.h>
#include <limits.h>
#include <sys/epoll.h>

struct vchan_transport {
	struct qube__transport base;
	struct libxenvchan *chan;
};

static struct libxenvchan *chan_of(struct qube__transport *t)
{
	return ((struct vchan_transport *)(void *)t)->chan;
}

/* libxenvchan never reads or writes outside of a ring, but of one whose indices make no sense it
 * says "empty" for ever. Who wrote them so has ended the channel. */
static bool is_sane(const struct libxenvchan_ring *ring)
{
	const volatile struct ring_shared *shared = ring->shr;
	uint32_t prod = shared->prod;
	uint32_t cons = shared->cons;

	return prod - cons <= 1u << ring->order;
}

static size_t count(size_t n)
{
	return n > INT_MAX ? INT_MAX : n;
}

static ssize_t outcome(struct libxenvchan *c, int n)
{
	if (n > 0)
		return n;
	return n == 0 && is_sane(&c->read) && is_sane(&c->write) ? QUBE_E_AGAIN : QUBE_E_CLOSED;
}

/* A short count is asked with more room than there was data: the peer will tell of more. */
static ssize_t vchan_recv(struct qube__transport *t, void *buf, size_t cap)
{
	struct libxenvchan *c = chan_of(t);
	int n;

	if (!cap)
		return 0;
	n = libxenvchan_read(c, buf, count(cap));
	/* It looks for data, then whether the peer is there, which wrote and went in between. */
	if (n < 0 && libxenvchan_data_ready(c) > 0)
		n = libxenvchan_read(c, buf, count(cap));
	return outcome(c, n);
}

static ssize_t vchan_send(struct qube__transport *t, const void *buf, size_t len)
{
	return len ? outcome(chan_of(t), libxenvchan_write(chan_of(t), buf, count(len))) : 0;
}

static bool vchan_pending(struct qube__transport *t)
{
	return libxenvchan_data_ready(chan_of(t)) > 0;
}

static void vchan_get_fds(struct qube__transport *t, int *recv_fd, int *send_fd)
{
	*recv_fd = *send_fd = libxenvchan_fd_for_select(chan_of(t));
}

static uint32_t vchan_events(struct qube__transport *t, bool want_write)
{
	(void)t;
	(void)want_write;
	return EPOLLIN;
}

static void vchan_ack(struct qube__transport *t)
{
	libxenvchan_wait(chan_of(t));
}

static void vchan_close(struct qube__transport *t)
{
	libxenvchan_close(chan_of(t));
	free(t);
}

static const struct qube__transport_ops vchan_ops = {
	.name = "vchan",
	.recv = vchan_recv,
	.send = vchan_send,
	.pending = vchan_pending,
	.get_fds = vchan_get_fds,
	.events = vchan_events,
	.ack = vchan_ack,
	.close = vchan_close,
};

int qube__transport_vchan(struct qube__transport **out, struct libxenvchan *chan)
{
	struct vchan_transport *t = malloc(sizeof(*t));

	if (!t) {
		libxenvchan_close(chan);
		return qube__fail_nomem();
	}
	chan->blocking = 0;
	*t = (struct vchan_transport){ { &vchan_ops }, chan };
	*out = &t->base;
	return 0;
}
