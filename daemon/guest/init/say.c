/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Lines of qube-init on the guest's console. */
#include "init.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>

static int console = STDERR_FILENO;

/* A console that nobody reads must not stop the first process. */
void init_console_open(void)
{
	int fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		console = fd;
}

int init_console_fd(void)
{
	return console;
}

static void say(int os_errno, const char *fmt, va_list ap)
{
	char line[512] = "qube-init: ";
	size_t len = strlen(line);
	int n = vsnprintf(line + len, sizeof(line) - len - 80, fmt, ap);

	len += n < 0 ? 0 : (size_t)n;
	if (len > sizeof(line) - 81)
		len = sizeof(line) - 81;
	n = os_errno ? snprintf(line + len, 80, ": %s\n", strerror(os_errno)) :
		       snprintf(line + len, 80, "\n");
	len += n < 0 ? 0 : n < 80 ? (size_t)n : 79;
	if (write(console, line, len) < 0)
		return;
}

int root_fail(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	va_start(ap, fmt);
	say(err, fmt, ap);
	va_end(ap);
	return -1;
}

void root_log(int priority, const char *fmt, ...)
{
	va_list ap;

	(void)priority;
	va_start(ap, fmt);
	say(0, fmt, ap);
	va_end(ap);
}

void init_give_up(void)
{
	enum { READ_MS = 500 };

	root_log(3, "gives up, the guest is powered off");
	sync();
	/* What is said is lost with the domain when nobody has read it. */
	poll(NULL, 0, READ_MS);
	for (;;) {
		reboot(RB_POWER_OFF);
		poll(NULL, 0, READ_MS);
	}
}
