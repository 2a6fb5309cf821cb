/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-meminfo: tells Xen's toolstack how much memory this guest uses: a number of KiB under the
 * key memory/meminfo of the guest's own part of the xenstore. Once at the beginning, then when it
 * has changed, at most once a second. A xenstore that refuses or is away is asked again later. */
#include "meminfo.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xenstore.h>

enum { EVERY_S = 1, WAIT_MAX_S = 60 };

static const char key[] = "memory/meminfo";

static int read_used(uint64_t *used)
{
	char text[GUEST_MEMINFO_MAX];
	size_t len = 0;
	int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	if (fd < 0)
		return -1;
	while (len < sizeof(text) && (n = read(fd, text + len, sizeof(text) - len)) > 0)
		len += (size_t)n;
	close(fd);
	return n == 0 ? guest_meminfo_parse(used, text, len) : -1;
}

static bool tell(struct xs_handle **xs, uint64_t used)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%" PRIu64, used);

	if (!*xs)
		*xs = xs_open(0);
	if (*xs && xs_write(*xs, XBT_NULL, key, text, (unsigned int)n))
		return true;
	if (*xs)
		xs_close(*xs);
	*xs = NULL;
	return false;
}

int main(void)
{
	struct xs_handle *xs = NULL;
	uint64_t told = 0;
	bool once = false;
	time_t wait = EVERY_S;

	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		struct timespec ts = { 0 };
		uint64_t used;

		if (read_used(&used) < 0) {
			fprintf(stderr, "qube-meminfo: /proc/meminfo makes no sense\n");
			return 1;
		}
		if (once && !guest_meminfo_differs(told, used)) {
			wait = EVERY_S;
		} else if (tell(&xs, used)) {
			told = used;
			once = true;
			wait = EVERY_S;
		} else {
			if (wait == EVERY_S)
				fprintf(stderr, "qube-meminfo: the xenstore takes no %s yet\n",
					key);
			wait = wait * 2 < WAIT_MAX_S ? wait * 2 : WAIT_MAX_S;
		}
		ts.tv_sec = wait;
		nanosleep(&ts, NULL);
	}
}
