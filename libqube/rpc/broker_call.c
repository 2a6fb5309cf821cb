/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Calls: between two guests the broker only makes the channel and hands out its ends; of a call to
 * or from the host it is one end itself. */
#include "rpc/broker_int.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum {
	HOST_INPUT_MAX = 65536,
	/* Of a host service's answer, while its caller does not read. */
	HOST_OUTPUT_MAX = 8 << 20,
	/* From so many calls of one guest on, its pipes are smaller, and stay so. */
	CALLS_MANY = 5,
	CALLS_TOO_MANY = 17,
	PIPE_MANY = 32 * 1024,
	PIPE_TOO_MANY = 8 * 1024,
	N_PORTS = QUBE__QREXEC_PORT_LAST - QUBE__QREXEC_PORT_FIRST + 1,
};

/* Of the calls that a guest served when it came the last one is told. */
static bool others_go_on(const struct bcall *c)
{
	const struct qube__list *pos;

	for (pos = c->b->calls.next; pos != &c->b->calls; pos = pos->next) {
		const struct bcall *other = qube__container_of(pos, struct bcall, link);

		if (other->origin == c->origin && other->id == c->id && !other->reported)
			return true;
	}
	return false;
}

static void report(struct bcall *c, int32_t code, const char *reason)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_CALL_END };

	if (c->reported)
		return;
	c->reported = true;
	if (c->origin == QUBE__RPC_BY_GUEST && others_go_on(c))
		return;
	m.call_end.origin = c->origin;
	m.call_end.id = c->id;
	m.call_end.flags = c->flags;
	m.call_end.exit_code = code;
	m.call_end.reason = reason;
	qube__broker_tell(c->b, &m);
}

/* A call that never came to be. */
static void report_failed(struct qube__broker *b, uint32_t origin, uint64_t id, uint32_t flags,
			  const char *reason)
{
	struct bcall c = { .b = b, .origin = origin, .id = id, .flags = flags };

	report(&c, QUBE__QREXEC_EXIT_PROBLEM, reason);
}

static void end_detach(struct bend *e)
{
	if (!e->guest)
		return;
	qube__list_remove(&e->link);
	qube__quota_release(&e->guest->quota, QUBE__Q_CALLS, 1);
	e->guest = NULL;
	e->open = false;
}

static int end_attach(struct bend *e, struct bcall *c, struct bguest *g)
{
	e->call = c;
	if (!g)
		return 0;
	if (qube__quota_charge(&g->quota, QUBE__Q_CALLS, 1) < 0)
		return QUBE_E_LIMIT;
	e->guest = g;
	e->open = true;
	qube__list_append(&g->calls, &e->link);
	return 0;
}

void qube__bcall_free(struct bcall *c)
{
	qube__list_remove(&c->link);
	qube__relay_free(c->relay);
	end_detach(&c->caller);
	end_detach(&c->executor);
	qube__buf_fini(&c->input);
	free(c->service);
	free(c);
}

static struct bend *other_end(struct bend *e)
{
	return e == &e->call->caller ? &e->call->executor : &e->call->caller;
}

static uint32_t end_domain(const struct bend *e)
{
	return e->guest ? e->guest->qid : 0;
}

/* The numbers of one pair of qubes, whichever of the two calls. 0: none left. In turn: over vchans
 * the number is all by which two ends find each other, and of a call that was given up one may
 * still be on its way, for seconds (VCHAN_LEFT_MS). It would meet another call of this very pair,
 * who may call each other anyhow: bytes in the wrong place, but nobody else's. */
static uint32_t port_pick(struct bguest *caller, struct bguest *executor)
{
	bool used[N_PORTS] = { false };
	struct bguest *side[2] = { caller, executor };
	struct bguest *first = caller ? caller : executor;

	for (int i = 0; i < 2; i++) {
		struct qube__list *pos;

		if (!side[i])
			continue;
		/* Also calls whose other side is gone: the guest may still name them. */
		qube__list_foreach (pos, &side[i]->calls) {
			struct bend *e = qube__container_of(pos, struct bend, link);

			used[e->call->port - QUBE__QREXEC_PORT_FIRST] = true;
		}
	}
	for (uint32_t i = 0; i < N_PORTS; i++) {
		uint32_t n = (first->next_port + i) % N_PORTS;

		if (used[n])
			continue;
		first->next_port = n + 1;
		return QUBE__QREXEC_PORT_FIRST + n;
	}
	return 0;
}

