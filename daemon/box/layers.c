/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The launcher's mounts: host directories become detached trees with shifted ids, layers become an
 * overlay.
 *
 * Who mounts an overlay writes through it: the work directory and every copied-up file is made with
 * the mounter's fsuid. Host root has no id on an upper that is shifted to the qube's range, so the
 * overlay would silently be read-only; the launcher therefore has the range's first id as fsuid and
 * all capabilities raised again (main.c). Layers are given as paths relative to the scratch
 * directory, because an overlay takes no detached trees before Linux 6.15, and because an option
 * may not be longer than 255 bytes. */
#include "box.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Trees come from a pool that is mounted nosuid,nodev,noexec; inside, programs run. */
static uint64_t tree_clear(const struct qube__box_spec *spec)
{
	uint64_t clear = MOUNT_ATTR_NOEXEC;

	if (spec->flags & QUBE__BOX_NEW_PRIVS)
		clear |= MOUNT_ATTR_NOSUID;
	return clear;
}

static uint64_t tree_set(const struct qube__box_spec *spec, bool read_only)
{
	uint64_t set = MOUNT_ATTR_NODEV;

	if (!(spec->flags & QUBE__BOX_NEW_PRIVS))
		set |= MOUNT_ATTR_NOSUID;
	if (read_only)
		set |= MOUNT_ATTR_RDONLY;
	return set;
}

static int shifted_tree(const struct qube__box_spec *spec, const char *path, bool read_only,
			int userns)
{
	qube__autofd dir = root_open_dir(path);

	if (dir < 0)
		return -1;
	return root_clone_tree(dir, userns, tree_set(spec, read_only), tree_clear(spec), path);
}

static int place_in_scratch(const char *name, int tree, const char *what)
{
	qube__autofd owned = tree;

	if (owned < 0)
		return -1;
	if (mkdir(name, 0700) < 0)
		return box_fail("cannot make a place for %s", what);
	return root_attach(owned, AT_FDCWD, name, what);
}

/* Mounts the layers at 0, 1, ... and lists them: "0:1:2". */
static int place_layers(const struct qube__box_spec *spec, int userns, char *list, size_t cap)
{
	const struct qube__box_volume *v = &spec->root;
	size_t len = 0;

	for (uint32_t i = 0; i < v->n_layers; i++) {
		char name[16];
		int n;

		snprintf(name, sizeof(name), "%u", i);
		if (place_in_scratch(name, shifted_tree(spec, v->layers[i], true, userns),
				     v->layers[i]) < 0)
			return -1;
		n = snprintf(list + len, cap - len, "%s%s", i ? ":" : "", name);
		if (n < 0 || (size_t)n >= cap - len)
			return box_refuse("too many layers");
		len += (size_t)n;
	}
	if (v->n_layers == 0) {
		/* A qube that begins with nothing still needs something below. */
		if (mkdir("empty", 0755) < 0)
			return box_fail("cannot make an empty layer");
		snprintf(list, cap, "empty");
	}
	return 0;
}

/* upper and work must be reached through one mount: that of the directory both are in. */
static int place_upper(const struct qube__box_spec *spec, int userns, char *upper, char *work,
		       size_t cap)
{
	const struct qube__box_volume *v = &spec->root;
	const char *upper_name = strrchr(v->upper, '/') + 1;
	const char *work_name = strrchr(v->work, '/') + 1;
	size_t dir_len = (size_t)(upper_name - v->upper);
	char dir[4096];
	struct stat st;

	if (dir_len != (size_t)(work_name - v->work) || memcmp(v->upper, v->work, dir_len) != 0 ||
	    !*upper_name || !*work_name || strcmp(upper_name, work_name) == 0 || dir_len < 2)
		return box_refuse("%s and %s are not beside each other", v->upper, v->work);
	memcpy(dir, v->upper, dir_len - 1);
	dir[dir_len - 1] = '\0';
	if (place_in_scratch("u", shifted_tree(spec, dir, false, userns), dir) < 0)
		return -1;
	if ((size_t)snprintf(upper, cap, "u/%s", upper_name) >= cap ||
	    (size_t)snprintf(work, cap, "u/%s", work_name) >= cap || strpbrk(upper, ",:\\") ||
	    strpbrk(work, ",:\\"))
		return box_refuse("%s is no name for an overlay", v->upper);
	if (lstat(upper, &st) < 0 || !S_ISDIR(st.st_mode))
		return box_fail("%s is not a directory", v->upper);
	if (lstat(work, &st) < 0 || !S_ISDIR(st.st_mode))
		return box_fail("%s is not a directory", v->work);
	return 0;
}

