/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The socket that qubed listens on. */
#include "listen.h"

#include "log.h"

#include "common/opts.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A client that does not wait for its turn is refused by a full queue. */
enum { BACKLOG = 1024, ASK_MS = 1000, ASK_PAUSE_MS = 20 };

static int fill_address(struct sockaddr_un *a, const char *path)
{
	size_t len = strlen(path);

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (len == 0 || len >= sizeof(a->sun_path)) {
		qubed_log(3, "the path of a socket has 1 to %zu bytes, not %zu: %s",
			  sizeof(a->sun_path) - 1, len, path);
		return -1;
	}
	memcpy(a->sun_path, path, len);
	return 0;
}

/* The directories above path. What is there already stays as it is; the last one, which the library
 * wants to itself when it is the runtime directory, is root's alone. */
static int make_parents(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t len = (size_t)(slash - path);

		memcpy(dir, path, len);
		dir[len] = '\0';
		if (mkdir(dir, strchr(slash + 1, '/') ? 0755 : 0700) < 0 && errno != EEXIST) {
			qubed_log(3, "cannot make the directory %s: %m", dir);
			return -1;
		}
	}
	return 0;
}

/* A connection, or minus why not. */
static int connect_to(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

/* 0: somebody listens there; else why not, an errno. A daemon that was killed while it spawned
 * leaves a child that has the socket until its exec, some milliseconds on a busy machine: that is
 * no living one, and what is in its queue is hung up on then. A living one waits for our request.
 */
static int ask(const struct sockaddr_un *a)
{
	int64_t until = cli_now_ms() + ASK_MS;
	int64_t left;

	while ((left = until - cli_now_ms()) > 0) {
		struct pollfd p = { .fd = connect_to(a) };
		bool hung_up;

		if (p.fd == -EAGAIN) /* it listens, with a full queue */
			return 0;
		if (p.fd < 0)
			return -p.fd;
		hung_up = poll(&p, 1, (int)left) == 1;
		close(p.fd);
		if (!hung_up)
			return 0;
		/* As a living one does that has too many. */
		poll(NULL, 0, ASK_PAUSE_MS);
	}
	return 0;
}

/* Asks whether somebody listens; removes what a dead daemon left. 0: the path is free. */
static int clear_stale(const struct sockaddr_un *a)
{
	struct stat st;
	int error;

	if (lstat(a->sun_path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		qubed_log(3, "cannot look at %s: %m", a->sun_path);
		return -1;
	}
	if (!S_ISSOCK(st.st_mode)) {
		qubed_log(3, "%s is in the way and is no socket", a->sun_path);
		return -1;
	}
	error = ask(a);
	if (error != ECONNREFUSED && error != ENOENT) {
		if (error == 0)
			qubed_log(3, "another qubed listens at %s", a->sun_path);
		else
			qubed_log(3, "cannot tell whether somebody listens at %s: %s", a->sun_path,
				  strerror(error));
		return -1;
	}
	if (unlink(a->sun_path) < 0 && errno != ENOENT) {
		qubed_log(3, "cannot remove the old socket %s: %m", a->sun_path);
		return -1;
	}
	return 0;
}

static int set_owner(const char *path)
{
	struct group *g = getgrnam("qube");

	/* Owner before mode: the group gets in last. Members are root in effect, see qubed(8). */
	if (!g)
		return 0;
	if (chown(path, 0, g->gr_gid) < 0 || chmod(path, 0660) < 0) {
		qubed_log(3, "cannot give %s to the group qube: %m", path);
		return -1;
	}
	return 0;
}

int qubed_listen(const char *path, ino_t *made)
{
	struct sockaddr_un a;
	struct stat st;
	mode_t mask;
	int bound;
	int fd;

	if (fill_address(&a, path) < 0 || make_parents(path) < 0 || clear_stale(&a) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		qubed_log(3, "cannot make a socket: %m");
		return -1;
	}
	mask = umask(0177);
	bound = bind(fd, (const struct sockaddr *)&a, sizeof(a));
	umask(mask);
	if (bound < 0 || listen(fd, BACKLOG) < 0 || lstat(path, &st) < 0) {
		qubed_log(3, "cannot listen at %s: %m", path);
		if (bound == 0)
			unlink(path);
		close(fd);
		return -1;
	}
	*made = st.st_ino;
	if (set_owner(path) < 0) {
		unlink(path);
		close(fd);
		return -1;
	}
	return fd;
}

static bool is_ours(void)
{
	const char *pid = getenv("LISTEN_PID");
	uint64_t n;

	return pid && cli_parse_u64(&n, pid, INT32_MAX) && n == (uint64_t)getpid();
}

static bool is_option(int fd, int option, int wanted)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == wanted;
}

int qubed_listen_inherited(char *path, size_t cap)
{
	enum { FD = 3 };
	struct sockaddr_un a = { 0 };
	socklen_t len = sizeof(a) - 1;
	const char *count = getenv("LISTEN_FDS");
	bool ours = is_ours();
	bool one = count && strcmp(count, "1") == 0;

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (!ours)
		return -1;
	if (!one || !is_option(FD, SO_DOMAIN, AF_UNIX) || !is_option(FD, SO_TYPE, SOCK_STREAM) ||
	    !is_option(FD, SO_ACCEPTCONN, 1) || getsockname(FD, (struct sockaddr *)&a, &len) < 0) {
		qubed_log(3, "what was passed to listen with is not one UNIX stream socket");
		return -2;
	}
	if (fcntl(FD, F_SETFD, FD_CLOEXEC) < 0 || fcntl(FD, F_SETFL, O_RDWR | O_NONBLOCK) < 0) {
		qubed_log(3, "cannot use the socket that was passed: %m");
		return -2;
	}
	snprintf(path, cap, "%s", a.sun_path);
	return FD;
}

void qubed_unlink(const char *path, ino_t made)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == made)
		unlink(path);
}
