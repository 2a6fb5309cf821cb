/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Operations: callbacks in dispatch only, waits, cancellation, traces, and releases in any order.
 */
#include "qtest.h"
#include "rig.h"

#include "core/op.h"

struct heard {
	int calls;
	int frees;
	int nested;
	uint32_t state;
	bool done;
	qube_ctx *ctx;
	qube_domain *d;
};

static void on_done(void *user, qube_op *op)
{
	struct heard *h = user;

	h->calls++;
	h->state = qube_op_get_state(op);
	h->done = true;
	if (h->ctx) {
		h->nested = qube_ctx_dispatch(h->ctx, 0);
		if (h->nested == QUBE_E_INVALID)
			h->nested = qube_op_wait(op, 0);
		if (h->nested == QUBE_E_INVALID && h->d)
			h->nested = qube_domain_kill(h->d, NULL);
	}
}

static void on_free(void *user)
{
	struct heard *h = user;

	h->frees++;
}

static struct qube_op_callback hear(struct heard *h)
{
	return (struct qube_op_callback){ .fn = on_done, .user = h, .free = on_free };
}

QTEST(op, the_callback_runs_in_dispatch_and_nowhere_else)
{
	struct heard h = { 0 };
	struct qube_op_callback cb = hear(&h);
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	OP op = NULL;

	QT_INT(qube_domain_start(d, &op), 0);
	QT_INT(qube_op_set_callback(op, &cb), 0);
	QT_INT(qube_op_get_state(op), QUBE_OP_RUNNING);
	QT_INT(qube_op_wait(op, -1), 0);
	QT_INT(qube_op_get_state(op), QUBE_OP_DONE);
	QT_INT(h.calls, 0);
	rig_drain(ctx);
	QT_INT(h.calls, 1);
	QT_INT(h.state, QUBE_OP_DONE);
	rig_drain(ctx);
	QT_INT(h.calls, 1);
	QT_INT(h.frees, 0);
	qube_op_unref(op);
	op = NULL;
	QT_INT(h.frees, 1);
}

QTEST(op, a_callback_set_after_the_end_is_called_at_the_next_dispatch)
{
	struct heard first = { 0 };
	struct heard second = { 0 };
	struct qube_op_callback cb1 = hear(&first);
	struct qube_op_callback cb2 = hear(&second);
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	OP op = NULL;

	QT_INT(qube_domain_start(d, &op), 0);
	QT_INT(qube_op_wait(op, 1000), 0);
	QT_INT(qube_op_set_callback(op, &cb1), 0);
	QT_INT(qube_op_set_callback(op, &cb2), 0);
	QT_INT(first.frees, 1);
	QT_INT(second.calls, 0);
	rig_drain(ctx);
	QT_INT(first.calls, 0);
	QT_INT(second.calls, 1);
}

QTEST(op, nothing_waits_inside_a_callback)
{
	struct heard h = { 0 };
	struct qube_op_callback cb = hear(&h);
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	OP op = NULL;

	h.ctx = ctx;
	h.d = d;
	QT_INT(qube_domain_start(d, &op), 0);
	QT_INT(qube_op_set_callback(op, &cb), 0);
	QT_TRUE(rig_until(ctx, &h.done));
	QT_INT(h.nested, QUBE_E_INVALID);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_RUNNING);
}

static void kill_it(void *user, qube_op *op)
{
	struct heard *h = user;
	qube_op *mine = NULL;
	struct qube_op_callback cb = { .fn = on_done, .user = h };

	(void)op;
	if (qube_domain_kill(h->d, &mine) == 0)
		qube_op_set_callback(mine, &cb);
	qube_op_unref(mine);
}

QTEST(op, a_callback_may_begin_another_and_let_go_of_it)
{
	struct heard h = { 0 };
	struct qube_op_callback cb = { .fn = kill_it, .user = &h };
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	OP op = NULL;

	h.d = d;
	QT_INT(qube_domain_start(d, &op), 0);
	QT_INT(qube_op_set_callback(op, &cb), 0);
	QT_TRUE(rig_until(ctx, &h.done));
	QT_INT(qube_domain_get_state(d), QUBE_STATE_HALTED);
}

QTEST(op, a_wait_ends_at_its_time_and_the_operation_goes_on)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	OP op = NULL;

	QT_INT(qube_domain_wait(d, QUBE_STATE_RUNNING, &op), 0);
	QT_INT(qube_op_wait(op, 0), QUBE_E_TIMEOUT);
	QT_INT(qube_op_wait(op, 20), QUBE_E_TIMEOUT);
	QT_TRUE(qube_op_get_error(op) == NULL);
	QT_INT(qube_domain_start(d, NULL), 0);
	QT_INT(qube_op_wait(op, -1), 0);
	QT_INT(qube_op_get_exit_code(op), -1);
}

