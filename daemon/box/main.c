/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The launcher: reads the specification, makes the namespaces, hands the box its trees and ends.
 * What it reads comes from the driver; host paths in it are below directories that only root can
 * enter. */
#include "box.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/io.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

/* struct clone_args of linux/sched.h, which cannot be included beside sched.h. */
struct clone3_args {
	uint64_t flags;
	uint64_t pidfd;
	uint64_t child_tid;
	uint64_t parent_tid;
	uint64_t exit_signal;
	uint64_t stack;
	uint64_t stack_size;
	uint64_t tls;
	uint64_t set_tid;
	uint64_t set_tid_size;
	uint64_t cgroup;
};

/* Also the box's: it is born with a copy, so the paths need not travel twice. */
static uint8_t spec_bytes[QUBE__BOX_SPEC_MAX];

static int read_spec(struct qube__box_spec *spec)
{
	ssize_t n = recv(QUBE__BOX_FD_DRIVER, spec_bytes, sizeof(spec_bytes), MSG_TRUNC);

	if (n < 0 || qube__fault_fails(QUBE__FAULT_BOX_SPEC))
		return box_fail("cannot read the specification");
	if ((size_t)n > sizeof(spec_bytes) ||
	    qube__box_spec_decode(spec, spec_bytes, (size_t)n) < 0)
		return box_refuse("the specification of %zd bytes makes no sense", n);
	return 0;
}

/* A copy of the host's mounts that shares nothing back, with a tmpfs to work in. */
static int enter_scratch(const struct qube__box_spec *spec)
{
	static const char *const places[] = { "root", "dev", "proc", "run", "cover" };
	qube__autofd at = -1;
	qube__autofd tree = -1;

	if (unshare(CLONE_NEWNS) < 0)
		return box_fail("cannot make a mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return box_fail("cannot make the mounts private");
	at = root_open_dir(spec->scratch);
	if (at < 0)
		return -1;
	/* The box passes through, with ids that own nothing here. */
	tree = root_tmpfs(1 << 20, "0711", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
			  "qube-scratch");
	if (tree < 0 || root_attach(tree, at, "", "the scratch directory") < 0)
		return -1;
	if (fchdir(tree) < 0)
		return box_fail("cannot use the scratch directory");
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (mkdir(places[i], 0755) < 0)
			return box_fail("cannot use the scratch directory");
	return 0;
}

/* All ids but the saved ones become the first of the qube's range, all capabilities stay: overlayfs
 * writes with these (layers.c), and the limits of a user namespace are counted on whoever makes it,
 * so that qubes do not use up each other's, or root's. The real id too: a namespace made by real
 * root has no limit of processes. */
static int borrow_ids(uint32_t id)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (setgroups(0, NULL) < 0 || setresgid(id, id, 0) < 0 || setresuid(id, id, 0) < 0)
		return box_fail("cannot take the ids of the qube");
	if (syscall(SYS_capget, &head, data) < 0)
		return box_fail("cannot read the capabilities");
	data[0].effective = data[0].permitted;
	data[1].effective = data[1].permitted;
	if (syscall(SYS_capset, &head, data) < 0)
		return box_fail("cannot raise the capabilities");
	return 0;
}

