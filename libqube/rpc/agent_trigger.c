/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What this qube's programs ask for: any of them may connect. Read without a control buffer, so
 * they hand over nothing but bytes. */
#include "rpc/agent_int.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
	RX_MAX = QUBE__QREXEC_HEADER + QUBE__QREXEC_TRIGGER4 + QUBE__QREXEC_SERVICE_MAX,
	BACKLOG = 64,
	/* Of what the host has not taken yet; beyond, requests are refused. A program that asks and
	 * leaves again costs no slot, and a full queue would cost all of us the session. */
	TX_HIGH = 1 << 20,
};

void qube__atrigger_free(struct atrigger *t)
{
	qube__list_remove(&t->link);
	qube__source_remove(t->a->loop, &t->src);
	qube__close_fd(&t->fd);
	qube__buf_fini(&t->rx);
	t->a->n_triggers--;
	/* One that was turned away for lack of room may come now. */
	if (t->a->trigger_listener.added)
		qube__source_set(t->a->loop, &t->a->trigger_listener, EPOLLIN);
	free(t);
}

static int forward(struct atrigger *t, const struct qube__qrexec_trigger *req)
{
	size_t cap = QUBE__QREXEC_HEADER + QUBE__QREXEC_TRIGGER4 + req->service_len + 64;
	qube__autofree uint8_t *out = malloc(cap);
	int n;

	if (!out || !t->a->t || t->a->state != QUBE__QREXEC_AT_WORK)
		return QUBE_E_CLOSED;
	if (t->a->tx.len > TX_HIGH)
		return QUBE_E_LIMIT;
	snprintf(t->ident, sizeof(t->ident), "%s%u",
		 qube__qrexec_ident_plain(req->ident) ? QUBE__QREXEC_IDENT_PLAIN : "SOCKET",
		 ++t->a->next_ident);
	/* An old host gets the old message; what does not fit in it is refused here. */
	n = qube__qrexec_trigger_put(out, cap, t->a->version, req->source, req->target,
				     req->service, t->ident);
	if (n < 0)
		return n;
	qube__agent_send(t->a, out, (size_t)n);
	return 0;
}

/* 1: whole, 0: more is needed, or an error. */
static int take_request(struct atrigger *t)
{
	const uint8_t *p = qube__buf_data(&t->rx);
	struct qube__qrexec_trigger req;
	struct qube__qrexec_header h;
	int r = qube__qrexec_frame(&h, QUBE__QREXEC_TRIGGER, t->state, QUBE__QREXEC_VERSION, p,
				   t->rx.len);

	if (r <= 0)
		return r;
	if (t->rx.len > QUBE__QREXEC_HEADER + h.len ||
	    qube__qrexec_trigger_parse(&req, h.type, p + QUBE__QREXEC_HEADER, h.len) < 0 ||
	    req.refusal)
		return QUBE_E_PROTO;
	r = forward(t, &req);
	if (r < 0)
		return r;
	t->state = QUBE__QREXEC_AT_END;
	qube__buf_fini(&t->rx);
	return 1;
}

static void gone(struct atrigger *t)
{
	if (t->connected)
		qube__agent_terminated(t->a, t->domain, t->port);
	qube__atrigger_free(t);
}

static void on_client(struct qube__source *s, uint32_t revents)
{
	struct atrigger *t = qube__container_of(s, struct atrigger, src);
	size_t room = t->rx.max - t->rx.len;
	uint8_t *at;
	ssize_t n;

	(void)revents;
	if (room > 4096)
		room = 4096;
	if (!room || qube__buf_reserve(&t->rx, room, &at) < 0) {
		gone(t);
		return;
	}
	n = qube__io_read(t->fd, at, room);
	if (n == QUBE_E_AGAIN)
		return;
	/* Behind its request a caller says nothing but the end. */
	if (n <= 0 || t->state == QUBE__QREXEC_AT_END) {
		gone(t);
		return;
	}
	qube__buf_commit(&t->rx, (size_t)n);
	if (take_request(t) < 0)
		gone(t);
}

