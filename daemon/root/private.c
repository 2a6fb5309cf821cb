/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The private volume: mounted at /rw, it holds what is kept of /home and /usr/local. */
#include "root/root.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <sys/stat.h>

static const char in_private[] = "private volume";

int root_mount_at(int tree, int root, const char *path, mode_t mode)
{
	qube__autofd at = tree < 0 ? -1 : root_dir(root, path, mode, "root volume");

	return at < 0 ? -1 : root_attach(tree, at, "", path);
}

static int mount_kept(int rw, int root, const char *kept, const char *path)
{
	qube__autofd dir = root_dir(rw, kept, 0755, in_private);
	qube__autofd tree = -1;

	if (dir < 0)
		return -1;
	tree = root_clone_tree(dir, -1, 0, 0, path);
	return tree < 0 ? -1 : root_mount_at(tree, root, path, 0755);
}

static int make_local_dirs(int rw)
{
	static const char *const dirs[] = { "usrlocal/bin", "usrlocal/etc",  "usrlocal/include",
					    "usrlocal/lib", "usrlocal/sbin", "usrlocal/share",
					    "usrlocal/src" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		qube__autofd dir = root_dir(rw, dirs[i], 0755, in_private);

		if (dir < 0)
			return -1;
	}
	return 0;
}

int root_mount_private(int rw, int root)
{
	struct stat st;

	if (root_mount_at(rw, root, "rw", 0755) < 0)
		return -1;
	/* First use; later a guest may do without any of them. */
	if (fstatat(rw, "usrlocal", &st, AT_SYMLINK_NOFOLLOW) < 0 && make_local_dirs(rw) < 0)
		return -1;
	if (mount_kept(rw, root, "home", "home") < 0)
		return -1;
	return mount_kept(rw, root, "usrlocal", "usr/local");
}
