/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Long operations. */
#include "core/op.h"

#include "base/clock.h"
#include "core/ctx.h"

#include <stdlib.h>
#include <string.h>

int qube__op_create_inner(qube_op **out, qube_ctx *ctx)
{
	qube_op *op = calloc(1, sizeof(*op));

	if (!op)
		return qube__fail_nomem();
	op->refs = 2;
	op->inner = 2;
	op->ctx = ctx;
	op->exit_code = -1;
	op->began_ns = qube__now_ns();
	qube__err_clear(&op->err);
	qube__list_init(&op->ready);
	qube__list_append(&ctx->ops, &op->link);
	*out = op;
	return 0;
}

int qube__op_create(qube_op **out, qube_ctx *ctx)
{
	int r = qube__op_create_inner(out, ctx);

	if (r < 0)
		return r;
	(*out)->inner = 1;
	qube_ctx_ref(ctx);
	return 0;
}

QUBE_API qube_op *qube_op_ref(qube_op *op)
{
	if (op->refs == op->inner)
		qube_ctx_ref(op->ctx);
	op->refs++;
	return op;
}

qube_op *qube__op_hold(qube_op *op)
{
	op->refs++;
	op->inner++;
	return op;
}

static void drop_callback(qube_op *op)
{
	struct qube_op_callback cb = op->cb;

	op->cb = (struct qube_op_callback){ 0 };
	if (cb.free)
		cb.free(cb.user);
}

static void op_free(qube_op *op)
{
	qube__list_remove(&op->ready);
	qube__list_remove(&op->link);
	drop_callback(op);
	free(op);
}

QUBE_API void qube_op_unref(qube_op *op)
{
	qube_ctx *ctx;

	if (!op)
		return;
	ctx = op->ctx;
	op->refs--;
	if (op->refs > op->inner)
		return;
	/* Who works on it, or waits to call back, must not keep the context open: closing the
	 * context ends the work. op may be gone after that. */
	if (!op->refs)
		op_free(op);
	qube_ctx_unref(ctx);
}

void qube__op_drop(qube_op *op)
{
	op->inner--;
	if (--op->refs == 0)
		op_free(op);
}

void qube__op_cancel_all(qube_ctx *ctx)
{
	struct qube__list *pos = ctx->ops.next;

	while (pos != &ctx->ops) {
		qube_op *op = qube__container_of(pos, qube_op, link);

		if (!op->cancel || op->canceling) {
			pos = pos->next;
			continue;
		}
		op->canceling = true;
		op->cancel(op);
		pos = ctx->ops.next; /* whatever that ended */
	}
}

const char *qube__op_stage_name(const char *name)
{
	static const char *const known[] = {
		"request", "prepare",  "volumes", "create",  "run",    "agent",	    "up",
		"call",	   "shutdown", "kill",	  "plan",    "copy",   "define",    "root",
		"private", "volatile", "measure", "export",  "import", "memory",    "/launch",
		"/mounts", "/clone",   "/trees",  "/root",   "/jail",  "/connect",  "/hello",
		"/guest",  "/settle",  "/verify", "/unpack", "/write", "/settings", "/flush",
		"/copy",   "/other",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i], name))
			return known[i];
	return *name == '/' ? "/other" : "other";
}

static bool is_part(const struct qube_op_stage *s)
{
	return *s->name == '/';
}

/* Ends the part that runs, and with whole the stage that it belongs to. */
static void end_stage(qube_op *op, bool whole)
{
	uint64_t now = qube__now_ns() - op->began_ns;

	for (size_t i = op->n_stages; i > op->n_told; i--) {
		struct qube_op_stage *s = &op->stages[i - 1];

		if (!s->duration_ns && (whole || is_part(s)))
			s->duration_ns = now > s->start_ns ? now - s->start_ns : 1;
		if (!is_part(s))
			break;
	}
}

static void begin_stage(qube_op *op, const char *name)
{
	if (op->n_stages == sizeof(op->stages) / sizeof(op->stages[0]))
		return;
	op->stages[op->n_stages++] = (struct qube_op_stage){
		.name = qube__op_stage_name(name),
		.start_ns = qube__now_ns() - op->began_ns,
	};
}

void qube__op_stage(qube_op *op, const char *name)
{
	end_stage(op, true);
	begin_stage(op, name);
}

void qube__op_part(qube_op *op, const char *name)
{
	/* After the end there is no stage that it could be a part of. */
	if (op->state != QUBE_OP_RUNNING || !op->n_stages)
		return;
	end_stage(op, false);
	begin_stage(op, name);
}

