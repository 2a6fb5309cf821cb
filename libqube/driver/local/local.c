/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The local driver: qubes made of namespaces. This file has what core calls; machine.c makes,
 * watch.c listens, cgroup.c limits, host.c checks the machine. */
#include "driver/local/local.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

enum { CLOSE_MS = 5000, STOP_GRACE_MS = 600 * 1000, AGENT_MAX = 64 << 20 };

/* The same for every host of the machine, whatever its own folders are. */
static const char ids_dir[] = "/run/libqube-ids";

static struct qube__local_driver *of_driver(struct qube__driver *d)
{
	return qube__container_of(d, struct qube__local_driver, base);
}

static struct qube__local_machine *of_machine(struct qube__machine *m)
{
	return qube__container_of(m, struct qube__local_machine, base);
}

void qube__local_unref(struct qube__local_driver *d)
{
	if (--d->refs)
		return;
	free(d->run_dir);
	free(d->box_path);
	free(d->guest_dir);
	qube__close_fd(&d->run_fd);
	qube__close_fd(&d->agent_fd);
	qube__close_fd(&d->cgroup_fd);
	qube__close_fd(&d->ids.dir);
	free(d);
}

static int copy_all(int to, int from, size_t size)
{
	while (size) {
		ssize_t n = sendfile(to, from, NULL, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		size -= (size_t)n;
	}
	return 0;
}

/* A copy that nobody can change any more, so that a guest which gets hold of /proc/self/exe has
 * nothing of the host's. */
static int load_agent(struct qube__local_driver *d, const char *libexec)
{
	qube__autofree char *path = qube__text_format("%s/qube-agent", libexec);
	qube__autofd file = -1;
	qube__autofd mem = -1;
	struct stat st;

	if (!path)
		return qube__fail_nomem();
	file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (file < 0 || fstat(file, &st) < 0)
		return qube__fail_os("cannot open the guest's agent %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size > AGENT_MAX)
		return qube__fail(QUBE_E_INVALID, "%s is no program", path);
	mem = memfd_create("qube-agent", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (mem < 0 && errno == EINVAL)
		mem = memfd_create("qube-agent", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (mem < 0)
		return qube__fail_os("cannot make a file in memory");
	if (copy_all(mem, file, (size_t)st.st_size) < 0 ||
	    fcntl(mem, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return qube__fail_os("cannot copy %s into memory", path);
	d->agent_fd = qube__steal_fd(&mem);
	return 0;
}

static int check_host(const char *libexec)
{
	struct qube__check checks[QUBE__CHECKS_MAX];
	size_t n = qube__local_check(checks, libexec);

	for (size_t i = 0; i < n; i++)
		if (!checks[i].ok && !checks[i].optional)
			return qube__fail(QUBE_E_NOTSUP, "the local driver cannot work: %s: %s",
					  checks[i].name, checks[i].detail);
	return 0;
}

static int open_run_dir(struct qube__local_driver *d, const char *path)
{
	struct stat st;

	if (path[0] != '/')
		return qube__fail(QUBE_E_INVALID, "the run directory %s is not absolute", path);
	d->run_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->run_fd < 0 || fstat(d->run_fd, &st) < 0)
		return qube__fail_os("cannot open the run directory %s", path);
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return qube__fail(QUBE_E_DENIED, "others may write to the run directory %s", path);
	return 0;
}

static int prepare(struct qube__local_driver *d)
{
	const char *libexec = d->env.libexec_dir;
	int r = check_host(libexec);

	if (r < 0)
		return r;
	d->run_dir = strdup(d->env.run_dir);
	d->box_path = qube__text_format("%s/qube-box", libexec);
	d->guest_dir = qube__text_format("%s/guest", libexec);
	if (!d->run_dir || !d->box_path || !d->guest_dir)
		return qube__fail_nomem();
	if (access(d->guest_dir, F_OK) < 0)
		d->guest_dir[0] = '\0';
	r = open_run_dir(d, d->run_dir);
	if (r == 0)
		r = load_agent(d, libexec);
	if (r == 0)
		r = qube__local_cgroup_open(d);
	if (r == 0)
		r = qube__local_ids_open(&d->ids, ids_dir);
	if (r == 0)
		qube__local_adopt(d);
	d->env.run_dir = d->run_dir;
	d->env.libexec_dir = NULL;
	return r;
}

static int local_open(struct qube__driver **out, const struct qube__driver_env *env)
{
	struct qube__local_driver *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return qube__fail_nomem();
	d->base.ops = &qube__driver_local;
	d->env = *env;
	d->run_fd = d->agent_fd = d->cgroup_fd = -1;
	d->ids = (struct qube__local_ids){ .dir = -1,
					   .first = QUBE__IDS_FIRST,
					   .count = QUBE__IDS_RANGES,
					   .subuid = "/etc/subuid",
					   .subgid = "/etc/subgid" };
	d->refs = 1;
	qube__list_init(&d->machines);
	r = prepare(d);
	if (r < 0) {
		qube__local_unref(d);
		return r;
	}
	*out = &d->base;
	return 0;
}

/* What runs is left to the next host, or ended: all first, then waited for. */
static void local_close(struct qube__driver *base)
{
	struct qube__local_driver *d = base ? of_driver(base) : NULL;
	uint64_t until = qube__now_ms() + CLOSE_MS;
	struct qube__list *pos;

	if (!d)
		return;
	qube__list_foreach (pos, &d->machines) {
		struct qube__local_machine *m =
			qube__container_of(pos, struct qube__local_machine, link);

		if (d->env.keep && m->state == QUBE__LOCAL_RUNNING && !m->killed)
			qube__local_leave(m);
		else if (m->state != QUBE__LOCAL_GONE)
			qube__local_kill(m);
	}
	qube__list_foreach (pos, &d->machines) {
		struct qube__local_machine *m =
			qube__container_of(pos, struct qube__local_machine, link);

		if (m->state == QUBE__LOCAL_GONE)
			continue;
		qube__local_end_now(m, until);
		qube__local_clean(m);
	}
	d->closed = true;
	qube__local_unref(d);
}

static int local_volumes_ready(struct qube__machine *base)
{
	struct qube__local_machine *m = of_machine(base);

	if (m->state != QUBE__LOCAL_CREATING || m->killed)
		return qube__fail(QUBE_E_STATE, "the machine does not wait");
	m->waits = false;
	qube__local_expect(m);
	return qube__local_order(m, QUBE__BOX_VOLUMES, 0);
}

static int local_run(struct qube__machine *base)
{
	struct qube__local_machine *m = of_machine(base);
	int r;

	if (m->state != QUBE__LOCAL_HELD || m->killed)
		return qube__fail(QUBE_E_STATE, "the machine is not held");
	/* First: a machine that runs without a record is not found again. */
	r = qube__local_record_write(m);
	if (r == 0)
		r = qube__local_order(m, QUBE__BOX_RUN, 0);
	if (r == 0)
		m->state = QUBE__LOCAL_STARTING;
	return r;
}

static int local_control_connect(struct qube__machine *base, int *out_fd)
{
	struct qube__local_machine *m = of_machine(base);
	struct sockaddr_un a;
	qube__autofd s = -1;

	if (m->state != QUBE__LOCAL_RUNNING)
		return qube__fail(QUBE_E_STATE, "the machine is not running");
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0)
		return qube__fail_os("cannot make a socket");
	qube__local_address(&a, m->dir_fd, "control.sock");
	if (connect(s, (struct sockaddr *)&a, sizeof(a)) < 0) {
		if (errno == EAGAIN)
			return qube__fail(QUBE_E_AGAIN, "the agent of %s is busy", m->name);
		return qube__fail_os("cannot connect to the agent of %s", m->name);
	}
	*out_fd = qube__steal_fd(&s);
	return 0;
}

static int local_shutdown(struct qube__machine *base)
{
	struct qube__local_machine *m = of_machine(base);

	if (m->state != QUBE__LOCAL_RUNNING || m->frozen)
		return qube__fail(QUBE_E_STATE, "the machine is not running");
	return qube__local_order(m, QUBE__BOX_STOP, STOP_GRACE_MS);
}

static int local_kill(struct qube__machine *base)
{
	struct qube__local_machine *m = of_machine(base);

	if (m->state >= QUBE__LOCAL_ENDING)
		return qube__fail(QUBE_E_STATE, "the machine has stopped");
	m->killed = true;
	return qube__local_kill(m);
}

static int set_frozen(struct qube__machine *base, bool freeze)
{
	struct qube__local_machine *m = of_machine(base);
	int r;

	if (m->state != QUBE__LOCAL_RUNNING || m->frozen == freeze)
		return qube__fail(QUBE_E_STATE, "the machine is %s",
				  m->state != QUBE__LOCAL_RUNNING ? "not running" :
				  freeze			  ? "paused already" :
								    "not paused");
	r = qube__local_cgroup_freeze(m, freeze);
	if (r == 0)
		m->frozen = freeze;
	return r;
}

static int local_pause(struct qube__machine *base)
{
	return set_frozen(base, true);
}

static int local_unpause(struct qube__machine *base)
{
	return set_frozen(base, false);
}

static int local_stats(struct qube__machine *base, struct qube__machine_stats *out)
{
	struct qube__local_machine *m = of_machine(base);
	struct qube__machine_stats stats = { .known = QUBE_STATS_START };

	if (m->state != QUBE__LOCAL_RUNNING)
		return qube__fail(QUBE_E_STATE, "the machine is not running");
	m->start_ms = qube__wall_begin(m->start_ms, qube__wall_ms(),
				       qube__local_age_ms(m->record->pid_start));
	stats.start_time_ms = m->start_ms;
	qube__local_cgroup_stats(m, &stats);
	*out = stats;
	return 0;
}

static int local_set_memory(struct qube__machine *base, uint64_t target_kb)
{
	struct qube__local_machine *m = of_machine(base);

	if (m->state != QUBE__LOCAL_RUNNING)
		return qube__fail(QUBE_E_STATE, "the machine is not running");
	return qube__local_memory_set(m, target_kb);
}

static const char *local_unenforced(struct qube__machine *base)
{
	return qube__local_limits_list(of_machine(base));
}

static int32_t local_pid(struct qube__machine *base)
{
	const struct qube__local_machine *m = of_machine(base);

	return m->state > QUBE__LOCAL_CREATING && m->state < QUBE__LOCAL_ENDING ?
		       (int32_t)m->box.pid :
		       0;
}

static void local_release(struct qube__machine *base)
{
	if (base)
		qube__local_free(of_machine(base));
}

const struct qube__driver_ops qube__driver_local = {
	.name = "local",
	.isolation = QUBE__ISOLATION_KERNEL_SHARED,
	.tells_calls = true,
	.open = local_open,
	.close = local_close,
	.create = qube__local_create,
	.volumes_ready = local_volumes_ready,
	.run = local_run,
	.control_connect = local_control_connect,
	.shutdown = local_shutdown,
	.kill = local_kill,
	.pause = local_pause,
	.unpause = local_unpause,
	.stats = local_stats,
	.set_memory = local_set_memory,
	.host_memory = qube__local_host_memory,
	.unenforced = local_unenforced,
	.release = local_release,
	.pid = local_pid,
};
