/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * domain.h: check arguments, call the backend. */
#include <qube/domain.h>
#include <qube/rpc.h>

#include "api/api.h"

#include <string.h>

QUBE_API int qube_domain_create(qube_domain **out, qube_ctx *ctx,
				const struct qube_domain_create_opts *opts)
{
	struct qube_domain_create_opts o;
	int r;

	QUBE__ENTER(out && ctx && opts);
	r = qube__opts_import(&o, sizeof(o), sizeof(o), opts);
	if (r == 0)
		r = qube__api_flags(o.flags,
				    QUBE_DOMAIN_CREATE_DISPOSABLE | QUBE_DOMAIN_CREATE_BOUND);
	return r < 0 ? r : ctx->be->domain_create(out, ctx, &o);
}

QUBE_API int qube_domain_open(qube_domain **out, qube_ctx *ctx, const char *name)
{
	QUBE__ENTER(out && ctx && name);
	return ctx->be->domain_open(out, ctx, name);
}

QUBE_API int qube_domain_list(qube_domain ***out, size_t *count, qube_ctx *ctx)
{
	QUBE__ENTER(out && count && ctx);
	return ctx->be->domain_list(out, count, ctx);
}

QUBE_API const char *qube_domain_get_name(qube_domain *d)
{
	return d->name;
}

QUBE_API const char *qube_domain_get_uuid(qube_domain *d)
{
	return d->uuid;
}

QUBE_API uint32_t qube_domain_get_class(qube_domain *d)
{
	return d->klass;
}

static struct qube__domain_view view_of(qube_domain *d)
{
	struct qube__domain_view v;

	d->ctx->be->domain_view(&v, d);
	return v;
}

QUBE_API uint32_t qube_domain_get_state(qube_domain *d)
{
	return view_of(d).state;
}

QUBE_API const char *qube_domain_get_label(qube_domain *d)
{
	return view_of(d).label;
}

QUBE_API const char *qube_domain_get_template(qube_domain *d)
{
	return view_of(d).template_name;
}

QUBE_API const char *qube_class_name(uint32_t klass)
{
	static const char *const names[] = { "unknown",	     "AdminVM", "TemplateVM", "AppVM",
					     "StandaloneVM", "DispVM",	"RemoteVM" };

	return klass < 7 ? names[klass] : "unknown";
}

QUBE_API const char *qube_state_name(uint32_t state)
{
	static const char *const names[] = { "NA",	"Halted", "Transient",
					     "Running", "Paused", "Suspended",
					     "Halting", "Dying",  "Crashed" };

	return state < 9 ? names[state] : "NA";
}

QUBE_API int qube_domain_start(qube_domain *d, qube_op **op)
{
	qube_op *o;
	int r;

	QUBE__ENTER(d);
	r = qube__api_begin(&o, d->ctx, op);
	return r < 0 ? r : qube__op_deliver(o, d->ctx->be->domain_start(d, 0, o), op);
}

QUBE_API int qube_domain_start_with(qube_domain *d, const struct qube_domain_start_opts *opts,
				    qube_op **op)
{
	struct qube_domain_start_opts so;
	qube_op *o;
	int r;

	QUBE__ENTER(d);
	r = qube__opts_import(&so, sizeof(so), sizeof(so), opts);
	if (r == 0)
		r = qube__api_flags(so.flags, QUBE_DOMAIN_START_DISCARD);
	if (r == 0)
		r = qube__api_begin(&o, d->ctx, op);
	return r < 0 ? r : qube__op_deliver(o, d->ctx->be->domain_start(d, so.flags, o), op);
}

QUBE_API int qube_domain_shutdown(qube_domain *d, const struct qube_domain_shutdown_opts *opts,
				  qube_op **op)
{
	struct qube_domain_shutdown_opts so;
	qube_op *o;
	int r;

	QUBE__ENTER(d);
	r = qube__opts_import(&so, sizeof(so), sizeof(so), opts);
	if (r == 0)
		r = qube__api_flags(so.flags, QUBE_DOMAIN_SHUTDOWN_FORCE |
						      QUBE_DOMAIN_SHUTDOWN_OR_KILL |
						      QUBE_DOMAIN_SHUTDOWN_KEEP);
	if (r == 0)
		r = qube__api_reserved(so.reserved0);
	if (r == 0)
		r = qube__api_begin(&o, d->ctx, op);
	return r < 0 ? r : qube__op_deliver(o, d->ctx->be->domain_shutdown(d, &so, o), op);
}

