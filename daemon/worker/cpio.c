/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A file that a kernel unpacks at its start, see cpio.h. */
#include "cpio.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A domain is given less memory than this. */
#define BYTES_MAX ((uint64_t)2 << 30)

struct cpio {
	struct archive *a;
	int fd;
	int64_t entries;
	uint64_t bytes;
	char path[PATH_MAX];
	char temporary[PATH_MAX];
};

static int refuse(struct cpio *c, const char *what)
{
	const char *why = archive_error_string(c->a);

	return qube__fail(QUBE_E_SYSTEM, "cannot write %s: %s", what, why ? why : "no reason told");
}

void cpio_free(struct cpio *c)
{
	if (!c)
		return;
	archive_write_free(c->a);
	if (c->temporary[0])
		unlink(c->temporary);
	qube__close_fd(&c->fd);
	free(c);
}

static int begin(struct cpio *c, const char *path)
{
	int n = snprintf(c->temporary, sizeof(c->temporary), "%s.XXXXXX", path);

	if (n < 0 || (size_t)n >= sizeof(c->temporary)) {
		c->temporary[0] = '\0';
		return qube__fail(QUBE_E_INVALID, "the name of the output is too long");
	}
	memcpy(c->path, path, strlen(path) + 1);
	c->fd = mkostemp(c->temporary, O_CLOEXEC);
	if (c->fd < 0) {
		c->temporary[0] = '\0';
		return qube__fail_os("cannot make a file beside %s", path);
	}
	c->a = archive_write_new();
	if (!c->a)
		return qube__fail_nomem();
	if (archive_write_set_format_cpio_newc(c->a) != ARCHIVE_OK ||
	    archive_write_open_fd(c->a, c->fd) != ARCHIVE_OK)
		return refuse(c, path);
	return 0;
}

struct cpio *cpio_open(const char *path)
{
	struct cpio *c = calloc(1, sizeof(*c));

	if (!c) {
		qube__fail_nomem();
		return NULL;
	}
	c->fd = -1;
	if (begin(c, path) == 0)
		return c;
	cpio_free(c);
	return NULL;
}

static int put(struct cpio *c, struct archive_entry *e, const char *path, mode_t mode,
	       const void *data, size_t len)
{
	if (__builtin_add_overflow(c->bytes, len, &c->bytes) || c->bytes > BYTES_MAX)
		return qube__fail(QUBE_E_LIMIT, "more than 2 GiB, with %s", path);
	archive_entry_set_pathname(e, path);
	archive_entry_set_mode(e, mode);
	archive_entry_set_nlink(e, S_ISDIR(mode) ? 2 : 1);
	archive_entry_set_ino64(e, ++c->entries);
	archive_entry_set_mtime(e, 0, 0);
	archive_entry_set_size(e, S_ISREG(mode) ? (int64_t)len : 0);
	if (S_ISLNK(mode))
		archive_entry_set_symlink(e, data);
	if (archive_write_header(c->a, e) != ARCHIVE_OK)
		return refuse(c, path);
	if (S_ISREG(mode) && len && archive_write_data(c->a, data, len) != (la_ssize_t)len)
		return refuse(c, path);
	return 0;
}

int cpio_add(struct cpio *c, const char *path, mode_t mode, const void *data, size_t len)
{
	struct archive_entry *e = archive_entry_new();
	int r;

	if (!e)
		return qube__fail_nomem();
	r = put(c, e, path, mode, data, len);
	archive_entry_free(e);
	return r;
}

int cpio_add_device(struct cpio *c, const char *path, mode_t mode, unsigned int major,
		    unsigned int minor)
{
	struct archive_entry *e = archive_entry_new();
	int r;

	if (!e)
		return qube__fail_nomem();
	archive_entry_set_rdevmajor(e, major);
	archive_entry_set_rdevminor(e, minor);
	r = put(c, e, path, mode, NULL, 0);
	archive_entry_free(e);
	return r;
}

/* The rename, too, is to survive a crash. */
static int flush_directory(const struct cpio *c)
{
	char path[PATH_MAX];
	qube__autofd dir = -1;

	memcpy(path, c->path, sizeof(path));
	dir = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 || fsync(dir) < 0 ? -1 : 0;
}

int cpio_close(struct cpio *c)
{
	if (archive_write_close(c->a) != ARCHIVE_OK)
		return refuse(c, c->path);
	if (fchmod(c->fd, 0644) < 0 || fsync(c->fd) < 0)
		return qube__fail_os("cannot flush %s", c->path);
	if (rename(c->temporary, c->path) < 0)
		return qube__fail_os("cannot make %s", c->path);
	c->temporary[0] = '\0';
	if (flush_directory(c) < 0)
		return qube__fail_os("cannot flush the directory of %s", c->path);
	return 0;
}
