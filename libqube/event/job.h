/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A helper program kept alive and the jobs that it does, one after the other. It is started by the
 * first job, stopped after a while without any, and started again after it died; its death fails
 * the running job, the others wait for its successor. Nothing blocks; callbacks come from the
 * loop's dispatch only. */
#ifndef QUBE_EVENT_JOB_H
#define QUBE_EVENT_JOB_H

#include "event/loop.h"
#include "event/proto.h"

struct qube__helper;
struct qube__job;

struct qube__job_cb {
	void *user;
	/* Optional. */
	void (*progress)(void *user, uint64_t done, uint64_t total);
	/* Optional: what an import is going to copy, before anything is written. */
	void (*plan)(void *user, const struct qube__job_reply *plan);
	/* Optional: what it does now, QUBE__JOB_AT_*. */
	void (*stage)(void *user, uint32_t stage);
	/* Optional: one harmless line about something that was left out. */
	void (*note)(void *user, const char *line);
	/* Exactly once for a job that was started, also canceled or at destroy; the job is gone
	 * when it returns. code < 0: the thread's record says why. May start other jobs, but not
	 * destroy the helper. */
	void (*done)(void *user, int code, const struct qube__job_reply *result);
};

/* path: absolute, of the program; it gets its end of the channel as descriptor 3. option: its one
 * argument, or NULL. Starts nothing yet. */
int qube__helper_create(struct qube__helper **out, struct qube__loop *loop, const char *path,
			const char *option);
/* Kills the program; pending jobs end with QUBE_E_CANCELED. NULL is fine. */
void qube__helper_destroy(struct qube__helper *h);
/* The running program's process id, 0 when none runs. */
int qube__helper_pid(const struct qube__helper *h);
/* Milliseconds without a job after which the program is stopped (30,000 by default). */
void qube__helper_set_idle(struct qube__helper *h, uint32_t idle_ms);

/* fds: as many as the request's type carries; borrowed (dup'ed). req is borrowed for the call, its
 * id is ignored. out (may be NULL): for cancel, valid until done was called. */
int qube__job_start(struct qube__job **out, struct qube__helper *h,
		    const struct qube__job_request *req, const int *fds,
		    const struct qube__job_cb *cb);
/* done follows from the loop with QUBE_E_CANCELED, or with the result if it was faster. A helper
 * that does not answer within ten seconds is killed. */
void qube__job_cancel(struct qube__job *j);

#endif
