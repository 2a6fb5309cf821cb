/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Channels that end at the host: each is a qube-vchan without rights, between the guest and whoever
 * holds the descriptors. */
#include "driver/xen/xen.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "transport/program.h"

#include <signal.h>
#include <sys/socket.h>

enum {
	NOBODY = 65534,
	CONTROL_PORT = 512,
	CONTROL_RING = 4096,
	CONTROL_WAIT_S = 3600, /* core has its own time limit */
	DATA_RING = 65536,
	DATA_WAIT_S = 120,
	CHANNELS_MAX = 600, /* of one machine: no more ports than half of that */
};

static void channel_free(struct qube__xen_channel *c)
{
	qube__list_remove(&c->link);
	qube__source_remove(c->d->env.loop, &c->ended);
	qube__timer_stop(c->d->env.loop, &c->too_long);
	qube__child_reap(&c->child);
	if (c->m)
		c->m->n_channels--;
	free(c);
}

static void on_ended(struct qube__source *s, uint32_t revents)
{
	(void)revents;
	channel_free(qube__container_of(s, struct qube__xen_channel, ended));
}

static void on_too_long(struct qube__timer *t)
{
	kill(qube__container_of(t, struct qube__xen_channel, too_long)->child.pid, SIGKILL);
}

static int hold(struct qube__xen_machine *m, struct qube__vchan *v, const int fds[2])
{
	struct qube__xen_driver *d = m->d;
	struct qube__xen_channel *c;
	int r;

	if (m->state != QUBE__XEN_RUNNING)
		return qube__fail(QUBE_E_STATE, "the machine is not running");
	if (m->n_channels >= CHANNELS_MAX)
		return qube__fail(QUBE_E_LIMIT, "more than %d channels to one qube", CHANNELS_MAX);
	c = calloc(1, sizeof(*c));
	if (!c)
		return qube__fail_nomem();
	v->path = d->vchan_path;
	v->peer = m->domid;
	v->jail = true;
	v->uid = v->gid = NOBODY;
	r = qube__vchan_spawn(&c->child, v, fds);
	if (r < 0) {
		free(c);
		return r;
	}
	c->d = d;
	c->m = m;
	qube__timer_init(&c->too_long, on_too_long);
	m->n_channels++;
	qube__list_append(&d->channels, &c->link);
	r = qube__source_add(d->env.loop, &c->ended, c->child.pidfd, EPOLLIN, on_ended);
	if (r < 0) {
		kill(c->child.pid, SIGKILL);
		channel_free(c);
	}
	return r;
}

int qube__xen_channel(struct qube__xen_machine *m, uint32_t port, bool server, const int fds[2])
{
	struct qube__vchan v = {
		.port = port, .server = server, .ring = DATA_RING, .wait_s = DATA_WAIT_S
	};

	return hold(m, &v, fds);
}

int qube__xen_control(struct qube__xen_machine *m, int *out_fd)
{
	struct qube__vchan v = { .port = CONTROL_PORT,
				 .ring = CONTROL_RING,
				 .wait_s = CONTROL_WAIT_S };
	int pair[2];
	int theirs[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return qube__fail_os("cannot make a socket pair");
	theirs[0] = theirs[1] = pair[1];
	r = hold(m, &v, theirs);
	qube__close_fd(&pair[1]);
	if (r < 0)
		qube__close_fd(&pair[0]);
	else
		*out_fd = pair[0];
	return r;
}

/* What the guest still said is passed on; more will not come. */
void qube__xen_channels_end(struct qube__xen_machine *m)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &m->d->channels) {
		struct qube__xen_channel *c =
			qube__container_of(pos, struct qube__xen_channel, link);

		if (c->m != m)
			continue;
		kill(c->child.pid, SIGTERM);
		qube__timer_set(m->d->env.loop, &c->too_long, qube__now_ms() + QUBE__VCHAN_END_MS);
		c->m = NULL;
	}
	m->n_channels = 0;
}

void qube__xen_channels_free(struct qube__xen_driver *d)
{
	while (!qube__list_empty(&d->channels)) {
		struct qube__xen_channel *c =
			qube__container_of(d->channels.next, struct qube__xen_channel, link);

		kill(c->child.pid, SIGKILL);
		channel_free(c);
	}
}
