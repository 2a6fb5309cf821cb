/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * admin.h: the Admin API, served and spoken. */
#include <qube/admin.h>

#include "admin/admin.h"
#include "api/api.h"
#include "core/host.h"
#include "remote/remote.h"

#include <unistd.h>

enum { PAYLOAD_MAX = 65000 };

QUBE_API int qube_admin_serve(qube_ctx *ctx, int fd)
{
	qube__err_enter(__func__);
	if (!ctx || fd < 0) {
		if (fd >= 0)
			close(fd);
		return qube__fail(QUBE_E_INVALID, "%s: no context or no descriptor", __func__);
	}
	if (ctx->mode == QUBE_MODE_CONNECTED) {
		close(fd);
		return qube__fail(QUBE_E_NOTSUP, "only a host serves the Admin API");
	}
	return qube__admin_serve(qube__host_of(ctx), fd);
}

QUBE_API int qube_admin_call(char **out, size_t *out_len, qube_ctx *ctx,
			     const struct qube_admin_request *req)
{
	struct qube_admin_request o;
	size_t len;
	int r;

	QUBE__ENTER(out && ctx && req && req->method);
	r = qube__opts_import(&o, sizeof(o), sizeof(o), req);
	if (r < 0)
		return r;
	r = qube__api_reserved(o.reserved0);
	if (r < 0)
		return r;
	if (!o.dest)
		o.dest = "dom0";
	if (o.payload_len > PAYLOAD_MAX)
		return qube__fail(QUBE_E_INVALID, "a payload of more than %d bytes", PAYLOAD_MAX);
	if (o.payload_len && !o.payload)
		return qube__fail(QUBE_E_INVALID, "a payload of %llu bytes at NULL",
				  (unsigned long long)o.payload_len);
	if (ctx->mode == QUBE_MODE_CONNECTED)
		r = qube__remote_call(out, &len, ctx, &o);
	else
		r = qube__admin_local(out, &len, qube__host_of(ctx), &o);
	if (r == 0 && out_len)
		*out_len = len;
	return r;
}
