/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Copy of a tree that a guest made: data (by reflink where possible, holes kept), owners, modes,
 * times, extended attributes, hard links, symlinks, FIFOs. Sockets and devices are left out, but
 * for overlayfs's whiteouts in a layer. Nothing but regular files and directories is ever opened.
 */
#include "worker.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* No path of a program is longer than 4096 bytes, so no honest tree is deeper. */
enum { DEPTH_MAX = 4000, XATTR_MAX = 64 * 1024 };

struct level {
	DIR *src;
	int dst; /* -1 when only counting */
	struct stat st;
};

struct walk {
	struct worker_job *job;
	struct level *levels;
	size_t depth;
	size_t room;
	int links;   /* directory of first copies of files with several names, by inode number */
	char *names; /* XATTR_MAX each */
	char *value;
};

static void close_level(struct level *l)
{
	if (l->src)
		closedir(l->src);
	qube__close_fd(&l->dst);
}

static void walk_fini(struct walk *w)
{
	while (w->depth)
		close_level(&w->levels[--w->depth]);
	free(w->levels);
	free(w->names);
	free(w->value);
	qube__close_fd(&w->links);
}
#define autowalk __attribute__((cleanup(walk_fini))) struct walk

/* src and dst become the walk's, also on failure. */
static int push(struct walk *w, int src, int dst, const char *name)
{
	struct level l = { .dst = dst };

	if (w->depth == w->room) {
		size_t room = w->room ? w->room * 2 : 64;
		struct level *grown = realloc(w->levels, room * sizeof(*grown));

		if (!grown) {
			close(src);
			close_level(&l);
			return qube__fail_nomem();
		}
		w->levels = grown;
		w->room = room;
	}
	if (fstat(src, &l.st) == 0)
		l.src = fdopendir(src);
	if (!l.src) {
		int r = worker_fail_name("read", name);

		close(src);
		close_level(&l);
		return r;
	}
	w->levels[w->depth++] = l;
	return 0;
}

static bool keep_xattr(const struct worker_job *job, const char *name)
{
	if (strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0 ||
	    strcmp(name, "system.posix_acl_access") == 0 ||
	    strcmp(name, "system.posix_acl_default") == 0)
		return true;
	return (job->flags & QUBE__JOB_LAYER) && strncmp(name, "trusted.overlay.", 16) == 0;
}

/* fds of the two files, or, with name, two directories and an entry that cannot be opened. */
static int copy_xattrs(struct walk *w, int src, int dst, const char *name)
{
	const char *shown = name ? name : "a file";
	ssize_t len;

	if (name && fchdir(src) < 0)
		return worker_fail_name("enter the directory of", shown);
	len = name ? llistxattr(name, w->names, XATTR_MAX) : flistxattr(src, w->names, XATTR_MAX);
	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : worker_fail_name("list attributes of", shown);
	for (const char *at = w->names; at < w->names + len; at += strlen(at) + 1) {
		ssize_t n;
		int r;

		if (!keep_xattr(w->job, at))
			continue;
		if (name && fchdir(src) < 0)
			return worker_fail_name("enter the directory of", shown);
		n = name ? lgetxattr(name, at, w->value, XATTR_MAX) :
			   fgetxattr(src, at, w->value, XATTR_MAX);
		if (n < 0)
			return worker_fail_name("read attributes of", shown);
		if (name && fchdir(dst) < 0)
			return worker_fail_name("enter the directory of", shown);
		r = name ? lsetxattr(name, at, w->value, (size_t)n, 0) :
			   fsetxattr(dst, at, w->value, (size_t)n, 0);
		if (r < 0)
			return worker_fail_name("set attributes of", shown);
	}
	return 0;
}

