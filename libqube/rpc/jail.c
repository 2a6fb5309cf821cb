/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The broker process's jail. The filter is a program of a few lines, assembled here: libseccomp is
 * not a dependency of the library. */
#include "rpc/jail.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define JAIL_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define JAIL_ARCH AUDIT_ARCH_AARCH64
#endif

/* Each call of a guest to the host holds two descriptors here, and a guest may hold many calls: by
 * the usual soft limit of 1024 two guests together would shut out all others. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int qube__jail_drop(uint32_t uid, uint32_t gid)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2];

	raise_descriptors();
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return qube__fail_os("cannot renounce new privileges");
	/* Fails without CAP_SETPCAP; then there is nothing that an exec could regain either. */
	for (unsigned long cap = 0; cap < 64; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	if ((uid || gid) && setgroups(0, NULL) < 0)
		return qube__fail_os("cannot leave the groups");
	if (gid && setresgid(gid, gid, gid) < 0)
		return qube__fail_os("cannot become group %u", gid);
	if (uid && setresuid(uid, uid, uid) < 0)
		return qube__fail_os("cannot become user %u", uid);
	memset(none, 0, sizeof(none));
	if (syscall(SYS_capset, &head, none) < 0)
		return qube__fail_os("cannot drop the capabilities");
	/* A change of ids may have set it again. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return 0;
}

#ifdef JAIL_ARCH

static const uint16_t allowed[] = {
	SYS_read,
	SYS_write,
	SYS_close,
	SYS_recvmsg,
	SYS_sendmsg,
	SYS_recvfrom,
	SYS_sendto,
	SYS_shutdown,
	SYS_epoll_ctl,
	SYS_epoll_pwait,
	SYS_timerfd_settime,
	SYS_pipe2,
	SYS_fchmod,
	SYS_brk,
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_futex,
	SYS_clock_gettime,
	SYS_rt_sigprocmask,
	SYS_rt_sigtimedwait,
	SYS_rt_sigreturn,
	SYS_restart_syscall,
	SYS_exit,
	SYS_exit_group,
	SYS_getrandom,
	SYS_getpid,
	SYS_gettid,
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
#endif
};

/* The rest would let the kernel send signals to whom it names. */
static const uint32_t descriptor_requests[] = {
	F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETPIPE_SZ, F_SETPIPE_SZ,
};

enum {
	N_ALLOWED = sizeof(allowed) / sizeof(allowed[0]),
	N_REQUESTS = sizeof(descriptor_requests) / sizeof(descriptor_requests[0]),
	FIXED = 48,
};

static size_t put(struct sock_filter *f, size_t n, uint16_t code, uint8_t yes, uint8_t no,
		  uint32_t k)
{
	f[n] = (struct sock_filter){ code, yes, no, k };
	return n + 1;
}

/* Memory may be mapped, but never to be executed; the flags are in the low half of argument 2. */
static size_t put_mapping(struct sock_filter *f, size_t n, uint32_t nr)
{
	uint32_t prot = offsetof(struct seccomp_data, args[2]);

	n = put(f, n, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, nr);
	n = put(f, n, BPF_LD | BPF_W | BPF_ABS, 0, 0, prot);
	n = put(f, n, BPF_JMP | BPF_JSET | BPF_K, 0, 1, PROT_EXEC);
	n = put(f, n, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
	return put(f, n, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
}

/* One argument has to be of a list. All that is compared so is 32 bits to the kernel, whatever
 * else is in the register. */
static size_t put_one_of(struct sock_filter *f, size_t n, uint32_t nr, size_t arg,
			 const uint32_t *values, uint8_t n_values)
{
	uint32_t low = (uint32_t)(offsetof(struct seccomp_data, args) + 8 * arg);

	n = put(f, n, BPF_JMP | BPF_JEQ | BPF_K, 0, (uint8_t)(n_values + 3), nr);
	n = put(f, n, BPF_LD | BPF_W | BPF_ABS, 0, 0, low);
	for (uint8_t i = 0; i < n_values; i++)
		n = put(f, n, BPF_JMP | BPF_JEQ | BPF_K, (uint8_t)(n_values - i), 0, values[i]);
	n = put(f, n, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
	return put(f, n, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
}

int qube__jail_filter(uint32_t request)
{
	struct sock_filter f[2 * N_ALLOWED + FIXED];
	struct sock_fprog prog = { .filter = f };
	/* abort() signals the own process. Others of its user are out of reach. */
	uint32_t self = (uint32_t)getpid();
	size_t n = 0;

	n = put(f, n, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
	n = put(f, n, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, JAIL_ARCH);
	n = put(f, n, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
	n = put(f, n, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < N_ALLOWED; i++) {
		n = put(f, n, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, allowed[i]);
		n = put(f, n, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
	}
	n = put_mapping(f, n, SYS_mmap);
	n = put_mapping(f, n, SYS_mprotect);
	n = put_one_of(f, n, SYS_tgkill, 0, &self, 1);
	n = put_one_of(f, n, SYS_fcntl, 1, descriptor_requests, N_REQUESTS);
	if (request)
		n = put_one_of(f, n, SYS_ioctl, 1, &request, 1);
	n = put(f, n, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
	prog.len = (unsigned short)n;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) < 0)
		return qube__fail_os("cannot load the system call filter");
	return 0;
}

#else

int qube__jail_filter(uint32_t request)
{
	(void)request;
	return qube__fail(QUBE_E_NOTSUP, "no system call filter for this machine");
}

#endif
