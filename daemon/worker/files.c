/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Opening below a directory, and the data of one file. */
#include "worker.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHUNK = 8 * 1024 * 1024 };

int worker_open(int dir, const char *path, int flags, uint64_t extra_resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)flags | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   extra_resolve,
	};

	if (flags & O_CREAT)
		how.mode = 0600;
	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static int copy_by_buffer(int src, int dst, off_t at, off_t end, const char *name)
{
	static char buf[128 * 1024];

	while (at < end) {
		size_t want = end - at > (off_t)sizeof(buf) ? sizeof(buf) : (size_t)(end - at);
		ssize_t n = pread(src, buf, want, at);

		if (n < 0)
			return qube__fail_name("read", name);
		if (n == 0)
			break;
		for (ssize_t put = 0; put < n;) {
			ssize_t w = pwrite(dst, buf + put, (size_t)(n - put), at + put);

			if (w < 0)
				return qube__fail_name("write", name);
			put += w;
		}
		at += n;
	}
	return 0;
}

/* One run of data between holes. */
static int copy_run(struct worker_job *job, int src, int dst, off_t at, off_t end, const char *name)
{
	off_t out = at;
	int r;

	while (at < end) {
		size_t want = end - at > CHUNK ? CHUNK : (size_t)(end - at);
		off_t before = at;
		ssize_t n = copy_file_range(src, &at, dst, &out, want, 0);

		if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP ||
			      errno == ENOSYS || errno == EPERM))
			return copy_by_buffer(src, dst, before, end, name);
		if (n < 0)
			return qube__fail_name("copy", name);
		if (n == 0) /* it shrank, or a file system that copies nothing */
			return copy_by_buffer(src, dst, before, end, name);
		job->done += (uint64_t)n;
		r = worker_tick(job);
		if (r < 0)
			return r;
	}
	return 0;
}

int worker_copy_data(struct worker_job *job, int src, int dst, const struct stat *st,
		     const char *name)
{
	off_t at = 0;
	int r;

	if (st->st_size == 0)
		return 0;
	if (!job->no_clone) {
		if (ioctl(dst, FICLONE, src) == 0) {
			job->done += (uint64_t)st->st_size;
			return 0;
		}
		if (errno == ENOSPC || errno == EDQUOT || errno == EIO)
			return qube__fail_name("copy", name);
		job->no_clone = true;
	}
	if (ftruncate(dst, st->st_size) < 0)
		return qube__fail_name("make", name);
	while (at < st->st_size) {
		off_t data = lseek(src, at, SEEK_DATA);
		off_t end;

		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0)
			data = at; /* a file system without holes */
		end = lseek(src, data, SEEK_HOLE);
		if (end < 0 || end > st->st_size)
			end = st->st_size;
		if (data >= end)
			break;
		r = copy_run(job, src, dst, data, end, name);
		if (r < 0)
			return r;
		at = end;
	}
	return 0;
}
