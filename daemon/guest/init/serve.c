/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What stays of qube-init: it keeps the agent and its helpers alive, reaps, and ends the guest. An
 * agent that ends with 0 was told to by the guest; any other end is a crash. */
#include "init.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

enum {
	RESTARTS = 5, /* within */
	RESTART_MS = 60000,
	PAUSE_MS = 1000,  /* before one that ended in order */
	AGENT_MS = 30000, /* between SIGTERM and SIGKILL */
	LINGER_MS = 3000, /* the same for what the agent left */
	REAP_MS = 5000,	  /* for what cannot be killed */
	CONTROL_FD = 3,
	NEVER = -1,
};

enum { VCHAN, AGENT, MEMINFO, PROGRAMS };

struct program {
	const char *name;
	bool vital; /* a guest without it is of no use */
	bool off;
	pid_t pid; /* 0: none */
	unsigned int ends;
	uint64_t first_end_ms;
	uint64_t start_at_ms;
};

enum phase { RUNNING, STOPPING, LINGERING, KILLED };

struct serve {
	const struct init_cmdline *c;
	int control;
	bool is_init;
	enum phase phase;
	uint64_t until_ms;
	int status;
	struct program programs[PROGRAMS];
};

int init_listen(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = INIT_CONTROL };
	qube__autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mode_t mask;
	int r;

	if (fd < 0 || (mkdir("/run/qube/control", 0700) < 0 && errno != EEXIST))
		return root_fail("cannot make the control socket");
	unlink(INIT_CONTROL);
	mask = umask(0177);
	r = bind(fd, (const struct sockaddr *)&a, sizeof(a));
	umask(mask);
	if (r < 0 || listen(fd, 8) < 0)
		return root_fail("cannot make the control socket");
	return qube__steal_fd(&fd);
}

/* --- programs --- */

static void fill_arguments(const struct serve *s, int which, const char *argv[10])
{
	size_t n = 1;

	if (which == VCHAN) {
		argv[n++] = "--control";
		argv[n++] = INIT_CONTROL;
	} else if (which == AGENT) {
		argv[n++] = "--control-fd";
		argv[n++] = "3";
		if (s->c->user[0]) {
			argv[n++] = "--user";
			argv[n++] = s->c->user;
		}
		if (access(INIT_VCHAN, X_OK) == 0) {
			argv[n++] = INIT_VCHAN_OPTION;
			argv[n++] = INIT_VCHAN;
		}
	}
	argv[n] = NULL;
}

static void child(const struct serve *s, int which) __attribute__((noreturn));
static void child(const struct serve *s, int which)
{
	static const char *const envp[] = {
		"PATH=" INIT_BIN ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		"USER=root",
		"LOGNAME=root",
		"SHELL=/bin/sh",
		"LANG=C.UTF-8",
		NULL,
	};
	const char *argv[10] = { s->programs[which].name };
	char path[64];
	int null = open("/dev/null", O_RDWR);
	/* Out of the way of the descriptors that are placed. */
	int control = fcntl(s->control, F_DUPFD_CLOEXEC, 16);
	int said = fcntl(init_console_fd(), F_DUPFD_CLOEXEC, 16);
	sigset_t none;

	fill_arguments(s, which, argv);
	snprintf(path, sizeof(path), "%s/%s", INIT_BIN, argv[0]);
	if (null < 0 || control < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(said < 0 ? null : said, 2) < 0)
		_exit(126);
	if (which == AGENT && dup2(control, CONTROL_FD) < 0)
		_exit(126);
	syscall(SYS_close_range, which == AGENT ? CONTROL_FD + 1 : CONTROL_FD, ~0U, 0);
	sigemptyset(&none);
	if (setsid() < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		_exit(126);
	execve(path, (char *const *)argv, (char *const *)envp);
	_exit(127);
}

static void halt(struct serve *s)
{
	if (s->phase != RUNNING)
		return;
	s->phase = STOPPING;
	s->until_ms = qube__now_ms() + AGENT_MS;
	if (s->programs[AGENT].pid)
		kill(s->programs[AGENT].pid, SIGTERM);
}

static void start(struct serve *s, int which)
{
	struct program *p = &s->programs[which];
	pid_t pid = fork();

	p->start_at_ms = 0;
	if (pid == 0)
		child(s, which);
	if (pid > 0) {
		p->pid = pid;
		return;
	}
	root_fail("cannot start %s", p->name);
	p->start_at_ms = qube__now_ms() + PAUSE_MS;
}

/* Counts an end; false when it was one too many. */
static bool may_start_again(struct program *p, int status)
{
	uint64_t now = qube__now_ms();

	if (p->ends == 0 || now - p->first_end_ms > RESTART_MS) {
		p->ends = 0;
		p->first_end_ms = now;
	}
	if (++p->ends <= RESTARTS) {
		root_log(4, "%s ended with status %d and is started again", p->name, status);
		return true;
	}
	root_log(3, "%s ends again and again, last with status %d", p->name, status);
	return false;
}

static void ended(struct serve *s, int which, int status)
{
	struct program *p = &s->programs[which];

	p->pid = 0;
	if (s->phase != RUNNING)
		return;
	if (which == AGENT && status == 0) {
		halt(s);
	} else if (status == 0) {
		p->start_at_ms = qube__now_ms() + PAUSE_MS;
	} else if (may_start_again(p, status)) {
		start(s, which);
	} else if (p->vital) {
		s->status = 1;
		halt(s);
	} else {
		p->off = true;
	}
}

/* True while there are children. */
static bool reap(struct serve *s)
{
	for (;;) {
		siginfo_t info = { 0 };

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) < 0)
			return errno != ECHILD;
		if (info.si_pid == 0)
			return true;
		for (int i = 0; i < PROGRAMS; i++)
			if (info.si_pid == s->programs[i].pid)
				ended(s, i,
				      info.si_code == CLD_EXITED ? info.si_status :
								   128 + info.si_status);
	}
}