/* A caller may have as many calls into a qube as are left for others: however many guests do their
 * worst, the next one still gets in. A call counts until its executor is done with it, also when
 * the caller went away at once. */
static bool is_fair(const struct bguest *caller, const struct bguest *executor)
{
	const struct qube__quota *q = &executor->quota;
	const struct qube__list *pos;
	uint64_t mine = 0;

	for (pos = executor->calls.next; pos != &executor->calls; pos = pos->next) {
		const struct bend *e = qube__container_of(pos, struct bend, link);

		mine += e == &e->call->executor && e->call->guest == caller->id;
	}
	return mine < q->max[QUBE__Q_CALLS] - q->used[QUBE__Q_CALLS];
}

static struct bcall *call_create(struct qube__broker *b, struct bguest *caller,
				 struct bguest *executor)
{
	uint32_t port = port_pick(caller, executor);
	struct bcall *c;

	if (!port || (caller && executor && !is_fair(caller, executor)))
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->b = b;
	c->port = port;
	c->guest = caller ? caller->id : 0;
	qube__list_init(&c->link);
	qube__buf_init(&c->input, HOST_INPUT_MAX);
	if (end_attach(&c->caller, c, caller) < 0 || end_attach(&c->executor, c, executor) < 0) {
		qube__bcall_free(c);
		return NULL;
	}
	qube__list_append(&b->calls, &c->link);
	return c;
}

/* The kernel counts the memory of pipes by user, and this process is one for all guests: past the
 * limit every new pipe is tiny. So who holds many calls gets small ones, and others' stay large. */
static void channel_fit(const struct bguest *caller, const int fds[2])
{
	uint64_t calls = caller->quota.used[QUBE__Q_CALLS];
	int size = calls < CALLS_TOO_MANY ? PIPE_MANY : PIPE_TOO_MANY;

	for (int i = 0; calls >= CALLS_MANY && i < 2; i++)
		if (fcntl(fds[i], F_GETPIPE_SZ) > size)
			fcntl(fds[i], F_SETPIPE_SZ, size);
}

/* Of a guest that takes no descriptors core connects the host's channels. */
static void ask_for_channel(struct bguest *g, uint32_t port, bool server, const int fds[2])
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_CHANNEL };

	m.channel.guest = g->id;
	m.channel.port = port;
	m.channel.server = server;
	qube__broker_hand(g->b, &m, fds);
}

/* exec_params with its two descriptors, which are transferred. */
static int send_params(struct bguest *g, uint32_t type, uint32_t domain, uint32_t port,
		       const char *command, int fds[2])
{
	size_t cap = QUBE__QREXEC_HEADER + QUBE__QREXEC_PARAMS + strlen(command) + 1;
	qube__autofree uint8_t *out = malloc(cap);
	int n = QUBE_E_NOMEM;

	if (out)
		n = qube__qrexec_params_put(out, cap, type, domain, port, command);
	if (n >= 0 && g->vchan && domain == 0)
		ask_for_channel(g, port, type != QUBE__QREXEC_SERVICE_CONNECT, fds);
	if (n < 0 || g->vchan) {
		qube__close_fd(&fds[0]);
		qube__close_fd(&fds[1]);
	}
	if (n < 0)
		return n;
	n = qube__bguest_send(g, out, (size_t)n, fds, g->vchan ? 0 : 2);
	fds[0] = fds[1] = -1;
	return n;
}

static const char *user_of(const char *wanted, const struct bguest *g)
{
	return !wanted[0] || strcmp(wanted, "DEFAULT") == 0 ? g->user : wanted;
}

/* The executor is told first, as everywhere: its side waits for the caller's hello. */
static int connect_guests(struct bcall *c, const struct qube__rpc_decision *d, const char *service,
			  const char *ident)
{
	qube__autofree char *command = NULL;
	struct bguest *from = c->caller.guest;
	struct bguest *to = c->executor.guest;
	bool plain = from->plain && to->plain && qube__qrexec_ident_plain((const uint8_t *)ident);
	int caller_fds[2] = { -1, -1 };
	int executor_fds[2] = { -1, -1 };
	int r = 0;

	command = qube__text_format("%s:QUBESRPC %s%s %s", user_of(d->user, to), service,
				    strchr(service, '+') ? "" : "+",
				    d->source[0] ? d->source : from->name);
	if (!command)
		return QUBE_E_NOMEM;
	if (from->vchan != to->vchan)
		return qube__fail(QUBE_E_NOTSUP, "the two have no channel in common");
	if (!from->vchan)
		r = qube__transport_channel(caller_fds, executor_fds);
	if (r < 0)
		return r;
	if (!from->vchan)
		channel_fit(from, caller_fds);
	r = send_params(to, plain ? QUBE__QREXEC_EXEC_PLAIN : QUBE__QREXEC_EXEC_CMDLINE, from->qid,
			c->port, command, executor_fds);
	if (r < 0) {
		qube__close_fd(&caller_fds[0]);
		qube__close_fd(&caller_fds[1]);
		return r;
	}
	return send_params(from, plain ? QUBE__QREXEC_CONNECT_PLAIN : QUBE__QREXEC_SERVICE_CONNECT,
			   to->qid, c->port, ident, caller_fds);
}

