/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Files into and out of a qube of another host: it works with our descriptor, and with our user's
 * rights, which it knows from the socket. It keeps a pipe open while it does. */
#include "remote/request.h"
#include "remote/settings.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As admin/copy.c takes it apart. */
static char *payload_of(size_t *len, const struct qube_copy_opts *o)
{
	char flags[16];
	char max[24];
	const char *field[5] = { o->path, o->name, o->user ? o->user : "", flags, max };
	size_t at = 0;
	char *out;

	snprintf(flags, sizeof(flags), "%" PRIu32, o->flags);
	snprintf(max, sizeof(max), "%" PRIu64, o->max_bytes);
	*len = 0;
	for (int i = 0; i < 5; i++)
		*len += strlen(field[i]) + 1;
	out = malloc(*len);
	for (int i = 0; out && i < 5; i++) {
		size_t n = strlen(field[i]) + 1;

		memcpy(out + at, field[i], n);
		at += n;
	}
	return out;
}

int qube__remote_domain_copy(qube_domain *d, bool in, const struct qube_copy_opts *o, qube_op *op)
{
	qube__autofd undone = -1;
	qube__autofd works = -1;
	int fds[3] = { o->fd, -1, -1 };
	struct qube__remote_req req = {
		.method = in ? "qube.copy.In" : "qube.copy.Out",
		.dest = d->name,
		.fds = fds,
		.n_fds = 3,
		.cancelable = true,
		.undone_fd = &undone,
	};
	qube__autofree char *payload = payload_of(&req.len, o);
	int ends[2];

	if (!payload)
		return qube__fail_nomem();
	if (o->fd < 0)
		return qube__fail(QUBE_E_INVALID, "a copy has a descriptor");
	if (pipe2(ends, O_CLOEXEC) < 0)
		return qube__fail_os("cannot make a pipe");
	undone = ends[0];
	works = ends[1];
	fds[1] = fds[2] = works;
	req.payload = payload;
	return qube__remote_op(d->ctx, op, &req);
}
