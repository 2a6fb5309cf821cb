/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Files and sockets. */
#include "base/fault.h"
#include "base/io.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

int qube__io_write_full(int fd, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE ? QUBE_E_CLOSED : QUBE_E_SYSTEM;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int qube__io_read_file(char **out, size_t *out_len, int dirfd, const char *path, size_t max)
{
	qube__autofd fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	qube__autofree char *data = NULL;
	size_t len = 0;
	size_t cap;
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return qube__fail(QUBE_E_NOENT, "no file %s", path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return qube__fail_os("cannot open %s", path);
	if (!S_ISREG(st.st_mode))
		return qube__fail(QUBE_E_INVALID, "%s is not a regular file", path);
	/* Files of /proc and /sys say size 0, and any file may grow while it is read. */
	cap = st.st_size > 0 && (uint64_t)st.st_size <= max ? (size_t)st.st_size + 1 : 4096;
	if (cap > max + 1)
		cap = max + 1;
	data = malloc(cap + 1);
	if (!data)
		return qube__fail_nomem();
	for (;;) {
		ssize_t n;

		if (len == cap && cap <= max) {
			size_t bigger = cap * 2 > max + 1 ? max + 1 : cap * 2;
			char *grown = realloc(data, bigger + 1);

			if (!grown)
				return qube__fail_nomem();
			data = grown;
			cap = bigger;
		}
		if (len > max)
			return qube__fail(QUBE_E_LIMIT, "%s is larger than %zu bytes", path, max);
		n = read(fd, data + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return qube__fail_os("cannot read %s", path);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	data[len] = '\0';
	*out = qube__steal(data);
	if (out_len)
		*out_len = len;
	return 0;
}

static int write_synced(int fd, const char *name, const void *data, size_t len, int durable)
{
	if (qube__io_write_full(fd, data, len) < 0)
		return qube__fail_os("cannot write %s", name);
	if (durable && fsync(fd) < 0)
		return qube__fail_os("cannot flush %s", name);
	return 0;
}

int qube__io_replace_file(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
			  int durable)
{
	char temp[300];
	qube__autofd fd = -1;
	int r;

	if ((size_t)snprintf(temp, sizeof(temp), ".%s.new", name) >= sizeof(temp))
		return qube__fail(QUBE_E_INVALID, "file name of %zu bytes", strlen(name));
	fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return qube__fail_os("cannot create %s", temp);
	r = write_synced(fd, temp, data, len, durable);
	if (r == 0 && (qube__fault_fails(QUBE__FAULT_STORE_WRITTEN) ||
		       renameat(dirfd, temp, dirfd, name) < 0))
		r = qube__fail_os("cannot rename %s", temp);
	if (r < 0) {
		unlinkat(dirfd, temp, 0);
		return r;
	}
	if (qube__fault_fails(QUBE__FAULT_STORE_RENAMED) || (durable && fsync(dirfd) < 0))
		return qube__fail_os("cannot flush the directory of %s", name);
	return 0;
}

ssize_t qube__io_send_fds(int sock, const void *buf, size_t len, const int *fds, size_t n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * QUBE__IO_FDS_MAX)];
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t r;

	if (n > QUBE__IO_FDS_MAX) {
		errno = EINVAL;
		return QUBE_E_SYSTEM;
	}
	if (n) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	}
	do
		r = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	if (r >= 0)
		return r;
	if (errno == EAGAIN || errno == ETOOMANYREFS)
		return QUBE_E_AGAIN;
	return errno == EPIPE || errno == ECONNRESET ? QUBE_E_CLOSED : QUBE_E_SYSTEM;
}

static size_t collect_fds(struct msghdr *msg, int *fds, size_t room, int *too_many)
{
	struct cmsghdr *c;
	size_t count = 0;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (count < room) {
				fds[count++] = fd;
			} else {
				close(fd);
				*too_many = 1;
			}
		}
	}
	return count;
}

ssize_t qube__io_recv_fds(int sock, void *buf, size_t cap, int *fds, size_t *n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * QUBE__IO_FDS_MAX)];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = cap };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	size_t room = *n;
	int too_many = 0;
	ssize_t r;

	*n = 0;
	do
		r = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == EAGAIN	   ? QUBE_E_AGAIN :
		       errno == ECONNRESET ? QUBE_E_CLOSED :
					     QUBE_E_SYSTEM;
	*n = collect_fds(&msg, fds, room, &too_many);
	if (too_many || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		for (size_t i = 0; i < *n; i++)
			close(fds[i]);
		*n = 0;
		return QUBE_E_PROTO;
	}
	return r;
}

static ssize_t io_code(ssize_t r)
{
	if (r >= 0)
		return r;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return QUBE_E_AGAIN;
	return errno == EPIPE || errno == ECONNRESET ? QUBE_E_CLOSED : QUBE_E_SYSTEM;
}

ssize_t qube__io_read(int fd, void *buf, size_t cap)
{
	ssize_t r;

	do
		r = read(fd, buf, cap);
	while (r < 0 && errno == EINTR);
	return io_code(r);
}

ssize_t qube__io_write(int fd, const void *buf, size_t len)
{
	ssize_t r;

	do
		r = write(fd, buf, len);
	while (r < 0 && errno == EINTR);
	return io_code(r);
}

int qube__io_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return qube__fail_os("cannot make a descriptor non-blocking");
	return 0;
}

int qube__io_mkdir(int dirfd, const char *name, mode_t mode)
{
	struct stat st;

	if (mkdirat(dirfd, name, mode) < 0 && errno != EEXIST)
		return qube__fail_os("cannot make directory %s", name);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return qube__fail_os("cannot look at %s", name);
	if (!S_ISDIR(st.st_mode))
		return qube__fail(QUBE_E_EXISTS, "%s is there and is not a directory", name);
	return 0;
}
