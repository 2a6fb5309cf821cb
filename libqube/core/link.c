/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The host's end of the broker link (rpc/proto.h): guests come and go, calls from the host, and
 * what the broker asks. The broker may be a process that a guest took over: ids and names are
 * looked up, never believed. */
#include "core/host.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"
#include "wire/names.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum {
	OUTBOX_MAX = 4096,
	/* Messages a turn: each may hold 64 KiB of a guest's, and everybody else waits meanwhile.
	 */
	BATCH = 4,
	SOON_MS = 2000,	 /* a broker that lived shorter was of no use */
	AGAIN_MS = 5000, /* until the next one, after some such */
};

struct packet {
	struct qube__list link;
	size_t len;
	size_t n_fds;
	int fds[QUBE__RPC_FDS_MAX];
	uint8_t data[];
};

/* A call from the host. */
struct qube__call {
	struct qube__list link;
	struct qube__waiter started;
	struct qube__host *host;
	uint64_t id;
	qube_op *op;
	bool sent;
	bool just_exec;
	uint32_t guest;
	char vm_name[QUBE__NAME_MAX + 1];
	char *command;
	int fds[3];
};

static void link_lost(struct qube__host *h, const char *why);
static void on_broker_again(struct qube__timer *t);

/* --- sending --- */

static void packet_free(struct packet *p)
{
	for (size_t i = 0; i < p->n_fds; i++)
		close(p->fds[i]);
	qube__list_remove(&p->link);
	free(p);
}

static int enqueue(struct qube__host *h, const uint8_t *data, size_t len, const int *fds, size_t n)
{
	struct packet *p;

	if (h->n_outbox == OUTBOX_MAX)
		return qube__fail(QUBE_E_LIMIT, "the broker does not read");
	p = calloc(1, sizeof(*p) + len);
	if (!p)
		return qube__fail_nomem();
	qube__list_init(&p->link);
	memcpy(p->data, data, len);
	p->len = len;
	for (size_t i = 0; i < n; i++) {
		p->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (p->fds[i] < 0) {
			packet_free(p);
			return qube__fail_os("cannot duplicate a descriptor");
		}
		p->n_fds++;
	}
	qube__list_append(&h->outbox, &p->link);
	h->n_outbox++;
	return qube__source_set(&h->ctx.loop, &h->sock_source, EPOLLIN | EPOLLOUT);
}

static void flush(struct qube__host *h)
{
	while (!qube__list_empty(&h->outbox)) {
		struct packet *p = qube__container_of(h->outbox.next, struct packet, link);
		ssize_t n = qube__io_send_fds(h->sock, p->data, p->len, p->fds, p->n_fds);

		if (n == QUBE_E_AGAIN)
			return;
		packet_free(p);
		h->n_outbox--;
		if (n < 0)
			return; /* the reading side will notice */
	}
	qube__source_set(&h->ctx.loop, &h->sock_source, EPOLLIN);
}

int qube__link_send(struct qube__host *h, const struct qube__rpc_msg *msg, const int *fds)
{
	qube__autofree uint8_t *data = malloc(QUBE__RPC_MSG_MAX);
	size_t n_fds = qube__rpc_fds(msg);
	ssize_t sent;
	int len;

	if (!data)
		return qube__fail_nomem();
	if (h->sock < 0)
		return qube__fail(QUBE_E_CLOSED, "there is no broker");
	len = qube__rpc_encode(data, QUBE__RPC_MSG_MAX, msg);
	if (len < 0)
		return qube__fail(len, "a message to the broker is too long");
	if (!qube__list_empty(&h->outbox))
		return enqueue(h, data, (size_t)len, fds, n_fds);
	sent = qube__io_send_fds(h->sock, data, (size_t)len, fds, n_fds);
	if (sent == QUBE_E_AGAIN)
		return enqueue(h, data, (size_t)len, fds, n_fds);
	if (sent < 0)
		return qube__fail((int)sent, "the broker is gone");
	return 0;
}

/* --- guests --- */

int qube__link_guest_add(struct qube__host *h, struct qube__run *r, int control_fd)
{
	struct qube__prop_value user;
	struct qube__rpc_msg msg = { .type = QUBE__RPC_GUEST_ADD };
	int ret;

	qube__vm_prop_read(&user, r->vm, QUBE__PROP_DEFAULT_USER);
	r->answers = false;
	r->guest = ++h->next_guest ? h->next_guest : ++h->next_guest;
	msg.guest_add = (struct qube__rpc_guest_add){
		.guest = r->guest,
		.qid = h->ops->domain ? h->ops->domain(r->machine) : r->vm->qid,
		.name = r->vm->name,
		.user = user.text && *user.text ? user.text : "root",
		.tells_calls = h->ops->tells_calls,
		.vchan = h->ops->channel != NULL,
	};
	ret = qube__link_send(h, &msg, &control_fd);
	if (ret < 0)
		r->guest = 0;
	return ret;
}

