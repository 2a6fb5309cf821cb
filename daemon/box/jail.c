/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a box may not do: limits, capabilities, system calls. The filters are compiled when qube-box
 * is built (genfilter.c): compiling them at every start would cost more than all the mounts. */
#include "box.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "filters.h"

#define CAP(c) (UINT64_C(1) << (c))

/* A usual container's, without CAP_MKNOD, CAP_NET_RAW and every CAP_SYS_*. */
#define CAPS_APP                                                                                   \
	(CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FOWNER) | CAP(CAP_FSETID) |              \
	 CAP(CAP_KILL) | CAP(CAP_SETGID) | CAP(CAP_SETUID) | CAP(CAP_SETPCAP) |                    \
	 CAP(CAP_NET_BIND_SERVICE))
/* Package managers set file capabilities and chroot. */
#define CAPS_TEMPLATE (CAPS_APP | CAP(CAP_SETFCAP) | CAP(CAP_SYS_CHROOT))
/* In its own network namespace only. */
#define CAPS_NET (CAPS_APP | CAP(CAP_NET_ADMIN) | CAP(CAP_NET_RAW))

static int set_limit(int which, rlim_t value, const char *what)
{
	struct rlimit limit = { .rlim_cur = value, .rlim_max = value };
	struct rlimit now;

	if (getrlimit((__rlimit_resource_t)which, &now) == 0 && now.rlim_max < value)
		limit.rlim_cur = limit.rlim_max = now.rlim_max;
	if (setrlimit((__rlimit_resource_t)which, &limit) < 0)
		return box_fail("cannot limit %s", what);
	return 0;
}

/* When memory runs out a qube's processes go before the host's. Written with CAP_SYS_RESOURCE it is
 * also the least that the box can set. A file of the launcher's own /proc: not yet the box's. */
static int yield_memory(void)
{
	static const char score[] = "500";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, score, sizeof(score) - 1);

	if (fd >= 0)
		close(fd);
	return n < 0 ? box_fail("cannot set who goes first without memory") : 0;
}

/* RLIMIT_NPROC must be in force when the user namespace is made: it then bounds all ids inside
 * together and nobody inside can raise it. RLIMIT_CORE 1 also keeps the host's core handler (a
 * program, by a pipe) from being fed; 0 would not. */
int box_limit(const struct qube__box_spec *spec)
{
	if (set_limit(RLIMIT_NPROC, spec->pids_max, "processes") < 0)
		return -1;
	if (set_limit(RLIMIT_CORE, 1, "core dumps") < 0)
		return -1;
	if (set_limit(RLIMIT_NOFILE, 524288, "descriptors") < 0)
		return -1;
	return yield_memory();
}

/* Inherited by all that it starts: the threads of a core run processes of one cookie at a time. SMT
 * may have been turned off since the driver looked. */
static int keep_cores(const struct qube__box_spec *spec)
{
	if (!(spec->flags & QUBE__BOX_CORES) ||
	    prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, PR_SCHED_CORE_SCOPE_THREAD_GROUP, 0) ==
		    0 ||
	    errno == ENODEV)
		return 0;
	return box_fail("cannot keep other qubes off its cores");
}

static int drop_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)keep, .permitted = (uint32_t)keep },
		{ .effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32) },
	};

	/* Also those newer than our headers: until the kernel knows no more. */
	for (unsigned long c = 0; c < 64; c++) {
		if ((keep & CAP(c)) || prctl(PR_CAPBSET_DROP, c) == 0)
			continue;
		if (errno != EINVAL || c <= CAP_CHECKPOINT_RESTORE)
			return box_fail("cannot drop capability %lu", c);
		break;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return box_fail("cannot clear the ambient capabilities");
	if (syscall(SYS_capset, &head, data) < 0)
		return box_fail("cannot drop the capabilities");
	return 0;
}

static int load_filter(const struct filter *f)
{
	struct sock_fprog prog = {
		.len = f->len,
		.filter = (struct sock_filter *)(uintptr_t)f->code,
	};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return box_fail("cannot load the system call filter");
	return 0;
}

int box_jail(const struct qube__box_spec *spec)
{
	static const uint64_t keep[] = { CAPS_APP, CAPS_TEMPLATE, CAPS_NET };
	size_t kind = ((spec->flags & QUBE__BOX_USERNS) ? 1u : 0u) |
		      (spec->role == QUBE__BOX_ROLE_NET ? 2u : 0u);

	if (!(spec->flags & QUBE__BOX_NEW_PRIVS) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return box_fail("cannot forbid new privileges");
	if (keep_cores(spec) < 0)
		return -1;
	/* Two: the first knows names only, the second looks at arguments. */
	if (load_filter(&filters[kind].calls) < 0 || load_filter(&filters[kind].arguments) < 0)
		return -1;
	return drop_capabilities(keep[spec->role]);
}
