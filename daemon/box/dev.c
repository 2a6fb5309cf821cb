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

static const char in_root[] = "root volume";

static int device_nodes(int dev, const struct box_devices *d)
{
	static const char *const names[BOX_DEVICES] = { "null",	  "zero",    "full",
							"random", "urandom", "tty" };

	for (size_t i = 0; i < BOX_DEVICES; i++) {
		qube__autofd place =
			openat(dev, names[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

		if (place < 0)
			return box_fail("cannot make /dev/%s", names[i]);
		if (box_attach(d->tree[i], dev, names[i], names[i]) < 0)
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
	return box_attach(tree, dir, name, name);
}

int box_make_dev(int root, const struct box_devices *d)
{
	static const char *const pts_options[] = { "newinstance", NULL,	 "ptmxmode", "0666",
						   "mode",	  "620", "gid",	     "5",
						   "max",	  "256", NULL };
	qube__autofd at = box_dir(root, "dev", 0755, in_root);
	qube__autofd dev = -1;
	qube__autofd pts = -1;
	qube__autofd shm = -1;
	qube__autofd mqueue = -1;

	if (at < 0)
		return -1;
	dev = box_tmpfs(DEV_BYTES, "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, "qube-dev");
	if (dev < 0 || box_attach(dev, at, "", "/dev") < 0)
		return -1;
	if (device_nodes(dev, d) < 0 || links(dev) < 0)
		return -1;
	pts = box_fs("devpts", pts_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (mount_on(pts, dev, "pts") < 0)
		return -1;
	shm = box_tmpfs(SHM_BYTES, "1777", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, "qube-shm");
	if (mount_on(shm, dev, "shm") < 0)
		return -1;
	mqueue = box_fs("mqueue", NULL, NOTHING);
	return mount_on(mqueue, dev, "mqueue");
}

static int in_proc(int proc, const char *name, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	return (int)syscall(SYS_openat2, proc, name, &how, sizeof(how));
}

static int make_read_only(int proc)
{
	static const char *const dirs[] = { "sys", "irq", "bus", "fs", "driver" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		qube__autofd at = in_proc(proc, dirs[i], O_PATH | O_DIRECTORY);
		qube__autofd tree = -1;

		if (at < 0 && errno == ENOENT)
			continue;
		if (at < 0)
			return box_fail("cannot open /proc/%s", dirs[i]);
		tree = box_clone_tree(at, -1, NOTHING | MOUNT_ATTR_RDONLY, 0, dirs[i]);
		if (tree < 0 || box_attach(tree, at, "", dirs[i]) < 0)
			return -1;
	}
	return 0;
}

/* A cover is /dev/null for a file and an empty directory for a directory. */
static int cover(int proc, int null, const char *name)
{
	qube__autofd at = in_proc(proc, name, O_PATH);
	qube__autofd tree = -1;
	struct stat st;

	if (at < 0 && errno == ENOENT)
		return 0;
	if (at < 0 || fstat(at, &st) < 0)
		return box_fail("cannot open /proc/%s", name);
	if (S_ISDIR(st.st_mode))
		tree = box_tmpfs(4096, "0555", NOTHING | MOUNT_ATTR_RDONLY, "qube-cover");
	else
		tree = box_clone_tree(null, -1, MOUNT_ATTR_RDONLY, 0, "/dev/null");
	return tree < 0 ? -1 : box_attach(tree, at, "", name);
}

static int cover_all(int proc, int root)
{
	static const char *const names[] = {
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
		"acpi",
		"scsi",
		"asound",
		"dynamic_debug",
		/* When keys are pressed and packets arrive; what the host was booted with; a
		 * place where anybody may have the kernel keep watch. */
		"interrupts",
		"softirqs",
		"schedstat",
		"cmdline",
		"pressure",
	};
	qube__autofd null = openat(root, "dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (null < 0)
		return box_fail("cannot open the box's /dev/null");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (cover(proc, null, names[i]) < 0)
			return -1;
	return 0;
}

/* Counted in the box's own user namespace; only we may raise it, and not after box_jail(). */
static int forbid_user_namespaces(int proc)
{
	qube__autofd fd = in_proc(proc, "sys/user/max_user_namespaces", O_WRONLY);

	if (fd < 0 || write(fd, "0", 1) != 1)
		return box_fail("cannot forbid user namespaces");
	return 0;
}

int box_make_proc(int root, bool userns)
{
	qube__autofd at = box_dir(root, "proc", 0555, in_root);
	qube__autofd proc = -1;
	struct statfs fs;

	if (at < 0)
		return -1;
	proc = box_fs("proc", NULL, NOTHING);
	if (proc < 0)
		return -1;
	if (fstatfs(proc, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return box_refuse("/proc is not a proc file system");
	if (box_attach(proc, at, "", "/proc") < 0)
		return -1;
	if (!userns && forbid_user_namespaces(proc) < 0)
		return -1;
	if (make_read_only(proc) < 0)
		return -1;
	return cover_all(proc, root);
}
