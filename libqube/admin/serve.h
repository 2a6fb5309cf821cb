/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the sockets of the Admin API share: serve.c (connections) and door.c (packets). */
#ifndef QUBE_ADMIN_SERVE_H
#define QUBE_ADMIN_SERVE_H

#include "admin/admin.h"

#include <stdint.h>
#include <sys/types.h>

/* A whole request. fds: the connection that it is answered on, and perhaps those of a call;
 * transferred, also on failure. */
int qube__admin_serve_packet(struct qube__host *h, const int *fds, size_t n_fds,
			     const void *untrusted, size_t len, uid_t uid, gid_t gid);
void qube__admin_close_doors(struct qube__host *h);

#endif
