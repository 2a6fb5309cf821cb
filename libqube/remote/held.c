/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Disposables that end with this context: the host keeps each for as long as the connection on
 * which it was asked for is open. The kernel closes it, however this process ends. */
#include "remote/request.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { ANSWER_S = 60, FIRST_MAX = 64 * 1024 };

struct hold {
	struct qube__list link; /* remote->held */
	struct qube__source source;
	qube_ctx *ctx;
	int fd;
};

static void hold_free(struct hold *h)
{
	qube__source_remove(&h->ctx->loop, &h->source);
	qube__list_remove(&h->link);
	close(h->fd);
	free(h);
}

/* The host says nothing more: it is the end, of the disposable or of the host. */
static void on_end(struct qube__source *s, uint32_t revents)
{
	(void)revents;
	hold_free(qube__container_of(s, struct hold, source));
}

/* The first event names the disposable; a refusal comes as any other. */
static int take_first(char **name, struct qube__buf *in, bool ended)
{
	struct qube__wire_admin_event e;
	struct qube__wire_admin_response answer;
	int r = qube__wire_admin_event_parse(&e, qube__buf_data(in), in->len);

	if (r == 0 && e.n_pairs == 1 && !strcmp(e.event, "held")) {
		*name = strdup(e.value[0]);
		return *name ? 1 : qube__fail_nomem();
	}
	if (!ended)
		return r == QUBE_E_AGAIN || r == QUBE_E_PROTO ? 0 : QUBE_E_PROTO;
	r = qube__wire_admin_response_parse(&answer, qube__buf_data(in), in->len);
	if (r == QUBE_E_NOMEM)
		return qube__fail_nomem();
	if (r < 0)
		return qube__fail(QUBE_E_PROTO, "the host's answer is no answer");
	return qube__remote_refusal(&answer, "qube.CreateHeld");
}

static int wait_first(char **name, int fd)
{
	struct timeval patience = { .tv_sec = ANSWER_S };
	qube__autobuf in;
	int r = 0;

	qube__buf_init(&in, FIRST_MAX);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return qube__fail_os("cannot set a time limit on the host's answer");
	while (r == 0) {
		uint8_t *at;
		ssize_t n;

		if (qube__buf_reserve(&in, 4096, &at) < 0)
			return qube__fail(QUBE_E_PROTO, "the host's answer is too long");
		n = recv(fd, at, 4096, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ?
				       qube__fail(QUBE_E_TIMEOUT, "the host does not answer") :
				       qube__fail_os("cannot read the host's answer");
		qube__buf_commit(&in, (size_t)n);
		r = take_first(name, &in, n == 0);
	}
	return r < 0 ? r : 0;
}

int qube__remote_hold(char **name, qube_ctx *ctx, const char *template_name)
{
	struct qube__remote *remote = qube__remote_of(ctx);
	qube__autofree char *made = NULL;
	qube__autofd fd = -1;
	struct hold *h;
	int r = qube__remote_send(&fd, ctx, "qube.CreateHeld", NULL,
				  template_name ? template_name : "dom0", NULL, 0, NULL, 0);

	if (r == 0)
		r = wait_first(&made, fd);
	if (r == 0)
		r = qube__io_nonblock(fd);
	if (r < 0)
		return r;
	h = calloc(1, sizeof(*h));
	if (!h)
		return qube__fail_nomem();
	h->ctx = ctx;
	r = qube__source_add(&ctx->loop, &h->source, fd, EPOLLIN, on_end);
	if (r < 0) {
		free(h);
		return r;
	}
	h->fd = qube__steal_fd(&fd);
	qube__list_append(&remote->held, &h->link);
	*name = made;
	made = NULL;
	return 0;
}

void qube__remote_let_go(struct qube__remote *r)
{
	while (!qube__list_empty(&r->held))
		hold_free(qube__container_of(r->held.next, struct hold, link));
}
