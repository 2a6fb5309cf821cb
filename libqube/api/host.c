/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * host.h: what this machine can do. */
#include <qube/host.h>

#include "api/api.h"
#include "core/domain.h"

QUBE_API int qube_host_check(struct qube_check **out, size_t *count, const char *driver,
			     const char *libexec_dir)
{
	QUBE__ENTER(out && count);
	return qube__check_machine(out, count, driver, libexec_dir);
}

QUBE_API int qube_ctx_host_check(struct qube_check **out, size_t *count, qube_ctx *ctx)
{
	QUBE__ENTER(out && count && ctx);
	return ctx->be->host_check(out, count, ctx);
}
