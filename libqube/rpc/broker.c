/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The broker engine: core's messages and the table of guests. */
#include "rpc/broker_int.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/spawn.h"

#include <fcntl.h>
#include <string.h>

/* A message that core has not taken yet. */
struct packet {
	struct qube__list link;
	size_t len;
	size_t n_fds;
	int fds[QUBE__RPC_FDS_MAX]; /* our own */
	uint8_t data[];
};

static void core_lost(struct qube__broker *b)
{
	if (b->closed)
		return;
	b->closed = true;
	qube__source_remove(b->loop, &b->src);
	if (b->on_closed)
		b->on_closed(b->user);
}

bool qube__broker_is_backed_up(const struct qube__broker *b)
{
	return !qube__list_empty(&b->backlog);
}

static void packet_free(struct packet *p)
{
	qube__list_remove(&p->link);
	while (p->n_fds)
		qube__close_fd(&p->fds[--p->n_fds]);
	free(p);
}

static int keep(struct qube__broker *b, const struct qube__rpc_msg *msg, const int *fds)
{
	size_t n_fds = qube__rpc_fds(msg);
	struct packet *p = malloc(sizeof(*p) + QUBE__RPC_MSG_MAX);
	struct packet *fit;
	int n;

	if (!p)
		return QUBE_E_NOMEM;
	n = qube__rpc_encode(p->data, QUBE__RPC_MSG_MAX, msg);
	if (n < 0) {
		free(p);
		return n;
	}
	p->len = (size_t)n;
	p->n_fds = 0;
	fit = realloc(p, sizeof(*p) + p->len);
	if (fit)
		p = fit;
	qube__list_init(&p->link);
	for (; p->n_fds < n_fds; p->n_fds++) {
		p->fds[p->n_fds] = fcntl(fds[p->n_fds], F_DUPFD_CLOEXEC, 3);
		if (p->fds[p->n_fds] < 0) {
			packet_free(p);
			return QUBE_E_SYSTEM;
		}
	}
	qube__list_append(&b->backlog, &p->link);
	qube__source_set(b->loop, &b->src, EPOLLIN | EPOLLOUT);
	return 0;
}

void qube__broker_hand(struct qube__broker *b, const struct qube__rpc_msg *msg, const int *fds)
{
	int r = QUBE_E_AGAIN;

	if (b->closed)
		return;
	if (!qube__broker_is_backed_up(b))
		r = qube__rpc_send(b->sock, msg, fds);
	if (r == QUBE_E_AGAIN)
		r = keep(b, msg, fds);
	/* A message that is lost would leave core waiting for ever. */
	if (r < 0)
		core_lost(b);
}

void qube__broker_tell(struct qube__broker *b, const struct qube__rpc_msg *msg)
{
	qube__broker_hand(b, msg, NULL);
}

static void flush(struct qube__broker *b)
{
	struct qube__list *pos;

	while (!qube__list_empty(&b->backlog)) {
		struct packet *p = qube__container_of(b->backlog.next, struct packet, link);
		ssize_t n = qube__io_send_fds(b->sock, p->data, p->len, p->fds, p->n_fds);

		if (n == QUBE_E_AGAIN)
			return;
		if (n < 0) {
			core_lost(b);
			return;
		}
		packet_free(p);
	}
	qube__source_set(b->loop, &b->src, EPOLLIN);
	/* Reading from the guests had stopped, perhaps with whole messages already here. */
	qube__list_foreach (pos, &b->guests)
		qube__source_again(b->loop, &qube__container_of(pos, struct bguest, link)->src);
}

/* Each where it belongs, -1 where there is none. */
static void place_streams(uint32_t streams, int fds[3])
{
	int given[3] = { fds[0], fds[1], fds[2] };

	for (int i = 0, next = 0; i < 3; i++)
		fds[i] = streams & 1u << i ? given[next++] : -1;
}

static void tell_gone(struct qube__broker *b, uint32_t qid)
{
	struct qube__list *pos;
	struct qube__list *tmp;

	qube__list_foreach_safe (pos, tmp, &b->guests)
		qube__bguest_tell_gone(qube__container_of(pos, struct bguest, link), qid);
}

