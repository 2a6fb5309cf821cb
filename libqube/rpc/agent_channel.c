/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The channels of an agent whose control channel hands over no descriptors: each is held by a
 * qube-vchan, which ends with the call. */
#include "rpc/agent_int.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "transport/program.h"

#include <signal.h>

enum { RING = 65536, WAIT_S = 120 };

static void achannel_free(struct achannel *c)
{
	qube__list_remove(&c->link);
	qube__source_remove(c->a->loop, &c->exited);
	qube__timer_stop(c->a->loop, &c->too_long);
	qube__child_reap(&c->child);
	free(c);
}

static void on_exited(struct qube__source *s, uint32_t revents)
{
	(void)revents;
	achannel_free(qube__container_of(s, struct achannel, exited));
}

static void on_too_long(struct qube__timer *t)
{
	kill(qube__container_of(t, struct achannel, too_long)->child.pid, SIGKILL);
}

static int hold(struct qube__agent *a, const struct qube__vchan *v, const int fds[2])
{
	struct achannel *c = calloc(1, sizeof(*c));
	int r = c ? qube__vchan_spawn(&c->child, v, fds) : qube__fail_nomem();

	if (r < 0) {
		free(c);
		return r;
	}
	c->a = a;
	c->domain = v->peer;
	qube__timer_init(&c->too_long, on_too_long);
	qube__list_append(&a->channels, &c->link);
	r = qube__source_add(a->loop, &c->exited, c->child.pidfd, EPOLLIN, on_exited);
	if (r < 0) {
		kill(c->child.pid, SIGKILL);
		achannel_free(c);
	}
	return r;
}

int qube__agent_channel(struct qube__agent *a, uint32_t domain, uint32_t port, bool server,
			int fds[2])
{
	struct qube__vchan v = {
		.path = a->opts.vchan,
		.env = a->opts.env,
		.peer = domain,
		.port = port,
		.server = server,
		.ring = RING,
		.wait_s = WAIT_S,
	};
	int ours[2];
	int theirs[2];
	int r = qube__transport_channel(ours, theirs);

	if (r < 0)
		return r;
	r = hold(a, &v, theirs);
	qube__close_fd(&theirs[0]);
	qube__close_fd(&theirs[1]);
	if (r < 0) {
		qube__close_fd(&ours[0]);
		qube__close_fd(&ours[1]);
		return r;
	}
	fds[0] = ours[0];
	fds[1] = ours[1];
	return 0;
}

void qube__agent_domain_gone(struct qube__agent *a, uint32_t domain)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &a->channels) {
		struct achannel *c = qube__container_of(pos, struct achannel, link);

		if (c->domain != domain || c->ending)
			continue;
		c->ending = true;
		kill(c->child.pid, SIGTERM);
		qube__timer_set(a->loop, &c->too_long, qube__now_ms() + QUBE__VCHAN_END_MS);
	}
}

void qube__agent_channels_end(struct qube__agent *a)
{
	while (!qube__list_empty(&a->channels)) {
		struct achannel *c = qube__container_of(a->channels.next, struct achannel, link);

		kill(c->child.pid, SIGKILL);
		achannel_free(c);
	}
}
