/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One cgroup v2 group for each machine, below the host program's own. The hierarchy is looked for
 * in mountinfo, because on a hybrid system it is not at /sys/fs/cgroup and may have no controllers:
 * freeze and kill work all the same, limits that do not are reported. */
#include "driver/local/local.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char leaf_name[] = "libqube-host";

enum { PROC_MAX = 1 << 20, VALUE_MAX = 4096 };

/* The mount point of the first cgroup2 of mountinfo; space and others are \040 there, and such a
 * path is none of a sane system's. */
static bool find_mount(char *mountinfo, char *out, size_t cap)
{
	char *save = NULL;

	for (char *line = strtok_r(mountinfo, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *type = strstr(line, " - ");
		char point[512];

		if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0)
			continue;
		if (sscanf(line, "%*s %*s %*s %*s %511s", point) == 1 && !strchr(point, '\\'))
			return qube__text_copy(out, cap, point) == 0;
	}
	return false;
}

/* "0::/some/path" */
static bool find_own(char *text, char *out, size_t cap)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, "0::/", 4) == 0)
			return qube__text_copy(out, cap, line + 3) == 0;
	return false;
}

static int write_value(int dir, const char *name, const char *value)
{
	qube__autofd fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, value, strlen(value)) < 0 ? -1 : 0;
}

/* A group with controllers for its children has no processes of its own. Ours goes to a leaf, but
 * only if it is alone: nobody else's is moved. */
static void move_aside(int group)
{
	qube__autofree char *procs = NULL;
	qube__autofd leaf = -1;
	char text[32];

	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (qube__io_read_file(&procs, NULL, group, "cgroup.procs", PROC_MAX) < 0 ||
	    strcmp(procs, text) != 0)
		return;
	if (mkdirat(group, leaf_name, 0755) < 0 && errno != EEXIST)
		return;
	leaf = openat(group, leaf_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (leaf < 0 || write_value(leaf, "cgroup.procs", "0") < 0)
		unlinkat(group, leaf_name, AT_REMOVEDIR);
}

/* A leaf that an earlier context of this process made is not where qubes belong. */
static void leave_leaf(char *path)
{
	char *last = strrchr(path, '/');

	if (last && strcmp(last + 1, leaf_name) == 0)
		*last = '\0';
}

static bool enable(int group, const char *controller)
{
	return write_value(group, "cgroup.subtree_control", controller) == 0;
}

/* The root of the hierarchy alone may have processes beside groups with limits; it has no type. */
static bool may_have_both(int group)
{
	qube__autofree char *procs = NULL;

	return faccessat(group, "cgroup.type", F_OK, 0) < 0 ||
	       (qube__io_read_file(&procs, NULL, group, "cgroup.procs", PROC_MAX) == 0 &&
		!procs[0]);
}

/* Processors and pids could be enabled beside processes too, but that makes a threaded group, and
 * nothing can be started in those below it: so all controllers or none. */
static void enable_all(struct qube__local_driver *d, bool may_move)
{
	if (may_move && !may_have_both(d->cgroup_fd))
		move_aside(d->cgroup_fd);
	if (!may_have_both(d->cgroup_fd))
		return;
	d->has_pids = enable(d->cgroup_fd, "+pids");
	d->has_memory = enable(d->cgroup_fd, "+memory");
	d->has_cpu = enable(d->cgroup_fd, "+cpu");
	d->has_io = enable(d->cgroup_fd, "+io");
}

static bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = text; (p = strstr(p, word)); p += n)
		if ((p == text || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\n' || !p[n]))
			return true;
	return false;
}

int qube__local_cgroup_probe(bool *memory, bool *processors)
{
	qube__autofree char *mountinfo = NULL;
	qube__autofree char *text = NULL;
	char path[600];
	int n;

	if (qube__io_read_file(&mountinfo, NULL, AT_FDCWD, "/proc/self/mountinfo", PROC_MAX) < 0 ||
	    !find_mount(mountinfo, path, sizeof(path) - 32))
		return QUBE_E_NOTSUP;
	n = (int)strlen(path);
	snprintf(path + n, sizeof(path) - (size_t)n, "/cgroup.controllers");
	if (qube__io_read_file(&text, NULL, AT_FDCWD, path, VALUE_MAX) < 0)
		return QUBE_E_NOTSUP;
	*memory = has_word(text, "memory");
	*processors = has_word(text, "cpu");
	return 0;
}

int qube__local_cgroup_open(struct qube__local_driver *d)
{
	qube__autofree char *mountinfo = NULL;
	qube__autofree char *own = NULL;
	char point[512];
	char path[1024];
	int n;

	d->cgroup_fd = -1;
	if (qube__io_read_file(&mountinfo, NULL, AT_FDCWD, "/proc/self/mountinfo", PROC_MAX) < 0 ||
	    qube__io_read_file(&own, NULL, AT_FDCWD, "/proc/self/cgroup", PROC_MAX) < 0)
		return QUBE_E_SYSTEM;
	n = find_mount(mountinfo, point, sizeof(point)) ? (int)strlen(point) : -1;
	if (n < 0)
		return 0;
	memcpy(path, point, (size_t)n);
	if (d->env.cgroup ? qube__text_copy(path + n, sizeof(path) - (size_t)n, d->env.cgroup) < 0 :
			    !find_own(own, path + n, sizeof(path) - (size_t)n))
		return 0;
	if (!d->env.cgroup)
		leave_leaf(path);
	d->cgroup_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->cgroup_fd < 0)
		return d->env.cgroup ? qube__fail_os("cannot use the cgroup %s", path) : 0;
	qube__text_copy(d->cgroup_path, sizeof(d->cgroup_path), path);
	enable_all(d, d->env.own_cgroup && !d->env.cgroup);
	return 0;
}

