/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file host.h
 * What this machine can do, told before it bites.
 */
#ifndef QUBE_HOST_H
#define QUBE_HOST_H

#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Outcome of one check. */
enum {
	QUBE_CHECK_OK = 0,   /**< works */
	QUBE_CHECK_WARN = 1, /**< something is not enforced or slower; detail says what */
	QUBE_CHECK_FAIL = 2  /**< qubes cannot run here; detail says why */
};

/** One check. */
struct qube_check {
	uint32_t outcome;   /**< QUBE_CHECK_* */
	uint32_t reserved0; /**< 0 */
	char name[64];	    /**< "kernel", "overlay", ... */
	char detail[256];   /**< one line */
};

/**
 * Check this machine. Changes nothing that outlives the call.
 *
 * @param[out] out          owned list: qube_free()
 * @param[out] count        how many
 * @param[in]  libexec_dir  where the helper programs should be; NULL: where they are installed
 * @return the worst outcome, or
 * @retval QUBE_E_NOMEM  out of memory
 * @par Thread  Any.
 * @par Since   0.1
 */
QUBE_API int qube_host_check(struct qube_check **out, size_t *count, const char *libexec_dir);

/**
 * Check the machine of a context's host: connected, that of the daemon and with its rights.
 *
 * @param[out] out    owned list: qube_free(); untouched on failure
 * @param[out] count  how many
 * @param[in]  ctx    the context
 * @return the worst outcome, or
 * @retval QUBE_E_NOMEM   out of memory
 * @retval QUBE_E_NOTSUP  connected: the host has no such check
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_ctx_host_check(struct qube_check **out, size_t *count, qube_ctx *ctx);

#ifdef __cplusplus
}
#endif

#endif
