/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The dynamic linker's cache: which file a library's name stands for (ldconfig(8), the format of
 * glibc 2.2 and newer). Without one each program that starts looks for each of its libraries in
 * dozens of places. Pure. */
#ifndef QUBE_WORKER_LDCACHE_H
#define QUBE_WORKER_LDCACHE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

enum { WORKER_LDCACHE_MAX = 16 << 20 };

/* Writes a cache of those entries whose path has() knows, in their order, and how many they are.
 * Those for particular processors are left out: the linker finds them by itself. QUBE_E_PROTO: not
 * of that format, or damaged; QUBE_E_NOMEM, QUBE_E_LIMIT. */
int worker_ldcache_keep(struct qube__buf *out, size_t *kept, const void *untrusted, size_t len,
			bool (*has)(void *user, const char *path), void *user);

#endif
