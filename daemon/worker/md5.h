/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * MD5 (RFC 1321), the digest of dpkg's conffiles. It answers "is this still the package's text?",
 * never "is this authentic?". */
#ifndef QUBE_WORKER_MD5_H
#define QUBE_WORKER_MD5_H

#include <stddef.h>

/* 32 lower-case hex digits and a NUL. */
void worker_md5(char out[33], const void *data, size_t len);

#endif