int qube__local_cgroup_make(struct qube__local_machine *m, const struct qube__machine_spec *spec)
{
	int parent = m->d->cgroup_fd;

	if (parent < 0)
		return qube__local_limits_set(m, spec);
	if ((size_t)snprintf(m->group, sizeof(m->group), "qube-%s-%.8s", m->name,
			     spec->uuid ? spec->uuid : "0") >= sizeof(m->group))
		return qube__fail(QUBE_E_INVALID, "the name %s is too long", m->name);
	if (qube__local_plan_group(m) < 0) {
		m->group[0] = '\0';
		return QUBE_E_SYSTEM;
	}
	if (mkdirat(parent, m->group, 0755) < 0 && errno == EEXIST) {
		/* Left by a host that died; with processes in it, it cannot be removed. */
		if (unlinkat(parent, m->group, AT_REMOVEDIR) < 0) {
			m->group[0] = '\0';
			return qube__fail(QUBE_E_BUSY, "%s is already running under another host",
					  m->name);
		}
		if (mkdirat(parent, m->group, 0755) < 0)
			m->group[0] = '\0';
	} else if (faccessat(parent, m->group, F_OK, 0) < 0) {
		m->group[0] = '\0';
	}
	if (!m->group[0])
		return qube__fail_os("cannot make the cgroup of %s", m->name);
	qube__fault(QUBE__FAULT_GROUP_MADE);
	m->groups_fd = fcntl(parent, F_DUPFD_CLOEXEC, 3);
	m->group_fd = openat(parent, m->group, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (m->group_fd < 0 || m->groups_fd < 0)
		return qube__fail_os("cannot open the cgroup of %s", m->name);
	return qube__local_limits_set(m, spec);
}

int qube__local_cgroup_freeze(struct qube__local_machine *m, bool freeze)
{
	if (m->group_fd < 0)
		return qube__fail(QUBE_E_NOTSUP, "pausing needs cgroup v2, which is not mounted");
	if (write_value(m->group_fd, "cgroup.freeze", freeze ? "1" : "0") < 0)
		return qube__fail_os("cannot %s %s", freeze ? "pause" : "unpause", m->name);
	return 0;
}

bool qube__local_cgroup_kill(struct qube__local_machine *m)
{
	return m->group_fd >= 0 && write_value(m->group_fd, "cgroup.kill", "1") == 0;
}

int qube__local_cgroup_remove(struct qube__local_machine *m)
{
	if (!m->group[0])
		return 0;
	if (unlinkat(m->groups_fd, m->group, AT_REMOVEDIR) < 0 && errno == EBUSY)
		return QUBE_E_BUSY;
	m->group[0] = '\0';
	qube__close_fd(&m->group_fd);
	return 0;
}
