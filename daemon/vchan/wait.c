/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Waiting for the peer, with one eye on who started us. */
#include "vchan.h"

#include "base/clock.h"

#include <poll.h>

enum { STEP_MS = 60000 };

void vchan_wait_begin(struct vchan_wait *w, const struct vchan_opts *o)
{
	w->end = o->wait_ms < 0 ? UINT64_MAX : qube__now_ms() + (uint64_t)o->wait_ms;
	w->local = o->local;
	w->gone_fd = o->gone_fd;
	w->server = o->server;
}

/* A client whose local side is gone is not wanted any more. A server's peer is on its way, and is
 * to hear of the end, and before that what was said. */
static int local_gone(struct vchan_wait *w)
{
	uint64_t soon = qube__now_ms() + VCHAN_LEFT_MS;

	if (!w->server)
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
	return p[0].revents & (POLLHUP | POLLERR) ? local_gone(w) : 0;
}
