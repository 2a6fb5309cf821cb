/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A tree that may mean harm, entry by entry: each is reached by the descriptor of its directory and
 * one name, and no mount below is entered. */
#include "worker.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void close_level(struct worker_level *l)
{
	if (l->src)
		closedir(l->src);
	qube__close_fd(&l->dst);
}

void worker_walk_fini(struct worker_walk *w)
{
	while (w->depth)
		close_level(&w->levels[--w->depth]);
	free(w->levels);
}

int worker_walk_push(struct worker_walk *w, int src, int dst, const char *name)
{
	struct worker_level l = { .dst = dst };

	if (w->depth == w->room) {
		size_t room = w->room ? w->room * 2 : 64;
		struct worker_level *grown = realloc(w->levels, room * sizeof(*grown));

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
		int r = qube__fail_name("read", name);

		close(src);
		close_level(&l);
		return r;
	}
	w->levels[w->depth++] = l;
	return 0;
}

int worker_walk_enter(struct worker_walk *w, struct worker_level *l, const char *name)
{
	int src;
	int dst = -1;

	if (w->depth >= WORKER_DEPTH_MAX)
		return qube__fail(QUBE_E_LIMIT, "the tree is deeper than %d directories",
				  WORKER_DEPTH_MAX);
	src = worker_open(dirfd(l->src), name, O_RDONLY | O_DIRECTORY, RESOLVE_NO_XDEV);
	if (src < 0)
		return qube__fail_name("open", name);
	if (l->dst >= 0) {
		if (mkdirat(l->dst, name, 0700) == 0)
			dst = worker_open(l->dst, name, O_RDONLY | O_DIRECTORY, 0);
		if (dst < 0) {
			close(src);
			return qube__fail_name("make", name);
		}
	}
	return worker_walk_push(w, src, dst, name); /* l may have moved */
}

int worker_walk_all(struct worker_walk *w)
{
	while (w->depth) {
		struct worker_level *l = &w->levels[w->depth - 1];
		struct dirent *e;
		int r;

		errno = 0;
		e = readdir(l->src);
		if (!e) {
			r = errno ? qube__fail_name("read", "a directory") : 0;
			if (r == 0 && w->left)
				r = w->left(w, l);
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
			r = w->entry(w, l, e->d_name);
		if (r < 0)
			return r;
	}
	return 0;
}
