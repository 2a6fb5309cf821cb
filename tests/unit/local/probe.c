/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The agent of the tests, static: accepts on descriptor 3, reads one line, does what it says,
 * writes what it saw and closes. */
#include "readonly.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct attempt {
	const char *name;
	long nr;
	long arg[5];
	int want; /* errno */
};

#define FLAGS_NS (CLONE_NEWNS | SIGCHLD)
static const char proc_name[] = "proc";
static const char root_name[] = "/";
static char byte;
static const struct iovec some = { &byte, 1 };

static const struct attempt attempts[] = {
	{ "mount", SYS_mount, { (long)proc_name, (long)root_name, (long)proc_name, 0, 0 }, EPERM },
	{ "umount2", SYS_umount2, { (long)root_name, 2 }, EPERM },
	{ "pivot_root", SYS_pivot_root, { (long)root_name, (long)root_name }, EPERM },
	{ "open_tree", SYS_open_tree, { AT_FDCWD, (long)root_name, 1 }, EPERM },
	{ "move_mount", SYS_move_mount, { 0 }, EPERM },
	{ "mount_setattr", SYS_mount_setattr, { AT_FDCWD, (long)root_name, 0, 0, 0 }, EPERM },
	{ "fsopen", SYS_fsopen, { (long)proc_name }, EPERM },
	{ "fsmount", SYS_fsmount, { 0 }, EPERM },
	{ "fsconfig", SYS_fsconfig, { 0 }, EPERM },
	{ "fspick", SYS_fspick, { AT_FDCWD, (long)root_name }, EPERM },
	{ "unshare user", SYS_unshare, { CLONE_NEWUSER }, EPERM },
	{ "unshare mount", SYS_unshare, { CLONE_NEWNS }, EPERM },
	{ "unshare net, high bits", SYS_unshare, { CLONE_NEWNET | (1L << 40) }, EPERM },
	{ "unshare time", SYS_unshare, { 0x80 }, EPERM },
	{ "clone user", SYS_clone, { CLONE_NEWUSER | SIGCHLD }, EPERM },
	{ "clone mount", SYS_clone, { FLAGS_NS }, EPERM },
	{ "clone net and pid", SYS_clone, { CLONE_NEWNET | CLONE_NEWPID | SIGCHLD }, EPERM },
	{ "clone3", SYS_clone3, { 0, 0 }, ENOSYS },
	{ "setns", SYS_setns, { 0, 0 }, EPERM },
	{ "bpf", SYS_bpf, { 0, 0, 0 }, EPERM },
	{ "perf_event_open", SYS_perf_event_open, { 0 }, EPERM },
	{ "userfaultfd", SYS_userfaultfd, { 0 }, EPERM },
	{ "io_uring_setup", SYS_io_uring_setup, { 1, 0 }, EPERM },
	{ "io_uring_enter", SYS_io_uring_enter, { 0 }, EPERM },
	{ "io_uring_register", SYS_io_uring_register, { 0 }, EPERM },
	{ "keyctl", SYS_keyctl, { 0 }, EPERM },
	{ "add_key", SYS_add_key, { 0 }, EPERM },
	{ "request_key", SYS_request_key, { 0 }, EPERM },
	{ "kexec_load", SYS_kexec_load, { 0 }, EPERM },
	{ "kexec_file_load", SYS_kexec_file_load, { 0 }, EPERM },
	{ "init_module", SYS_init_module, { 0 }, EPERM },
	{ "finit_module", SYS_finit_module, { 0 }, EPERM },
	{ "delete_module", SYS_delete_module, { 0 }, EPERM },
	{ "reboot", SYS_reboot, { 0 }, EPERM },
	{ "swapon", SYS_swapon, { 0 }, EPERM },
	{ "swapoff", SYS_swapoff, { 0 }, EPERM },
	{ "acct", SYS_acct, { 0 }, EPERM },
	{ "quotactl", SYS_quotactl, { 0 }, EPERM },
	{ "syslog", SYS_syslog, { 3, 0, 0 }, EPERM },
	{ "settimeofday", SYS_settimeofday, { 0 }, EPERM },
	{ "clock_settime", SYS_clock_settime, { 0 }, EPERM },
	{ "sethostname", SYS_sethostname, { (long)proc_name, 4 }, EPERM },
	{ "open_by_handle_at", SYS_open_by_handle_at, { 0 }, EPERM },
	{ "name_to_handle_at", SYS_name_to_handle_at, { 0 }, EPERM },
	{ "fanotify_init", SYS_fanotify_init, { 0 }, EPERM },
	{ "vmsplice", SYS_vmsplice, { 0 }, EPERM },
	{ "mbind", SYS_mbind, { 0 }, EPERM },
	{ "move_pages", SYS_move_pages, { 0 }, EPERM },
	{ "iopl", SYS_iopl, { 3 }, EPERM },
	{ "ioperm", SYS_ioperm, { 0 }, EPERM },
	{ "modify_ldt", SYS_modify_ldt, { 0 }, ENOSYS },
	{ "memfd_secret", 447, { 0 }, ENOSYS },
	{ "a call of the future", 1000, { 0 }, ENOSYS },
	{ "an x32 call", 0x40000000 | SYS_getpid, { 0 }, ENOSYS },
	{ "socket packet", SYS_socket, { 17, SOCK_RAW, 0 }, EAFNOSUPPORT },
	{ "socket alg", SYS_socket, { 38, SOCK_SEQPACKET, 0 }, EAFNOSUPPORT },
	{ "socket alg, high bits", SYS_socket, { 38 | (1L << 32), SOCK_SEQPACKET }, EAFNOSUPPORT },
	{ "socket vsock", SYS_socket, { 40, SOCK_STREAM, 0 }, EAFNOSUPPORT },
	{ "socket tipc", SYS_socket, { 30, SOCK_STREAM, 0 }, EAFNOSUPPORT },
	{ "socket family 200", SYS_socket, { 200, SOCK_STREAM, 0 }, EAFNOSUPPORT },
	{ "socketpair tipc", SYS_socketpair, { 30, SOCK_STREAM, 0, 0 }, EAFNOSUPPORT },
	{ "netlink netfilter", SYS_socket, { 16, SOCK_RAW, 12 }, EPROTONOSUPPORT },
	{ "netlink xfrm", SYS_socket, { 16, SOCK_RAW, 6 }, EPROTONOSUPPORT },
	{ "raw socket", SYS_socket, { 2, SOCK_RAW, 1 }, EPERM },
	{ "mknod of a disk", SYS_mknod, { (long)"/tmp/d", S_IFBLK | 0600, 0xfe00 }, EPERM },
	{ "chroot", SYS_chroot, { (long)root_name }, EPERM },
	{ "io_setup", SYS_io_setup, { 1, (long)"\0\0\0\0\0\0\0" }, ENOSYS },
	{ "dccp", SYS_socket, { 2, SOCK_STREAM, 33 }, EPROTONOSUPPORT },
	{ "dccp by type", SYS_socket, { 10, 6 | SOCK_CLOEXEC, 0 }, EPROTONOSUPPORT },
	{ "sctp", SYS_socket, { 2, SOCK_SEQPACKET, 132 }, EPROTONOSUPPORT },
	{ "sctp, high bits", SYS_socket, { 10, SOCK_STREAM, 132 | (1L << 32) }, EPROTONOSUPPORT },
	{ "l2tp", SYS_socket, { 2, SOCK_DGRAM, 115 }, EPROTONOSUPPORT },
	{ "smc", SYS_socket, { 2, SOCK_STREAM, 256 }, EPROTONOSUPPORT },
	{ "core scheduling", SYS_prctl, { 62, 1, 0, 0, 0 }, EINVAL },
	{ "core scheduling, high bits", SYS_prctl, { 62 | (1L << 32), 1, 0, 0, 0 }, EINVAL },
	{ "TIOCSETD", SYS_ioctl, { 0, 0x5423, (long)"\25\0\0" }, EPERM },
	{ "TIOCSTI", SYS_ioctl, { 0, 0x5412, (long)"x" }, EPERM },
	{ "TIOCSTI, high bits", SYS_ioctl, { 0, 0x100005412, (long)"x" }, EPERM },
	{ "TIOCLINUX", SYS_ioctl, { 0, 0x541c, (long)"\2" }, EPERM },
	{ "TIOCLINUX, high bits", SYS_ioctl, { 0, 0x7f0000541c, (long)"\2" }, EPERM },
	{ "trace of PID 1", SYS_ptrace, { PTRACE_ATTACH, 1, 0, 0 }, EPERM },
	{ "seizure of PID 1", SYS_ptrace, { 0x4206, 1, 0, 0 }, EPERM },
	{ "memory of PID 1", SYS_process_vm_readv, { 1, (long)&some, 1, (long)&some, 1 }, EPERM },
};

