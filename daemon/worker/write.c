/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Entries of a new template. Every parent is opened without following symlinks: a package's
 * symlink cannot move another package's files out of the tree. */
#include "import.h"
#include "md5.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { CONF_MAX = 8 * 1024 * 1024 };

static int open_parents(struct import *im, const char *path)
{
	qube__autofd at = fcntl(im->dest, F_DUPFD_CLOEXEC, 3);
	char part[256];

	while (at >= 0 && *path) {
		size_t n = strcspn(path, "/");
		int next;

		if (n >= sizeof(part)) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(part, path, n);
		part[n] = '\0';
		if (mkdirat(at, part, 0755) < 0 && errno != EEXIST)
			return -1;
		next = worker_open(at, part, O_RDONLY | O_DIRECTORY, 0);
		qube__close_fd(&at);
		at = next;
		path += n + (path[n] == '/');
	}
	return qube__steal_fd(&at);
}

/* The directory of path, kept for the next one, which is most often a neighbour. */
int worker_import_parent(struct import *im, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (len >= sizeof(im->parent_path))
		return qube__fail(QUBE_E_LIMIT, "a path is too long");
	*name = slash ? slash + 1 : path;
	if (im->parent >= 0 && strlen(im->parent_path) == len &&
	    memcmp(im->parent_path, path, len) == 0)
		return 0;
	qube__close_fd(&im->parent);
	memcpy(im->parent_path, path, len);
	im->parent_path[len] = '\0';
	im->parent = open_parents(im, im->parent_path);
	return im->parent < 0 ? qube__fail_name("make the directory of", path) : 0;
}

bool worker_import_has(struct import *im, const char *path)
{
	qube__autofd fd = worker_open(im->dest, path, O_PATH, 0);

	return fd >= 0;
}

static int make_dir(struct import *im, const struct item *it, const char *name)
{
	qube__autofd fd = -1;
	struct timespec times[2] = { it->mtime, it->mtime };

	if (mkdirat(im->parent, name, 0700) < 0 && errno != EEXIST)
		return qube__fail_name("make", it->path);
	fd = worker_open(im->parent, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR)) {
		worker_note(im->job, "left out: directory /%s is something else here", it->path);
		return 0;
	}
	if (fd < 0 || fchown(fd, it->uid, it->gid) < 0 || fchmod(fd, it->mode) < 0 ||
	    (it->mtime.tv_sec && futimens(fd, times) < 0))
		return qube__fail_name("make", it->path);
	return 0;
}

static int make_link(struct import *im, const struct item *it, const char *name)
{
	struct timespec times[2] = { it->mtime, it->mtime };
	const char *source = it->source ? it->source : it->path;
	qube__autofd fd = worker_open(im->host, source, O_PATH, 0);
	char target[4097];
	ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target) - 1);

	if (n <= 0)
		return qube__fail_name("read", source);
	target[n] = '\0';
	if (symlinkat(target, im->parent, name) < 0 && errno != EEXIST)
		return qube__fail_name("make", it->path);
	utimensat(im->parent, name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int finish_file(const struct item *it, int fd)
{
	struct timespec times[2] = { it->mtime, it->mtime };

	if (fchown(fd, it->uid, it->gid) < 0 || fchmod(fd, it->mode) < 0 || futimens(fd, times) < 0)
		return qube__fail_name("finish", it->path);
	return 0;
}

/* With setuid bits asked for, the capabilities of files come along too. */
static int copy_capability(int src, int dst, const char *path)
{
	char value[64];
	ssize_t n = fgetxattr(src, "security.capability", value, sizeof(value));

	if (n > 0 && fsetxattr(dst, "security.capability", value, (size_t)n, 0) < 0)
		return qube__fail_name("set the capabilities of", path);
	return 0;
}

static int make_file(struct import *im, const struct item *it, const char *name)
{
	const char *source = it->source ? it->source : it->path;
	qube__autofd src = worker_open(im->host, source, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	qube__autofd dst = -1;
	struct stat st;
	int r;

	if (src < 0)
		return qube__fail_name("open", source);
	if (fstat(src, &st) < 0 || !S_ISREG(st.st_mode))
		return qube__fail(QUBE_E_BUSY, "the host's packages change during the import");
	dst = worker_open(im->parent, name, O_WRONLY | O_CREAT | O_EXCL, 0);
	if (dst < 0)
		return qube__fail_name("make", it->path);
	r = worker_copy_data(im->job, src, dst, &st, it->path);
	if (r == 0)
		r = finish_file(it, dst);
	if (r == 0 && (im->job->flags & QUBE__JOB_KEEP_SETID))
		r = copy_capability(src, dst, it->path);
	return r;
}

/* Read once: the bytes that have the digest are the bytes that are written. */
static int make_conf(struct import *im, const struct item *it, const char *name)
{
	qube__autofree char *data = NULL;
	qube__autofd fd = -1;
	char md5[33];
	size_t len;
	int r = worker_host_read(im, &data, &len, it->source ? it->source : it->path, CONF_MAX);

	if (r < 0)
		return r;
	worker_md5(md5, data, len);
	if (strcmp(md5, it->md5) != 0) {
		worker_note(im->job, "left out: /%s (changed on this host)", it->path);
		im->job->skipped++;
		return 0;
	}
	fd = worker_open(im->parent, name, O_WRONLY | O_CREAT | O_EXCL, 0);
	if (fd < 0 || qube__io_write_full(fd, data, len) < 0)
		return qube__fail_name("write", it->path);
	im->job->done += len;
	return finish_file(it, fd);
}

int worker_import_item(struct import *im, const struct item *it)
{
	const char *name;
	int r = worker_tick(im->job);

	if (r < 0)
		return r;
	r = worker_import_parent(im, it->path, &name);
	if (r < 0 && (errno == ELOOP || errno == ENOTDIR)) {
		worker_note(im->job, "left out: /%s (its directory is something else here)",
			    it->path);
		return 0;
	}
	if (r < 0)
		return r;
	switch (it->kind) {
	case ITEM_DIR:
		return make_dir(im, it, name);
	case ITEM_LINK:
		return make_link(im, it, name);
	case ITEM_FILE:
		return make_file(im, it, name);
	default:
		return make_conf(im, it, name);
	}
}

int worker_import_dir(struct import *im, const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	struct item it = { .kind = ITEM_DIR, .mode = mode, .uid = uid, .gid = gid };
	const char *name;
	int r = worker_import_parent(im, path, &name);

	it.path = (char *)(uintptr_t)path; /* only read */
	return r < 0 ? r : make_dir(im, &it, name);
}

int worker_import_text(struct import *im, const char *path, const char *data, size_t len,
		       mode_t mode, gid_t gid)
{
	qube__autofd fd = -1;
	const char *name;
	int r = worker_import_parent(im, path, &name);

	if (r < 0)
		return r;
	fd = worker_open(im->parent, name, O_WRONLY | O_CREAT | O_EXCL, 0);
	if (fd < 0 && errno == EEXIST) /* a package's own is better than ours */
		return 0;
	if (fd < 0 || qube__io_write_full(fd, data, len) < 0 || fchown(fd, 0, gid) < 0 ||
	    fchmod(fd, mode) < 0)
		return qube__fail_name("write", path);
	return 0;
}

int worker_import_link(struct import *im, const char *path, const char *target)
{
	const char *name;
	int r = worker_import_parent(im, path, &name);

	if (r < 0)
		return r;
	if (symlinkat(target, im->parent, name) < 0 && errno != EEXIST)
		return qube__fail_name("make", path);
	return 0;
}
