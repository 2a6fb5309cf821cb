/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Operations on another host: a request whose answer is watched for. Closing its connection cancels
 * what can be canceled. */
#include "remote/request.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 1 << 20 };

struct watched {
	struct qube__list link;
	struct qube__source source;
	struct qube__remote *remote;
	qube_op *op;
	int fd;
	int undone_fd; /* -1: a cancel ends at once */
	struct qube__buf in;
	char method[64];
	const char *fallback;
	char arg[QUBE__ADMIN_ARG_MAX + 1];
	char dest[QUBE__ADMIN_PEER_MAX + 1];
};

static void watched_end(struct watched *w, int code)
{
	qube_op *op = w->op;

	qube__source_remove(&w->remote->ctx.loop, &w->source);
	qube__list_remove(&w->link);
	qube__close_fd(&w->fd);
	qube__close_fd(&w->undone_fd);
	qube__buf_fini(&w->in);
	free(w);
	qube__op_finish(op, code);
}

/* "exit 3" and "stage NAME START NS" lines; of a volume "usage=BYTES". */
static void read_trace(qube_op *op, char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char name[32];
		unsigned long long start;
		unsigned long long ns;
		int code;

		if (sscanf(line, "exit %d", &code) == 1 && code >= 0 && code <= 255)
			op->exit_code = code;
		else if (sscanf(line, "usage=%llu", &ns) == 1)
			op->done_bytes = ns;
		else if (sscanf(line, "stage %31s %llu %llu", name, &start, &ns) == 3)
			qube__op_told(op, name, start, ns);
	}
}

static int finish_reply(struct watched *w)
{
	struct qube__wire_admin_response a;
	char *text;
	int r = qube__wire_admin_response_parse(&a, qube__buf_data(&w->in), w->in.len);

	if (r == QUBE_E_CLOSED)
		return qube__fail(QUBE_E_CLOSED, "the host ended before it answered %s", w->method);
	if (r == QUBE_E_NOMEM)
		return qube__fail_nomem();
	if (r < 0)
		return qube__fail(QUBE_E_PROTO, "the host's answer to %s is no answer", w->method);
	if (a.kind != QUBE__ADMIN_OK)
		return qube__remote_refusal(&a, w->method);
	text = malloc(a.content_len + 1);
	if (!text)
		return qube__fail_nomem();
	if (a.content_len)
		memcpy(text, a.content, a.content_len);
	text[a.content_len] = '\0';
	read_trace(w->op, text);
	free(text);
	return 0;
}

static uint64_t number(const struct qube__wire_admin_event *e, const char *key)
{
	uint64_t v = 0;

	for (size_t i = 0; i < e->n_pairs; i++)
		if (!strcmp(e->key[i], key) && qube__text_u64(&v, e->value[i], UINT64_MAX) == 0)
			return v;
	return 0;
}

static const char *text_of(const struct qube__wire_admin_event *e, const char *key)
{
	for (size_t i = 0; i < e->n_pairs; i++)
		if (!strcmp(e->key[i], key))
			return e->value[i];
	return "";
}

static void read_progress(qube_op *op, const struct qube__wire_admin_event *e)
{
	const char *stage = qube__op_stage_name(text_of(e, "stage"));

	if (!strcmp(e->event, "stage")) {
		qube__op_told(op, stage, number(e, "start"), number(e, "duration"));
		return;
	}
	if (op->n_told || !*text_of(e, "stage"))
		return;
	if (!op->n_stages || strcmp(op->stages[op->n_stages - 1].name, stage))
		qube__op_stage(op, stage);
	op->done_bytes = number(e, "done");
	op->total_bytes = number(e, "total");
	op->total_files = number(e, "files");
	if (*text_of(e, "exit"))
		op->exit_code = (int32_t)(number(e, "exit") & 0xff);
}

/* 1: the last frame was there and *code is the outcome. */
static int read_frames(struct watched *w, int *code)
{
	for (;;) {
		struct qube__wire_admin_event e;
		int r = qube__wire_admin_event_parse(&e, qube__buf_data(&w->in), w->in.len);

		if (r == QUBE_E_AGAIN)
			return 0;
		if (r < 0) {
			*code = qube__fail(QUBE_E_PROTO, "the host's stream is broken");
			return 1;
		}
		read_progress(w->op, &e);
		if (!strcmp(e.event, "done")) {
			*code = 0;
			return 1;
		}
		if (!strcmp(e.event, "failed")) {
			int value = 0;

			if (sscanf(text_of(&e, "code"), "%d", &value) != 1 || value >= 0)
				value = QUBE_E_PROTO;
			*code = qube__fail_detail(value, (int)number(&e, "detail"), "%s",
						  text_of(&e, "message"));
			return 1;
		}
		qube__buf_consume(&w->in, e.used);
	}
}

static void on_ready(struct qube__source *s, uint32_t revents);

