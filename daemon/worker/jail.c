/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The worker's jail: an empty root of its own, no network, five capabilities, an allow-list of
 * system calls without any that starts a program. What a hostile tree could make of a bug here
 * reaches the directories of the job, and nothing else. */
#include "worker.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A sanitizer's own calls are no part of the list. */
#if defined(__SANITIZE_ADDRESS__)
#define FILTERED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FILTERED 0
#endif
#endif
#ifndef FILTERED
#define FILTERED 1
#endif

enum { NOFILE = 16384 }; /* two for each level of a deep tree */

static int enter_root(const struct worker_role *role)
{
	int r;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		return qube__fail_os("cannot enter namespaces");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return qube__fail_os("cannot make mounts private");
	if (mount("none", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  role->programs ? "size=64k,nr_inodes=32,mode=0555" :
				   "size=4k,nr_inodes=2,mode=0555") < 0)
		return qube__fail_os("cannot mount an empty root");
	r = role->programs ? worker_program_root() : 0;
	if (r < 0)
		return r;
	if (chdir("/tmp") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return qube__fail_os("cannot enter an empty root");
	if (mount(NULL, "/", NULL,
		  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return qube__fail_os("cannot make the empty root read-only");
	return 0;
}

static uint64_t wanted_capabilities(const struct worker_role *role)
{
	uint64_t keep = 1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER |
			1ull << CAP_FSETID | 1ull << CAP_SETFCAP;

	/* Root may write where others own; nobody else has more than the kernel lets him. */
	if (role->as)
		return role->uid ? 0 : 1ull << CAP_DAC_OVERRIDE;
	if (role->reader)
		return 1ull << CAP_DAC_READ_SEARCH;
	if (role->programs) /* to mount its image; narrowed before the program is run */
		return 1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_SYS_ADMIN | 1ull << CAP_SETPCAP;
	if (role->layers) /* trusted.overlay.* */
		keep |= 1ull << CAP_SYS_ADMIN;
	return keep;
}

static int drop_capabilities(const struct worker_role *role)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	uint64_t keep = wanted_capabilities(role);

	for (int cap = 0; cap < 64; cap++) {
		if (keep & 1ull << cap)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
			return qube__fail_os("cannot drop capability %d", cap);
	}
	if (role->as && (setresgid(role->gid, role->gid, role->gid) < 0 ||
			 setresuid(role->uid, role->uid, role->uid) < 0))
		return qube__fail_os("cannot become the user who copies");
	data[0].effective = data[0].permitted = (uint32_t)keep;
	data[1].effective = data[1].permitted = (uint32_t)(keep >> 32);
	if (syscall(SYS_capset, &head, data) < 0)
		return qube__fail_os("cannot drop capabilities");
	return 0;
}

static const int allowed[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(lseek),
	SCMP_SYS(openat),
	SCMP_SYS(openat2),
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(fstatfs),
	SCMP_SYS(getdents64),
	SCMP_SYS(mkdirat),
	SCMP_SYS(unlinkat),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(linkat),
	SCMP_SYS(symlinkat),
	SCMP_SYS(readlinkat),
	SCMP_SYS(mknodat),
	SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat),
	SCMP_SYS(fchown),
	SCMP_SYS(fchownat),
	SCMP_SYS(utimensat),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(copy_file_range),
	SCMP_SYS(fsetxattr),
	SCMP_SYS(fgetxattr),
	SCMP_SYS(flistxattr),
	SCMP_SYS(lsetxattr),
	SCMP_SYS(lgetxattr),
	SCMP_SYS(llistxattr),
	SCMP_SYS(fchdir),
	SCMP_SYS(chdir),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvmsg),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(getrandom),
	SCMP_SYS(fcntl),
	SCMP_SYS(dup),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(syncfs),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(fadvise64),
};

static int add_rules(scmp_filter_ctx f)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				     SCMP_A1(SCMP_CMP_EQ, FICLONE));
	/* Memory yes, code no. */
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return r;
}

static int filter_calls(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!f)
		return qube__fail_nomem();
	r = add_rules(f);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	if (r < 0) {
		errno = -r;
		return qube__fail_os("cannot load the filter of system calls");
	}
	return 0;
}

static int set_limit(int what, rlim_t to)
{
	struct rlimit limit = { .rlim_cur = to, .rlim_max = to };

	return setrlimit((__rlimit_resource_t)what, &limit);
}

int worker_jail(int channel, const struct worker_role *role)
{
	int r;

	umask(0);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return qube__fail_os("cannot give up privileges");
	if (syscall(SYS_close_range, channel + 1, ~0U, 0) < 0)
		return qube__fail_os("cannot close descriptors");
	if (set_limit(RLIMIT_CORE, 0) < 0 || set_limit(RLIMIT_NOFILE, NOFILE) < 0)
		return qube__fail_os("cannot set limits");
	r = enter_root(role);
	if (r < 0)
		return r;
	if (setgroups(0, NULL) < 0)
		return qube__fail_os("cannot drop groups");
	r = drop_capabilities(role);
	if (r < 0)
		return r;
	return !FILTERED	? 0 :
	       role->programs	? 0 : /* worker_jail_program() */
				  filter_calls();
}

/* --- a program of the machine's own: what it may not do --- */

static const int refused[] = {
	SCMP_SYS(socket),
	SCMP_SYS(socketpair),
	SCMP_SYS(ptrace),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(open_tree),
	SCMP_SYS(move_mount),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(fspick),
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(mknod),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(mknodat),
	SCMP_SYS(pidfd_getfd),
};

static int refuse_calls(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int r = f ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < sizeof(refused) / sizeof(refused[0]); i++)
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER));
	/* Its flags are in memory, where no filter sees them. */
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	errno = -r;
	return r < 0 ? qube__fail_os("cannot load the filter of system calls") : 0;
}

int worker_jail_program(void)
{
	static const struct worker_role reader = { .reader = true };
	int r = drop_capabilities(&reader);

	if (r < 0)
		return r;
	return FILTERED ? refuse_calls() : 0;
}
