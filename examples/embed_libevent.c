/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A context in a loop of libevent: starts a qube on a qubed, tells each stage's time, and goes on
 * serving other events meanwhile.
 *
 *   embed_libevent QUBE [SOCKET] */
#include <qube/qube.h>

#include <event2/event.h>
#include <stdio.h>

struct app {
	struct event_base *base;
	qube_ctx *ctx;
	int failed;
};

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct app *app = arg;

	(void)fd;
	(void)what;
	if (qube_ctx_dispatch(app->ctx, 0) < 0) {
		fprintf(stderr, "embed_libevent: %s\n", qube_error_last()->message);
		app->failed = 1;
		event_base_loopbreak(app->base);
	}
}

static void on_started(void *user, qube_op *op)
{
	struct app *app = user;
	struct qube_op_stage stages[32];
	size_t n = qube_op_trace(op, stages, 32);

	app->failed = qube_op_get_state(op) != QUBE_OP_DONE;
	if (app->failed)
		fprintf(stderr, "embed_libevent: %s\n", qube_op_get_error(op)->message);
	for (size_t i = 0; i < n && i < 32; i++)
		printf("%-12s %8.3f ms\n", stages[i].name, (double)stages[i].duration_ns / 1e6);
	event_base_loopbreak(app->base);
}

/* The operation is ours until it called back. */
static int start(struct app *app, const char *name)
{
	struct qube_op_callback cb = { .fn = on_started, .user = app };
	struct event *ready;
	qube_domain *d = NULL;
	qube_op *op = NULL;
	int r = -1;

	ready = event_new(app->base, qube_ctx_get_fd(app->ctx), EV_READ | EV_PERSIST, on_ready,
			  app);
	if (qube_domain_open(&d, app->ctx, name) < 0 || qube_domain_start(d, &op) < 0 ||
	    qube_op_set_callback(op, &cb) < 0)
		fprintf(stderr, "embed_libevent: %s\n", qube_error_last()->message);
	else if (ready && event_add(ready, NULL) == 0 && event_base_dispatch(app->base) >= 0)
		r = app->failed ? -1 : 0;
	if (ready)
		event_free(ready);
	qube_op_unref(op);
	qube_domain_unref(d);
	return r;
}

int main(int argc, char **argv)
{
	struct qube_ctx_opts opts = QUBE_CTX_OPTS_INIT;
	struct app app = { 0 };
	int r = -1;

	if (argc < 2) {
		fprintf(stderr, "usage: embed_libevent QUBE [SOCKET]\n");
		return 2;
	}
	opts.mode = QUBE_MODE_CONNECTED;
	opts.socket_path = argc > 2 ? argv[2] : NULL;
	app.base = event_base_new();
	if (!app.base)
		return 1;
	if (qube_ctx_open(&app.ctx, &opts) < 0)
		fprintf(stderr, "embed_libevent: %s\n", qube_error_last()->message);
	else
		r = start(&app, argv[1]);
	qube_ctx_unref(app.ctx);
	event_base_free(app.base);
	return r < 0;
}
