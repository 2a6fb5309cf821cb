/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rig.h"

#include <qube/error.h>

#include "base/clock.h"
#include "base/io.h"
#include "transport/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <qube/broker.h>

#ifdef __SANITIZE_ADDRESS__
/* The sanitizer's runtime needs calls that a broker does not. */
#define JAIL_FLAGS QUBE_BROKER_NO_JAIL
#else
#define JAIL_FLAGS 0
#endif

bool rig_jailed;
bool rig_tells_calls;
bool rig_vchan;

int rig_send(struct rig *r, const struct qube__rpc_msg *m, const int *fds)
{
	return qube__rpc_send(r->sock, m, fds);
}

/* The policy: "deny.*" no, "host.*" the host, "fail.*" cannot be done, else the other qube. */
static void decide(struct rig *r, const struct qube__rpc_decide *d)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_DECISION };

	r->decides++;
	r->last_request = d->request;
	snprintf(r->decide_line, sizeof(r->decide_line), "%u|%s|%s|%s|%d|%s", d->guest, d->target,
		 d->source, d->service, d->has_argument, d->argument);
	if (r->hold)
		return;
	m.decision.request = d->request;
	m.decision.verdict = QUBE__RPC_ALLOW;
	m.decision.target = d->guest == 1 ? 2 : 1;
	m.decision.user = "root";
	if (strncmp(d->service, "deny.", 5) == 0) {
		m.decision.verdict = QUBE__RPC_DENY;
		m.decision.target = 0;
	} else if (strncmp(d->service, "fail.", 5) == 0) {
		m.decision.target = 77;
	} else if (strncmp(d->service, "host.", 5) == 0) {
		m.decision.target = QUBE__RPC_GUEST_HOST;
		m.decision.requested = "dom0";
	} else if (strncmp(d->service, "disp.", 5) == 0) {
		m.decision.flags = QUBE__RPC_DISPOSE;
		m.decision.service = "test.Echo+instead";
	}
	rig_send(r, &m, NULL);
}

static void host_service(struct rig *r, const struct qube__rpc_host_service *s)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_HOST_SERVICE_REPLY };
	static uint8_t chunk[32768];
	size_t left = r->reply_bytes ? r->reply_bytes : 3;

	snprintf(r->host_line, sizeof(r->host_line), "%u|%s|%s|%s", s->guest, s->service, s->source,
		 s->target);
	r->host_len = s->len;
	if (s->len < sizeof(r->host_data)) {
		if (s->len)
			memcpy(r->host_data, s->data, s->len);
		r->host_data[s->len] = '\0';
	}
	memset(chunk, 'z', sizeof(chunk));
	memcpy(chunk, "ok\n", 3);
	m.host_service_reply.request = s->request;
	m.host_service_reply.exit_code = 5;
	while (left) {
		size_t n = left < sizeof(chunk) ? left : sizeof(chunk);

		m.host_service_reply.data = chunk;
		m.host_service_reply.len = n;
		m.host_service_reply.more = n < left;
		if (rig_send(r, &m, NULL) == QUBE_E_AGAIN) {
			usleep(100);
			/* The broker is on this very loop. */
			qube__loop_dispatch(&r->loop, 0);
			continue;
		}
		left -= n;
	}
}

/* As a driver does. */
static void channel(struct rig *r, const struct qube__rpc_channel *c, const int *fds)
{
	char dir[96];
	const char *const env[] = { "VCHAN_DOMAIN=0", dir, NULL };
	struct qube__vchan v = { .path = QUBE_TEST_BIN_DIR "/qube-vchan",
				 .env = env,
				 .peer = c->guest + 100,
				 .port = c->port,
				 .server = c->server,
				 .ring = 65536,
				 .wait_s = 20 };

	snprintf(dir, sizeof(dir), "VCHAN_SOCKET_DIR=%s", r->dir);
	if (r->n_host_channels < 8 &&
	    qube__vchan_spawn(&r->host_channels[r->n_host_channels], &v, fds) == 0)
		r->n_host_channels++;
}

static void handle(struct rig *r, const struct qube__rpc_msg *m, const int *fds)
{
	switch (m->type) {
	case QUBE__RPC_GUEST_UP:
		r->up |= 1u << m->guest_up.guest;
		r->up_calls = m->guest_up.calls;
		break;
	case QUBE__RPC_GUEST_DOWN:
		r->down |= 1u << m->guest_down.guest;
		snprintf(r->down_reason, sizeof(r->down_reason), "%s", m->guest_down.reason);
		break;
	case QUBE__RPC_DECIDE:
		decide(r, &m->decide);
		break;
	case QUBE__RPC_CALL_END:
		r->ended++;
		r->end_code = m->call_end.exit_code;
		r->end_flags = m->call_end.flags;
		r->end_origin = m->call_end.origin;
		snprintf(r->end_reason, sizeof(r->end_reason), "%s", m->call_end.reason);
		break;
	case QUBE__RPC_HOST_SERVICE:
		host_service(r, &m->host_service);
		break;
	case QUBE__RPC_CHANNEL:
		channel(r, &m->channel, fds);
		break;
	default:
		break;
	}
}

