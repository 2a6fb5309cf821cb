/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A stream becomes a file or a directory. On the host its bytes are a hostile qube's: each entry is
 * new, below a directory that was made a moment before and is held by its descriptor. */
#include "copy/copy.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>

enum {
	ROOM_EACH = 256,       /* entries, and */
	ROOM_BYTES = 16 << 20, /* bytes after which the disk is looked at */
	SPARE_FILES = 1000,
	SPARE_PARTS = 20, /* of a small disk's files */
};

struct receive {
	struct qube__copy *c;
	const char *temp; /* what the top is called meanwhile */
	uint32_t depth;
	int dirs[QUBE__COPY_DEPTH_MAX + 1]; /* dirs[0] is the target's and not ours */
	uint32_t modes[QUBE__COPY_DEPTH_MAX + 1];
	uint64_t looked; /* done when the disk was looked at */
	char name[QUBE__COPY_NAME_MAX + 1];
	char target[QUBE__COPY_LINK_MAX + 1];
};

static int refuse(const char *why)
{
	return qube__fail(QUBE_E_PROTO, "the stream of files is refused: %s", why);
}

static int check_room(struct receive *rx)
{
	struct statfs fs;

	if (rx->c->entries % ROOM_EACH != 1 && rx->c->done - rx->looked < ROOM_BYTES)
		return 0;
	rx->looked = rx->c->done;
	if (fstatfs(rx->dirs[0], &fs) < 0)
		return qube__fail_os("cannot look at the disk");
	if (fs.f_blocks && (uint64_t)fs.f_bavail * (uint64_t)fs.f_frsize < rx->c->keep_free)
		return qube__fail(QUBE_E_LIMIT,
				  "no space is left for it on the disk: %" PRIu64
				  " bytes stay free",
				  rx->c->keep_free);
	if (rx->c->keep_free && fs.f_ffree < SPARE_FILES &&
	    (uint64_t)fs.f_ffree < (uint64_t)fs.f_files / SPARE_PARTS)
		return qube__fail(QUBE_E_LIMIT, "the disk has no room for more files");
	return 0;
}

static int store(int fd, const char *buf, size_t len, const char *name)
{
	for (size_t put = 0; put < len;) {
		ssize_t n = write(fd, buf + put, len - put);

		if (n < 0 && errno != EINTR)
			return qube__copy_fail("write", name);
		if (n > 0)
			put += (size_t)n;
	}
	return 0;
}

