/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * PID 1 of a box: waits for the driver's word, keeps the agent alive, reaps, ends the box.
 *
 * The agent ends with 0 when the guest wants to halt; any other end is a crash and it is started
 * again, up to a rate. SIGTERM to PID 1 (only root of the box may send it) asks for a halt too.
 *
 * When the driver's socket closes the host is gone. A box that was never let go ends then; one that
 * runs goes on, and the driver of the next host connects to the box's socket and is greeted. */
#include "box.h"

#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	RESTARTS = 5, /* within */
	RESTART_MS = 60000,
	LINGER_MS = 3000, /* between SIGTERM and SIGKILL to what the agent left */
	HALT_MS = 60000,  /* grace when the guest itself asks */
};

enum phase { HELD, RUNNING, STOPPING, KILLED };

struct init {
	const struct qube__box_spec *spec;
	enum phase phase;
	pid_t agent; /* 0: none */
	int status;
	unsigned int restarts;
	uint64_t first_restart_ms;
	uint64_t kill_at_ms; /* while STOPPING */
	unsigned int all_restarts;
	bool driver; /* somebody is at the other end */
};

static void agent_main(const struct qube__box_spec *spec) __attribute__((noreturn));
static void agent_main(const struct qube__box_spec *spec)
{
	const char *argv[] = { "qube-agent", "--control-fd",
			       "3",	     spec->user[0] ? "--user" : NULL,
			       spec->user,   NULL };
	const char *envp[] = {
		"PATH=/run/qube/guest:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		"USER=root",
		"LOGNAME=root",
		"SHELL=/bin/sh",
		"LANG=C.UTF-8",
		NULL,
	};
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup3(QUBE__BOX_FD_AGENT, 9, O_CLOEXEC) < 0 ||
	    fcntl(QUBE__BOX_FD_CONTROL, F_SETFD, 0) < 0)
		_exit(126);
	/* 2 and 3 are already where they belong; all else goes at exec. */
	syscall(SYS_close_range, QUBE__BOX_FD_CONTROL + 1, 8, 0);
	syscall(SYS_close_range, 10, ~0U, 0);
	sigemptyset(&none);
	if (setsid() < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		_exit(126);
	syscall(SYS_execveat, 9, "", argv, envp, AT_EMPTY_PATH);
	_exit(127);
}

static int start_agent(struct init *in)
{
	pid_t pid = fork();

	if (pid == 0)
		agent_main(in->spec);
	if (pid < 0) {
		box_log(3, "cannot start the agent: error %d", errno);
		return -1;
	}
	in->agent = pid;
	return 0;
}

static void kill_all(struct init *in)
{
	in->phase = KILLED;
	kill(-1, SIGKILL);
}

static void halt(struct init *in, uint32_t grace_ms)
{
	if (in->phase >= STOPPING)
		return;
	in->phase = STOPPING;
	in->kill_at_ms = qube__now_ms() + grace_ms;
	if (in->agent)
		kill(in->agent, SIGTERM);
	else
		kill_all(in);
}

static void agent_ended(struct init *in, int status)
{
	uint64_t now = qube__now_ms();

	in->agent = 0;
	if (in->phase == KILLED)
		return;
	if (in->phase == STOPPING || status == 0) {
		/* What services and daemons are left may end in order. */
		in->status = 0;
		if (in->phase != STOPPING || in->kill_at_ms > now + LINGER_MS)
			in->kill_at_ms = now + LINGER_MS;
		in->phase = STOPPING;
		kill(-1, SIGTERM);
		return;
	}
	if (in->restarts == 0 || now - in->first_restart_ms > RESTART_MS) {
		in->restarts = 0;
		in->first_restart_ms = now;
	}
	in->all_restarts++;
	if (++in->restarts > RESTARTS) {
		box_log(3, "the agent ends again and again, last with status %d", status);
		in->status = status;
		kill_all(in);
		return;
	}
	box_log(4, "the agent ended with status %d and is started again", status);
	if (start_agent(in) < 0) {
		in->status = 1;
		kill_all(in);
	}
}

