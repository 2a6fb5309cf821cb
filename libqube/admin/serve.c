/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Connections of Admin API clients: one request each, read until the peer closes its side, within a
 * size and a deadline; then the answer. Whoever may connect is the host's equal, yet what it sends
 * is parsed like a stranger's. */
#include "admin/call.h"
#include "admin/serve.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	CONNS_MAX = 512,

	OUT_MAX = QUBE__CALL_REPLY_MAX + 65536,
	STREAM_MAX = 4 << 20, /* events that a slow reader has not taken */
};

struct conn {
	struct qube__admin_call call;
	struct qube__source source;
	struct qube__timer deadline;
	struct qube__posted end;
	struct qube__list link; /* host->conns */
	struct qube__host *host;
	int fd;
	struct qube__buf in;
	struct qube__buf out;
	bool fresh;	/* being accepted: its end is seen there */
	bool running;	/* a method's body is at work and will say when it is done */
	bool done;	/* all that will be sent is in out */
	bool gone;	/* the peer is */
	bool streaming; /* an event was sent: nothing but events may follow */
};

static void conn_free(struct conn *c)
{
	struct qube__host *h = c->host;

	h->n_conns--;
	qube__source_remove(&h->ctx.loop, &c->source);
	qube__timer_stop(&h->ctx.loop, &c->deadline);
	qube__posted_cancel(&c->end);
	qube__list_remove(&c->link);
	if (c->call.op && c->running) {
		struct qube_op_callback none = { 0 };

		qube_op_set_callback(c->call.op, &none);
	}
	qube__admin_call_fini(&c->call);
	qube__buf_fini(&c->in);
	qube__buf_fini(&c->out);
	qube__close_fd(&c->fd);
	free(c);
}

static void on_end(struct qube__posted *p)
{
	conn_free(qube__container_of(p, struct conn, end));
}

/* Frees c from the loop: its callers may still be looking at it. */
static void end(struct conn *c)
{
	c->gone = true;
	qube__source_remove(&c->host->ctx.loop, &c->source);
	/* Now: who waits for the answer's end need not be woken once more for it. */
	qube__close_fd(&c->fd);
	if (!c->fresh)
		qube__post(&c->host->ctx.loop, &c->end);
}

static void on_deadline(struct qube__timer *t)
{
	end(qube__container_of(t, struct conn, deadline));
}

static void flush(struct conn *c)
{
	bool progress = false;

	if (c->gone)
		return;
	while (c->out.len) {
		ssize_t n = qube__io_send_fds(c->fd, qube__buf_data(&c->out), c->out.len,
					      &c->call.give_fd, c->call.give_fd >= 0);

		if (n == QUBE_E_AGAIN)
			break;
		if (n < 0) {
			end(c);
			return;
		}
		qube__close_fd(&c->call.give_fd);
		qube__buf_consume(&c->out, (size_t)n);
		progress = true;
	}
	if (c->out.len && (progress || qube__list_empty(&c->deadline.link)))
		qube__timer_set(&c->host->ctx.loop, &c->deadline,
				qube__now_ms() + c->host->conn_write_ms);
	if (c->out.len) {
		qube__source_set(&c->host->ctx.loop, &c->source, EPOLLOUT);
		return;
	}
	qube__timer_stop(&c->host->ctx.loop, &c->deadline);
	if (c->done)
		end(c);
	else
		qube__source_set(&c->host->ctx.loop, &c->source, 0); /* HUP and ERR remain */
}

static void conn_stream(struct qube__admin_call *call)
{
	struct conn *c = qube__container_of(call, struct conn, call);

	if (c->gone)
		return;
	if (c->out.len + call->reply.len > STREAM_MAX ||
	    qube__buf_append(&c->out, qube__buf_data(&call->reply), call->reply.len) < 0) {
		/* A reader that is too slow loses its stream, not the others theirs. */
		end(c);
		return;
	}
	qube__buf_consume(&call->reply, call->reply.len);
	c->streaming = true;
	flush(c);
}

static void conn_finish(struct qube__admin_call *call, int code)
{
	struct conn *c = qube__container_of(call, struct conn, call);
	int r = 0;

	c->running = false;
	c->done = true;
	if (c->gone)
		return;
	if (c->streaming)
		r = 0;
	else if (code < 0)
		r = qube__wire_admin_fail(&c->out, code, qube_error_last()->detail,
					  qube_error_last()->message);
	else
		r = qube__wire_admin_ok(&c->out, qube__buf_data(&call->reply), call->reply.len);
	if (r < 0)
		end(c);
	else
		flush(c);
}

static uint32_t events_of(const struct conn *c)
{
	if (!c->running && !c->done)
		return EPOLLIN;
	return c->out.len ? EPOLLOUT : 0; /* HUP and ERR are told anyway */
}

