/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The default user's home on a fresh private volume. Runs in the box's own root with no power over
 * the host; /etc/passwd and /etc/skel are the guest's and are read with bounds. */
#include "box.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PASSWD_MAX = 256 * 1024, SKEL_FILES = 64, SKEL_BYTES = 64 * 1024 };

/* Runs before any guest process, so one buffer serves all; a program may have it static. */
static char text[PASSWD_MAX + 1];

/* A whole regular file into text; its length, or -1. */
static ssize_t read_small(int dir, const char *name, size_t max)
{
	/* O_NONBLOCK: a template may have put a pipe there. */
	qube__autofd fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	size_t len = 0;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
		return -1;
	while (len < max) {
		ssize_t n = read(fd, text + len, max - len);

		if (n < 0)
			return -1;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	return (ssize_t)len;
}

static bool take_id(const char **p, uint32_t *id)
{
	uint64_t n = 0;
	const char *at = *p;

	for (; *at >= '0' && *at <= '9'; at++)
		if ((n = n * 10 + (uint64_t)(*at - '0')) >= QUBE__BOX_IDS)
			return false;
	if (at == *p || *at != ':')
		return false;
	*p = at + 1;
	*id = (uint32_t)n;
	return true;
}

/* user:x:1000:1000:... ; false when there is no such user or it is root. */
static bool find_user(const char *user, uint32_t *uid, uint32_t *gid)
{
	size_t n = strlen(user);
	const char *line = text;

	if (read_small(AT_FDCWD, "/etc/passwd", PASSWD_MAX) < 0)
		return false;
	while (line && *line) {
		if (strncmp(line, user, n) == 0 && line[n] == ':') {
			const char *p = strchr(line + n + 1, ':');

			return p && (p++, take_id(&p, uid)) && take_id(&p, gid) && *uid != 0;
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return false;
}

static int write_copy(int home, const char *name, size_t len, mode_t mode, uint32_t uid,
		      uint32_t gid)
{
	qube__autofd fd =
		openat(home, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || fchown(fd, uid, gid) < 0 ||
	    fchmod(fd, mode & 0755) < 0)
		return box_fail("cannot write %s of the new home", name);
	return 0;
}

static int copy_skel(int home, uint32_t uid, uint32_t gid)
{
	int fd = open("/etc/skel", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!dir) {
		qube__close_fd(&fd);
		return 0;
	}
	for (int i = 0; r == 0 && i < SKEL_FILES && (e = readdir(dir)); i++) {
		struct stat st;
		ssize_t n;

		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		n = read_small(fd, e->d_name, SKEL_BYTES);
		if (n >= 0)
			r = write_copy(home, e->d_name, (size_t)n, st.st_mode, uid, gid);
	}
	closedir(dir);
	return r;
}

int box_make_home(const char *user)
{
	qube__autofd homes = open("/home", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	qube__autofd home = -1;
	struct stat st;
	uint32_t uid;
	uint32_t gid;

	if (!user[0] || homes < 0 || fstatat(homes, user, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (!find_user(user, &uid, &gid)) {
		box_log(4, "the template has no user %s", user);
		return 0;
	}
	if (mkdirat(homes, user, 0700) < 0)
		return errno == EROFS ? 0 : box_fail("cannot make the home of %s", user);
	home = openat(homes, user, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (home < 0 || copy_skel(home, uid, gid) < 0 || fchown(home, uid, gid) < 0)
		return box_fail("cannot make the home of %s", user);
	return 0;
}
