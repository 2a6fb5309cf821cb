/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A channel as a UNIX socket, for tests and for systems without Xen: the address alone says who the
 * two sides are, and who may enter the directory may be either. */
#include "vchan.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { RETRY_MS = 5 };

static int address(struct sockaddr_un *a, const char *dir, uint32_t server, uint32_t client,
		   uint32_t port)
{
	int n = snprintf(a->sun_path, sizeof(a->sun_path), "%s/vchan.%u.%u.%u.sock", dir, server,
			 client, port);

	a->sun_family = AF_UNIX;
	return n < (int)sizeof(a->sun_path) ? 0 : VCHAN_USAGE;
}

static int serve(int *out, const struct sockaddr_un *a, struct vchan_wait *w)
{
	qube__autofd s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = 0;

	unlink(a->sun_path);
	if (s < 0 || bind(s, (const struct sockaddr *)a, sizeof(*a)) < 0 || listen(s, 1) < 0)
		return VCHAN_NOT_HERE;
	for (*out = -1; *out < 0 && r == 0;) {
		*out = accept4(s, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (*out < 0)
			r = vchan_wait_for(w, s, -1);
	}
	return r;
}

static int reach(int *out, const struct sockaddr_un *a, struct vchan_wait *w)
{
	qube__autofd s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = 0;

	while (s >= 0 && r == 0) {
		if (connect(s, (const struct sockaddr *)a, sizeof(*a)) == 0) {
			*out = qube__steal_fd(&s);
			return 0;
		}
		if (errno != ENOENT && errno != ECONNREFUSED && errno != EINTR)
			break;
		r = vchan_wait_for(w, -1, RETRY_MS);
	}
	return r ? r : VCHAN_NOT_HERE;
}

int vchan_socket_open(struct qube__transport **out, const struct vchan_opts *o, const char *dir)
{
	const char *text = getenv("VCHAN_DOMAIN");
	struct sockaddr_un a = { 0 };
	struct vchan_wait w;
	uint64_t me = 0;
	int fd = -1;
	int r = 0;

	if (text && qube__text_u64(&me, text, 0x7fff) < 0)
		return VCHAN_USAGE;
	vchan_wait_begin(&w, o);
	r = address(&a, dir, o->server ? (uint32_t)me : o->peer, o->server ? o->peer : (uint32_t)me,
		    o->port);
	if (r == 0)
		r = o->server ? serve(&fd, &a, &w) : reach(&fd, &a, &w);
	if (r)
		return r;
	/* Two descriptors: each way is watched for itself. */
	if (qube__transport_pipe(out, fd, fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0)
		return VCHAN_FAILED;
	return 0;
}