static bool on_host_input(struct qube__relay *r, const void *data, size_t len)
{
	struct bcall *c = r->user;
	struct qube__rpc_msg m = { .type = QUBE__RPC_HOST_SERVICE };

	if (c->refused || c->asked)
		return true;
	if (len) {
		if (qube__buf_append(&c->input, data, len) == 0)
			return true;
		c->refused = true;
		qube__buf_fini(&c->input);
		report(c, QUBE__QREXEC_EXIT_PROBLEM, "its input is too large");
		qube__relay_push_end(r);
		qube__relay_exit(r, QUBE__QREXEC_EXIT_PROBLEM);
		return true;
	}
	c->asked = true;
	m.host_service.request = c->id;
	m.host_service.guest = c->guest;
	m.host_service.service = c->service;
	m.host_service.source = c->source;
	m.host_service.target = c->target;
	m.host_service.data = qube__buf_data(&c->input);
	m.host_service.len = c->input.len;
	qube__broker_tell(c->b, &m);
	qube__buf_fini(&c->input);
	return true;
}

/* The host's side is over; the numbers stay taken until the guest says so, too. */
static void host_side_over(struct bcall *c, int32_t code, const char *reason)
{
	report(c, code, reason);
	qube__relay_free(c->relay);
	c->relay = NULL;
	if (!c->caller.open && !c->executor.open)
		qube__bcall_free(c);
}

static void on_relay_done(struct qube__relay *r)
{
	struct bcall *c = r->user;

	if (r->lost)
		host_side_over(c, -1, "the link was lost");
	else
		host_side_over(c, r->exit_code, "");
}

static int open_relay(struct bcall *c, struct qube__relay_opts *o, int fds[2])
{
	struct qube__transport *t;
	int r = qube__transport_pipe(&t, fds[0], fds[1]);

	if (r < 0) {
		for (int i = 0; i < QUBE__RELAY_ENDS; i++)
			qube__close_fd(&o->fd[i]);
		return r;
	}
	o->chan = t;
	o->user = c;
	o->done = on_relay_done;
	o->hello_ms = c->b->limits.connect_ms;
	o->quota = c->caller.guest ? &c->caller.guest->quota : &c->executor.guest->quota;
	return qube__relay_open(&c->relay, &c->b->pool, o);
}

static int connect_to_host(struct bcall *c, const struct qube__rpc_decision *d, const char *service,
			   const char *ident)
{
	/* With frames: a request that was cut off must not be taken for a whole one. */
	struct qube__relay_opts o = {
		.role = QUBE__QREXEC_EXECUTOR,
		.flags = QUBE__RELAY_PUSH,
		.fd = { -1, -1, -1, -1 },
		.push_max = HOST_OUTPUT_MAX,
		.sink = on_host_input,
	};
	int theirs[2];
	int ours[2];
	int r;

	c->service = qube__text_format("%s%s", service, strchr(service, '+') ? "" : "+");
	if (!c->service)
		return QUBE_E_NOMEM;
	snprintf(c->source, sizeof(c->source), "%s",
		 d->source[0] ? d->source : c->caller.guest->name);
	snprintf(c->target, sizeof(c->target), "%s", d->requested);
	r = qube__transport_channel(theirs, ours);
	if (r < 0)
		return r;
	channel_fit(c->caller.guest, theirs);
	r = open_relay(c, &o, ours);
	if (r < 0) {
		qube__close_fd(&theirs[0]);
		qube__close_fd(&theirs[1]);
		return r;
	}
	return send_params(c->caller.guest, QUBE__QREXEC_SERVICE_CONNECT, 0, c->port, ident,
			   theirs);
}

