/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Disks of a domain that is being created. An image is opened as a loop device which goes away with
 * its last user: ours until the domain is made, then the back end. No image is looked into. */
#include "xl.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { TRIES = 16, DEVICE_MAX = 32 };

static bool holds(const char *name, const struct stat *st, bool writable)
{
	struct loop_info64 info;
	char path[sizeof("/dev/") + NAME_MAX];
	qube__autofd fd = -1;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	/* What cannot be looked at may be it. */
	if (fd < 0)
		return errno != ENOENT && errno != ENXIO;
	return ioctl(fd, LOOP_GET_STATUS64, &info) == 0 && info.lo_device == st->st_dev &&
	       info.lo_inode == st->st_ino && (writable || !(info.lo_flags & LO_FLAGS_READ_ONLY));
}

/* Another loop device of the same file, unless both only read: two who write to one file system
 * destroy it, and so does one beside a reader. */
static bool is_shared(const struct stat *st, bool writable)
{
	DIR *all = opendir("/sys/block");
	struct dirent *e;
	bool shared = !all;

	while (all && !shared && (e = readdir(all)))
		shared = strncmp(e->d_name, "loop", 4) == 0 && holds(e->d_name, st, writable);
	if (all)
		closedir(all);
	return shared;
}

static int open_loop(char device[DEVICE_MAX], int image, bool writable)
{
	struct loop_config c = { .fd = (uint32_t)image };
	qube__autofd control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	c.info.lo_flags = LO_FLAGS_AUTOCLEAR | (writable ? 0 : LO_FLAGS_READ_ONLY);
	/* Somebody else may take it first. */
	for (int i = 0; control >= 0 && i < TRIES; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		int fd;

		if (number < 0)
			return -1;
		snprintf(device, DEVICE_MAX, "/dev/loop%d", number);
		fd = open(device, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
		if (fd < 0)
			return -1;
		if (ioctl(fd, LOOP_CONFIGURE, &c) == 0)
			return fd;
		close(fd);
		if (errno != EBUSY)
			return -1;
	}
	return -1;
}

/* A descriptor that keeps the device, and its path. */
static int open_disk(char device[PATH_MAX], const struct qube__xl_disk *d)
{
	qube__autofd fd = open(d->path, (d->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW |
						O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (S_ISBLK(st.st_mode)) {
		snprintf(device, PATH_MAX, "%s", d->path);
		return qube__steal_fd(&fd);
	}
	errno = S_ISREG(st.st_mode) ? EBUSY : EINVAL;
	if (!S_ISREG(st.st_mode) || is_shared(&st, d->writable))
		return -1;
	return open_loop(device, fd, d->writable);
}

static int add(libxl_domain_config *c, const char *device, const struct qube__xl_disk *from,
	       const char *script)
{
	libxl_device_disk *d = &c->disks[c->num_disks];
	char name[] = "xvda";

	libxl_device_disk_init(d);
	c->num_disks++;
	name[3] = (char)('a' + from->slot);
	d->pdev_path = strdup(device);
	d->vdev = strdup(name);
	d->script = strdup(script);
	d->backend = LIBXL_DISK_BACKEND_PHY;
	d->format = LIBXL_DISK_FORMAT_RAW;
	d->readwrite = from->writable;
	return d->pdev_path && d->vdev && d->script ? 0 : ERROR_NOMEM;
}

/* Beside this program. */
static int own_script(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	if (n <= 0)
		return ERROR_FAIL;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash || (size_t)(slash - path) + sizeof("/qube-block") > PATH_MAX)
		return ERROR_FAIL;
	memcpy(slash, "/qube-block", sizeof("/qube-block"));
	return 0;
}

int xl_disks_open(libxl_domain_config *c, int fds[QUBE__XL_DISKS_MAX], const struct qube__xl_msg *m,
		  char *why, size_t cap)
{
	char script[PATH_MAX];
	int rc = m->n_disks ? own_script(script) : 0;

	if (rc == 0 && m->n_disks)
		c->disks = calloc(m->n_disks, sizeof(*c->disks));
	if (rc || (m->n_disks && !c->disks))
		return ERROR_NOMEM;
	for (uint32_t i = 0; rc == 0 && i < m->n_disks; i++) {
		char device[PATH_MAX];

		fds[i] = open_disk(device, &m->disks[i]);
		if (fds[i] < 0) {
			snprintf(why, cap, "cannot use %s: %s", m->disks[i].path,
				 errno == EBUSY ? "it is in use" : strerror(errno));
			return ERROR_INVAL;
		}
		rc = add(c, device, &m->disks[i], script);
	}
	return rc;
}

void xl_disks_close(int fds[QUBE__XL_DISKS_MAX])
{
	for (int i = 0; i < QUBE__XL_DISKS_MAX; i++)
		qube__close_fd(&fds[i]);
}
