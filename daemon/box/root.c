/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The box assembles its root: what is its own is made before the trees are there, then each mount
 * point is found below the root's descriptor without following anything, and what cannot be found
 * so is a refusal, not a guess. The tree's content is the guest's. */
#include "box.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { RUN_BYTES = 64 << 20, TMP_BYTES = 256 << 20 };

static const char in_root[] = "root volume";
static const char in_private[] = "private volume";

static int mount_at(int tree, int root, const char *path, mode_t mode)
{
	qube__autofd at = tree < 0 ? -1 : box_dir(root, path, mode, in_root);

	return at < 0 ? -1 : box_attach(tree, at, "", path);
}

/* /rw, and what is kept in it: home and usr/local. */
static int mount_kept(int rw, int root, const char *kept, const char *path)
{
	qube__autofd dir = box_dir(rw, kept, 0755, in_private);
	qube__autofd tree = -1;

	if (dir < 0)
		return -1;
	tree = box_clone_tree(dir, -1, 0, 0, path);
	return tree < 0 ? -1 : mount_at(tree, root, path, 0755);
}

static int make_local_dirs(int rw)
{
	static const char *const dirs[] = { "usrlocal/bin", "usrlocal/etc",  "usrlocal/include",
					    "usrlocal/lib", "usrlocal/sbin", "usrlocal/share",
					    "usrlocal/src" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		qube__autofd dir = box_dir(rw, dirs[i], 0755, in_private);

		if (dir < 0)
			return -1;
	}
	return 0;
}

static int mount_private(const struct qube__box_spec *spec, int tree, int root)
{
	const struct qube__box_volume *v = &spec->private_volume;
	qube__autofd made = -1;
	struct stat st;
	int rw = tree;

	if (v->kind == QUBE__BOX_VOLUME_NONE)
		return 0;
	if (v->kind == QUBE__BOX_VOLUME_TMPFS) {
		made = box_tmpfs(v->size_bytes, "0755", MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID,
				 "qube-private");
		rw = made;
	}
	if (rw < 0 || mount_at(rw, root, "rw", 0755) < 0)
		return -1;
	/* First use; later a guest may do without any of them. */
	if (fstatat(rw, "usrlocal", &st, AT_SYMLINK_NOFOLLOW) < 0 && make_local_dirs(rw) < 0)
		return -1;
	if (mount_kept(rw, root, "home", "home") < 0)
		return -1;
	return mount_kept(rw, root, "usrlocal", "usr/local");
}

static int mount_tmp(const struct qube__box_spec *spec, int tree, int root)
{
	const struct qube__box_volume *v = &spec->volatile_volume;
	qube__autofd tmpfs = -1;

	if (v->kind == QUBE__BOX_VOLUME_TREE)
		return mount_at(tree, root, "tmp", 01777);
	tmpfs = box_tmpfs(v->kind == QUBE__BOX_VOLUME_TMPFS ? v->size_bytes : TMP_BYTES, "1777",
			  MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, "qube-tmp");
	return mount_at(tmpfs, root, "tmp", 01777);
}

/* Features service.NAME as programs of Qubes OS look for them: a file for each that is on. */
static int make_services(int run, const char *names)
{
	char path[sizeof("qubes-service/") + QUBE__BOX_SERVICE_MAX];

	if (mkdirat(run, "qubes-service", 0755) < 0)
		return box_fail("cannot make the directories of /run");
	for (const char *p = names; *p; p += *p == ' ') {
		int n = (int)strcspn(p, " ");
		qube__autofd fd = -1;

		snprintf(path, sizeof(path), "qubes-service/%.*s", n, p);
		fd = openat(run, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (fd < 0 && errno != EEXIST)
			return box_fail("cannot make the flag of a service");
		p += n;
	}
	return 0;
}

static int make_run(const struct qube__box_spec *spec, const char *place)
{
	qube__autofd run =
		box_tmpfs(RUN_BYTES, "0755", MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, "qube-run");

	if (run < 0 || box_attach(run, AT_FDCWD, place, "/run") < 0)
		return -1;
	if (mkdirat(run, "qubes", 0755) < 0 || mkdirat(run, "lock", 01777) < 0 ||
	    fchmodat(run, "lock", 01777, 0) < 0 || mkdirat(run, "user", 0755) < 0 ||
	    mkdirat(run, "qube", 0755) < 0 || mkdirat(run, "qube/guest", 0755) < 0)
		return box_fail("cannot make the directories of /run");
	if (make_services(run, spec->services) < 0)
		return -1;
	return qube__steal_fd(&run);
}

/* The host's /sys tells of the host; an empty one tells of nothing. */
static int make_sys(void)
{
	return box_tmpfs(4096, "0555",
			 MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC |
				 MOUNT_ATTR_RDONLY,
			 "qube-sys");
}

/* The old root is stacked below the new one at the same place, then taken away. */
static int pivot(int root)
{
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return box_fail("cannot enter the root volume");
	if (umount2(".", MNT_DETACH) < 0)
		return box_fail("cannot leave the host's mounts");
	if (chdir("/") < 0)
		return box_fail("cannot enter the new root");
	return 0;
}

int box_make_own(struct box_own *own, const struct qube__box_spec *spec,
		 const struct box_devices *d)
{
	if (sethostname(spec->name, strlen(spec->name)) < 0)
		return box_fail("cannot set the host name");
	/* The places are in the launcher's scratch directory, whose mounts came along as a copy. */
	own->sys = make_sys();
	own->dev = box_make_dev("dev", d);
	own->run = make_run(spec, "run");
	if (own->sys < 0 || own->dev < 0 || own->run < 0)
		return -1;
	own->proc = box_make_proc("proc", own->dev, (spec->flags & QUBE__BOX_USERNS) != 0);
	return own->proc < 0 ? -1 : 0;
}

int box_enter_root(const struct qube__box_spec *spec, const struct box_trees *t,
		   const struct box_own *own)
{
	if (box_attach(t->root, AT_FDCWD, "root", "the root volume") < 0)
		return -1;
	if (mount_at(own->sys, t->root, "sys", 0555) < 0 ||
	    mount_at(own->dev, t->root, "dev", 0755) < 0 ||
	    mount_at(own->proc, t->root, "proc", 0555) < 0 ||
	    mount_at(own->run, t->root, "run", 0755) < 0)
		return -1;
	if (t->guest >= 0 &&
	    box_attach(t->guest, own->run, "qube/guest", "the guest's programs") < 0)
		return -1;
	if (mount_tmp(spec, t->tmp, t->root) < 0 || mount_private(spec, t->rw, t->root) < 0)
		return -1;
	return pivot(t->root);
}
