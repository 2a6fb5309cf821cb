/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube.copy.In and qube.copy.Out: files for a client of the socket, with the rights of its user. */
#include "admin/call.h"

#include "base/error.h"
#include "base/text.h"
#include "wire/copy.h"

#include <string.h>

enum { N_FIELDS = 5 };

static int bad(const struct qube__admin_call *c, const char *why)
{
	return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL, "%s: %s", c->method->name, why);
}

/* Fields that end in a NUL each: paths are bytes, and need not be UTF-8. */
static int split(const char *field[N_FIELDS], const struct qube__admin_call *c)
{
	const char *p = (const char *)c->req.payload;
	size_t left = c->req.payload_len;

	for (int i = 0; i < N_FIELDS; i++) {
		size_t n = strnlen(p, left);

		if (n == left)
			return bad(c, "a field is missing");
		field[i] = p;
		p += n + 1;
		left -= n + 1;
	}
	return left ? bad(c, "there is a field too many") : 0;
}

/* path, name, user, flags, max_bytes; what is copied, or where to, came as the first descriptor;
 * the second is kept open until all is done or undone. */
static int copy(struct qube__admin_call *c, bool in)
{
	struct qube_copy_opts o = { .size = sizeof(o) };
	struct qube__host_copy req = { .opts = &o, .in = in, .uid = c->uid, .gid = c->gid };
	const char *field[N_FIELDS];
	uint64_t flags = 0;
	int r = split(field, c);

	if (r == 0 && c->fds[0] < 0)
		r = bad(c, "it needs a descriptor: it is for sockets");
	if (r == 0 &&
	    (qube__text_u64(&flags, field[3], QUBE_COPY_NO_START | QUBE_COPY_REPLACE) < 0 ||
	     qube__text_u64(&o.max_bytes, field[4], UINT64_MAX) < 0))
		r = bad(c, "bad numbers");
	if (r == 0 &&
	    (qube__wire_copy_name(field[1], strlen(field[1])) < 0 || strlen(field[0]) > 4095))
		r = bad(c, "a bad name");
	if (r == 0)
		r = qube__admin_make_op(c);
	if (r < 0)
		return r;
	o.path = field[0];
	o.name = field[1];
	o.user = *field[2] ? field[2] : NULL;
	o.flags = (uint32_t)flags;
	o.fd = c->fds[0];
	req.works_fd = c->fds[1];
	return qube__admin_stream_op(c, qube__host_copy(c->host, c->dest, &req, c->op));
}

int qube__m_copy_in(struct qube__admin_call *c)
{
	return copy(c, true);
}

int qube__m_copy_out(struct qube__admin_call *c)
{
	return copy(c, false);
}
