/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The Admin API over this host: one table of methods, served on sockets, to qubes, and in-process.
 */
#ifndef QUBE_ADMIN_ADMIN_H
#define QUBE_ADMIN_ADMIN_H

#include "core/host.h"

/* fd: a connected stream socket; transferred, also on failure. */
int qube__admin_serve(struct qube__host *h, int fd);
/* Drops every connection; the host closes. */
void qube__admin_close(struct qube__host *h);
/* A call of a qube whose target is the host (core/host.h). */
void qube__admin_from_guest(struct qube__host *h, const struct qube__host_service *s);
/* One request of this process; streaming methods are refused. */
int qube__admin_local(char **out, size_t *len, struct qube__host *h,
		      const struct qube_admin_request *req);

#endif
