/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The daemon's end: every qube is asked to stop, and killed when its time is up. */
#include "stop.h"

#include "log.h"

#include <stddef.h>

static void on_down(void *user, qube_op *op)
{
	struct qubed_stop *s = user;
	const struct qube_error *e = qube_op_get_error(op);

	if (e)
		qubed_log(4, "a qube did not stop in order: %s", e->message);
	if (--s->pending == 0)
		s->done(s->user);
}

static void stop_one(struct qubed_stop *s, qube_domain *d, int32_t timeout_ms)
{
	struct qube_domain_shutdown_opts o = {
		.size = sizeof(o),
		.flags = QUBE_DOMAIN_SHUTDOWN_FORCE | QUBE_DOMAIN_SHUTDOWN_OR_KILL,
		.timeout_ms = timeout_ms,
	};
	struct qube_op_callback cb = { .fn = on_down, .user = s };
	uint32_t state = qube_domain_get_state(d);
	qube_op *op;

	if (qube_domain_get_class(d) == QUBE_CLASS_ADMIN || state == QUBE_STATE_HALTED)
		return;
	if (qube_domain_shutdown(d, &o, &op) < 0) {
		qubed_log(4, "cannot stop '%s': %s", qube_domain_get_name(d),
			  qube_error_last()->message);
		return;
	}
	s->pending++;
	qube_op_set_callback(op, &cb);
	qube_op_unref(op);
}

void qubed_stop_qubes(struct qubed_stop *s, qube_ctx *ctx, int32_t timeout_ms)
{
	qube_domain **list;
	size_t n;

	s->pending = 1; /* until all were asked */
	if (qube_domain_list(&list, &n, ctx) == 0) {
		for (size_t i = 0; i < n; i++)
			stop_one(s, list[i], timeout_ms);
		qube_domain_list_free(list, n);
	}
	if (--s->pending == 0)
		s->done(s->user);
}