void qube__link_guest_del(struct qube__host *h, struct qube__run *r)
{
	struct qube__rpc_msg msg = {
		.type = QUBE__RPC_GUEST_DEL,
		.guest_del = { .guest = r->guest },
	};

	r->guest = 0;
	qube__link_send(h, &msg, NULL);
}

void qube__link_domain_gone(struct qube__host *h, const struct qube__run *r)
{
	struct qube__rpc_msg msg = { .type = QUBE__RPC_DOMAIN_GONE };

	if (!h->ops->channel || r->vm->xid <= 0 || r->vm->xid > UINT32_MAX)
		return;
	msg.domain_gone.qid = (uint32_t)r->vm->xid;
	qube__link_send(h, &msg, NULL);
}

/* --- calls from the host --- */

static void call_free(struct qube__call *c)
{
	qube__waiter_drop(&c->started);
	qube__list_remove(&c->link);
	for (int i = 0; i < 3; i++)
		qube__close_fd(&c->fds[i]);
	free(c->command);
	free(c);
}

/* code < 0: the thread's record says why. */
static void call_done(struct qube__call *c, int code, int exit_code)
{
	qube_op *op = c->op;

	call_free(c);
	op->exit_code = exit_code;
	qube__op_finish(op, code);
}

static struct qube__call *call_find(struct qube__host *h, uint64_t id)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &h->calls) {
		struct qube__call *c = qube__container_of(pos, struct qube__call, link);

		if (c->id == id)
			return c;
	}
	return NULL;
}

static int call_send(struct qube__call *c, struct qube__run *r)
{
	struct qube__rpc_msg msg = {
		.type = QUBE__RPC_HOST_CALL,
		.host_call = {
			.call = c->id,
			.guest = r->guest,
			.just_exec = c->just_exec,
			.command = c->command,
		},
	};
	int fds[3];
	size_t n = 0;
	int ret;

	for (int i = 0; i < 3; i++) {
		if (c->fds[i] < 0)
			continue;
		fds[n++] = c->fds[i];
		msg.host_call.streams |= 1u << i;
	}
	qube__op_stage(c->op, "call");
	if (!qube__life_has_agent(r) && c->host->ops->isolation != QUBE__ISOLATION_NONE)
		return qube__fail(QUBE_E_NOTSUP, "'%s' has no agent: its feature qrexec is off",
				  r->vm->name);
	if (!r->guest)
		return qube__fail(QUBE_E_CLOSED, "'%s' has no agent that answers", r->vm->name);
	ret = qube__link_send(c->host, &msg, fds);
	if (ret < 0)
		return ret;
	c->sent = true;
	c->guest = r->guest;
	for (int i = 0; i < 3; i++)
		qube__close_fd(&c->fds[i]);
	return 0;
}

static void on_started(struct qube__waiter *w, int code)
{
	struct qube__call *c = qube__container_of(w, struct qube__call, started);
	struct qube__vm *vm;

	qube__list_init(&c->started.link);
	if (code == 0) {
		vm = qube__model_vm(c->host->model, c->vm_name);
		if (!vm || !vm->run)
			code = qube__fail(QUBE_E_CLOSED, "'%s' is gone", c->vm_name);
		else if (vm->state == QUBE__STATE_PAUSED)
			code = qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_RUNNING,
						 "'%s' is paused", c->vm_name);
		else
			code = call_send(c, vm->run);
	}
	if (code < 0)
		call_done(c, code, -1);
}

static int cancel_call(qube_op *op)
{
	struct qube__call *c = op->work;
	struct qube__rpc_msg msg = {
		.type = QUBE__RPC_CALL_CANCEL,
		.call_cancel = { .origin = QUBE__RPC_BY_CALL, .id = c->id },
	};

	if (c->sent)
		qube__link_send(c->host, &msg, NULL);
	qube__fail(QUBE_E_CANCELED, "the call was canceled");
	call_done(c, QUBE_E_CANCELED, -1);
	return 0;
}

