/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the host asks an agent to run. A service's program is executed directly: no shell sees a
 * byte that came from a caller. */
#include "rpc/agent_int.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { ENV_MAX = 96, LOG_WARNING = 4 };

static const char path_env[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* What one request turned out to mean. */
struct job {
	struct qube__agent *a;
	struct qube__command cmd;
	struct qube__service_config config;
	struct qube__service_file file;
	struct qube__user user;
	bool just_exec;
	bool plain;
	uint32_t unwanted; /* QUBE__QREXEC_NO_OUTPUT, NO_ERRORS */
	bool switch_user;
	int *chan;		  /* of the call: to read from, to write to. -1: handed on */
	int served;		  /* connection of a service that has the channel, or -1 */
	int fd[QUBE__RELAY_ENDS]; /* for the relay */
	uint32_t flags;		  /* of the relay */
};

/* An environment, or arguments: owned strings. */
struct strings {
	char *item[ENV_MAX];
	size_t n;
	bool bad;
};

static void strings_fini(struct strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->item[i]);
	s->n = 0;
}

static void add(struct strings *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct strings *s, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;

	va_start(ap, fmt);
	if (s->n + 1 >= ENV_MAX || vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		s->item[s->n++] = text;
	else
		s->bad = true;
}

static bool overridden(const char *variable)
{
	static const char *const ours[] = { "PATH=", "HOME=", "SHELL=", "USER=", "LOGNAME=" };

	if (strncmp(variable, "QREXEC", 6) == 0)
		return strncmp(variable, "QREXEC_SERVICE_PATH=", 20) != 0;
	for (size_t i = 1; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strncmp(variable, ours[i], strlen(ours[i])) == 0)
			return true;
	return false;
}

static void environment(struct strings *s, const struct job *j)
{
	const struct qube__command *c = &j->cmd;
	bool has_path = false;

	for (size_t i = 0; j->a->opts.env[i]; i++) {
		if (overridden(j->a->opts.env[i]))
			continue;
		has_path = has_path || strncmp(j->a->opts.env[i], "PATH=", 5) == 0;
		add(s, "%s", j->a->opts.env[i]);
	}
	if (!has_path)
		add(s, "%s", path_env);
	add(s, "HOME=%s", j->user.home);
	add(s, "SHELL=%s", j->user.shell);
	add(s, "USER=%s", j->user.name);
	add(s, "LOGNAME=%s", j->user.name);
	add(s, "QREXEC_AGENT_PID=%d", (int)j->a->pid);
	if (!c->is_service)
		return;
	add(s, "QREXEC_SERVICE_FULL_NAME=%.*s", (int)c->descriptor_len, c->descriptor);
	add(s, "QREXEC_REMOTE_DOMAIN=%s", c->source);
	if (c->has_argument)
		add(s, "QREXEC_SERVICE_ARGUMENT=%.*s", (int)c->argument_len, c->argument);
	add(s, "QREXEC_REQUESTED_TARGET_TYPE=%s", c->type);
	if (strcmp(c->type, "name") == 0)
		add(s, "QREXEC_REQUESTED_TARGET=%s", c->target);
	else if (strcmp(c->type, "keyword") == 0)
		add(s, "QREXEC_REQUESTED_TARGET_KEYWORD=%s", c->target);
}

static void arguments(struct strings *s, const struct job *j)
{
	const char *shell = strrchr(j->user.shell, '/');

	if (j->cmd.is_service) {
		add(s, "%s", j->file.path);
		if (j->cmd.argument_len)
			add(s, "%.*s", (int)j->cmd.argument_len, j->cmd.argument);
		return;
	}
	/* The dash makes it a login shell. */
	add(s, "-%s", shell ? shell + 1 : j->user.shell);
	add(s, "-c");
	add(s, "%s", j->cmd.shell);
}

static void close_pairs(int pairs[6])
{
	for (int i = 0; i < 6; i++)
		qube__close_fd(&pairs[i]);
}

static bool has_pipe(const struct job *j, int i)
{
	static const uint32_t unwanted[3] = { 0, QUBE__QREXEC_NO_OUTPUT, QUBE__QREXEC_NO_ERRORS };

	return i ? !(j->unwanted & unwanted[i]) : !j->plain;
}

/* Three pipes: child's end of each in pairs, ours in j->fd. Of a plain call the channel itself is
 * the child's input. */
static int make_pipes(struct job *j, int pairs[6])
{
	for (int i = 0; i < 3; i++) {
		if (!has_pipe(j, i))
			continue;
		if (pipe2(pairs + 2 * i, O_CLOEXEC) < 0) {
			int r = qube__fail_os("cannot make a pipe");

			pairs[2 * i] = pairs[2 * i + 1] = -1;
			close_pairs(pairs);
			return r;
		}
		/* For /dev/stdin of whatever user; who has that name has the pipe already. */
		fchmod(pairs[2 * i], 0666);
	}
	if (j->plain)
		pairs[0] = qube__steal_fd(&j->chan[0]);
	else
		j->fd[QUBE__RELAY_OUT] = qube__steal_fd(&pairs[1]);
	j->fd[QUBE__RELAY_IN] = qube__steal_fd(&pairs[2]);
	j->fd[QUBE__RELAY_IN_ERR] = qube__steal_fd(&pairs[4]);
	return 0;
}

static int spawn(struct job *j, struct qube__child *child)
{
	struct strings env = { .n = 0 };
	struct strings argv = { .n = 0 };
	int pairs[6] = { -1, -1, -1, -1, -1, -1 };
	int fds[3] = { -1, -1, -1 };
	struct qube__spawn s = {
		.path = j->cmd.is_service ? j->file.path : j->user.shell,
		.exec_fd = -1,
		.argv = (const char *const *)argv.item,
		.envp = (const char *const *)env.item,
		.fds = fds,
		.n_fds = 3,
		.flags = QUBE__SPAWN_SETSID | (j->switch_user ? (uint32_t)QUBE__SPAWN_USER : 0),
		.ignored = &j->a->ignored,
		.uid = j->user.uid,
		.gid = j->user.gid,
		.groups = j->user.groups,
		.n_groups = j->user.n_groups,
		.cwd = j->user.home,
	};
	int r = 0;

	environment(&env, j);
	arguments(&argv, j);
	env.item[env.n] = NULL;
	argv.item[argv.n] = NULL;
	if (env.bad || argv.bad)
		r = qube__fail_nomem();
	if (r == 0 && !j->just_exec)
		r = make_pipes(j, pairs);
	if (r == 0) {
		fds[0] = pairs[0];
		fds[1] = pairs[3] < 0 ? j->a->null_fd : pairs[3];
		fds[2] = pairs[5] < 0 ? j->a->null_fd : pairs[5];
		r = qube__spawn(child, &s);
	}
	close_pairs(pairs);
	strings_fini(&env);
	strings_fini(&argv);
	return r;
}

static int connect_path(int fd, const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char via[64];
	qube__autofd dir = -1;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		/* A path that is too long is reached through a descriptor of the socket itself. */
		dir = open(path, O_PATH | O_CLOEXEC);
		if (dir < 0)
			return -1;
		snprintf(via, sizeof(via), "/proc/self/fd/%d", dir);
		path = via;
	}
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	return connect(fd, (struct sockaddr *)&sa, sizeof(sa));
}

