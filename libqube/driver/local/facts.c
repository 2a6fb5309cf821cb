/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What this machine's processors and buses do for isolation, as its kernel tells it. Nothing here
 * keeps qubes from running; each line says what a missing piece forbids. */
#include "driver/local/facts.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

enum { TEXT_MAX = 4096 };

void qube__checks_add(struct qube__checks *l, const char *name, bool ok, bool optional,
		      const char *fmt, ...)
{
	struct qube__check *c = &l->at[l->n++];
	va_list ap;

	*c = (struct qube__check){ .name = name, .ok = ok, .optional = optional };
	va_start(ap, fmt);
	vsnprintf(c->detail, sizeof(c->detail), fmt, ap);
	va_end(ap);
}

static void fact(struct qube__checks *l, const char *name, bool ok, const char *detail)
{
	qube__checks_add(l, name, ok, true, "%s", detail);
}

static bool begins(int dir, const char *path, const char *with)
{
	qube__autofree char *text = NULL;

	return qube__io_read_file(&text, NULL, dir, path, TEXT_MAX) == 0 &&
	       strncmp(text, with, strlen(with)) == 0;
}

bool qube__local_smt(int sys)
{
	return begins(sys, "devices/system/cpu/smt/active", "1");
}

int qube__local_core_sched(void)
{
	unsigned long long cookie = 0;

	if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, PR_SCHED_CORE_SCOPE_THREAD, &cookie) == 0)
		return 0;
	return errno == ENODEV ? ENODEV : EINVAL;
}

enum qube__cores qube__local_cores(bool smt, int core_sched)
{
	if (core_sched == 0)
		return QUBE__CORES_APART;
	return smt && core_sched != ENODEV ? QUBE__CORES_SHARED : QUBE__CORES_SINGLE;
}

enum qube__cores qube__local_cores_of(const struct qube__machine_spec *spec)
{
	qube__autofd sys = -1;

	if (spec->flags & QUBE__MACHINE_ANY_CORE)
		return QUBE__CORES_SINGLE;
	sys = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return qube__local_cores(qube__local_smt(sys), qube__local_core_sched());
}

static void look_at_cores(struct qube__checks *l, int sys, int core_sched)
{
	bool smt = qube__local_smt(sys);

	switch (qube__local_cores(smt, core_sched)) {
	case QUBE__CORES_APART:
		fact(l, "smt", true, "on; the threads of one core run one qube at a time");
		fact(l, "core scheduling", true,
		     "there: a qube's processes share cores with no "
		     "other's");
		break;
	case QUBE__CORES_SHARED:
		fact(l, "smt", false,
		     "on, without core scheduling: qubes that run at the same time on one core "
		     "can spy on each other");
		fact(l, "core scheduling", false, "this kernel has none (CONFIG_SCHED_CORE)");
		break;
	case QUBE__CORES_SINGLE:
		fact(l, "smt", true, "off: a core runs one thread at a time");
		fact(l, "core scheduling", true,
		     core_sched == ENODEV ? "not needed without SMT" :
					    "this kernel has none; not needed without SMT");
		break;
	}
}

/* Calls fn for each entry of a directory until it returns false; how many it was called for. */
static size_t each(int sys, const char *path, bool (*fn)(void *user, int dir, const char *name),
		   void *user)
{
	int fd = openat(sys, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	size_t n = 0;

	if (!d) {
		qube__close_fd(&fd);
		return 0;
	}
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		if (fn && !fn(user, dirfd(d), e->d_name))
			break;
	}
	closedir(d);
	return n;
}

struct flaws {
	char names[100]; /* what does not fit is only counted */
	size_t n;
};

static bool note_flaw(void *user, int dir, const char *name)
{
	struct flaws *f = user;
	size_t used = strlen(f->names);

	if (!begins(dir, name, "Vulnerable"))
		return true;
	f->n++;
	if (used + strlen(name) + 3 < sizeof(f->names))
		snprintf(f->names + used, sizeof(f->names) - used, "%s%s", used ? ", " : "", name);
	return true;
}

static void look_at_flaws(struct qube__checks *l, int sys)
{
	struct flaws f = { 0 };
	size_t known = each(sys, "devices/system/cpu/vulnerabilities", note_flaw, &f);

	if (!known)
		fact(l, "cpu flaws", false, "this kernel tells of none: what is open is not known");
	else if (f.n)
		qube__checks_add(l, "cpu flaws", false, true,
				 "%zu open, so that a qube may read others' memory: %s", f.n,
				 f.names);
	else
		qube__checks_add(l, "cpu flaws", true, true, "all %zu known ones are closed",
				 known);
}

static bool note_x86(void *user, int dir, const char *name)
{
	bool *x86 = user;

	(void)dir;
	*x86 = *x86 || strncmp(name, "dmar", 4) == 0 || strncmp(name, "ivhd", 4) == 0;
	return true;
}

/* The kernel names its interrupt controllers so when they go through the IOMMU. */
static bool note_remapped(void *user, int dir, const char *name)
{
	bool *remapped = user;
	char path[300];

	snprintf(path, sizeof(path), "%s/chip_name", name);
	*remapped = begins(dir, path, "IR-");
	return !*remapped;
}

static void look_at_buses(struct qube__checks *l, int sys)
{
	bool remapped = false;
	bool x86 = false;
	size_t units = each(sys, "class/iommu", note_x86, &x86);

	if (!units) {
		fact(l, "iommu", false, "none: devices cannot be given to qubes safely");
		return;
	}
	qube__checks_add(l, "iommu", true, true, "there, %zu", units);
	if (!x86)
		return; /* elsewhere it has no name of its own */
	each(sys, "kernel/irq", note_remapped, &remapped);
	fact(l, "irq remapping", remapped,
	     remapped ? "in use" : "not in use: a qube's device could send any interrupt");
}

void qube__local_facts(struct qube__checks *l, int sys, int core_sched)
{
	look_at_cores(l, sys, core_sched);
	look_at_flaws(l, sys);
	look_at_buses(l, sys);
}