static bool user_ok(const char *user)
{
	return strlen(user) < 32 &&
	       strspn(user, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
		       strlen(user);
}

static int command_of(char **out, const struct qube_call_opts *o)
{
	const char *user = o->user && *o->user ? o->user : "DEFAULT";

	if (!o->service == !o->command)
		return qube__fail(QUBE_E_INVALID, "one of service and command must be given");
	if (!user_ok(user))
		return qube__fail(QUBE_E_INVALID, "a user name outside the alphabet");
	if (o->service && !qube__name_is_descriptor(o->service, strlen(o->service)))
		return qube__fail(QUBE_E_INVALID, "a service name outside the alphabet");
	if (o->service)
		*out = qube__text_format("%s:QUBESRPC %s%s dom0", user, o->service,
					 strchr(o->service, '+') ? "" : "+");
	else
		*out = qube__text_format("%s:%s", user, o->command);
	if (!*out)
		return qube__fail_nomem();
	if (strlen(*out) > 65000) {
		free(*out);
		return qube__fail(QUBE_E_LIMIT, "a command of more than 65,000 bytes");
	}
	return 0;
}

int qube__link_call(struct qube__host *h, struct qube__vm *vm, const struct qube_call_opts *o,
		    qube_op *op)
{
	const int given[3] = { o->stdin_fd, o->stdout_fd, o->stderr_fd };
	struct qube__call *c;
	char *command = NULL;
	int ret;

	if (vm->vm_class == QUBE__CLASS_ADMIN)
		return qube__fail(QUBE_E_NOTSUP, "the host itself is not called");
	ret = command_of(&command, o);
	if (ret < 0)
		return ret;
	c = calloc(1, sizeof(*c));
	if (!c) {
		free(command);
		return qube__fail_nomem();
	}
	*c = (struct qube__call){
		.host = h,
		.id = ++h->next_call,
		.op = op,
		.just_exec = o->flags & QUBE_CALL_JUST_EXEC,
		.command = command,
		.fds = { -1, -1, -1 },
		.started = { .fn = on_started },
	};
	qube__list_init(&c->started.link);
	qube__list_append(&h->calls, &c->link);
	qube__text_copy(c->vm_name, sizeof(c->vm_name), vm->name);
	for (int i = 0; !c->just_exec && i < 3; i++) {
		if (given[i] < 0)
			continue;
		c->fds[i] = fcntl(given[i], F_DUPFD_CLOEXEC, 3);
		if (c->fds[i] < 0) {
			ret = qube__fail_os("cannot duplicate a descriptor of the call");
			call_free(c);
			return ret;
		}
	}
	op->work = c;
	op->cancel = cancel_call;
	if (vm->state == QUBE__STATE_RUNNING && qube__life_wait_for_agent(vm->run, &c->started))
		return 0;
	if (vm->state == QUBE__STATE_RUNNING)
		ret = call_send(c, vm->run);
	else if (o->flags & QUBE_CALL_NO_START)
		ret = qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_RUNNING, "'%s' does not run",
					vm->name);
	else if (vm->state == QUBE__STATE_PAUSED)
		ret = qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_RUNNING, "'%s' is paused",
					vm->name);
	else
		ret = qube__life_start(h, vm, &c->started, 0, op);
	if (ret < 0) {
		op->work = NULL;
		op->cancel = NULL;
		call_free(c);
	}
	return ret;
}

static void on_call_end(struct qube__host *h, const struct qube__rpc_call_end *e)
{
	struct qube__call *c = call_find(h, e->id);

	if (!c || !c->sent)
		return;
	if (e->exit_code >= 0 && e->exit_code <= 255 && !*e->reason) {
		call_done(c, 0, e->exit_code);
		return;
	}
	qube__fail(QUBE_E_CLOSED, "the call into '%s' ended without an exit code: %s", c->vm_name,
		   *e->reason ? e->reason : "the link was lost");
	call_done(c, QUBE_E_CLOSED, -1);
}

/* --- calls to the host --- */

void qube__host_service_reply(struct qube__host *h, uint64_t request, const void *data, size_t len,
			      int exit_code)
{
	const uint8_t *p = data;

	do {
		size_t n = len > QUBE__RPC_CHUNK_MAX ? QUBE__RPC_CHUNK_MAX : len;
		struct qube__rpc_msg msg = {
			.type = QUBE__RPC_HOST_SERVICE_REPLY,
			.host_service_reply = {
				.request = request,
				.more = len > n,
				.exit_code = exit_code,
				.data = p,
				.len = n,
			},
		};

		if (qube__link_send(h, &msg, NULL) < 0)
			return;
		p += n;
		len -= n;
	} while (len);
}

