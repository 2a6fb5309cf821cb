/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * copy.h. */
#include <qube/copy.h>

#include "api/api.h"
#include "wire/copy.h"

#include <string.h>

enum { PATH_BYTES_MAX = 4095 };

static int copy(qube_domain *d, bool in, const struct qube_copy_opts *opts, qube_op **op)
{
	struct qube_copy_opts co;
	qube_op *o;
	int r = qube__opts_import(&co, sizeof(co), sizeof(co), opts);

	if (r == 0)
		r = qube__api_flags(co.flags, QUBE_COPY_NO_START | QUBE_COPY_REPLACE);
	if (r == 0)
		r = qube__api_reserved(co.reserved0);
	if (r == 0 && (!co.path || !co.name))
		r = qube__fail(QUBE_E_INVALID, "a copy has a path and a name");
	if (r == 0 && qube__wire_copy_name(co.name, strlen(co.name)) < 0)
		r = qube__fail(QUBE_E_INVALID, "the name is not that of one entry of a directory");
	if (r == 0 && strlen(co.path) > PATH_BYTES_MAX)
		r = qube__fail(QUBE_E_INVALID, "a path of more than %d bytes", PATH_BYTES_MAX);
	if (r == 0)
		r = qube__api_begin(&o, d->ctx, op);
	return r < 0 ? r : qube__op_deliver(o, d->ctx->be->domain_copy(d, in, &co, o), op);
}

QUBE_API int qube_domain_copy_in(qube_domain *d, const struct qube_copy_opts *opts, qube_op **op)
{
	QUBE__ENTER(d && opts);
	return copy(d, true, opts, op);
}

QUBE_API int qube_domain_copy_out(qube_domain *d, const struct qube_copy_opts *opts, qube_op **op)
{
	QUBE__ENTER(d && opts);
	return copy(d, false, opts, op);
}
