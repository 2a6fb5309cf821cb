/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * libxenlight's descriptors and timers in our loop. It is told of them from the loop only, never
 * from inside a call of its own. */
#include "xl.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

struct watched_fd {
	struct xl *x;
	struct qube__source src;
	void *for_libxl;
	int fd;	  /* libxenlight's */
	int mine; /* a second one, should the loop have the first already; or -1 */
	short events;
};

struct watched_time {
	struct xl *x;
	struct qube__timer timer;
	void *for_libxl;
};

static void on_fd(struct qube__source *s, uint32_t revents)
{
	struct watched_fd *w = qube__container_of(s, struct watched_fd, src);

	/* The bits of epoll are those of poll. It may be taken away by this. */
	libxl_osevent_occurred_fd(w->x->ctx, w->for_libxl, w->fd, w->events, (short)revents);
}

static int watch(struct watched_fd *w)
{
	if (!w->events || w->src.added)
		return qube__source_set(&w->x->loop, &w->src, (uint32_t)w->events);
	if (qube__source_add(&w->x->loop, &w->src, w->fd, (uint32_t)w->events, on_fd) == 0)
		return 0;
	if (qube_error_last()->os_errno != EEXIST)
		return -1;
	w->mine = fcntl(w->fd, F_DUPFD_CLOEXEC, 3);
	if (w->mine >= 0 &&
	    qube__source_add(&w->x->loop, &w->src, w->mine, (uint32_t)w->events, on_fd) == 0)
		return 0;
	qube__close_fd(&w->mine);
	return -1;
}

static void unwatch(struct watched_fd *w)
{
	qube__source_remove(&w->x->loop, &w->src);
	qube__close_fd(&w->mine);
}

static int fd_register(void *user, int fd, void **out, short events, void *for_libxl)
{
	struct watched_fd *w = calloc(1, sizeof(*w));

	if (!w)
		return ENOMEM;
	w->x = user;
	w->for_libxl = for_libxl;
	w->fd = fd;
	w->mine = -1;
	w->events = events;
	if (watch(w) < 0) {
		unwatch(w);
		free(w);
		return ENOMEM;
	}
	*out = w;
	return 0;
}

static int fd_modify(void *user, int fd, void **update, short events)
{
	struct watched_fd *w = *update;
	short before = w->events;

	(void)user;
	(void)fd;
	w->events = events;
	/* One without events still reports its end: it is not watched at all. */
	if (!events)
		unwatch(w);
	if (watch(w) == 0)
		return 0;
	w->events = before;
	return ENOMEM;
}

static void fd_deregister(void *user, int fd, void *registration)
{
	struct watched_fd *w = registration;

	(void)user;
	(void)fd;
	unwatch(w);
	free(w);
}

static void on_time(struct qube__timer *t)
{
	struct watched_time *w = qube__container_of(t, struct watched_time, timer);
	struct xl *x = w->x;
	void *for_libxl = w->for_libxl;

	free(w);
	libxl_osevent_occurred_timeout(x->ctx, for_libxl);
}

/* Its times are of the wall's clock, ours of one that does not jump. */
static int timeout_register(void *user, void **out, struct timeval abs, void *for_libxl)
{
	struct watched_time *w = calloc(1, sizeof(*w));
	struct timeval now;
	int64_t ms;

	if (!w)
		return ENOMEM;
	w->x = user;
	w->for_libxl = for_libxl;
	gettimeofday(&now, NULL);
	ms = (int64_t)(abs.tv_sec - now.tv_sec) * 1000 + (abs.tv_usec - now.tv_usec) / 1000;
	qube__timer_init(&w->timer, on_time);
	qube__timer_set(&w->x->loop, &w->timer, qube__now_ms() + (ms > 0 ? (uint64_t)ms + 1 : 0));
	*out = w;
	return 0;
}

/* Always "at once". */
static int timeout_modify(void *user, void **update, struct timeval abs)
{
	struct watched_time *w = *update;

	(void)user;
	(void)abs;
	qube__timer_set(&w->x->loop, &w->timer, qube__now_ms());
	return 0;
}

static void timeout_deregister(void *user, void *registration)
{
	(void)user;
	(void)registration;
	abort(); /* libxenlight promises not to */
}

void xl_hook(struct xl *x)
{
	static const libxl_osevent_hooks hooks = {
		.fd_register = fd_register,
		.fd_modify = fd_modify,
		.fd_deregister = fd_deregister,
		.timeout_register = timeout_register,
		.timeout_modify = timeout_modify,
		.timeout_deregister = timeout_deregister,
	};

	libxl_osevent_register_hooks(x->ctx, &hooks, x);
}
