/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What every kind of context has: one loop, subscribers, and callbacks that wait for dispatch. */
#ifndef QUBE_CORE_CTX_H
#define QUBE_CORE_CTX_H

#include <qube/ctx.h>
#include <qube/event.h>

#include "base/list.h"
#include "event/loop.h"

#include <stdarg.h>
#include <stdbool.h>
#include <sys/types.h>

struct qube__backend;

struct qube_ctx {
	uint32_t refs;
	uint32_t mode;
	const struct qube__backend *be;
	struct qube__loop loop;
	struct qube__list listeners; /* inside the library: called at once */
	struct qube__list subs;	     /* the application's: fed by queued events */
	struct qube__list events;    /* queued for the application */
	size_t n_events;
	struct qube__list ops;	 /* that run */
	struct qube__list ready; /* finished ops whose callback is due */
	bool in_callback;
	bool events_lost;  /* said so already */
	pid_t user_thread; /* debug builds: who waits in it right now, or 0 */
	int32_t log_priority;
	void (*log)(void *user, int32_t priority, const char *line);
	void *log_user;
};

/* A listener inside the library; may remove itself and others while an event is told. */
struct qube__listener {
	void (*fn)(struct qube__listener *l, const struct qube_event *ev);
	struct qube__list link;
};

/* Fills the common part; opts was imported. */
int qube__ctx_init(qube_ctx *ctx, const struct qube__backend *be, const struct qube_ctx_opts *opts);
void qube__ctx_fini(qube_ctx *ctx);
/* One line, made harmless by its writer. */
void qube__ctx_log(qube_ctx *ctx, int priority, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int qube__ctx_dispatch(qube_ctx *ctx, int32_t timeout_ms);
/* One round of the loop without delivering anything to the application. */
int qube__ctx_turn(qube_ctx *ctx, int32_t timeout_ms);
/* QUBE_E_INVALID from inside a callback or, in debug builds, while another thread waits in it. */
int qube__ctx_may_block(qube_ctx *ctx);

void qube__ctx_listen(qube_ctx *ctx, struct qube__listener *l,
		      void (*fn)(struct qube__listener *l, const struct qube_event *ev));
void qube__ctx_unlisten(struct qube__listener *l);
/* Tells listeners now and subscribers at the next dispatch. pairs: key, value, ..., NULL. */
void qube__ctx_emit(qube_ctx *ctx, const char *subject, const char *name, ...)
	__attribute__((sentinel));
void qube__ctx_emit_event(qube_ctx *ctx, const struct qube_event *ev);

int qube__ctx_subscribe(qube_subscription **out, qube_ctx *ctx, const struct qube_callback *cb);
void qube__ctx_unsubscribe(qube_subscription *sub);

#endif
