/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What was received takes its name. A file replaces a file at once; of directories that are joined
 * all is looked at before the first entry moves. */
#include "copy/copy.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Ours are no deeper than this; what is deeper was put there by somebody else. */
enum { DEPTH_MAX = QUBE__COPY_DEPTH_MAX + 2 };

static int exists(const char *name, const char *why)
{
	char safe[128];

	qube__text_escape(safe, sizeof(safe), name, strlen(name));
	return qube__fail(QUBE_E_EXISTS, "%s %s", safe, why);
}

int qube__copy_check_free(int dir, const char *name, bool replace)
{
	struct stat st;

	if (replace)
		return 0;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return exists(name, "is there already");
	return errno == ENOENT ? 0 : qube__copy_fail("look at", name);
}

static int open_dir(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* fn for each entry of a directory; fd becomes its own. */
static int each(int fd, int (*fn)(void *user, const char *name), void *user)
{
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		qube__close_fd(&fd);
		return qube__fail_os("cannot read a directory");
	}
	while (r == 0 && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = fn(user, e->d_name);
	closedir(d);
	return r;
}

struct join {
	int from;
	int to;
	int depth;
	bool only_check;
};

static int join_entry(void *user, const char *name);

static int join_dirs(const struct join *up, const char *from, const char *to)
{
	qube__autofd a = open_dir(up->from, from);
	qube__autofd b = open_dir(up->to, to);
	struct join j = {
		.from = a, .to = b, .depth = up->depth + 1, .only_check = up->only_check
	};
	int r;

	if (a < 0 || b < 0)
		return qube__copy_fail("open", to);
	if (j.depth > DEPTH_MAX)
		return qube__fail(QUBE_E_LIMIT, "directories are too deep");
	r = each(openat(a, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), join_entry, &j);
	if (r == 0 && !up->only_check && unlinkat(up->from, from, AT_REMOVEDIR) < 0)
		r = qube__copy_fail("remove", from);
	return r;
}

/* from of one directory becomes to of the other. */
static int join(const struct join *j, const char *from, const char *to)
{
	struct stat a;
	struct stat b;

	if (fstatat(j->from, from, &a, AT_SYMLINK_NOFOLLOW) < 0)
		return qube__copy_fail("look at", from);
	if (fstatat(j->to, to, &b, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(a.st_mode) && S_ISDIR(b.st_mode))
			return join_dirs(j, from, to);
		if (S_ISDIR(a.st_mode))
			return exists(to, "is no directory, and a directory would replace it");
		if (S_ISDIR(b.st_mode))
			return exists(to, "is a directory, and a file would replace it");
	} else if (errno != ENOENT) {
		return qube__copy_fail("look at", to);
	}
	if (!j->only_check && renameat(j->from, from, j->to, to) < 0)
		return qube__copy_fail("replace", to);
	return 0;
}

static int join_entry(void *user, const char *name)
{
	return join(user, name, name);
}

int qube__copy_place(int dir, const char *temp, const char *name, bool replace)
{
	struct join j = { .from = dir, .to = dir, .only_check = true };
	int r;

	if (renameat2(dir, temp, dir, name, RENAME_NOREPLACE) == 0)
		return 0;
	/* Some file systems do not know the flag. */
	if (errno == EINVAL && qube__copy_check_free(dir, name, false) == 0)
		return renameat(dir, temp, dir, name) < 0 ? qube__copy_fail("make", name) : 0;
	if (!replace)
		return errno == EEXIST || errno == EINVAL ? exists(name, "is there already") :
							    qube__copy_fail("make", name);
	r = join(&j, temp, name);
	j.only_check = false;
	return r < 0 ? r : join(&j, temp, name);
}

struct gone {
	int dir;
	int depth;
};

static int remove_entry(void *user, const char *name)
{
	const struct gone *up = user;
	struct gone g = { .depth = up->depth + 1 };
	int fd;

	if (unlinkat(up->dir, name, 0) == 0 || g.depth > DEPTH_MAX)
		return 0;
	fd = open_dir(up->dir, name);
	if (fd < 0)
		return 0;
	g.dir = fd;
	each(fd, remove_entry, &g);
	unlinkat(up->dir, name, AT_REMOVEDIR);
	return 0;
}

void qube__copy_remove(int dir, const char *name)
{
	struct gone g = { .dir = dir };

	remove_entry(&g, name);
}
