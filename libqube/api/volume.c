/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * volume.h. */
#include <qube/volume.h>

#include "api/api.h"

#include <stddef.h>
#include <string.h>

QUBE_API int qube_domain_volume_list(char ***out, qube_domain *d)
{
	QUBE__ENTER(out && d);
	return d->ctx->be->volume_list(out, d);
}

QUBE_API int qube_domain_volume_info_fetch(struct qube_volume_info *out, qube_domain *d,
					   const char *name)
{
	struct qube_volume_info info = { .size = sizeof(info) };
	uint32_t size;
	int r;

	QUBE__ENTER(out && d && name);
	size = out->size;
	r = qube__api_out(size, offsetof(struct qube_volume_info, revisions_to_keep));
	if (r == 0)
		r = d->ctx->be->volume_info(&info, d, name);
	if (r < 0)
		return r;
	memcpy(out, &info, size < sizeof(info) ? size : sizeof(info));
	out->size = size;
	return 0;
}

QUBE_API int qube_domain_volume_revisions(char ***out, qube_domain *d, const char *name)
{
	QUBE__ENTER(out && d && name);
	return d->ctx->be->volume_revisions(out, d, name);
}

QUBE_API int qube_domain_volume_revert(qube_domain *d, const char *name, const char *revision)
{
	QUBE__ENTER(d && name && revision);
	return d->ctx->be->volume_revert(d, name, revision);
}

QUBE_API int qube_domain_volume_set(qube_domain *d, const char *name, const char *key,
				    const char *value)
{
	QUBE__ENTER(d && name && key && value);
	return d->ctx->be->volume_set(d, name, key, value);
}

QUBE_API int qube_domain_volume_clear(qube_domain *d, const char *name)
{
	QUBE__ENTER(d && name);
	return d->ctx->be->volume_clear(d, name);
}

QUBE_API int qube_domain_volume_measure(qube_domain *d, const char *name, qube_op **op)
{
	qube_op *o;
	int r;

	QUBE__ENTER(d && name);
	r = qube__api_begin(&o, d->ctx, op);
	return r < 0 ? r : qube__op_deliver(o, d->ctx->be->volume_measure(d, name, o), op);
}

QUBE_API int qube_domain_volume_export(qube_domain *d, const char *name, int fd, qube_op **op)
{
	qube_op *o;
	int r;

	QUBE__ENTER(d && name);
	r = qube__api_begin(&o, d->ctx, op);
	return r < 0 ? r : qube__op_deliver(o, d->ctx->be->volume_export(d, name, fd, o), op);
}

QUBE_API int qube_domain_volume_import(qube_domain *d, const char *name, int fd, qube_op **op)
{
	qube_op *o;
	int r;

	QUBE__ENTER(d && name);
	r = qube__api_begin(&o, d->ctx, op);
	return r < 0 ? r : qube__op_deliver(o, d->ctx->be->volume_import(d, name, fd, o), op);
}
