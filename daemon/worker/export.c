/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A tree as a tar file (pax): what an import takes, and any tar. Sockets, pipes and devices are
 * left out, as they are there. */
#include "worker.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
	PATH_MAX_LEN = 64 * 1024, /* longer than any program can name */
	XATTR_MAX = 64 * 1024,
	RUNS_MAX = 8192, /* runs of data in a file with holes; what is behind is taken as data */
};

struct output {
	struct worker_job *job;
	struct archive *a;
	struct archive_entry_linkresolver *links;
	int fd;
	size_t len; /* of path: the directory that is walked */
	char path[PATH_MAX_LEN];
	char names[XATTR_MAX];
	char value[XATTR_MAX];
	char data[128 * 1024];
};

static void output_fini(struct output **o)
{
	if (!*o)
		return;
	archive_entry_linkresolver_free((*o)->links);
	archive_write_free((*o)->a);
	free(*o);
}
#define autooutput __attribute__((cleanup(output_fini))) struct output

static void entry_fini(struct archive_entry **e)
{
	archive_entry_free(*e);
}
#define autoentry __attribute__((cleanup(entry_fini))) struct archive_entry

/* The reader may be slow, and its end may be one that does not block. */
static la_ssize_t on_write(struct archive *a, void *user, const void *p, size_t n)
{
	struct output *o = user;
	struct pollfd wait = { .fd = o->fd, .events = POLLOUT };
	ssize_t put;

	for (;;) {
		put = write(o->fd, p, n);
		if (put >= 0 || (errno != EINTR && errno != EAGAIN))
			break;
		poll(&wait, 1, 1000);
	}
	if (put < 0)
		archive_set_error(a, errno, "%s", strerror(errno));
	return put < 0 ? ARCHIVE_FATAL : put;
}

static int refuse(struct output *o, const char *name)
{
	errno = archive_errno(o->a);
	return qube__fail_name("write", name);
}

static int add_xattrs(struct output *o, struct archive_entry *e, int fd, const char *name)
{
	ssize_t len = flistxattr(fd, o->names, sizeof(o->names));

	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : qube__fail_name("list attributes of", name);
	for (const char *at = o->names; at < o->names + len; at += strlen(at) + 1) {
		ssize_t n;

		if (!worker_keep_xattr(at))
			continue;
		n = fgetxattr(fd, at, o->value, sizeof(o->value));
		if (n < 0)
			return qube__fail_name("read attributes of", name);
		archive_entry_xattr_add_entry(e, at, o->value, (size_t)n);
	}
	return 0;
}

/* Where a file has data. */
static void add_runs(struct archive_entry *e, int fd, off_t size)
{
	off_t at = 0;

	for (int i = 0; at < size && i < RUNS_MAX; i++) {
		off_t data = lseek(fd, at, SEEK_DATA);
		off_t end = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);

		if (data < 0 && errno == ENXIO) /* nothing but a hole is left */
			data = end = size;
		if (data < 0 || end < 0 || (i == 0 && data == 0 && end >= size))
			return;
		if (i == RUNS_MAX - 1 || end > size)
			end = size;
		archive_entry_sparse_add_entry(e, data, end - data);
		at = end;
	}
}

static int write_data(struct output *o, int fd, off_t size, const char *name)
{
	for (off_t at = 0; at < size;) {
		size_t want =
			size - at > (off_t)sizeof(o->data) ? sizeof(o->data) : (size_t)(size - at);
		ssize_t n = pread(fd, o->data, want, at);
		int r = worker_tick(o->job);

		if (r < 0)
			return r;
		if (n < 0)
			return qube__fail_name("read", name);
		if (n == 0)
			return qube__fail(QUBE_E_BUSY, "the tree changes while it is read");
		if (archive_write_data(o->a, o->data, (size_t)n) < 0)
			return refuse(o, name);
		o->job->done += (uint64_t)n;
		at += n;
	}
	return 0;
}

/* fd: of a file or directory, else -1. */
static int write_entry(struct output *o, struct archive_entry *e, int fd, const char *name)
{
	struct archive_entry *spare = NULL;
	int r = fd < 0 ? 0 : add_xattrs(o, e, fd, name);

	if (r < 0)
		return r;
	archive_entry_linkify(o->links, &e, &spare); /* tar: never holds one back */
	if (archive_write_header(o->a, e) < ARCHIVE_WARN)
		return refuse(o, name);
	if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e) || fd < 0)
		return 0;
	return write_data(o, fd, (off_t)archive_entry_size(e), name);
}

