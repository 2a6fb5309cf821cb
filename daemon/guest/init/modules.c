/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernel modules of the first file system, in the order that /modules/order lists. */
#include "init.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#ifndef MODULE_INIT_COMPRESSED_FILE
#define MODULE_INIT_COMPRESSED_FILE 4
#endif

enum { ORDER_MAX = 64 * 1024 };

static void load(int dir, const char *name)
{
	size_t n = strlen(name);
	bool packed = n < 3 || strcmp(name + n - 3, ".ko") != 0;
	qube__autofd fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 &&
	    (syscall(SYS_finit_module, fd, "", packed ? MODULE_INIT_COMPRESSED_FILE : 0) == 0 ||
	     errno == EEXIST))
		return;
	/* What needs it says so later. */
	root_fail("cannot load the kernel module %s", name);
}

void init_load_modules(void)
{
	static char order[ORDER_MAX];
	qube__autofd dir = open("/modules", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	qube__autofd fd = dir < 0 ? -1 : openat(dir, "order", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, order, sizeof(order) - 1);
	char *save = NULL;

	/* A kernel may need none. */
	if (n <= 0)
		return;
	order[n] = '\0';
	for (char *p = strtok_r(order, "\n", &save); p; p = strtok_r(NULL, "\n", &save))
		load(dir, p);
	init_remove_tree(AT_FDCWD, "/modules");
}
