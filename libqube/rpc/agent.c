/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The agent engine: its control channel. When the host goes away the running calls go on, and a new
 * host is greeted on the listening socket. */
#include "rpc/agent_int.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/rw.h"
#include "base/text.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
	RX_MAX = QUBE__QREXEC_HEADER + QUBE__QREXEC_CONTROL_MAX,
	TX_MAX = 4 << 20,
	READ_AT_ONCE = 16 * 1024,
	FRAMES_A_TURN = 32,
	LOG_INFO = 6,
	LOG_WARNING = 4,
};

void qube__agent_log(struct qube__agent *a, int priority, const char *fmt, ...)
{
	char line[512];
	char safe[700];
	va_list ap;

	if (!a->opts.log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	a->opts.log(a->opts.user, priority,
		    qube__text_escape(safe, sizeof(safe), line, strlen(line)));
}

static void drop_fds(struct qube__agent *a)
{
	while (a->n_fds)
		qube__close_fd(&a->fds[--a->n_fds]);
}

static void session_end(struct qube__agent *a, const char *why)
{
	if (!a->t)
		return;
	qube__agent_log(a, LOG_INFO, "the host's session ended: %s", why);
	qube__source_remove(a->loop, &a->control);
	qube__transport_close(a->t);
	a->t = NULL;
	drop_fds(a);
	qube__buf_fini(&a->rx);
	qube__buf_fini(&a->tx);
	qube__agent_refuse_waiting(a);
	if (a->listen_fd < 0) {
		a->closed = true;
		qube__post(a->loop, &a->notice);
	}
}

static void control_watch(struct qube__agent *a)
{
	if (a->t)
		qube__source_set(a->loop, &a->control, a->t->ops->events(a->t, a->tx.len != 0));
}

static void control_flush(struct qube__agent *a)
{
	while (a->t && a->tx.len) {
		ssize_t n = a->t->ops->send(a->t, qube__buf_data(&a->tx), a->tx.len);

		if (n == QUBE_E_AGAIN)
			break;
		if (n < 0) {
			/* What it still had to say can be read first; the loop reports the end. */
			qube__buf_consume(&a->tx, a->tx.len);
			break;
		}
		qube__buf_consume(&a->tx, (size_t)n);
	}
	control_watch(a);
}

void qube__agent_send(struct qube__agent *a, const void *data, size_t len)
{
	if (!a->t)
		return;
	if (qube__buf_append(&a->tx, data, len) < 0) {
		/* Inside some callback: the socket's end is noticed by the loop. */
		shutdown(a->control.fd, SHUT_RDWR);
		return;
	}
	control_flush(a);
}

void qube__agent_terminated(struct qube__agent *a, uint32_t domain, uint32_t port)
{
	uint8_t out[QUBE__QREXEC_HEADER + QUBE__QREXEC_PARAMS];
	int n = qube__qrexec_params_put(out, sizeof(out), QUBE__QREXEC_CONNECTION_TERMINATED,
					domain, port, NULL);

	qube__agent_send(a, out, (size_t)n);
}

static int take_pair(struct qube__agent *a, int fds[2])
{
	if (a->n_fds < 2)
		return QUBE_E_PROTO;
	fds[0] = a->fds[0];
	fds[1] = a->fds[1];
	a->n_fds -= 2;
	memmove(a->fds, a->fds + 2, a->n_fds * sizeof(a->fds[0]));
	return 0;
}

static bool is_plain(uint32_t type)
{
	return type == QUBE__QREXEC_EXEC_PLAIN || type == QUBE__QREXEC_CONNECT_PLAIN;
}

/* The caller serves, the executor comes to it. QUBE_E_PROTO, or 0 with fds that may be -1. */
static int open_channel(struct qube__agent *a, const struct qube__qrexec_params *p, uint32_t type,
			int fds[2])
{
	if (!*a->opts.vchan)
		return take_pair(a, fds);
	fds[0] = fds[1] = -1;
	/* Its end could not be told from the end of all. */
	if (is_plain(type))
		return QUBE_E_PROTO;
	if (qube__agent_channel(a, p->domain, p->port, type == QUBE__QREXEC_SERVICE_CONNECT, fds) <
	    0)
		qube__agent_log(a, LOG_WARNING, "%s", qube_error_last()->message);
	return 0;
}

static int on_params(struct qube__agent *a, uint32_t type, const uint8_t *payload, size_t len)
{
	struct qube__qrexec_params p;
	uint32_t unwanted = 0;
	int fds[2];

	if (qube__qrexec_params_parse(&p, true, payload, len) < 0)
		return QUBE_E_PROTO;
	if (type == QUBE__QREXEC_EXEC_PLAIN)
		unwanted = p.port & (QUBE__QREXEC_NO_OUTPUT | QUBE__QREXEC_NO_ERRORS);
	p.port &= ~unwanted;
	if (p.port < QUBE__QREXEC_PORT_FIRST || p.port > QUBE__QREXEC_PORT_LAST ||
	    open_channel(a, &p, type, fds) < 0)
		return QUBE_E_PROTO;
	if (fds[0] < 0) {
		qube__agent_terminated(a, p.domain, p.port);
		if (type == QUBE__QREXEC_SERVICE_CONNECT)
			qube__agent_refused(a, (const uint8_t *)p.command);
		return 0;
	}
	if (type == QUBE__QREXEC_SERVICE_CONNECT || type == QUBE__QREXEC_CONNECT_PLAIN)
		qube__agent_connect(a, &p, type == QUBE__QREXEC_CONNECT_PLAIN, fds);
	else
		qube__agent_exec(a, &p, type, unwanted, fds);
	return 0;
}

static void put_call(struct qube__wr *w, uint32_t domain, uint32_t port)
{
	if (w->len + QUBE__QREXEC_CALL > QUBE__QREXEC_HEADER + QUBE__QREXEC_CALLS_LEN_MAX)
		return;
	qube__wr_le32(w, domain);
	qube__wr_le32(w, port);
}

/* What goes on since before this host: it must not give out the numbers again, and waits for the
 * ends. */
static void tell_calls(struct qube__agent *a)
{
	uint8_t out[QUBE__QREXEC_HEADER + QUBE__QREXEC_CALLS_LEN_MAX] = { 0 };
	struct qube__wr w = qube__wr_init(out, sizeof(out));
	struct qube__list *pos;

	qube__wr_bytes(&w, out, QUBE__QREXEC_HEADER);
	qube__list_foreach (pos, &a->calls) {
		struct acall *c = qube__container_of(pos, struct acall, link);

		if (c->relay || c->served.added)
			put_call(&w, c->domain, c->port);
	}
	qube__list_foreach (pos, &a->triggers) {
		struct atrigger *t = qube__container_of(pos, struct atrigger, link);

		if (t->connected)
			put_call(&w, t->domain, t->port | QUBE__QREXEC_CALL_CALLER);
	}
	qube__qrexec_header_put(out, QUBE__QREXEC_CALLS, (uint32_t)(w.len - QUBE__QREXEC_HEADER));
	qube__agent_send(a, out, w.len);
}

static int on_message(struct qube__agent *a, uint32_t type, const uint8_t *payload, size_t len)
{
	uint8_t ident[QUBE__QREXEC_IDENT];
	struct qube__qrexec_params gone;

	switch (type) {
	case QUBE__QREXEC_HELLO:
		if (qube__qrexec_hello_parse(&a->version, payload, len) < 0)
			return QUBE_E_PROTO;
		a->state = QUBE__QREXEC_AT_WORK;
		return 0;
	case QUBE__QREXEC_SERVICE_REFUSED:
		if (qube__qrexec_refused_parse(ident, payload, len) < 0)
			return QUBE_E_PROTO;
		qube__agent_refused(a, ident);
		return 0;
	case QUBE__QREXEC_CALLS_ASK:
		tell_calls(a);
		return 0;
	case QUBE__QREXEC_PEER_GONE:
		if (qube__qrexec_params_parse(&gone, false, payload, len) < 0)
			return QUBE_E_PROTO;
		qube__agent_domain_gone(a, gone.domain);
		return 0;
	default:
		return on_params(a, type, payload, len);
	}
}

/* 1: a message was taken, 0: incomplete, or an error. */
static int take_message(struct qube__agent *a)
{
	const uint8_t *p = qube__buf_data(&a->rx);
	struct qube__qrexec_header h;
	int r = qube__qrexec_frame(&h, QUBE__QREXEC_AGENT, a->state, a->version, p, a->rx.len);

	if (r <= 0)
		return r;
	r = on_message(a, h.type, p + QUBE__QREXEC_HEADER, h.len);
	if (r < 0)
		return r;
	if (!a->t)
		return 0;
	qube__buf_consume(&a->rx, QUBE__QREXEC_HEADER + h.len);
	return 1;
}

static void parse_turn(struct qube__agent *a)
{
	int r = 1;

	for (int n = 0; n < FRAMES_A_TURN && r > 0; n++)
		r = take_message(a);
	if (!a->t)
		return;
	if (r < 0) {
		session_end(a, "it broke the protocol");
		return;
	}
	if (!a->rx.len)
		qube__buf_fini(&a->rx);
	if (r > 0)
		qube__source_again(a->loop, &a->control);
}

static void receive(struct qube__agent *a)
{
	size_t room = a->rx.max - a->rx.len;
	size_t n_fds = QUBE__AGENT_FDS - a->n_fds;
	uint8_t *at;
	ssize_t n;

	if (room > READ_AT_ONCE)
		room = READ_AT_ONCE;
	if (!room)
		return;
	if (qube__buf_reserve(&a->rx, room, &at) < 0) {
		session_end(a, "no memory for its messages");
		return;
	}
	n = a->t->ops->recv_fds(a->t, at, room, a->fds + a->n_fds, &n_fds);
	if (n == QUBE_E_AGAIN)
		return;
	if (n < 0) {
		session_end(a, n == QUBE_E_CLOSED ? "closed" : "it broke the protocol");
		return;
	}
	a->n_fds += n_fds;
	qube__buf_commit(&a->rx, (size_t)n);
}

static void on_control(struct qube__source *s, uint32_t revents)
{
	struct qube__agent *a = qube__container_of(s, struct qube__agent, control);

	if (revents & EPOLLOUT)
		control_flush(a);
	if (a->t && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		receive(a);
	if (a->t)
		parse_turn(a);
}

static int session_begin(struct qube__agent *a, int fd)
{
	uint8_t hello[QUBE__QREXEC_HEADER + 4];
	struct qube__transport *t;
	uint32_t flags = QUBE__QREXEC_HELLO_CALLS;
	int n;
	int send_fd;
	int r;

	if (!*a->opts.vchan)
		flags |= QUBE__QREXEC_HELLO_PLAIN | QUBE__QREXEC_HELLO_UNWANTED;
	n = qube__qrexec_hello_put(hello, sizeof(hello), QUBE__QREXEC_VERSION | flags);
	session_end(a, "another host connected");
	r = qube__transport_socket_guest(&t, fd);
	if (r < 0)
		return r;
	t->ops->get_fds(t, &fd, &send_fd);
	a->state = QUBE__QREXEC_AT_HELLO;
	a->version = 0;
	r = qube__source_add(a->loop, &a->control, fd, EPOLLIN, on_control);
	if (r < 0) {
		qube__transport_close(t);
		return r;
	}
	a->t = t;
	qube__agent_send(a, hello, (size_t)n);
	return 0;
}

static void on_listener(struct qube__source *s, uint32_t revents)
{
	struct qube__agent *a = qube__container_of(s, struct qube__agent, listener);
	int fd = accept4(a->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)revents;
	if (fd >= 0 && session_begin(a, fd) < 0)
		qube__agent_log(a, LOG_WARNING, "%s", qube_error_last()->message);
}

static void check_stopped(struct qube__agent *a)
{
	if (!a->stopping || a->stopped || qube__agent_has_children(a))
		return;
	a->stopped = true;
	qube__timer_stop(a->loop, &a->grace);
	if (a->opts.on_stopped)
		a->opts.on_stopped(a->opts.user);
}

static void on_notice(struct qube__posted *p)
{
	struct qube__agent *a = qube__container_of(p, struct qube__agent, notice);
	bool closed = a->closed;

	a->closed = false;
	if (closed && a->opts.on_closed)
		a->opts.on_closed(a->opts.user);
	else
		check_stopped(a);
}

static void on_grace(struct qube__timer *t)
{
	struct qube__agent *a = qube__container_of(t, struct qube__agent, grace);

	qube__agent_signal_all(a, SIGKILL);
}

static const char **string_fields(struct qube__agent_opts *o, size_t i)
{
	const char **all[] = { &o->default_user,   &o->service_path, &o->config_path,
			       &o->trigger_socket, &o->passwd_file,  &o->group_file,
			       &o->vchan };

	return i < sizeof(all) / sizeof(all[0]) ? all[i] : NULL;
}

static int copy_opts(struct qube__agent *a, const struct qube__agent_opts *opts)
{
	static const char *const defaults[] = { "user",
						QUBE__AGENT_SERVICE_PATH,
						QUBE__AGENT_CONFIG_PATH,
						QUBE__AGENT_TRIGGER_SOCKET,
						"/etc/passwd",
						"/etc/group",
						"" };
	struct qube__agent_opts given = *opts;
	size_t n = 0;
	char **env;

	a->opts = *opts;
	for (size_t i = 0; string_fields(&a->opts, i); i++)
		*string_fields(&a->opts, i) = NULL;
	while (opts->env && opts->env[n])
		n++;
	env = calloc(n + 1, sizeof(*env));
	a->opts.env = (const char *const *)env;
	if (!env)
		return qube__fail_nomem();
	for (size_t i = 0; i < n; i++) {
		env[i] = qube__text_format("%s", opts->env[i]);
		if (!env[i])
			return qube__fail_nomem();
	}
	for (size_t i = 0; string_fields(&given, i); i++) {
		const char *s = *string_fields(&given, i);

		*string_fields(&a->opts, i) = qube__text_format("%s", s ? s : defaults[i]);
		if (!*string_fields(&a->opts, i))
			return qube__fail_nomem();
	}
	return 0;
}

static int is_listening(int fd)
{
	int yes = 0;
	socklen_t len = sizeof(yes);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len) < 0)
		return qube__fail_os("the control channel is no socket");
	return yes;
}