int qube__bcall_resume(struct bguest *g, uint32_t domain, uint32_t port, bool caller)
{
	struct bcall *c = calloc(1, sizeof(*c));

	if (!c)
		return QUBE_E_NOMEM;
	c->b = g->b;
	c->port = port;
	c->origin = QUBE__RPC_BY_GUEST;
	c->id = g->id;
	c->reported = caller || domain == 0;
	qube__list_init(&c->link);
	qube__list_init(&c->caller.link);
	qube__list_init(&c->executor.link);
	qube__buf_init(&c->input, HOST_INPUT_MAX);
	c->caller.call = c->executor.call = c;
	if (end_attach(caller ? &c->caller : &c->executor, c, g) < 0) {
		qube__bcall_free(c);
		return QUBE_E_LIMIT;
	}
	qube__list_append(&g->b->calls, &c->link);
	return 0;
}

static struct brequest *request_find(struct bguest *g, uint64_t id)
{
	struct qube__list *pos;

	if (!g)
		return NULL;
	qube__list_foreach (pos, &g->requests) {
		struct brequest *q = qube__container_of(pos, struct brequest, link);

		if (q->id == id)
			return q;
	}
	return NULL;
}

/* Reason for which the call cannot be, or NULL: it was started. */
static const char *start(struct qube__broker *b, struct bguest *g, const struct brequest *q,
			 const struct qube__rpc_decision *d)
{
	const char *service = d->service[0] ? d->service : q->service;
	char ident[QUBE__QREXEC_IDENT + 1] = { 0 };
	struct bguest *to = NULL;
	struct bcall *c;
	int r;

	memcpy(ident, q->ident, sizeof(q->ident));
	if (g->waiting)
		return "the caller has just come";
	if (d->target != QUBE__RPC_GUEST_HOST) {
		to = qube__bguest_find(b, d->target);
		if (!to || to == g || to->waiting || to->state != QUBE__QREXEC_AT_WORK)
			return "the target is not connected";
	}
	c = call_create(b, g, to);
	if (!c)
		return "too many calls";
	c->origin = QUBE__RPC_BY_REQUEST;
	c->id = q->id;
	c->flags = d->flags;
	r = to ? connect_guests(c, d, service, ident) : connect_to_host(c, d, service, ident);
	if (r < 0) {
		c->reported = true;
		qube__bcall_free(c);
		return "the channel could not be made";
	}
	return NULL;
}

void qube__bcall_decide(struct qube__broker *b, const struct qube__rpc_decision *d)
{
	struct bguest *g = qube__bguest_find(b, (uint32_t)(d->request >> 32));
	struct brequest *q = request_find(g, d->request);
	const char *why = "";

	if (!q) {
		if (d->verdict == QUBE__RPC_ALLOW)
			report_failed(b, QUBE__RPC_BY_REQUEST, d->request, d->flags,
				      "the caller is gone");
		return;
	}
	if (d->verdict == QUBE__RPC_ALLOW)
		why = start(b, g, q, d);
	if (why && !g->dead)
		qube__bguest_refuse(g, q->ident);
	if (why && d->verdict == QUBE__RPC_ALLOW)
		report_failed(b, QUBE__RPC_BY_REQUEST, d->request, d->flags, why);
	/* A guest that ended meanwhile keeps its requests until it is reaped. */
	qube__brequest_free(g, q);
}

static char *host_command(const struct bguest *g, const char *command)
{
	static const char def[] = "DEFAULT:";

	if (strncmp(command, def, sizeof(def) - 1) == 0)
		return qube__text_format("%s:%s", g->user, command + sizeof(def) - 1);
	return qube__text_format("%s", command);
}