/* A qubesd does not know our own method but another that does as much. */
static int ask_again(struct watched *w)
{
	qube_ctx *ctx = &w->remote->ctx;
	int r;

	qube__source_remove(&ctx->loop, &w->source);
	qube__close_fd(&w->fd);
	qube__buf_consume(&w->in, w->in.len);
	qube__text_copy(w->method, sizeof(w->method), w->fallback);
	w->fallback = NULL;
	r = qube__remote_send(&w->fd, ctx, w->method, *w->arg ? w->arg : NULL, w->dest, NULL, 0,
			      NULL, 0);
	if (r == 0)
		r = qube__io_nonblock(w->fd);
	if (r == 0)
		r = qube__source_add(&ctx->loop, &w->source, w->fd, EPOLLIN, on_ready);
	return r;
}

/* 1: more may be there at once, 0: not, or the operation is over. */
static int take(struct watched *w)
{
	uint8_t *at;
	ssize_t n;
	int code;

	code = qube__buf_reserve(&w->in, 16384, &at);
	if (code < 0) {
		if (code == QUBE_E_NOMEM)
			qube__fail_nomem();
		else
			qube__fail(code, "the host's answer to %s is too long", w->method);
		watched_end(w, code);
		return 0;
	}
	n = qube__io_read(w->fd, at, 16384);
	if (n == QUBE_E_AGAIN)
		return 0;
	if (n < 0) {
		qube__fail(QUBE_E_CLOSED, "the host is gone");
		watched_end(w, QUBE_E_CLOSED);
		return 0;
	}
	if (n > 0) {
		qube__buf_commit(&w->in, (size_t)n);
		if (qube__buf_data(&w->in)[0] != '1' || !read_frames(w, &code))
			return 1;
		watched_end(w, code);
		return 0;
	}
	code = finish_reply(w);
	if (code == QUBE_E_NOTSUP && w->fallback) {
		code = ask_again(w);
		if (code == 0)
			return 0;
	}
	watched_end(w, code);
	return 0;
}

/* An answer's end mostly comes with it. */
static void on_ready(struct qube__source *s, uint32_t revents)
{
	struct watched *w = qube__container_of(s, struct watched, source);

	(void)revents;
	for (int i = 0; i < 4 && take(w) == 1; i++)
		continue;
}

static void canceled(struct watched *w)
{
	qube__fail(QUBE_E_CANCELED, "the operation was canceled");
	watched_end(w, QUBE_E_CANCELED);
}

/* Nothing is ever written to it. */
static void on_undone(struct qube__source *s, uint32_t revents)
{
	(void)revents;
	canceled(qube__container_of(s, struct watched, source));
}

static int cancel(qube_op *op)
{
	struct watched *w = op->work;
	qube_ctx *ctx = &w->remote->ctx;

	qube__source_remove(&ctx->loop, &w->source);
	qube__close_fd(&w->fd);
	op->cancel = NULL;
	if (w->undone_fd < 0 ||
	    qube__source_add(&ctx->loop, &w->source, w->undone_fd, EPOLLIN, on_undone) < 0)
		canceled(w);
	return 0;
}

int qube__remote_op(qube_ctx *ctx, qube_op *op, const struct qube__remote_req *req)
{
	struct watched *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return qube__fail_nomem();
	w->fd = -1;
	w->undone_fd = -1;
	qube__list_init(&w->link);
	qube__buf_init(&w->in, ANSWER_MAX);
	w->remote = qube__remote_of(ctx);
	w->op = op;
	w->fallback = req->fallback;
	qube__text_copy(w->method, sizeof(w->method), req->method);
	qube__text_copy(w->dest, sizeof(w->dest), req->dest);
	qube__text_copy(w->arg, sizeof(w->arg), req->arg ? req->arg : "");
	qube__op_stage(op, "request");
	r = qube__remote_send(&w->fd, ctx, req->method, req->arg, req->dest, req->payload, req->len,
			      req->fds, req->n_fds);
	if (r == 0)
		r = qube__io_nonblock(w->fd);
	if (r == 0)
		r = qube__source_add(&ctx->loop, &w->source, w->fd, EPOLLIN, on_ready);
	if (r < 0) {
		qube__close_fd(&w->fd);
		free(w);
		return r;
	}
	if (req->undone_fd)
		w->undone_fd = qube__steal_fd(req->undone_fd);
	qube__list_append(&w->remote->requests, &w->link);
	op->work = w;
	op->cancel = req->cancelable ? cancel : NULL;
	return 0;
}

void qube__remote_drop_ops(struct qube__remote *r)
{
	while (!qube__list_empty(&r->requests)) {
		qube__fail(QUBE_E_CANCELED, "the connection was closed");
		watched_end(qube__container_of(r->requests.next, struct watched, link),
			    QUBE_E_CANCELED);
	}
}