static int start(struct qube__agent *a, int *control_fd)
{
	int listening = is_listening(*control_fd);
	int r;

	if (qube__fault_fails(QUBE__FAULT_AGENT_BEGUN))
		return QUBE_E_SYSTEM;
	if (listening < 0)
		return listening;
	if (a->opts.trigger_socket[0]) {
		r = qube__agent_trigger_listen(a, a->opts.trigger_socket);
		if (r < 0)
			return r;
	}
	if (!listening)
		return session_begin(a, qube__steal_fd(control_fd));
	r = qube__io_nonblock(*control_fd);
	if (r < 0)
		return r;
	a->listen_fd = qube__steal_fd(control_fd);
	return qube__source_add(a->loop, &a->listener, a->listen_fd, EPOLLIN, on_listener);
}

int qube__agent_create(struct qube__agent **out, struct qube__loop *loop,
		       const struct qube__agent_opts *opts)
{
	qube__autofd control_fd = opts->control_fd;
	struct qube__agent *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return qube__fail_nomem();
	a->loop = loop;
	a->listen_fd = -1;
	a->trigger_fd = -1;
	/* Without it a program is started with one of its own. */
	a->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	qube__signals_ignored(&a->ignored);
	a->pid = getpid();
	a->euid = geteuid();
	a->pool.loop = loop;
	a->pool.budget = 4;
	a->pool.guard_sigpipe = !sigismember(&a->ignored, SIGPIPE);
	qube__list_init(&a->calls);
	qube__list_init(&a->triggers);
	qube__list_init(&a->channels);
	qube__buf_init(&a->rx, RX_MAX);
	qube__buf_init(&a->tx, TX_MAX);
	qube__timer_init(&a->grace, on_grace);
	qube__posted_init(&a->notice, on_notice);
	r = copy_opts(a, opts);
	if (r == 0)
		r = start(a, &control_fd);
	if (r < 0) {
		qube__agent_destroy(a);
		return r;
	}
	*out = a;
	return 0;
}

