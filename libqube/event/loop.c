/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The loop behind a context's one descriptor. */
#include "event/loop.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>

enum { BATCH = 32 };

static int watch(int epfd, int fd, void *tag)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = tag };

	if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return qube__fail_os("cannot watch a loop descriptor");
	return 0;
}

int qube__loop_init(struct qube__loop *l)
{
	qube__autofd epfd = epoll_create1(EPOLL_CLOEXEC);
	qube__autofd kick = -1;
	qube__autofd timer = -1;

	if (epfd < 0)
		return qube__fail_os("cannot create epoll instance");
	kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (kick < 0)
		return qube__fail_os("cannot create wakeup fd");
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timer < 0)
		return qube__fail_os("cannot create timer fd");
	if (watch(epfd, kick, &l->kick) < 0 || watch(epfd, timer, &l->timerfd) < 0)
		return QUBE_E_SYSTEM;
	*l = (struct qube__loop){
		.epfd = qube__steal_fd(&epfd),
		.kick = qube__steal_fd(&kick),
		.timerfd = qube__steal_fd(&timer),
	};
	qube__list_init(&l->timers);
	qube__list_init(&l->again);
	qube__list_init(&l->posted);
	return 0;
}

void qube__loop_fini(struct qube__loop *l)
{
	qube__close_fd(&l->timerfd);
	qube__close_fd(&l->kick);
	qube__close_fd(&l->epfd);
}

/* Makes the descriptor readable for work that no descriptor tells of. Inside a round that is left
 * to the round's end, which does the work itself. */
static void kick(struct qube__loop *l)
{
	if (l->kicked || l->batch)
		return;
	l->kicked = true;
	eventfd_write(l->kick, 1);
}

int qube__source_add(struct qube__loop *l, struct qube__source *s, int fd, uint32_t events,
		     void (*fn)(struct qube__source *s, uint32_t revents))
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return qube__fail_os("cannot watch a descriptor");
	s->fd = fd;
	s->events = events;
	s->fn = fn;
	s->added = true;
	qube__list_init(&s->again);
	return 0;
}

int qube__source_set(struct qube__loop *l, struct qube__source *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	if (!s->added || s->events == events)
		return 0;
	if (epoll_ctl(l->epfd, EPOLL_CTL_MOD, s->fd, &ev) < 0)
		return qube__fail_os("cannot change what is watched");
	s->events = events;
	return 0;
}

void qube__source_remove(struct qube__loop *l, struct qube__source *s)
{
	if (!s->added)
		return;
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, s->fd, NULL);
	qube__list_remove(&s->again);
	s->added = false;
	for (int i = 0; i < l->batch_n; i++)
		if (l->batch[i].data.ptr == s)
			l->batch[i].data.ptr = NULL;
}

void qube__source_again(struct qube__loop *l, struct qube__source *s)
{
	if (!s->added)
		return;
	if (qube__list_empty(&s->again))
		qube__list_append(&l->again, &s->again);
	kick(l);
}

/* The timer is set anew for an earlier deadline only: one that fires for nothing costs less than
 * setting it at every start and stop of a request's deadline. */
static void arm(struct qube__loop *l)
{
	struct qube__list *first = l->timers.next;
	struct itimerspec when = { 0 };
	uint64_t at = 0;

	if (first != &l->timers) {
		at = qube__container_of(first, struct qube__timer, link)->at_ms;
		if (!at)
			at = 1;
	}
	if (!at || (l->armed_ms && at >= l->armed_ms))
		return;
	when.it_value.tv_sec = (time_t)(at / 1000);
	when.it_value.tv_nsec = (long)(at % 1000) * 1000000;
	timerfd_settime(l->timerfd, TFD_TIMER_ABSTIME, &when, NULL);
	l->armed_ms = at;
}

void qube__timer_init(struct qube__timer *t, void (*fn)(struct qube__timer *t))
{
	t->fn = fn;
	qube__list_init(&t->link);
}

