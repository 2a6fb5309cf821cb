/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Between core and the broker. */
#include "rpc/proto.h"

#include "base/cleanup.h"
#include "base/coder.h"
#include "base/error.h"
#include "base/io.h"
#include "wire/qrexec.h"

#include <sys/socket.h>

static void id64(struct qube__coder *c, uint64_t *v)
{
	qube__coder_u64(c, v);
	if (!*v)
		c->bad = true;
}

static void guest_id(struct qube__coder *c, uint32_t *v)
{
	qube__coder_choice(c, v, 1, UINT32_MAX);
}

static void origin(struct qube__coder *c, uint32_t *v)
{
	qube__coder_choice(c, v, QUBE__RPC_BY_REQUEST, QUBE__RPC_BY_GUEST);
}

static void decision(struct qube__coder *c, struct qube__rpc_decision *d)
{
	id64(c, &d->request);
	qube__coder_choice(c, &d->verdict, QUBE__RPC_ALLOW, QUBE__RPC_FAIL);
	qube__coder_u32(c, &d->target);
	qube__coder_choice(c, &d->flags, 0, QUBE__RPC_DISPOSE);
	qube__coder_text(c, &d->user, QUBE__RPC_NAME_MAX);
	qube__coder_text(c, &d->service, QUBE__QREXEC_SERVICE_MAX);
	qube__coder_text(c, &d->source, QUBE__RPC_NAME_MAX);
	qube__coder_text(c, &d->requested, QUBE__RPC_NAME_MAX);
}

static void decide(struct qube__coder *c, struct qube__rpc_decide *d)
{
	id64(c, &d->request);
	guest_id(c, &d->guest);
	qube__coder_text(c, &d->target, QUBE__RPC_NAME_MAX);
	qube__coder_text(c, &d->source, QUBE__RPC_NAME_MAX);
	qube__coder_text(c, &d->service, QUBE__QREXEC_NAME_MAX + 1);
	qube__coder_text(c, &d->argument, QUBE__QREXEC_SERVICE_MAX);
	qube__coder_flag(c, &d->has_argument);
	if (c->writing || c->bad || c->r.bad)
		return;
	/* The broker checked these; core does not take its word. */
	if (!qube__qrexec_service_ok(d->service, strlen(d->service)) || strchr(d->service, '+') ||
	    (!d->has_argument && d->argument[0]) ||
	    !qube__qrexec_target_ok(d->target, strlen(d->target)) ||
	    !qube__qrexec_target_ok(d->source, strlen(d->source)))
		c->bad = true;
	for (const char *p = d->argument; *p; p++) {
		char probe[2] = { 'x', *p };

		if (!qube__qrexec_service_ok(probe, 2))
			c->bad = true;
	}
}

static void host_service(struct qube__coder *c, struct qube__rpc_host_service *s)
{
	id64(c, &s->request);
	guest_id(c, &s->guest);
	qube__coder_text(c, &s->service, QUBE__QREXEC_SERVICE_MAX + 1);
	qube__coder_text(c, &s->source, QUBE__RPC_NAME_MAX);
	qube__coder_text(c, &s->target, QUBE__RPC_NAME_MAX);
	qube__coder_bytes(c, &s->data, &s->len, QUBE__RPC_CHUNK_MAX);
	if (!c->writing && !c->bad && !c->r.bad &&
	    (!qube__qrexec_service_ok(s->service, strlen(s->service)) ||
	     !qube__qrexec_target_ok(s->source, strlen(s->source)) ||
	     !qube__qrexec_target_ok(s->target, strlen(s->target))))
		c->bad = true;
}

static void fields_to_broker(struct qube__coder *c, struct qube__rpc_msg *m)
{
	switch (m->type) {
	case QUBE__RPC_GUEST_ADD:
		guest_id(c, &m->guest_add.guest);
		guest_id(c, &m->guest_add.qid);
		qube__coder_text(c, &m->guest_add.name, QUBE__RPC_NAME_MAX);
		qube__coder_text(c, &m->guest_add.user, QUBE__RPC_NAME_MAX);
		qube__coder_flag(c, &m->guest_add.tells_calls);
		qube__coder_flag(c, &m->guest_add.vchan);
		break;
	case QUBE__RPC_GUEST_DEL:
		guest_id(c, &m->guest_del.guest);
		break;
	case QUBE__RPC_DOMAIN_GONE:
		guest_id(c, &m->domain_gone.qid);
		break;
	case QUBE__RPC_DECISION:
		decision(c, &m->decision);
		break;
	case QUBE__RPC_HOST_CALL:
		id64(c, &m->host_call.call);
		guest_id(c, &m->host_call.guest);
		qube__coder_flag(c, &m->host_call.just_exec);
		qube__coder_choice(c, &m->host_call.streams, 0, m->host_call.just_exec ? 0 : 7);
		qube__coder_text(c, &m->host_call.command, QUBE__QREXEC_COMMAND_MAX + 1);
		break;
	case QUBE__RPC_CALL_CANCEL:
		origin(c, &m->call_cancel.origin);
		id64(c, &m->call_cancel.id);
		break;
	case QUBE__RPC_HOST_SERVICE_REPLY:
		id64(c, &m->host_service_reply.request);
		qube__coder_flag(c, &m->host_service_reply.more);
		qube__coder_i32(c, &m->host_service_reply.exit_code);
		qube__coder_bytes(c, &m->host_service_reply.data, &m->host_service_reply.len,
				  QUBE__RPC_CHUNK_MAX);
		break;
	default:
		c->bad = true;
	}
}

