/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a host that died left of its machines. A machine's directory below the run directory is
 * locked as long as its host lives and names the machine's group; so the next host can end what it
 * does not adopt (adopt.c), and takes nothing from a living one.
 */
#include "driver/local/local.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/vfs.h>

static const char group_link[] = "group";
static const char plan_link[] = "group.new";

int qube__local_claim(struct qube__local_machine *m)
{
	if (flock(m->dir_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return qube__fail(QUBE_E_BUSY, "%s is already running under another host", m->name);
	return qube__fail_os("cannot lock the run directory of %s", m->name);
}

int qube__local_plan_group(struct qube__local_machine *m)
{
	qube__autofree char *path = qube__text_format("%s/%s", m->d->cgroup_path, m->group);

	if (!path)
		return qube__fail_nomem();
	qube__local_forget_group(m);
	if (symlinkat(path, m->dir_fd, plan_link) < 0)
		return qube__fail_os("cannot note the cgroup of %s", m->name);
	return 0;
}

int qube__local_note_group(struct qube__local_machine *m)
{
	if (!m->group[0])
		qube__local_forget_group(m);
	else if (renameat(m->dir_fd, plan_link, m->dir_fd, group_link) < 0)
		return qube__fail_os("cannot note the cgroup of %s", m->name);
	return 0;
}

void qube__local_forget_group(struct qube__local_machine *m)
{
	if (m->dir_fd < 0)
		return;
	unlinkat(m->dir_fd, group_link, 0);
	unlinkat(m->dir_fd, plan_link, 0);
}

/* Kills what is in the group, and removes it as soon as that is gone. */
static bool end_group(const char *path, uint64_t until_ms)
{
	qube__autofd group = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	qube__autofd kill_fd = -1;
	struct statfs fs;

	if (group < 0)
		return errno == ENOENT;
	if (fstatfs(group, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		return false;
	kill_fd = openat(group, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (kill_fd >= 0 && qube__io_write_full(kill_fd, "1", 1) < 0)
		return false;
	while (rmdir(path) < 0) {
		if (errno == ENOENT)
			return true;
		if (errno != EBUSY || qube__now_ms() >= until_ms)
			return false;
		poll(NULL, 0, 2);
	}
	return true;
}

/* A box without a group ends when a driver says so. */
static void end_box(int dir)
{
	struct qube__box_order o = { .type = QUBE__BOX_STOP };
	qube__autofd s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a;
	uint8_t bytes[32];
	size_t len;

	qube__local_address(&a, dir, "box.sock");
	if (s >= 0 && connect(s, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	    qube__box_order_encode(bytes, sizeof(bytes), &len, &o) == 0)
		qube__io_send_fds(s, bytes, len, NULL, 0);
}

/* Our own names only, whatever became of the directory. */
static bool read_group(char *path, size_t cap, int dir, const char *link)
{
	ssize_t n = readlinkat(dir, link, path, cap);

	if (n <= 0 || (size_t)n >= cap)
		return false;
	path[n] = '\0';
	return path[0] == '/' && strncmp(strrchr(path, '/'), "/qube-", 6) == 0;
}

bool qube__local_reclaim(struct qube__local_driver *d, const char *name, uint64_t until_ms)
{
	static const char *const files[] = { group_link, plan_link, "control.sock",
					     "box.sock", "record",  ".record.new" };
	qube__autofd dir = openat(d->run_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char group[1200];

	if (dir < 0 || flock(dir, LOCK_EX | LOCK_NB) < 0)
		return false;
	if (faccessat(dir, group_link, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		end_box(dir);
	else if (!read_group(group, sizeof(group), dir, group_link) || !end_group(group, until_ms))
		return false;
	/* One that was only going to be made is ours if nothing is in it. */
	if (read_group(group, sizeof(group), dir, plan_link))
		rmdir(group);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlinkat(dir, files[i], 0);
	unlinkat(d->run_fd, name, AT_REMOVEDIR); /* core may keep files there */
	return true;
}
