/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A context that is connected to another process's host, over the Admin API's socket. */
#ifndef QUBE_REMOTE_REMOTE_H
#define QUBE_REMOTE_REMOTE_H

#include "core/backend.h"

int qube__remote_open(qube_ctx **out, const struct qube_ctx_opts *opts);
/* One request on a connection of its own; blocks until it is answered. */
int qube__remote_call(char **out, size_t *len, qube_ctx *ctx, const struct qube_admin_request *req);

#endif
