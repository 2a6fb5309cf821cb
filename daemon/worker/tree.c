/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A tree that a guest made, entry by entry: copied, or counted. */
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
#include <unistd.h>

static int copy_entry(struct worker_walk *w, struct worker_level *l, const char *name)
{
	struct stat st;

	if (fstatat(dirfd(l->src), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return qube__fail_name("look at", name);
	w->job->files++;
	if (S_ISDIR(st.st_mode))
		return worker_walk_enter(w, l, name);
	return worker_copy_entry(&w->copy, dirfd(l->src), l->dst, &st, name);
}

static int finish_dir(struct worker_walk *w, struct worker_level *l)
{
	return worker_copy_attributes(&w->copy, dirfd(l->src), l->dst, &l->st, "a directory");
}

static int count_entry(struct worker_walk *w, struct worker_level *l, const char *name)
{
	struct stat st;

	if (fstatat(dirfd(l->src), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : qube__fail_name("look at", name);
	w->job->files++;
	/* A file with n names counts for 1/n at each. */
	if (!S_ISDIR(st.st_mode) && st.st_nlink > 1)
		w->job->done += (uint64_t)st.st_blocks * 512 / st.st_nlink;
	else
		w->job->done += (uint64_t)st.st_blocks * 512;
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (w->depth >= WORKER_DEPTH_MAX) {
		w->job->skipped++;
		return 0;
	}
	return worker_walk_enter(w, l, name);
}

int worker_copy_tree(struct worker_job *job, int src, int parent, const char *name)
{
	worker_autowalk w = { .job = job, .entry = copy_entry, .left = finish_dir };
	int from = worker_open(src, ".", O_RDONLY | O_DIRECTORY, 0);
	int to = -1;
	int r;

	if (from < 0)
		return qube__fail_name("open", "the tree");
	if (mkdirat(parent, name, 0700) == 0)
		to = worker_open(parent, name, O_RDONLY | O_DIRECTORY, 0);
	if (to < 0) {
		r = qube__fail_name("make", name);
		close(from);
		return r;
	}
	r = worker_walk_push(&w, from, to, name);
	if (r == 0)
		r = worker_copy_begin(&w.copy, job, parent);
	if (r == 0)
		r = worker_copy_end(&w.copy, parent, worker_walk_all(&w));
	return r;
}

int worker_usage(struct worker_job *job, int root)
{
	worker_autowalk w = { .job = job, .entry = count_entry };
	int from = worker_open(root, ".", O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (from < 0)
		return qube__fail_name("open", "the tree");
	r = worker_walk_push(&w, from, -1, "the tree");
	return r < 0 ? r : worker_walk_all(&w);
}
