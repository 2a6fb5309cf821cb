/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A host that dies at each step of what is done to a pool of disks: before each call by which the
 * pool changes a folder or a file, in turn. The next host finds the old state or the new one, goes
 * on with it, and nothing else is left. */
#include "qtest.h"
#include "rig.h"
#include "util.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20, DIED = 77, STEPS_MAX = 400 };

/* Counts down in a child; 0 everywhere else. */
static int steps_left;

static void step(void)
{
	if (steps_left && --steps_left == 0)
		_exit(DIED);
}

/* --- in the place of the C library's --- */

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	step();
	return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags)
{
	step();
	return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	step();
	return (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

int unlinkat(int dir, const char *path, int flags)
{
	step();
	return (int)syscall(SYS_unlinkat, dir, path, flags);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	step();
	return (int)syscall(SYS_mkdirat, dir, path, mode);
}

int ftruncate(int fd, off_t length)
{
	step();
	return (int)syscall(SYS_ftruncate, fd, length);
}

int futimens(int fd, const struct timespec times[2])
{
	step();
	return (int)syscall(SYS_utimensat, fd, NULL, times, 0);
}

int fsync(int fd)
{
	step();
	return (int)syscall(SYS_fsync, fd);
}

/* --- what is done, in the child: its steps are counted from here on --- */

static int put_word(const char *path, const char *word)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pwrite(fd, word, 3, 0);

	if (fd >= 0)
		close(fd);
	return n == 3 ? 0 : -1;
}

static int change(struct fixture *f, int keep)
{
	struct qube__volume_spec v = disk_of("tpl");
	char *path;
	int r = start_disk(&path, f, &v);

	v.revisions_to_keep = keep;
	if (r == 0)
		r = put_word(path, "two");
	put_file(at("written"), "", 0600);
	return r < 0 ? r : stop_volume(f, &v, QUBE__STOP_AS_STARTED);
}

static int commit(struct fixture *f)
{
	return change(f, 1);
}

static int commit_and_keep_none(struct fixture *f)
{
	return change(f, 0);
}

static int revert(struct fixture *f)
{
	struct qube__volume_spec v = disk_of("tpl");

	return qube__volume_revert(f->p, &v, 1);
}

static int import(struct fixture *f)
{
	struct qube__volume_spec v = disk_of("tpl");
	struct waiter w;
	struct qube__pool_cb cb = waiter_cb(&w);
	int fd = open(at("image"), O_RDWR | O_CLOEXEC);
	int r = qube__volume_import(NULL, f->p, &v, fd, &cb);

	close(fd);
	return r == 1 ? wait_for(&f->loop, &w) : r;
}

static int clone(struct fixture *f)
{
	struct qube__volume_spec v = disk_of("copy");
	struct waiter w;
	struct qube__pool_cb cb = waiter_cb(&w);
	int r = qube__volume_clone(NULL, f->p, &v, "tpl", &cb);

	return r == 1 ? wait_for(&f->loop, &w) : r;
}

static int life_of_an_app(struct fixture *f)
{
	struct qube__volume_spec volumes[] = { app_disk("work", "tpl"), private_disk("work") };
	char *path;
	int r = 0;

	for (int i = 0; r == 0 && i < 2; i++)
		r = start_disk(&path, f, &volumes[i]);
	for (int i = 0; r == 0 && i < 2; i++)
		r = stop_volume(f, &volumes[i], QUBE__STOP_AS_STARTED);
	return r < 0 ? r : qube__volumes_remove(f->p, "work");
}

/* --- what the next host finds --- */

static void word_of(char word[4], const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pread(fd, word, 3, 0) != 3)
		memcpy(word, "???", 3);
	word[3] = '\0';
	if (fd >= 0)
		close(fd);
}

/* "two" after "one", at the current state and one that can be gone back to. */
static void prepare(struct fixture *f, const char *committed)
{
	const char *tpl;
	struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	QT_INT(setup_with(f, "file"), 0);
	tpl = at("pools/main/volumes/tpl/root.img");
	put_file(tpl, committed, 0600);
	QT_INT(truncate(tpl, MIB), 0);
	utimensat(AT_FDCWD, tpl, times, 0);
	if (!strcmp(committed, "one"))
		return;
	put_file(at("pools/main/volumes/tpl/root.1@900.img"), "one", 0600);
	QT_INT(truncate(at("pools/main/volumes/tpl/root.1@900.img"), MIB), 0);
}

static void nothing_strange(struct fixture *f, int number)
{
	struct qube__volume_spec v = disk_of("tpl");
	char found[4];
	char now[4];
	char *path;

	if (exists(at("pools/main/volumes/copy/root.img"))) {
		word_of(found, at("pools/main/volumes/copy/root.img"));
		QT_STR(found, "one");
	}
	QT_INT(start_disk(&path, f, &v), 0);
	word_of(found, path);
	if (strcmp(found, "two") != 0 && (strcmp(found, "one") != 0 || exists(at("written"))))
		qtest_fail(__FILE__, __LINE__, "step %d: it begins with %s", number, found);
	QT_INT(stop_volume(f, &v, QUBE__STOP_AS_STARTED), 0);
	word_of(now, at("pools/main/volumes/tpl/root.img"));
	QT_STR(now, found);
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	QT_INT(count_entries(at("pools/main/run")), 0);
	QT_INT(wait_until(&f->loop, no_trash, NULL), 0);
}

static void dies_at(int *end, int number, int (*what)(struct fixture *f), const char *committed)
{
	struct fixture f;
	int status = 0;
	pid_t child;

	*end = 1;
	prepare(&f, committed);
	put_file(at("image"), "two", 0600);
	QT_INT(truncate(at("image"), MIB), 0);
	qube__pool_close(f.p);
	child = fork();
	if (child == 0) {
		int r = qube__loop_init(&f.loop) < 0 ? -1 : open_pool(&f);

		steps_left = number;
		if (r == 0)
			r = what(&f);
		_exit(r == 0 ? 0 : 1);
	}
	QT_INT(waitpid(child, &status, 0), child);
	QT_INT(open_pool(&f), 0);
	nothing_strange(&f, number);
	if (WEXITSTATUS(status) == 0 && what != clone && what != life_of_an_app) {
		char now[4];

		word_of(now, at("pools/main/volumes/tpl/root.img"));
		QT_STR(now, what == revert ? "one" : "two");
	}
	teardown(&f);
	*end = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void at_each_step(int (*what)(struct fixture *f), const char *committed, int at_least)
{
	int end = DIED;
	int n;

	for (n = 1; end == DIED && n < STEPS_MAX; n++)
		dies_at(&end, n, what, committed);
	QT_INT(end, 0);
	printf("%d steps\n", n - 2);
	QT_TRUE(n - 2 >= at_least);
}

QTEST(block_crash, threat_34_at_each_step_of_a_commit)
{
	at_each_step(commit, "one", 10);
}

QTEST(block_crash, threat_34_at_each_step_of_a_commit_that_keeps_no_old_state)
{
	at_each_step(commit_and_keep_none, "one", 10);
}

QTEST(block_crash, threat_34_at_each_step_of_going_back)
{
	at_each_step(revert, "two", 4);
}

QTEST(block_crash, threat_34_at_each_step_of_an_import)
{
	at_each_step(import, "one", 4);
}

QTEST(block_crash, threat_34_at_each_step_of_a_clone)
{
	at_each_step(clone, "one", 2);
}

QTEST(block_crash, threat_34_at_each_step_of_the_life_of_an_app)
{
	at_each_step(life_of_an_app, "one", 10);
}
