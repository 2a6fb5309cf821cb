/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file event.h
 * What happens on a host, told as it happens. Names and fields are those of the Qubes Admin API.
 */
#ifndef QUBE_EVENT_H
#define QUBE_EVENT_H

#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One event. Allocated by the library; borrowed for the callback. */
struct qube_event {
	const char *subject;	   /**< name of the qube, "" for the host itself */
	const char *name;	   /**< "domain-start", "property-set:label", ... */
	const char *const *keys;   /**< n_fields names */
	const char *const *values; /**< n_fields values */
	uint64_t n_fields;	   /**< how many fields */
	uint64_t time_ms;	   /**< realtime clock, milliseconds since 1970 */
};

/** A callback, what it is handed, and how that is released. */
struct qube_callback {
	void (*fn)(void *user, const struct qube_event *ev); /**< called inside dispatch */
	void *user;					     /**< handed to both */
	void (*free)(void *user); /**< called exactly once; may be NULL */
};

/**
 * Be told of every event from now on.
 *
 * @param[out] out  the subscription; untouched on failure. Owned: qube_subscription_unref().
 * @param[in]  ctx  the context
 * @param[in]  cb   copied; its free is called once, also when this call fails
 * @return 0, or
 * @retval QUBE_E_NOMEM   out of memory
 * @retval QUBE_E_CLOSED  connected: the host is gone
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_ctx_subscribe(qube_subscription **out, qube_ctx *ctx,
				const struct qube_callback *cb);

/**
 * End a subscription; also from inside its own callback.
 *
 * @param[in] sub  the subscription, or NULL
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API void qube_subscription_unref(qube_subscription *sub);

#ifdef __cplusplus
}
#endif

#endif
