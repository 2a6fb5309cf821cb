/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Waiting for the peer, with one eye on who started us. */
#include "vchan.h"

#include "base/clock.h"

#include <poll.h>
#include <stdbool.h>

enum { STEP_MS = 60000 };

void vchan_wait_begin(struct vchan_wait *w, const struct vchan_opts *o)
{
	w->begin = qube__now_ms();
	w->end = o->wait_ms < 0 ? UINT64_MAX : qube__now_ms() + (uint64_t)o->wait_ms;
	w->local = o->local;
	w->gone_fd = o->gone_fd;
	w->server = o->server;
}

/* A server's peer is on its way, and is to hear of the end, and before that what was said; and so
 * is a client's, if something was said. Else nobody wants the channel any more. */
static int local_gone(struct vchan_wait *w, bool said)
{
	uint64_t soon = qube__now_ms() + VCHAN_LEFT_MS;

	if (!w->server && !said)
		return VCHAN_LEFT;
	w->local = -1;
	w->end = soon < w->end ? soon : w->end;
	return 0;
}

int vchan_wait_for(struct vchan_wait *w, int fd, int step_ms)
{
	struct pollfd p[] = { { .fd = w->local },
			      { .fd = w->gone_fd, .events = POLLIN },
			      { .fd = fd, .events = POLLIN } };
	uint64_t now = qube__now_ms();
	uint64_t ms = step_ms >= 0 && step_ms < STEP_MS ? (uint64_t)step_ms : STEP_MS;

	if (now >= w->end)
		return VCHAN_LATE;
	if (ms > w->end - now)
		ms = w->end - now;
	poll(p, sizeof(p) / sizeof(p[0]), (int)ms);
	if (p[1].revents)
		return VCHAN_LEFT;
	if (!(p[0].revents & (POLLHUP | POLLERR)))
		return 0;
	/* With what is unread it is asked for now alone: it would end every wait. */
	p[0].events = POLLIN;
	return local_gone(w, poll(p, 1, 0) == 1 && (p[0].revents & POLLIN));
}