static void on_listener(struct qube__source *s, uint32_t revents)
{
	struct qube__agent *a = qube__container_of(s, struct qube__agent, trigger_listener);
	struct atrigger *t;
	int fd;

	(void)revents;
	if (a->n_triggers >= QUBE__AGENT_TRIGGERS) {
		qube__source_set(a->loop, s, 0);
		return;
	}
	fd = accept4(a->trigger_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	t = calloc(1, sizeof(*t));
	if (!t) {
		qube__close_fd(&fd);
		return;
	}
	t->a = a;
	t->fd = fd;
	t->state = QUBE__QREXEC_AT_WORK;
	qube__list_init(&t->link);
	qube__buf_init(&t->rx, RX_MAX);
	qube__list_append(&a->triggers, &t->link);
	a->n_triggers++;
	if (qube__source_add(a->loop, &t->src, fd, EPOLLIN, on_client) < 0)
		qube__atrigger_free(t);
}

int qube__agent_trigger_listen(struct qube__agent *a, const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	qube__autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return qube__fail_os("cannot make a socket");
	if (strlen(path) >= sizeof(sa.sun_path))
		return qube__fail(QUBE_E_INVALID, "the path of the agent's socket is too long");
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return qube__fail_os("cannot make %s", path);
	/* For every user of the qube: what may be called is the host's decision. */
	if (chmod(path, 0777) < 0 || listen(fd, BACKLOG) < 0)
		return qube__fail_os("cannot listen on %s", path);
	a->trigger_fd = qube__steal_fd(&fd);
	return qube__source_add(a->loop, &a->trigger_listener, a->trigger_fd, EPOLLIN, on_listener);
}

static struct atrigger *find(struct qube__agent *a, const char *ident)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &a->triggers) {
		struct atrigger *t = qube__container_of(pos, struct atrigger, link);

		if (t->state == QUBE__QREXEC_AT_END && !t->connected &&
		    strcmp(t->ident, ident) == 0)
			return t;
	}
	return NULL;
}

void qube__agent_connect(struct qube__agent *a, const struct qube__qrexec_params *p, bool plain,
			 int fds[2])
{
	uint8_t frame[QUBE__QREXEC_HEADER + QUBE__QREXEC_PARAMS + 1] = { 0 };
	struct atrigger *t = find(a, p->command);
	ssize_t n = QUBE__QREXEC_PARAMS + plain;
	bool sent = false;

	if (t) {
		/* The answer is the bare exec_params, without a header; of a plain call, which the
		 * program said that it can do with, a NUL more. */
		qube__qrexec_params_put(frame, QUBE__QREXEC_HEADER + QUBE__QREXEC_PARAMS,
					QUBE__QREXEC_SERVICE_CONNECT, p->domain, p->port, NULL);
		sent = qube__io_send_fds(t->fd, frame + QUBE__QREXEC_HEADER, (size_t)n, fds, 2) ==
		       n;
	}
	qube__close_fd(&fds[0]);
	qube__close_fd(&fds[1]);
	if (sent) {
		t->connected = true;
		t->domain = p->domain;
		t->port = p->port;
		return;
	}
	/* The caller went away while the host decided. */
	qube__agent_terminated(a, p->domain, p->port);
	if (t)
		qube__atrigger_free(t);
}

void qube__agent_refused(struct qube__agent *a, const uint8_t ident[QUBE__QREXEC_IDENT])
{
	struct atrigger *t = find(a, (const char *)ident);

	if (t)
		qube__atrigger_free(t);
}

void qube__agent_refuse_waiting(struct qube__agent *a)
{
	struct qube__list *pos;
	struct qube__list *tmp;

	qube__list_foreach_safe (pos, tmp, &a->triggers) {
		struct atrigger *t = qube__container_of(pos, struct atrigger, link);

		if (t->state == QUBE__QREXEC_AT_END && !t->connected)
			qube__atrigger_free(t);
	}
}
