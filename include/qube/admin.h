/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file admin.h
 * The Qubes Admin API: serving it on a socket, and speaking it.
 */
#ifndef QUBE_ADMIN_H
#define QUBE_ADMIN_H

#include <qube/error.h>
#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Serve one connection of an Admin API client. The context reads the request (one a connection,
 * with a size limit and a deadline), answers and closes, here or inside dispatch.
 *
 * The caller says who may connect: whoever holds the other end is treated as the host itself.
 *
 * @param[in] ctx  an embedded or fake context
 * @param[in] fd   a connected stream socket. Transferred, also when this call fails.
 * @return 0, or
 * @retval QUBE_E_NOTSUP  a connected context
 * @retval QUBE_E_LIMIT   too many connections
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_admin_serve(qube_ctx *ctx, int fd);

/** One request of the Admin API. */
struct qube_admin_request {
	uint32_t size;	      /**< sizeof(struct qube_admin_request) */
	uint32_t reserved0;   /**< must be 0 */
	const char *dest;     /**< name of a qube; NULL: "dom0" */
	const char *method;   /**< "admin.vm.List" */
	const char *argument; /**< NULL: none */
	const void *payload;  /**< payload_len bytes */
	uint64_t payload_len; /**< at most 65,000 */
};

/**
 * Make one request and wait for its answer; streaming methods are refused.
 *
 * @param[out] out      content of the answer with a NUL behind it. Owned: qube_free().
 * @param[out] out_len  its length; may be NULL
 * @param[in]  ctx      the context
 * @param[in]  req      borrowed for the call
 * @return 0, or
 * @retval QUBE_E_NOTSUP  the host has no such method
 * @return or the code that belongs to the exception that was answered (qube_error.detail)
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_admin_call(char **out, size_t *out_len, qube_ctx *ctx,
			     const struct qube_admin_request *req);

#ifdef __cplusplus
}
#endif

#endif
