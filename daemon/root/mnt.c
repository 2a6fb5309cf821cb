/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Mounts by descriptor. No function here follows a symbolic link in a guest's tree. */
#include "root/root.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int root_open_dir(const char *host_path)
{
	int fd = open(host_path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		root_fail("cannot open the directory %s", host_path);
	return fd;
}

int root_clone_tree(int dir, int userns, uint64_t set, uint64_t clear, const char *what)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear };
	qube__autofd tree = open_tree(dir, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0)
		return root_fail("cannot copy the mount of %s", what);
	if (userns >= 0) {
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (uint32_t)userns;
	}
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0)
		return qube__steal_fd(&tree);
	if (userns >= 0 && errno == EINVAL) {
		errno = EOPNOTSUPP;
		return root_fail("the file system of %s has no idmapped mounts", what);
	}
	return root_fail("cannot %s of %s", userns >= 0 ? "shift the ids" : "set the flags", what);
}

int root_set_attrs(int tree, uint64_t set, const char *what)
{
	struct mount_attr attr = { .attr_set = set };

	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return root_fail("cannot set the flags of %s", what);
	return 0;
}

/* options: key, value, key, value, ..., NULL; a NULL value makes a flag. */
int root_fs(const char *type, const char *const *options, uint64_t attrs)
{
	qube__autofd fs = fsopen(type, FSOPEN_CLOEXEC);
	int tree;

	if (fs < 0)
		return root_fail("cannot open the file system type %s", type);
	for (size_t i = 0; options && options[i]; i += 2)
		if (fsconfig(fs, options[i + 1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			     options[i], options[i + 1], 0) < 0)
			return root_fail("%s refuses its option %s", type, options[i]);
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return root_fail("cannot make a %s file system", type);
	tree = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned int)attrs);
	if (tree < 0)
		return root_fail("cannot mount a %s file system", type);
	return tree;
}

int root_tmpfs(uint64_t size_bytes, const char *mode, uint64_t attrs, const char *what)
{
	char size[32];
	char inodes[32];
	/* An inode costs about 1 KiB of unswappable kernel memory: bound them by the same size. */
	uint64_t count = size_bytes / 4096 + 64;
	const char *options[] = { "size", size,	    "nr_inodes", inodes, "mode",
				  mode,	  "source", what,	 NULL };

	snprintf(size, sizeof(size), "%llu", (unsigned long long)size_bytes);
	snprintf(inodes, sizeof(inodes), "%llu", (unsigned long long)count);
	return root_fs("tmpfs", options, attrs);
}

int root_attach(int tree, int dir, const char *name, const char *what)
{
	unsigned int flags = MOVE_MOUNT_F_EMPTY_PATH;

	if (!name[0])
		flags |= MOVE_MOUNT_T_EMPTY_PATH;
	if (move_mount(tree, "", dir, name, flags) < 0)
		return root_fail("cannot mount %s", what);
	return 0;
}

static int open_component(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	return (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
}

int root_dir(int root, const char *path, mode_t mode, const char *whose)
{
	qube__autofd at = fcntl(root, F_DUPFD_CLOEXEC, 10);
	const char *p = path;
	char name[64];

	while (at >= 0 && *p) {
		size_t n = strcspn(p, "/");
		qube__autofd next = -1;

		if (n == 0 || n >= sizeof(name)) {
			errno = EINVAL;
			break;
		}
		memcpy(name, p, n);
		name[n] = '\0';
		p += n + (p[n] == '/');
		next = open_component(at, name);
		if (next < 0 && errno == ENOENT) {
			if (mkdirat(at, name, 0755) < 0 || (next = open_component(at, name)) < 0)
				return root_fail("cannot make /%s in the %s", path, whose);
			if (!*p && mode != 0755 && fchmodat(at, name, mode, 0) < 0)
				return root_fail("cannot set the mode of /%s in the %s", path,
						 whose);
		}
		if (next < 0 && (errno == ELOOP || errno == ENOTDIR || errno == EXDEV))
			return root_fail("/%s in the %s is not a plain directory", path, whose);
		if (next < 0)
			break;
		qube__close_fd(&at);
		at = qube__steal_fd(&next);
	}
	if (at < 0 || *p)
		return root_fail("cannot open /%s in the %s", path, whose);
	return qube__steal_fd(&at);
}
