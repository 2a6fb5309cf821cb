/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The driver's end of a qube-xl. */
#include "driver/xen/helper.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

enum {
	GRACE_MS = 15000, /* beyond an order's own deadline */
	QUICK_MS = 15000, /* of orders that have none */
	OUTBOX_MAX = 1024,
	SOON_MS = 2000,
	SOON_MAX = 3,
};

struct packet {
	struct qube__list link;
	size_t len;
	uint8_t data[];
};

void qube__xen_helper_init(struct qube__xen_helper *h)
{
	qube__list_init(&h->orders);
	qube__list_init(&h->outbox);
	qube__timer_init(&h->late, NULL);
}

static void drop_outbox(struct qube__xen_helper *h)
{
	while (!qube__list_empty(&h->outbox)) {
		struct packet *p = qube__container_of(h->outbox.next, struct packet, link);

		qube__list_remove(&p->link);
		free(p);
	}
	h->n_outbox = 0;
}

static void end(struct qube__xen_helper *h)
{
	int fd = h->sock.fd;

	if (!h->running)
		return;
	qube__source_remove(h->loop, &h->sock);
	qube__timer_stop(h->loop, &h->late);
	qube__close_fd(&fd);
	kill(h->child.pid, SIGKILL);
	qube__child_reap(&h->child);
	drop_outbox(h);
	h->running = h->greeted = false;
}

static void lose(struct qube__xen_helper *h, const char *why)
{
	struct qube__list given;

	if (!h->running)
		return;
	h->soon = qube__now_ms() - h->started_ms < SOON_MS ? h->soon + 1 : 0;
	end(h);
	/* done() may give orders again, to the next one. */
	qube__list_init(&given);
	while (!qube__list_empty(&h->orders)) {
		struct qube__list *first = h->orders.next;

		qube__list_remove(first);
		qube__list_append(&given, first);
	}
	while (!qube__list_empty(&given)) {
		struct qube__xen_order *o =
			qube__container_of(given.next, struct qube__xen_order, link);

		qube__list_remove(&o->link);
		h->done(h, o, qube__fail(QUBE_E_CLOSED, "qube-xl %s", why), NULL);
		free(o);
	}
	h->lost(h);
}

static void on_late(struct qube__timer *t)
{
	lose(qube__container_of(t, struct qube__xen_helper, late), "did not answer");
}

static void set_late(struct qube__xen_helper *h)
{
	uint64_t first = UINT64_MAX;
	struct qube__list *pos;

	qube__list_foreach (pos, &h->orders) {
		struct qube__xen_order *o = qube__container_of(pos, struct qube__xen_order, link);

		first = o->late_ms < first ? o->late_ms : first;
	}
	if (first == UINT64_MAX)
		qube__timer_stop(h->loop, &h->late);
	else
		qube__timer_set(h->loop, &h->late, first);
}

static void on_done(struct qube__xen_helper *h, const struct qube__xl_msg *m)
{
	char safe[QUBE__XL_TEXT_MAX];
	struct qube__list *pos;
	struct qube__list *tmp;

	qube__list_foreach_safe (pos, tmp, &h->orders) {
		struct qube__xen_order *o = qube__container_of(pos, struct qube__xen_order, link);

		if (o->id != m->id)
			continue;
		qube__list_remove(pos);
		set_late(h);
		if (m->code < 0)
			qube__fail(m->code, "Xen: %s",
				   *m->text ? qube__text_escape(safe, sizeof(safe), m->text,
								strlen(m->text)) :
					      "it failed");
		h->done(h, o, m->code, m);
		free(o);
		return;
	}
}

/* False: it is gone, or makes no sense. */
static bool receive(struct qube__xen_helper *h, int flags)
{
	static const char nonsense[] = "broke the protocol";
	qube__autofree uint8_t *packet = malloc(QUBE__XL_PACKET_MAX);
	struct qube__xl_msg m;
	ssize_t n = packet ? recv(h->sock.fd, packet, QUBE__XL_PACKET_MAX, flags) : 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		lose(h, "is gone");
		return false;
	}
	if (qube__xl_decode(&m, packet, (size_t)n) < 0 || m.type < QUBE__XL_HOST ||
	    (m.type == QUBE__XL_HOST) == h->greeted ||
	    (m.type == QUBE__XL_HOST && m.version != QUBE__XL_VERSION)) {
		lose(h, nonsense);
		return false;
	}
	h->greeted = true;
	if (m.type == QUBE__XL_DONE)
		on_done(h, &m);
	else
		h->told(h, &m);
	return h->running;
}

