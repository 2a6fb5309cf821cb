/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file op.h
 * Long operations: started, watched, waited for, canceled, and traced stage by stage.
 *
 * A call that takes a last argument `qube_op **op` blocks until it is done when op is NULL (other
 * callbacks wait for the next dispatch), and starts and returns when it is not.
 */
#ifndef QUBE_OP_H
#define QUBE_OP_H

#include <qube/error.h>
#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** States of an operation. */
enum {
	QUBE_OP_RUNNING = 0, /**< not finished */
	QUBE_OP_DONE = 1,    /**< finished well */
	QUBE_OP_FAILED = 2   /**< finished with an error, a cancellation included */
};

/**
 * One stage of an operation's trace. A name that begins with '/' is a part of the last stage before
 * it whose name does not: what a helper or a guest did for that stage.
 */
struct qube_op_stage {
	const char *name;     /**< static storage */
	uint64_t start_ns;    /**< since the operation began */
	uint64_t duration_ns; /**< 0 while it runs */
};

/** How far an operation is. Filled by the library. */
struct qube_op_progress {
	uint32_t size;	      /**< sizeof(struct qube_op_progress), set by the caller */
	uint32_t state;	      /**< QUBE_OP_* */
	const char *stage;    /**< static storage; "" before the first stage */
	uint64_t done_bytes;  /**< so far */
	uint64_t total_bytes; /**< 0: not known */
	uint64_t total_files; /**< 0: not known */
};

/** A callback at completion. */
struct qube_op_callback {
	void (*fn)(void *user, qube_op *op); /**< called inside dispatch */
	void *user;			     /**< handed to both */
	void (*free)(void *user);	     /**< called exactly once; may be NULL */
};

/**
 * Take another reference.
 *
 * @param[in] op  the operation
 * @return op
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API qube_op *qube_op_ref(qube_op *op);

/**
 * Release a reference. The operation itself goes on.
 *
 * @param[in] op  the operation, or NULL
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API void qube_op_unref(qube_op *op);

/**
 * Be called when the operation is finished; at the next dispatch if it is already.
 *
 * @param[in] op  the operation
 * @param[in] cb  copied, replaces an earlier one; its free is called once, also on failure
 * @return 0
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_op_set_callback(qube_op *op, const struct qube_op_callback *cb);

/**
 * Wait until the operation is finished.
 *
 * @param[in] op          the operation
 * @param[in] timeout_ms  -1: for ever
 * @return 0 when it finished well, or
 * @retval QUBE_E_TIMEOUT  it still runs
 * @retval QUBE_E_INVALID  called from inside a callback
 * @return or the operation's own error, also in qube_error_last()
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_op_wait(qube_op *op, int32_t timeout_ms);

/**
 * Ask for the operation to stop early. It finishes with QUBE_E_CANCELED and undoes what it began.
 *
 * @param[in] op  the operation
 * @return 0, or
 * @retval QUBE_E_STATE   it is already finished
 * @retval QUBE_E_NOTSUP  this one cannot be canceled
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_op_cancel(qube_op *op);

/**
 * The state of the operation.
 *
 * @param[in] op  the operation
 * @return QUBE_OP_*
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API uint32_t qube_op_get_state(qube_op *op);

/**
 * What went wrong.
 *
 * @param[in] op  the operation
 * @return borrowed from op; NULL unless it failed
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API const struct qube_error *qube_op_get_error(qube_op *op);

/**
 * The exit code of a call's service (qube_domain_call()).
 *
 * @param[in] op  the operation
 * @return 0 to 255; -1 unless the operation is a call that is done
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int32_t qube_op_get_exit_code(qube_op *op);

/**
 * How far the operation is.
 *
 * @param[in]     op   the operation
 * @param[in,out] out  size set by the caller; the library writes no more than that
 * @return 0, or
 * @retval QUBE_E_INVALID  implausible size
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_op_progress_fetch(qube_op *op, struct qube_op_progress *out);

/**
 * Where the time went, stage by stage.
 *
 * @param[in]  op   the operation
 * @param[out] out  room for cap stages
 * @param[in]  cap  how many fit
 * @return how many stages there are; the first cap of them were written
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API size_t qube_op_trace(qube_op *op, struct qube_op_stage *out, size_t cap);

#ifdef __cplusplus
}
#endif

#endif
