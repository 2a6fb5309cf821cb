/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Ranges of user ids, agreed upon by hosts: each test's own directory stands for the machine's. */
#include "qtest.h"

#include "base/error.h"
#include "driver/local/local.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST = 10 << 16, RANGE = 1 << 16 };

struct shelf {
	char dir[64];
	char users[80];
	struct qube__local_ids ids;
};

static void shelf_open(struct shelf *s, uint32_t count)
{
	snprintf(s->dir, sizeof(s->dir), "/tmp/qube-ids-XXXXXX");
	QT_TRUE(mkdtemp(s->dir) != NULL);
	snprintf(s->users, sizeof(s->users), "%s.users", s->dir);
	s->ids = (struct qube__local_ids){ .dir = -1,
					   .first = FIRST,
					   .count = count,
					   .subuid = s->users,
					   .subgid = "/nonexistent" };
	QT_INT(qube__local_ids_open(&s->ids, s->dir), 0);
}

static void shelf_close(struct shelf *s)
{
	char command[256];

	close(s->ids.dir);
	snprintf(command, sizeof(command), "rm -rf %s %s", s->dir, s->users);
	QT_INT(system(command), 0);
}

static int put(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	return f && fputs(text, f) >= 0 && fclose(f) == 0 ? 0 : -1;
}

/* Another host: takes what it wants, and lives until it is told not to. */
static pid_t host_with(const struct shelf *s, uint32_t wanted)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		struct qube__local_ids ids = s->ids;
		uint32_t got;

		if (qube__local_ids_open(&ids, s->dir) < 0 ||
		    qube__local_ids_take(&got, &ids, wanted) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		pid = -1;
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

QTEST(ids, two_hosts_never_have_the_same)
{
	struct shelf s;
	uint32_t got = 0;
	pid_t other;

	shelf_open(&s, 4);
	other = host_with(&s, FIRST + RANGE);
	QT_TRUE(other > 0);
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST + RANGE), 0);
	QT_INT(got, FIRST + 2 * RANGE);
	end(other);
	/* What a dead host had is free. */
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST + RANGE), 0);
	QT_INT(got, FIRST + RANGE);
	shelf_close(&s);
}

QTEST(ids, they_end_and_one_that_is_given_back_is_taken_again)
{
	struct shelf s;
	uint32_t got = 0;
	uint32_t all = 0;

	shelf_open(&s, 3);
	for (int i = 0; i < 3; i++) {
		QT_INT(qube__local_ids_take(&got, &s.ids, FIRST + 2 * RANGE), 0);
		all |= 1u << (got - FIRST) / RANGE;
	}
	QT_INT(all, 7);
	got = 0;
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST), QUBE_E_LIMIT);
	QT_TRUE(strstr(qube_error_last()->message, "all 3 ranges of user ids") != NULL);
	QT_INT(got, 0);
	qube__local_ids_give(&s.ids, FIRST + RANGE, getpid());
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST), 0);
	QT_INT(got, FIRST + RANGE);
	shelf_close(&s);
}

QTEST(ids, threat_34_a_box_keeps_them_when_its_host_is_gone)
{
	struct shelf s;
	uint32_t got = 0;
	pid_t box = fork();
	pid_t host;

	if (box == 0)
		for (;;)
			pause();
	shelf_open(&s, 4);
	host = host_with(&s, FIRST);
	QT_TRUE(host > 0);
	/* As its host does it; a third host may not. */
	QT_INT(qube__local_ids_pass(&s.ids, FIRST, box), QUBE_E_BUSY);
	end(host);
	QT_INT(qube__local_ids_pass(&s.ids, FIRST, box), 0);
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST), 0);
	QT_INT(got, FIRST + RANGE);
	/* The next host takes the box over; while the box lives nobody else gets them. */
	QT_INT(qube__local_ids_pass(&s.ids, FIRST, box), 0);
	qube__local_ids_give(&s.ids, FIRST, getpid());
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST), 0);
	QT_INT(got, FIRST + 2 * RANGE);
	end(box);
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST), 0);
	QT_INT(got, FIRST);
	shelf_close(&s);
}

QTEST(ids, a_process_that_got_the_number_of_another_has_nothing_of_it)
{
	struct shelf s;
	uint32_t got = 0;
	char text[64];
	char path[80];

	shelf_open(&s, 4);
	snprintf(path, sizeof(path), "%s/10", s.dir);
	snprintf(text, sizeof(text), "%d 1\n", (int)getpid());
	QT_INT(put(path, text), 0);
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST), 0);
	QT_INT(got, FIRST);
	/* Nor has a file that says nothing. */
	QT_INT(put(path, "rubbish"), 0);
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST), 0);
	QT_INT(got, FIRST);
	shelf_close(&s);
}

QTEST(ids, what_users_may_give_to_containers_is_left_to_them)
{
	struct shelf s;
	char line[700];
	uint32_t got = 0;

	shelf_open(&s, 4);
	/* The first two by one id each, one that only touches the third, and lines that mean none.
	 */
	QT_INT(put(s.users, "a:589824:65537\nb:786431:1\nc:851968\nd:x:9\ne:0:1\n\nf:786432:0\n"),
	       0);
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST), 0);
	QT_INT(got, FIRST + 2 * RANGE);
	/* However a line looks that others may understand. */
	memset(line, 'x', sizeof(line));
	snprintf(line + 600, sizeof(line) - 600, ":%d:%d \n", FIRST, 2 * RANGE);
	QT_INT(put(s.users, line), 0);
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST), 0);
	QT_INT(got, FIRST + 3 * RANGE);
	QT_INT(put(s.users, "all:0:4294967295\n"), 0);
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST), QUBE_E_LIMIT);
	/* One that cannot be read may give away anything. */
	s.ids.subuid = s.dir;
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST), QUBE_E_INVALID);
	shelf_close(&s);
}

QTEST(ids, a_host_that_stands_still_with_the_lock_is_not_waited_for_for_ever)
{
	struct shelf s;
	uint32_t got;
	int fd;

	shelf_open(&s, 4);
	fd = open(s.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	QT_INT(flock(fd, LOCK_EX), 0);
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST), QUBE_E_BUSY);
	close(fd);
	QT_INT(qube__local_ids_take(&got, &s.ids, FIRST), 0);
	shelf_close(&s);
}

QTEST(ids, threat_32_a_directory_that_others_may_write_to_is_refused)
{
	struct qube__local_ids ids = { .dir = -1 };
	struct shelf s;
	char link[80];

	shelf_open(&s, 4);
	QT_INT(chmod(s.dir, 0770), 0);
	QT_INT(qube__local_ids_open(&ids, s.dir), QUBE_E_DENIED);
	QT_INT(chmod(s.dir, 0700), 0);
	snprintf(link, sizeof(link), "%s", s.users);
	QT_INT(symlink(s.dir, link), 0);
	QT_INT(qube__local_ids_open(&ids, link), QUBE_E_SYSTEM);
	QT_INT(ids.dir, -1);
	shelf_close(&s);
}