static void flush(struct qube__xen_helper *h)
{
	while (!qube__list_empty(&h->outbox)) {
		struct packet *p = qube__container_of(h->outbox.next, struct packet, link);

		/* Whatever else is wrong is found by reading. */
		if (send(h->sock.fd, p->data, p->len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
		    errno == EAGAIN)
			return;
		h->n_outbox--;
		qube__list_remove(&p->link);
		free(p);
	}
	qube__source_set(h->loop, &h->sock, EPOLLIN);
}

static void on_sock(struct qube__source *s, uint32_t revents)
{
	struct qube__xen_helper *h = qube__container_of(s, struct qube__xen_helper, sock);

	if (revents & EPOLLOUT)
		flush(h);
	for (int i = 0; i < 16 && h->running; i++)
		if (!receive(h, MSG_DONTWAIT))
			return;
	if (h->running)
		qube__source_again(h->loop, s);
}

static int spawn(struct qube__xen_helper *h, int fd)
{
	const char *const argv[] = { "qube-xl", NULL };
	const char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	const int fds[] = { -1, -1, 2, fd };
	struct qube__spawn s = {
		.path = h->path,
		.exec_fd = -1,
		.argv = argv,
		.envp = env,
		.fds = fds,
		.n_fds = sizeof(fds) / sizeof(fds[0]),
		.flags = QUBE__SPAWN_SETSID,
	};

	return qube__spawn(&h->child, &s);
}

static int start(struct qube__xen_helper *h)
{
	int pair[2];
	int r;

	if (h->soon >= SOON_MAX && qube__now_ms() - h->started_ms < SOON_MS)
		return qube__fail(QUBE_E_SYSTEM, "qube-xl ends again and again");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return qube__fail_os("cannot make a socket pair");
	r = spawn(h, pair[1]);
	qube__close_fd(&pair[1]);
	if (r == 0)
		r = qube__source_add(h->loop, &h->sock, pair[0], EPOLLIN, on_sock);
	if (r < 0) {
		qube__close_fd(&pair[0]);
		return r;
	}
	h->late.fn = on_late;
	h->started_ms = qube__now_ms();
	h->running = true;
	return 0;
}

bool qube__xen_helper_turn(struct qube__xen_helper *h, int wait_ms)
{
	struct pollfd p = { .fd = h->sock.fd, .events = POLLIN };

	return h->running && poll(&p, 1, wait_ms) == 1 && receive(h, MSG_DONTWAIT);
}

int qube__xen_helper_open(struct qube__xen_helper *h, int wait_ms)
{
	int r = start(h);

	if (r < 0)
		return r;
	qube__xen_helper_turn(h, wait_ms);
	if (h->greeted)
		return 0;
	end(h);
	return qube__fail(QUBE_E_NOTSUP, "qube-xl cannot talk to this machine's Xen: is this its "
					 "dom0, and does xenstored run?");
}

static uint64_t patience(const struct qube__xl_msg *m)
{
	return m->deadline_ms ? (uint64_t)m->deadline_ms + GRACE_MS : QUICK_MS;
}

static int post(struct qube__xen_helper *h, const uint8_t *data, size_t len)
{
	struct packet *p;

	if (qube__list_empty(&h->outbox) &&
	    send(h->sock.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len)
		return 0;
	if (h->n_outbox == OUTBOX_MAX)
		return qube__fail(QUBE_E_LIMIT, "qube-xl does not read");
	p = malloc(sizeof(*p) + len);
	if (!p)
		return qube__fail_nomem();
	h->n_outbox++;
	memcpy(p->data, data, len);
	p->len = len;
	qube__list_append(&h->outbox, &p->link);
	return qube__source_set(h->loop, &h->sock, EPOLLIN | EPOLLOUT);
}

int qube__xen_helper_order(struct qube__xen_helper *h, struct qube__xl_msg *m)
{
	qube__autofree uint8_t *packet = malloc(QUBE__XL_PACKET_MAX);
	qube__autofree struct qube__xen_order *o = calloc(1, sizeof(*o));
	int n = packet && o ? 0 : qube__fail_nomem();

	if (n == 0 && !h->running)
		n = start(h);
	if (n < 0)
		return n;
	m->id = ++h->next_id ? h->next_id : ++h->next_id;
	n = qube__xl_encode(packet, QUBE__XL_PACKET_MAX, m);
	if (n < 0)
		return qube__fail(n, "an order to Xen that cannot be given");
	n = post(h, packet, (size_t)n);
	if (n < 0)
		return n;
	o->id = m->id;
	o->type = m->type;
	o->late_ms = qube__now_ms() + patience(m);
	memcpy(o->uuid, m->uuid, sizeof(o->uuid));
	qube__list_append(&h->orders, &qube__steal(o)->link);
	set_late(h);
	return 0;
}

void qube__xen_helper_close(struct qube__xen_helper *h)
{
	end(h);
	while (!qube__list_empty(&h->orders)) {
		struct qube__xen_order *o =
			qube__container_of(h->orders.next, struct qube__xen_order, link);

		qube__list_remove(&o->link);
		free(o);
	}
}