/* In this order: chown drops setid bits and capabilities, writing changes the time. */
static int finish_fd(struct walk *w, int src, int dst, const struct stat *st, const char *name)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	int r;

	if (fchown(dst, st->st_uid, st->st_gid) < 0)
		return worker_fail_name("set the owner of", name);
	r = copy_xattrs(w, src, dst, NULL);
	if (r < 0)
		return r;
	if (fchmod(dst, st->st_mode & 07777) < 0)
		return worker_fail_name("set the mode of", name);
	if (futimens(dst, times) < 0)
		return worker_fail_name("set the time of", name);
	return 0;
}

static int finish_entry(struct walk *w, struct level *l, const struct stat *st, const char *name)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	int r;

	if (fchownat(l->dst, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return worker_fail_name("set the owner of", name);
	r = copy_xattrs(w, dirfd(l->src), l->dst, name);
	if (r < 0)
		return r;
	if (utimensat(l->dst, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return worker_fail_name("set the time of", name);
	return 0;
}

static int copy_regular(struct walk *w, struct level *l, const struct stat *seen, const char *name)
{
	qube__autofd src = -1;
	qube__autofd dst = -1;
	char link[32];
	struct stat st;
	int r;

	snprintf(link, sizeof(link), "%llx", (unsigned long long)seen->st_ino);
	if (seen->st_nlink > 1 && linkat(w->links, link, l->dst, name, 0) == 0)
		return 0;
	src = worker_open(dirfd(l->src), name, O_RDONLY | O_NONBLOCK | O_NOCTTY, RESOLVE_NO_XDEV);
	if (src < 0)
		return worker_fail_name("open", name);
	if (fstat(src, &st) < 0 || !S_ISREG(st.st_mode) || st.st_ino != seen->st_ino)
		return qube__fail(QUBE_E_BUSY, "the tree changes while it is copied");
	dst = worker_open(l->dst, name, O_WRONLY | O_CREAT | O_EXCL, 0);
	if (dst < 0)
		return worker_fail_name("make", name);
	r = worker_copy_data(w->job, src, dst, &st, name);
	if (r == 0)
		r = finish_fd(w, src, dst, &st, name);
	if (r == 0 && seen->st_nlink > 1 && linkat(l->dst, name, w->links, link, 0) < 0 &&
	    errno != EMLINK && errno != EEXIST)
		r = worker_fail_name("link", name);
	return r;
}

static int copy_symlink(struct walk *w, struct level *l, const struct stat *st, const char *name)
{
	char target[4097];
	ssize_t n = readlinkat(dirfd(l->src), name, target, sizeof(target) - 1);

	if (n < 0)
		return worker_fail_name("read", name);
	target[n] = '\0';
	if (symlinkat(target, l->dst, name) < 0)
		return worker_fail_name("make", name);
	return finish_entry(w, l, st, name);
}

static int copy_node(struct walk *w, struct level *l, const struct stat *st, const char *name)
{
	bool whiteout = S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);

	if (!S_ISFIFO(st->st_mode) && !(whiteout && (w->job->flags & QUBE__JOB_LAYER))) {
		w->job->skipped++;
		return 0;
	}
	if (mknodat(l->dst, name, st->st_mode & (S_IFMT | 0777), 0) < 0)
		return worker_fail_name("make", name);
	return finish_entry(w, l, st, name);
}

static int enter(struct walk *w, struct level *l, const char *name)
{
	int src;
	int dst = -1;

	if (w->depth >= DEPTH_MAX)
		return qube__fail(QUBE_E_LIMIT, "the tree is deeper than %d directories",
				  DEPTH_MAX);
	src = worker_open(dirfd(l->src), name, O_RDONLY | O_DIRECTORY, RESOLVE_NO_XDEV);
	if (src < 0)
		return worker_fail_name("open", name);
	if (l->dst >= 0) {
		if (mkdirat(l->dst, name, 0700) == 0)
			dst = worker_open(l->dst, name, O_RDONLY | O_DIRECTORY, 0);
		if (dst < 0) {
			close(src);
			return worker_fail_name("make", name);
		}
	}
	return push(w, src, dst, name); /* l may have moved */
}

static int copy_entry(struct walk *w, struct level *l, const char *name)
{
	struct stat st;

	if (fstatat(dirfd(l->src), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return worker_fail_name("look at", name);
	w->job->files++;
	if (S_ISDIR(st.st_mode))
		return enter(w, l, name);
	if (S_ISREG(st.st_mode))
		return copy_regular(w, l, &st, name);
	if (S_ISLNK(st.st_mode))
		return copy_symlink(w, l, &st, name);
	return copy_node(w, l, &st, name);
}

static int count_entry(struct walk *w, struct level *l, const char *name)
{
	struct stat st;

	if (fstatat(dirfd(l->src), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : worker_fail_name("look at", name);
	w->job->files++;
	/* A file with n names counts for 1/n at each. */
	if (!S_ISDIR(st.st_mode) && st.st_nlink > 1)
		w->job->done += (uint64_t)st.st_blocks * 512 / st.st_nlink;
	else
		w->job->done += (uint64_t)st.st_blocks * 512;
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (w->depth >= DEPTH_MAX) {
		w->job->skipped++;
		return 0;
	}
	return enter(w, l, name);
}

static int walk_all(struct walk *w, int (*entry)(struct walk *w, struct level *l, const char *name))
{
	while (w->depth) {
		struct level *l = &w->levels[w->depth - 1];
		struct dirent *e;
		int r;

		errno = 0;
		e = readdir(l->src);
		if (!e) {
			r = errno ? worker_fail_name("read", "a directory") : 0;
			if (r == 0 && l->dst >= 0)
				r = finish_fd(w, dirfd(l->src), l->dst, &l->st, "a directory");
			if (r < 0)
				return r;
			close_level(l);
			w->depth--;
			continue;
		}
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		r = worker_tick(w->job);
		if (r == 0)
			r = entry(w, l, e->d_name);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Beside the copy, so that a link is made by one short name whatever the depth. */
static int make_links_dir(struct walk *w, int parent, const char *links)
{
	if (mkdirat(parent, links, 0700) == 0)
		w->links = worker_open(parent, links, O_RDONLY | O_DIRECTORY, 0);
	if (w->links < 0)
		return worker_fail_name("make", links);
	return 0;
}

int worker_copy_tree(struct worker_job *job, int src, int parent, const char *name)
{
	autowalk w = { .job = job, .links = -1 };
	int from = worker_open(src, ".", O_RDONLY | O_DIRECTORY, 0);
	int to = -1;
	char links[64];
	int r;

	if (from < 0)
		return worker_fail_name("open", "the tree");
	if (mkdirat(parent, name, 0700) == 0)
		to = worker_open(parent, name, O_RDONLY | O_DIRECTORY, 0);
	if (to < 0) {
		r = worker_fail_name("make", name);
		close(from);
		return r;
	}
	r = push(&w, from, to, name);
	if (r < 0)
		return r;
	w.names = malloc(XATTR_MAX);
	w.value = malloc(XATTR_MAX);
	if (!w.names || !w.value)
		return qube__fail_nomem();
	snprintf(links, sizeof(links), ".links-%lx-%x", (unsigned long)getpid(), job->id);
	r = make_links_dir(&w, parent, links);
	if (r == 0)
		r = walk_all(&w, copy_entry);
	if (w.links >= 0) {
		uint64_t files = job->files;
		int removed = worker_remove_tree(job, parent, links);

		job->files = files;
		if (r == 0)
			r = removed;
	}
	return r;
}

int worker_usage(struct worker_job *job, int root)
{
	autowalk w = { .job = job, .links = -1 };
	int from = worker_open(root, ".", O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (from < 0)
		return worker_fail_name("open", "the tree");
	r = push(&w, from, -1, "the tree");
	return r < 0 ? r : walk_all(&w, count_entry);
}
