/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A file or a directory becomes a stream. The tree may change meanwhile; each entry is opened by
 * its directory's descriptor and looked at again. */
#include "copy/copy.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct send {
	struct qube__copy *c;
	bool only_count;
	uint32_t depth; /* directories that were entered */
};

static int put(struct send *s, uint32_t type, uint32_t mode, const char *name, uint64_t size)
{
	struct qube__wire_copy head = {
		.type = type, .mode = mode & 0777, .name_len = (uint32_t)strlen(name), .size = size
	};
	uint8_t raw[QUBE__COPY_HEAD];
	int r;

	if (s->only_count)
		return 0;
	qube__wire_copy_encode(raw, &head);
	r = qube__copy_write(s->c, raw, sizeof(raw));
	return r < 0 ? r : qube__copy_write(s->c, name, head.name_len);
}

static int leave_out(struct send *s, const char *name)
{
	if (!s->only_count && s->c->left)
		s->c->left(s->c, name);
	return put(s, QUBE__COPY_LEFT, 0, name, 0);
}

static int send_file(struct send *s, int fd, const char *name, const struct stat *st)
{
	uint64_t left = (uint64_t)st->st_size;
	int r = put(s, QUBE__COPY_FILE, st->st_mode, name, left);

	if (s->only_count)
		s->c->total += left;
	while (r == 0 && !s->only_count && left) {
		size_t want = left > sizeof(s->c->piece) ? sizeof(s->c->piece) : (size_t)left;
		ssize_t n = read(fd, s->c->piece, want);

		if (n < 0)
			return qube__copy_fail("read", name);
		if (n == 0)
			return qube__fail(QUBE_E_STATE, "a file became shorter while it was sent");
		r = qube__copy_write(s->c, s->c->piece, (size_t)n);
		left -= (uint64_t)n;
		s->c->done += (uint64_t)n;
		if (r == 0 && s->c->tick)
			r = s->c->tick(s->c);
	}
	return r;
}

static int send_link(struct send *s, int dir, const char *name)
{
	char target[QUBE__COPY_LINK_MAX + 1];
	ssize_t n = readlinkat(dir, name, target, sizeof(target));
	int r;

	if (n < 0)
		return qube__copy_fail("read", name);
	if (qube__wire_copy_link(target, (size_t)n, s->depth - 1) < 0)
		return leave_out(s, name);
	r = put(s, QUBE__COPY_LINK, 0, name, (uint64_t)n);
	return r < 0 || s->only_count ? r : qube__copy_write(s->c, target, (size_t)n);
}

static int send_open(struct send *s, int fd, const char *name);

static int send_entry(struct send *s, int dir, const char *name)
{
	/* A pipe in the place of a file must not hold us. */
	const int how = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	qube__autofd fd = -1;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : qube__copy_fail("look at", name);
	if (S_ISLNK(st.st_mode))
		return send_link(s, dir, name);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return leave_out(s, name);
	fd = openat(dir, name, how);
	if (fd < 0)
		return errno == ENOENT ? 0 : qube__copy_fail("open", name);
	return send_open(s, fd, name);
}

static int send_entries(struct send *s, int fd, const char *name)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	struct dirent *e;
	int r = 0;

	if (!d) {
		qube__close_fd(&own);
		return qube__copy_fail("read", name);
	}
	errno = 0;
	while (r == 0 && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = send_entry(s, fd, e->d_name);
		if (r == 0 && s->c->tick)
			r = s->c->tick(s->c);
		errno = 0;
	}
	if (r == 0 && errno)
		r = qube__copy_fail("read", name);
	closedir(d);
	return r;
}

static int send_dir(struct send *s, int fd, const char *name, const struct stat *st)
{
	int r;

	if (s->depth == QUBE__COPY_DEPTH_MAX)
		return qube__fail(QUBE_E_LIMIT, "directories are more than %d deep",
				  QUBE__COPY_DEPTH_MAX);
	r = put(s, QUBE__COPY_DIR, st->st_mode, name, 0);
	s->depth++;
	if (r == 0)
		r = send_entries(s, fd, name);
	s->depth--;
	return r < 0 ? r : put(s, QUBE__COPY_LEAVE, 0, "", 0);
}

static int send_open(struct send *s, int fd, const char *name)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return qube__copy_fail("look at", name);
	if (s->c->entries++ >= QUBE__COPY_ENTRIES_MAX)
		return qube__fail(QUBE_E_LIMIT, "more than %d files", QUBE__COPY_ENTRIES_MAX);
	if (S_ISDIR(st.st_mode))
		return send_dir(s, fd, name, &st);
	if (S_ISREG(st.st_mode))
		return send_file(s, fd, name, &st);
	if (s->depth)
		return leave_out(s, name);
	return qube__fail(QUBE_E_INVALID, "what is to be copied is neither a file nor a directory");
}

int qube__copy_send(struct qube__copy *c, int fd, const char *name)
{
	struct send s = { .c = c, .only_count = true };
	int r = send_open(&s, fd, name);

	if (r < 0)
		return r;
	c->entries = 0;
	s.only_count = false;
	r = put(&s, QUBE__COPY_BEGIN, 0, "", c->total);
	if (r == 0)
		r = send_open(&s, fd, name);
	return r < 0 ? r : put(&s, QUBE__COPY_END, 0, "", 0);
}
