/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The caller engine: asks the agent, waits for the host's decision, relays. */
#include "rpc/caller.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/spawn.h"
#include "base/text.h"
#include "rpc/agent.h"
#include "rpc/relay.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { HELLO_MS = 120000, ENV_MAX = 512, EXIT_LINK = 1 };

struct qube__caller {
	struct qube__loop *loop;
	struct qube__relay_pool pool;
	struct qube__relay *relay;
	struct qube__source agent;
	struct qube__source exited;
	struct qube__child child;
	int agent_fd; /* open for as long as the call lasts: its end is the call's */
	int fd[3];
	uint32_t flags;
	bool plain; /* the agent's answer: the input goes as it is */
	char *prefix;
	size_t prefix_len;
	bool has_child;
	bool relayed; /* the relay is over */
	int32_t code;
	int32_t local_code;
	const char *why;
	void *user;
	void (*done)(void *user, int32_t code, const char *why);
};

static void maybe_done(struct qube__caller *c)
{
	if (!c->relayed || c->has_child)
		return;
	c->done(c->user, c->code ? c->code : c->local_code, c->why);
}

static void over(struct qube__caller *c, int32_t code, const char *why)
{
	c->code = code;
	c->why = why;
	c->relayed = true;
	qube__source_remove(c->loop, &c->agent);
	qube__close_fd(&c->agent_fd);
	/* A local program sees the end of its streams and may still finish. */
	for (int i = 0; i < 3; i++)
		qube__close_fd(&c->fd[i]);
	maybe_done(c);
}

static void on_relay_done(struct qube__relay *r)
{
	struct qube__caller *c = r->user;
	bool lost = r->lost && r->state != QUBE__QREXEC_AT_END;
	int32_t code = r->exit_code;

	qube__relay_free(r);
	c->relay = NULL;
	over(c, code, lost ? "the link was lost" : NULL);
}

static void on_exited(struct qube__source *s, uint32_t revents)
{
	struct qube__caller *c = qube__container_of(s, struct qube__caller, exited);

	(void)revents;
	qube__source_remove(c->loop, s);
	c->local_code = qube__child_reap(&c->child);
	if (c->local_code < 0)
		c->local_code = QUBE__QREXEC_EXIT_LOST;
	c->has_child = false;
	maybe_done(c);
}

static int open_relay(struct qube__caller *c, int chan[2])
{
	struct qube__relay_opts o = {
		.role = QUBE__QREXEC_CALLER,
		.flags = c->flags | (c->plain ? (uint32_t)QUBE__RELAY_PLAIN : 0),
		.hello_ms = HELLO_MS,
		.push_max = c->prefix_len,
		.user = c,
		.done = on_relay_done,
	};
	int r = qube__transport_pipe(&o.chan, chan[0], chan[1]);

	if (r < 0)
		return r;
	o.fd[QUBE__RELAY_IN] = qube__steal_fd(&c->fd[0]);
	o.fd[QUBE__RELAY_IN_ERR] = -1;
	o.fd[QUBE__RELAY_OUT] = qube__steal_fd(&c->fd[1]);
	o.fd[QUBE__RELAY_OUT_ERR] = qube__steal_fd(&c->fd[2]);
	r = qube__relay_open(&c->relay, &c->pool, &o);
	if (r == 0 && c->prefix_len)
		r = qube__relay_push(c->relay, c->prefix, c->prefix_len);
	return r;
}

/* The agent's answer: eight bytes, of a plain call a NUL more, and the channel's two descriptors,
 * or the end. */
static void on_agent(struct qube__source *s, uint32_t revents)
{
	struct qube__caller *c = qube__container_of(s, struct qube__caller, agent);
	uint8_t answer[QUBE__QREXEC_PARAMS + 1];
	int chan[2];
	size_t n_fds = 2;
	ssize_t n;

	(void)revents;
	n = qube__io_recv_fds(c->agent_fd, answer, sizeof(answer), chan, &n_fds);
	if (n == QUBE_E_AGAIN)
		return;
	qube__source_remove(c->loop, &c->agent);
	if (n == 0 || n == QUBE_E_CLOSED) {
		over(c, QUBE__QREXEC_EXIT_REFUSED, "Request refused");
		return;
	}
	c->plain = n == QUBE__QREXEC_PARAMS + 1 && !answer[QUBE__QREXEC_PARAMS];
	if ((n != QUBE__QREXEC_PARAMS && !c->plain) || n_fds != 2) {
		for (size_t i = 0; n > 0 && i < n_fds; i++)
			qube__close_fd(&chan[i]);
		over(c, EXIT_LINK, "the agent's answer is malformed");
		return;
	}
	if (open_relay(c, chan) < 0)
		over(c, EXIT_LINK, qube_error_last()->message);
}