/* A service that reads and writes the call's pipes itself. Their descriptors come with the NUL
 * behind its descriptor, when all that could fail has not. */
static int hand_over(struct job *j, int fd)
{
	uint8_t plain[QUBE__QREXEC_HEADER];
	int there[2] = { -1, -1 };
	int back[2] = { -1, -1 };
	int fds[2];
	ssize_t n = (ssize_t)strlen(j->cmd.rest);

	if (send(fd, j->cmd.rest, (size_t)n, MSG_NOSIGNAL) != n)
		return qube__fail_os("%s does not take the descriptor", j->file.path);
	if (j->plain) {
		qube__qrexec_header_put(plain, QUBE__QREXEC_DATA_PLAIN, 0);
		qube__transport_channel_grow(j->chan[1]);
		fds[0] = qube__steal_fd(&j->chan[0]);
		fds[1] = qube__steal_fd(&j->chan[1]);
		if (qube__io_write_full(fds[1], plain, sizeof(plain)) < 0)
			n = -1;
	} else if (qube__transport_channel(there, back) < 0) {
		return QUBE_E_SYSTEM;
	} else {
		/* The caller's agent wants frames: relayed, which the service does not see. */
		fds[0] = there[0];
		fds[1] = there[1];
		j->fd[QUBE__RELAY_IN] = back[0];
		j->fd[QUBE__RELAY_OUT] = back[1];
		j->flags |= QUBE__RELAY_SOCKET | QUBE__RELAY_END_ON_SERVICE_EOF;
	}
	if (n >= 0)
		n = qube__io_send_fds(fd, "", 1, fds, 2);
	qube__close_fd(&fds[0]);
	qube__close_fd(&fds[1]);
	return n == 1 ? 0 : qube__fail(QUBE_E_CLOSED, "%s does not take the channel", j->file.path);
}