static void on_host_service(struct qube__host *h, const struct qube__rpc_host_service *s)
{
	struct qube__run *r = qube__life_find_guest(h, s->guest);
	struct qube__host_service call = {
		.request = s->request,
		.service = s->service,
		.target = s->target,
		.data = s->data,
		.len = s->len,
	};

	if (!r || !h->service) {
		qube__host_service_reply(h, s->request, NULL, 0, 127);
		return;
	}
	/* A broker that was taken over must not call what no policy allowed. */
	if (!qube__ask_claim(h, s)) {
		qube__ctx_log(&h->ctx, 2, "a call of '%s' to the host that nobody allowed",
			      r->vm->name);
		qube__host_service_reply(h, s->request, NULL, 0, 126);
		return;
	}
	/* Who calls is what we know of the guest, not what the broker says. */
	call.source = r->vm->name;
	h->service(h, &call);
}

/* --- receiving --- */

/* A call that was there before this broker; of a bound disposable, its own. */
static void on_resumed_end(struct qube__host *h, const struct qube__rpc_call_end *e)
{
	struct qube__run *r =
		e->id <= UINT32_MAX ? qube__life_find_guest(h, (uint32_t)e->id) : NULL;

	if (r)
		qube__ask_bound(r, 0);
}

/* The descriptors are of the broker's making: they are handed to a process without rights. */
static void on_channel(struct qube__host *h, const struct qube__rpc_channel *c, const int fds[2])
{
	struct qube__run *r = qube__life_find_guest(h, c->guest);

	if (r && h->ops->channel && h->ops->channel(r->machine, c->port, c->server, fds) < 0)
		qube__ctx_log(&h->ctx, 4, "no channel to '%s': %s", r->vm->name,
			      qube_error_last()->message);
}

static void on_message(struct qube__host *h, const struct qube__rpc_msg *m, const int *fds)
{
	struct qube__run *r;

	switch (m->type) {
	case QUBE__RPC_GUEST_UP:
		r = qube__life_find_guest(h, m->guest_up.guest);
		if (r)
			qube__life_guest_up(r);
		if (r)
			qube__ask_bound(r, m->guest_up.calls);
		break;
	case QUBE__RPC_GUEST_DOWN:
		r = qube__life_find_guest(h, m->guest_down.guest);
		if (r)
			qube__life_guest_down(r, m->guest_down.reason);
		break;
	case QUBE__RPC_DECIDE:
		qube__ask_decide(h, &m->decide);
		break;
	case QUBE__RPC_CALL_END:
		if (m->call_end.origin == QUBE__RPC_BY_CALL)
			on_call_end(h, &m->call_end);
		else if (m->call_end.origin == QUBE__RPC_BY_GUEST)
			on_resumed_end(h, &m->call_end);
		else
			qube__ask_ended(h, &m->call_end);
		break;
	case QUBE__RPC_HOST_SERVICE:
		on_host_service(h, &m->host_service);
		break;
	case QUBE__RPC_CHANNEL:
		on_channel(h, &m->channel, fds);
		break;
	default:
		break; /* the parser lets none of core's own through to here */
	}
}

static void on_sock(struct qube__source *s, uint32_t revents)
{
	struct qube__host *h = qube__container_of(s, struct qube__host, sock_source);

	if (revents & EPOLLOUT)
		flush(h);
	for (int n = 0; n < BATCH && h->sock >= 0; n++) {
		struct qube__rpc_msg msg;
		int fds[QUBE__RPC_FDS_MAX];
		int ret = qube__rpc_recv(h->sock, &msg, h->packet, QUBE__RPC_MSG_MAX, fds);

		if (ret == QUBE_E_AGAIN)
			return;
		if (ret < 0) {
			link_lost(h, ret == QUBE_E_PROTO ? "it broke the protocol" : "it is gone");
			return;
		}
		on_message(h, &msg, fds);
		for (int i = 0; i < QUBE__RPC_FDS_MAX; i++)
			qube__close_fd(&fds[i]);
	}
	if (h->sock >= 0)
		qube__source_again(&h->ctx.loop, s);
}

/* --- open and close --- */

static int start_broker(struct qube__host *h, int sock)
{
	const char *const argv[] = { h->broker_program, "--broker", NULL };
	int fds[4] = { -1, -1, 2, sock };
	struct qube__spawn s = {
		.path = h->broker_program,
		.argv = argv,
		.fds = fds,
		.n_fds = 4,
		.flags = QUBE__SPAWN_SETSID,
	};

	if (h->broker_fd < 0)
		h->broker_fd = open(h->broker_program, O_PATH | O_CLOEXEC);
	if (h->broker_fd < 0)
		return qube__fail_os("cannot start %s", h->broker_program);
	s.exec_fd = h->broker_fd;
	return qube__spawn(&h->broker_child, &s);
}

