/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the worker tells the library. Names of files are hostile: they are escaped here. */
#include "worker.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TICKS = 64, REPORT_MS = 100, NOTES_MAX = 200 };

/* Waits for room in the socket: a record is never lost. */
static int send_reply(struct worker_job *job, const struct qube__job_reply *reply)
{
	uint8_t buf[QUBE__JOB_TEXT_MAX + 128];
	struct pollfd p = { .fd = job->sock, .events = POLLOUT };
	int len = qube__job_reply_encode(buf, sizeof(buf), reply);
	ssize_t r;

	if (job->sock < 0)
		return 0;
	if (len < 0)
		return len;
	for (;;) {
		r = qube__io_send_fds(job->sock, buf, (size_t)len, NULL, 0);
		if (r != QUBE_E_AGAIN)
			return r < 0 ? QUBE_E_CLOSED : 0;
		poll(&p, 1, 1000);
	}
}

static struct qube__job_reply reply_of(const struct worker_job *job, uint32_t kind)
{
	return (struct qube__job_reply){
		.kind = kind,
		.id = job->id,
		.done = job->done,
		.total = job->total,
		.files = job->files,
		.packages = job->packages,
		.skipped = job->skipped,
	};
}

/* A cancel that names another job came too late for that one: it is dropped. */
static int check_cancel(struct worker_job *job)
{
	uint8_t untrusted[256];
	struct qube__job_request req;
	size_t n_fds = 0;
	ssize_t n = qube__io_recv_fds(job->sock, untrusted, sizeof(untrusted), NULL, &n_fds);

	if (n == QUBE_E_AGAIN)
		return 0;
	if (n <= 0)
		return qube__fail(QUBE_E_CLOSED, "the library is gone");
	if (qube__job_request_parse(&req, untrusted, (size_t)n) < 0 || req.type != QUBE__JOB_CANCEL)
		return qube__fail(QUBE_E_PROTO, "a request during a job");
	if (req.id == job->id)
		return qube__fail(QUBE_E_CANCELED, "canceled");
	return 0;
}

int worker_report(struct worker_job *job)
{
	struct qube__job_reply reply;
	uint64_t now;
	int r;

	if (job->sock < 0)
		return 0;
	r = check_cancel(job);
	now = qube__now_ms();
	if (r < 0 || now - job->reported_ms < REPORT_MS)
		return r;
	job->reported_ms = now;
	reply = reply_of(job, QUBE__JOB_PROGRESS);
	return send_reply(job, &reply);
}

int worker_tick(struct worker_job *job)
{
	return ++job->ticks % TICKS ? 0 : worker_report(job);
}

int worker_wait(struct worker_job *job, int fd, short events)
{
	/* Only bytes of the channel wake us: somebody wants this to end, or is gone. */
	struct pollfd p[2] = { { .fd = fd, .events = events },
			       { .fd = job->sock, .events = POLLIN } };

	if (poll(p, 2, 1000) < 0 && errno != EINTR)
		return qube__fail_os("cannot wait");
	return p[1].revents ? check_cancel(job) : 0;
}

void worker_plan(struct worker_job *job)
{
	struct qube__job_reply reply = reply_of(job, QUBE__JOB_PLAN);

	send_reply(job, &reply);
}

void worker_stage(struct worker_job *job, uint32_t stage)
{
	struct qube__job_reply reply = reply_of(job, QUBE__JOB_STAGE);

	reply.done = stage;
	send_reply(job, &reply);
}

void worker_note(struct worker_job *job, const char *fmt, ...)
{
	struct qube__job_reply reply = reply_of(job, QUBE__JOB_NOTE);
	char raw[512];
	va_list ap;
	int n;

	if (job->notes++ >= NOTES_MAX)
		return;
	va_start(ap, fmt);
	n = vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if (job->notes == NOTES_MAX)
		n = snprintf(raw, sizeof(raw), "further notes are left out");
	qube__text_escape(reply.text, sizeof(reply.text), raw, strnlen(raw, sizeof(raw)));
	if (job->on_note)
		job->on_note(reply.text);
	send_reply(job, &reply);
}

int worker_done(struct worker_job *job, int code)
{
	struct qube__job_reply reply = reply_of(job, QUBE__JOB_DONE);
	const struct qube_error *e = qube_error_last();

	if (code < 0) {
		reply.code = code;
		reply.os_errno = e->os_errno >= 0 && e->os_errno <= 4095 ? e->os_errno : 0;
		qube__text_escape(reply.text, sizeof(reply.text), e->message, strlen(e->message));
	}
	return send_reply(job, &reply);
}