void qube__agent_stop(struct qube__agent *a, uint32_t grace_ms)
{
	if (a->stopping)
		return;
	a->stopping = true;
	qube__source_remove(a->loop, &a->trigger_listener);
	qube__agent_signal_all(a, SIGTERM);
	qube__timer_set(a->loop, &a->grace, qube__now_ms() + grace_ms);
	qube__post(a->loop, &a->notice);
}

static void free_strings(struct qube__agent *a)
{
	for (size_t i = 0; string_fields(&a->opts, i); i++)
		free((void *)(uintptr_t)*string_fields(&a->opts, i));
	for (size_t i = 0; a->opts.env && a->opts.env[i]; i++)
		free((void *)(uintptr_t)a->opts.env[i]);
	free((void *)(uintptr_t)a->opts.env);
}

void qube__agent_destroy(struct qube__agent *a)
{
	if (!a)
		return;
	qube__agent_signal_all(a, SIGKILL);
	/* Not an end worth a notice. */
	session_end(a, "the agent ends");
	qube__posted_cancel(&a->notice);
	while (!qube__list_empty(&a->calls))
		qube__acall_free(qube__container_of(a->calls.next, struct acall, link));
	while (!qube__list_empty(&a->triggers))
		qube__atrigger_free(qube__container_of(a->triggers.next, struct atrigger, link));
	qube__agent_channels_end(a);
	qube__timer_stop(a->loop, &a->grace);
	qube__posted_cancel(&a->notice);
	qube__source_remove(a->loop, &a->listener);
	qube__source_remove(a->loop, &a->trigger_listener);
	qube__close_fd(&a->listen_fd);
	if (a->trigger_fd >= 0)
		unlink(a->opts.trigger_socket);
	qube__close_fd(&a->trigger_fd);
	qube__close_fd(&a->null_fd);
	qube__relay_pool_fini(&a->pool);
	free_strings(a);
	free(a);
}