static void handle(struct qube__broker *b, const struct qube__rpc_msg *m, int fds[3])
{
	struct bguest *g;

	switch (m->type) {
	case QUBE__RPC_GUEST_ADD:
		if (qube__bguest_create(b, &m->guest_add, fds[0]) < 0) {
			struct qube__rpc_msg down = { .type = QUBE__RPC_GUEST_DOWN };

			down.guest_down.guest = m->guest_add.guest;
			down.guest_down.reason = "the broker cannot take it";
			qube__broker_tell(b, &down);
		}
		break;
	case QUBE__RPC_GUEST_DEL:
		g = qube__bguest_find(b, m->guest_del.guest);
		if (g)
			qube__bguest_end(g, NULL);
		break;
	case QUBE__RPC_DOMAIN_GONE:
		tell_gone(b, m->domain_gone.qid);
		break;
	case QUBE__RPC_DECISION:
		qube__bcall_decide(b, &m->decision);
		break;
	case QUBE__RPC_HOST_CALL:
		place_streams(m->host_call.streams, fds);
		qube__bcall_host(b, &m->host_call, fds);
		break;
	case QUBE__RPC_CALL_CANCEL:
		qube__bcall_cancel(b, m->call_cancel.origin, m->call_cancel.id);
		break;
	case QUBE__RPC_HOST_SERVICE_REPLY:
		qube__bcall_reply(b, &m->host_service_reply);
		break;
	default:
		/* The broker's own messages come back: no core does that. */
		core_lost(b);
	}
}

static void on_core(struct qube__source *s, uint32_t revents)
{
	struct qube__broker *b = qube__container_of(s, struct qube__broker, src);

	(void)revents;
	if (qube__broker_is_backed_up(b))
		flush(b);
	for (int n = 0; n < 16 && !b->closed; n++) {
		struct qube__rpc_msg m;
		int fds[QUBE__RPC_FDS_MAX];
		int r = qube__rpc_recv(b->sock, &m, b->packet, QUBE__RPC_MSG_MAX, fds);

		if (r == QUBE_E_AGAIN)
			return;
		if (r < 0)
			core_lost(b);
		else
			handle(b, &m, fds);
	}
}

static void on_reap(struct qube__posted *p)
{
	struct qube__broker *b = qube__container_of(p, struct qube__broker, reap);

	while (!qube__list_empty(&b->dead))
		qube__bguest_free(qube__container_of(b->dead.next, struct bguest, link));
}

static void set_limits(struct qube__broker_limits *l, const struct qube__broker_limits *from)
{
	if (from)
		*l = *from;
	l->pending_max = l->pending_max ? l->pending_max : 256;
	l->calls_max = l->calls_max ? l->calls_max : 256;
	l->hello_ms = l->hello_ms ? l->hello_ms : 60000;
	l->frame_ms = l->frame_ms ? l->frame_ms : 30000;
	l->connect_ms = l->connect_ms ? l->connect_ms : 120000;
	l->bytes_max = l->bytes_max ? l->bytes_max : 16u << 20;
}

int qube__broker_create(struct qube__broker **out, struct qube__loop *loop, int sock,
			const struct qube__broker_limits *limits)
{
	qube__autofd owned = sock;
	qube__autofree struct qube__broker *b = calloc(1, sizeof(*b));
	qube__autofree uint8_t *packet = malloc(QUBE__RPC_MSG_MAX);
	int r;

	if (!b || !packet)
		return qube__fail_nomem();
	r = qube__io_nonblock(sock);
	if (r < 0)
		return r;
	b->loop = loop;
	b->pool.loop = loop;
	b->pool.budget = 4;
	b->pool.guard_sigpipe = true;
	set_limits(&b->limits, limits);
	qube__list_init(&b->guests);
	qube__list_init(&b->dead);
	qube__list_init(&b->calls);
	qube__list_init(&b->backlog);
	qube__posted_init(&b->reap, on_reap);
	r = qube__source_add(loop, &b->src, sock, EPOLLIN, on_core);
	if (r < 0)
		return r;
	b->sock = qube__steal_fd(&owned);
	b->packet = qube__steal(packet);
	*out = qube__steal(b);
	return 0;
}

void qube__broker_alone(struct qube__broker *b)
{
	sigset_t ignored;

	qube__signals_ignored(&ignored);
	b->pool.guard_sigpipe = !sigismember(&ignored, SIGPIPE);
}

void qube__broker_on_closed(struct qube__broker *b, void (*fn)(void *user), void *user)
{
	b->on_closed = fn;
	b->user = user;
}

void qube__broker_destroy(struct qube__broker *b)
{
	if (!b)
		return;
	b->closed = true;
	qube__source_remove(b->loop, &b->src);
	while (!qube__list_empty(&b->guests))
		qube__bguest_end(qube__container_of(b->guests.next, struct bguest, link), NULL);
	while (!qube__list_empty(&b->calls))
		qube__bcall_free(qube__container_of(b->calls.next, struct bcall, link));
	qube__posted_cancel(&b->reap);
	on_reap(&b->reap);
	while (!qube__list_empty(&b->backlog))
		packet_free(qube__container_of(b->backlog.next, struct packet, link));
	qube__relay_pool_fini(&b->pool);
	qube__close_fd(&b->sock);
	free(b->packet);
	free(b);
}
