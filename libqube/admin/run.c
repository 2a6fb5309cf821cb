/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What handlers share, and requests that come over no socket: from this process and from qubes. */
#include "admin/call.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void qube__admin_call_fini(struct qube__admin_call *c)
{
	qube__waiter_drop(&c->waiter);
	qube__ctx_unlisten(&c->listener);
	if (*c->held)
		qube__host_let_go(c->host, c->held, c->held_uuid);
	qube__timer_stop(&c->host->ctx.loop, &c->tick);
	qube__buf_fini(&c->reply);
	for (int i = 0; i < QUBE__CALL_FDS; i++)
		qube__close_fd(&c->fds[i]);
	qube__close_fd(&c->give_fd);
	if (c->op)
		qube__op_drop(c->op);
	c->op = NULL;
}

int qube__reply(struct qube__admin_call *c, const char *fmt, ...)
{
	char small[1024];
	char *text = small;
	va_list ap;
	int n;
	int r;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0)
		return qube__fail(QUBE_E_INVALID, "a reply cannot be written");
	if ((size_t)n >= sizeof(small)) {
		text = malloc((size_t)n + 1);
		if (!text)
			return qube__fail_nomem();
		va_start(ap, fmt);
		vsnprintf(text, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	r = qube__buf_append(&c->reply, text, (size_t)n);
	if (text != small)
		free(text);
	if (r == QUBE_E_NOMEM)
		return qube__fail_nomem();
	return r < 0 ? qube__fail(r, "the reply is too long") : 0;
}

int qube__payload_text(char *out, size_t cap, const struct qube__admin_call *c)
{
	if (c->req.payload_len >= cap)
		return qube__fail_detail(QUBE_E_LIMIT, QUBE_D_VALUE, "a value of %zu bytes",
					 c->req.payload_len);
	if (c->req.payload_len && memchr(c->req.payload, 0, c->req.payload_len))
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE, "a NUL in a value");
	if (c->req.payload_len)
		memcpy(out, c->req.payload, c->req.payload_len);
	out[c->req.payload_len] = '\0';
	return 0;
}

/* --- this process --- */

struct local_call {
	struct qube__admin_call call;
	bool done;
	int code;
	struct qube__err err;
};

static void local_finish(struct qube__admin_call *c, int code)
{
	struct local_call *l = qube__container_of(c, struct local_call, call);

	l->done = true;
	l->code = code;
	if (code < 0)
		qube__err_save(&l->err);
}

static int fill_request(struct qube__admin_call *c, const struct qube_admin_request *req)
{
	struct qube__buf text;
	int r;

	/* Through the parser: what is refused on a socket is refused here. */
	qube__buf_init(&text, QUBE__ADMIN_REQUEST_MAX);
	r = qube__wire_admin_request_encode(&text, req->method, req->argument, "dom0", req->dest,
					    NULL, 0);
	if (r == 0)
		r = qube__wire_admin_request_parse(&c->req, qube__buf_data(&text), text.len);
	qube__buf_fini(&text);
	if (r < 0)
		return qube__fail_detail(r, QUBE_D_PROTOCOL,
					 "a method, argument or destination that cannot be sent");
	c->req.payload = req->payload;
	c->req.payload_len = (size_t)req->payload_len;
	return 0;
}

/* Inside a callback only what is answered at once is allowed. */
static int may_wait(struct qube__host *h, const struct qube__admin_call *c)
{
	const char *suffix;
	const struct qube__method *m = qube__method_find(c->req.method, &suffix);

	if (!m || !(m->flags & (QUBE__METHOD_OP | QUBE__METHOD_WAITS)))
		return 0;
	return qube__ctx_may_block(&h->ctx);
}

/* The op's callback would come with a dispatch, when the call is long gone. */
static int finish_op(struct qube__admin_call *c)
{
	struct qube_op_callback none = { 0 };
	int r = qube__op_block(c->op, -1);

	qube_op_set_callback(c->op, &none);
	return r < 0 ? r : qube__admin_put_trace(c, c->op);
}

