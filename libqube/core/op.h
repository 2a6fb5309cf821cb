/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Long operations. Whoever does the work holds a reference until it calls finish. */
#ifndef QUBE_CORE_OP_H
#define QUBE_CORE_OP_H

#include <qube/op.h>

#include "base/error.h"
#include "base/list.h"

#include <stdbool.h>

struct qube_op {
	uint32_t refs;		/* all */
	uint32_t inner;		/* of them the library's own, which do not keep ctx open: the op */
	qube_ctx *ctx;		/* holds it while the application has a reference */
	struct qube__list link; /* ctx->ops until it is finished */
	bool canceling;		/* at the context's close */
	uint32_t state;
	int32_t exit_code;
	struct qube__err err;
	struct qube_op_callback cb;
	struct qube__list ready; /* ctx->ready while its callback is due */
	uint64_t began_ns;
	struct qube_op_stage stages[48];
	size_t n_stages;
	size_t n_told; /* of them told by another host, and ended */
	uint64_t done_bytes;
	uint64_t total_bytes;
	uint64_t total_files;
	/* Of an op inside another's work: told from the loop when it is over. May only take note.
	 */
	void (*over)(void *user, struct qube_op *op);
	void *over_user;
	/* Asks the worker to stop; it finishes the op later. NULL: cannot be canceled. */
	int (*cancel)(struct qube_op *op);
	void *work; /* the worker's own */
};

/* For the application: its reference and the worker's. */
int qube__op_create(qube_op **out, qube_ctx *ctx);
/* For the library: both references are inner ones. */
int qube__op_create_inner(qube_op **out, qube_ctx *ctx);
/* References inside the library. */
qube_op *qube__op_hold(qube_op *op);
void qube__op_drop(qube_op *op);
/* Asks everything that still runs to stop; the context closes. */
void qube__op_cancel_all(qube_ctx *ctx);
/* The stage that runs now; ends the one before. name: one of the known ones. */
void qube__op_stage(qube_op *op, const char *name);
/* The part of that stage that runs now, its name with a '/'; ends the part before. */
void qube__op_part(qube_op *op, const char *name);
/* What another host measured, at the end of what is known. */
void qube__op_told(qube_op *op, const char *name, uint64_t start_ns, uint64_t duration_ns);
/* Static storage: the stage or part called so, "other" or "/other" if none is. */
const char *qube__op_stage_name(const char *name);
/* code < 0: the thread's record is kept in the op. Drops the worker's reference. */
void qube__op_finish(qube_op *op, int code);
/* The end of a public call that made op: blocks when the caller wants no handle, else hands it
 * over. r < 0: the work could not begin; the op is dropped. */
int qube__op_deliver(qube_op *op, int r, qube_op **out);
int qube__op_block(qube_op *op, int32_t timeout_ms);

#endif