static void on_core(struct qube__source *s, uint32_t revents)
{
	struct rig *r = qube__container_of(s, struct rig, core);
	struct qube__rpc_msg m;
	int fds[3];

	(void)revents;
	if (qube__rpc_recv(r->sock, &m, r->packet, QUBE__RPC_MSG_MAX, fds) < 0)
		return;
	handle(r, &m, fds);
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int add_guest(struct rig *r, uint32_t id, const char *name, int fd)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_GUEST_ADD };
	int n;

	m.guest_add.guest = id;
	m.guest_add.qid = id + 100;
	m.guest_add.name = name;
	m.guest_add.user = "root";
	m.guest_add.tells_calls = rig_tells_calls;
	m.guest_add.vchan = rig_vchan;
	n = rig_send(r, &m, &fd);
	close(fd);
	return n;
}

/* A root without a profile: of the one who runs the tests, what that starts is killed at any
 * moment, and what it locked stays so. */
static int put_passwd(const char *path, const char *home)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return -1;
	fprintf(f, "root:x:0:0:root:%s:/bin/sh\n", home);
	return fclose(f);
}

int rig_open(struct rig *r, bool agents, int raw[2], const struct qube__broker_limits *limits)
{
	static const char *const names[] = { "work", "vault" };
	char passwd[96];
	int sv[2];

	memset(r, 0, sizeof(*r));
	snprintf(r->dir, sizeof(r->dir), "/tmp/rig.XXXXXX");
	r->packet = malloc(QUBE__RPC_MSG_MAX);
	if (!r->packet || !mkdtemp(r->dir) || qube__loop_init(&r->loop) < 0 ||
	    qube__rpc_pair(sv) < 0)
		return -1;
	snprintf(passwd, sizeof(passwd), "%s/passwd", r->dir);
	if (put_passwd(passwd, r->dir) < 0)
		return -1;
	r->sock = sv[0];
	if (rig_jailed) {
		struct qube_broker_opts o = QUBE_BROKER_OPTS_INIT;

		o.flags = JAIL_FLAGS;
		o.uid = o.gid = 65534;
		r->broker_pid = fork();
		if (r->broker_pid == 0) {
			close(sv[0]);
			_exit(qube_broker_serve(sv[1], &o) == 0 ? 0 : 9);
		}
		close(sv[1]);
	} else if (qube__broker_create(&r->broker, &r->loop, sv[1], limits) < 0) {
		return -1;
	}
	qube__source_add(&r->loop, &r->core, r->sock, EPOLLIN, on_core);
	for (uint32_t i = 0; i < 2; i++) {
		char trigger[96];
		char conf[96];
		char domain[32];
		char sockets[96];
		const char *const env[] = { domain, sockets, NULL };
		struct qube__agent_opts o = { .service_path = r->dir,
					      .config_path = conf,
					      .passwd_file = passwd,
					      .trigger_socket = trigger };
		int pair[2];

		snprintf(trigger, sizeof(trigger), "%s/agent%u", r->dir, i);
		snprintf(domain, sizeof(domain), "VCHAN_DOMAIN=%u", i + 101);
		snprintf(sockets, sizeof(sockets), "VCHAN_SOCKET_DIR=%s", r->dir);
		if (rig_vchan) {
			o.vchan = QUBE_TEST_BIN_DIR "/qube-vchan";
			o.env = env;
		}
		snprintf(conf, sizeof(conf), "%s/conf", r->dir);
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return -1;
		if (add_guest(r, i + 1, names[i], pair[0]) < 0)
			return -1;
		o.control_fd = pair[1];
		if (!agents)
			raw[i] = pair[1];
		else if (qube__agent_create(&r->agent[i], &r->loop, &o) < 0)
			return -1;
	}
	while (agents && (r->up & 6) != 6)
		if (qube__loop_dispatch(&r->loop, 1000) < 0)
			return -1;
	return 0;
}

void rig_close(struct rig *r)
{
	char command[128];

	qube__agent_destroy(r->agent[0]);
	qube__agent_destroy(r->agent[1]);
	qube__broker_destroy(r->broker);
	for (size_t i = 0; i < r->n_host_channels; i++)
		qube__child_reap(&r->host_channels[i]);
	qube__source_remove(&r->loop, &r->core);
	close(r->sock);
	if (r->broker_pid)
		waitpid(r->broker_pid, &r->broker_status, 0);
	qube__loop_fini(&r->loop);
	free(r->packet);
	snprintf(command, sizeof(command), "rm -rf %s", r->dir);
	if (system(command) != 0)
		perror("rm");
}

