/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The stream of files: its codec, what a tree becomes, and what a hostile stream becomes. */
#include "qtest.h"

#include "base/error.h"
#include "copy/copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the codec --- */

QTEST(copy_wire, heads_are_encoded_and_parsed)
{
	static const struct qube__wire_copy good[] = {
		{ QUBE__COPY_BEGIN, 0, 0, UINT64_MAX }, { QUBE__COPY_FILE, 0777, 255, INT64_MAX },
		{ QUBE__COPY_FILE, 0, 1, 0 },		{ QUBE__COPY_DIR, 0755, 1, 0 },
		{ QUBE__COPY_LEAVE, 0, 0, 0 },		{ QUBE__COPY_LINK, 0, 3, 4095 },
		{ QUBE__COPY_LEFT, 0, 9, 0 },		{ QUBE__COPY_END, 0, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct qube__wire_copy out = { 0 };
		uint8_t raw[QUBE__COPY_HEAD];

		memset(raw, 0xa5, sizeof(raw));
		qube__wire_copy_encode(raw, &good[i]);
		QT_INT(qube__wire_copy_parse(&out, raw), 0);
		QT_INT(out.type, good[i].type);
		QT_INT(out.mode, good[i].mode);
		QT_INT(out.name_len, good[i].name_len);
		QT_TRUE(out.size == good[i].size);
	}
}

QTEST(copy_wire, heads_that_are_none_are_refused)
{
	static const struct qube__wire_copy bad[] = {
		{ 0, 0, 0, 0 },
		{ 7, 0, 1, 0 },
		{ UINT32_MAX, 0, 0, 0 },
		{ QUBE__COPY_BEGIN, 1, 0, 0 },
		{ QUBE__COPY_BEGIN, 0, 1, 0 },
		{ QUBE__COPY_BEGIN + (1 << 24), 0, 0, 0 },
		{ QUBE__COPY_FILE, 01000, 1, 0 },
		{ QUBE__COPY_FILE, 0644, 0, 0 },
		{ QUBE__COPY_FILE, 0644, 256, 0 },
		{ QUBE__COPY_FILE, 0644, UINT32_MAX, 0 },
		{ QUBE__COPY_FILE, 0644, 1, (uint64_t)1 << 63 },
		{ QUBE__COPY_DIR, 0755, 0, 0 },
		{ QUBE__COPY_DIR, 0755, 1, 1 },
		{ QUBE__COPY_DIR, 07755, 1, 0 },
		{ QUBE__COPY_LEAVE, 1, 0, 0 },
		{ QUBE__COPY_LEAVE, 0, 1, 0 },
		{ QUBE__COPY_LEAVE, 0, 0, 1 },
		{ QUBE__COPY_LINK, 0, 1, 0 },
		{ QUBE__COPY_LINK, 0, 1, 4096 },
		{ QUBE__COPY_LINK, 1, 1, 1 },
		{ QUBE__COPY_LINK, 0, 0, 1 },
		{ QUBE__COPY_LEFT, 0, 0, 0 },
		{ QUBE__COPY_LEFT, 0, 1, 1 },
		{ QUBE__COPY_END, 0, 0, 1 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct qube__wire_copy out = { .type = 99 };
		uint8_t raw[QUBE__COPY_HEAD];

		qube__wire_copy_encode(raw, &bad[i]);
		QT_INT(qube__wire_copy_parse(&out, raw), QUBE_E_PROTO);
		QT_INT(out.type, 99);
	}
}

QTEST(copy_wire, threat_11_names_are_of_one_entry)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	QT_INT(qube__wire_copy_name(name, 255), 0);
	QT_INT(qube__wire_copy_name(name, 256), QUBE_E_PROTO);
	QT_INT(qube__wire_copy_name(name, 0), QUBE_E_PROTO);
	QT_INT(qube__wire_copy_name(".", 1), QUBE_E_PROTO);
	QT_INT(qube__wire_copy_name("..", 2), QUBE_E_PROTO);
	QT_INT(qube__wire_copy_name("...", 3), 0);
	QT_INT(qube__wire_copy_name(".a", 2), 0);
	for (int b = 0; b < 256; b++) {
		char three[3] = { 'a', (char)b, 'c' };

		QT_INT(qube__wire_copy_name(three, 3), b == 0 || b == '/' ? QUBE_E_PROTO : 0);
	}
}

static int link_ok(const char *target, uint32_t depth)
{
	return qube__wire_copy_link(target, strlen(target), depth);
}

QTEST(copy_wire, threat_11_links_stay_below_the_top)
{
	static const char *const never[] = { "/",      "/etc",	  "//",	    "a/..",  "a/../b",
					     "./a/..", "../a/..", "a/b/..", "a//..", "" };

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		QT_INT(link_ok(never[i], 9), QUBE_E_PROTO);
	QT_INT(link_ok("a", 0), 0);
	QT_INT(link_ok("a/b/c", 0), 0);
	QT_INT(link_ok(".", 0), 0);
	QT_INT(link_ok("...", 0), 0);
	QT_INT(link_ok("..", 0), QUBE_E_PROTO);
	QT_INT(link_ok("./..", 0), QUBE_E_PROTO);
	QT_INT(link_ok("..", 1), 0);
	QT_INT(link_ok("../a", 1), 0);
	QT_INT(link_ok(".././/../x", 2), 0);
	QT_INT(link_ok("../../x", 1), QUBE_E_PROTO);
	QT_INT(qube__wire_copy_link("a\0b", 3, 9), QUBE_E_PROTO);
}

/* --- trees --- */

static char top[64];

static const char *at(const char *name)
{
	static char path[4][256];
	static unsigned int n;
	char *out = path[n++ % 4];

	snprintf(out, sizeof(path[0]), "%s/%s", top, name);
	return out;
}

static void make_top(void)
{
	snprintf(top, sizeof(top), "/tmp/qube-copy-XXXXXX");
	QT_TRUE(mkdtemp(top) != NULL);
}

static void put(const char *name, const char *text, mode_t mode)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	QT_TRUE(fd >= 0);
	QT_INT(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	QT_INT(fchmod(fd, mode), 0);
	close(fd);
}

static const char *get(const char *name)
{
	static char text[256];
	int fd = open(at(name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return NULL;
	text[n] = '\0';
	return text;
}

static int count(void)
{
	DIR *d = opendir(top);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n - 2;
}

static int modes_of(const char *name)
{
	struct stat st;

	return lstat(at(name), &st) < 0 ? -1 : (int)(st.st_mode & 07777);
}

static void drop_top(void)
{
	char *slash = strrchr(top, '/');
	int dir;

	*slash = '\0';
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	qube__copy_remove(dir, slash + 1);
	QT_TRUE(faccessat(dir, slash + 1, F_OK, 0) < 0);
	close(dir);
}

static struct qube__copy c;
static int n_left;

static void on_left(struct qube__copy *copy, const char *name)
{
	(void)copy;
	(void)name;
	n_left++;
}

static int send_of(const char *from, int to)
{
	int fd = open(at(from), O_RDONLY | O_CLOEXEC);
	int r;

	memset(&c, 0, sizeof(c));
	c.fd = to;
	c.left = on_left;
	n_left = 0;
	r = fd < 0 ? QUBE_E_NOENT : qube__copy_send(&c, fd, "sent");
	close(fd);
	return r;
}

static int receive_to(int from, const char *name, bool replace)
{
	int dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	memset(&c, 0, sizeof(c));
	c.fd = from;
	c.replace = replace;
	c.left = on_left;
	n_left = 0;
	r = qube__copy_receive(&c, dir, name, NULL);
	close(dir);
	return r;
}

static int stream(void)
{
	return memfd_create("stream", MFD_CLOEXEC);
}

QTEST(copy, a_tree_is_sent_and_received)
{
	char target[64] = "";
	int fd = stream();

	make_top();
	QT_INT(mkdir(at("a"), 0755), 0);
	QT_INT(mkdir(at("a/b"), 0700), 0);
	put("a/b/file", "content", 0777);
	put("a/plain", "", 06444);
	QT_INT(symlink("b/file", at("a/good")), 0);
	QT_INT(symlink("../../a", at("a/b/bad")), 0);
	QT_INT(symlink("../plain", at("a/b/up")), 0);
	QT_INT(mkfifo(at("a/pipe"), 0600), 0);
	QT_INT(send_of("a", fd), 0);
	QT_INT(n_left, 2);
	QT_INT(c.total, 7);
	QT_INT(c.done, 7);
	QT_INT(lseek(fd, 0, SEEK_SET), 0);
	QT_INT(receive_to(fd, "back", false), 0);
	QT_INT(n_left, 2);
	QT_INT(c.total, 7);
	QT_INT(c.done, 7);
	QT_STR(get("back/b/file"), "content");
	QT_INT(modes_of("back"), 0755);
	QT_INT(modes_of("back/b"), 0700);
	QT_INT(modes_of("back/b/file"), 0755);
	QT_INT(modes_of("back/plain"), 0444);
	QT_INT(readlink(at("back/b/up"), target, sizeof(target)), 8);
	QT_INT(count(), 2);
	close(fd);
	drop_top();
}

QTEST(copy, what_is_there_is_replaced_only_when_told)
{
	int fd = stream();

	make_top();
	put("new", "new", 0644);
	put("old", "old", 0644);
	put("aim", "aim", 0644);
	QT_INT(symlink("aim", at("link")), 0);
	QT_INT(mkdir(at("dir"), 0755), 0);
	QT_INT(send_of("new", fd), 0);
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = { "old", "link", "dir" };

		QT_INT(lseek(fd, 0, SEEK_SET), 0);
		QT_INT(receive_to(fd, names[i], false), QUBE_E_EXISTS);
	}
	QT_INT(lseek(fd, 0, SEEK_SET), 0);
	QT_INT(receive_to(fd, "dir", true), QUBE_E_EXISTS);
	QT_STR(get("old"), "old");
	for (int i = 0; i < 2; i++) {
		static const char *const names[] = { "old", "link" };

		QT_INT(lseek(fd, 0, SEEK_SET), 0);
		QT_INT(receive_to(fd, names[i], true), 0);
		QT_STR(get(names[i]), "new");
	}
	QT_STR(get("aim"), "aim");
	QT_INT(count(), 5);
	close(fd);
	drop_top();
}

QTEST(copy, directories_are_joined_or_nothing_moves)
{
	int fd = stream();

	make_top();
	QT_INT(mkdir(at("a"), 0755), 0);
	QT_INT(mkdir(at("a/sub"), 0755), 0);
	put("a/sub/f", "new", 0644);
	put("a/g", "new", 0644);
	QT_INT(mkdir(at("b"), 0755), 0);
	QT_INT(mkdir(at("b/sub"), 0755), 0);
	put("b/sub/f", "old", 0644);
	put("b/mine", "mine", 0644);
	QT_INT(mkdir(at("b/g"), 0755), 0);
	QT_INT(send_of("a", fd), 0);
	QT_INT(lseek(fd, 0, SEEK_SET), 0);
	QT_INT(receive_to(fd, "b", true), QUBE_E_EXISTS);
	QT_STR(get("b/sub/f"), "old");
	QT_INT(rmdir(at("b/g")), 0);
	QT_INT(lseek(fd, 0, SEEK_SET), 0);
	QT_INT(receive_to(fd, "b", true), 0);
	QT_STR(get("b/sub/f"), "new");
	QT_STR(get("b/g"), "new");
	QT_STR(get("b/mine"), "mine");
	QT_INT(count(), 2);
	close(fd);
	drop_top();
}

QTEST(copy, threat_11_a_stream_that_is_cut_off_leaves_nothing)
{
	struct stat st;
	int fd = stream();

	make_top();
	QT_INT(mkdir(at("a"), 0755), 0);
	put("a/f", "some", 0644);
	QT_INT(symlink("f", at("a/l")), 0);
	QT_INT(send_of("a", fd), 0);
	QT_INT(fstat(fd, &st), 0);
	for (off_t n = st.st_size; n-- > 0;) {
		QT_INT(ftruncate(fd, n), 0);
		QT_INT(lseek(fd, 0, SEEK_SET), 0);
		QT_INT(receive_to(fd, "b", false), QUBE_E_CLOSED);
		QT_INT(count(), 1);
	}
	close(fd);
	drop_top();
}

/* One byte of a good stream is another: it is refused, or it is as good; never more than that. */
QTEST(copy, threat_11_a_changed_byte_never_leads_out)
{
	static uint8_t good[512];
	int fd = stream();
	ssize_t len;

	make_top();
	QT_INT(mkdir(at("a"), 0755), 0);
	put("a/f", "some", 0644);
	QT_INT(symlink("f", at("a/l")), 0);
	QT_INT(send_of("a", fd), 0);
	len = pread(fd, good, sizeof(good), 0);
	QT_TRUE(len > 0 && len < (ssize_t)sizeof(good));
	for (ssize_t i = 0; i < len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			uint8_t byte = (uint8_t)(good[i] ^ (1 << bit));
			int dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			int r;

			QT_INT(pwrite(fd, &byte, 1, i), 1);
			QT_INT(lseek(fd, 0, SEEK_SET), 0);
			r = receive_to(fd, "b", false);
			QT_TRUE(r == 0 || r == QUBE_E_PROTO || r == QUBE_E_CLOSED);
			QT_INT(count(), r == 0 ? 2 : 1);
			qube__copy_remove(dir, "b");
			close(dir);
		}
		QT_INT(pwrite(fd, &good[i], 1, i), 1);
	}
	close(fd);
	drop_top();
}

QTEST(copy, threat_21_more_than_is_allowed_is_refused_before_it_is_written)
{
	int fd = stream();
	int dir;

	make_top();
	QT_INT(mkdir(at("a"), 0755), 0);
	put("a/f", "12345", 0644);
	put("a/g", "12345", 0644);
	QT_INT(send_of("a", fd), 0);
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (uint64_t max = 1; max <= 10; max++) {
		QT_INT(lseek(fd, 0, SEEK_SET), 0);
		memset(&c, 0, sizeof(c));
		c.fd = fd;
		c.max_bytes = max;
		QT_INT(qube__copy_receive(&c, dir, "b", NULL), max < 10 ? QUBE_E_LIMIT : 0);
		QT_INT(count(), max < 10 ? 1 : 2);
	}
	/* And what must stay free. */
	QT_INT(lseek(fd, 0, SEEK_SET), 0);
	memset(&c, 0, sizeof(c));
	c.fd = fd;
	c.keep_free = UINT64_MAX;
	QT_INT(qube__copy_receive(&c, dir, "c", NULL), QUBE_E_LIMIT);
	QT_INT(count(), 2);
	close(dir);
	close(fd);
	drop_top();
}

static int stop_at_once(struct qube__copy *copy)
{
	(void)copy;
	return qube__fail(QUBE_E_CANCELED, "stopped");
}

QTEST(copy, a_tick_ends_it_and_nothing_stays)
{
	int fd = stream();
	int dir;

	make_top();
	put("a", "12345", 0644);
	QT_INT(send_of("a", fd), 0);
	QT_INT(lseek(fd, 0, SEEK_SET), 0);
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memset(&c, 0, sizeof(c));
	c.fd = fd;
	c.tick = stop_at_once;
	QT_INT(qube__copy_receive(&c, dir, "b", NULL), QUBE_E_CANCELED);
	QT_STR(qube_error_last()->message, "stopped");
	QT_INT(count(), 1);
	close(dir);
	close(fd);
	drop_top();
}

QTEST(copy, what_is_neither_file_nor_directory_is_not_sent)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int fd = stream();

	memset(&c, 0, sizeof(c));
	c.fd = fd;
	QT_INT(qube__copy_send(&c, null, "x"), QUBE_E_INVALID);
	QT_INT(lseek(fd, 0, SEEK_END), 0);
	close(null);
	close(fd);
}

QTEST(copy, a_tree_that_is_too_deep_is_not_sent)
{
	char path[1024] = "a";
	int fd = stream();
	int dir;

	make_top();
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i <= QUBE__COPY_DEPTH_MAX; i++) {
		QT_INT(mkdirat(dir, path, 0755), 0);
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "/a");
	}
	QT_INT(send_of("a", fd), QUBE_E_LIMIT);
	QT_INT(lseek(fd, 0, SEEK_END), 0);
	close(dir);
	close(fd);
	drop_top();
}