static int host_connect(struct bcall *c, const struct qube__rpc_host_call *h, int fds[3])
{
	bool plain = c->executor.guest->plain && !h->just_exec;
	struct qube__relay_opts o = {
		.role = QUBE__QREXEC_CALLER,
		.flags = QUBE__RELAY_RESTORE | (plain ? (uint32_t)QUBE__RELAY_PLAIN : 0),
		.fd = { -1, -1, -1, -1 },
	};
	qube__autofree char *command = host_command(c->executor.guest, h->command);
	uint32_t unwanted = 0;
	int theirs[2];
	int ours[2];
	int r = command ? qube__transport_channel(ours, theirs) : QUBE_E_NOMEM;

	if (r < 0)
		return r;
	if (plain && c->executor.guest->takes_unwanted)
		unwanted = (fds[1] < 0 ? QUBE__QREXEC_NO_OUTPUT : 0) |
			   (fds[2] < 0 ? QUBE__QREXEC_NO_ERRORS : 0);
	o.fd[QUBE__RELAY_IN] = qube__steal_fd(&fds[0]);
	o.fd[QUBE__RELAY_OUT] = qube__steal_fd(&fds[1]);
	o.fd[QUBE__RELAY_OUT_ERR] = qube__steal_fd(&fds[2]);
	r = open_relay(c, &o, ours);
	if (r < 0) {
		qube__close_fd(&theirs[0]);
		qube__close_fd(&theirs[1]);
		return r;
	}
	return send_params(c->executor.guest,
			   h->just_exec ? QUBE__QREXEC_JUST_EXEC :
			   plain	? QUBE__QREXEC_EXEC_PLAIN :
					  QUBE__QREXEC_EXEC_CMDLINE,
			   0, c->port | unwanted, command, theirs);
}

void qube__bcall_host(struct qube__broker *b, const struct qube__rpc_host_call *h, int fds[3])
{
	struct bguest *g = qube__bguest_find(b, h->guest);
	struct bcall *c = NULL;
	const char *why = NULL;

	if (qube__fault_fails(QUBE__FAULT_BROKER_CALL) || !g || g->waiting ||
	    g->state != QUBE__QREXEC_AT_WORK)
		why = "the qube is not connected";
	if (!why) {
		c = call_create(b, NULL, g);
		why = c ? NULL : "too many calls";
	}
	if (c) {
		c->origin = QUBE__RPC_BY_CALL;
		c->id = h->call;
		if (host_connect(c, h, fds) == 0)
			return;
		c->reported = true;
		qube__bcall_free(c);
		why = "the channel could not be made";
	}
	for (int i = 0; i < 3; i++)
		qube__close_fd(&fds[i]);
	report_failed(b, QUBE__RPC_BY_CALL, h->call, 0, why);
}

static struct bcall *call_find(struct qube__broker *b, uint32_t origin, uint64_t id)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &b->calls) {
		struct bcall *c = qube__container_of(pos, struct bcall, link);

		if (c->id == id && c->origin == origin)
			return c;
	}
	return NULL;
}

void qube__bcall_reply(struct qube__broker *b, const struct qube__rpc_host_service_reply *s)
{
	struct bcall *c = call_find(b, QUBE__RPC_BY_REQUEST, s->request);

	if (!c || !c->relay || !c->asked)
		return;
	if (s->len && qube__relay_push(c->relay, s->data, s->len) < 0) {
		host_side_over(c, -1, "the caller does not read the answer");
		return;
	}
	if (s->more)
		return;
	qube__relay_push_end(c->relay);
	qube__relay_exit(c->relay, s->exit_code);
}

void qube__bcall_cancel(struct qube__broker *b, uint32_t origin, uint64_t id)
{
	struct bcall *c = call_find(b, origin, id);

	/* Between guests there is nothing of the host's to take away. */
	if (c && c->relay)
		host_side_over(c, -1, "canceled");
}

static void end_over(struct bend *e, const char *reason)
{
	struct bcall *c = e->call;
	bool was_caller = e == &c->caller;
	bool between = other_end(e)->guest || !c->relay;

	end_detach(e);
	/* The host executes, and its caller is gone. A host that calls reads the rest first. */
	if (c->relay && was_caller) {
		host_side_over(c, -1, "the caller is gone");
		return;
	}
	if (c->relay)
		return;
	if (between && !was_caller)
		report(c, -1, reason);
	if (!c->caller.open && !c->executor.open) {
		report(c, -1, reason);
		qube__bcall_free(c);
	}
}

void qube__bcall_terminated(struct bguest *g, uint32_t domain, uint32_t port)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &g->calls) {
		struct bend *e = qube__container_of(pos, struct bend, link);

		/* The other side may be gone; its number is then not known any more. */
		if (e->call->port == port &&
		    (!other_end(e)->open || end_domain(other_end(e)) == domain)) {
			end_over(e, "");
			return;
		}
	}
}

void qube__bcall_guest_gone(struct bguest *g)
{
	while (!qube__list_empty(&g->calls)) {
		struct bend *e = qube__container_of(g->calls.next, struct bend, link);
		struct bcall *c = e->call;

		if (c->relay && e == &c->executor) {
			end_detach(e);
			host_side_over(c, -1, "the qube is gone");
		} else {
			end_over(e, "the qube is gone");
		}
	}
}
