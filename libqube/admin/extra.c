/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the Qubes Admin API has no call for (qube.*), and internal.GetSystemInfo. All are for the
 * host only. An operation answers when it is over, with its trace: lines "stage NAME START NS". */
#include "admin/call.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "core/domain.h"
#include "wire/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int qube__m_system_info(struct qube__admin_call *c)
{
	qube__autofree char *text = NULL;
	int r = qube__host_system_info(&text, c->host);

	return r < 0 ? r : qube__reply(c, "%s", text);
}

int qube__m_host_info(struct qube__admin_call *c)
{
	return qube__reply(c, "driver=%s\nisolation=%u\nversion=0.1.0\n", c->host->ops->name,
			   c->host->ops->isolation);
}

/* The properties of a class, listed once for all qubes of it. */
struct rows {
	const struct qube__prop *props[QUBE__PROP_COUNT];
	size_t n;
};

static int all_of(struct qube__admin_call *c, const struct qube__vm *vm, struct rows *rows)
{
	int r = qube__reply(c, "%s class=%s state=%s uuid=%s\n", vm->name,
			    qube__vm_class_name(vm->vm_class),
			    qube__vm_state_name(qube__host_state(vm)), vm->uuid);

	if (r < 0)
		return r;
	if (!rows->n)
		rows->n = qube__vm_prop_list(rows->props, vm);
	for (size_t i = 0; r == 0 && i < rows->n; i++) {
		const struct qube__prop *p = rows->props[i];
		struct qube__prop_value v;

		qube__vm_prop_read(&v, vm, qube__prop_id(p));
		r = qube__buf_append(&c->reply, "\t", 1);
		if (r == 0)
			r = qube__wire_property_line(&c->reply, p->name, v.is_default, p->type,
						     v.text);
	}
	if (r == QUBE_E_NOMEM)
		return qube__fail_nomem();
	return r < 0 ? qube__fail(r, "the reply cannot be written") : 0;
}

/* Everything of all qubes in one request: a line as of admin.vm.List, then one of
 * admin.vm.property.GetAll with a tab before it for each property. */
int qube__m_get_all(struct qube__admin_call *c)
{
	struct rows rows[QUBE__CLASS_COUNT];
	struct qube__vm *vm;
	int r = 0;

	for (int i = 0; i < QUBE__CLASS_COUNT; i++)
		rows[i].n = 0;
	for (vm = NULL; r == 0 && (vm = qube__model_next(c->host->model, vm));)
		r = all_of(c, vm, &rows[vm->vm_class]);
	return r;
}

int qube__m_log(struct qube__admin_call *c)
{
	qube__autofree char *text = NULL;
	int r = qube__host_log_read(&text, c->host, c->dest->name);

	return r < 0 ? r : qube__reply(c, "%s", text);
}

int qube__m_unenforced(struct qube__admin_call *c)
{
	struct qube__run *run = c->dest->run;

	if (!run || !run->machine || !c->host->ops->unenforced)
		return 0;
	return qube__reply(c, "%s", c->host->ops->unenforced(run->machine));
}

/* --- operations --- */

int qube__admin_put_trace(struct qube__admin_call *c, const qube_op *op)
{
	int r = 0;

	if (op->exit_code >= 0)
		r = qube__reply(c, "exit %d\n", op->exit_code);
	for (size_t i = 0; r == 0 && i < op->n_stages; i++)
		r = qube__reply(c, "stage %s %llu %llu\n", op->stages[i].name,
				(unsigned long long)op->stages[i].start_ns,
				(unsigned long long)op->stages[i].duration_ns);
	return r;
}

static void on_op(void *user, qube_op *op)
{
	struct qube__admin_call *c = user;
	int r = op->state == QUBE_OP_DONE ? qube__admin_put_trace(c, op) :
					    qube__err_restore(&op->err);

	qube__admin_done(c, r);
}

int qube__admin_make_op(struct qube__admin_call *c)
{
	return qube__op_create_inner(&c->op, &c->host->ctx);
}

int qube__admin_run_op(struct qube__admin_call *c, int r, void (*done)(void *user, qube_op *op))
{
	struct qube_op_callback cb = { .fn = done ? done : on_op, .user = c };

	if (r < 0) {
		struct qube__err err;

		qube__err_save(&err);
		qube__op_drop(c->op); /* the worker's, who never began */
		qube__op_drop(c->op);
		c->op = NULL;
		return qube__err_restore(&err);
	}
	qube_op_set_callback(c->op, &cb);
	return 1;
}