/* A socket service: descriptor first, then the stream, both ways on one socket. */
static int connect_service(struct job *j)
{
	qube__autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	qube__autofd second = -1;
	size_t n = strlen(j->cmd.rest) + 1;

	if (fd < 0 || connect_path(fd, j->file.path) < 0)
		return qube__fail_os("cannot connect to %s", j->file.path);
	if (j->config.hand_over_channel && !j->just_exec) {
		int r = hand_over(j, fd);

		if (r == 0 && j->plain)
			j->served = qube__steal_fd(&fd);
		return r;
	}
	if (!j->config.skip_service_descriptor &&
	    send(fd, j->cmd.rest, n, MSG_NOSIGNAL) != (ssize_t)n)
		return qube__fail_os("%s does not take the descriptor", j->file.path);
	if (j->just_exec)
		return 0;
	second = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (second < 0)
		return qube__fail_os("cannot duplicate a descriptor");
	j->fd[QUBE__RELAY_IN] = qube__steal_fd(&fd);
	j->fd[QUBE__RELAY_OUT] = qube__steal_fd(&second);
	j->flags |= QUBE__RELAY_SOCKET;
	if (j->config.exit_on_client_eof)
		j->flags |= QUBE__RELAY_END_ON_CLIENT_EOF;
	if (j->config.exit_on_service_eof)
		j->flags |= QUBE__RELAY_END_ON_SERVICE_EOF;
	return 0;
}

static int find_user(struct job *j)
{
	const struct qube__agent_opts *o = &j->a->opts;
	const char *name = j->cmd.user;
	int r;

	if (j->config.force_user[0])
		name = j->config.force_user;
	if (strcmp(name, "DEFAULT") == 0)
		name = o->default_user;
	r = qube__user_find(&j->user, &j->a->user, name, o->passwd_file, o->group_file);
	if (r < 0)
		return r;
	j->switch_user = j->a->euid == 0;
	if (!j->switch_user && j->user.uid != j->a->euid)
		return qube__fail(QUBE_E_NOTSUP, "the agent cannot become user %s", name);
	return 0;
}

/* Exit code, or -1: it runs. */
static int32_t begin(struct job *j, const char *command, struct qube__child *child)
{
	int r = qube__command_parse(&j->cmd, command);

	if (r < 0) {
		qube__fail(r, "the host asks for something malformed");
		return QUBE__QREXEC_EXIT_PROBLEM;
	}
	if (j->cmd.is_service) {
		r = qube__service_find(&j->file, j->a->opts.service_path, &j->cmd);
		if (r == QUBE_E_NOENT)
			return QUBE__QREXEC_EXIT_NOT_FOUND;
		if (r == 0)
			r = qube__service_config_load(&j->config, j->a->opts.config_path, &j->cmd);
		if (r == 0 && j->config.wait_for_session && !j->cmd.nogui)
			r = qube__fail(QUBE_E_NOTSUP,
				       "%s wants to wait for a session, "
				       "which this agent cannot",
				       j->cmd.name);
		if (r == 0 && j->file.kind == QUBE__SERVICE_SOCKET)
			return connect_service(j) < 0 ? QUBE__QREXEC_EXIT_PROBLEM : -1;
	}
	if (r == 0)
		r = find_user(j);
	if (r == 0)
		r = spawn(j, child);
	return r < 0 ? QUBE__QREXEC_EXIT_PROBLEM : -1;
}

void qube__acall_free(struct acall *c)
{
	qube__list_remove(&c->link);
	if (c->served.added) {
		int fd = c->served.fd;

		qube__source_remove(c->a->loop, &c->served);
		qube__close_fd(&fd);
	}
	if (c->has_child) {
		qube__source_remove(c->a->loop, &c->exited);
		kill(-c->child.pid, SIGKILL);
		kill(c->child.pid, SIGKILL);
		qube__child_reap(&c->child);
	}
	qube__relay_free(c->relay);
	free(c);
}

static void maybe_over(struct acall *c)
{
	struct qube__agent *a = c->a;

	if (!c->relay && !c->has_child && !c->served.added)
		qube__acall_free(c);
	if (a->stopping)
		qube__post(a->loop, &a->notice);
}

static void on_exited(struct qube__source *s, uint32_t revents)
{
	struct acall *c = qube__container_of(s, struct acall, exited);
	int status;

	(void)revents;
	qube__source_remove(c->a->loop, s);
	status = qube__child_reap(&c->child);
	c->has_child = false;
	if (c->relay)
		qube__relay_exit(c->relay, status < 0 ? QUBE__QREXEC_EXIT_LOST : status);
	maybe_over(c);
}

static void on_relay_done(struct qube__relay *r)
{
	struct acall *c = r->user;

	qube__relay_free(r);
	c->relay = NULL;
	qube__agent_terminated(c->a, c->domain, c->port);
	maybe_over(c);
}

