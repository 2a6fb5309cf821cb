/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Bytes to and from the stream. */
#include "copy/copy.h"

#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static int not_ready(struct qube__copy *c, short events)
{
	struct pollfd p = { .fd = c->fd, .events = events };

	if (c->wait)
		return c->wait(c, events);
	if (poll(&p, 1, -1) < 0 && errno != EINTR)
		return qube__fail_os("cannot wait for the stream");
	return 0;
}

static int cut_off(void)
{
	return qube__fail(QUBE_E_CLOSED, "the stream of files ended early");
}

int qube__copy_read(struct qube__copy *c, void *buf, size_t len)
{
	for (size_t got = 0; got < len;) {
		ssize_t n = read(c->fd, (char *)buf + got, len - got);
		int r = 0;

		if (n == 0)
			return cut_off();
		if (n > 0)
			got += (size_t)n;
		else if (errno == EAGAIN)
			r = not_ready(c, POLLIN);
		else if (errno != EINTR)
			r = qube__fail_os("cannot read the stream of files");
		if (r < 0)
			return r;
	}
	return 0;
}

int qube__copy_write(struct qube__copy *c, const void *buf, size_t len)
{
	for (size_t put = 0; put < len;) {
		ssize_t n = write(c->fd, (const char *)buf + put, len - put);
		int r = 0;

		if (n >= 0)
			put += (size_t)n;
		else if (errno == EPIPE || errno == ECONNRESET)
			return cut_off();
		else if (errno == EAGAIN)
			r = not_ready(c, POLLOUT);
		else if (errno != EINTR)
			r = qube__fail_os("cannot write the stream of files");
		if (r < 0)
			return r;
	}
	return 0;
}

int qube__copy_fail(const char *what, const char *name)
{
	char safe[128];

	if (errno != ENOENT)
		return qube__fail_name(what, name);
	qube__text_escape(safe, sizeof(safe), name, strlen(name));
	return qube__fail(QUBE_E_NOENT, "cannot %s %s: it is not there", what, safe);
}
