/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One entry of a tree, copied with all that it has: data (by reflink where possible, holes kept),
 * owner, mode, times, extended attributes, its other names. Nothing but regular files and
 * directories is ever opened. */
#include "worker.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { XATTR_MAX = 64 * 1024 };

bool worker_keep_xattr(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0 ||
	       strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0;
}

/* fds of the two files, or, with name, two directories and an entry that cannot be opened. */
static int copy_xattrs(struct worker_copy *w, int src, int dst, const char *name)
{
	const char *shown = name ? name : "a file";
	ssize_t len;

	if (name && fchdir(src) < 0)
		return qube__fail_name("enter the directory of", shown);
	len = name ? llistxattr(name, w->names, XATTR_MAX) : flistxattr(src, w->names, XATTR_MAX);
	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : qube__fail_name("list attributes of", shown);
	for (const char *at = w->names; at < w->names + len; at += strlen(at) + 1) {
		ssize_t n;
		int r;

		if (!worker_keep_xattr(at))
			continue;
		if (name && fchdir(src) < 0)
			return qube__fail_name("enter the directory of", shown);
		n = name ? lgetxattr(name, at, w->value, XATTR_MAX) :
			   fgetxattr(src, at, w->value, XATTR_MAX);
		if (n < 0)
			return qube__fail_name("read attributes of", shown);
		if (name && fchdir(dst) < 0)
			return qube__fail_name("enter the directory of", shown);
		r = name ? lsetxattr(name, at, w->value, (size_t)n, 0) :
			   fsetxattr(dst, at, w->value, (size_t)n, 0);
		if (r < 0)
			return qube__fail_name("set attributes of", shown);
	}
	return 0;
}

/* In this order: chown drops setid bits and capabilities, writing changes the time. */
int worker_copy_attributes(struct worker_copy *w, int src, int dst, const struct stat *st,
			   const char *name)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	int r;

	if (fchown(dst, st->st_uid, st->st_gid) < 0)
		return qube__fail_name("set the owner of", name);
	r = copy_xattrs(w, src, dst, NULL);
	if (r < 0)
		return r;
	if (fchmod(dst, st->st_mode & 07777) < 0)
		return qube__fail_name("set the mode of", name);
	if (futimens(dst, times) < 0)
		return qube__fail_name("set the time of", name);
	return 0;
}

static int finish_entry(struct worker_copy *w, int from, int to, const struct stat *st,
			const char *name)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	int r;

	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return qube__fail_name("set the owner of", name);
	r = copy_xattrs(w, from, to, name);
	if (r < 0)
		return r;
	if (utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return qube__fail_name("set the time of", name);
	return 0;
}

static int copy_regular(struct worker_copy *w, int from, int to, const struct stat *seen,
			const char *name)
{
	qube__autofd src = -1;
	qube__autofd dst = -1;
	char link[32];
	struct stat st;
	int r;

	snprintf(link, sizeof(link), "%llx", (unsigned long long)seen->st_ino);
	if (seen->st_nlink > 1 && linkat(w->links, link, to, name, 0) == 0)
		return 0;
	if (w->share_bytes && (uint64_t)seen->st_size >= w->share_bytes && w->job->no_clone &&
	    linkat(from, name, to, name, 0) == 0)
		return 0;
	src = worker_open(from, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, RESOLVE_NO_XDEV);
	if (src < 0)
		return qube__fail_name("open", name);
	if (fstat(src, &st) < 0 || !S_ISREG(st.st_mode) || st.st_ino != seen->st_ino)
		return qube__fail(QUBE_E_BUSY, "the tree changes while it is copied");
	dst = worker_open(to, name, O_WRONLY | O_CREAT | O_EXCL, 0);
	if (dst < 0)
		return qube__fail_name("make", name);
	r = worker_copy_data(w->job, src, dst, &st, name);
	if (r == 0)
		r = worker_copy_attributes(w, src, dst, &st, name);
	if (r == 0 && seen->st_nlink > 1 && linkat(to, name, w->links, link, 0) < 0 &&
	    errno != EMLINK && errno != EEXIST)
		r = qube__fail_name("link", name);
	return r;
}

static int copy_symlink(struct worker_copy *w, int from, int to, const struct stat *st,
			const char *name)
{
	char target[4097];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return qube__fail_name("read", name);
	target[n] = '\0';
	if (symlinkat(target, to, name) < 0)
		return qube__fail_name("make", name);
	return finish_entry(w, from, to, st, name);
}

static int copy_node(struct worker_copy *w, int from, int to, const struct stat *st,
		     const char *name)
{
	if (!S_ISFIFO(st->st_mode) && !(w->sockets && S_ISSOCK(st->st_mode))) {
		w->job->skipped++;
		return 0;
	}
	if (mknodat(to, name, st->st_mode & (S_IFMT | 0777), 0) < 0)
		return qube__fail_name("make", name);
	return finish_entry(w, from, to, st, name);
}

int worker_copy_entry(struct worker_copy *w, int from, int to, const struct stat *st,
		      const char *name)
{
	if (S_ISREG(st->st_mode))
		return copy_regular(w, from, to, st, name);
	if (S_ISLNK(st->st_mode))
		return copy_symlink(w, from, to, st, name);
	return copy_node(w, from, to, st, name);
}

/* Beside the copy, so that a link is made by one short name whatever the depth. */
int worker_copy_begin(struct worker_copy *w, struct worker_job *job, int parent)
{
	*w = (struct worker_copy){ .job = job, .links = -1 };
	snprintf(w->links_name, sizeof(w->links_name), ".links-%lx-%x", (unsigned long)getpid(),
		 job->id);
	w->names = malloc(XATTR_MAX);
	w->value = malloc(XATTR_MAX);
	if (!w->names || !w->value)
		return worker_copy_end(w, parent, qube__fail_nomem());
	if (mkdirat(parent, w->links_name, 0700) == 0)
		w->links = worker_open(parent, w->links_name, O_RDONLY | O_DIRECTORY, 0);
	if (w->links < 0)
		return worker_copy_end(w, parent, qube__fail_name("make", w->links_name));
	return 0;
}

int worker_copy_end(struct worker_copy *w, int parent, int r)
{
	free(w->names);
	free(w->value);
	if (w->links >= 0) {
		uint64_t files = w->job->files;
		int removed = worker_remove_tree(w->job, parent, w->links_name);

		w->job->files = files;
		if (r == 0)
			r = removed;
	}
	qube__close_fd(&w->links);
	return r;
}
