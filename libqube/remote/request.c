/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One request over the Admin API's socket. */
#include "remote/request.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

enum {
	ANSWER_MAX = 64 << 20,
	ANSWER_S = 120, /* a host that is silent for so long is not there */
};

static int connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	qube__autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return qube__fail_os("cannot make a socket");
	if (qube__text_copy(sa.sun_path, sizeof(sa.sun_path), path) < 0)
		return qube__fail(QUBE_E_INVALID, "the socket's path is longer than %zu bytes",
				  sizeof(sa.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			return qube__fail(QUBE_E_NOENT, "nobody listens at %s; is qubed running?",
					  path);
		return qube__fail_os("cannot connect to %s", path);
	}
	return qube__steal_fd(&fd);
}

static int send_all(int fd, struct qube__buf *text, const int *fds, size_t n)
{
	ssize_t sent = qube__io_send_fds(fd, qube__buf_data(text), text->len, fds, n);

	if (sent < 0)
		return qube__fail((int)sent, "the host does not take the request");
	qube__buf_consume(text, (size_t)sent);
	while (text->len) {
		sent = send(fd, qube__buf_data(text), text->len, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return qube__fail_os("cannot send the request");
		qube__buf_consume(text, (size_t)sent);
	}
	return shutdown(fd, SHUT_WR) < 0 ? qube__fail_os("cannot end the request") : 0;
}

int qube__remote_send(int *out_fd, qube_ctx *ctx, const char *method, const char *arg,
		      const char *dest, const void *payload, size_t len, const int *fds, size_t n)
{
	struct qube__remote *remote = qube__remote_of(ctx);
	qube__autobuf text;
	qube__autofd fd = -1;
	int r;

	qube__buf_init(&text, QUBE__ADMIN_REQUEST_MAX);
	r = qube__wire_admin_request_encode(&text, method, arg, "dom0", dest, payload, len);
	if (r == QUBE_E_NOMEM)
		return qube__fail_nomem();
	if (r < 0)
		return qube__fail_detail(r, QUBE_D_VALUE,
					 "a name or value that cannot be sent to the host");
	qube__remote_find_door(ctx);
	if (qube__remote_enter(out_fd, remote, &text, fds, n))
		return 0;
	fd = connect_to(remote->socket_path);
	if (fd < 0)
		return fd;
	r = send_all(fd, &text, fds, n);
	if (r == 0)
		*out_fd = qube__steal_fd(&fd);
	return r;
}

static int read_answer(struct qube__buf *in, int fd)
{
	struct timeval patience = { .tv_sec = ANSWER_S };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return qube__fail_os("cannot set a time limit on the host's answer");
	for (;;) {
		uint8_t *at;
		ssize_t n;
		int r;

		r = qube__buf_reserve(in, 16384, &at);
		if (r < 0)
			return r == QUBE_E_NOMEM ? qube__fail_nomem() :
						   qube__fail(r, "the host's answer is too long");
		n = recv(fd, at, 16384, 0);
		if (n < 0 && errno == EAGAIN)
			return qube__fail(QUBE_E_TIMEOUT, "the host does not answer");
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return qube__fail_os("cannot read the host's answer");
		if (n == 0)
			return 0;
		qube__buf_commit(in, (size_t)n);
	}
}

int qube__remote_refusal(const struct qube__wire_admin_response *r, const char *method)
{
	if (r->kind != QUBE__ADMIN_EXCEPTION)
		return qube__fail(QUBE_E_PROTO, "the host answered %s with a stream", method);
	/* The one exception whose text says more than its name (admin-api.md 1). */
	if (r->detail == QUBE_D_PROTOCOL && !strncmp(r->message, "no such method", 14))
		return qube__fail_detail(QUBE_E_NOTSUP, r->detail, "%s", r->message);
	return qube__fail_detail(r->code, r->detail, "%s", r->message);
}

int qube__remote_ask(char **out, size_t *out_len, qube_ctx *ctx, const char *method,
		     const char *arg, const char *dest, const void *payload, size_t len)
{
	struct qube__wire_admin_response answer;
	qube__autobuf in;
	qube__autofd fd = -1;
	char *content;
	int r;

	qube__buf_init(&in, ANSWER_MAX);
	r = qube__remote_send(&fd, ctx, method, arg, dest, payload, len, NULL, 0);
	if (r == 0)
		r = read_answer(&in, fd);
	if (r < 0)
		return r;
	r = qube__wire_admin_response_parse(&answer, qube__buf_data(&in), in.len);
	if (r == QUBE_E_CLOSED)
		return qube__fail_detail(QUBE_E_DENIED, QUBE_D_PERMISSION,
					 "the host refused %s without a word", method);
	if (r == QUBE_E_NOMEM)
		return qube__fail_nomem();
	if (r < 0)
		return qube__fail(QUBE_E_PROTO, "the host's answer to %s is no answer", method);
	if (answer.kind != QUBE__ADMIN_OK)
		return qube__remote_refusal(&answer, method);
	content = malloc(answer.content_len + 1);
	if (!content)
		return qube__fail_nomem();
	if (answer.content_len)
		memcpy(content, answer.content, answer.content_len);
	content[answer.content_len] = '\0';
	*out = content;
	if (out_len)
		*out_len = answer.content_len;
	return 0;
}

int qube__remote_tell(qube_ctx *ctx, const char *method, const char *arg, const char *dest,
		      const char *payload)
{
	char *content;
	int r = qube__remote_ask(&content, NULL, ctx, method, arg, dest, payload,
				 payload ? strlen(payload) : 0);

	if (r == 0)
		free(content);
	return r;
}

int qube__remote_call(char **out, size_t *len, qube_ctx *ctx, const struct qube_admin_request *req)
{
	return qube__remote_ask(out, len, ctx, req->method, req->argument, req->dest, req->payload,
				(size_t)req->payload_len);
}