static int handle(qube_domain **out, struct qube__admin_call *c)
{
	return qube__host_domain_open(out, &c->host->ctx, c->dest->name);
}

/* Its argument is nothing or "discard". */
int qube__m_op_start(struct qube__admin_call *c)
{
	uint32_t flags = *c->req.arg ? QUBE_DOMAIN_START_DISCARD : 0;
	qube_domain *d;
	int r;

	if (flags && strcmp(c->req.arg, "discard"))
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL,
					 "qube.Start: unexpected argument");
	r = handle(&d, c);
	if (r < 0)
		return r;
	r = qube__admin_make_op(c);
	if (r == 0)
		r = qube__admin_run_op(c, qube__host_domain_start(d, flags, c->op), NULL);
	qube_domain_unref(d);
	return r;
}

int qube__m_op_clone(struct qube__admin_call *c)
{
	char name[64];
	int r = qube__payload_text(name, sizeof(name), c);

	if (r == 0)
		r = qube__admin_make_op(c);
	return r < 0 ? r :
		       qube__admin_run_op(c, qube__host_clone(c->host, c->dest, name, c->op), NULL);
}

static int parse_payload(struct qube__json **out, const struct qube__admin_call *c)
{
	int r = qube__json_parse(out, c->req.payload, c->req.payload_len, QUBE__ADMIN_REQUEST_MAX,
				 NULL);

	if (r == QUBE_E_NOMEM)
		return qube__fail_nomem();
	if (r < 0)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL,
					 "%s: the payload is not a JSON object", c->method->name);
	return 0;
}

/* A member that may be missing. */
static int get_string(const struct qube__json *j, const char *key, const char **out)
{
	int r = qube__json_get_string(j, key, out);

	if (r < 0 && r != QUBE_E_NOENT)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL, "'%s' is no text", key);
	return 0;
}

static int get_flags(const struct qube__json *j, uint32_t *out, uint32_t known)
{
	int64_t v = 0;
	int r = qube__json_get_int(j, "flags", &v, 0, UINT32_MAX);

	if ((r < 0 && r != QUBE_E_NOENT) || ((uint32_t)v & ~known))
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL, "bad flags");
	*out = (uint32_t)v;
	return 0;
}

/* Of the call's streams those that came with the request, in their order: 1 << 0, 1, 2 for input,
 * output and errors. Without the member all of them, or none. */
static int get_streams(int out[QUBE__CALL_FDS], const struct qube__json *j,
		       const struct qube__admin_call *c)
{
	int64_t streams = c->fds[0] >= 0 ? 7 : 0;
	int r = qube__json_get_int(j, "streams", &streams, 0, 7);
	int n = 0;

	for (int i = 0; i < QUBE__CALL_FDS; i++)
		out[i] = streams & 1 << i ? c->fds[n++] : -1;
	for (int i = 0; i < QUBE__CALL_FDS; i++)
		if ((c->fds[i] >= 0) != (i < n))
			r = QUBE_E_INVALID;
	if (r < 0 && r != QUBE_E_NOENT)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL,
					 "other descriptors than the call's streams");
	return 0;
}

/* {"service"|"command", "user", "flags", "streams"} */
int qube__m_op_call(struct qube__admin_call *c)
{
	qube__autojson *j = NULL;
	struct qube_call_opts o = { .size = sizeof(o) };
	int fds[QUBE__CALL_FDS];
	int r = parse_payload(&j, c);

	if (r == 0)
		r = get_string(j, "service", &o.service);
	if (r == 0)
		r = get_string(j, "command", &o.command);
	if (r == 0)
		r = get_string(j, "user", &o.user);
	if (r == 0)
		r = get_flags(j, &o.flags, QUBE_CALL_NO_START | QUBE_CALL_JUST_EXEC);
	if (r == 0)
		r = get_streams(fds, j, c);
	if (r < 0)
		return r;
	o.stdin_fd = fds[0];
	o.stdout_fd = fds[1];
	o.stderr_fd = fds[2];
	r = qube__admin_make_op(c);
	if (r < 0)
		return r;
	r = qube__admin_run_op(c, qube__link_call(c->host, c->dest, &o, c->op), NULL);
	/* The call has its own: the caller sees an end of file when that closes. */
	for (int i = 0; i < QUBE__CALL_FDS; i++)
		qube__close_fd(&c->fds[i]);
	return r;
}

