/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What every kind of context has. */
#include "core/ctx.h"

#include "base/clock.h"
#include "base/error.h"
#include "core/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	EVENTS_MAX = 4096, /* queued for an application that does not dispatch */
	PAIRS_MAX = 8,
};

/* An event that waits for dispatch; one allocation. */
struct queued {
	struct qube__list link;
	struct qube_event ev;
	const char *ptrs[2 * PAIRS_MAX];
	char text[];
};

struct qube_subscription {
	struct qube__list link;
	qube_ctx *ctx;
	struct qube_callback cb;
	uint32_t refs; /* the application's and a running delivery's */
	bool dead;
};

int qube__ctx_init(qube_ctx *ctx, const struct qube__backend *be, const struct qube_ctx_opts *opts)
{
	int r = qube__loop_init(&ctx->loop);

	if (r < 0)
		return r;
	ctx->refs = 1;
	ctx->mode = opts->mode;
	ctx->be = be;
	qube__list_init(&ctx->listeners);
	qube__list_init(&ctx->subs);
	qube__list_init(&ctx->events);
	qube__list_init(&ctx->ops);
	qube__list_init(&ctx->ready);
	ctx->log = opts->log;
	ctx->log_user = opts->log_user;
	ctx->log_priority = opts->log_priority ? opts->log_priority : 6;
	return 0;
}

static void drop_first_event(qube_ctx *ctx)
{
	struct queued *q = qube__container_of(ctx->events.next, struct queued, link);

	qube__list_remove(&q->link);
	ctx->n_events--;
	free(q);
}

void qube__ctx_fini(qube_ctx *ctx)
{
	while (!qube__list_empty(&ctx->events))
		drop_first_event(ctx);
	/* Nobody dispatches any more: their callbacks' data is released, not called. */
	while (!qube__list_empty(&ctx->ready)) {
		qube_op *op = qube__container_of(ctx->ready.next, qube_op, ready);

		qube__list_remove(&op->ready);
		qube__op_drop(op);
	}
	qube__loop_fini(&ctx->loop);
}

void qube__ctx_log(qube_ctx *ctx, int priority, const char *fmt, ...)
{
	bool was = ctx->in_callback;
	char line[1024];
	va_list ap;

	if (!ctx->log || priority > ctx->log_priority)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	/* It runs in the middle of things: what waits or dispatches is refused there. */
	ctx->in_callback = true;
	ctx->log(ctx->log_user, priority, line);
	ctx->in_callback = was;
}

int qube__ctx_may_block(qube_ctx *ctx)
{
	if (ctx->in_callback)
		return qube__fail(QUBE_E_INVALID, "cannot wait inside a callback");
#ifdef QUBE_DEBUG
	{
		pid_t other = __atomic_load_n(&ctx->user_thread, __ATOMIC_RELAXED);

		if (other && other != (pid_t)syscall(SYS_gettid))
			return qube__fail(QUBE_E_INVALID, "thread %d is in this context",
					  (int)other);
	}
#endif
	return 0;
}

int qube__ctx_turn(qube_ctx *ctx, int32_t timeout_ms)
{
	int r;

#ifdef QUBE_DEBUG
	__atomic_store_n(&ctx->user_thread, (pid_t)syscall(SYS_gettid), __ATOMIC_RELAXED);
#endif
	r = qube__loop_dispatch(&ctx->loop, timeout_ms);
#ifdef QUBE_DEBUG
	__atomic_store_n(&ctx->user_thread, 0, __ATOMIC_RELAXED);
#endif
	return r;
}

static void sub_drop(qube_subscription *sub)
{
	if (--sub->refs)
		return;
	qube__list_remove(&sub->link);
	if (sub->cb.free)
		sub->cb.free(sub->cb.user);
	free(sub);
}

/* A subscriber may end any subscription, its own included, and make new ones. The ones that take
 * part are held before the first is called. */
static void tell_subscribers(qube_ctx *ctx, const struct qube_event *ev)
{
	struct qube__list *pos;
	struct qube__list *tmp;
	struct qube__list *last = ctx->subs.prev;

	if (qube__list_empty(&ctx->subs))
		return;
	qube__list_foreach (pos, &ctx->subs)
		qube__container_of(pos, qube_subscription, link)->refs++;
	qube__list_foreach_safe (pos, tmp, &ctx->subs) {
		qube_subscription *sub = qube__container_of(pos, qube_subscription, link);
		bool is_last = pos == last;

		if (!sub->dead)
			sub->cb.fn(sub->cb.user, ev);
		/* tmp may have been appended or removed meanwhile; held ones never vanish. */
		tmp = pos->next;
		sub_drop(sub);
		if (is_last)
			break;
	}
}

static int deliver(qube_ctx *ctx)
{
	struct qube__list events;
	struct qube__list *pos;
	struct qube__list *tmp;
	int count = 0;

	ctx->in_callback = true;
	qube__list_init(&events);
	for (int n = 0; n < 32 && !qube__list_empty(&ctx->events); n++) {
		pos = ctx->events.next;
		qube__list_remove(pos);
		ctx->n_events--;
		qube__list_append(&events, pos);
	}
	qube__list_foreach_safe (pos, tmp, &events) {
		struct queued *q = qube__container_of(pos, struct queued, link);

		qube__list_remove(pos);
		tell_subscribers(ctx, &q->ev);
		free(q);
		count++;
	}
	for (int n = 0; n < 32 && !qube__list_empty(&ctx->ready); n++) {
		qube_op *op = qube__container_of(ctx->ready.next, qube_op, ready);

		qube__list_remove(&op->ready);
		if (op->cb.fn)
			op->cb.fn(op->cb.user, op);
		qube__op_drop(op);
		count++;
	}
	ctx->in_callback = false;
	return count;
}