static void try_calls(FILE *out)
{
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		const struct attempt *a = &attempts[i];
		long r = syscall(a->nr, a->arg[0], a->arg[1], a->arg[2], a->arg[3], a->arg[4], 0);
		int got = r < 0 ? errno : 0;

		if (r == 0 && a->nr == SYS_clone)
			_exit(0);
		fprintf(out, "%s %s: %d, expected %d\n", got == a->want ? "ok" : "BAD", a->name,
			got, a->want);
	}
}

static void try_files_of_init(FILE *out)
{
	static const char *const names[] = { "mem",  "environ", "root",	  "cwd",  "exe",
					     "maps", "fd",	"ns/net", "auxv", "map_files" };
	char path[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int fd;

		snprintf(path, sizeof(path), "/proc/1/%s", names[i]);
		fd = open(path, O_RDONLY);
		fprintf(out, "%s %s\n",
			fd < 0 && (errno == EACCES || errno == EPERM) ? "ok" : "BAD", path);
		if (fd >= 0)
			close(fd);
	}
}

/* Requests that make, flag and remove subvolumes and snapshots, tried on a directory of btrfs. */
static void try_subvolumes(FILE *out, const char *dir)
{
	static const unsigned long requests[] = {
		0x50009401, 0x5000940e,	  0x15000940e, 0x5000940f, 0x50009417,
		0x50009418, 0xf150009418, 0x4008941a,  0x5000943f,
	};
	int fd = open(dir, O_RDONLY | O_DIRECTORY);

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		/* The descriptor in front, and where each request has the name. */
		union {
			int64_t fd;
			char bytes[4096];
		} arg = { .fd = fd };
		bool late = (requests[i] & 0xff) >= 0x17 && (requests[i] & 0xff) != 0x1a;

		if ((requests[i] & 0xff) != 0x1a)
			snprintf(arg.bytes + (late ? 56 : 8), 16, "made%zu", i);
		else
			arg.fd = 2; /* BTRFS_SUBVOL_RDONLY */
		if (syscall(SYS_ioctl, fd, requests[i], &arg) == 0)
			errno = 0;
		fprintf(out, "%s %lx: %d\n", errno == ENOTTY ? "ok" : "BAD", requests[i], errno);
	}
	close(fd);
}

