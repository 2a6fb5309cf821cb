/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Machines that a host before this one left running. Each has a directory below the run directory,
 * locked as long as its host lives. What its record says is believed of a process only if the
 * process still is the one that the record was written for: its number, when it began, its cgroup.
 * A descriptor of it is held before that is looked at, so it cannot become another meanwhile. */
#include "driver/local/local.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

enum { RECLAIM_MS = 2000, PROC_MAX = 16384 };

static int read_record(struct qube__local_machine *m)
{
	qube__autofree char *text = NULL;
	size_t len;
	int r;

	m->record = calloc(1, sizeof(*m->record));
	if (!m->record)
		return qube__fail_nomem();
	r = qube__io_read_file(&text, &len, m->dir_fd, "record", QUBE__LOCAL_RECORD_MAX);
	if (r < 0)
		return r;
	r = qube__local_record_parse(m->record, text, len);
	if (r == QUBE_E_NOTSUP)
		return qube__fail(r, "its record was written by a newer libqube");
	if (r < 0 || strcmp(m->record->name, m->name))
		return qube__fail(QUBE_E_PROTO, "its record is damaged");
	return 0;
}

static int open_group(struct qube__local_machine *m)
{
	const char *path = m->record->group;
	struct statfs fs;

	if (!path[0])
		return 0;
	m->group_fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (m->group_fd < 0 || fstatfs(m->group_fd, &fs) < 0)
		return qube__fail_os("cannot open its cgroup %s", path);
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return qube__fail(QUBE_E_PROTO, "%s is no cgroup", path);
	m->groups_fd = openat(m->group_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (m->groups_fd < 0)
		return qube__fail_os("cannot open the cgroup above %s", path);
	return 0;
}

/* "0::/a/b": is it the end of path? */
static bool in_group(const char *pid_cgroup, const char *path)
{
	const char *line = strstr(pid_cgroup, "0::/");
	size_t n;

	if (!line || (line != pid_cgroup && line[-1] != '\n'))
		return false;
	line += 3;
	n = strcspn(line, "\n");
	return n <= strlen(path) && !strncmp(path + strlen(path) - n, line, n);
}

static int verify_box(struct qube__local_machine *m)
{
	pid_t pid = (pid_t)m->record->pid;
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	qube__autofree char *cgroup = NULL;
	char path[64];
	uint64_t start;

	if (pidfd < 0)
		return qube__fail(QUBE_E_NOENT, "its process %d is gone", (int)pid);
	m->box = (struct qube__child){ .pid = pid, .pidfd = pidfd };
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	if (qube__local_pid_start(&start, pid) < 0 ||
	    qube__io_read_file(&cgroup, NULL, AT_FDCWD, path, PROC_MAX) < 0)
		return QUBE_E_SYSTEM;
	if (start != m->record->pid_start ||
	    (m->record->group[0] && !in_group(cgroup, m->record->group)))
		return qube__fail(QUBE_E_PROTO, "process %d is another one now", (int)pid);
	if (poll(&p, 1, 0) != 0)
		return qube__fail(QUBE_E_NOENT, "its process %d ended", (int)pid);
	return 0;
}

static bool is_frozen(const struct qube__local_machine *m)
{
	qube__autofree char *text = NULL;

	return m->group_fd >= 0 &&
	       qube__io_read_file(&text, NULL, m->group_fd, "cgroup.freeze", 16) == 0 &&
	       text[0] == '1';
}

/* It greets us when it can: a frozen one, later. */
static int connect_box(struct qube__local_machine *m)
{
	struct sockaddr_un a;

	m->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	qube__local_address(&a, m->dir_fd, "box.sock");
	if (m->sock < 0 || connect(m->sock, (struct sockaddr *)&a, sizeof(a)) < 0)
		return qube__fail_os("cannot connect to its box");
	return 0;
}

/* A host that knew nothing of such claims may have given the same to two: they share ceilings. */
static void claim_ids(struct qube__local_machine *m)
{
	char line[512];

	if (qube__local_ids_pass(&m->d->ids, m->record->id_base, m->box.pid) == 0)
		return;
	snprintf(line, sizeof(line), "'%s' goes on, though %.400s", m->name,
		 qube_error_last()->message);
	m->d->env.log(m->d->env.user, 4, line);
}

static int verify(struct qube__local_machine *m)
{
	const struct qube__local_record *rec;
	const char *group;
	int r = read_record(m);

	if (r == 0)
		r = open_group(m);
	if (r == 0)
		r = verify_box(m);
	if (r == 0)
		r = connect_box(m);
	if (r < 0)
		return r;
	rec = m->record;
	group = strrchr(rec->group, '/');
	if (group && qube__text_copy(m->group, sizeof(m->group), group + 1) < 0)
		return qube__fail(QUBE_E_PROTO, "the name of its cgroup is too long");
	claim_ids(m);
	m->id_base = rec->id_base;
	m->id_pid = m->box.pid;
	m->unenforced = rec->unenforced;
	m->start_ms = rec->started_ms;
	m->frozen = is_frozen(m);
	m->state = QUBE__LOCAL_RUNNING;
	return qube__local_watch(m);
}

static bool offer(struct qube__local_machine *m)
{
	const struct qube__local_record *rec = m->record;
	const char *layers[QUBE__LAYERS_MAX];
	struct qube__machine_found f = {
		.name = rec->name,
		.uuid = rec->uuid,
		.qid = rec->qid,
		.id_base = rec->id_base,
		.start_time_ms = rec->started_ms,
		.paused = m->frozen,
		.bound = rec->bound,
		.layers = layers,
		.n_layers = rec->n_layers,
	};

	for (uint32_t i = 0; i < rec->n_layers; i++)
		layers[i] = rec->layers[i];
	if (m->d->env.take)
		m->user = m->d->env.take(m->d->env.user, &m->base, &f);
	return m->user != NULL;
}

static void say(struct qube__local_driver *d, const char *name, const char *what)
{
	char line[512];

	snprintf(line, sizeof(line), "'%s', which a host before this one left, is ended: %s", name,
		 what);
	d->env.log(d->env.user, 4, line);
}

/* True when the machine is ours now. */
static bool adopt_one(struct qube__local_driver *d, const char *name, uint64_t until_ms)
{
	struct qube__local_machine *m;
	bool listed;

	if (strlen(name) >= sizeof(m->name) || qube__local_new(&m, d) < 0)
		return false;
	qube__text_copy(m->name, sizeof(m->name), name);
	m->dir_fd = openat(d->run_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	listed = m->dir_fd >= 0 && faccessat(m->dir_fd, "record", F_OK, 0) == 0;
	if (m->dir_fd < 0 || qube__local_claim(m) < 0) {
		qube__local_leave(m); /* of a host that lives */
		qube__local_free(m);
		return false;
	}
	if (listed && verify(m) == 0) {
		if (offer(m))
			return true;
		qube__local_end_now(m, until_ms);
		qube__local_free(m);
		return false;
	}
	if (listed)
		say(d, name, qube_error_last()->message);
	qube__local_leave(m);
	qube__local_free(m);
	qube__local_reclaim(d, name, until_ms);
	return false;
}

void qube__local_adopt(struct qube__local_driver *d)
{
	uint64_t until = qube__now_ms() + RECLAIM_MS;
	int fd = openat(d->run_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	unsigned int n = 0;
	char line[64];

	if (!dir) {
		qube__close_fd(&fd);
		return;
	}
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.' && adopt_one(d, e->d_name, until))
			n++;
	closedir(dir);
	if (!n)
		return;
	snprintf(line, sizeof(line), "%u running qubes were adopted", n);
	d->env.log(d->env.user, 5, line);
}