void qube__timer_set(struct qube__loop *l, struct qube__timer *t, uint64_t at_ms)
{
	struct qube__list *pos = l->timers.prev;

	qube__list_remove(&t->link);
	t->at_ms = at_ms;
	pos = l->timers.prev;
	while (pos != &l->timers &&
	       qube__container_of(pos, struct qube__timer, link)->at_ms > at_ms)
		pos = pos->prev;
	/* Behind pos is in front of pos->next. */
	qube__list_append(pos->next, &t->link);
	arm(l);
}

void qube__timer_stop(struct qube__loop *l, struct qube__timer *t)
{
	qube__list_remove(&t->link);
	arm(l);
}

void qube__posted_init(struct qube__posted *p, void (*fn)(struct qube__posted *p))
{
	p->fn = fn;
	qube__list_init(&p->link);
}

void qube__post(struct qube__loop *l, struct qube__posted *p)
{
	if (qube__list_empty(&p->link))
		qube__list_append(&l->posted, &p->link);
	kick(l);
}

void qube__posted_cancel(struct qube__posted *p)
{
	qube__list_remove(&p->link);
}

void qube__loop_wakeup(struct qube__loop *l)
{
	eventfd_write(l->kick, 1);
}

static void run_timers(struct qube__loop *l)
{
	uint64_t now = qube__now_ms();

	l->armed_ms = 0;
	for (int n = 0; n < BATCH && !qube__list_empty(&l->timers); n++) {
		struct qube__timer *t =
			qube__container_of(l->timers.next, struct qube__timer, link);

		if (t->at_ms > now)
			break;
		qube__list_remove(&t->link);
		t->fn(t);
	}
	arm(l);
}

/* What was queued when the round began; what is queued meanwhile waits for the next round. */
static void run_queued(struct qube__loop *l)
{
	struct qube__list now;

	qube__list_init(&now);
	while (!qube__list_empty(&l->again)) {
		struct qube__list *item = l->again.next;

		qube__list_remove(item);
		qube__list_append(&now, item);
	}
	while (!qube__list_empty(&now)) {
		struct qube__source *s = qube__container_of(now.next, struct qube__source, again);

		qube__list_remove(&s->again);
		s->fn(s, 0);
	}
	while (!qube__list_empty(&l->posted)) {
		struct qube__list *item = l->posted.next;

		qube__list_remove(item);
		qube__list_append(&now, item);
	}
	while (!qube__list_empty(&now)) {
		struct qube__posted *p = qube__container_of(now.next, struct qube__posted, link);

		qube__list_remove(&p->link);
		p->fn(p);
	}
}

int qube__loop_dispatch(struct qube__loop *l, int32_t timeout_ms)
{
	struct epoll_event batch[BATCH];
	eventfd_t ignored;
	uint64_t expirations;
	bool worked = false;
	int n;

	if (!qube__list_empty(&l->again) || !qube__list_empty(&l->posted))
		timeout_ms = 0;
	n = epoll_wait(l->epfd, batch, BATCH, timeout_ms);
	if (n < 0 && errno == EINTR)
		return 0;
	if (n < 0)
		return qube__fail_os("cannot wait for events");
	l->batch = batch;
	l->batch_n = n;
	if (l->kicked) {
		l->kicked = false;
		eventfd_read(l->kick, &ignored);
	}
	for (int i = 0; i < l->batch_n; i++) {
		void *tag = batch[i].data.ptr;

		if (!tag)
			continue;
		if (tag == &l->kick) {
			if (!l->kicked)
				eventfd_read(l->kick, &ignored);
		} else if (tag == &l->timerfd) {
			/* Nothing to read: it was set anew meanwhile. */
			if (read(l->timerfd, &expirations, sizeof(expirations)) > 0)
				run_timers(l);
		} else {
			struct qube__source *s = tag;

			/* It may have left something: who waits for edges must look again. */
			worked = true;
			s->fn(s, batch[i].events);
		}
	}
	/* What was queued before or in this round; what that queues in turn waits for the next. */
	run_queued(l);
	l->batch_n = 0;
	l->batch = NULL;
	if (!qube__list_empty(&l->again) || !qube__list_empty(&l->posted)) {
		kick(l);
		return 1;
	}
	return worked || n == BATCH;
}