QUBE_API int qube_domain_kill(qube_domain *d, qube_op **op)
{
	qube_op *o;
	int r;

	QUBE__ENTER(d);
	r = qube__api_begin(&o, d->ctx, op);
	return r < 0 ? r : qube__op_deliver(o, d->ctx->be->domain_kill(d, o), op);
}

QUBE_API int qube_domain_wait(qube_domain *d, uint32_t state, qube_op **op)
{
	qube_op *o;
	int r;

	QUBE__ENTER(d);
	if (state < QUBE_STATE_HALTED || state > QUBE_STATE_CRASHED)
		return qube__fail(QUBE_E_INVALID, "no state %u", state);
	r = qube__api_begin(&o, d->ctx, op);
	return r < 0 ? r : qube__op_deliver(o, d->ctx->be->domain_wait(d, state, o), op);
}

QUBE_API int qube_domain_clone(qube_domain *d, const char *name, qube_op **op)
{
	qube_op *o;
	int r;

	QUBE__ENTER(d && name);
	r = qube__api_begin(&o, d->ctx, op);
	return r < 0 ? r : qube__op_deliver(o, d->ctx->be->domain_clone(d, name, o), op);
}

QUBE_API int qube_domain_call(qube_domain *d, const struct qube_call_opts *opts, qube_op **op)
{
	struct qube_call_opts co;
	qube_op *o;
	int r;

	QUBE__ENTER(d && opts);
	r = qube__opts_import(&co, sizeof(co), sizeof(co), opts);
	if (r == 0)
		r = qube__api_flags(co.flags, QUBE_CALL_NO_START | QUBE_CALL_JUST_EXEC);
	if (r == 0)
		r = qube__api_reserved(co.reserved0);
	if (r == 0)
		r = qube__api_begin(&o, d->ctx, op);
	return r < 0 ? r : qube__op_deliver(o, d->ctx->be->domain_call(d, &co, o), op);
}

QUBE_API int qube_template_import(qube_ctx *ctx, const struct qube_template_import_opts *opts,
				  qube_op **op)
{
	struct qube_template_import_opts to;
	qube_op *o;
	int r;

	QUBE__ENTER(ctx && opts);
	r = qube__opts_import(&to, sizeof(to), offsetof(struct qube_template_import_opts, source),
			      opts);
	if (r == 0)
		r = qube__api_flags(to.flags, QUBE_TEMPLATE_IMPORT_HOST |
						      QUBE_TEMPLATE_IMPORT_PLAN_ONLY |
						      QUBE_TEMPLATE_IMPORT_UNSIGNED);
	if (r == 0)
		r = qube__api_begin(&o, ctx, op);
	return r < 0 ? r : qube__op_deliver(o, ctx->be->template_import(ctx, &to, o), op);
}

QUBE_API int qube_domain_pause(qube_domain *d)
{
	QUBE__ENTER(d);
	return d->ctx->be->domain_pause(d);
}

QUBE_API int qube_domain_unpause(qube_domain *d)
{
	QUBE__ENTER(d);
	return d->ctx->be->domain_unpause(d);
}

QUBE_API int qube_domain_destroy(qube_domain *d)
{
	QUBE__ENTER(d);
	return d->ctx->be->domain_destroy(d);
}

QUBE_API const char *qube_domain_get_unenforced(qube_domain *d)
{
	return d->ctx->be->unenforced(d);
}

QUBE_API int qube_domain_stats_fetch(struct qube_domain_stats *out, qube_domain *d)
{
	struct qube_domain_stats all = { .size = sizeof(all) };
	uint32_t size;
	int r;

	QUBE__ENTER(out && d);
	size = out->size;
	r = qube__api_out(size, offsetof(struct qube_domain_stats, target_bytes));
	if (r == 0)
		r = d->ctx->be->stats(&all, d);
	if (r < 0)
		return r;
	all.size = size;
	memcpy(out, &all, size < sizeof(all) ? size : sizeof(all));
	return 0;
}

QUBE_API int qube_domain_log_fetch(char **out, qube_domain *d)
{
	QUBE__ENTER(out && d);
	return d->ctx->be->log_fetch(out, d);
}
