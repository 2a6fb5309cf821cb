/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One guest's control channel. Everything received is untrusted; whatever breaks the protocol ends
 * this guest's session and no other. */
#include "rpc/broker_int.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

enum {
	FRAMES_A_TURN = 32,
	READ_AT_ONCE = 16 * 1024,
	RX_MAX = QUBE__QREXEC_HEADER + QUBE__QREXEC_CONTROL_MAX,
	/* A guest that leaves so much unread is not read from. */
	TX_HIGH = 64 * 1024,
	RETRY_MS = 20,
	FDS_MAX = 1024,
};

/* One outgoing message; its descriptors leave with its first byte. */
struct message {
	struct qube__list link;
	size_t len;
	size_t sent;
	size_t n_fds;
	int fds[2];
	uint8_t data[];
};

struct bguest *qube__bguest_find(struct qube__broker *b, uint32_t id)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &b->guests) {
		struct bguest *g = qube__container_of(pos, struct bguest, link);

		if (g->id == id)
			return g;
	}
	return NULL;
}

static void message_free(struct bguest *g, struct message *m)
{
	qube__list_remove(&m->link);
	for (size_t i = 0; i < m->n_fds; i++)
		qube__close_fd(&m->fds[i]);
	qube__quota_release(&g->quota, QUBE__Q_BYTES, m->len + sizeof(*m));
	qube__quota_release(&g->quota, QUBE__Q_FDS, m->n_fds);
	g->tx_bytes -= m->len;
	free(m);
}

void qube__bguest_watch(struct bguest *g)
{
	bool reading = g->tx_bytes <= TX_HIGH && !qube__broker_is_backed_up(g->b);
	bool writing = !qube__list_empty(&g->tx) && !g->tx_retrying;

	if (g->dead)
		return;
	qube__source_set(g->b->loop, &g->src,
			 (reading ? (uint32_t)EPOLLIN : 0) | (writing ? (uint32_t)EPOLLOUT : 0));
}

/* Sends what the socket takes. `told`: the loop said that it is writable. */
static void transmit(struct bguest *g, bool told)
{
	while (!qube__list_empty(&g->tx)) {
		struct message *m = qube__container_of(g->tx.next, struct message, link);
		ssize_t n = g->t->ops->send_fds(g->t, m->data + m->sent, m->len - m->sent, m->fds,
						m->n_fds);

		/* Too many descriptors in flight looks like a full socket, but no event will tell.
		 */
		if (n == QUBE_E_AGAIN && told && m->n_fds) {
			g->tx_retrying = true;
			qube__timer_set(g->b->loop, &g->retry, qube__now_ms() + RETRY_MS);
		}
		if (n == QUBE_E_AGAIN)
			break;
		/* Outside of the guest's own turn the caller still holds its calls: the loop will
		 * report the broken socket, and then the session ends. */
		if (n < 0 && !told)
			break;
		if (n < 0) {
			qube__bguest_end(g, "the control channel is closed");
			return;
		}
		m->sent += (size_t)n;
		qube__quota_release(&g->quota, QUBE__Q_FDS, m->n_fds);
		for (; m->n_fds; m->n_fds--)
			qube__close_fd(&m->fds[m->n_fds - 1]);
		if (m->sent < m->len)
			break;
		message_free(g, m);
	}
	qube__bguest_watch(g);
}

static void on_retry(struct qube__timer *t)
{
	struct bguest *g = qube__container_of(t, struct bguest, retry);

	g->tx_retrying = false;
	transmit(g, true);
}

static int queue(struct bguest *g, const void *data, size_t len, const int *fds, size_t n)
{
	struct message *m;

	if (g->dead)
		return QUBE_E_CLOSED;
	if (qube__quota_charge(&g->quota, QUBE__Q_BYTES, len + sizeof(*m)) < 0)
		return QUBE_E_LIMIT;
	if (qube__quota_charge(&g->quota, QUBE__Q_FDS, n) < 0) {
		qube__quota_release(&g->quota, QUBE__Q_BYTES, len + sizeof(*m));
		return QUBE_E_LIMIT;
	}
	m = malloc(sizeof(*m) + len);
	if (!m) {
		qube__quota_release(&g->quota, QUBE__Q_BYTES, len + sizeof(*m));
		qube__quota_release(&g->quota, QUBE__Q_FDS, n);
		return QUBE_E_NOMEM;
	}
	m->len = len;
	m->sent = 0;
	m->n_fds = n;
	memcpy(m->data, data, len);
	for (size_t i = 0; i < n; i++)
		m->fds[i] = fds[i];
	qube__list_append(&g->tx, &m->link);
	g->tx_bytes += len;
	return 0;
}

