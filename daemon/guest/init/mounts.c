/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a guest has mounted besides its disks, and the step into its root. */
#include "init.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>

#define NOTHING (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
enum { RUN_BYTES = 64 << 20 };

static int place(int tree, const char *path)
{
	if (tree < 0)
		return -1;
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return root_fail("cannot make %s", path);
	return root_attach(tree, AT_FDCWD, path, path);
}

static int place_in(int tree, int dir, const char *name)
{
	if (tree < 0)
		return -1;
	if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
		return root_fail("cannot make /dev/%s", name);
	return root_attach(tree, dir, name, name);
}

static int fill_dev(int dev, uint64_t shm_bytes)
{
	static const char *const pts_options[] = { "ptmxmode", "0666", "mode", "620",
						   "gid",      "5",    NULL };
	static const char *const links[][2] = { { "/proc/self/fd", "fd" },
						{ "/proc/self/fd/0", "stdin" },
						{ "/proc/self/fd/1", "stdout" },
						{ "/proc/self/fd/2", "stderr" } };
	qube__autofd pts = root_fs("devpts", pts_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	qube__autofd shm = -1;

	if (place_in(pts, dev, "pts") < 0)
		return -1;
	shm = root_tmpfs(shm_bytes, "1777", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, "qube-shm");
	if (place_in(shm, dev, "shm") < 0)
		return -1;
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlinkat(links[i][0], dev, links[i][1]) < 0 && errno != EEXIST)
			return root_fail("cannot make /dev/%s", links[i][1]);
	return 0;
}

int init_make_mounts(struct init_mounts *m)
{
	static const char *const dev_options[] = { "mode", "0755", NULL };
	struct sysinfo info;
	uint64_t half;

	*m = (struct init_mounts){ -1, -1, -1, -1, -1 };
	m->dev = root_fs("devtmpfs", dev_options, MOUNT_ATTR_NOSUID);
	if (place(m->dev, "/dev") < 0)
		return -1;
	init_console_open();
	if (sysinfo(&info) < 0)
		return root_fail("cannot tell the size of the memory");
	half = (uint64_t)info.totalram * info.mem_unit / 2;
	m->proc = root_fs("proc", NULL, NOTHING);
	m->sys = root_fs("sysfs", NULL, NOTHING);
	if (place(m->proc, "/proc") < 0 || place(m->sys, "/sys") < 0)
		return -1;
	m->run = root_tmpfs(RUN_BYTES, "0755", MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, "qube-run");
	m->tmp = root_tmpfs(half, "1777", MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, "qube-tmp");
	if (place(m->run, "/run") < 0 || place(m->tmp, "/tmp") < 0)
		return -1;
	return fill_dev(m->dev, half);
}

void init_mount_xenfs(const struct init_mounts *m)
{
	struct stat st;
	qube__autofd tree = -1;

	if (fstatat(m->proc, "xen", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	tree = root_fs("xenfs", NULL, NOTHING);
	if (tree >= 0)
		root_attach(tree, m->proc, "xen", "/proc/xen");
}

int init_move_mounts(const struct init_mounts *m, int root)
{
	if (root_mount_at(m->dev, root, "dev", 0755) < 0 ||
	    root_mount_at(m->proc, root, "proc", 0555) < 0 ||
	    root_mount_at(m->sys, root, "sys", 0555) < 0 ||
	    root_mount_at(m->run, root, "run", 0755) < 0)
		return -1;
	return root_mount_at(m->tmp, root, "tmp", 01777);
}

/* Only ever memory, and nothing that is mounted below. */
static void free_memory(void)
{
	DIR *d = opendir("/");
	struct dirent *e;
	struct statfs fs;

	if (!d)
		return;
	if (fstatfs(dirfd(d), &fs) == 0 && (fs.f_type == RAMFS_MAGIC || fs.f_type == TMPFS_MAGIC))
		while ((e = readdir(d)))
			if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
			    strcmp(e->d_name, "newroot") != 0)
				init_remove_tree(dirfd(d), e->d_name);
	closedir(d);
}

/* The first file system cannot be left by pivot_root: the new root is moved over it. */
int init_enter(void)
{
	free_memory();
	if (chdir("/newroot") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		return root_fail("cannot enter the root");
	return 0;
}