static int ask(struct qube__caller *c, const struct qube__caller_opts *o)
{
	const char *path = o->agent_socket ? o->agent_socket : QUBE__AGENT_TRIGGER_SOCKET;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char target[QUBE__QREXEC_TARGET];
	size_t cap = QUBE__QREXEC_HEADER + QUBE__QREXEC_TRIGGER4 + strlen(o->service) + 1;
	qube__autofree uint8_t *out = malloc(cap);
	int n;

	if (!out)
		return qube__fail_nomem();
	if (qube__text_copy(target, sizeof(target), o->target) < 0)
		return qube__fail(QUBE_E_INVALID, "the target's name is too long");
	/* Older callers spell '@' so. */
	for (char *p = strchr(target, '$'); p; p = strchr(p, '$'))
		*p = '@';
	if (!qube__qrexec_target_ok(target, strlen(target)) ||
	    !qube__qrexec_service_ok(o->service, strlen(o->service)) ||
	    (o->source && !qube__qrexec_target_ok(o->source, strlen(o->source))))
		return qube__fail(QUBE_E_INVALID, "a name is outside the alphabet");
	n = qube__qrexec_trigger_put(out, cap, QUBE__QREXEC_VERSION, o->source ? o->source : "",
				     target, o->service, QUBE__QREXEC_IDENT_PLAIN);
	if (n < 0)
		return qube__fail(QUBE_E_INVALID, "the service's name is too long");
	if (qube__text_copy(sa.sun_path, sizeof(sa.sun_path), path) < 0)
		return qube__fail(QUBE_E_INVALID, "the path of the agent's socket is too long");
	c->agent_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->agent_fd < 0 || connect(c->agent_fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return qube__fail_os("cannot reach the agent at %s", path);
	if (send(c->agent_fd, out, (size_t)n, MSG_NOSIGNAL) != n)
		return qube__fail_os("the agent does not take the request");
	return qube__source_add(c->loop, &c->agent, c->agent_fd, EPOLLIN, on_agent);
}

/* The program talks to the service by its descriptors 0 and 1; the caller's own are 3 and 4. */
static int run_program(struct qube__caller *c, const struct qube__caller_opts *o)
{
	char names[2][24] = { "SAVED_FD_0=3", "SAVED_FD_1=4" };
	const char *env[ENV_MAX + 3];
	int to[2] = { -1, -1 };
	int from[2] = { -1, -1 };
	struct qube__spawn s = {
		.path = o->program[0], .exec_fd = -1, .argv = o->program, .envp = env, .n_fds = 5
	};
	int fds[5];
	size_t n = 0;
	int r;

	for (; o->env && o->env[n] && n < ENV_MAX; n++)
		env[n] = o->env[n];
	env[n++] = names[0];
	env[n++] = names[1];
	env[n] = NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to) < 0)
		return qube__fail_os("cannot make a socket pair");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, from) < 0) {
		qube__close_fd(&to[0]);
		qube__close_fd(&to[1]);
		return qube__fail_os("cannot make a socket pair");
	}
	fds[0] = to[1];
	fds[1] = from[1];
	fds[2] = c->fd[2];
	fds[3] = c->fd[0];
	fds[4] = c->fd[1];
	s.fds = fds;
	r = qube__spawn(&c->child, &s);
	qube__close_fd(&to[1]);
	qube__close_fd(&from[1]);
	qube__close_fd(&c->fd[0]);
	qube__close_fd(&c->fd[1]);
	c->fd[0] = from[0];
	c->fd[1] = to[0];
	if (r < 0)
		return r;
	c->has_child = true;
	return qube__source_add(c->loop, &c->exited, c->child.pidfd, EPOLLIN, on_exited);
}

int qube__caller_create(struct qube__caller **out, struct qube__loop *loop,
			const struct qube__caller_opts *o)
{
	struct qube__caller *c = calloc(1, sizeof(*c));
	int fds[3] = { o->in, o->out, o->err };
	sigset_t ignored;
	int r = 0;

	if (!c) {
		for (int i = 0; i < 3; i++)
			qube__close_fd(&fds[i]);
		return qube__fail_nomem();
	}
	qube__signals_ignored(&ignored);
	c->loop = loop;
	c->pool = (struct qube__relay_pool){
		.loop = loop,
		.budget = 4,
		.guard_sigpipe = !sigismember(&ignored, SIGPIPE),
		.splice = true,
	};
	c->agent_fd = -1;
	memcpy(c->fd, fds, sizeof(fds));
	c->user = o->user;
	c->done = o->done;
	c->flags = QUBE__RELAY_RESTORE | (o->filter_out ? (uint32_t)QUBE__RELAY_FILTER_OUT : 0) |
		   (o->filter_err ? (uint32_t)QUBE__RELAY_FILTER_ERR : 0);
	if (o->prefix_len) {
		c->prefix = malloc(o->prefix_len);
		if (c->prefix)
			memcpy(c->prefix, o->prefix, o->prefix_len);
		c->prefix_len = o->prefix_len;
		r = c->prefix ? 0 : qube__fail_nomem();
	}
	if (r == 0)
		r = ask(c, o);
	if (r == 0 && o->program)
		r = run_program(c, o);
	if (r < 0) {
		qube__caller_destroy(c);
		return r;
	}
	*out = c;
	return 0;
}

void qube__caller_destroy(struct qube__caller *c)
{
	if (!c)
		return;
	qube__source_remove(c->loop, &c->agent);
	qube__source_remove(c->loop, &c->exited);
	qube__relay_free(c->relay);
	qube__relay_pool_fini(&c->pool);
	qube__close_fd(&c->agent_fd);
	if (c->has_child)
		qube__close_fd(&c->child.pidfd);
	for (int i = 0; i < 3; i++)
		qube__close_fd(&c->fd[i]);
	free(c->prefix);
	free(c);
}
