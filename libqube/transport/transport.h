/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A byte stream to one peer: two pipes, a socket, or memory. What arrives is untrusted. */
#ifndef QUBE_TRANSPORT_TRANSPORT_H
#define QUBE_TRANSPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct qube__transport;

/* Non-blocking. recv and send return a count or QUBE_E_AGAIN, QUBE_E_CLOSED, QUBE_E_SYSTEM; the end
 * of the stream is QUBE_E_CLOSED, never 0. All members but the two marked so are mandatory. */
struct qube__transport_ops {
	const char *name;
	ssize_t (*recv)(struct qube__transport *t, void *buf, size_t cap);
	ssize_t (*send)(struct qube__transport *t, const void *buf, size_t len);
	/* Data is ready though the descriptor may stay silent. */
	bool (*pending)(struct qube__transport *t);
	/* Equal, or two for pipes. Borrowed. */
	void (*get_fds)(struct qube__transport *t, int *recv_fd, int *send_fd);
	/* Optional: the host's end of a local control channel alone. */
	ssize_t (*send_fds)(struct qube__transport *t, const void *buf, size_t len, const int *fds,
			    size_t n);
	/* Optional: the guest's end alone. The host's end has none, so a guest can hand over
	 * nothing: without a control buffer the kernel drops what was attached. As
	 * qube__io_recv_fds(). */
	ssize_t (*recv_fds)(struct qube__transport *t, void *buf, size_t cap, int *fds, size_t *n);
	/* The epoll mask for the receiving descriptor. */
	uint32_t (*events)(struct qube__transport *t, bool want_write);
	void (*ack)(struct qube__transport *t); /* the descriptor fired */
	/* Optional: pipes alone. The peer reads the end; nothing is sent any more. */
	void (*end)(struct qube__transport *t);
	void (*close)(struct qube__transport *t); /* releases t */
};

struct qube__transport {
	const struct qube__transport_ops *ops;
};

/* Descriptors are transferred, also on failure, and made non-blocking. recv_fd may be -1: nothing
 * is received then. */
int qube__transport_pipe(struct qube__transport **out, int recv_fd, int send_fd);
/* The host's end: sends descriptors and can receive none. */
int qube__transport_socket_host(struct qube__transport **out, int fd);
/* The guest's end: receives descriptors and can send none. */
int qube__transport_socket_guest(struct qube__transport **out, int fd);
/* A connected libxenvchan, transferred also on failure. Not in the library: qube-vchan links it. */
struct libxenvchan;
int qube__transport_vchan(struct qube__transport **out, struct libxenvchan *chan);
/* Two ends in memory; cap bytes are held each way. For tests, on one thread. */
int qube__transport_mem(struct qube__transport *out[2], size_t cap);

/* A channel between two qubes: pipe ends for one side and for the other, close-on-exec. Each array:
 * descriptor to read from, descriptor to write to. */
int qube__transport_channel(int one[2], int other[2]);
/* For who found its channel full: makes it 1 MiB, which most calls never need. False: it stays as
 * it is, as one does that the host made smaller. */
bool qube__transport_channel_grow(int send_fd);

static inline void qube__transport_close(struct qube__transport *t)
{
	if (t)
		t->ops->close(t);
}

#endif
