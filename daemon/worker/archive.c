/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * tar files by libarchive: one format, and the four filters in use. Nothing else is looked for. */
#include "unpack.h"

#include "base/error.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

struct input {
	struct worker_job *job;
	int fd;
	uint64_t at;
	uint64_t size;
	char buf[128 * 1024];
};

static la_ssize_t on_read(struct archive *a, void *user, const void **out)
{
	struct input *in = user;
	ssize_t n;

	do
		n = pread(in->fd, in->buf, sizeof(in->buf), (off_t)in->at);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		archive_set_error(a, errno, "it cannot be read");
		return ARCHIVE_FATAL;
	}
	in->at += (uint64_t)n;
	in->job->done += (uint64_t)n;
	*out = in->buf;
	return n;
}

static int open_tar(struct archive *a, struct input *in)
{
	if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
	    archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
	    archive_read_support_filter_bzip2(a) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(a) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(a) != ARCHIVE_OK)
		return qube__fail(QUBE_E_NOTSUP, "libarchive here cannot read packed tar files");
	if (archive_read_open(a, in, NULL, on_read, NULL) != ARCHIVE_OK)
		return qube__fail(QUBE_E_PROTO, "this is no tar file: %s",
				  archive_error_string(a) ? archive_error_string(a) : "damaged");
	return 0;
}

/* All entries; of a layer the marks first, because they are about what lies below it. */
static int each_entry(struct unpack *u, struct archive *a, bool marks)
{
	struct archive_entry *e;
	uint64_t n = 0;
	int r;

	while ((r = archive_read_next_header(a, &e)) == ARCHIVE_OK) {
		const char *name = archive_entry_pathname(e);
		const char *base = name ? strrchr(name, '/') : NULL;
		bool is_mark;
		int ret = 0;

		base = base ? base + 1 : name;
		is_mark = u->image && base && strncmp(base, ".wh.", 4) == 0;
		n++;
		if (marks && is_mark)
			ret = worker_unpack_whiteout(u, name);
		else if (!marks && !is_mark)
			ret = worker_unpack_entry(u, a, e);
		if (ret < 0)
			return ret;
	}
	if (r != ARCHIVE_EOF)
		return qube__fail(QUBE_E_PROTO, "the archive is damaged behind %llu entries: %s",
				  (unsigned long long)n,
				  archive_error_string(a) ? archive_error_string(a) : "cut off");
	if (!n && !u->image)
		return qube__fail(QUBE_E_PROTO, "the archive is empty");
	return 0;
}

static int read_once(struct unpack *u, int fd, uint64_t size, bool marks)
{
	static struct input in;
	struct archive *a = archive_read_new();
	int r;

	if (!a)
		return qube__fail_nomem();
	in.job = u->im.job;
	in.fd = fd;
	in.at = 0;
	in.size = size;
	r = open_tar(a, &in);
	if (r == 0)
		r = each_entry(u, a, marks);
	archive_read_free(a);
	return r;
}

int worker_unpack_tar(struct unpack *u, int fd, uint64_t size)
{
	int r = u->image ? read_once(u, fd, size, true) : 0;

	return r < 0 ? r : read_once(u, fd, size, false);
}
