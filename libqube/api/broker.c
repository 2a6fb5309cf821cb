/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The broker as a process of its own. */
#include <qube/broker.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/opts.h"
#include "event/loop.h"
#include "rpc/broker.h"
#include "rpc/jail.h"

#include <stdbool.h>

static void on_closed(void *user)
{
	bool *over = user;

	*over = true;
}

static int confine(const struct qube_broker_opts *o)
{
	int r = qube__jail_drop(o->uid, o->gid);

	if (r < 0 || (o->flags & QUBE_BROKER_NO_JAIL))
		return r;
	r = qube__jail_filter(0);
	return r == QUBE_E_NOTSUP && (o->flags & QUBE_BROKER_JAIL_IF_SUPPORTED) ? 0 : r;
}

static int serve(struct qube__loop *loop, int fd, const struct qube_broker_opts *o)
{
	struct qube__broker *b;
	bool over = false;
	int r = qube__broker_create(&b, loop, fd, NULL);

	if (r < 0)
		return r;
	qube__broker_on_closed(b, on_closed, &over);
	qube__broker_alone(b);
	/* Everything that needs more was made before; from here on, guests' bytes. */
	r = confine(o);
	while (r >= 0 && !over)
		r = qube__loop_dispatch(loop, -1);
	qube__broker_destroy(b);
	return r < 0 ? r : 0;
}

int qube_broker_serve(int fd, const struct qube_broker_opts *opts)
{
	const uint32_t known = QUBE_BROKER_NO_JAIL | QUBE_BROKER_JAIL_IF_SUPPORTED;
	qube__autofd owned = fd;
	struct qube_broker_opts o;
	struct qube__loop loop;
	int r;

	qube__err_enter(__func__);
	r = qube__opts_import(&o, sizeof(o), sizeof(o), opts);
	if (r < 0)
		return r;
	if ((o.flags & ~known) || o.reserved0 || o.reserved1)
		return qube__fail(QUBE_E_INVALID, "unknown flags or reserved fields set");
	r = qube__loop_init(&loop);
	if (r < 0)
		return r;
	r = serve(&loop, qube__steal_fd(&owned), &o);
	qube__loop_fini(&loop);
	return r;
}