static int put_path(struct output *o, const char *name)
{
	size_t n = strlen(name);

	if (o->len + n + 2 > sizeof(o->path))
		return qube__fail(QUBE_E_LIMIT, "a path is longer than %d bytes", PATH_MAX_LEN);
	o->path[o->len] = '/';
	memcpy(o->path + o->len + 1, name, n + 1);
	return 0;
}

static int export_file(struct output *o, struct archive_entry *e, int dir, const struct stat *st,
		       const char *name)
{
	qube__autofd fd = worker_open(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, RESOLVE_NO_XDEV);
	struct stat now;

	if (fd < 0 || fstat(fd, &now) < 0)
		return qube__fail_name("open", name);
	if (!S_ISREG(now.st_mode) || now.st_ino != st->st_ino)
		return qube__fail(QUBE_E_BUSY, "the tree changes while it is read");
	add_runs(e, fd, now.st_size);
	return write_entry(o, e, fd, name);
}

static int export_entry(struct worker_walk *w, struct worker_level *l, const char *name)
{
	struct output *o = w->user;
	autoentry *e = archive_entry_new();
	char target[4097];
	struct stat st;
	ssize_t n;
	int r;

	if (!e)
		return qube__fail_nomem();
	if (fstatat(dirfd(l->src), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return qube__fail_name("look at", name);
	r = put_path(o, name);
	if (r < 0)
		return r;
	archive_entry_copy_stat(e, &st);
	archive_entry_copy_pathname(e, o->path);
	o->job->files++;
	if (S_ISREG(st.st_mode))
		return export_file(o, e, dirfd(l->src), &st, name);
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(dirfd(l->src), name, target, sizeof(target) - 1);
		if (n < 0)
			return qube__fail_name("read", name);
		target[n] = '\0';
		archive_entry_copy_symlink(e, target);
		return write_entry(o, e, -1, name);
	}
	if (!S_ISDIR(st.st_mode)) {
		o->job->skipped++;
		o->job->files--;
		worker_note(o->job, "left out: %s (no file, directory or symbolic link)", o->path);
		return 0;
	}
	r = worker_walk_enter(w, l, name);
	if (r < 0)
		return r;
	o->len += strlen(name) + 1;
	return write_entry(o, e, dirfd(w->levels[w->depth - 1].src), name);
}

static int leave(struct worker_walk *w, struct worker_level *l)
{
	struct output *o = w->user;

	(void)l;
	while (o->len > 1 && o->path[--o->len] != '/')
		;
	o->path[o->len] = '\0';
	return 0;
}

static int open_output(struct output **out, struct worker_job *job, int fd)
{
	struct output *o = calloc(1, sizeof(*o));

	if (!o)
		return qube__fail_nomem();
	*out = o;
	o->job = job;
	o->fd = fd;
	o->path[o->len++] = '.';
	o->a = archive_write_new();
	o->links = archive_entry_linkresolver_new();
	if (!o->a || !o->links)
		return qube__fail_nomem();
	archive_entry_linkresolver_set_strategy(o->links, ARCHIVE_FORMAT_TAR);
	if (archive_write_set_format_pax(o->a) != ARCHIVE_OK ||
	    archive_write_add_filter_none(o->a) != ARCHIVE_OK ||
	    archive_write_set_bytes_in_last_block(o->a, 1) != ARCHIVE_OK ||
	    archive_write_open(o->a, o, NULL, on_write, NULL) != ARCHIVE_OK)
		return qube__fail(QUBE_E_NOTSUP, "libarchive here cannot write tar files");
	return 0;
}

int worker_export(struct worker_job *job, int root, int out)
{
	worker_autowalk w = { .job = job, .entry = export_entry, .left = leave };
	autooutput *o = NULL;
	autoentry *e = archive_entry_new();
	int from = worker_open(root, ".", O_RDONLY | O_DIRECTORY, 0);
	struct stat st;
	int r;

	if (from < 0 || fstat(from, &st) < 0)
		return qube__fail_name("open", "the tree");
	r = worker_walk_push(&w, from, -1, "the tree");
	if (r == 0)
		r = e ? open_output(&o, job, out) : qube__fail_nomem();
	if (r < 0)
		return r;
	w.user = o;
	archive_entry_copy_stat(e, &st);
	archive_entry_copy_pathname(e, o->path);
	r = write_entry(o, e, dirfd(w.levels[0].src), ".");
	if (r == 0)
		r = worker_walk_all(&w);
	if (r == 0 && archive_write_close(o->a) != ARCHIVE_OK)
		r = refuse(o, "the end");
	return r;
}