QTEST(op, what_can_be_canceled_is_and_the_rest_says_no)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	OP wait = NULL;
	OP start = NULL;

	QT_INT(qube_domain_wait(d, QUBE_STATE_PAUSED, &wait), 0);
	QT_INT(qube_op_cancel(wait), 0);
	QT_INT(qube_op_wait(wait, 1000), QUBE_E_CANCELED);
	QT_INT(qube_op_get_error(wait)->code, QUBE_E_CANCELED);
	QT_INT(qube_op_get_state(wait), QUBE_OP_FAILED);
	QT_INT(qube_op_cancel(wait), QUBE_E_STATE);
	QT_INT(qube_domain_start(d, &start), 0);
	QT_INT(qube_op_cancel(start), QUBE_E_NOTSUP);
	QT_INT(qube_op_wait(start, 1000), 0);
}

QTEST(op, a_start_is_traced_stage_by_stage)
{
	static const char *const names[] = { "prepare", "create",   "/launch", "run",
					     "agent",	"/connect", "up" };
	struct qube_op_stage st[16];
	struct qube_op_progress p = { .size = sizeof(p) };
	struct qube_op_progress small = { .size = 8 };
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	OP op = NULL;
	size_t n;

	QT_INT(qube_domain_start(d, &op), 0);
	QT_INT(qube_op_wait(op, 1000), 0);
	n = qube_op_trace(op, st, 16);
	QT_INT(n, 7);
	for (size_t i = 0; i < n; i++)
		QT_STR(st[i].name, names[i]);
	QT_INT(qube_op_trace(op, st, 1), 7);
	QT_INT(qube_op_progress_fetch(op, &p), 0);
	QT_INT(p.state, QUBE_OP_DONE);
	QT_STR(p.stage, "up");
	QT_INT(qube_op_progress_fetch(op, &small), QUBE_E_INVALID);
}

/* Each begins where the one before it at its level ended, or later, and ends within its stage. */
static bool is_nested(const struct qube_op_stage *st, size_t n)
{
	uint64_t end[2] = { 0, 0 };
	const struct qube_op_stage *stage = NULL;

	for (size_t i = 0; i < n; i++) {
		bool part = *st[i].name == '/';

		if (!st[i].duration_ns || st[i].start_ns < end[part])
			return false;
		end[part] = st[i].start_ns + st[i].duration_ns;
		if (part && (!stage || st[i].start_ns < stage->start_ns ||
			     end[1] > stage->start_ns + stage->duration_ns))
			return false;
		if (!part)
			stage = &st[i];
	}
	return true;
}

QTEST(op, parts_lie_within_their_stages)
{
	struct qube_op_stage st[16];
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	OP op = NULL;
	OP stop = NULL;
	size_t n;

	QT_INT(qube_domain_start(d, &op), 0);
	QT_INT(qube_op_wait(op, 1000), 0);
	n = qube_op_trace(op, st, 16);
	QT_INT(n, 7);
	QT_TRUE(is_nested(st, n));
	QT_INT(qube_domain_shutdown(d, NULL, &stop), 0);
	QT_INT(qube_op_wait(stop, 1000), 0);
	n = qube_op_trace(stop, st, 16);
	QT_INT(n, 3);
	QT_STR(st[0].name, "shutdown");
	QT_STR(st[1].name, "/guest");
	QT_STR(st[2].name, "/settle");
	QT_TRUE(is_nested(st, n));
}

QTEST(op, what_another_host_told_is_left_as_it_is)
{
	struct qube_op_stage st[4];
	CTX ctx = rig_open();
	OP op = NULL;
	size_t n;

	QT_INT(qube__op_create(&op, ctx), 0);
	qube__op_stage(op, "request");
	qube__op_told(op, "kill", UINT64_MAX / 2, 0);
	qube__op_told(op, "/nonsense", 7, 8);
	qube__op_told(op, "nonsense", 9, 10);
	qube__op_finish(op, 0);
	qube__op_part(op, "/copy");
	n = qube_op_trace(op, st, 4);
	QT_INT(n, 3);
	QT_STR(st[0].name, "kill");
	QT_INT(st[0].start_ns, UINT64_MAX / 2);
	QT_INT(st[0].duration_ns, 0);
	QT_STR(st[1].name, "/other");
	QT_STR(st[2].name, "other");
	QT_INT(st[2].duration_ns, 10);
}

QTEST(op, more_stages_than_fit_are_left_out)
{
	CTX ctx = rig_open();
	OP op = NULL;

	QT_INT(qube__op_create(&op, ctx), 0);
	qube__op_part(op, "/copy");
	QT_INT(qube_op_trace(op, NULL, 0), 0);
	for (int i = 0; i < 100; i++) {
		qube__op_stage(op, "copy");
		qube__op_part(op, "/flush");
		qube__op_told(op, "copy", 1, 1);
	}
	QT_TRUE(qube_op_trace(op, NULL, 0) <= 48);
	qube__op_finish(op, 0);
}