/* A service that has the channel says nothing here but the end, by going away. */
static void on_served(struct qube__source *s, uint32_t revents)
{
	struct acall *c = qube__container_of(s, struct acall, served);
	char ignored[256];
	ssize_t n = qube__io_read(s->fd, ignored, sizeof(ignored));

	(void)revents;
	if (n > 0 || n == QUBE_E_AGAIN)
		return;
	qube__agent_terminated(c->a, c->domain, c->port);
	qube__acall_free(c);
}

/* A program whose output nobody wanted has no pipe of ours that would break. */
static void on_relay_broken(struct qube__relay *r)
{
	struct acall *c = r->user;

	if (c->has_child && c->unwanted) {
		kill(-c->child.pid, SIGPIPE);
		kill(c->child.pid, SIGPIPE);
	}
}

static int open_relay(struct acall *c, const struct job *j, int fds[2])
{
	struct qube__relay_opts o = {
		.role = QUBE__QREXEC_EXECUTOR,
		.flags = j->flags | (j->plain ? (uint32_t)QUBE__RELAY_PLAIN : 0),
		.hello_ms = QUBE__AGENT_HELLO_MS,
		.user = c,
		.broken = on_relay_broken,
		.done = on_relay_done,
	};
	int r = qube__transport_pipe(&o.chan, fds[0], fds[1]);

	for (int i = 0; i < QUBE__RELAY_ENDS; i++) {
		o.fd[i] = j->fd[i];
		if (r < 0)
			qube__close_fd(&o.fd[i]);
	}
	return r < 0 ? r : qube__relay_open(&c->relay, &c->a->pool, &o);
}

/* The channel was handed over, or was to be. */
static int serve(struct acall *c, struct job *j)
{
	int r = QUBE_E_CLOSED;

	if (j->served >= 0)
		r = qube__source_add(c->a->loop, &c->served, j->served, EPOLLIN, on_served);
	if (r < 0)
		qube__close_fd(&j->served);
	return r;
}

void qube__agent_exec(struct qube__agent *a, const struct qube__qrexec_params *p, uint32_t type,
		      uint32_t unwanted, int fds[2])
{
	struct acall *c = calloc(1, sizeof(*c));
	struct job j = {
		.a = a,
		.just_exec = type == QUBE__QREXEC_JUST_EXEC,
		.plain = type == QUBE__QREXEC_EXEC_PLAIN,
		.unwanted = unwanted,
		.chan = fds,
		.served = -1,
		.fd = { -1, -1, -1, -1 },
	};
	struct qube__child child = { .pidfd = -1 };
	int32_t code;

	if (qube__fault_fails(QUBE__FAULT_AGENT_EXEC) || !c || a->stopping) {
		free(c);
		qube__close_fd(&fds[0]);
		qube__close_fd(&fds[1]);
		qube__agent_terminated(a, p->domain, p->port);
		return;
	}
	c->a = a;
	c->domain = p->domain;
	c->port = p->port;
	c->unwanted = unwanted;
	qube__list_append(&a->calls, &c->link);
	code = begin(&j, p->command, &child);
	if (code >= 0) {
		qube__agent_log(a, LOG_WARNING, "%s", qube_error_last()->message);
		for (int i = 0; i < QUBE__RELAY_ENDS; i++)
			qube__close_fd(&j.fd[i]);
		j.flags = 0;
		if (j.plain)
			qube__close_fd(&fds[0]);
	}
	if (j.just_exec)
		j.flags |= QUBE__RELAY_QUIET;
	else if (child.pidfd >= 0)
		j.flags |= QUBE__RELAY_PROGRAM;
	c->child = child;
	c->has_child = child.pidfd >= 0;
	if (c->has_child &&
	    qube__source_add(a->loop, &c->exited, child.pidfd, EPOLLIN, on_exited) < 0)
		code = QUBE__QREXEC_EXIT_PROBLEM;
	if ((fds[1] < 0 ? serve(c, &j) : open_relay(c, &j, fds)) < 0) {
		qube__agent_log(a, LOG_WARNING, "%s", qube_error_last()->message);
		qube__agent_terminated(a, p->domain, p->port);
		qube__acall_free(c);
		return;
	}
	if (c->relay && (code >= 0 || j.just_exec))
		qube__relay_exit(c->relay, code >= 0 ? code : 0);
}

void qube__agent_signal_all(struct qube__agent *a, int signal)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &a->calls) {
		struct acall *c = qube__container_of(pos, struct acall, link);

		/* Its session; and itself, should it have left that. It is not reaped yet, so the
		 * numbers are still its own. */
		if (c->has_child) {
			kill(-c->child.pid, signal);
			kill(c->child.pid, signal);
		}
	}
}

bool qube__agent_has_children(const struct qube__agent *a)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &a->calls)
		if (qube__container_of(pos, struct acall, link)->has_child)
			return true;
	return false;
}
