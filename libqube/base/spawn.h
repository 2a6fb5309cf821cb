/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The one place where the library starts a process. The child shares no descriptor with the caller
 * but those named, has default signals and never runs code between clone and exec that allocates;
 * it is watched by a pidfd, so the caller's SIGCHLD does not matter. */
#ifndef QUBE_BASE_SPAWN_H
#define QUBE_BASE_SPAWN_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct qube__spawn {
	const char *path; /* absolute path of the program; ignored if exec_fd is set */
	int exec_fd;	  /* program by descriptor (fexecve), or -1 */
	const char *const *argv;
	const char *const *envp; /* NULL: empty environment */
	const int *fds;		 /* fds[i] becomes descriptor i of the child; -1: /dev/null */
	size_t n_fds;
	uint32_t flags; /* QUBE__SPAWN_* */
	int cgroup_fd;	/* with QUBE__SPAWN_CGROUP: its cgroup.procs, open for writing */
	/* With QUBE__SPAWN_USER: who it becomes, in all ids; supplementary groups are replaced. */
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t n_groups;
	const char *cwd; /* entered as that user; "/" if that fails. NULL: the caller's */
	/* What the process ignores, if that is known: to set all signals takes some sixty calls. */
	const sigset_t *ignored;
};

enum {
	QUBE__SPAWN_SETSID = 1,	   /* a session of its own */
	QUBE__SPAWN_PDEATHSIG = 2, /* SIGKILL when the spawning thread ends */
	QUBE__SPAWN_CGROUP = 4,
	QUBE__SPAWN_USER = 8,
	QUBE__SPAWN_CTTY = 16, /* descriptor 0 becomes the controlling terminal; with SETSID */
};

struct qube__child {
	pid_t pid;
	int pidfd; /* readable when it ended; owned */
};

/* 0, or QUBE_E_SYSTEM with the record naming what failed (also a failed exec). */
int qube__spawn(struct qube__child *out, const struct qube__spawn *s);
/* After the pidfd is readable: the wait status as a shell gives it (exit code, 128 + signal), or
 * -1 when somebody else reaped it. Closes the pidfd. */
int qube__child_reap(struct qube__child *c);

/* What this process ignores now. Only who has it for himself may go by that later. */
void qube__signals_ignored(sigset_t *out);

#endif
