/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A context in a loop of poll(2): prints what happens on the host of a qubed until Ctrl-C.
 *
 *   embed_poll [SOCKET] */
#include <qube/qube.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>

static void on_event(void *user, const struct qube_event *ev)
{
	(void)user;
	/* Names are the host's and harmless; values may be a guest's and are not printed here. */
	printf("%s %s\n", *ev->subject ? ev->subject : "-", ev->name);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct qube_ctx_opts opts = QUBE_CTX_OPTS_INIT;
	struct qube_callback cb = { .fn = on_event };
	qube_subscription *sub = NULL;
	qube_ctx *ctx = NULL;
	int r = 0;

	opts.mode = QUBE_MODE_CONNECTED;
	opts.socket_path = argc > 1 ? argv[1] : NULL;
	if (qube_ctx_open(&ctx, &opts) < 0 || qube_ctx_subscribe(&sub, ctx, &cb) < 0)
		r = -1;
	while (r >= 0) {
		/* Your own descriptors stand beside this one. */
		struct pollfd fd = { .fd = qube_ctx_get_fd(ctx), .events = POLLIN };

		if (poll(&fd, 1, -1) < 0 && errno != EINTR)
			break;
		r = qube_ctx_dispatch(ctx, 0);
	}
	if (r < 0)
		fprintf(stderr, "embed_poll: %s\n", qube_error_last()->message);
	qube_subscription_unref(sub);
	qube_ctx_unref(ctx);
	return r < 0;
}
