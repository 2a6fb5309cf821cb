/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Files of the first file system: all of it is memory. */
#include "init.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

enum { DEPTH_MAX = 64 };

static int remove_below(int dir, const char *name, dev_t dev, int depth)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;

	if (!d) {
		qube__close_fd(&fd);
		return -1;
	}
	while (depth < DEPTH_MAX && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != dev)
			continue;
		if (S_ISDIR(st.st_mode))
			remove_below(fd, e->d_name, dev, depth + 1);
		unlinkat(fd, e->d_name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
	}
	closedir(d);
	return 0;
}

int init_remove_tree(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (S_ISDIR(st.st_mode))
		remove_below(dir, name, st.st_dev, 0);
	return unlinkat(dir, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
}

static int copy_program(int from_dir, const char *from, int to_dir, const char *to)
{
	qube__autofd in = openat(from_dir, from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	qube__autofd out =
		openat(to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755);
	ssize_t n;

	if (in < 0 || out < 0)
		return root_fail("cannot copy the program %s", to);
	while ((n = sendfile(out, in, NULL, 1 << 20)) > 0)
		;
	return n < 0 ? root_fail("cannot copy the program %s", to) : 0;
}

static int copy_all(int bin)
{
	int fd = open("/qube", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		qube__close_fd(&fd);
		return root_fail("there is no /qube in the first file system");
	}
	while (r == 0 && (e = readdir(d)))
		if (e->d_name[0] != '.')
			r = copy_program(fd, e->d_name, bin, e->d_name);
	closedir(d);
	return r;
}

int init_copy_programs(int run)
{
	qube__autofd bin = -1;

	/* Where a box of the local driver has them too. */
	if (mkdirat(run, "qube/guest", 0755) < 0)
		return root_fail("cannot make the directories of /run");
	bin = openat(run, "qube/guest", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (bin < 0)
		return root_fail("cannot open %s", INIT_BIN);
	if (copy_all(bin) < 0 || copy_program(AT_FDCWD, "/init", bin, "qube-init") < 0)
		return -1;
	if (symlinkat("qube-init", bin, "qube-poweroff") < 0)
		return root_fail("cannot make %s/qube-poweroff", INIT_BIN);
	return init_remove_tree(AT_FDCWD, "/qube");
}
