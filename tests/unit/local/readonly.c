/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Of the tests' agent: attempts against what is read-only inside a box. */
#include "readonly.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { MOUNTS_MAX = 256, PATH_MAX_ = 512, ENTRIES_MAX = 3000 };

/* What must be read-only if the kernel has it at all. */
static const char *const expected[] = {
	"/sys",
	"/run/qube/guest",
	"/proc/sys",
	"/proc/irq",
	"/proc/bus",
	"/proc/fs",
	"/proc/driver",
	"/dev/null",
	"/dev/zero",
	"/dev/full",
	"/dev/random",
	"/dev/urandom",
	"/dev/tty",
	"/proc/kcore",
	"/proc/keys",
	"/proc/key-users",
	"/proc/timer_list",
	"/proc/kmsg",
	"/proc/kpagecount",
	"/proc/kpageflags",
	"/proc/kpagecgroup",
	"/proc/kallsyms",
	"/proc/config.gz",
	"/proc/slabinfo",
	"/proc/vmallocinfo",
	"/proc/pagetypeinfo",
	"/proc/iomem",
	"/proc/ioports",
	"/proc/modules",
	"/proc/acpi",
	"/proc/scsi",
	"/proc/interrupts",
	"/proc/softirqs",
	"/proc/schedstat",
	"/proc/cmdline",
	"/proc/pressure",
	"/proc/sysrq-trigger",
};

struct mounts {
	char path[MOUNTS_MAX][PATH_MAX_];
	int n;
};

static void list_mounts(struct mounts *m)
{
	FILE *f = fopen("/proc/self/mountinfo", "r");
	char line[4096];
	char options[256];

	m->n = 0;
	while (f && fgets(line, sizeof(line), f) && m->n < MOUNTS_MAX)
		if (sscanf(line, "%*s %*s %*s %*s %511s %255s", m->path[m->n], options) == 2 &&
		    (strcmp(options, "ro") == 0 || strncmp(options, "ro,", 3) == 0))
			m->n++;
	if (f)
		fclose(f);
}

static bool listed(const struct mounts *m, const char *path)
{
	for (int i = 0; i < m->n; i++)
		if (strcmp(m->path[i], path) == 0)
			return true;
	return false;
}

static int bad;

static void check(FILE *out, const char *what, const char *path, long r)
{
	if (r < 0)
		return;
	bad++;
	fprintf(out, "BAD %s %s\n", what, path);
}

/* Ways to turn a mount into one that can be written to, or to get at what it covers. */
static void try_mount(FILE *out, const char *path)
{
	struct mount_attr attr = { .attr_clr = MOUNT_ATTR_RDONLY };
	const unsigned long remount[] = { MS_REMOUNT, MS_REMOUNT | MS_BIND,
					  MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC,
					  MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC };

	for (size_t i = 0; i < sizeof(remount) / sizeof(remount[0]); i++)
		check(out, "remount", path, mount("none", path, NULL, remount[i], NULL));
	check(out, "mount_setattr", path,
	      syscall(SYS_mount_setattr, AT_FDCWD, path, 0, &attr, sizeof(attr)));
	check(out, "fspick", path, syscall(SYS_fspick, AT_FDCWD, path, 0));
	check(out, "umount", path, umount2(path, 0));
	check(out, "detach", path, umount2(path, MNT_DETACH));
}

static void try_copies(FILE *out, const char *path)
{
	check(out, "bind", path, mount(path, "/tmp", NULL, MS_BIND | MS_REC, NULL));
	check(out, "move", path, mount(path, "/tmp", NULL, MS_MOVE, NULL));
	check(out, "cover", path, mount("none", path, "tmpfs", 0, NULL));
	check(out, "open_tree", path, syscall(SYS_open_tree, AT_FDCWD, path, 1));
}