int qube__bguest_send(struct bguest *g, const void *data, size_t len, const int *fds, size_t n)
{
	bool idle = qube__list_empty(&g->tx);
	int r = queue(g, data, len, fds, n);

	if (r < 0) {
		for (size_t i = 0; i < n; i++) {
			int fd = fds[i];

			qube__close_fd(&fd);
		}
		return r;
	}
	if (idle)
		transmit(g, false);
	return 0;
}

void qube__bguest_refuse(struct bguest *g, const uint8_t ident[QUBE__QREXEC_IDENT])
{
	uint8_t out[QUBE__QREXEC_HEADER + QUBE__QREXEC_IDENT];
	int n = qube__qrexec_refused_put(out, sizeof(out), ident);

	if (qube__bguest_send(g, out, (size_t)n, NULL, 0) < 0)
		qube__bguest_end(g, "too much is queued for the guest");
}

void qube__bguest_tell_gone(struct bguest *g, uint32_t qid)
{
	uint8_t out[QUBE__QREXEC_HEADER + QUBE__QREXEC_PARAMS];
	int n = qube__qrexec_params_put(out, sizeof(out), QUBE__QREXEC_PEER_GONE, qid, 0, NULL);

	if (g->dead || !g->vchan || !g->tells_calls || g->state != QUBE__QREXEC_AT_WORK)
		return;
	if (qube__bguest_send(g, out, (size_t)n, NULL, 0) < 0)
		qube__bguest_end(g, "too much is queued for the guest");
}

void qube__brequest_free(struct bguest *g, struct brequest *q)
{
	qube__list_remove(&q->link);
	qube__quota_release(&g->quota, QUBE__Q_BYTES, q->cost);
	g->n_requests--;
	free(q);
}

static struct brequest *request_create(struct bguest *g, const struct qube__qrexec_trigger *t)
{
	size_t cost = sizeof(struct brequest) + t->service_len + 1;
	struct brequest *q;

	if (g->n_requests >= g->b->limits.pending_max ||
	    qube__quota_charge(&g->quota, QUBE__Q_BYTES, cost) < 0)
		return NULL;
	q = calloc(1, cost);
	if (!q) {
		qube__quota_release(&g->quota, QUBE__Q_BYTES, cost);
		return NULL;
	}
	q->cost = cost;
	q->id = (uint64_t)g->id << 32 | ++g->b->next_request;
	memcpy(q->ident, t->ident, sizeof(q->ident));
	memcpy(q->target, t->target, sizeof(q->target));
	memcpy(q->service, t->service, t->service_len + 1);
	qube__list_append(&g->requests, &q->link);
	g->n_requests++;
	return q;
}

static int on_trigger(struct bguest *g, uint32_t type, const uint8_t *payload, size_t len)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_DECIDE };
	struct qube__qrexec_trigger t;
	struct brequest *q = NULL;
	char name[QUBE__QREXEC_NAME_MAX + 1];
	const char *plus;
	size_t name_len;

	if (qube__qrexec_trigger_parse(&t, type, payload, len) < 0)
		return QUBE_E_PROTO;
	if (!t.refusal)
		q = request_create(g, &t);
	if (!q) {
		qube__bguest_refuse(g, t.ident);
		return 0;
	}
	plus = strchr(q->service, '+');
	name_len = plus ? (size_t)(plus - q->service) : strlen(q->service);
	memcpy(name, q->service, name_len);
	name[name_len] = '\0';
	m.decide.request = q->id;
	m.decide.guest = g->id;
	m.decide.target = t.target;
	m.decide.source = t.source;
	m.decide.service = name;
	m.decide.argument = plus ? plus + 1 : "";
	m.decide.has_argument = plus != NULL;
	qube__broker_tell(g->b, &m);
	return 0;
}

static void is_up(struct bguest *g, uint32_t calls)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_GUEST_UP };

	m.guest_up.guest = g->id;
	m.guest_up.version = g->version;
	m.guest_up.calls = calls;
	qube__broker_tell(g->b, &m);
}

