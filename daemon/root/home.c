/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The default user, where a foreign root has none, and the home on a fresh private volume. Runs in
 * the box's own root with no power over the host; /etc/passwd, /etc/group and /etc/skel are the
 * guest's and are read with bounds. */
#include "root/root.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PASSWD_MAX = 256 * 1024, SKEL_FILES = 64, SKEL_BYTES = 64 * 1024, USER_ID = 1000 };

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
		if ((n = n * 10 + (uint64_t)(*at - '0')) >= ROOT_IDS)
			return false;
	if (at == *p || *at != ':')
		return false;
	*p = at + 1;
	*id = (uint32_t)n;
	return true;
}

/* user:x:1000:1000:... in text; false when there is no such user or it is root. */
static bool find_user(const char *user, uint32_t *uid, uint32_t *gid)
{
	size_t n = strlen(user);
	const char *line = text;

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

/* Whether text, a passwd or group file, has an entry of that name or with USER_ID. */
static bool is_taken(const char *name)
{
	size_t n = strlen(name);
	const char *line = text;

	while (line && *line) {
		const char *p = strchr(line, ':');
		uint32_t id;

		if (strncmp(line, name, n) == 0 && line[n] == ':')
			return true;
		p = p ? strchr(p + 1, ':') : NULL;
		if (p && (p++, take_id(&p, &id)) && id == USER_ID)
			return true;
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return false;
}

/* len: of the file that is in text, -1: there is none yet. */
static int add_entry(int etc, const char *file, ssize_t len, const char *entry)
{
	qube__autofd fd = openat(etc, file,
				 O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC |
					 (len < 0 ? O_CREAT | O_EXCL : 0),
				 0644);
	bool joined = len > 0 && text[len - 1] != '\n';

	if (fd < 0 || (joined && write(fd, "\n", 1) != 1))
		return -1;
	return write(fd, entry, strlen(entry)) == (ssize_t)strlen(entry) ? 0 : -1;
}

/* A root that no Qubes template was made from knows root alone. Not for a name or number that is
 * taken: whoever has it is not ours to change. text holds /etc/passwd, of that length. */
static bool add_user(const char *user, ssize_t len)
{
	qube__autofd etc = open("/etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char entry[256];
	int n = snprintf(entry, sizeof(entry), "%s%s:x:%d:%d::/home/%s:%s\n",
			 len < 0 ? "root:x:0:0:root:/root:/bin/sh\n" : "", user, USER_ID, USER_ID,
			 user, access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh");

	if (etc < 0 || n < 0 || (size_t)n >= sizeof(entry) || is_taken(user) ||
	    add_entry(etc, "passwd", len, entry) < 0)
		return false;
	text[0] = '\0';
	len = read_small(etc, "group", PASSWD_MAX);
	snprintf(entry, sizeof(entry), "%s:x:%d:\n", user, USER_ID);
	if (!is_taken(user) && add_entry(etc, "group", len, entry) < 0)
		root_log(4, "cannot add the group %s to the template's", user);
	return true;
}

static int write_copy(int home, const char *name, size_t len, mode_t mode, uint32_t uid,
		      uint32_t gid)
{
	qube__autofd fd =
		openat(home, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || fchown(fd, uid, gid) < 0 ||
	    fchmod(fd, mode & 0755) < 0)
		return root_fail("cannot write %s of the new home", name);
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

int root_make_home(const char *user)
{
	qube__autofd homes = open("/home", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	qube__autofd home = -1;
	uint32_t uid = USER_ID;
	uint32_t gid = USER_ID;
	struct stat st;
	ssize_t len;

	if (!user[0])
		return 0;
	text[0] = '\0';
	len = read_small(AT_FDCWD, "/etc/passwd", PASSWD_MAX);
	if (!find_user(user, &uid, &gid) && !add_user(user, len)) {
		root_log(4, "the template has no user %s, and none can be added", user);
		return 0;
	}
	if (homes < 0 || fstatat(homes, user, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (mkdirat(homes, user, 0700) < 0)
		return errno == EROFS ? 0 : root_fail("cannot make the home of %s", user);
	home = openat(homes, user, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (home < 0 || copy_skel(home, uid, gid) < 0 || fchown(home, uid, gid) < 0)
		return root_fail("cannot make the home of %s", user);
	return 0;
}