int qube__link_open(struct qube__host *h)
{
	int pair[2];
	int ret = qube__rpc_pair(pair);

	if (ret < 0)
		return ret;
	if (!h->broker_again.fn)
		qube__timer_init(&h->broker_again, on_broker_again);
	h->broker_ms = qube__now_ms();
	if (!h->packet)
		h->packet = malloc(QUBE__RPC_MSG_MAX);
	if (!h->packet) {
		ret = qube__fail_nomem();
	} else if (h->broker_program) {
		ret = start_broker(h, pair[1]);
		h->broker_spawned = ret == 0;
		close(pair[1]);
	} else {
		ret = qube__broker_create(&h->broker, &h->ctx.loop, pair[1], NULL);
	}
	if (ret == 0)
		ret = qube__source_add(&h->ctx.loop, &h->sock_source, pair[0], EPOLLIN, on_sock);
	if (ret < 0) {
		close(pair[0]);
		return ret;
	}
	h->sock = pair[0];
	return 0;
}

/* It ends by itself when its socket closes; one that does not is not waited for. */
static void end_broker(struct qube__host *h)
{
	struct pollfd p = { .fd = h->broker_child.pidfd, .events = POLLIN };

	if (poll(&p, 1, 1000) != 1)
		syscall(SYS_pidfd_send_signal, h->broker_child.pidfd, SIGKILL, NULL, 0);
	qube__child_reap(&h->broker_child);
	h->broker_spawned = false;
}

static void drop_link(struct qube__host *h)
{
	qube__source_remove(&h->ctx.loop, &h->sock_source);
	qube__close_fd(&h->sock);
	while (!qube__list_empty(&h->outbox))
		packet_free(qube__container_of(h->outbox.next, struct packet, link));
	h->n_outbox = 0;
	if (h->broker) {
		qube__broker_destroy(h->broker);
		h->broker = NULL;
	}
	if (h->broker_spawned)
		end_broker(h);
}

static void fail_calls(struct qube__host *h, int code, const char *why)
{
	struct qube__list *pos;
	struct qube__list *tmp;

	qube__list_foreach_safe (pos, tmp, &h->calls) {
		struct qube__call *c = qube__container_of(pos, struct qube__call, link);

		if (!c->sent && code != QUBE_E_CANCELED)
			continue; /* still waits for its qube */
		qube__fail(code, "the call into '%s' was lost: %s", c->vm_name, why);
		call_done(c, code, -1);
	}
}

static void relink(struct qube__host *h)
{
	struct qube__list *pos;

	if (qube__link_open(h) < 0) {
		qube__ctx_log(&h->ctx, 2, "no broker: %s", qube_error_last()->message);
		qube__timer_set(&h->ctx.loop, &h->broker_again, qube__now_ms() + AGAIN_MS);
		return;
	}
	qube__list_foreach (pos, &h->runs) {
		struct qube__run *r = qube__container_of(pos, struct qube__run, link);
		qube__autofd fd = -1;

		if (r->relink && !r->guest && !r->gone &&
		    h->ops->control_connect(r->machine, &fd) == 0)
			qube__link_guest_add(h, r, fd);
		r->relink = false;
	}
}

static void on_broker_again(struct qube__timer *t)
{
	relink(qube__container_of(t, struct qube__host, broker_again));
}

/* The broker is gone; the qubes run on. A new one takes their agents over. */
static void link_lost(struct qube__host *h, const char *why)
{
	uint64_t now = qube__now_ms();
	struct qube__list *pos;

	qube__ctx_log(&h->ctx, 3, "lost the broker: %s; starting another", why);
	drop_link(h);
	fail_calls(h, QUBE_E_CLOSED, why);
	qube__ask_close(h, true);
	qube__list_foreach (pos, &h->runs) {
		struct qube__run *r = qube__container_of(pos, struct qube__run, link);

		r->relink = r->relink || r->guest != 0;
		r->guest = 0;
	}
	h->broker_losses = now - h->broker_ms < SOON_MS ? h->broker_losses + 1 : 0;
	if (h->broker_losses < 3) {
		relink(h);
		return;
	}
	qube__ctx_log(&h->ctx, 3, "the broker ends again and again; the next one waits");
	qube__timer_set(&h->ctx.loop, &h->broker_again, now + AGAIN_MS);
}

void qube__link_close(struct qube__host *h)
{
	fail_calls(h, QUBE_E_CANCELED, "the host is closed");
	qube__ask_close(h, h->keep);
	if (h->broker_again.fn)
		qube__timer_stop(&h->ctx.loop, &h->broker_again);
	drop_link(h);
	free(h->packet);
	h->packet = NULL;
}
