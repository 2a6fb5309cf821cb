/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The root for a program of the machine's own: its code and its libraries, read-only, no settings,
 * no devices, no /proc. */
#include "worker.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static int show(const char *name)
{
	char target[128];
	char at[64];
	struct stat st;
	ssize_t n;

	snprintf(at, sizeof(at), "/tmp%s", name);
	if (lstat(name, &st) < 0)
		return 0;
	if (S_ISLNK(st.st_mode)) {
		n = readlink(name, target, sizeof(target) - 1);
		if (n < 0)
			return -1;
		target[n] = '\0';
		return symlink(target, at);
	}
	if (mkdir(at, 0755) < 0 || mount(name, at, NULL, MS_BIND, NULL) < 0)
		return -1;
	return mount(NULL, at, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL);
}

int worker_program_root(void)
{
	static const char *const parts[] = { "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (show(parts[i]) < 0)
			return qube__fail_os("cannot show %s to a program", parts[i]);
	/* Where the file is mounted that it writes to. */
	if (mknod("/tmp/image", S_IFREG | 0600, 0) < 0)
		return qube__fail_os("cannot make a root for a program");
	return 0;
}
