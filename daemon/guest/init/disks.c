/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The guest's disks: xvda is the root, xvdb private, xvdc volatile, xvdd the kernel's modules. A
 * root that may not be written to gets its writes into the volatile disk, by the device mapper's
 * target snapshot: they are gone with the guest. */
#include "init.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum {
	WAIT_MS = 30000,
	STEP_MS = 10,
	SECTOR = 512,
	COW_BYTES_MIN = 32 << 20,
	CHUNK_SECTORS = 16,
};

static const char dm_name[] = "dmroot";

int init_disk_of(const char *xenbus)
{
	enum { FIRST = 51712, EACH = 16 };
	int n = 0;

	if (strncmp(xenbus, "vbd-", 4) != 0)
		return -1;
	for (xenbus += 4; *xenbus; xenbus++) {
		if (*xenbus < '0' || *xenbus > '9' || n > FIRST * 2)
			return -1;
		n = n * 10 + (*xenbus - '0');
	}
	if (n < FIRST || (n - FIRST) % EACH != 0 || (n - FIRST) / EACH >= INIT_DISKS)
		return -1;
	return (n - FIRST) / EACH;
}

/* A bit for each of the disks that the host announced. */
static unsigned int announced(void)
{
	DIR *d = opendir("/sys/bus/xen/devices");
	struct dirent *e;
	unsigned int bits = 0;

	if (!d)
		return 0;
	while ((e = readdir(d))) {
		int i = init_disk_of(e->d_name);

		if (i >= 0)
			bits |= 1u << i;
	}
	closedir(d);
	return bits;
}

int init_disk_look(struct init_disk *d, const char *path)
{
	qube__autofd fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int read_only = 0;

	if (fd < 0 || fstat(fd, &st) < 0 || ioctl(fd, BLKROGET, &read_only) < 0 ||
	    ioctl(fd, BLKGETSIZE64, &d->bytes) < 0)
		return root_fail("cannot look at the disk %s", path);
	snprintf(d->path, sizeof(d->path), "%s", path);
	d->read_only = read_only != 0;
	d->major = major(st.st_rdev);
	d->minor = minor(st.st_rdev);
	d->is_there = true;
	return 0;
}

/* A disk is there a while after its driver. */
int init_find_disks(struct init_disk disks[INIT_DISKS])
{
	uint64_t end = qube__now_ms() + WAIT_MS;
	unsigned int wanted = announced();

	memset(disks, 0, sizeof(disks[0]) * INIT_DISKS);
	for (int i = 0; i < INIT_DISKS; i++) {
		char path[] = "/dev/xvda";

		path[sizeof(path) - 2] = (char)('a' + i);
		if (!(wanted & (1u << i)))
			continue;
		while (access(path, F_OK) < 0) {
			if (qube__now_ms() > end) {
				errno = 0;
				return root_fail("the disk %s did not come", path);
			}
			poll(NULL, 0, STEP_MS);
		}
		if (init_disk_look(&disks[i], path) < 0)
			return -1;
	}
	return 0;
}

bool init_has_ext4(const char *path)
{
	enum { MAGIC_AT = 1024 + 56 };
	qube__autofd fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t magic[2];

	return fd >= 0 && pread(fd, magic, 2, MAGIC_AT) == 2 && magic[0] == 0x53 &&
	       magic[1] == 0xef;
}

int init_find_root(struct init_disk *out, const struct init_disk *disk)
{
	static const char *const parts[] = { "", "3", "1" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char path[32];

		snprintf(path, sizeof(path), "%s%s", disk->path, parts[i]);
		if (init_has_ext4(path))
			return init_disk_look(out, path);
	}
	errno = 0;
	return root_fail("there is no ext4 on %s, nor on its third or first partition", disk->path);
}

/* --- the device mapper --- */

struct order {
	struct dm_ioctl head;
	struct dm_target_spec target;
	char params[64];
};

static int dm(int control, unsigned long request, struct order *o)
{
	o->head.version[0] = DM_VERSION_MAJOR;
	o->head.data_size = sizeof(*o);
	o->head.data_start = sizeof(o->head);
	memcpy(o->head.name, dm_name, sizeof(dm_name));
	return ioctl(control, request, o);
}

static void fill_target(struct order *o, const struct init_disk *origin,
			const struct init_disk *cow)
{
	o->head.target_count = 1;
	o->target.length = origin->bytes / SECTOR;
	o->target.next = sizeof(o->target) + sizeof(o->params);
	memcpy(o->target.target_type, "snapshot", sizeof("snapshot"));
	snprintf(o->params, sizeof(o->params), "%u:%u %u:%u N %d", origin->major, origin->minor,
		 cow->major, cow->minor, CHUNK_SECTORS);
}

int init_snapshot(char path[32], const struct init_disk *origin, const struct init_disk *cow)
{
	qube__autofd control = -1;
	struct order create = { .params = "" };
	struct order load = { .params = "" };
	struct order resume = { .params = "" };
	char link[32];

	errno = 0;
	if (!cow->is_there || cow->read_only)
		return root_fail("xvda may not be written to, and there is no xvdc for its writes");
	if (cow->bytes < COW_BYTES_MIN)
		return root_fail("xvdc has %llu MiB; for the writes to xvda it needs at least %d",
				 (unsigned long long)(cow->bytes >> 20), COW_BYTES_MIN >> 20);
	control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return root_fail("there is no device mapper in this kernel");
	fill_target(&load, origin, cow);
	if (dm(control, DM_DEV_CREATE, &create) < 0 || dm(control, DM_TABLE_LOAD, &load) < 0 ||
	    dm(control, DM_DEV_SUSPEND, &resume) < 0)
		return root_fail("cannot make the snapshot of %s", origin->path);
	snprintf(path, 32, "/dev/dm-%u", minor((dev_t)create.head.dev));
	snprintf(link, sizeof(link), "..%s", path + strlen("/dev"));
	/* As device mapper's own programs name it. */
	if (symlink(link, "/dev/mapper/dmroot") < 0)
		return root_fail("cannot make /dev/mapper/dmroot");
	return 0;
}