/* Overlayfs turns read-only by itself when its work directory fails, and says so to nobody. The
 * name is a new one each time: by a known one a template could keep its qubes from starting. */
static int probe(int tree)
{
	char name[32];
	uint64_t number;
	qube__autofd fd = -1;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return box_fail("cannot get random bytes");
	snprintf(name, sizeof(name), ".qube-%016llx", (unsigned long long)number);
	fd = openat(tree, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || unlinkat(tree, name, 0) < 0)
		return box_fail("the root volume cannot be written to");
	return 0;
}

static int overlay(const struct qube__box_spec *spec, int userns)
{
	const struct qube__box_volume *v = &spec->root;
	const char *options[16] = {
		"source", "qube-root", "redirect_dir", "on", "metacopy", "off"
	};
	size_t n = 6;
	char lower[250];
	char upper[250];
	char work[250];
	qube__autofd tree = -1;

	if (place_layers(spec, userns, lower, sizeof(lower)) < 0)
		return -1;
	options[n++] = "lowerdir";
	options[n++] = lower;
	if (v->upper[0]) {
		if (place_upper(spec, userns, upper, work, sizeof(upper)) < 0)
			return -1;
		options[n++] = "upperdir";
		options[n++] = upper;
		options[n++] = "workdir";
		options[n++] = work;
	}
	if (v->discard && v->upper[0]) {
		options[n++] = "volatile";
		options[n++] = NULL;
	}
	tree = root_fs("overlay", options, tree_set(spec, v->read_only));
	if (tree < 0 || (!v->read_only && probe(tree) < 0))
		return -1;
	return qube__steal_fd(&tree);
}

int box_root_tree(const struct qube__box_spec *spec, int userns)
{
	const struct qube__box_volume *v = &spec->root;

	if (v->kind == QUBE__BOX_VOLUME_TREE)
		return shifted_tree(spec, v->upper, v->read_only, userns);
	/* Overlayfs wants two layers when nothing is written. */
	if (!v->upper[0] && v->n_layers == 1)
		return shifted_tree(spec, v->layers[0], true, userns);
	return overlay(spec, userns);
}

int box_volume_tree(const struct qube__box_spec *spec, const struct qube__box_volume *v, int userns)
{
	return shifted_tree(spec, v->upper, v->read_only, userns);
}

int box_guest_tree(const struct qube__box_spec *spec)
{
	qube__autofd dir = root_open_dir(spec->guest_dir);

	if (dir < 0)
		return -1;
	return root_clone_tree(dir, -1, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
			       MOUNT_ATTR_NOEXEC, spec->guest_dir);
}

/* A node of our own: through the host's, boxes would watch the host's use of it (inotify) and
 * signal to each other (flock). Where none may be made, as in a container, the host's own serves.
 */
static int device_open(const char *path, dev_t want)
{
	const char *name = strrchr(path, '/') + 1;
	qube__autofd fd = -1;
	struct stat st;

	if (mknod(name, S_IFCHR | 0666, want) == 0 && chmod(name, 0666) == 0)
		path = name;
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return box_fail("cannot open %s", path);
	if (!S_ISCHR(st.st_mode) || st.st_rdev != want)
		return box_refuse("%s is not the device of that name", path);
	return qube__steal_fd(&fd);
}

int box_devices_open(struct box_devices *d)
{
	static const struct {
		const char *path;
		unsigned int major;
		unsigned int minor;
	} want[BOX_DEVICES] = {
		{ "/dev/null", 1, 3 },	 { "/dev/zero", 1, 5 },	   { "/dev/full", 1, 7 },
		{ "/dev/random", 1, 8 }, { "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 },
	};

	for (size_t i = 0; i < BOX_DEVICES; i++) {
		qube__autofd fd = device_open(want[i].path, makedev(want[i].major, want[i].minor));

		if (fd < 0)
			return -1;
		d->tree[i] = root_clone_tree(
			fd, -1, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
			MOUNT_ATTR_NODEV, want[i].path);
		if (d->tree[i] < 0)
			return -1;
	}
	return 0;
}