void qube__op_told(qube_op *op, const char *name, uint64_t start_ns, uint64_t duration_ns)
{
	if (!op->n_told)
		op->n_stages = 0;
	if (op->n_stages == sizeof(op->stages) / sizeof(op->stages[0]))
		return;
	op->stages[op->n_stages++] = (struct qube_op_stage){
		.name = qube__op_stage_name(name),
		.start_ns = start_ns,
		.duration_ns = duration_ns,
	};
	op->n_told = op->n_stages;
}

static const char *running_stage(const qube_op *op)
{
	for (size_t i = op->n_stages; i > 0; i--)
		if (!is_part(&op->stages[i - 1]))
			return op->stages[i - 1].name;
	return "";
}

void qube__op_finish(qube_op *op, int code)
{
	if (op->state != QUBE_OP_RUNNING)
		return;
	end_stage(op, true);
	op->state = code < 0 ? QUBE_OP_FAILED : QUBE_OP_DONE;
	if (code < 0)
		qube__err_save(&op->err);
	op->cancel = NULL;
	op->work = NULL;
	qube__list_remove(&op->link);
	if (op->over)
		op->over(op->over_user, op);
	if (op->cb.fn) {
		qube__op_hold(op); /* the ready list's */
		qube__list_append(&op->ctx->ready, &op->ready);
		qube__loop_wakeup(&op->ctx->loop);
	}
	qube__op_drop(op);
}

int qube__op_block(qube_op *op, int32_t timeout_ms)
{
	uint64_t deadline = qube__now_ms() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0);
	int r;

	while (op->state == QUBE_OP_RUNNING) {
		int32_t wait = -1;

		if (timeout_ms >= 0) {
			uint64_t now = qube__now_ms();

			if (now >= deadline && timeout_ms)
				return qube__fail(QUBE_E_TIMEOUT, "the operation still runs");
			wait = timeout_ms ? (int32_t)(deadline - now) : 0;
		}
		r = qube__ctx_turn(op->ctx, wait);
		if (r < 0)
			return r;
		if (timeout_ms == 0 && op->state == QUBE_OP_RUNNING)
			return qube__fail(QUBE_E_TIMEOUT, "the operation still runs");
	}
	if (op->state == QUBE_OP_DONE)
		return 0;
	return qube__err_restore(&op->err);
}

int qube__op_deliver(qube_op *op, int r, qube_op **out)
{
	if (r < 0) {
		/* The worker never began: its reference goes too. */
		qube__op_drop(op);
		qube_op_unref(op);
		return r;
	}
	if (out) {
		*out = op;
		return 0;
	}
	r = qube__op_block(op, -1);
	qube_op_unref(op);
	return r;
}

QUBE_API int qube_op_set_callback(qube_op *op, const struct qube_op_callback *cb)
{
	drop_callback(op);
	op->cb = *cb;
	if (op->state != QUBE_OP_RUNNING && op->cb.fn && qube__list_empty(&op->ready)) {
		qube__op_hold(op);
		qube__list_append(&op->ctx->ready, &op->ready);
		qube__loop_wakeup(&op->ctx->loop);
	}
	return 0;
}

QUBE_API int qube_op_wait(qube_op *op, int32_t timeout_ms)
{
	int r;

	qube__err_enter(__func__);
	r = qube__ctx_may_block(op->ctx);
	if (r < 0)
		return r;
	return qube__op_block(op, timeout_ms);
}

QUBE_API int qube_op_cancel(qube_op *op)
{
	qube__err_enter(__func__);
	if (op->state != QUBE_OP_RUNNING)
		return qube__fail(QUBE_E_STATE, "the operation is finished");
	if (!op->cancel)
		return qube__fail(QUBE_E_NOTSUP, "this operation cannot be canceled");
	return op->cancel(op);
}

QUBE_API uint32_t qube_op_get_state(qube_op *op)
{
	return op->state;
}

QUBE_API const struct qube_error *qube_op_get_error(qube_op *op)
{
	if (op->state != QUBE_OP_FAILED)
		return NULL;
	return &op->err.pub;
}

QUBE_API int32_t qube_op_get_exit_code(qube_op *op)
{
	return op->state == QUBE_OP_DONE ? op->exit_code : -1;
}

QUBE_API int qube_op_progress_fetch(qube_op *op, struct qube_op_progress *out)
{
	struct qube_op_progress p = {
		.state = op->state,
		.stage = running_stage(op),
		.done_bytes = op->done_bytes,
		.total_bytes = op->total_bytes,
		.total_files = op->total_files,
	};

	qube__err_enter(__func__);
	if (out->size < sizeof(p) || out->size > 4096)
		return qube__fail(QUBE_E_INVALID, "size %u is not plausible", out->size);
	p.size = out->size;
	*out = p;
	return 0;
}

QUBE_API size_t qube_op_trace(qube_op *op, struct qube_op_stage *out, size_t cap)
{
	for (size_t i = 0; i < op->n_stages && i < cap; i++)
		out[i] = op->stages[i];
	return op->n_stages;
}