static int on_hello(struct bguest *g, const uint8_t *payload, size_t len)
{
	uint8_t out[2 * QUBE__QREXEC_HEADER + 4];
	uint32_t flags = 0;
	int n;

	if (qube__qrexec_hello_parse(&g->version, payload, len) < 0)
		return QUBE_E_PROTO;
	/* Only an agent of ours: another one may mean something else by such a number. */
	if (g->tells_calls)
		flags = qube__qrexec_hello_flags(payload, len);
	g->tells_calls = flags != 0;
	g->plain = !g->vchan && (flags & QUBE__QREXEC_HELLO_PLAIN);
	g->takes_unwanted = flags & QUBE__QREXEC_HELLO_UNWANTED;
	n = qube__qrexec_hello_put(out, sizeof(out), g->version);
	if (g->tells_calls) {
		qube__qrexec_header_put(out + n, QUBE__QREXEC_CALLS_ASK, 0);
		n += QUBE__QREXEC_HEADER;
	}
	if (qube__bguest_send(g, out, (size_t)n, NULL, 0) < 0)
		return QUBE_E_LIMIT;
	g->state = QUBE__QREXEC_AT_WORK;
	g->waiting = g->tells_calls;
	if (!g->waiting)
		is_up(g, 0);
	return 0;
}

static int on_calls(struct bguest *g, const uint8_t *payload, size_t len)
{
	uint32_t served = 0;

	if (!g->waiting)
		return QUBE_E_PROTO; /* nobody asked */
	for (size_t i = 0; i < len / QUBE__QREXEC_CALL; i++) {
		uint32_t domain;
		uint32_t port;
		bool caller;

		if (qube__qrexec_call_parse(&domain, &port, &caller, i, payload, len) < 0)
			return QUBE_E_PROTO;
		if (qube__bcall_resume(g, domain, port, caller) < 0)
			return QUBE_E_LIMIT;
		served += domain && !caller;
	}
	g->waiting = false;
	is_up(g, served);
	return 0;
}

static int on_message(struct bguest *g, uint32_t type, const uint8_t *payload, size_t len)
{
	struct qube__qrexec_params p;

	switch (type) {
	case QUBE__QREXEC_HELLO:
		return on_hello(g, payload, len);
	case QUBE__QREXEC_CALLS:
		return on_calls(g, payload, len);
	case QUBE__QREXEC_CONNECTION_TERMINATED:
		if (qube__qrexec_params_parse(&p, false, payload, len) < 0 ||
		    p.port < QUBE__QREXEC_PORT_FIRST || p.port > QUBE__QREXEC_PORT_LAST)
			return QUBE_E_PROTO;
		qube__bcall_terminated(g, p.domain, p.port);
		return 0;
	default:
		return on_trigger(g, type, payload, len);
	}
}

/* Takes one whole message out of what was received. 1: taken, 0: incomplete, or an error. */
static int take_message(struct bguest *g)
{
	const uint8_t *p = qube__buf_data(&g->rx);
	struct qube__qrexec_header h;
	int r = qube__qrexec_frame(&h, QUBE__QREXEC_HOST, g->state, g->version, p, g->rx.len);

	if (r <= 0)
		return r;
	r = on_message(g, h.type, p + QUBE__QREXEC_HEADER, h.len);
	if (r < 0)
		return r;
	if (g->dead)
		return 0;
	qube__buf_consume(&g->rx, QUBE__QREXEC_HEADER + h.len);
	return 1;
}

static void set_deadline(struct bguest *g, bool complete)
{
	bool armed = !qube__list_empty(&g->deadline.link);

	if (g->state == QUBE__QREXEC_AT_HELLO)
		return;
	if (!g->rx.len) {
		qube__timer_stop(g->b->loop, &g->deadline);
		qube__buf_fini(&g->rx);
	} else if (complete || !armed) {
		/* Counted from the message's first byte, so that trickling does not help. */
		qube__timer_set(g->b->loop, &g->deadline, qube__now_ms() + g->b->limits.frame_ms);
	}
}

static void parse_turn(struct bguest *g)
{
	bool complete = false;
	int r = 1;

	for (int n = 0; n < FRAMES_A_TURN && r > 0; n++) {
		/* What waits for the guest, or for core, holds back what it sends. */
		if (g->tx_bytes > TX_HIGH || qube__broker_is_backed_up(g->b))
			break;
		r = take_message(g);
		if (g->dead)
			return;
		complete = complete || r > 0;
	}
	if (r < 0) {
		qube__bguest_end(g, "it broke the protocol");
		return;
	}
	set_deadline(g, complete);
	if (r > 0)
		qube__source_again(g->b->loop, &g->src);
	qube__bguest_watch(g);
}