static void run(struct conn *c)
{
	struct qube__host *h = c->host;
	int r = qube__wire_admin_request_parse(&c->call.req, qube__buf_data(&c->in), c->in.len);

	qube__timer_stop(&h->ctx.loop, &c->deadline);
	if (r < 0) {
		/* Malformed: closed without a byte (admin-api.md 1). */
		qube__ctx_log(&h->ctx, 5, "dropped a malformed request of %zu bytes", c->in.len);
		end(c);
		return;
	}
	c->running = true;
	r = qube__admin_run(&c->call);
	if (r != 1)
		conn_finish(&c->call, r);
	else if (!c->gone)
		qube__source_set(&h->ctx.loop, &c->source, events_of(c));
}

static int take(struct conn *c)
{
	uint8_t *at;
	int fds[QUBE__CALL_FDS];
	size_t n_fds = QUBE__CALL_FDS;
	ssize_t n;

	if (qube__buf_reserve(&c->in, 4096, &at) < 0)
		return QUBE_E_LIMIT;
	n = qube__io_recv_fds(c->fd, at, 4096, fds, &n_fds);
	if (n < 0)
		return (int)n;
	if (n_fds && c->call.fds[0] >= 0) {
		for (size_t i = 0; i < n_fds; i++)
			close(fds[i]);
		return QUBE_E_PROTO;
	}
	for (size_t i = 0; i < n_fds; i++)
		c->call.fds[i] = fds[i];
	if (n == 0)
		return 0;
	qube__buf_commit(&c->in, (size_t)n);
	return 1;
}

static void on_ready(struct qube__source *s, uint32_t revents)
{
	struct conn *c = qube__container_of(s, struct conn, source);

	if (c->running || c->done) {
		if (revents & (EPOLLHUP | EPOLLERR)) {
			/* The caller is gone. What it started goes on, but a call into a qube
			 * and a stream are nothing without it. */
			if (c->call.op && c->call.op->cancel &&
			    c->call.op->state == QUBE_OP_RUNNING)
				qube_op_cancel(c->call.op);
			end(c);
			return;
		}
		flush(c);
		return;
	}
	for (int i = 0; i < 16; i++) {
		int r = take(c);

		if (r == QUBE_E_AGAIN)
			return;
		if (r < 0) {
			end(c);
			return;
		}
		if (r == 0) {
			run(c);
			return;
		}
	}
	qube__source_again(&c->host->ctx.loop, s);
}

/* fd is transferred, also on failure. */
static struct conn *conn_new(struct qube__host *h, int fd, uid_t uid, gid_t gid)
{
	qube__autofd own = fd;
	struct conn *c;

	if (h->n_conns >= CONNS_MAX) {
		qube__fail(QUBE_E_LIMIT, "more than %d connections", CONNS_MAX);
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		qube__fail_nomem();
		return NULL;
	}
	c->host = h;
	qube__admin_call_init(&c->call, h);
	c->call.uid = uid;
	c->call.gid = gid;
	c->call.from_host = true;
	c->call.finish = conn_finish;
	c->call.stream = conn_stream;
	qube__buf_init(&c->in, QUBE__ADMIN_REQUEST_MAX + 4096);
	qube__buf_init(&c->out, OUT_MAX);
	qube__timer_init(&c->deadline, on_deadline);
	qube__posted_init(&c->end, on_end);
	c->fd = qube__steal_fd(&own);
	h->n_conns++;
	qube__list_append(&h->conns, &c->link);
	return c;
}

/* Most requests are answered without a turn of the loop; what is not over then is watched. */
static int conn_begin(struct conn *c)
{
	struct qube__host *h = c->host;
	int r;

	c->fresh = false;
	if (c->gone) {
		conn_free(c);
		return 0;
	}
	r = qube__source_add(&h->ctx.loop, &c->source, c->fd, events_of(c), on_ready);
	if (r < 0) {
		conn_free(c);
		return r;
	}
	if (!c->running && !c->done)
		qube__timer_set(&h->ctx.loop, &c->deadline, qube__now_ms() + h->conn_read_ms);
	return 0;
}

int qube__admin_serve(struct qube__host *h, int fd)
{
	qube__autofd own = fd;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	struct conn *c;

	if (getsockopt(own, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return qube__fail_os("cannot tell who calls");
	c = conn_new(h, qube__steal_fd(&own), peer.uid, peer.gid);
	if (!c)
		return qube_error_last()->code;
	c->fresh = true;
	on_ready(&c->source, 0);
	return conn_begin(c);
}

int qube__admin_serve_packet(struct qube__host *h, const int *fds, size_t n_fds,
			     const void *untrusted, size_t len, uid_t uid, gid_t gid)
{
	struct conn *c = conn_new(h, fds[0], uid, gid);

	for (size_t i = 1; i < n_fds; i++) {
		int fd = fds[i];

		if (c)
			c->call.fds[i - 1] = fd;
		else
			qube__close_fd(&fd);
	}
	if (!c)
		return qube_error_last()->code;
	c->fresh = true;
	if (qube__buf_append(&c->in, untrusted, len) < 0)
		end(c);
	else
		run(c);
	return conn_begin(c);
}

void qube__admin_close(struct qube__host *h)
{
	qube__admin_close_doors(h);
	while (!qube__list_empty(&h->conns))
		conn_free(qube__container_of(h->conns.next, struct conn, link));
}
