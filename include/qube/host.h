/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file host.h
 * What this machine can do, told before it bites; and the properties of the host as a whole.
 */
#ifndef QUBE_HOST_H
#define QUBE_HOST_H

#include <qube/domain.h>
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
 * @param[in]  driver       what qubes would be made of: "local", "xen"; NULL: "local"
 * @param[in]  libexec_dir  where the helper programs should be; NULL: where they are installed
 * @return the worst outcome, or
 * @retval QUBE_E_NOENT  there is no such driver
 * @retval QUBE_E_NOMEM  out of memory
 * @par Thread  Any.
 * @par Since   0.1
 */
QUBE_API int qube_host_check(struct qube_check **out, size_t *count, const char *driver,
			     const char *libexec_dir);

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

/**
 * The names of the host's own properties: what qubes are made and started with that say nothing
 * else (default_template, default_dispvm, default_netvm, ...), and a few that concern them all.
 *
 * @param[out] out  NULL-terminated. Owned: qube_strings_free().
 * @param[in]  ctx  the context
 * @return 0, or
 * @retval QUBE_E_NOMEM  out of memory
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_ctx_property_list(char ***out, qube_ctx *ctx);

/**
 * The value of one of them.
 *
 * @param[in,out] out   size set by the caller; untouched on failure
 * @param[in]     ctx   the context
 * @param[in]     name  of the property
 * @return 0, or
 * @retval QUBE_E_NOENT  no such property, or it has no value
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_ctx_property_fetch(struct qube_property *out, qube_ctx *ctx, const char *name);

/**
 * Set one. Each qube that it gives another value, as it has none of its own, has an event
 * "property-reset:..." of that.
 *
 * @param[in] ctx    the context
 * @param[in] name   of the property
 * @param[in] value  its text; "" is none for a property that names a qube
 * @return 0, or
 * @retval QUBE_E_NOENT    no such property, or the value names nothing
 * @retval QUBE_E_INVALID  a value that is not allowed, or a property that cannot be set
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_ctx_property_set(qube_ctx *ctx, const char *name, const char *value);

/**
 * Give one its default again.
 *
 * @param[in] ctx   the context
 * @param[in] name  of the property
 * @return 0, or
 * @retval QUBE_E_NOENT  no such property
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_ctx_property_reset(qube_ctx *ctx, const char *name);

#ifdef __cplusplus
}
#endif

#endif