/* True while there are children. */
static bool reap(struct init *in)
{
	for (;;) {
		siginfo_t info = { 0 };

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) < 0)
			return errno != ECHILD;
		if (info.si_pid == 0)
			return true;
		if (info.si_pid == in->agent)
			agent_ended(in, info.si_code == CLD_EXITED ? info.si_status :
								     128 + info.si_status);
	}
}

static void take_order(struct init *in)
{
	uint8_t bytes[64];
	struct qube__box_order o;
	ssize_t n = recv(QUBE__BOX_FD_DRIVER, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		in->driver = false;
		if (in->phase == HELD)
			kill_all(in);
		return;
	}
	if (qube__box_order_decode(&o, bytes, (size_t)n) < 0)
		return;
	if (o.type == QUBE__BOX_STOP) {
		halt(in, o.grace_ms);
	} else if (o.type == QUBE__BOX_RUN && in->phase == HELD) {
		in->phase = RUNNING;
		if (qube__fault_fails(QUBE__FAULT_BOX_RUN) || start_agent(in) < 0) {
			box_fail("cannot start the agent");
			in->status = 1;
			kill_all(in);
			return;
		}
		box_reply(QUBE__BOX_RUNNING, 0, -1);
	}
}

/* A later host. Its directory keeps all others out; that it is none of the box's own processes is
 * seen by its number, which is 0 for whoever is outside of this pid namespace. */
static void take_driver(struct init *in)
{
	struct qube__box_reply hello = {
		.type = QUBE__BOX_HELLO,
		.status = in->phase == RUNNING ? QUBE__BOX_IS_RUNNING : QUBE__BOX_IS_STOPPING,
		.os_errno = (int32_t)(in->all_restarts & INT32_MAX),
	};
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd = accept4(QUBE__BOX_FD_LISTEN, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid != 0) {
		close(fd);
		return;
	}
	/* There is one driver: who connects takes the place of one that is gone, or hangs. */
	dup3(fd, QUBE__BOX_FD_DRIVER, O_CLOEXEC);
	close(fd);
	in->driver = true;
	snprintf(hello.text, sizeof(hello.text), "%s %s", BOX_RELEASE, in->spec->name);
	box_send(&hello, QUBE__BOX_FD_TAIL);
}

static void take_signal(struct init *in, int sfd)
{
	struct signalfd_siginfo si;

	if (read(sfd, &si, sizeof(si)) == (ssize_t)sizeof(si) && si.ssi_signo == SIGTERM)
		halt(in, HALT_MS);
}

static int time_left(const struct init *in)
{
	uint64_t now = qube__now_ms();

	if (in->phase != STOPPING)
		return -1;
	return in->kill_at_ms <= now ? 0 : (int)(in->kill_at_ms - now);
}

static int watch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void box_init(const struct qube__box_spec *spec)
{
	struct init in = { .spec = spec, .driver = true };
	struct pollfd p[3] = { { .events = POLLIN }, { .events = POLLIN }, { .events = POLLIN } };

	p[1].fd = watch_signals();
	if (p[1].fd < 0)
		_exit(1);
	for (;;) {
		bool children;
		int n;

		/* A closed peer would always be ready. */
		p[0].fd = in.driver && in.phase != KILLED ? QUBE__BOX_FD_DRIVER : -1;
		p[2].fd = in.phase == RUNNING || in.phase == STOPPING ? QUBE__BOX_FD_LISTEN : -1;
		n = poll(p, 3, time_left(&in));
		if (n > 0 && p[0].revents)
			take_order(&in);
		if (n > 0 && p[2].revents)
			take_driver(&in);
		if (n > 0 && p[1].revents)
			take_signal(&in, p[1].fd);
		children = reap(&in);
		if (in.phase == STOPPING && !in.agent && !children)
			in.phase = KILLED;
		if (in.phase == STOPPING && time_left(&in) == 0)
			kill_all(&in);
		if (in.phase == KILLED && !reap(&in)) {
			box_reply(QUBE__BOX_EXITED, in.status, -1);
			_exit(in.status & 0xff);
		}
	}
}
