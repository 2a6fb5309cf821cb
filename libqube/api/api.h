/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What every public entry point does first. */
#ifndef QUBE_API_API_H
#define QUBE_API_API_H

#include "base/error.h"
#include "base/opts.h"
#include "core/backend.h"

/* Names the public function in the record and refuses a NULL argument. */
#define QUBE__ENTER(ok)                                                                            \
	do {                                                                                       \
		qube__err_enter(__func__);                                                         \
		if (!(ok))                                                                         \
			return qube__fail(QUBE_E_INVALID, "%s: a required argument is NULL",       \
					  __func__);                                               \
	} while (0)

/* Unknown flag bits are refused. */
static inline int qube__api_flags(uint32_t flags, uint32_t known)
{
	if (flags & ~known)
		return qube__fail(QUBE_E_INVALID, "unknown flag bits 0x%x", flags & ~known);
	return 0;
}

static inline int qube__api_reserved(uint32_t reserved)
{
	if (reserved)
		return qube__fail(QUBE_E_INVALID, "a reserved field is not 0");
	return 0;
}

/* A struct that the library fills: the caller said how much of it there is. */
static inline int qube__api_out(uint32_t size, size_t v1_size)
{
	if (size < v1_size || size > 4096)
		return qube__fail(QUBE_E_INVALID, "size %u is not plausible", size);
	return 0;
}

/* Makes the op of a call that may block; inside a callback only a caller that takes the op may. */
static inline int qube__api_begin(qube_op **op, qube_ctx *ctx, qube_op **wanted)
{
	int r = wanted ? 0 : qube__ctx_may_block(ctx);

	return r < 0 ? r : qube__op_create(op, ctx);
}

#endif
