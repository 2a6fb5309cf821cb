/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Images of disks: copied, written out, taken in. Bytes and holes; no format is looked for. */
#include "worker.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

enum { BLOCK = 4096, CHUNK = 64 * 1024, SECTOR = 512, LOOK_AFTER = 16 * 1024 * 1024 };

static int make_image(int parent, const char *name)
{
	int fd = worker_open(parent, name, O_RDWR | O_CREAT | O_EXCL, 0);

	return fd < 0 ? qube__fail_name("make", name) : fd;
}

int worker_copy_image(struct worker_job *job, int src, int parent, const char *name)
{
	struct timespec times[2];
	struct stat st;
	qube__autofd dst = -1;
	int r;

	if (fstat(src, &st) < 0 || !S_ISREG(st.st_mode))
		return qube__fail_name("open", "the image");
	dst = make_image(parent, name);
	if (dst < 0)
		return dst;
	job->total = (uint64_t)st.st_blocks * 512;
	r = worker_copy_data(job, src, dst, &st, name);
	if (r < 0)
		return r;
	times[0] = st.st_mtim;
	times[1] = st.st_mtim;
	if (futimens(dst, times) < 0 || ((job->flags & QUBE__JOB_FLUSH) && fsync(dst) < 0))
		return qube__fail_name("copy", name);
	return 0;
}

/* --- out --- */

/* The reader may be slow, and its end may be one that does not block. */
static int put_all(struct worker_job *job, int out, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t put = write(out, p, n);
		int r;

		if (put < 0 && errno != EAGAIN && errno != EINTR)
			return qube__fail_os("cannot write the image");
		if (put > 0) {
			p += put;
			n -= (size_t)put;
		}
		r = put < 0 ? worker_wait(job, out, POLLOUT) : worker_tick(job);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A new file gets the holes, a stream their zeros. */
static int put_hole(struct worker_job *job, int out, bool file, off_t n)
{
	static const uint8_t zeros[CHUNK];

	if (file)
		return lseek(out, n, SEEK_CUR) < 0 ? qube__fail_os("cannot write the image") : 0;
	while (n > 0) {
		size_t len = n > CHUNK ? CHUNK : (size_t)n;
		int r = put_all(job, out, zeros, len);

		if (r < 0)
			return r;
		n -= (off_t)len;
	}
	return 0;
}

static int put_data(struct worker_job *job, int src, int out, off_t at, off_t end)
{
	static uint8_t buf[CHUNK];

	while (at < end) {
		size_t want = end - at > CHUNK ? CHUNK : (size_t)(end - at);
		ssize_t n = pread(src, buf, want, at);
		int r;

		if (n <= 0)
			return n < 0 ? qube__fail_name("read", "the image") :
				       qube__fail(QUBE_E_STATE, "the image became shorter");
		r = put_all(job, out, buf, (size_t)n);
		if (r < 0)
			return r;
		at += n;
		job->done += (uint64_t)n;
	}
	return 0;
}

/* Something behind which nothing is yet. */
static bool is_new_file(int out)
{
	struct stat st;

	return fstat(out, &st) == 0 && S_ISREG(st.st_mode) && !(fcntl(out, F_GETFL) & O_APPEND) &&
	       lseek(out, 0, SEEK_CUR) >= st.st_size;
}

int worker_export_image(struct worker_job *job, int src, int out)
{
	bool file = is_new_file(out);
	struct stat st;
	off_t at = 0;

	if (fstat(src, &st) < 0 || !S_ISREG(st.st_mode))
		return qube__fail_name("open", "the image");
	job->total = (uint64_t)st.st_blocks * 512;
	while (at < st.st_size) {
		off_t data = lseek(src, at, SEEK_DATA);
		off_t end = data < 0 ? -1 : lseek(src, data, SEEK_HOLE);
		int r;

		if (data < 0 || data > st.st_size)
			data = errno == ENXIO || data > st.st_size ? st.st_size : at;
		if (end < 0 || end > st.st_size)
			end = st.st_size;
		r = put_hole(job, out, file, data - at);
		if (r == 0)
			r = put_data(job, src, out, data, end);
		if (r < 0)
			return r;
		at = end;
	}
	if (file && ftruncate(out, lseek(out, 0, SEEK_CUR)) < 0)
		return qube__fail_os("cannot write the image");
	return 0;
}

/* --- in --- */

static int check_room(int fd, uint64_t keep_free)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) == 0 && (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize < keep_free)
		return qube__fail(QUBE_E_LIMIT, "no space left for the image");
	return 0;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return !n || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* What is zero stays a hole. */
static int take(int dst, const uint8_t *p, size_t n, uint64_t at)
{
	while (n) {
		size_t len = n > BLOCK ? BLOCK : n;

		if (!is_zero(p, len)) {
			ssize_t put = pwrite(dst, p, len, (off_t)at);

			if (put < 0)
				return qube__fail_name("write", "the image");
			len = (size_t)put;
		}
		p += len;
		at += len;
		n -= len;
	}
	return 0;
}

static ssize_t get(struct worker_job *job, int in, bool stream, uint8_t *buf, uint64_t at)
{
	for (;;) {
		ssize_t n = stream ? read(in, buf, CHUNK) : pread(in, buf, CHUNK, (off_t)at);
		int r;

		if (n >= 0)
			return n;
		if (errno != EAGAIN && errno != EINTR)
			return qube__fail_os("cannot read what is to be imported");
		r = worker_wait(job, in, POLLIN);
		if (r < 0)
			return r;
	}
}

static int take_all(struct worker_job *job, int in, int dst, uint64_t keep_free)
{
	static uint8_t buf[CHUNK];
	bool stream = lseek(in, 0, SEEK_CUR) < 0;
	uint64_t at = 0;

	for (;;) {
		ssize_t n = get(job, in, stream, buf, at);
		int r = n < 0 ? (int)n : take(dst, buf, (size_t)n, at);

		if (r == 0 && at / LOOK_AFTER != (at + (size_t)n) / LOOK_AFTER)
			r = check_room(dst, keep_free);
		if (r == 0)
			r = worker_tick(job);
		if (r < 0)
			return r;
		if (n == 0)
			break;
		at += (size_t)n;
		job->done = at;
	}
	if (!at || at % SECTOR)
		return qube__fail(QUBE_E_INVALID,
				  "%llu bytes are no image of a disk: not a multiple of %d",
				  (unsigned long long)at, SECTOR);
	return ftruncate(dst, (off_t)at) < 0 ? qube__fail_name("write", "the image") : 0;
}

int worker_import_image(struct worker_job *job, int in, int parent, const char *name,
			uint64_t keep_free)
{
	qube__autofd dst = make_image(parent, name);
	int r = dst < 0 ? dst : check_room(dst, keep_free);

	if (r == 0)
		r = take_all(job, in, dst, keep_free);
	if (r < 0)
		return r;
	worker_stage(job, QUBE__JOB_AT_FLUSH);
	return fsync(dst) < 0 ? qube__fail_name("flush", "the image") : 0;
}