QTEST(op, an_operation_keeps_its_own_error)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	qube_domain *none = NULL;
	OP start = NULL;
	OP kill = NULL;

	QT_INT(qube_domain_start(d, &start), 0);
	QT_INT(qube_domain_kill(d, &kill), 0);
	QT_INT(qube_op_wait(kill, 1000), 0);
	QT_INT(qube_domain_open(&none, ctx, "nobody"), QUBE_E_NOENT);
	QT_INT(qube_op_get_error(start)->code, QUBE_E_STATE);
	QT_INT(qube_op_wait(start, 0), QUBE_E_STATE);
	QT_STR(qube_error_last()->message, qube_op_get_error(start)->message);
}

/* Each of these closes the context with something of it still held or under way. */
QTEST(op, handles_are_released_in_any_order)
{
	qube_ctx *ctx = rig_open();
	qube_domain *d = rig_domain(ctx, "work");
	qube_op *op = NULL;

	QT_INT(qube_domain_start(d, &op), 0);
	qube_ctx_unref(ctx);
	qube_domain_unref(d);
	QT_INT(qube_op_wait(op, 1000), 0);
	qube_op_ref(op);
	qube_op_unref(op);
	qube_op_unref(op);
}

QTEST(op, a_context_closes_though_a_callback_was_never_delivered)
{
	struct heard h = { 0 };
	struct qube_op_callback cb = hear(&h);
	qube_ctx *ctx = rig_open();
	qube_domain *d = rig_domain(ctx, "work");
	qube_op *op = NULL;

	QT_INT(qube_domain_start(d, &op), 0);
	QT_INT(qube_op_set_callback(op, &cb), 0);
	QT_INT(qube_op_wait(op, 1000), 0);
	qube_op_unref(op);
	qube_domain_unref(d);
	QT_INT(h.frees, 0);
	qube_ctx_unref(ctx);
	QT_INT(h.calls, 0);
	QT_INT(h.frees, 1);
}

QTEST(op, a_context_closes_while_operations_run_that_nobody_holds)
{
	struct heard h[3] = { { 0 } };
	struct qube_op_callback cb[3] = { hear(&h[0]), hear(&h[1]), hear(&h[2]) };
	qube_ctx *ctx = rig_open();
	qube_domain *d = rig_domain(ctx, "work");
	qube_domain *dvm = rig_domain(ctx, "dvm");
	qube_op *op[3] = { NULL };

	QT_INT(qube_domain_start(d, &op[0]), 0);
	QT_INT(qube_domain_wait(d, QUBE_STATE_PAUSED, &op[1]), 0);
	QT_INT(qube_domain_clone(dvm, "copy", &op[2]), 0);
	for (int i = 0; i < 3; i++) {
		QT_INT(qube_op_set_callback(op[i], &cb[i]), 0);
		qube_op_unref(op[i]);
	}
	qube_domain_unref(d);
	qube_domain_unref(dvm);
	QT_INT(h[0].frees + h[1].frees + h[2].frees, 0);
	qube_ctx_unref(ctx);
	for (int i = 0; i < 3; i++) {
		QT_INT(h[i].calls, 0);
		QT_INT(h[i].frees, 1);
	}
}

static void keep(void *user, qube_op *op)
{
	qube_op **kept = user;

	*kept = qube_op_ref(op);
}

QTEST(op, a_reference_taken_in_the_callback_keeps_the_context)
{
	qube_op *kept = NULL;
	struct qube_op_callback cb = { .fn = keep, .user = &kept };
	qube_ctx *ctx = rig_open();
	qube_domain *d = rig_domain(ctx, "work");
	qube_op *op = NULL;

	QT_INT(qube_domain_start(d, &op), 0);
	QT_INT(qube_op_set_callback(op, &cb), 0);
	qube_op_unref(op);
	qube_domain_unref(d);
	for (int i = 0; i < 100 && !kept; i++)
		qube_ctx_dispatch(ctx, 0);
	QT_TRUE(kept != NULL);
	qube_ctx_unref(ctx);
	QT_INT(qube_op_wait(kept, 0), 0);
	qube_op_unref(kept);
}

static void drop_ctx(void *user, qube_op *op)
{
	(void)op;
	qube_ctx_unref(user);
}

QTEST(op, a_callback_may_release_the_last_reference_to_its_context)
{
	qube_ctx *ctx = rig_open();
	qube_domain *d = rig_domain(ctx, "work");
	struct qube_op_callback cb = { .fn = drop_ctx, .user = ctx };
	qube_op *op = NULL;

	QT_INT(qube_domain_start(d, &op), 0);
	QT_INT(qube_op_set_callback(op, &cb), 0);
	QT_INT(qube_op_wait(op, 1000), 0);
	qube_op_unref(op);
	qube_domain_unref(d);
	QT_TRUE(qube_ctx_dispatch(ctx, 0) >= 0);
}