static void receive(struct bguest *g)
{
	size_t room = g->rx.max - g->rx.len;
	uint8_t *at;
	ssize_t n;

	if (room > READ_AT_ONCE)
		room = READ_AT_ONCE;
	if (!room)
		return;
	if (qube__buf_reserve(&g->rx, room, &at) < 0) {
		qube__bguest_end(g, "no memory for its messages");
		return;
	}
	n = g->t->ops->recv(g->t, at, room);
	if (n == QUBE_E_AGAIN)
		return;
	if (n < 0)
		qube__bguest_end(g, "the control channel is closed");
	else
		qube__buf_commit(&g->rx, (size_t)n);
}

static void on_guest(struct qube__source *s, uint32_t revents)
{
	struct bguest *g = qube__container_of(s, struct bguest, src);

	g->t->ops->ack(g->t);
	if (revents & EPOLLOUT)
		transmit(g, true);
	if (!g->dead && (revents & EPOLLIN))
		receive(g);
	else if (!g->dead && (revents & (EPOLLHUP | EPOLLERR)))
		qube__bguest_end(g, "the control channel is closed");
	if (!g->dead)
		parse_turn(g);
}

static void on_deadline(struct qube__timer *t)
{
	struct bguest *g = qube__container_of(t, struct bguest, deadline);

	if (g->state == QUBE__QREXEC_AT_HELLO) {
		qube__bguest_end(g, "it said no hello in time");
		return;
	}
	/* Not its fault when we are the ones who stopped reading. */
	if (g->tx_bytes > TX_HIGH || qube__broker_is_backed_up(g->b)) {
		qube__timer_set(g->b->loop, t, qube__now_ms() + g->b->limits.frame_ms);
		return;
	}
	qube__bguest_end(g, "it left a message unfinished");
}

int qube__bguest_create(struct qube__broker *b, const struct qube__rpc_guest_add *add, int fd)
{
	struct bguest *g = NULL;
	struct qube__transport *t;
	int send_fd;
	int r;

	r = qube__transport_socket_host(&t, fd);
	if (r < 0)
		return r;
	g = calloc(1, sizeof(*g));
	if (!g || qube__bguest_find(b, add->guest)) {
		qube__transport_close(t);
		free(g);
		return QUBE_E_EXISTS;
	}
	g->b = b;
	g->t = t;
	g->id = add->guest;
	g->qid = add->qid;
	g->tells_calls = add->tells_calls;
	g->vchan = add->vchan;
	snprintf(g->name, sizeof(g->name), "%s", add->name);
	snprintf(g->user, sizeof(g->user), "%s", add->user);
	g->quota.max[QUBE__Q_BYTES] = b->limits.bytes_max;
	g->quota.max[QUBE__Q_FDS] = FDS_MAX;
	g->quota.max[QUBE__Q_CALLS] = b->limits.calls_max;
	qube__list_init(&g->calls);
	qube__list_init(&g->requests);
	qube__list_init(&g->tx);
	qube__buf_init(&g->rx, RX_MAX);
	qube__timer_init(&g->deadline, on_deadline);
	qube__timer_init(&g->retry, on_retry);
	qube__list_append(&b->guests, &g->link);
	t->ops->get_fds(t, &fd, &send_fd);
	r = qube__fault_fails(QUBE__FAULT_BROKER_GUEST) ?
		    QUBE_E_SYSTEM :
		    qube__source_add(b->loop, &g->src, fd, EPOLLIN, on_guest);
	if (r < 0) {
		qube__bguest_end(g, NULL);
		return r;
	}
	/* One that boots first takes as long as core lets it. */
	if (!g->vchan)
		qube__timer_set(b->loop, &g->deadline, qube__now_ms() + b->limits.hello_ms);
	return 0;
}

void qube__bguest_end(struct bguest *g, const char *reason)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_GUEST_DOWN };

	if (g->dead)
		return;
	g->dead = true;
	qube__list_remove(&g->link);
	qube__list_append(&g->b->dead, &g->link);
	qube__source_remove(g->b->loop, &g->src);
	qube__timer_stop(g->b->loop, &g->deadline);
	qube__timer_stop(g->b->loop, &g->retry);
	qube__bcall_guest_gone(g);
	if (reason) {
		m.guest_down.guest = g->id;
		m.guest_down.reason = reason;
		qube__broker_tell(g->b, &m);
	}
	qube__post(g->b->loop, &g->b->reap);
}

void qube__bguest_free(struct bguest *g)
{
	qube__list_remove(&g->link);
	while (!qube__list_empty(&g->tx))
		message_free(g, qube__container_of(g->tx.next, struct message, link));
	while (!qube__list_empty(&g->requests))
		qube__brequest_free(g, qube__container_of(g->requests.next, struct brequest, link));
	qube__buf_fini(&g->rx);
	qube__transport_close(g->t);
	free(g);
}
