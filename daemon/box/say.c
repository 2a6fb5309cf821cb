/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What qube-box tells the driver. */
#include "box.h"

#include "base/io.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int box_send(const struct qube__box_reply *r, int fd)
{
	uint8_t bytes[QUBE__BOX_REPLY_MAX];
	size_t len;

	if (qube__box_reply_encode(bytes, sizeof(bytes), &len, r) < 0)
		return -1;
	if (qube__io_send_fds(QUBE__BOX_FD_DRIVER, bytes, len, &fd, fd >= 0 ? 1 : 0) < 0)
		return -1;
	return 0;
}

static void say(uint32_t type, int32_t status, int os_errno, const char *fmt, va_list ap)
{
	struct qube__box_reply r = { .type = type, .status = status, .os_errno = os_errno };

	vsnprintf(r.text, sizeof(r.text), fmt, ap);
	box_send(&r, -1);
}

int box_fail(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	va_start(ap, fmt);
	say(QUBE__BOX_FAILED, 0, err, fmt, ap);
	va_end(ap);
	return -1;
}

int root_fail(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	va_start(ap, fmt);
	say(QUBE__BOX_FAILED, 0, err, fmt, ap);
	va_end(ap);
	return -1;
}

int box_refuse(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(QUBE__BOX_FAILED, 0, 0, fmt, ap);
	va_end(ap);
	return -1;
}

void box_log(int priority, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(QUBE__BOX_LOG, priority, 0, fmt, ap);
	va_end(ap);
}

void root_log(int priority, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(QUBE__BOX_LOG, priority, 0, fmt, ap);
	va_end(ap);
}

int box_reply(uint32_t type, int32_t status, int fd)
{
	struct qube__box_reply r = { .type = type, .status = status };

	return box_send(&r, fd);
}
