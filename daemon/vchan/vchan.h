/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-vchan: one channel to another domain, as a pair of descriptors to everybody else. It is a
 * process of its own, so that a ring which the peer corrupts, or a peer that never comes, is the
 * channel's own trouble; and so that on the host nothing but it maps what a guest shares. */
#ifndef QUBE_VCHAN_H
#define QUBE_VCHAN_H

#include "event/loop.h"
#include "transport/transport.h"

#include <stdbool.h>
#include <stdint.h>

/* Exit codes: who started it learns from them what a message on stderr tells a person. */
enum {
	VCHAN_OVER = 0, /* either side closed it */
	VCHAN_USAGE = 2,
	VCHAN_NOT_HERE = 3, /* no Xen, or no right to use it */
	VCHAN_LATE = 4,	    /* the peer did not come in time */
	VCHAN_LEFT = 5,	    /* who started it went away before */
	VCHAN_FAILED = 6,
};

struct vchan_opts {
	bool server;
	uint32_t peer; /* domain */
	uint32_t port;
	uint32_t ring; /* bytes of each ring at least; the server decides */
	int wait_ms;   /* for the peer; -1: for ever */
	int local;     /* its hang-up ends the waiting; or -1 */
	int gone_fd;   /* and so does this one, when it can be read; or -1 */
};

/* wait.c */
enum { VCHAN_LEFT_MS = 10000 };
struct vchan_wait {
	uint64_t begin;
	uint64_t end;
	int local;
	int gone_fd;
	bool server;
};
void vchan_wait_begin(struct vchan_wait *w, const struct vchan_opts *o);
/* 0: fd may be used, or some time has passed (step_ms, -1: much); else VCHAN_*. */
int vchan_wait_for(struct vchan_wait *w, int fd, int step_ms);

/* xen.c: connects, and is connected when it returns: 0 or VCHAN_*. */
int vchan_xen_open(struct qube__transport **out, const struct vchan_opts *o);
uint32_t vchan_xen_bell(void); /* the device's request that tells the peer */
/* socket.c: the same over sockets, for tests and systems without Xen: $VCHAN_SOCKET_DIR has a
 * socket vchan.SERVER.CLIENT.PORT.sock for each channel; $VCHAN_DOMAIN is who this is. */
int vchan_socket_open(struct qube__transport **out, const struct vchan_opts *o, const char *dir);

/* pump.c: until one side has ended. local is what is read from and written to. */
struct vchan_pump {
	struct qube__loop *loop;
	struct qube__transport *peer;
	struct qube__transport *local;
	size_t buffer;	    /* bytes each way at most, while there are some */
	uint32_t linger_ms; /* for a peer that does not read, after the local side is gone */
	int gone_fd; /* readable: the peer's domain is no more, which no channel tells; or -1 */
};
int vchan_pump(const struct vchan_pump *p);

#endif
