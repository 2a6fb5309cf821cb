/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Can this machine run local qubes? */
#include "driver/local/facts.h"
#include "driver/local/local.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>

enum { FLOOR_MAJOR = 6, FLOOR_MINOR = 1 };

static void check_kernel(struct qube__checks *l)
{
	struct utsname u;
	int major = 0;
	int minor = 0;
	bool ok;

	uname(&u);
	ok = sscanf(u.release, "%d.%d", &major, &minor) == 2 &&
	     (major > FLOOR_MAJOR || (major == FLOOR_MAJOR && minor >= FLOOR_MINOR));
	qube__checks_add(l, "kernel", ok, false, "Linux %.60s, needed is %d.%d", u.release,
			 FLOOR_MAJOR, FLOOR_MINOR);
}

/* Asking for a type also loads its module. */
static void check_type(struct qube__checks *l, const char *type)
{
	qube__autofd fs = fsopen(type, FSOPEN_CLOEXEC);

	qube__checks_add(l, type, fs >= 0, false,
			 fs >= 0 ? "file system type %s" : "no file system type %s", type);
}

static void check_namespaces(struct qube__checks *l)
{
	static const char *const names[] = { "user", "mnt", "pid",    "net",
					     "ipc",  "uts", "cgroup", "time" };
	qube__autofree char *text = NULL;
	uint64_t max = 0;
	char path[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		if (access(path, F_OK) < 0) {
			qube__checks_add(l, "namespaces", false, false, "no %s namespaces",
					 names[i]);
			return;
		}
	}
	qube__checks_add(l, "namespaces", true, false, "all kinds");
	if (qube__io_read_file(&text, NULL, AT_FDCWD, "/proc/sys/user/max_user_namespaces", 64) ==
	    0) {
		text[strcspn(text, "\n")] = '\0';
		qube__text_u64(&max, text, UINT64_MAX);
	}
	qube__checks_add(l, "user namespaces", max > 0, false, "user.max_user_namespaces is %llu",
			 (unsigned long long)max);
}

static void check_mounts(struct qube__checks *l)
{
	bool there = mount_setattr(-1, "", 0, NULL, 0) == 0 || errno != ENOSYS;

	qube__checks_add(l, "idmapped mounts", there, false,
			 there ? "mount_setattr is there" : "no mount_setattr");
}

static void check_seccomp(struct qube__checks *l)
{
	bool ok = access("/proc/sys/kernel/seccomp/actions_avail", F_OK) == 0;

	qube__checks_add(l, "seccomp", ok, false,
			 ok ? "system call filters" : "no system call filters");
}

/* What the machine has. Whether a host may use it depends on its own group, which is not touched.
 */
static void check_cgroup(struct qube__checks *l)
{
	bool memory = false;
	bool processors = false;

	if (qube__local_cgroup_probe(&memory, &processors) < 0)
		qube__checks_add(l, "cgroup v2", false, true,
				 "not mounted: no pausing, no limits of memory");
	else if (memory && processors)
		qube__checks_add(l, "cgroup v2", true, true,
				 "freeze and kill; memory and processors for a host with a "
				 "group of its own");
	else
		qube__checks_add(l, "cgroup v2", false, true, "freeze and kill%s%s",
				 memory ? ", memory" : ", no limit of memory",
				 processors ? ", processors" : ", no limit of processors");
}

static void check_program(struct qube__checks *l, const char *dir, const char *name)
{
	qube__autofree char *path = qube__text_format("%s/%s", dir ? dir : "", name);
	bool ok = path && access(path, X_OK) == 0;

	qube__checks_add(l, name, ok, false, "%.120s %s", path ? path : name,
			 ok ? "is there" : "is not there");
}

size_t qube__local_check(struct qube__check out[QUBE__CHECKS_MAX], const char *libexec_dir)
{
	struct qube__checks l = { .at = out };
	qube__autofd sys = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);

	qube__checks_add(&l, "root", geteuid() == 0, false,
			 geteuid() == 0 ? "runs as root" : "not root; connect to qubed instead");
	check_kernel(&l);
	if (geteuid() == 0) {
		check_type(&l, "overlay");
		check_type(&l, "tmpfs");
		check_cgroup(&l);
	}
	check_namespaces(&l);
	check_mounts(&l);
	check_seccomp(&l);
	check_program(&l, libexec_dir, "qube-box");
	check_program(&l, libexec_dir, "qube-agent");
	qube__local_facts(&l, sys, qube__local_core_sched());
	return l.n;
}
