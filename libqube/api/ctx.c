/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * ctx.h: which kind of context, and the calls that are the same for all. */
#include <qube/ctx.h>

#include "admin/admin.h"
#include "api/api.h"
#include "core/host.h"
#include "remote/remote.h"

QUBE_API uint32_t qube_version(void)
{
	return QUBE_VERSION_MAJOR << 16 | QUBE_VERSION_MINOR << 8 | QUBE_VERSION_PATCH;
}

QUBE_API int qube_ctx_open(qube_ctx **out, const struct qube_ctx_opts *opts)
{
	struct qube_ctx_opts o;
	int r;

	QUBE__ENTER(out);
	r = qube__opts_import(&o, sizeof(o), offsetof(struct qube_ctx_opts, cgroup), opts);
	if (r == 0)
		r = qube__api_flags(o.flags,
				    QUBE_CTX_NO_GUESTS | QUBE_CTX_KEEP_QUBES | QUBE_CTX_OWN_CGROUP);
	if (r < 0)
		return r;
	switch (o.mode) {
	case QUBE_MODE_EMBEDDED:
	case QUBE_MODE_FAKE:
		r = qube__host_open(out, &o);
		if (r == 0) {
			qube__host_of(*out)->service = qube__admin_from_guest;
			qube__host_of(*out)->close_conns = qube__admin_close;
		}
		return r;
	case QUBE_MODE_CONNECTED:
		return qube__remote_open(out, &o);
	default:
		return qube__fail(QUBE_E_INVALID, "no mode %u", o.mode);
	}
}

QUBE_API qube_ctx *qube_ctx_ref(qube_ctx *ctx)
{
	ctx->refs++;
	return ctx;
}

QUBE_API void qube_ctx_unref(qube_ctx *ctx)
{
	if (!ctx || --ctx->refs)
		return;
	ctx->be->close(ctx);
}

QUBE_API int qube_ctx_get_fd(qube_ctx *ctx)
{
	return ctx->loop.epfd;
}

QUBE_API int qube_ctx_dispatch(qube_ctx *ctx, int32_t timeout_ms)
{
	int r;

	QUBE__ENTER(ctx);
	r = qube__ctx_may_block(ctx);
	if (r < 0)
		return r;
	return qube__ctx_dispatch(ctx, timeout_ms);
}

QUBE_API void qube_ctx_wakeup(qube_ctx *ctx)
{
	qube__loop_wakeup(&ctx->loop);
}

QUBE_API uint32_t qube_ctx_get_isolation(qube_ctx *ctx)
{
	return ctx->be->isolation(ctx);
}

QUBE_API const char *qube_isolation_name(uint32_t isolation)
{
	static const char *const names[] = { "none", "kernel-shared", "hypervisor" };

	return isolation < 3 ? names[isolation] : "unknown";
}

QUBE_API int qube_ctx_system_info_fetch(char **out, qube_ctx *ctx)
{
	QUBE__ENTER(out && ctx);
	return ctx->be->system_info(out, ctx);
}

QUBE_API int qube_ctx_subscribe(qube_subscription **out, qube_ctx *ctx,
				const struct qube_callback *cb)
{
	int r;

	qube__err_enter(__func__);
	if (out && ctx && cb && cb->fn)
		r = ctx->be->subscribed(ctx);
	else
		r = qube__fail(QUBE_E_INVALID, "%s: a required argument is NULL", __func__);
	if (r < 0) {
		if (cb && cb->free)
			cb->free(cb->user);
		return r;
	}
	return qube__ctx_subscribe(out, ctx, cb);
}

QUBE_API void qube_subscription_unref(qube_subscription *sub)
{
	qube__ctx_unsubscribe(sub);
}
