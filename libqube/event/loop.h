/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The loop behind a context's one descriptor: epoll, a timerfd and an eventfd. A source's callback
 * may add, change and remove any source, itself included. */
#ifndef QUBE_EVENT_LOOP_H
#define QUBE_EVENT_LOOP_H

#include "base/list.h"

#include <stdint.h>
#include <sys/epoll.h>

struct qube__loop {
	int epfd;
	int kick;
	int timerfd;
	uint64_t armed_ms;	  /* what timerfd is set to; 0: off */
	struct qube__list timers; /* by deadline */
	struct qube__list again;  /* sources with work left though their fd may stay silent */
	struct qube__list posted;
	struct epoll_event *batch; /* of the running dispatch: a removed source is struck out */
	int batch_n;
	bool kicked;
};

/* Embedded in its owner; all zero is "not added". */
struct qube__source {
	int fd;
	uint32_t events;
	void (*fn)(struct qube__source *s, uint32_t revents);
	struct qube__list again;
	bool added;
};

struct qube__timer {
	uint64_t at_ms;
	void (*fn)(struct qube__timer *t);
	struct qube__list link;
};

/* Runs once, at the next dispatch. */
struct qube__posted {
	void (*fn)(struct qube__posted *p);
	struct qube__list link;
};

int qube__loop_init(struct qube__loop *l);
void qube__loop_fini(struct qube__loop *l);
/* s must stay in place until it is removed. The fd is borrowed. */
int qube__source_add(struct qube__loop *l, struct qube__source *s, int fd, uint32_t events,
		     void (*fn)(struct qube__source *s, uint32_t revents));
int qube__source_set(struct qube__loop *l, struct qube__source *s, uint32_t events);
void qube__source_remove(struct qube__loop *l, struct qube__source *s);
/* Call s again (revents 0) in the next round, whatever its fd says. */
void qube__source_again(struct qube__loop *l, struct qube__source *s);

void qube__timer_init(struct qube__timer *t, void (*fn)(struct qube__timer *t));
void qube__timer_set(struct qube__loop *l, struct qube__timer *t, uint64_t at_ms);
void qube__timer_stop(struct qube__loop *l, struct qube__timer *t);

void qube__posted_init(struct qube__posted *p, void (*fn)(struct qube__posted *p));
void qube__post(struct qube__loop *l, struct qube__posted *p); /* twice is once */
void qube__posted_cancel(struct qube__posted *p);

/* From any thread: makes the fd readable. */
void qube__loop_wakeup(struct qube__loop *l);
/* Waits up to timeout_ms (-1: for ever, 0: not at all) for work, does one bounded round of it.
 * 1 while more waits, 0 when drained, or an error. */
int qube__loop_dispatch(struct qube__loop *l, int32_t timeout_ms);

#endif
