/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * /dev and /proc of a box. /proc is checked to be one, shows only the box's own processes, and what
 * in it is about the machine is read-only or covered. */
#include "box.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define NOTHING (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
enum { DEV_BYTES = 1 << 20, SHM_BYTES = 256 << 20 };

static int device_nodes(int dev, const struct box_devices *d)
{
	static const char *const names[BOX_DEVICES] = { "null",	  "zero",    "full",
							"random", "urandom", "tty" };

	for (size_t i = 0; i < BOX_DEVICES; i++) {
		qube__autofd place =
			openat(dev, names[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

		if (place < 0)
			return box_fail("cannot make /dev/%s", names[i]);
		if (root_attach(d->tree[i], dev, names[i], names[i]) < 0)
			return -1;
	}
	return 0;
}

static int links(int dev)
{
	static const char *const list[][2] = {
		{ "pts/ptmx", "ptmx" },		 { "/proc/self/fd", "fd" },
		{ "/proc/self/fd/0", "stdin" },	 { "/proc/self/fd/1", "stdout" },
		{ "/proc/self/fd/2", "stderr" },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (symlinkat(list[i][0], dev, list[i][1]) < 0)
			return box_fail("cannot make /dev/%s", list[i][1]);
	return 0;
}

static int mount_on(int tree, int dir, const char *name)
{
	if (tree < 0)
		return -1;
	if (mkdirat(dir, name, 0755) < 0)
		return box_fail("cannot make /dev/%s", name);
	return root_attach(tree, dir, name, name);
}

int box_make_dev(const char *place, const struct box_devices *d)
{
	static const char *const pts_options[] = { "newinstance", NULL,	 "ptmxmode", "0666",
						   "mode",	  "620", "gid",	     "5",
						   "max",	  "256", NULL };
	qube__autofd dev =
		root_tmpfs(DEV_BYTES, "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, "qube-dev");
	qube__autofd pts = -1;
	qube__autofd shm = -1;
	qube__autofd mqueue = -1;

	if (dev < 0 || root_attach(dev, AT_FDCWD, place, "/dev") < 0)
		return -1;
	if (device_nodes(dev, d) < 0 || links(dev) < 0)
		return -1;
	pts = root_fs("devpts", pts_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (mount_on(pts, dev, "pts") < 0)
		return -1;
	shm = root_tmpfs(SHM_BYTES, "1777", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, "qube-shm");
	if (mount_on(shm, dev, "shm") < 0)
		return -1;
	mqueue = root_fs("mqueue", NULL, NOTHING);
	return mount_on(mqueue, dev, "mqueue") < 0 ? -1 : qube__steal_fd(&dev);
}

static int in_proc(int proc, const char *name, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	return (int)syscall(SYS_openat2, proc, name, &how, sizeof(how));
}

/* Names are of proc itself, which was checked to be one: nothing there leads astray. */
static int clone_in(int dir, const char *name)
{
	return open_tree(dir, name,
			 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW |
				 (name[0] ? 0 : AT_EMPTY_PATH));
}

static int make_read_only(int proc)
{
	static const char *const dirs[] = { "sys", "irq", "bus", "fs", "driver" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		qube__autofd tree = clone_in(proc, dirs[i]);

		if (tree < 0 && errno == ENOENT)
			continue;
		if (tree < 0)
			return box_fail("cannot open /proc/%s", dirs[i]);
		if (root_set_attrs(tree, NOTHING | MOUNT_ATTR_RDONLY, dirs[i]) < 0 ||
		    root_attach(tree, proc, dirs[i], dirs[i]) < 0)
			return -1;
	}
	return 0;
}

/* With clones of one tree each name that is there: /dev/null, which is read-only, for files, and
 * an empty directory for directories. */
static int cover(int proc, int tree, const char *const *names, size_t n)
{
	qube__autofd copy = -1;

	for (size_t i = 0; i < n; i++) {
		if (copy < 0)
			copy = clone_in(tree, "");
		if (copy < 0)
			return box_fail("cannot copy a cover");
		if (move_mount(copy, "", proc, names[i], MOVE_MOUNT_F_EMPTY_PATH) == 0)
			qube__close_fd(&copy);
		else if (errno != ENOENT)
			return box_fail("cannot cover /proc/%s", names[i]);
	}
	return 0;
}

static int cover_all(int proc, int dev)
{
	static const char *const files[] = {
		"sysrq-trigger",
		"kcore",
		"keys",
		"key-users",
		"timer_list",
		"timer_stats",
		"sched_debug",
		"kmsg",
		"kpagecount",
		"kpageflags",
		"kpagecgroup",
		"latency_stats",
		"kallsyms",
		"config.gz",
		"slabinfo",
		"vmallocinfo",
		"pagetypeinfo",
		"iomem",
		"ioports",
		"modules",
		/* When keys are pressed and packets arrive; what the host was booted with. */
		"interrupts",
		"softirqs",
		"schedstat",
		"cmdline",
	};
	/* The last one: a place where anybody may have the kernel keep watch. */
	static const char *const dirs[] = { "acpi", "scsi", "asound", "dynamic_debug", "pressure" };
	qube__autofd null = openat(dev, "null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	qube__autofd empty = root_tmpfs(4096, "0555", NOTHING | MOUNT_ATTR_RDONLY, "qube-cover");

	if (null < 0)
		return box_fail("cannot open the box's /dev/null");
	/* Only what is mounted somewhere can be copied. */
	if (empty < 0 || root_attach(empty, AT_FDCWD, "cover", "a cover") < 0)
		return -1;
	if (cover(proc, null, files, sizeof(files) / sizeof(files[0])) < 0)
		return -1;
	return cover(proc, empty, dirs, sizeof(dirs) / sizeof(dirs[0]));
}

/* Counted in the box's own user namespace; only we may raise it, and not after box_jail(). */
static int forbid_user_namespaces(int proc)
{
	qube__autofd fd = in_proc(proc, "sys/user/max_user_namespaces", O_WRONLY);

	if (fd < 0 || write(fd, "0", 1) != 1)
		return box_fail("cannot forbid user namespaces");
	return 0;
}

int box_make_proc(const char *place, int dev, bool userns)
{
	qube__autofd proc = root_fs("proc", NULL, NOTHING);
	struct statfs fs;

	if (proc < 0)
		return -1;
	if (fstatfs(proc, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return box_refuse("/proc is not a proc file system");
	if (root_attach(proc, AT_FDCWD, place, "/proc") < 0)
		return -1;
	if (!userns && forbid_user_namespaces(proc) < 0)
		return -1;
	if (make_read_only(proc) < 0 || cover_all(proc, dev) < 0)
		return -1;
	return qube__steal_fd(&proc);
}
