/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void answer_fini(struct answer *a)
{
	free(a->bytes);
}

int peer_open(qube_ctx *ctx)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	if (qube_admin_serve(ctx, pair[1]) < 0) {
		close(pair[0]);
		return -1;
	}
	return pair[0];
}

struct answer peer_read(qube_ctx *ctx, int fd)
{
	uint64_t deadline = qube__now_ms() + 5000;
	struct answer a = { 0 };

	while (!a.closed && qube__now_ms() < deadline) {
		uint8_t chunk[4096];
		ssize_t n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		uint8_t *grown;

		if (n < 0 && errno == EAGAIN) {
			if (qube_ctx_dispatch(ctx, 20) < 0)
				break;
			continue;
		}
		if (n <= 0) {
			a.closed = true;
			break;
		}
		grown = realloc(a.bytes, a.len + (size_t)n + 1);
		if (!grown)
			break;
		a.bytes = grown;
		memcpy(a.bytes + a.len, chunk, (size_t)n);
		a.len += (size_t)n;
		a.bytes[a.len] = '\0';
	}
	if (!a.bytes)
		a.bytes = calloc(1, 1);
	return a;
}

struct answer peer_ask(qube_ctx *ctx, const void *bytes, size_t len)
{
	struct answer a = { 0 };
	const uint8_t *p = bytes;
	int fd = peer_open(ctx);

	if (fd < 0)
		return a;
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno != EAGAIN || qube_ctx_dispatch(ctx, 0) < 0) {
			break; /* the host closed already: it says so by what it sent */
		}
	}
	shutdown(fd, SHUT_WR);
	a = peer_read(ctx, fd);
	close(fd);
	return a;
}

struct answer peer_call(qube_ctx *ctx, const char *source, const char *method, const char *arg,
			const char *dest, const char *payload)
{
	char text[4096];
	int n = snprintf(text, sizeof(text), "%s%s%s %s name %s", method, arg ? "+" : "",
			 arg ? arg : "", source, dest);
	size_t len = (size_t)n + 1;

	if (payload) {
		memcpy(text + len, payload, strlen(payload));
		len += strlen(payload);
	}
	return peer_ask(ctx, text, len);
}
