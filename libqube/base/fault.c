/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Compiled with QUBE_FAULTS only. A file beside the program, mapped by each process before its
 * first line, says which place is armed. Who reaches it says so there and stands still, whatever
 * jail it is in by then, until the test has killed whom it wants. */
#include "base/fault.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HELD_MS = 10000 }; /* a test that died must not leave us standing */

/* As tests/e2e/faults.py writes it. */
struct arming {
	_Atomic uint32_t armed;
	_Atomic uint32_t reached;
	_Atomic uint32_t go;
	_Atomic uint32_t error; /* an errno: the place that is armed fails, and goes on */
};

static struct arming *arming;
static bool inside; /* of a qube: the file is seen read-only */

static int open_file(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 8);
	char *slash;
	int fd;

	if (n < 0)
		return -1;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return -1;
	memcpy(slash + 1, "fault", sizeof("fault"));
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		return fd;
	inside = true;
	return open("/run/qube/guest/fault", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static void __attribute__((constructor)) map_file(void)
{
	int fd = open_file();
	struct stat st;
	void *at;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof(*arming)) {
		at = mmap(NULL, sizeof(*arming), inside ? PROT_READ : PROT_READ | PROT_WRITE,
			  MAP_SHARED, fd, 0);
		if (at != MAP_FAILED)
			arming = at;
	}
	close(fd);
}

/* Inside a qube the test reads of it in the log. */
static bool say_inside(enum qube__fault point)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "fault %d reached\n", (int)point);

	return write(STDERR_FILENO, text, (size_t)n) == n;
}

static bool is_armed(enum qube__fault point)
{
	return arming && arming->armed == (uint32_t)point;
}

void qube__fault(enum qube__fault point)
{
	uint64_t end;

	if (!is_armed(point) || arming->error)
		return;
	if (inside && say_inside(point))
		kill(getpid(), SIGKILL);
	/* No system call from here on: there are filters that kill. */
	arming->armed = 0;
	arming->reached = (uint32_t)point;
	end = qube__now_ms() + HELD_MS;
	while (!arming->go && qube__now_ms() < end)
		;
}

bool qube__fault_fails(enum qube__fault point)
{
	qube__fault(point);
	if (!is_armed(point) || !arming->error)
		return false;
	if (inside) {
		say_inside(point);
	} else {
		arming->armed = 0;
		arming->reached = (uint32_t)point;
	}
	errno = (int)arming->error;
	qube__fail_os("a failure that a test asked for");
	errno = (int)arming->error;
	return true;
}
