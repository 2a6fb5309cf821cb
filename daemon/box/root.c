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

static int mount_private(const struct qube__box_spec *spec, int tree, int root)
{
	const struct qube__box_volume *v = &spec->private_volume;
	qube__autofd made = -1;
	int rw = tree;

	if (v->kind == QUBE__BOX_VOLUME_NONE)
		return 0;
	if (v->kind == QUBE__BOX_VOLUME_TMPFS) {
		made = root_tmpfs(v->size_bytes, "0755", MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID,
				  "qube-private");
		rw = made;
	}
	return rw < 0 ? -1 : root_mount_private(rw, root);
}

static int mount_tmp(const struct qube__box_spec *spec, int tree, int root)
{
	const struct qube__box_volume *v = &spec->volatile_volume;
	qube__autofd tmpfs = -1;

	if (v->kind == QUBE__BOX_VOLUME_TREE)
		return root_mount_at(tree, root, "tmp", 01777);
	tmpfs = root_tmpfs(v->kind == QUBE__BOX_VOLUME_TMPFS ? v->size_bytes : TMP_BYTES, "1777",
			   MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, "qube-tmp");
	return root_mount_at(tmpfs, root, "tmp", 01777);
}

static int make_run(const struct qube__box_spec *spec, const char *place)
{
	qube__autofd run =
		root_tmpfs(RUN_BYTES, "0755", MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, "qube-run");

	if (run < 0 || root_attach(run, AT_FDCWD, place, "/run") < 0)
		return -1;
	if (root_fill_run(run, spec->services) < 0)
		return -1;
	if (mkdirat(run, "qube/guest", 0755) < 0)
		return box_fail("cannot make the directories of /run");
	return qube__steal_fd(&run);
}

/* The host's /sys tells of the host; an empty one tells of nothing. */
static int make_sys(void)
{
	return root_tmpfs(4096, "0555",
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
	if (root_attach(t->root, AT_FDCWD, "root", "the root volume") < 0)
		return -1;
	if (root_mount_at(own->sys, t->root, "sys", 0555) < 0 ||
	    root_mount_at(own->dev, t->root, "dev", 0755) < 0 ||
	    root_mount_at(own->proc, t->root, "proc", 0555) < 0 ||
	    root_mount_at(own->run, t->root, "run", 0755) < 0)
		return -1;
	if (t->guest >= 0 &&
	    root_attach(t->guest, own->run, "qube/guest", "the guest's programs") < 0)
		return -1;
	if (mount_tmp(spec, t->tmp, t->root) < 0 || mount_private(spec, t->rw, t->root) < 0)
		return -1;
	return pivot(t->root);
}
