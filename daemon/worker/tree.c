/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A tree that a guest made, entry by entry: copied, or counted. */
#include "worker.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No path of a program is longer than 4096 bytes, so no honest tree is deeper. */
enum { DEPTH_MAX = 4000 };

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
	struct worker_copy copy;
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
	return worker_copy_entry(&w->copy, dirfd(l->src), l->dst, &st, name);
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
				r = worker_copy_attributes(&w->copy, dirfd(l->src), l->dst, &l->st,
							   "a directory");
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

int worker_copy_tree(struct worker_job *job, int src, int parent, const char *name)
{
	autowalk w = { .job = job };
	int from = worker_open(src, ".", O_RDONLY | O_DIRECTORY, 0);
	int to = -1;
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
	if (r == 0)
		r = worker_copy_begin(&w.copy, job, parent);
	if (r == 0)
		r = worker_copy_end(&w.copy, parent, walk_all(&w, copy_entry));
	return r;
}

int worker_usage(struct worker_job *job, int root)
{
	autowalk w = { .job = job };
	int from = worker_open(root, ".", O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (from < 0)
		return worker_fail_name("open", "the tree");
	r = push(&w, from, -1, "the tree");
	return r < 0 ? r : walk_all(&w, count_entry);
}