static void try_inode(FILE *out, const char *path, const struct stat *st)
{
	struct timespec times[2] = { { 1, 0 }, { 1, 0 } };

	check(out, "chmod", path, chmod(path, st->st_mode & 07777));
	check(out, "chown", path, lchown(path, st->st_uid, st->st_gid));
	check(out, "utimes", path, utimensat(AT_FDCWD, path, times, 0));
	check(out, "setxattr", path, setxattr(path, "user.try", "x", 1, 0));
	check(out, "access", path, S_ISCHR(st->st_mode) ? -1 : access(path, W_OK));
	if (S_ISREG(st->st_mode)) {
		check(out, "open", path, open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
		check(out, "append", path, open(path, O_RDWR | O_APPEND | O_CLOEXEC));
		check(out, "truncate", path, truncate(path, 0));
	}
}

static void try_directory(FILE *out, const char *path)
{
	char name[PATH_MAX_ + 32];

	snprintf(name, sizeof(name), "%s/qube-try", path);
	check(out, "create", path, open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	check(out, "tmpfile", path, open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	check(out, "mkdir", path, mkdir(name, 0700));
	check(out, "symlink", path, symlink("x", name));
	check(out, "mknod", path, mknod(name, S_IFIFO | 0600, 0));
}

/* A tree of one mount, at most so many entries. */
static void try_tree(FILE *out, const char *path, dev_t dev, int *left)
{
	DIR *d = opendir(path);
	struct dirent *e;

	try_directory(out, path);
	while (d && (e = readdir(d)) && (*left)-- > 0) {
		char at[PATH_MAX_];
		struct stat st;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    snprintf(at, sizeof(at), "%s/%s", path, e->d_name) >= (int)sizeof(at) ||
		    lstat(at, &st) < 0 || st.st_dev != dev || S_ISLNK(st.st_mode))
			continue;
		try_inode(out, at, &st);
		if (S_ISDIR(st.st_mode))
			try_tree(out, at, dev, left);
		else
			check(out, "unlink", at, unlink(at));
	}
	if (d)
		closedir(d);
}

static void try_all(FILE *out, const struct mounts *m, bool copies)
{
	for (int i = 0; i < m->n; i++) {
		int left = ENTRIES_MAX;
		int before = bad;
		struct stat st;

		if (stat(m->path[i], &st) < 0)
			continue;
		try_mount(out, m->path[i]);
		if (copies)
			try_copies(out, m->path[i]);
		try_inode(out, m->path[i], &st);
		if (S_ISDIR(st.st_mode))
			try_tree(out, m->path[i], st.st_dev, &left);
		if (bad == before)
			fprintf(out, "ok %s\n", m->path[i]);
	}
}

static void expect_mount(FILE *out, const struct mounts *m, const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !listed(m, path))
		fprintf(out, "BAD %s is not mounted read-only\n", path);
}

void readonly_try(FILE *out, const char *more)
{
	static struct mounts m;
	char names[256];
	char *save = NULL;

	list_mounts(&m);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		expect_mount(out, &m, expected[i]);
	snprintf(names, sizeof(names), "%s", more);
	for (char *p = strtok_r(names, " ", &save); p; p = strtok_r(NULL, " ", &save))
		expect_mount(out, &m, p);
	try_all(out, &m, true);
}

static void put(FILE *out, const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fprintf(out, "BAD cannot write %s: %d\n", path, errno);
	close(fd);
}

/* In mounts of one's own what came along keeps its flags, also as a copy, and nothing that is
 * covered can be had anew. */
static void as_root_apart(FILE *out)
{
	static struct mounts m;
	pid_t child;

	/* As any user; what was the agent's is not dumpable, so its files in /proc are not its own.
	 */
	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000) || prctl(PR_SET_DUMPABLE, 1))
		fprintf(out, "BAD no user\n");
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) < 0) {
		fprintf(out, "BAD no namespaces: %d\n", errno);
		return;
	}
	put(out, "/proc/self/setgroups", "deny");
	put(out, "/proc/self/uid_map", "0 1000 1");
	put(out, "/proc/self/gid_map", "0 1000 1");
	fflush(out);
	child = fork();
	if (child > 0) {
		waitpid(child, NULL, 0);
		return;
	}
	list_mounts(&m);
	try_all(out, &m, false);
	for (int i = 0; i < m.n; i++) {
		int fd;

		/* Where a tree has other mounts in it only all of it can be copied. */
		if (mount(m.path[i], "/run/lock", NULL, MS_BIND | MS_REC, NULL) < 0)
			continue;
		fprintf(out, "ok a copy of %s\n", m.path[i]);
		check(out, "remount of a copy", m.path[i],
		      mount("none", "/run/lock", NULL, MS_REMOUNT | MS_BIND, NULL));
		fd = open("/run/lock/qube-try", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		check(out, "create in a copy", m.path[i], fd);
		umount2("/run/lock", MNT_DETACH);
	}
	check(out, "a new", "proc", mount("none", "/run/lock", "proc", 0, NULL));
	check(out, "a new", "sysfs", mount("none", "/run/lock", "sysfs", 0, NULL));
	fflush(out);
	_exit(0);
}

void readonly_try_apart(FILE *out)
{
	pid_t pid;

	fflush(out);
	pid = fork();
	if (pid == 0) {
		as_root_apart(out);
		fflush(out);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

void readonly_try_program(FILE *out)
{
	const int all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int again;

	fprintf(out, "%s the seals of the program\n",
		(fcntl(fd, F_GET_SEALS) & all) == all ? "ok" : "BAD");
	check(out, "open to write", "the program", open("/proc/self/exe", O_RDWR | O_CLOEXEC));
	check(out, "truncate", "the program", truncate("/proc/self/exe", 0));
	again = open("/proc/2/exe", O_WRONLY | O_CLOEXEC);
	check(out, "open to write", "the agent", again);
	check(out, "write", "the program", write(fd, "x", 1));
	check(out, "map to write", "the program",
	      mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
	fprintf(out, "ok %d\n", bad);
}
