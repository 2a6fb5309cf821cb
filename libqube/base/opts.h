/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Import of size-prefixed option structs: the one place, and it fails closed. */
#ifndef QUBE_BASE_OPTS_H
#define QUBE_BASE_OPTS_H

#include <stddef.h>

/* Copies src (NULL: all defaults) into dst. v1_size is the size of the struct's first release.
 * QUBE_E_INVALID for an implausible size, QUBE_E_NOTSUP for a field set beyond dst_size. */
int qube__opts_import(void *dst, size_t dst_size, size_t v1_size, const void *src);

#endif
