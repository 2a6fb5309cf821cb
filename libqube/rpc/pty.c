/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A command on a terminal of its own. A plain poll() loop over four descriptors: the process that
 * calls this does nothing else. */
#include "rpc/pty.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

enum { PIECE = 16 * 1024, DRAIN_MS = 200 };

struct flow {
	char data[PIECE];
	size_t start;
	size_t end;
	bool open;
};

struct pty {
	struct flow in;	 /* to the terminal */
	struct flow out; /* from it */
	struct qube__child child;
	int master;
	int in_fd;
	int out_fd;
	int32_t code;
	bool running;
	uint64_t drain_until;
};

static int open_master(struct pty *p, int *slave, uint16_t rows, uint16_t cols)
{
	struct winsize size = { .ws_row = rows ? rows : 24, .ws_col = cols ? cols : 80 };
	int unlock = 0;

	p->master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (p->master < 0)
		return qube__fail_os("cannot make a terminal");
	if (ioctl(p->master, TIOCSPTLCK, &unlock) < 0 || ioctl(p->master, TIOCSWINSZ, &size) < 0)
		return qube__fail_os("cannot set the terminal up");
	/* By the master's descriptor: no name is looked up. */
	*slave = ioctl(p->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return *slave < 0 ? qube__fail_os("cannot open the terminal") : 0;
}

static void hang_up(struct pty *p)
{
	p->in.open = false;
	if (p->running) {
		kill(-p->child.pid, SIGHUP);
		kill(-p->child.pid, SIGCONT);
	}
}

static void fill(struct flow *f, int fd)
{
	ssize_t n = qube__io_read(fd, f->data, sizeof(f->data));

	if (n == QUBE_E_AGAIN)
		return;
	/* A terminal whose last user is gone says EIO: the end, too. */
	if (n <= 0) {
		f->open = false;
		return;
	}
	f->start = 0;
	f->end = (size_t)n;
}

static void drain(struct flow *f, int fd)
{
	ssize_t n = qube__io_write(fd, f->data + f->start, f->end - f->start);

	if (n == QUBE_E_AGAIN)
		return;
	if (n < 0) {
		f->open = false;
		f->start = f->end = 0;
		return;
	}
	f->start += (size_t)n;
}

static bool full(const struct flow *f)
{
	return f->start < f->end;
}

static void turn(struct pty *p, const struct pollfd *fds)
{
	if (fds[0].revents) {
		p->code = qube__child_reap(&p->child);
		p->running = false;
		/* A background process may keep the terminal: what is there is passed on, no more.
		 */
		p->drain_until = qube__now_ms() + DRAIN_MS;
	}
	if (fds[1].revents & POLLOUT && full(&p->in))
		drain(&p->in, p->master);
	if (fds[1].revents & (POLLIN | POLLHUP | POLLERR) && !full(&p->out) && p->out.open)
		fill(&p->out, p->master);
	if (fds[2].revents && !full(&p->in) && p->in.open) {
		fill(&p->in, p->in_fd);
		if (!p->in.open)
			hang_up(p);
	}
	if (fds[3].revents) {
		if (full(&p->out))
			drain(&p->out, p->out_fd);
		else
			p->out.open = false;
		/* Nobody reads any more. */
		if (!p->out.open)
			hang_up(p);
	}
}

static int relay(struct pty *p)
{
	while (p->running || (p->out.open && qube__now_ms() < p->drain_until) || full(&p->out)) {
		bool want_in = p->in.open && !full(&p->in);
		short master = (short)((full(&p->in) ? POLLOUT : 0) |
				       (p->out.open && !full(&p->out) ? POLLIN : 0));
		struct pollfd fds[4] = {
			{ p->running ? p->child.pidfd : -1, POLLIN, 0 },
			{ master ? p->master : -1, master, 0 },
			{ want_in ? p->in_fd : -1, POLLIN, 0 },
			{ p->out.open ? p->out_fd : -1, full(&p->out) ? POLLOUT : 0, 0 },
		};

		if (!p->running && !full(&p->out) && !p->out.open)
			break;
		if (poll(fds, 4, p->running || full(&p->out) ? -1 : 20) < 0 && errno != EINTR)
			return qube__fail_os("cannot wait for the terminal");
		turn(p, fds);
		if (full(&p->out) && !p->out.open)
			p->out.start = p->out.end;
	}
	return 0;
}

int qube__pty_run(const char *const *argv, const char *const *env, uint16_t rows, uint16_t cols,
		  int in_fd, int out_fd, int32_t *exit_code)
{
	qube__autofree struct pty *p = calloc(1, sizeof(*p));
	qube__autofd slave = -1;
	qube__autofd master = -1;
	int in_flags = fcntl(in_fd, F_GETFL);
	int out_flags = fcntl(out_fd, F_GETFL);
	int fds[3];
	struct qube__spawn s = { .path = argv[0],
				 .exec_fd = -1,
				 .argv = argv,
				 .envp = env,
				 .fds = fds,
				 .n_fds = 3,
				 .flags = QUBE__SPAWN_SETSID | QUBE__SPAWN_CTTY };
	int r;

	if (!p)
		return qube__fail_nomem();
	p->in_fd = in_fd;
	p->out_fd = out_fd;
	p->in.open = p->out.open = true;
	r = open_master(p, &slave, rows, cols);
	master = p->master;
	if (r < 0)
		return r;
	fds[0] = fds[1] = fds[2] = slave;
	r = qube__spawn(&p->child, &s);
	qube__close_fd(&slave);
	if (r < 0)
		return r;
	p->running = true;
	fcntl(in_fd, F_SETFL, in_flags | O_NONBLOCK);
	fcntl(out_fd, F_SETFL, out_flags | O_NONBLOCK);
	r = relay(p);
	fcntl(in_fd, F_SETFL, in_flags);
	fcntl(out_fd, F_SETFL, out_flags);
	if (r < 0) {
		hang_up(p);
		qube__close_fd(&p->child.pidfd);
		return r;
	}
	*exit_code = p->code < 0 ? 255 : p->code;
	return 0;
}
