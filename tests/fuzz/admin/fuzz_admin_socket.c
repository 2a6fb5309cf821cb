/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Any bytes on the Admin API's socket of a host in memory (threat 28): the first byte says how they
 * arrive, the rest is sent. Whatever it was, the connection ends, the answer has the form of an
 * answer, and the host is still in order. */
#include <qube/admin.h>
#include <qube/qube.h>

#include "base/error.h"
#include "core/host.h"
#include "wire/admin.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	__builtin_trap();
}

static void make(qube_ctx *ctx, const char *name, const char *klass, const char *of)
{
	struct qube_domain_create_opts o = {
		.size = sizeof(o),
		.name = name,
		.klass = klass,
		.template_name = of,
	};
	qube_domain *d = NULL;

	must(qube_domain_create(&d, ctx, &o) == 0, "a qube cannot be made");
	if (of)
		qube_domain_property_set(d, "template_for_dispvms", "True");
	qube_domain_unref(d);
}

static qube_ctx *host(void)
{
	struct qube_ctx_opts o = QUBE_CTX_OPTS_INIT;
	qube_ctx *ctx = NULL;

	o.mode = QUBE_MODE_FAKE;
	must(qube_ctx_open(&ctx, &o) == 0, "no host");
	make(ctx, "deb", "TemplateVM", NULL);
	make(ctx, "work", "AppVM", "deb");
	return ctx;
}

static void drain(qube_ctx *ctx)
{
	for (int i = 0; i < 64 && qube_ctx_dispatch(ctx, 0) == 1; i++)
		;
}

/* An answer is nothing, one reply, or whole events. */
static void check_answer(const uint8_t *p, size_t len)
{
	struct qube__wire_admin_response r;
	struct qube__wire_admin_event e;

	if (!len)
		return;
	if (p[0] != '1') {
		must(qube__wire_admin_response_parse(&r, p, len) == 0, "the answer is no answer");
		return;
	}
	while (len) {
		must(qube__wire_admin_event_parse(&e, p, len) == 0, "a broken event");
		p += e.used;
		len -= e.used;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t answer[1 << 20];
	qube_ctx *ctx = host();
	size_t step = size && data[0] & 1 ? 7 : size ? size : 1;
	size_t len = 0;
	int pair[2];
	ssize_t n;

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0, "no sockets");
	must(qube_admin_serve(ctx, pair[1]) == 0, "not served");
	for (size_t at = 1; at < size; at += step) {
		size_t part = size - at < step ? size - at : step;

		if (send(pair[0], data + at, part, MSG_NOSIGNAL) < 0)
			break;
		if (step == 7)
			qube_ctx_dispatch(ctx, 0);
	}
	if (size && data[0] & 2) {
		/* Gone before the answer. */
		close(pair[0]);
		drain(ctx);
	} else {
		shutdown(pair[0], SHUT_WR);
		for (int i = 0; i < 64; i++) {
			drain(ctx);
			n = recv(pair[0], answer + len, sizeof(answer) - len, MSG_DONTWAIT);
			if (n <= 0)
				break;
			len += (size_t)n;
		}
		check_answer(answer, len);
		close(pair[0]);
		drain(ctx);
	}
	must(qube__host_of(ctx)->n_conns == 0, "the connection is still there");
	must(qube__model_vm(qube__host_of(ctx)->model, "dom0") != NULL, "the host lost itself");
	qube_ctx_unref(ctx);
	return 0;
}