/* --- the end --- */

static void signal_all(const struct serve *s, int number)
{
	if (s->is_init) {
		kill(-1, number);
		return;
	}
	for (int i = 0; i < PROGRAMS; i++)
		if (s->programs[i].pid)
			kill(s->programs[i].pid, number);
}

static void make_read_only(int tree, const char *what)
{
	qube__autofd fs = tree < 0 ? -1 : fspick(tree, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);

	if (tree < 0)
		return;
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		root_fail("%s was flushed, but stays mounted", what);
}

void init_power_off(const struct init_halt *h)
{
	sync();
	make_read_only(h->rw, "the private volume");
	make_read_only(h->root, "the root volume");
	root_log(6, "powers off");
	for (;;) {
		reboot(RB_POWER_OFF);
		poll(NULL, 0, PAUSE_MS);
	}
}

/* What is to be done when the time of a phase is over, or what it waited for is gone. True: there
 * may be more. */
static bool advance(struct serve *s, bool children)
{
	bool late = qube__now_ms() >= s->until_ms;

	if (s->phase == STOPPING && (late || !s->programs[AGENT].pid)) {
		if (s->programs[AGENT].pid) {
			root_log(4, "the agent does not end and is killed");
			kill(s->programs[AGENT].pid, SIGKILL);
		}
		/* What services and daemons are left may end in order. */
		signal_all(s, SIGTERM);
		s->phase = LINGERING;
		s->until_ms = qube__now_ms() + LINGER_MS;
		return true;
	}
	if (s->phase == LINGERING && (late || !children)) {
		signal_all(s, SIGKILL);
		s->phase = KILLED;
		s->until_ms = qube__now_ms() + REAP_MS;
	}
	return false;
}

/* --- the loop --- */

static void wanted_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGUSR2);
}

int init_block_signals(void)
{
	sigset_t set;

	wanted_signals(&set);
	return sigprocmask(SIG_SETMASK, &set, NULL) < 0 ? root_fail("cannot block signals") : 0;
}

static int watch_signals(void)
{
	sigset_t set;

	wanted_signals(&set);
	if (init_block_signals() < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void take_signals(struct serve *s, int sfd)
{
	struct signalfd_siginfo si;

	while (read(sfd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		if (si.ssi_signo != SIGCHLD)
			halt(s);
}

static void start_due(struct serve *s)
{
	uint64_t now = qube__now_ms();

	for (int i = 0; s->phase == RUNNING && i < PROGRAMS; i++)
		if (!s->programs[i].off && !s->programs[i].pid && s->programs[i].start_at_ms <= now)
			start(s, i);
}

static int time_left(const struct serve *s)
{
	uint64_t now = qube__now_ms();
	uint64_t until = s->phase == RUNNING ? UINT64_MAX : s->until_ms;

	for (int i = 0; s->phase == RUNNING && i < PROGRAMS; i++)
		if (!s->programs[i].off && !s->programs[i].pid &&
		    s->programs[i].start_at_ms < until)
			until = s->programs[i].start_at_ms;
	if (until == UINT64_MAX)
		return NEVER;
	return until <= now ? 0 : (int)(until - now);
}

/* One that was not built, or not put in. */
static void look_for_programs(struct serve *s)
{
	for (int i = 0; i < PROGRAMS; i++) {
		struct program *p = &s->programs[i];
		char path[64];

		snprintf(path, sizeof(path), "%s/%s", INIT_BIN, p->name);
		p->off = access(path, X_OK) < 0;
		if (p->off)
			root_log(4, "there is no %s%s", p->name,
				 i == VCHAN ? ": nobody reaches this guest's agent" : "");
	}
}

int init_serve(const struct init_cmdline *c, const struct init_halt *h, int control)
{
	struct serve s = {
		.c = c,
		.control = control,
		.is_init = getpid() == 1,
		.programs = { [VCHAN] = { .name = "qube-vchan", .vital = true },
			      [AGENT] = { .name = "qube-agent", .vital = true },
			      [MEMINFO] = { .name = "qube-meminfo" } },
	};
	struct pollfd p = { .fd = watch_signals(), .events = POLLIN };

	if (p.fd < 0)
		return root_fail("cannot watch signals");
	look_for_programs(&s);
	for (;;) {
		start_due(&s);
		if (poll(&p, 1, time_left(&s)) > 0)
			take_signals(&s, p.fd);
		while (advance(&s, reap(&s)))
			;
		if (s.phase == KILLED && (!reap(&s) || qube__now_ms() >= s.until_ms))
			break;
	}
	close(p.fd);
	if (s.is_init)
		init_power_off(h);
	return s.status;
}
