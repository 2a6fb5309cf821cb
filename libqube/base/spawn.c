/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The one place where the library starts a process. */
#include "base/spawn.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { MAX_FDS = 16, HIGH = 64 };

/* Shared with the child, which runs in our address space until exec (CLONE_VM | CLONE_VFORK). */
struct plan {
	const struct qube__spawn *s;
	const char *const *envp;
	sigset_t mask; /* the caller's mask, all blocked while the child sets itself up */
	int err;
	const char *what;
};

static void give_up(struct plan *p, const char *what)
{
	p->err = errno;
	p->what = what;
	_exit(127);
}

/* Out of the way of the places, should it be in it. */
static int aside(const struct qube__spawn *s, int fd)
{
	return fd < 0 || fd >= (int)s->n_fds ? fd : fcntl(fd, F_DUPFD_CLOEXEC, HIGH);
}

/* dup3 into place in two rounds, so that no source is overwritten before it is used. */
static int place_fds(const struct qube__spawn *s, int *exec_fd)
{
	int moved[MAX_FDS];

	if (*exec_fd >= 0) {
		*exec_fd = aside(s, *exec_fd);
		if (*exec_fd < 0)
			return -1;
	}
	for (size_t i = 0; i < s->n_fds; i++) {
		int from = s->fds[i] >= 0 ? s->fds[i] : open("/dev/null", O_RDWR | O_CLOEXEC);

		moved[i] = aside(s, from);
		if (moved[i] < 0)
			return -1;
	}
	for (size_t i = 0; i < s->n_fds; i++)
		if (dup3(moved[i], (int)i, 0) < 0)
			return -1;
	/* Everything else goes at exec; it cannot be closed now: exec_fd may be needed. */
	return (int)syscall(SYS_close_range, (unsigned int)s->n_fds, ~0U, CLOSE_RANGE_CLOEXEC);
}

/* Handlers end with exec, what is ignored stays ignored. */
static void reset_signals(const sigset_t *ignored)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	for (int i = 1; i < NSIG; i++)
		if (!ignored || sigismember(ignored, i) == 1)
			sigaction(i, &dfl, NULL);
}

/* The bare system calls: libc's would change every thread of the process whose memory we share. */
static int become(const struct qube__spawn *s)
{
	if (syscall(SYS_setgroups, s->n_groups, s->groups) < 0 ||
	    syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0 ||
	    syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0)
		return -1;
	return 0;
}

static int child(void *arg)
{
	struct plan *p = arg;
	const struct qube__spawn *s = p->s;
	int exec_fd = s->exec_fd;
	sigset_t none;

	reset_signals(s->ignored);
	sigemptyset(&none);
	if ((s->flags & QUBE__SPAWN_SETSID) && setsid() < 0)
		give_up(p, "make a session");
	if ((s->flags & QUBE__SPAWN_CGROUP) && write(s->cgroup_fd, "0", 1) != 1)
		give_up(p, "enter its cgroup");
	if (place_fds(s, &exec_fd) < 0)
		give_up(p, "place descriptors");
	if ((s->flags & QUBE__SPAWN_CTTY) && ioctl(0, TIOCSCTTY, 0) < 0)
		give_up(p, "take its terminal");
	if ((s->flags & QUBE__SPAWN_USER) && become(s) < 0)
		give_up(p, "become its user");
	/* Behind the change of user, which clears it. */
	if ((s->flags & QUBE__SPAWN_PDEATHSIG) && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		give_up(p, "set the parent-death signal");
	if (s->cwd && syscall(SYS_chdir, s->cwd) < 0 && syscall(SYS_chdir, "/") < 0)
		give_up(p, "enter its directory");
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (exec_fd >= 0)
		syscall(SYS_execveat, exec_fd, "", s->argv, p->envp, AT_EMPTY_PATH);
	else
		execve(s->path, (char *const *)(uintptr_t)s->argv,
		       (char *const *)(uintptr_t)p->envp);
	give_up(p, "execute it");
	return 127;
}

static pid_t clone_shared(struct plan *p, int *pidfd)
{
	enum { STACK = 64 * 1024 };
	qube__autofree char *stack = malloc(STACK);

	if (!stack)
		return -1;
	return clone(child, stack + STACK, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, p,
		     pidfd);
}

int qube__spawn(struct qube__child *out, const struct qube__spawn *s)
{
	static const char *const no_env[] = { NULL };
	struct plan p = { .s = s, .envp = s->envp ? s->envp : no_env };
	sigset_t all;
	int pidfd = -1;
	pid_t pid;

	if (s->n_fds > MAX_FDS)
		return qube__fail(QUBE_E_INVALID, "%zu descriptors for a child", s->n_fds);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &p.mask);
	pid = clone_shared(&p, &pidfd);
	pthread_sigmask(SIG_SETMASK, &p.mask, NULL);
	if (pid < 0)
		return qube__fail_os("cannot start %s", s->argv[0]);
	if (p.what) {
		waitpid(pid, NULL, __WALL);
		close(pidfd);
		errno = p.err;
		return qube__fail_os("cannot start %s: cannot %s", s->argv[0], p.what);
	}
	out->pid = pid;
	out->pidfd = pidfd;
	return 0;
}

int qube__child_reap(struct qube__child *c)
{
	siginfo_t info = { 0 };
	int r;

	do
		r = waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED);
	while (r < 0 && errno == EINTR);
	qube__close_fd(&c->pidfd);
	if (r < 0)
		return -1;
	return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

void qube__signals_ignored(sigset_t *out)
{
	struct sigaction now;

	sigemptyset(out);
	for (int i = 1; i < NSIG; i++)
		if (sigaction(i, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
			sigaddset(out, i);
}