int qube__admin_local(char **out, size_t *len, struct qube__host *h,
		      const struct qube_admin_request *req)
{
	struct local_call l = { 0 };
	size_t n;
	char *text;
	int r;

	qube__admin_call_init(&l.call, h);
	l.call.from_host = true;
	l.call.finish = local_finish;
	r = fill_request(&l.call, req);
	if (r == 0)
		r = may_wait(h, &l.call);
	if (r == 0)
		r = qube__admin_run(&l.call);
	if (r == 1 && (l.call.method->flags & QUBE__METHOD_OP)) {
		r = finish_op(&l.call);
	} else if (r == 1) {
		while (!l.done && r >= 0)
			r = qube__ctx_turn(&h->ctx, -1);
		if (r >= 0)
			r = l.code < 0 ? qube__err_restore(&l.err) : 0;
	}
	if (r == 0) {
		n = l.call.reply.len;
		text = qube__buf_take_string(&l.call.reply);
		if (text) {
			*out = text;
			*len = n;
		} else {
			r = qube__fail_nomem();
		}
	}
	qube__admin_call_fini(&l.call);
	return r;
}

/* --- a qube --- */

struct guest_call {
	struct qube__admin_call call;
	uint64_t request;
};

static void guest_finish(struct qube__admin_call *c, int code)
{
	struct guest_call *g = qube__container_of(c, struct guest_call, call);
	struct qube__buf frame;
	int r;

	qube__buf_init(&frame, QUBE__CALL_REPLY_MAX + 16);
	if (code >= 0)
		r = qube__wire_admin_ok(&frame, qube__buf_data(&c->reply), c->reply.len);
	else
		r = qube__wire_admin_fail(&frame, code, qube_error_last()->detail,
					  qube_error_last()->message);
	qube__host_service_reply(c->host, g->request, qube__buf_data(&frame), r < 0 ? 0 : frame.len,
				 r < 0 ? 125 : 0);
	qube__buf_fini(&frame);
	qube__admin_call_fini(c);
	free(g);
}

static int parse_guest_call(struct qube__admin_call *c, const struct qube__host_service *s)
{
	struct qube__buf text;
	size_t name = strcspn(s->service, "+");
	char method[QUBE__SERVICE_MAX + 1];
	int r;

	if (name > QUBE__SERVICE_MAX)
		return QUBE_E_PROTO;
	memcpy(method, s->service, name);
	method[name] = '\0';
	qube__buf_init(&text, QUBE__ADMIN_REQUEST_MAX);
	r = qube__wire_admin_request_encode(
		&text, method, s->service[name] ? s->service + name + 1 : NULL, s->source,
		!strcmp(s->target, "@adminvm") ? "dom0" : s->target, NULL, 0);
	if (r == 0)
		r = qube__wire_admin_request_parse(&c->req, qube__buf_data(&text), text.len);
	qube__buf_fini(&text);
	c->req.payload = s->data;
	c->req.payload_len = s->len;
	return r;
}

void qube__admin_from_guest(struct qube__host *h, const struct qube__host_service *s)
{
	struct guest_call *g = calloc(1, sizeof(*g));
	const char *suffix;
	char method[QUBE__SERVICE_MAX + 1];
	size_t name = strcspn(s->service, "+");
	int r;

	if (!g) {
		qube__host_service_reply(h, s->request, NULL, 0, 125);
		return;
	}
	qube__admin_call_init(&g->call, h);
	g->request = s->request;
	g->call.finish = guest_finish;
	if (name > QUBE__SERVICE_MAX || parse_guest_call(&g->call, s) < 0) {
		qube__host_service_reply(h, s->request, NULL, 0, 125);
		free(g);
		return;
	}
	memcpy(method, s->service, name);
	method[name] = '\0';
	if (!qube__method_find(method, &suffix)) {
		/* No such service on the host. */
		qube__host_service_reply(h, s->request, NULL, 0, 127);
		free(g);
		return;
	}
	r = qube__admin_run(&g->call);
	if (r != 1)
		guest_finish(&g->call, r);
}