int qube__ctx_dispatch(qube_ctx *ctx, int32_t timeout_ms)
{
	bool waiting = !qube__list_empty(&ctx->events) || !qube__list_empty(&ctx->ready);
	int more;

	if (waiting)
		timeout_ms = 0;
	/* The application may release its last reference inside a callback. */
	qube_ctx_ref(ctx);
	more = qube__ctx_turn(ctx, timeout_ms);
	if (more >= 0) {
		deliver(ctx);
		if (!qube__list_empty(&ctx->events) || !qube__list_empty(&ctx->ready)) {
			qube__loop_wakeup(&ctx->loop);
			more = 1;
		}
	}
	qube_ctx_unref(ctx);
	return more;
}

void qube__ctx_listen(qube_ctx *ctx, struct qube__listener *l,
		      void (*fn)(struct qube__listener *l, const struct qube_event *ev))
{
	l->fn = fn;
	qube__list_append(&ctx->listeners, &l->link);
}

void qube__ctx_unlisten(struct qube__listener *l)
{
	if (l->fn)
		qube__list_remove(&l->link);
	l->fn = NULL;
}

static size_t event_text_size(const struct qube_event *ev)
{
	size_t n = strlen(ev->subject) + strlen(ev->name) + 2;

	for (uint64_t i = 0; i < ev->n_fields; i++)
		n += strlen(ev->keys[i]) + strlen(ev->values[i]) + 2;
	return n;
}

static const char *put(char **at, const char *s)
{
	size_t n = strlen(s) + 1;
	char *to = *at;

	memcpy(to, s, n);
	*at += n;
	return to;
}

static void queue_event(qube_ctx *ctx, const struct qube_event *ev)
{
	struct queued *q;
	char *at;

	if (ctx->n_events == EVENTS_MAX)
		drop_first_event(ctx);
	q = malloc(sizeof(*q) + event_text_size(ev));
	if (!q || ctx->n_events == EVENTS_MAX - 1) {
		if (!ctx->events_lost)
			qube__ctx_log(ctx, 4,
				      "events are lost: the application does not dispatch "
				      "or there is no memory");
		ctx->events_lost = true;
	}
	if (!q)
		return;
	at = q->text;
	q->ev = *ev;
	q->ev.subject = put(&at, ev->subject);
	q->ev.name = put(&at, ev->name);
	q->ev.keys = q->ptrs;
	q->ev.values = q->ptrs + PAIRS_MAX;
	for (uint64_t i = 0; i < ev->n_fields; i++) {
		q->ptrs[i] = put(&at, ev->keys[i]);
		q->ptrs[PAIRS_MAX + i] = put(&at, ev->values[i]);
	}
	qube__list_append(&ctx->events, &q->link);
	ctx->n_events++;
	qube__loop_wakeup(&ctx->loop);
}

void qube__ctx_emit_event(qube_ctx *ctx, const struct qube_event *ev)
{
	struct qube__list *pos;
	struct qube__list *tmp;

	qube__list_foreach_safe (pos, tmp, &ctx->listeners) {
		struct qube__listener *l = qube__container_of(pos, struct qube__listener, link);

		l->fn(l, ev);
	}
	if (!qube__list_empty(&ctx->subs))
		queue_event(ctx, ev);
}

void qube__ctx_emit(qube_ctx *ctx, const char *subject, const char *name, ...)
{
	const char *keys[PAIRS_MAX];
	const char *values[PAIRS_MAX];
	struct qube_event ev = {
		.subject = subject,
		.name = name,
		.keys = keys,
		.values = values,
	};
	va_list ap;

	ev.time_ms = qube__wall_ms();
	va_start(ap, name);
	while (ev.n_fields < PAIRS_MAX) {
		const char *key = va_arg(ap, const char *);

		if (!key)
			break;
		keys[ev.n_fields] = key;
		values[ev.n_fields] = va_arg(ap, const char *);
		if (!values[ev.n_fields])
			values[ev.n_fields] = "";
		ev.n_fields++;
	}
	va_end(ap);
	qube__ctx_emit_event(ctx, &ev);
}

int qube__ctx_subscribe(qube_subscription **out, qube_ctx *ctx, const struct qube_callback *cb)
{
	qube_subscription *sub = calloc(1, sizeof(*sub));

	if (!sub) {
		if (cb->free)
			cb->free(cb->user);
		return qube__fail_nomem();
	}
	sub->refs = 1;
	sub->ctx = qube_ctx_ref(ctx);
	sub->cb = *cb;
	qube__list_append(&ctx->subs, &sub->link);
	*out = sub;
	return 0;
}

void qube__ctx_unsubscribe(qube_subscription *sub)
{
	qube_ctx *ctx;

	if (!sub)
		return;
	ctx = sub->ctx;
	sub->dead = true;
	sub_drop(sub);
	qube_ctx_unref(ctx);
}