/* --- long ones: a stream of progress --- */

static void frame(struct qube__admin_call *c, const char *event)
{
	char done[24];
	char total[24];
	char files[24];
	char exit_code[16];
	struct qube_op_progress p = { .size = sizeof(p) };
	const char *pairs[10] = { "stage", "",	    "done", done,   "total",
				  total,   "files", files,  "exit", exit_code };

	qube_op_progress_fetch(c->op, &p);
	pairs[1] = p.stage;
	snprintf(done, sizeof(done), "%llu", (unsigned long long)p.done_bytes);
	snprintf(total, sizeof(total), "%llu", (unsigned long long)p.total_bytes);
	snprintf(files, sizeof(files), "%llu", (unsigned long long)p.total_files);
	snprintf(exit_code, sizeof(exit_code), "%d", c->op->exit_code);
	qube__wire_admin_event(&c->reply, "", event, pairs, c->op->exit_code < 0 ? 4 : 5);
	c->stream(c);
}

/* In the end, so that what ran between two frames is seen as well. */
static void trace_frames(struct qube__admin_call *c)
{
	for (size_t i = 0; i < c->op->n_stages; i++) {
		const struct qube_op_stage *s = &c->op->stages[i];
		char start[24];
		char ns[24];
		const char *pairs[6] = { "stage", s->name, "start", start, "duration", ns };

		snprintf(start, sizeof(start), "%llu", (unsigned long long)s->start_ns);
		snprintf(ns, sizeof(ns), "%llu", (unsigned long long)s->duration_ns);
		qube__wire_admin_event(&c->reply, "", "stage", pairs, 3);
		c->stream(c);
	}
}

static void on_streamed(void *user, qube_op *op)
{
	struct qube__admin_call *c = user;
	const struct qube_error *e = &op->err.pub;
	char code[16];
	char detail[16];
	const char *pairs[6] = { "code", code, "detail", detail, "message", e->message };

	qube__timer_stop(&c->host->ctx.loop, &c->tick);
	frame(c, "progress");
	trace_frames(c);
	if (op->state == QUBE_OP_DONE) {
		frame(c, "done");
	} else {
		snprintf(code, sizeof(code), "%d", e->code);
		snprintf(detail, sizeof(detail), "%d", e->detail);
		qube__wire_admin_event(&c->reply, "", "failed", pairs, 3);
		c->stream(c);
	}
	qube__admin_done(c, 0);
}

static void on_tick(struct qube__timer *t)
{
	struct qube__admin_call *c = qube__container_of(t, struct qube__admin_call, tick);

	frame(c, "progress");
	qube__timer_set(&c->host->ctx.loop, t, t->at_ms + 200);
}

int qube__admin_stream_op(struct qube__admin_call *c, int r)
{
	r = qube__admin_run_op(c, r, on_streamed);
	if (r == 1) {
		qube__timer_init(&c->tick, on_tick);
		qube__timer_set(&c->host->ctx.loop, &c->tick, qube__now_ms() + 50);
	}
	return r;
}

/* {"name", "include", "label", "pool", "source", "key", "signature", "flags"} */
int qube__m_op_import(struct qube__admin_call *c)
{
	qube__autojson *j = NULL;
	struct qube_template_import_opts o = { .size = sizeof(o) };
	int r = parse_payload(&j, c);

	if (r == 0)
		r = get_string(j, "name", &o.name);
	if (r == 0)
		r = get_string(j, "include", &o.include);
	if (r == 0)
		r = get_string(j, "label", &o.label);
	if (r == 0)
		r = get_string(j, "pool", &o.pool);
	if (r == 0)
		r = get_string(j, "source", &o.source);
	if (r == 0)
		r = get_string(j, "key", &o.key);
	if (r == 0)
		r = get_string(j, "signature", &o.signature);
	if (r == 0)
		r = get_flags(j, &o.flags,
			      QUBE_TEMPLATE_IMPORT_HOST | QUBE_TEMPLATE_IMPORT_PLAN_ONLY |
				      QUBE_TEMPLATE_IMPORT_UNSIGNED);
	if (r == 0)
		r = qube__admin_make_op(c);
	if (r < 0)
		return r;
	return qube__admin_stream_op(c, qube__host_import(c->host, &o, c->op));
}