static int take_file(struct receive *rx, const struct qube__wire_copy *h)
{
	struct qube__copy *c = rx->c;
	qube__autofd fd = -1;
	uint64_t left = h->size;
	int r = 0;

	if (c->max_bytes && h->size > c->max_bytes - c->done)
		return qube__fail(QUBE_E_LIMIT, "it is larger than was allowed");
	fd = openat(rx->dirs[rx->depth], rx->name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? refuse("two entries have one name") :
					 qube__copy_fail("make", rx->name);
	while (r == 0 && left) {
		size_t n = left > sizeof(c->piece) ? sizeof(c->piece) : (size_t)left;

		r = qube__copy_read(c, c->piece, n);
		if (r == 0)
			r = store(fd, c->piece, n, rx->name);
		if (r < 0)
			return r;
		left -= n;
		c->done += n;
		r = c->tick ? c->tick(c) : 0;
		if (r == 0)
			r = check_room(rx);
	}
	if (r == 0 && fchmod(fd, h->mode & 0755) < 0)
		r = qube__copy_fail("finish", rx->name);
	return r;
}

static int take_dir(struct receive *rx, const struct qube__wire_copy *h)
{
	int fd;

	if (rx->depth == QUBE__COPY_DEPTH_MAX)
		return refuse("it is too deep");
	if (mkdirat(rx->dirs[rx->depth], rx->name, 0700) < 0)
		return errno == EEXIST ? refuse("two entries have one name") :
					 qube__copy_fail("make", rx->name);
	fd = openat(rx->dirs[rx->depth], rx->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return qube__copy_fail("make", rx->name);
	rx->dirs[++rx->depth] = fd;
	rx->modes[rx->depth] = h->mode;
	return 0;
}

static int leave_dir(struct receive *rx)
{
	int fd = rx->dirs[rx->depth];
	/* Ours stays a directory that we can remove. */
	int r = fchmod(fd, (rx->modes[rx->depth] & 0755) | 0700);

	close(fd);
	rx->depth--;
	return r < 0 ? qube__copy_fail("finish", "a directory") : 0;
}

static int take_link(struct receive *rx, const struct qube__wire_copy *h)
{
	int r = qube__copy_read(rx->c, rx->target, (size_t)h->size);

	if (r < 0)
		return r;
	rx->target[h->size] = '\0';
	if (!rx->depth || qube__wire_copy_link(rx->target, (size_t)h->size, rx->depth - 1) < 0)
		return refuse("a link leads out of it");
	if (symlinkat(rx->target, rx->dirs[rx->depth], rx->name) < 0)
		return errno == EEXIST ? refuse("two entries have one name") :
					 qube__copy_fail("make", rx->name);
	return 0;
}

static int take_head(struct receive *rx, struct qube__wire_copy *h)
{
	uint8_t untrusted[QUBE__COPY_HEAD];
	int r = qube__copy_read(rx->c, untrusted, sizeof(untrusted));

	if (r < 0)
		return r;
	if (qube__wire_copy_parse(h, untrusted) < 0)
		return refuse("a record is none");
	if (!h->name_len)
		return 0;
	r = qube__copy_read(rx->c, rx->name, h->name_len);
	if (r < 0)
		return r;
	rx->name[h->name_len] = '\0';
	if (qube__wire_copy_name(rx->name, h->name_len) < 0)
		return refuse("a name is none");
	/* At the top it is the name that we were told. */
	if (!rx->depth)
		snprintf(rx->name, sizeof(rx->name), "%s", rx->temp);
	return 0;
}

static int take_entry(struct receive *rx, const struct qube__wire_copy *h)
{
	int r;

	if (h->name_len && rx->c->entries++ >= QUBE__COPY_ENTRIES_MAX)
		return qube__fail(QUBE_E_LIMIT, "more than %d files", QUBE__COPY_ENTRIES_MAX);
	r = check_room(rx);
	if (r == 0 && rx->c->tick)
		r = rx->c->tick(rx->c);
	if (r < 0)
		return r;
	switch (h->type) {
	case QUBE__COPY_FILE:
		return take_file(rx, h);
	case QUBE__COPY_DIR:
		return take_dir(rx, h);
	case QUBE__COPY_LINK:
		return take_link(rx, h);
	case QUBE__COPY_LEAVE:
		return rx->depth ? leave_dir(rx) : refuse("nothing was entered");
	case QUBE__COPY_LEFT:
		if (rx->c->left)
			rx->c->left(rx->c, rx->name);
		return rx->depth ? 0 : refuse("there is nothing in it");
	default:
		return refuse("a record is out of place");
	}
}

/* BEGIN, one entry with all in it, END. */
static int take_all(struct receive *rx)
{
	struct qube__wire_copy h;
	int r = take_head(rx, &h);

	if (r == 0 && h.type != QUBE__COPY_BEGIN)
		r = refuse("it has no beginning");
	if (r == 0)
		rx->c->total = h.size;
	do {
		if (r == 0)
			r = take_head(rx, &h);
		if (r == 0)
			r = take_entry(rx, &h);
	} while (r == 0 && rx->depth);
	if (r == 0)
		r = take_head(rx, &h);
	if (r == 0 && h.type != QUBE__COPY_END)
		r = refuse("it has no end");
	while (rx->depth)
		close(rx->dirs[rx->depth--]);
	return r;
}

static int temp_name(char out[32])
{
	uint64_t n;

	if (getrandom(&n, sizeof(n), 0) != (ssize_t)sizeof(n))
		return qube__fail_os("cannot make a name");
	snprintf(out, 32, ".qube-%016llx", (unsigned long long)n);
	return 0;
}

int qube__copy_receive(struct qube__copy *c, int dir, const char *name, const char *temp)
{
	qube__autofree struct receive *rx = calloc(1, sizeof(*rx));
	struct qube__err err;
	char own[32];
	int r;

	if (!rx)
		return qube__fail_nomem();
	r = qube__copy_check_free(dir, name, c->replace);
	if (r == 0 && !temp)
		r = temp_name(own);
	if (r == 0 && temp && qube__wire_copy_name(temp, strlen(temp)) < 0)
		r = qube__fail(QUBE_E_INVALID, "a temporary name that is none");
	if (r < 0)
		return r;
	if (!temp)
		temp = own;
	rx->c = c;
	rx->temp = temp;
	rx->dirs[0] = dir;
	r = take_all(rx);
	if (r == 0)
		r = qube__copy_place(dir, temp, name, c->replace);
	if (r < 0) {
		qube__err_save(&err);
		qube__copy_remove(dir, temp);
		return qube__err_restore(&err);
	}
	return 0;
}
