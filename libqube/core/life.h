/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the two halves of a qube's life share: life.c begins it, stop.c ends it. */
#ifndef QUBE_CORE_LIFE_H
#define QUBE_CORE_LIFE_H

#include "core/host.h"

/* Goes on with next from the loop. */
void qube__life_post(struct qube__run *r, void (*next)(struct qube__run *r));
void qube__life_set_state(struct qube__run *r, uint32_t state);
void qube__life_tell(struct qube__list *waiters, int code);
/* w may be NULL. */
void qube__life_wait_for(struct qube__list *waiters, struct qube__waiter *w);
/* The start failed: the thread's record says why. Keeps the first reason. */
void qube__life_fail(struct qube__run *r);
/* A start that failed: whatever exists goes. */
void qube__life_unwind(struct qube__run *r);
/* The machine is gone or never was. */
void qube__life_settle(struct qube__run *r);
void qube__life_on_deadline(struct qube__timer *t);
/* Another connection to an agent that was lost, up to a ceiling. */
void qube__life_reconnect(struct qube__run *r);
#endif
