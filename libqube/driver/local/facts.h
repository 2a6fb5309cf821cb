/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What this machine's processors and buses do for isolation. */
#ifndef QUBE_DRIVER_LOCAL_FACTS_H
#define QUBE_DRIVER_LOCAL_FACTS_H

#include "driver/driver.h"

/* Checks that are being listed; there is room for QUBE__CHECKS_MAX. */
struct qube__checks {
	struct qube__check *at;
	size_t n;
};
void qube__checks_add(struct qube__checks *l, const char *name, bool ok, bool optional,
		      const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Do processes of different qubes run at the same time on one core? */
enum qube__cores {
	QUBE__CORES_SINGLE = 0, /* a core has one thread */
	QUBE__CORES_APART = 1,	/* not those with different cookies */
	QUBE__CORES_SHARED = 2, /* yes, and this kernel cannot keep them apart */
};
/* 0; ENODEV: no core has two threads now; EINVAL: the kernel has no such thing. */
int qube__local_core_sched(void);
/* sys: the directory /sys. */
bool qube__local_smt(int sys);
enum qube__cores qube__local_cores(bool smt, int core_sched);
/* What a machine with this specification gets; SINGLE where it does not want any. */
enum qube__cores qube__local_cores_of(const struct qube__machine_spec *spec);
void qube__local_facts(struct qube__checks *l, int sys, int core_sched);

#endif
