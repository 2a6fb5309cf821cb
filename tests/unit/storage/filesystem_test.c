/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A pool on each kind of file system: what a copy takes of the disk. */
#include "qtest.h"
#include "rig.h"
#include "util.h"

#include "../disk.h"

#include "base/error.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { MIB = 1 << 20, BIG = 32 * MIB, SLACK = 8 * MIB };

/* Bytes that no zero-eliding file system makes less of. */
static void put_bytes(const char *path, size_t size, long flags)
{
	static unsigned char block[MIB];
	uint32_t x = 1;
	int fd;

	put_file(path, "", 0600);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	QT_TRUE(fd >= 0);
	if (flags)
		QT_INT(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
	for (size_t at = 0; at < size; at += sizeof(block)) {
		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = (unsigned char)((x = x * 1664525 + 1013904223) >> 24);
		QT_INT(write(fd, block, sizeof(block)), sizeof(block));
	}
	close(fd);
}

static long long free_bytes(void)
{
	struct statvfs fs;
	int fd = open(at("pools/main"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	syncfs(fd);
	fstatvfs(fd, &fs);
	close(fd);
	return (long long)fs.f_bfree * (long long)fs.f_frsize;
}

/* -1: the file system does not tell. */
static int extents_not_shared(const char *path)
{
	enum { ROOM = 512 };
	struct fiemap *m = calloc(1, sizeof(*m) + ROOM * sizeof(struct fiemap_extent));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int n = 0;

	m->fm_length = ~0ULL;
	m->fm_flags = FIEMAP_FLAG_SYNC;
	m->fm_extent_count = ROOM;
	if (ioctl(fd, FS_IOC_FIEMAP, m) < 0 || !m->fm_mapped_extents)
		n = -1;
	for (uint32_t i = 0; n >= 0 && i < m->fm_mapped_extents; i++)
		n += !(m->fm_extents[i].fe_flags & FIEMAP_EXTENT_SHARED);
	close(fd);
	free(m);
	return n;
}

static const char *setup_on(struct fixture *f, const char *kind)
{
	const char *why;

	scratch_make();
	why = disk_mount(at("."), kind, 512);
	*f = (struct fixture){ 0 };
	if (!why && (qube__loop_init(&f->loop) < 0 || open_pool(f) < 0))
		why = qube_error_last()->message;
	if (why)
		scratch_remove();
	return why;
}

static int clone(struct fixture *f, const char *to)
{
	struct qube__volume_spec copy = private_of(to);
	struct waiter w;
	struct qube__pool_cb cb = waiter_cb(&w);

	int r = qube__volume_clone(NULL, f->p, &copy, "tpl", &cb);

	return r == 1 ? wait_for(&f->loop, &w) : r;
}

static int same(const char *a, const char *b)
{
	char command[9000];

	snprintf(command, sizeof(command), "exec cmp -s '%.4000s' '%.4000s'", a, b);
	return system(command) == 0;
}

static void copies(const char *kind, bool shares)
{
	struct fixture f;
	const char *why = setup_on(&f, kind);
	struct qube__pool_look look;
	long long before;
	long long took;

	if (why)
		QT_SKIP(why);
	QT_INT(qube__pool_look(&look, f.p), 0);
	QT_STR(look.type, kind);
	QT_INT(look.shares, shares);
	QT_INT(look.no_ids, false);
	put_bytes(at("pools/main/volumes/tpl/private/big"), BIG, 0);
	before = free_bytes();
	QT_INT(clone(&f, "copy"), 0);
	took = before - free_bytes();
	if (shares ? took >= SLACK : took < BIG - SLACK)
		qtest_fail(__FILE__, __LINE__, "a copy of %d bytes took %lld", BIG, took);
	if (shares)
		QT_INT(extents_not_shared(at("pools/main/volumes/copy/private/big")), 0);
	QT_TRUE(same(at("pools/main/volumes/tpl/private/big"),
		     at("pools/main/volumes/copy/private/big")));
	teardown(&f);
}

QTEST(filesystem, a_copy_on_btrfs_shares_its_data)
{
	copies("btrfs", true);
}

QTEST(filesystem, a_copy_on_xfs_shares_its_data)
{
	copies("xfs", true);
}

QTEST(filesystem, a_copy_on_ext4_is_one)
{
	copies("ext4", false);
}

QTEST(filesystem, a_copy_in_memory_is_one)
{
	copies("tmpfs", false);
}

/* btrfs shares nothing between a file with checksums and one without. */
QTEST(filesystem, one_file_that_cannot_be_shared_does_not_spoil_the_others)
{
	struct fixture f;
	const char *why = setup_on(&f, "btrfs");
	long long before;

	if (why)
		QT_SKIP(why);
	for (int i = 0; i < 4; i++) { /* in whatever order a directory is read */
		put_bytes(at("pools/main/volumes/tpl/private/odd%d", i), MIB, FS_NOCOW_FL);
		put_bytes(at("pools/main/volumes/tpl/private/big%d", i), BIG / 4, 0);
	}
	before = free_bytes();
	QT_INT(clone(&f, "copy"), 0);
	QT_TRUE(before - free_bytes() < SLACK + 4 * MIB);
	for (int i = 0; i < 4; i++) {
		QT_INT(extents_not_shared(at("pools/main/volumes/copy/private/big%d", i)), 0);
		QT_TRUE(same(at("pools/main/volumes/tpl/private/odd%d", i),
			     at("pools/main/volumes/copy/private/odd%d", i)));
	}
	teardown(&f);
}