static int write_map(int proc, const char *name, uint32_t id_base)
{
	qube__autofd fd = openat(proc, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[64];
	int n = snprintf(text, sizeof(text), "0 %u %u\n", id_base, QUBE__BOX_IDS);

	if (fd < 0 || write(fd, text, (size_t)n) != n)
		return box_fail("cannot write the %s of the box", name);
	return 0;
}

/* Returns its user namespace. */
static int map_ids(pid_t pid, uint32_t id_base)
{
	char path[32];
	struct statfs fs;
	qube__autofd proc = -1;
	int userns;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	proc = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (proc < 0 || fstatfs(proc, &fs) < 0)
		return box_fail("cannot open %s", path);
	if (fs.f_type != PROC_SUPER_MAGIC)
		return box_refuse("/proc is not a proc file system");
	if (write_map(proc, "gid_map", id_base) < 0 || write_map(proc, "uid_map", id_base) < 0)
		return -1;
	userns = openat(proc, "ns/user", O_RDONLY | O_CLOEXEC);
	if (userns < 0)
		return box_fail("cannot open the user namespace of the box");
	return userns;
}

/* Between launcher and box, both blocking: one packet with the trees. A missing one is sent as
 * the root's and ignored, so that positions are fixed. */
static int send_trees(int sync, const struct box_trees *t)
{
	int fds[4] = { t->root, t->rw, t->tmp, t->guest };
	uint8_t have = 0;

	for (unsigned int i = 0; i < 4; i++) {
		if (fds[i] >= 0)
			have |= (uint8_t)(1u << i);
		else
			fds[i] = t->root;
	}
	if (qube__io_send_fds(sync, &have, 1, fds, 4) != 1)
		return box_fail("cannot hand over the mounts");
	return 0;
}

/* Fails if the launcher did, which said so. */
static int receive(int sync, uint8_t *byte, int *fds, size_t want)
{
	struct pollfd p = { .fd = sync, .events = POLLIN };
	size_t n = want;

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	return qube__io_recv_fds(sync, byte, 1, fds, &n) == 1 && n == want ? 0 : -1;
}

static int receive_trees(int sync, struct box_trees *t)
{
	int fds[4];
	uint8_t have;

	if (receive(sync, &have, fds, 4) < 0)
		return -1;
	for (unsigned int i = 0; i < 4; i++) {
		if (have & (1u << i))
			continue;
		close(fds[i]);
		fds[i] = -1;
	}
	*t = (struct box_trees){ .root = fds[0], .rw = fds[1], .tmp = fds[2], .guest = fds[3] };
	return 0;
}

static void close_trees(struct box_trees *t)
{
	qube__close_fd(&t->root);
	qube__close_fd(&t->rw);
	qube__close_fd(&t->tmp);
	qube__close_fd(&t->guest);
}

static int send_network(int sync, int userns)
{
	qube__autofd net = box_make_network(userns);

	if (net < 0)
		return -1;
	if (qube__io_send_fds(sync, "n", 1, &net, 1) != 1)
		return box_fail("cannot hand over the network");
	return 0;
}

static int receive_network(int sync)
{
	uint8_t byte;
	int fd;
	int r = receive(sync, &byte, &fd, 1);

	if (r == 0) {
		r = box_join_network(fd);
		qube__close_fd(&fd);
	}
	return r;
}

/* ---- the box ---- */

static int become_root(void)
{
	if (setresgid(0, 0, 0) < 0 || setgroups(0, NULL) < 0 || setresuid(0, 0, 0) < 0)
		return box_fail("cannot become root of the box");
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return box_fail("cannot shut out tracers");
	if (setsid() < 0)
		return box_fail("cannot make a session");
	/* Not at birth: its root is where its maker is, and that is the launcher's group. */
	if (unshare(CLONE_NEWCGROUP) < 0)
		return box_fail("cannot make a cgroup namespace");
	return 0;
}

static void box_main(const struct qube__box_spec *spec, int sync, const struct box_devices *d)
	__attribute__((noreturn));
static void box_main(const struct qube__box_spec *spec, int sync, const struct box_devices *d)
{
	struct box_trees trees = { -1, -1, -1, -1 };
	struct box_own own;
	char byte;

	if (recv(sync, &byte, 1, 0) != 1 || become_root() < 0 || box_make_own(&own, spec, d) < 0)
		_exit(1);
	if (receive_trees(sync, &trees) < 0 || box_enter_root(spec, &trees, &own) < 0)
		_exit(1);
	close_trees(&trees);
	box_reply(QUBE__BOX_STAGE, QUBE__BOX_AT_JAIL, -1);
	/* What the trees say is read where nothing of the host's can be reached. */
	if (qube__fault_fails(QUBE__FAULT_BOX_ROOT) || receive_network(sync) < 0 ||
	    root_make_home(spec->user) < 0 || box_jail(spec) < 0)
		_exit(1);
	if (qube__fault_fails(QUBE__FAULT_BOX_JAILED) || send(sync, "k", 1, MSG_NOSIGNAL) != 1)
		_exit(1);
	/* Also what is left of the box's own mounts. */
	syscall(SYS_close_range, QUBE__BOX_FD_COUNT, ~0U, 0);
	box_init(spec);
}

/* ---- the launcher ---- */

/* The driver's word that the private volume is there; its silence is its end. */
static int wait_for_volumes(void)
{
	struct pollfd p = { .fd = QUBE__BOX_FD_DRIVER, .events = POLLIN };
	struct qube__box_order o;
	uint8_t bytes[64];
	ssize_t n;

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	n = recv(QUBE__BOX_FD_DRIVER, bytes, sizeof(bytes), 0);
	if (n <= 0)
		return -1;
	if (qube__box_order_decode(&o, bytes, (size_t)n) < 0 || o.type != QUBE__BOX_VOLUMES)
		return box_refuse("an order that makes no sense");
	return 0;
}

static int prepare_trees(const struct qube__box_spec *spec, int userns, struct box_trees *t)
{
	t->root = box_root_tree(spec, userns);
	if (t->root < 0)
		return -1;
	if ((spec->flags & QUBE__BOX_WAIT) && wait_for_volumes() < 0)
		return -1;
	if (spec->private_volume.kind == QUBE__BOX_VOLUME_TREE) {
		t->rw = box_volume_tree(spec, &spec->private_volume, userns);
		if (t->rw < 0)
			return -1;
	}
	if (spec->volatile_volume.kind == QUBE__BOX_VOLUME_TREE) {
		t->tmp = box_volume_tree(spec, &spec->volatile_volume, userns);
		if (t->tmp < 0)
			return -1;
	}
	if (spec->guest_dir[0]) {
		t->guest = box_guest_tree(spec);
		if (t->guest < 0)
			return -1;
	}
	return 0;
}

static int attend(const struct qube__box_spec *spec, pid_t pid, int pidfd, int sync)
{
	struct box_trees trees = { -1, -1, -1, -1 };
	qube__autofd userns = -1;
	char byte;

	if (box_reply(QUBE__BOX_BORN, (int32_t)pid, pidfd) < 0)
		return -1;
	userns = qube__fault_fails(QUBE__FAULT_BOX_BORN) ? box_fail("cannot map ids") :
							   map_ids(pid, spec->id_base);
	if (userns < 0)
		return -1;
	if (send(sync, "m", 1, MSG_NOSIGNAL) != 1)
		return box_fail("the box ended early");
	box_reply(QUBE__BOX_STAGE, QUBE__BOX_AT_TREES, -1);
	if (prepare_trees(spec, userns, &trees) < 0)
		return -1;
	box_reply(QUBE__BOX_STAGE, QUBE__BOX_AT_ROOT, -1);
	if (qube__fault_fails(QUBE__FAULT_BOX_TREES) || send_trees(sync, &trees) < 0 ||
	    send_network(sync, userns) < 0)
		return -1;
	if (recv(sync, &byte, 1, 0) != 1)
		return -1; /* the box failed, and said so */
	return box_reply(QUBE__BOX_HELD, 0, -1);
}

/* The box becomes the driver's own child (CLONE_PARENT): the launcher need not stay. */
static int launch(const struct qube__box_spec *spec, const struct box_devices *d)
{
	int pidfd = -1;
	int sync[2];
	struct statfs fs;
	struct clone3_args args = {
		.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
			 CLONE_NEWTIME | CLONE_PIDFD | CLONE_PARENT,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
	};
	long pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) < 0)
		return box_fail("cannot make a socket pair");
	if (fstatfs(QUBE__BOX_FD_CGROUP, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = QUBE__BOX_FD_CGROUP;
	}
	box_reply(QUBE__BOX_STAGE, QUBE__BOX_AT_CLONE, -1);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return box_fail("cannot make the namespaces");
	if (pid == 0) {
		close(sync[0]);
		box_main(spec, sync[1], d);
	}
	close(sync[1]);
	if (attend(spec, (pid_t)pid, pidfd, sync[0]) < 0) {
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		return -1;
	}
	return 0;
}

int main(void)
{
	struct qube__box_spec spec;
	struct box_devices devices;

	/* Nobody who shares the host's root, inside or outside, reads or traces us. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return 1;
	syscall(SYS_close_range, QUBE__BOX_FD_COUNT, ~0U, 0);
	umask(022);
	for (int fd = QUBE__BOX_FD_CONTROL; fd < QUBE__BOX_FD_COUNT; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			return 1;
	if (read_spec(&spec) < 0 || box_reply(QUBE__BOX_STAGE, QUBE__BOX_AT_MOUNTS, -1) < 0 ||
	    enter_scratch(&spec) < 0 || box_devices_open(&devices) < 0 ||
	    borrow_ids(spec.id_base) < 0 || box_limit(&spec) < 0)
		return 1;
	if (qube__fault_fails(QUBE__FAULT_BOX_SCRATCH))
		return 1;
	return launch(&spec, &devices) < 0 ? 1 : 0;
}
