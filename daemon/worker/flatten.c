/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Layers of an overlay become one tree that shows the same. What a layer says about those below it
 * is told by the kernel's documentation of overlayfs: a character device 0/0 hides a name, an
 * opaque directory hides what lies below, a redirect continues a directory under another name. */
#include "worker.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
	DEPTH_MAX = 4000,
	PATH_SIZE = 4096,
	/* Smaller ones are copied, but for programs and their data in /usr: cron refuses tables
	 * that have a second name. */
	SHARE_BYTES = 64 * 1024,
};

/* A directory of the merged tree is made of directories, at most one a layer, newest first. */
struct part {
	int fd;
	size_t layer;
};

struct level {
	struct part *parts;
	size_t n;
	size_t at; /* the part being read */
	DIR *dir;
	int dst;
	bool usr; /* it or above it */
};

struct merge {
	struct worker_job *job;
	struct worker_copy copy;
	struct level *levels;
	size_t depth;
	size_t room;
	size_t n_layers;
};

/* Where a directory goes on in the next layer: one name, or a path from the root of the layer. */
struct lookup {
	char name[PATH_SIZE];
	bool stop;
};

static void close_level(struct level *l)
{
	if (l->dir)
		closedir(l->dir);
	for (size_t i = 0; i < l->n; i++)
		close(l->parts[i].fd);
	free(l->parts);
	qube__close_fd(&l->dst);
}

static void merge_fini(struct merge *m)
{
	while (m->depth)
		close_level(&m->levels[--m->depth]);
	free(m->levels);
}
#define automerge __attribute__((cleanup(merge_fini))) struct merge

static int add_part(struct level *l, struct merge *m, int fd, size_t layer)
{
	if (!l->parts)
		l->parts = calloc(m->n_layers - layer, sizeof(*l->parts));
	if (!l->parts) {
		close(fd);
		return qube__fail_nomem();
	}
	l->parts[l->n++] = (struct part){ .fd = fd, .layer = layer };
	return 0;
}

/* l becomes the merge's, also on failure. */
static int push(struct merge *m, struct level *l)
{
	if (m->depth == m->room) {
		size_t room = m->room ? m->room * 2 : 64;
		struct level *grown = realloc(m->levels, room * sizeof(*grown));

		if (!grown) {
			close_level(l);
			return qube__fail_nomem();
		}
		m->levels = grown;
		m->room = room;
	}
	m->levels[m->depth++] = *l;
	return 0;
}

static int refuse(const char *name, const char *why)
{
	return qube__fail(QUBE_E_NOTSUP, "the layers cannot be merged: %s is %s", name, why);
}

/* The value of trusted.overlay.WHAT as text; its length, 0: none. */
static ssize_t overlay_mark(int fd, const char *what, char *out, size_t cap)
{
	char attr[64];
	ssize_t n;

	snprintf(attr, sizeof(attr), "trusted.overlay.%s", what);
	n = fgetxattr(fd, attr, out, cap - 1);
	if (n < 0 && (errno == ENODATA || errno == EOPNOTSUPP))
		n = 0;
	if (n < 0)
		return qube__fail_name("read the marks of", what);
	out[n] = '\0';
	return n;
}

/* A directory that was renamed: its path in the layers below replaces name[prefix...] up to rest.
 */
static int redirect(struct lookup *l, int fd, size_t prefix, const char *rest)
{
	char to[PATH_SIZE];
	char path[PATH_SIZE];
	ssize_t n = overlay_mark(fd, "redirect", to, sizeof(to));
	int len;

	if (n <= 0)
		return (int)n;
	if (to[0] != '/' && strchr(to, '/'))
		return refuse(to, "no name that a directory goes on under");
	if (to[0] == '/') {
		l->stop = false;
		prefix = 0;
	}
	len = snprintf(path, sizeof(path), "%.*s%s%s", (int)prefix, l->name, to, rest);
	if (len < 0 || (size_t)len >= sizeof(path))
		return refuse(l->name, "too long a path");
	memcpy(l->name, path, (size_t)len + 1);
	return 0;
}

