/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rig.h"

#include "base/clock.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->s + t->len, sizeof(t->s) - t->len, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < sizeof(t->s) - t->len)
		t->len += (size_t)n;
}

qube_ctx *rig_open_empty(void)
{
	struct qube_ctx_opts o = QUBE_CTX_OPTS_INIT;
	qube_ctx *ctx = NULL;

	o.mode = QUBE_MODE_FAKE;
	return qube_ctx_open(&ctx, &o) == 0 ? ctx : NULL;
}

static int make(qube_ctx *ctx, const char *name, const char *klass, const char *template_name)
{
	struct qube_domain_create_opts o = {
		.size = sizeof(o),
		.name = name,
		.klass = klass,
		.template_name = template_name,
	};
	qube_domain *d;
	int r = qube_domain_create(&d, ctx, &o);

	if (r == 0)
		qube_domain_unref(d);
	return r;
}

qube_ctx *rig_open(void)
{
	qube_ctx *ctx = rig_open_empty();
	qube_domain *d = NULL;

	if (!ctx)
		return NULL;
	if (make(ctx, "deb", "TemplateVM", NULL) < 0 || make(ctx, "work", "AppVM", "deb") < 0 ||
	    make(ctx, "dvm", "AppVM", "deb") < 0 || !(d = rig_domain(ctx, "dvm")) ||
	    qube_domain_property_set(d, "template_for_dispvms", "True") < 0) {
		qube_domain_unref(d);
		qube_ctx_unref(ctx);
		return NULL;
	}
	qube_domain_unref(d);
	return ctx;
}

void rig_drain(qube_ctx *ctx)
{
	for (int i = 0; i < 1000 && qube_ctx_dispatch(ctx, 0) == 1; i++)
		;
}

bool rig_until(qube_ctx *ctx, const bool *flag)
{
	uint64_t deadline = qube__now_ms() + 5000;

	while (!*flag && qube__now_ms() < deadline)
		if (qube_ctx_dispatch(ctx, 50) < 0)
			return false;
	return *flag;
}

qube_domain *rig_domain(qube_ctx *ctx, const char *name)
{
	qube_domain *d = NULL;

	return qube_domain_open(&d, ctx, name) == 0 ? d : NULL;
}

static void record(void *user, const struct qube_event *ev)
{
	struct text *t = user;

	text_add(t, "%s %s", *ev->subject ? ev->subject : "-", ev->name);
	for (uint64_t i = 0; i < ev->n_fields; i++)
		text_add(t, " %s=%s", ev->keys[i], ev->values[i]);
	text_add(t, "\n");
}

qube_subscription *rig_record(qube_ctx *ctx, struct text *t)
{
	struct qube_callback cb = { .fn = record, .user = t };
	qube_subscription *sub = NULL;

	return qube_ctx_subscribe(&sub, ctx, &cb) == 0 ? sub : NULL;
}

/* --- a host in a thread --- */

struct server {
	pthread_t thread;
	int listener;
	int stop;
	qube_ctx *ctx;
};

static void *serve(void *arg)
{
	struct server *s = arg;

	for (;;) {
		struct pollfd p[3] = {
			{ .fd = s->stop, .events = POLLIN },
			{ .fd = s->listener, .events = POLLIN },
			{ .fd = qube_ctx_get_fd(s->ctx), .events = POLLIN },
		};

		poll(p, 3, -1);
		if (p[0].revents)
			break;
		if (p[1].revents) {
			int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

			if (fd >= 0)
				qube_admin_serve(s->ctx, fd);
		}
		if (p[2].revents)
			qube_ctx_dispatch(s->ctx, 0);
	}
	qube_ctx_unref(s->ctx);
	return NULL;
}

int rig_serve(struct rig_server *out)
{
	struct server *s = calloc(1, sizeof(*s));
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	if (!s)
		return -1;
	snprintf(out->dir, sizeof(out->dir), "/tmp/qube-test-XXXXXX");
	if (!mkdtemp(out->dir)) {
		free(s);
		return -1;
	}
	snprintf(out->socket_path, sizeof(out->socket_path), "%s/admin", out->dir);
	memcpy(sa.sun_path, out->socket_path, strlen(out->socket_path) + 1);
	s->stop = eventfd(0, EFD_CLOEXEC);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	s->ctx = rig_open();
	out->thread = s;
	if (!s->ctx || bind(s->listener, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(s->listener, 64) < 0 || pthread_create(&s->thread, NULL, serve, s) != 0)
		return -1;
	return 0;
}

void rig_serve_end(struct rig_server *out)
{
	struct server *s = out->thread;

	eventfd_write(s->stop, 1);
	pthread_join(s->thread, NULL);
	close(s->stop);
	close(s->listener);
	free(s);
	unlink(out->socket_path);
	rmdir(out->dir);
}

qube_ctx *rig_connect(const struct rig_server *s)
{
	struct qube_ctx_opts o = QUBE_CTX_OPTS_INIT;
	qube_ctx *ctx = NULL;

	o.mode = QUBE_MODE_CONNECTED;
	o.socket_path = s->socket_path;
	return qube_ctx_open(&ctx, &o) == 0 ? ctx : NULL;
}
