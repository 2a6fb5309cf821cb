/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-init: the first process of a guest of Xen, see init/init.h. As qube-poweroff it is what the
 * kernel runs when the host asks the guest to end: it tells process 1. With --supervise it serves
 * for a root whose own init has no services of ours. */
#include "init/init.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { EXIT_USAGE = 2 };

static const char environment[] = "qube/environment";

static int mount_disk(const char *path, uint64_t attrs)
{
	const char *options[] = { "source", path, attrs & MOUNT_ATTR_RDONLY ? "ro" : NULL, NULL,
				  NULL };

	return root_fs("ext4", options, attrs | MOUNT_ATTR_NOATIME);
}

/* The root's mount, at /newroot; without a disk for it the first file system, where it is. */
static int mount_root(const struct init_disk disks[INIT_DISKS])
{
	struct init_disk root = { .path = "" };
	char path[32];
	qube__autofd tree = -1;

	if (!disks[INIT_XVDA].is_there) {
		tree = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		return tree < 0 ? root_fail("cannot open the root") : qube__steal_fd(&tree);
	}
	if (init_find_root(&root, &disks[INIT_XVDA]) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s", root.path);
	if (root.read_only && init_snapshot(path, &root, &disks[INIT_XVDC]) < 0)
		return -1;
	tree = mount_disk(path, 0);
	if (tree < 0)
		return -1;
	if (mkdir("/newroot", 0755) < 0)
		return root_fail("cannot make /newroot");
	if (root_attach(tree, AT_FDCWD, "/newroot", "the root volume") < 0)
		return -1;
	return qube__steal_fd(&tree);
}

/* The kernel's modules, if they are there: a guest goes on without. */
static void mount_modules(const struct init_disk *disk, int root)
{
	struct stat st;
	bool merged = fstatat(root, "lib", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
	qube__autofd tree = -1;

	if (!disk->is_there)
		return;
	tree = mount_disk(disk->path, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
	if (tree >= 0)
		root_mount_at(tree, root, merged ? "usr/lib/modules" : "lib/modules", 0755);
}

/* For the units of a root with an init of its own. */
static int note_user(int run, const char *user)
{
	qube__autofd fd = openat(run, environment,
				 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	char text[128];
	int n = snprintf(text, sizeof(text), "QUBE_USER=%s\n%s", user[0] ? user : "root",
			 access(INIT_VCHAN, X_OK) == 0 ? "QUBE_AGENT_OPTIONS=" INIT_VCHAN_OPTION
							 " " INIT_VCHAN "\n" :
							 "");

	return fd >= 0 && write(fd, text, (size_t)n) == n ?
		       0 :
		       root_fail("cannot write /run/%s", environment);
}

/* The kernel's answer to the host's wish is to run a program. */
static int take_poweroff(int proc)
{
	static const char program[] = INIT_BIN "/qube-poweroff";
	qube__autofd fd = openat(proc, "sys/kernel/poweroff_cmd", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, program, strlen(program)) != (ssize_t)strlen(program))
		return root_fail("cannot tell the kernel how to power off");
	return 0;
}

static int prepare(struct init_cmdline *c, struct init_mounts *m)
{
	if (init_make_mounts(m) < 0 || init_cmdline_read(c) < 0)
		return -1;
	if (c->name[0] && sethostname(c->name, strlen(c->name)) < 0)
		return root_fail("cannot set the host name");
	init_load_modules();
	init_mount_xenfs(m);
	if (root_fill_run(m->run, c->services) < 0 || init_copy_programs(m->run) < 0 ||
	    note_user(m->run, c->user) < 0)
		return -1;
	return c->system ? 0 : take_poweroff(m->proc);
}

/* While /dev is still where the disks are looked for. */
static int mount_disks(struct init_halt *h, const struct init_disk disks[INIT_DISKS])
{
	h->root = mount_root(disks);
	if (h->root < 0)
		return -1;
	mount_modules(&disks[INIT_XVDD], h->root);
	if (!disks[INIT_XVDB].is_there)
		return 0;
	if (!init_has_ext4(disks[INIT_XVDB].path)) {
		errno = 0;
		return root_fail("there is no ext4 on the private disk %s", disks[INIT_XVDB].path);
	}
	h->rw = mount_disk(disks[INIT_XVDB].path, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
	return h->rw < 0 ? -1 : root_mount_private(h->rw, h->root);
}

/* Into the guest's root with all that belongs there. */
static int settle(struct init_halt *h, const struct init_cmdline *c, const struct init_mounts *m)
{
	struct init_disk disks[INIT_DISKS];

	if (init_find_disks(disks) < 0 || mount_disks(h, disks) < 0)
		return -1;
	if (!disks[INIT_XVDA].is_there)
		qube__close_fd(&h->root);
	else if (init_move_mounts(m, h->root) < 0 || init_enter() < 0)
		return -1;
	return root_make_home(c->user);
}

static void close_mounts(struct init_mounts *m)
{
	qube__close_fd(&m->dev);
	qube__close_fd(&m->proc);
	qube__close_fd(&m->sys);
	qube__close_fd(&m->run);
	qube__close_fd(&m->tmp);
}

/* The root's own init, which has the agent as a service. */
static void become_system(void)
{
	static const char *const argv[] = { "/sbin/init", NULL };
	static const char *const envp[] = { "HOME=/", "TERM=linux", NULL };
	sigset_t none;

	if (access(argv[0], X_OK) < 0) {
		root_log(4, "the root has no /sbin/init, although qube.init=system was said");
		return;
	}
	root_log(6, "hands over to /sbin/init");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(argv[0], (char *const *)argv, (char *const *)envp);
	root_fail("cannot run /sbin/init");
	init_block_signals();
}

static int boot(void)
{
	struct init_cmdline c;
	struct init_mounts m;
	struct init_halt h = { -1, -1 };
	int control;

	/* Who asks for an end early is heard late. */
	if (init_block_signals() < 0 || prepare(&c, &m) < 0 || settle(&h, &c, &m) < 0)
		return -1;
	if (c.system) {
		become_system();
		if (take_poweroff(m.proc) < 0)
			return -1;
	}
	close_mounts(&m);
	control = init_listen();
	if (control < 0)
		return -1;
	root_log(6, "%s is up", c.name[0] ? c.name : "the guest");
	return init_serve(&c, &h, control);
}

static int supervise(void)
{
	static const struct init_halt none = { -1, -1 };
	struct init_cmdline c;
	int control;

	if (init_cmdline_read(&c) < 0)
		return 1;
	control = init_listen();
	return control < 0 || init_serve(&c, &none, control) != 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	const char *slash = argc ? strrchr(argv[0], '/') : NULL;

	umask(022);
	if (argc && strcmp(slash ? slash + 1 : argv[0], "qube-poweroff") == 0)
		return kill(1, SIGUSR2) < 0 ? 1 : 0;
	if (getpid() == 1) {
		boot();
		init_give_up();
	}
	if (argc == 2 && strcmp(argv[1], "--supervise") == 0)
		return supervise();
	fprintf(stderr, "usage: qube-init --supervise\nor, started by a kernel, its /init\n");
	return EXIT_USAGE;
}