/* One name in one directory: its descriptor, or -1 for none; l->stop when nothing below counts. */
static int step(int *out, struct lookup *l, int base, const char *name, size_t prefix,
		const char *rest)
{
	qube__autofd fd = -1;
	char mark[8];
	struct stat st;
	ssize_t n;
	int r;

	*out = -1;
	if (fstatat(base, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : qube__fail_name("look at", name);
	if (!S_ISDIR(st.st_mode)) {
		l->stop = true;
		return 0;
	}
	fd = worker_open(base, name, O_RDONLY | O_DIRECTORY, RESOLVE_NO_XDEV);
	if (fd < 0)
		return qube__fail_name("open", name);
	n = overlay_mark(fd, "opaque", mark, sizeof(mark));
	if (n < 0)
		return (int)n;
	if (strcmp(mark, "y") == 0) {
		l->stop = true;
	} else {
		r = redirect(l, fd, prefix, rest);
		if (r < 0)
			return r;
	}
	*out = qube__steal_fd(&fd);
	return 0;
}

/* An absolute path, component by component: each may be hidden, opaque or go on elsewhere. What a
 * redirect on the way changes is the part before what is left. */
static int walk(int *out, struct lookup *l, int root)
{
	size_t rest = strlen(l->name) - 1; /* bytes behind the current '/' */
	qube__autofd at = -1;
	int base = root;

	for (;;) {
		size_t len = strlen(l->name);
		const char *s = l->name + len - rest;
		size_t n = strcspn(s, "/");
		char name[256];
		char after[PATH_SIZE];
		int fd;
		int r;

		if (rest > len || n == 0 || n > 255)
			return refuse(l->name, "no path of a directory");
		memcpy(name, s, n);
		name[n] = '\0';
		snprintf(after, sizeof(after), "%s", s + n);
		r = step(&fd, l, base, name, (size_t)(s - l->name), after);
		if (r < 0)
			return r;
		qube__close_fd(&at);
		at = fd;
		base = fd;
		if (fd < 0 || !after[0])
			break;
		rest = strlen(after) - 1;
	}
	*out = qube__steal_fd(&at);
	return 0;
}

/* Where layer has the parent of what is looked for; -1: nowhere. */
static int base_in(struct merge *m, const struct level *parent, bool absolute, size_t layer)
{
	if (absolute)
		return m->levels[0].parts[layer].fd;
	for (size_t i = 0; i < parent->n; i++)
		if (parent->parts[i].layer == layer)
			return parent->parts[i].fd;
	return -1;
}

static int find_parts(struct level *out, struct merge *m, const struct level *parent,
		      const char *name)
{
	struct lookup l = { .stop = false };

	snprintf(l.name, sizeof(l.name), "%s", name);
	for (size_t layer = parent->parts[parent->at].layer; layer < m->n_layers && !l.stop;
	     layer++) {
		bool absolute = l.name[0] == '/';
		int base = base_in(m, parent, absolute, layer);
		char now[256];
		int fd;
		int r;

		if (base < 0)
			continue;
		if (!absolute)
			snprintf(now, sizeof(now), "%.255s", l.name);
		r = absolute ? walk(&fd, &l, base) : step(&fd, &l, base, now, 0, "");
		if (r == 0 && fd >= 0)
			r = add_part(out, m, fd, layer);
		if (r < 0)
			return r;
	}
	return 0;
}

static int enter(struct merge *m, struct level *l, const char *name)
{
	struct level child = {
		.dst = -1,
		.usr = l->usr || (m->depth == 1 && strcmp(name, "usr") == 0),
	};
	int r = find_parts(&child, m, l, name);

	if (r == 0 && m->depth >= DEPTH_MAX)
		r = qube__fail(QUBE_E_LIMIT, "the tree is deeper than %d directories", DEPTH_MAX);
	if (r == 0 && !child.n)
		r = qube__fail(QUBE_E_BUSY, "the layers change while they are merged");
	if (r == 0 && mkdirat(l->dst, name, 0700) == 0)
		child.dst = worker_open(l->dst, name, O_RDONLY | O_DIRECTORY, 0);
	if (r == 0 && child.dst < 0)
		r = qube__fail_name("make", name);
	if (r < 0) {
		close_level(&child);
		return r;
	}
	return push(m, &child);
}

/* A file of which only the owner and mode were copied up: its data would be lost. */
static int check_whole(int dir, const char *name)
{
	char value[64];

	if (fchdir(dir) < 0)
		return qube__fail_name("enter the directory of", name);
	if (lgetxattr(name, "trusted.overlay.metacopy", value, sizeof(value)) >= 0)
		return refuse(name, "a file without its data");
	return errno == ENODATA || errno == EOPNOTSUPP || errno == ERANGE ?
		       0 :
		       qube__fail_name("read the marks of", name);
}

static int merge_entry(struct merge *m, struct level *l, const char *name)
{
	int from = l->parts[l->at].fd;
	struct stat st;
	int r = 0;

	for (size_t i = 0; i < l->at; i++) {
		if (fstatat(l->parts[i].fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return 0; /* a newer layer has or hides it */
		if (errno != ENOENT)
			return qube__fail_name("look at", name);
	}
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return qube__fail_name("look at", name);
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0))
		return 0;
	m->job->files++;
	if (S_ISDIR(st.st_mode))
		return enter(m, l, name);
	if (S_ISREG(st.st_mode))
		r = check_whole(from, name);
	m->copy.share_bytes = l->usr ? 1 : SHARE_BYTES;
	return r < 0 ? r : worker_copy_entry(&m->copy, from, l->dst, &st, name);
}

/* The next part of the directory, or its end: the newest part's attributes are the directory's. */
static int next_part(struct merge *m, struct level *l)
{
	struct stat st;
	int r;

	if (l->dir) {
		closedir(l->dir);
		l->dir = NULL;
		l->at++;
	}
	if (l->at < l->n) {
		int fd = worker_open(l->parts[l->at].fd, ".", O_RDONLY | O_DIRECTORY, 0);

		l->dir = fd < 0 ? NULL : fdopendir(fd);
		return l->dir ? 0 : qube__fail_name("read", "a layer");
	}
	if (fstat(l->parts[0].fd, &st) < 0)
		return qube__fail_name("look at", "a layer");
	r = worker_copy_attributes(&m->copy, l->parts[0].fd, l->dst, &st, "a directory");
	close_level(l);
	m->depth--;
	return r;
}

static int merge_all(struct merge *m)
{
	while (m->depth) {
		struct level *l = &m->levels[m->depth - 1];
		struct dirent *e;
		int r = worker_tick(m->job);

		errno = 0;
		e = l->dir ? readdir(l->dir) : NULL;
		if (r == 0 && !e && errno)
			r = qube__fail_name("read", "a layer");
		if (r == 0 && !e)
			r = next_part(m, l);
		else if (r == 0 && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = merge_entry(m, l, e->d_name);
		if (r < 0)
			return r;
	}
	return 0;
}

static int open_layers(struct merge *m, int layers, int parent, const char *name,
		       const char *const *list)
{
	struct level root = { .dst = -1 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n_layers; i++) {
		int fd = worker_open(layers, list[i], O_RDONLY | O_DIRECTORY, RESOLVE_NO_XDEV);

		r = fd < 0 ? qube__fail_name("open layer", list[i]) : add_part(&root, m, fd, i);
	}
	if (r == 0 && mkdirat(parent, name, 0700) == 0)
		root.dst = worker_open(parent, name, O_RDONLY | O_DIRECTORY, 0);
	if (r == 0 && root.dst < 0)
		r = qube__fail_name("make", name);
	if (r < 0) {
		close_level(&root);
		return r;
	}
	return push(m, &root);
}

int worker_flatten(struct worker_job *job, int layers, int parent, const char *name,
		   const char *const *list, size_t n)
{
	automerge m = { .job = job, .n_layers = n };
	int r = open_layers(&m, layers, parent, name, list);

	if (r == 0)
		r = worker_copy_begin(&m.copy, job, parent);
	if (r < 0)
		return r;
	m.copy.sockets = true;
	r = worker_copy_end(&m.copy, parent, merge_all(&m));
	/* Flushed before anything lists it. */
	return r == 0 && syncfs(parent) < 0 ? qube__fail_name("flush", "the pool") : r;
}