static void list_fds(FILE *out, const char *dir_name)
{
	DIR *dir = opendir(dir_name);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		char target[256];
		ssize_t n;

		if (e->d_name[0] == '.')
			continue;
		n = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		if (atoi(e->d_name) == dirfd(dir) || atoi(e->d_name) == fileno(out))
			continue;
		fprintf(out, "%s %.*s\n", e->d_name, (int)strcspn(target, ":["), target);
	}
	if (dir)
		closedir(dir);
}

static void fill_pids(FILE *out)
{
	struct rlimit more = { RLIM_INFINITY, RLIM_INFINITY };
	pid_t pids[512];
	int n = 0;

	fprintf(out, "raise %s\n", setrlimit(RLIMIT_NPROC, &more) < 0 ? "refused" : "BAD");
	for (; n < 512; n++) {
		pids[n] = fork();
		if (pids[n] == 0) {
			/* Another id must not mean another count. */
			if (n % 2 && (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000)))
				_exit(1);
			for (;;)
				pause();
		}
		if (pids[n] < 0)
			break;
	}
	fprintf(out, "forks %d errno %d\n", n, errno);
	for (int i = 0; i < n; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
}

static void shell(int conn, const char *command)
{
	pid_t pid = fork();

	if (pid == 0) {
		dup2(conn, 1);
		dup2(conn, 2);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(126);
	}
	waitpid(pid, NULL, 0);
}

static void serve(int conn)
{
	char line[4096] = "";
	size_t n = 0;
	FILE *out;

	while (n < sizeof(line) - 1 && read(conn, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	if (strncmp(line, "exit ", 5) == 0)
		_exit(atoi(line + 5));
	if (strncmp(line, "sh ", 3) == 0) {
		shell(conn, line + 3);
		close(conn);
		return;
	}
	out = fdopen(conn, "w");
	if (!out)
		return;
	if (strcmp(line, "calls") == 0)
		try_calls(out);
	else if (strcmp(line, "init") == 0)
		try_files_of_init(out);
	else if (strncmp(line, "fds ", 4) == 0)
		list_fds(out, line + 4);
	else if (strncmp(line, "subvolumes ", 11) == 0)
		try_subvolumes(out, line + 11);
	else if (strncmp(line, "readonly ", 9) == 0)
		readonly_try(out, line + 9);
	else if (strcmp(line, "readonly-apart") == 0)
		readonly_try_apart(out);
	else if (strcmp(line, "readonly-program") == 0)
		readonly_try_program(out);
	else if (strcmp(line, "pids") == 0)
		fill_pids(out);
	else if (strcmp(line, "log") == 0)
		for (int i = 0; i < 300; i++)
			fprintf(stderr, "line %d \033[31m\n", i);
	fclose(out);
}

int main(int argc, char **argv)
{
	struct pollfd p = { .fd = 3, .events = POLLIN };

	if (argc < 3 || strcmp(argv[1], "--control-fd") != 0 || strcmp(argv[2], "3") != 0)
		return 2;
	for (;;) {
		int conn;

		if (poll(&p, 1, -1) < 0)
			return 3;
		conn = accept(3, NULL, NULL);
		if (conn >= 0) {
			fcntl(conn, F_SETFL, 0);
			fcntl(conn, F_SETFD, FD_CLOEXEC);
			serve(conn);
		}
	}
}