int rig_until_input(struct rig *r, int fd)
{
	uint64_t end = qube__now_ms() + RIG_WAIT_MS;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (poll(&p, 1, 0) == 0 && qube__now_ms() < end)
		if (qube__loop_dispatch(&r->loop, 10) < 0)
			return -1;
	return p.revents ? 0 : -1;
}

int rig_until(struct rig *r, const bool *flag)
{
	uint64_t end = qube__now_ms() + RIG_WAIT_MS;

	while (!*flag && qube__now_ms() < end)
		if (qube__loop_dispatch(&r->loop, 100) < 0)
			return -1;
	return *flag ? 0 : -1;
}

int rig_until_count(struct rig *r, const uint32_t *count, uint32_t want)
{
	uint64_t end = qube__now_ms() + RIG_WAIT_MS;

	while (*count < want && qube__now_ms() < end)
		if (qube__loop_dispatch(&r->loop, 100) < 0)
			return -1;
	return *count >= want ? 0 : -1;
}

void rig_turn(struct rig *r, int turns)
{
	while (turns--)
		qube__loop_dispatch(&r->loop, 0);
}

int rig_service(struct rig *r, const char *name, const char *script)
{
	char path[400];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", r->dir, name);
	f = fopen(path, "we");
	if (!f)
		return -1;
	fprintf(f, "#!/bin/sh\n%s\n", script);
	fclose(f);
	return chmod(path, 0755);
}

static void on_done(void *user, int32_t code, const char *why)
{
	struct rig *r = user;

	(void)why;
	r->caller_done = true;
	r->caller_code = code;
}

ssize_t rig_slurp(struct rig *r, int fd, char *out, size_t cap)
{
	uint64_t end = qube__now_ms() + RIG_WAIT_MS;
	char spill[65536];
	size_t len = 0;

	qube__io_nonblock(fd);
	while (qube__now_ms() < end) {
		bool room = len < cap - 1;
		ssize_t n = room ? qube__io_read(fd, out + len, cap - 1 - len) :
				   qube__io_read(fd, spill, sizeof(spill));

		if (n == 0)
			break;
		if (n > 0)
			len += (size_t)n;
		else if (n != QUBE_E_AGAIN)
			break;
		qube__loop_dispatch(&r->loop, n > 0 ? 0 : 5);
	}
	out[len < cap ? len : cap - 1] = '\0';
	return (ssize_t)len;
}

int rig_call_from(struct rig *r, int from, const char *service, int in, char *out, size_t cap)
{
	char trigger[96];
	struct qube__caller *c;
	int res[2];
	struct qube__caller_opts o = { .agent_socket = trigger,
				       .target = "@default",
				       .service = service,
				       .err = -1,
				       .user = r,
				       .done = on_done };

	snprintf(trigger, sizeof(trigger), "%s/agent%d", r->dir, from);
	if (pipe2(res, O_CLOEXEC) < 0)
		return -1;
	o.in = in;
	o.out = res[1];
	r->caller_done = false;
	if (qube__caller_create(&c, &r->loop, &o) < 0)
		return -1;
	rig_slurp(r, res[0], out, cap);
	close(res[0]);
	if (rig_until(r, &r->caller_done) < 0)
		return -1;
	qube__caller_destroy(c);
	return r->caller_code;
}

int rig_call(struct rig *r, int from, const char *service, const char *input, size_t input_len,
	     char *out, size_t cap)
{
	int in[2];

	if (pipe2(in, O_CLOEXEC) < 0)
		return -1;
	fcntl(in[1], F_SETPIPE_SZ, 1 << 20);
	if (write(in[1], input, input_len) != (ssize_t)input_len)
		return -1;
	close(in[1]);
	return rig_call_from(r, from, service, in[0], out, cap);
}

int rig_host_call(struct rig *r, uint32_t guest, const char *command, const char *input, char *out,
		  size_t cap)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_HOST_CALL };
	uint32_t ended = r->ended;
	int in[2];
	int res[2];
	int fds[3];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(res, O_CLOEXEC) < 0)
		return -1;
	if (write(in[1], input, strlen(input)) != (ssize_t)strlen(input))
		return -1;
	close(in[1]);
	fds[0] = in[0];
	fds[1] = res[1];
	fds[2] = open("/dev/null", O_WRONLY | O_CLOEXEC);
	m.host_call.call = 900 + ended;
	m.host_call.guest = guest;
	m.host_call.streams = 7;
	m.host_call.command = command;
	if (rig_send(r, &m, fds) < 0)
		return -1;
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	rig_slurp(r, res[0], out, cap);
	close(res[0]);
	if (rig_until_count(r, &r->ended, ended + 1) < 0)
		return -1;
	return r->end_code;
}
