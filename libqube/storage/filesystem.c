/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the file system of a pool can do for it. */
#include "storage/inside.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { MAGIC_XFS = 0x58465342 };

/* tmpfs shifts ids since Linux 6.3. */
static bool tmpfs_lacks_ids(void)
{
	unsigned int major = 0;
	unsigned int minor = 0;
	struct utsname u;

	return uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	       (major < 6 || (major == 6 && minor < 3));
}

/* Two files without a name, the second a clone of the first. */
bool qube__pool_shares(const struct qube__pool *p)
{
	qube__autofd a = openat(p->tmp, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	qube__autofd b = openat(p->tmp, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return a >= 0 && b >= 0 && pwrite(a, "x", 1, 0) == 1 && ioctl(b, FICLONE, a) == 0;
}

bool qube__pool_makes_disks(void)
{
	static const char *const places[] = { QUBE__JOB_MKE2FS };

	for (size_t i = 0; places[i]; i++)
		if (access(places[i], X_OK) == 0)
			return true;
	return false;
}

int qube__pool_look(struct qube__pool_look *out, struct qube__pool *p)
{
	/* Those that a state is likely to be put on. Whether ids can be shifted cannot be tried
	 * without a user namespace: it is said of the ones that are known not to. */
	const struct {
		unsigned int magic;
		const char *name;
		bool no_ids;
	} known[] = {
		{ BTRFS_SUPER_MAGIC, "btrfs", false },
		{ EXT4_SUPER_MAGIC, "ext4", false },
		{ F2FS_SUPER_MAGIC, "f2fs", false },
		{ NFS_SUPER_MAGIC, "nfs", true },
		{ OVERLAYFS_SUPER_MAGIC, "overlay", true },
		{ TMPFS_MAGIC, "tmpfs", tmpfs_lacks_ids() },
		{ V9FS_MAGIC, "9p", true },
		{ MAGIC_XFS, "xfs", false },
	};
	struct qube__pool_look look = { .shares = qube__pool_shares(p) };
	struct statfs fs;

	if (fstatfs(p->dir, &fs) < 0)
		return qube__pool_fail(p, "look at", "the file system");
	snprintf(look.type, sizeof(look.type), "type %x", (unsigned int)fs.f_type);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].magic == (unsigned int)fs.f_type) {
			snprintf(look.type, sizeof(look.type), "%s", known[i].name);
			look.no_ids = known[i].no_ids;
		}
	*out = look;
	return 0;
}