static void fields(struct qube__coder *c, struct qube__rpc_msg *m)
{
	switch (m->type) {
	case QUBE__RPC_GUEST_UP:
		guest_id(c, &m->guest_up.guest);
		qube__coder_u32(c, &m->guest_up.version);
		qube__coder_u32(c, &m->guest_up.calls);
		break;
	case QUBE__RPC_GUEST_DOWN:
		guest_id(c, &m->guest_down.guest);
		qube__coder_text(c, &m->guest_down.reason, QUBE__RPC_REASON_MAX);
		break;
	case QUBE__RPC_DECIDE:
		decide(c, &m->decide);
		break;
	case QUBE__RPC_CALL_END:
		origin(c, &m->call_end.origin);
		id64(c, &m->call_end.id);
		qube__coder_u32(c, &m->call_end.flags);
		qube__coder_i32(c, &m->call_end.exit_code);
		qube__coder_text(c, &m->call_end.reason, QUBE__RPC_REASON_MAX);
		break;
	case QUBE__RPC_HOST_SERVICE:
		host_service(c, &m->host_service);
		break;
	case QUBE__RPC_CHANNEL:
		guest_id(c, &m->channel.guest);
		qube__coder_choice(c, &m->channel.port, QUBE__QREXEC_PORT_FIRST,
				   QUBE__QREXEC_PORT_LAST);
		qube__coder_flag(c, &m->channel.server);
		break;
	default:
		fields_to_broker(c, m);
	}
}

size_t qube__rpc_fds(const struct qube__rpc_msg *msg)
{
	if (msg->type == QUBE__RPC_GUEST_ADD)
		return 1;
	if (msg->type == QUBE__RPC_HOST_CALL)
		return (size_t)__builtin_popcount(msg->host_call.streams);
	if (msg->type == QUBE__RPC_CHANNEL)
		return 2;
	return 0;
}

int qube__rpc_parse(struct qube__rpc_msg *out, const void *untrusted, size_t len, size_t n_fds)
{
	struct qube__coder c = { .r = qube__rd_init(untrusted, len) };
	struct qube__rpc_msg m;

	memset(&m, 0, sizeof(m));
	m.type = qube__rd_le32(&c.r);
	if (c.r.bad)
		return QUBE_E_PROTO;
	fields(&c, &m);
	if (c.bad || !qube__rd_done(&c.r) || qube__rpc_fds(&m) != n_fds)
		return QUBE_E_PROTO;
	*out = m;
	return 0;
}

int qube__rpc_encode(void *out, size_t cap, const struct qube__rpc_msg *msg)
{
	struct qube__coder c = { .writing = true, .w = qube__wr_init(out, cap) };
	struct qube__rpc_msg m = *msg;

	qube__wr_le32(&c.w, m.type);
	fields(&c, &m);
	if (c.bad)
		return QUBE_E_INVALID;
	if (c.w.bad)
		return QUBE_E_LIMIT;
	return (int)c.w.len;
}

int qube__rpc_send(int sock, const struct qube__rpc_msg *msg, const int *fds)
{
	uint8_t small[1024];
	qube__autofree uint8_t *large = NULL;
	uint8_t *packet = small;
	ssize_t n;
	int len = qube__rpc_encode(small, sizeof(small), msg);

	if (len == QUBE_E_LIMIT) {
		packet = large = malloc(QUBE__RPC_MSG_MAX);
		if (!large)
			return QUBE_E_NOMEM;
		len = qube__rpc_encode(large, QUBE__RPC_MSG_MAX, msg);
	}
	if (len < 0)
		return len;
	n = qube__io_send_fds(sock, packet, (size_t)len, fds, qube__rpc_fds(msg));
	return n < 0 ? (int)n : 0;
}

int qube__rpc_recv(int sock, struct qube__rpc_msg *out, void *buf, size_t cap,
		   int fds[QUBE__RPC_FDS_MAX])
{
	int got[QUBE__RPC_FDS_MAX];
	size_t n_fds = QUBE__RPC_FDS_MAX;
	ssize_t n = qube__io_recv_fds(sock, buf, cap, got, &n_fds);
	int r;

	if (n <= 0)
		return n < 0 ? (int)n : QUBE_E_CLOSED;
	r = qube__rpc_parse(out, buf, (size_t)n, n_fds);
	for (size_t i = 0; i < QUBE__RPC_FDS_MAX; i++) {
		if (r < 0 && i < n_fds)
			qube__close_fd(&got[i]);
		else if (r == 0)
			fds[i] = i < n_fds ? got[i] : -1;
	}
	return r;
}

int qube__rpc_pair(int sv[2])
{
	int pair[2];
	/* The default differs between machines; a packet must fit whole. */
	int room = 2 * QUBE__RPC_MSG_MAX;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return qube__fail_os("cannot make the broker's socket pair");
	for (int i = 0; i < 2; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	memcpy(sv, pair, sizeof(pair));
	return 0;
}
