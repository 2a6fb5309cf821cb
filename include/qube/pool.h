/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file pool.h
 * Pools: where volumes are kept.
 */
#ifndef QUBE_POOL_H
#define QUBE_POOL_H

#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a pool says of itself. Filled by the library. */
struct qube_pool_info {
	uint32_t size;	      /**< sizeof(struct qube_pool_info), set by the caller */
	uint32_t reserved0;   /**< 0 */
	uint64_t total_bytes; /**< of its filesystem */
	uint64_t free_bytes;  /**< that are available to root */
	char driver[32];      /**< "tree", "reflink", "file" */
};

/**
 * The names of the pools.
 *
 * @param[out] out  NULL-terminated. Owned: qube_strings_free().
 * @param[in]  ctx  the context
 * @return 0, or
 * @retval QUBE_E_NOMEM  out of memory
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_pool_list(char ***out, qube_ctx *ctx);

/**
 * What a pool says of itself.
 *
 * @param[in,out] out   size set by the caller; the library writes no more than that
 * @param[in]     ctx   the context
 * @param[in]     name  of the pool
 * @return 0, or
 * @retval QUBE_E_NOENT  no such pool
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_pool_info_fetch(struct qube_pool_info *out, qube_ctx *ctx, const char *name);

#ifdef __cplusplus
}
#endif

#endif
