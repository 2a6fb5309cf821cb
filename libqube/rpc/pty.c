/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A command on a terminal of its own. A plain poll() loop over five descriptors: the process that
 * calls this does nothing else. */
#include "rpc/pty.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/rw.h"
#include "base/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>

enum { PIECE = 16 * 1024, DRAIN_MS = 200, ID_MAX = 64, SIDE_MAX = 4096, SIZE_BYTES = 8 };

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
	int size_fd; /* where other sizes are told; -1: nowhere */
	int32_t code;
	bool running;
	bool hung_up;
	uint64_t drain_until;
};

/* --- the size --- */

static int address_of(struct sockaddr_un *a, socklen_t *len, const char *id)
{
	static const char prefix[] = "qube-pty/";
	static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t n = strlen(id);

	if (!n || n > ID_MAX || strspn(id, ok) != n)
		return qube__fail(QUBE_E_INVALID, "an id is of 1 to %d letters and digits", ID_MAX);
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	/* Abstract: of this qube alone, without a file that could be anything. */
	memcpy(a->sun_path + 1, prefix, sizeof(prefix) - 1);
	memcpy(a->sun_path + sizeof(prefix), id, n);
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(prefix) + n);
	return 0;
}

static int open_size(const char *id)
{
	qube__autofd fd = -1;
	struct sockaddr_un a;
	socklen_t len;
	int on = 1;
	int r = address_of(&a, &len, id);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return qube__fail_os("cannot make a socket");
	if (bind(fd, (struct sockaddr *)&a, len) < 0)
		return errno == EADDRINUSE ?
			       qube__fail(QUBE_E_EXISTS, "there is a terminal of that id") :
			       qube__fail_os("cannot name a socket");
	return qube__steal_fd(&fd);
}

static bool side_ok(uint32_t n)
{
	return n >= 1 && n <= SIDE_MAX;
}

/* A message of the same user, or of root, of the right form; others are dropped. */
static void take_size(struct pty *p)
{
	uint8_t untrusted[SIZE_BYTES + 1];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec iov = { .iov_base = untrusted, .iov_len = sizeof(untrusted) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(p->size_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
	struct qube__rd rd = qube__rd_init(untrusted, n < 0 ? 0 : (size_t)n);
	uint32_t rows = qube__rd_le32(&rd);
	uint32_t cols = qube__rd_le32(&rd);
	struct winsize size = { .ws_row = (uint16_t)rows, .ws_col = (uint16_t)cols };
	struct ucred who;

	if (!qube__rd_done(&rd) || !side_ok(rows) || !side_ok(cols) || !c ||
	    c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
		return;
	memcpy(&who, CMSG_DATA(c), sizeof(who));
	if (who.uid == geteuid() || who.uid == 0)
		ioctl(p->master, TIOCSWINSZ, &size);
}

int qube__pty_resize(const char *id, uint16_t rows, uint16_t cols)
{
	uint8_t message[SIZE_BYTES];
	struct qube__wr w = qube__wr_init(message, sizeof(message));
	qube__autofd fd = -1;
	struct sockaddr_un a;
	socklen_t len;
	int r = address_of(&a, &len, id);

	if (r < 0)
		return r;
	if (!side_ok(rows) || !side_ok(cols))
		return qube__fail(QUBE_E_INVALID, "a terminal has 1 to %d rows and columns",
				  SIDE_MAX);
	qube__wr_le32(&w, rows);
	qube__wr_le32(&w, cols);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return qube__fail_os("cannot make a socket");
	if (sendto(fd, message, w.len, MSG_DONTWAIT, (struct sockaddr *)&a, len) < 0)
		return errno == ECONNREFUSED ?
			       qube__fail(QUBE_E_NOENT, "there is no terminal of that id") :
			       qube__fail_os("cannot tell the size");
	return 0;
}

/* --- the relay --- */

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
	if (!p->hung_up)
		p->drain_until = qube__now_ms() + DRAIN_MS;
	p->hung_up = true;
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
	if (fds[4].revents)
		take_size(p);
}

/* Somebody who missed the signal while he was about to read would read for ever: a terminal that is
 * gone ends that. */
static void leave_late(struct pty *p, int *master)
{
	if (!p->hung_up || !p->running || p->master < 0 || qube__now_ms() < p->drain_until)
		return;
	qube__close_fd(master);
	p->master = -1;
	p->in.start = p->in.end;
	p->out.open = false;
}

static int timeout_of(const struct pty *p)
{
	if (p->running && p->hung_up && p->master >= 0)
		return 20;
	return p->running || full(&p->out) ? -1 : 20;
}

static int relay(struct pty *p, int *master_fd)
{
	while (p->running || (p->out.open && qube__now_ms() < p->drain_until) || full(&p->out)) {
		bool want_in = p->in.open && !full(&p->in);
		short master = (short)((full(&p->in) ? POLLOUT : 0) |
				       (p->out.open && !full(&p->out) ? POLLIN : 0));
		struct pollfd fds[5] = {
			{ p->running ? p->child.pidfd : -1, POLLIN, 0 },
			{ master ? p->master : -1, master, 0 },
			{ want_in ? p->in_fd : -1, POLLIN, 0 },
			{ p->out.open ? p->out_fd : -1, full(&p->out) ? POLLOUT : 0, 0 },
			{ p->size_fd, POLLIN, 0 },
		};

		if (!p->running && !full(&p->out) && !p->out.open)
			break;
		if (poll(fds, 5, timeout_of(p)) < 0 && errno != EINTR)
			return qube__fail_os("cannot wait for the terminal");
		turn(p, fds);
		leave_late(p, master_fd);
		if (full(&p->out) && !p->out.open)
			p->out.start = p->out.end;
	}
	return 0;
}

int qube__pty_run(const char *const *argv, const char *const *env, uint16_t rows, uint16_t cols,
		  const char *id, int in_fd, int out_fd, int32_t *exit_code)
{
	qube__autofree struct pty *p = calloc(1, sizeof(*p));
	qube__autofd slave = -1;
	qube__autofd master = -1;
	qube__autofd size = -1;
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
	if (r == 0 && id)
		r = size = open_size(id);
	p->size_fd = size;
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
	r = relay(p, &master);
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
