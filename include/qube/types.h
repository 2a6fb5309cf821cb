/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file types.h
 * What every other public header needs: visibility, handles, version.
 */
#ifndef QUBE_TYPES_H
#define QUBE_TYPES_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define QUBE_API __attribute__((visibility("default")))
#else
#define QUBE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Version of these headers. */
enum { QUBE_VERSION_MAJOR = 0, QUBE_VERSION_MINOR = 1, QUBE_VERSION_PATCH = 0 };

/** A connection to, or an instance of, a host of qubes. */
typedef struct qube_ctx qube_ctx;
/** One qube (the Admin API calls it a domain or VM). */
typedef struct qube_domain qube_domain;
/** One long operation: a start, a call, an import. */
typedef struct qube_op qube_op;
/** A loaded policy, independent of any context. */
typedef struct qube_policy qube_policy;
/** A subscription to events. */
typedef struct qube_subscription qube_subscription;

/**
 * Version of the loaded library.
 *
 * @return (major << 16) | (minor << 8) | patch
 * @par Thread  Any.
 * @par Since   0.1
 */
QUBE_API uint32_t qube_version(void);

/**
 * Release memory that the library returned as owned.
 *
 * @param[in] ptr  a pointer returned as owned, or NULL
 * @par Thread  Any.
 * @par Since   0.1
 */
QUBE_API void qube_free(void *ptr);

#ifdef __cplusplus
}
#endif

#endif
