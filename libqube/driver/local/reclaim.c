/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a host that died left of its machines. A machine's directory below the run directory is
 * locked as long as its host lives and names the machine's group; so the next host can end what
 * runs on without one - a paused box cannot notice by itself - and takes nothing from a living one.
 */
#include "driver/local/local.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>

enum { RECLAIM_MS = 2000 };

static const char group_link[] = "group";

int qube__local_claim(struct qube__local_machine *m)
{
	if (flock(m->dir_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return qube__fail(QUBE_E_BUSY, "%s is already running under another host", m->name);
	return qube__fail_os("cannot lock the run directory of %s", m->name);
}

int qube__local_note_group(struct qube__local_machine *m)
{
	unlinkat(m->dir_fd, group_link, 0);
	if (m->group[0] && symlinkat(m->group, m->dir_fd, group_link) < 0)
		return qube__fail_os("cannot note the cgroup of %s", m->name);
	return 0;
}

void qube__local_forget_group(struct qube__local_machine *m)
{
	if (m->dir_fd >= 0)
		unlinkat(m->dir_fd, group_link, 0);
}

/* Kills what is in the group, and removes it as soon as that is gone. */
static bool end_group(struct qube__local_driver *d, const char *name, uint64_t until_ms)
{
	qube__autofd group =
		openat(d->cgroup_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	qube__autofd kill_fd = -1;

	if (group < 0)
		return errno == ENOENT;
	kill_fd = openat(group, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (kill_fd >= 0 && qube__io_write_full(kill_fd, "1", 1) < 0)
		return false;
	while (unlinkat(d->cgroup_fd, name, AT_REMOVEDIR) < 0) {
		if (errno == ENOENT)
			return true;
		if (errno != EBUSY || qube__now_ms() >= until_ms)
			return false;
		poll(NULL, 0, 2);
	}
	return true;
}

static void reclaim_one(struct qube__local_driver *d, const char *name, uint64_t until_ms)
{
	qube__autofd dir = openat(d->run_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char group[sizeof(((struct qube__local_machine *)0)->group)];
	ssize_t n;

	if (dir < 0)
		return;
	n = readlinkat(dir, group_link, group, sizeof(group));
	if (n <= 0 || (size_t)n >= sizeof(group))
		return;
	group[n] = '\0';
	/* Our own names only, whatever became of the directory. */
	if (strncmp(group, "qube-", 5) != 0 || strchr(group, '/'))
		return;
	if (flock(dir, LOCK_EX | LOCK_NB) < 0)
		return;
	if (d->cgroup_fd < 0 || !end_group(d, group, until_ms))
		return;
	unlinkat(dir, group_link, 0);
	unlinkat(dir, "control.sock", 0);
	unlinkat(d->run_fd, name, AT_REMOVEDIR); /* core may keep files there */
}

void qube__local_reclaim(struct qube__local_driver *d)
{
	uint64_t until = qube__now_ms() + RECLAIM_MS;
	int fd = openat(d->run_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		qube__close_fd(&fd);
		return;
	}
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			reclaim_one(d, e->d_name, until);
	closedir(dir);
}
