/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A helper program and its queue of jobs. States: no program; idle (timer runs); one job sent. What
 * the helper says is untrusted: it reads trees that guests wrote. */
#include "event/job.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { IDLE_MS = 30000, CANCEL_MS = 10000, ROUND = 32, CHANNEL_FD = 3 };

struct qube__job {
	struct qube__helper *h;
	struct qube__list link;
	struct qube__job_cb cb;
	uint32_t id;
	bool canceled;
	int fds[QUBE__JOB_FDS_MAX];
	size_t n_fds;
	size_t len;
	uint8_t message[];
};

struct qube__helper {
	struct qube__loop *loop;
	char *path;
	char *option;
	struct qube__list queue;
	struct qube__job *running; /* not on the queue */
	struct qube__child child;  /* pid 0: none */
	int sock;
	struct qube__source source;
	struct qube__source exit_source;
	struct qube__timer timer; /* idle, or the deadline of a cancel */
	struct qube__posted pump;
	uint32_t last_id;
	uint32_t idle_ms;
};

static void pump(struct qube__posted *p);
static void on_message(struct qube__source *s, uint32_t revents);
static void on_end(struct qube__source *s, uint32_t revents);
static void on_timer(struct qube__timer *t);

int qube__helper_create(struct qube__helper **out, struct qube__loop *loop, const char *path,
			const char *option)
{
	struct qube__helper *h = calloc(1, sizeof(*h));

	if (!h)
		return qube__fail_nomem();
	h->path = strdup(path);
	h->option = option ? strdup(option) : NULL;
	if (!h->path || (option && !h->option)) {
		free(h->path);
		free(h->option);
		free(h);
		return qube__fail_nomem();
	}
	h->loop = loop;
	h->sock = -1;
	h->child.pidfd = -1;
	h->idle_ms = IDLE_MS;
	qube__list_init(&h->queue);
	qube__timer_init(&h->timer, on_timer);
	qube__posted_init(&h->pump, pump);
	*out = h;
	return 0;
}

void qube__helper_set_idle(struct qube__helper *h, uint32_t idle_ms)
{
	h->idle_ms = idle_ms;
}

int qube__helper_pid(const struct qube__helper *h)
{
	return h->child.pid;
}

/* Ends the program. Killing is safe at any time: what it makes is used only after its DONE. */
static int stop_program(struct qube__helper *h)
{
	int status;

	qube__timer_stop(h->loop, &h->timer);
	if (!h->child.pid)
		return 0;
	qube__source_remove(h->loop, &h->source);
	qube__source_remove(h->loop, &h->exit_source);
	qube__close_fd(&h->sock);
	syscall(SYS_pidfd_send_signal, h->child.pidfd, SIGKILL, NULL, 0);
	status = qube__child_reap(&h->child);
	h->child.pid = 0;
	return status;
}

static void free_job(struct qube__job *j)
{
	for (size_t i = 0; i < j->n_fds; i++)
		qube__close_fd(&j->fds[i]);
	free(j);
}

/* The record is set by the caller when code < 0. */
static void finish(struct qube__job *j, int code, const struct qube__job_reply *result)
{
	struct qube__helper *h = j->h;
	struct qube__job_cb cb = j->cb;

	if (h->running == j)
		h->running = NULL;
	else
		qube__list_remove(&j->link);
	free_job(j);
	qube__post(h->loop, &h->pump);
	cb.done(cb.user, code, result);
}

static void fail_running(struct qube__helper *h, int status)
{
	struct qube__job *j = h->running;
	struct qube__job_reply none = { .kind = QUBE__JOB_DONE };
	int code;

	if (!j) {
		qube__post(h->loop, &h->pump);
		return;
	}
	none.id = j->id;
	if (j->canceled)
		code = qube__fail(QUBE_E_CANCELED, "canceled");
	else if (status > 128)
		code = qube__fail(QUBE_E_CLOSED, "the helper %s died of signal %d", h->path,
				  status - 128);
	else
		code = qube__fail(QUBE_E_CLOSED, "the helper %s ended with status %d", h->path,
				  status);
	none.code = code;
	finish(j, code, &none);
}

static int start_program(struct qube__helper *h)
{
	const char *argv[3] = { h->path, h->option, NULL };
	qube__autofd ours = -1;
	qube__autofd theirs = -1;
	int fds[4] = { -1, -1, 2, -1 };
	struct qube__spawn s = { .path = h->path, .exec_fd = -1, .argv = argv, .n_fds = 4 };
	struct qube__child child;
	int pair[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return qube__fail_os("cannot make a channel to a helper");
	ours = pair[0];
	theirs = pair[1];
	r = qube__io_nonblock(ours);
	if (r < 0)
		return r;
	fds[CHANNEL_FD] = theirs;
#ifndef QUBE_DEBUG
	fds[2] = -1; /* its errors come in words over the channel */
#endif
	s.fds = fds;
	r = qube__spawn(&child, &s);
	if (r < 0)
		return r;
	h->child = child;
	h->sock = qube__steal_fd(&ours);
	r = qube__source_add(h->loop, &h->source, h->sock, EPOLLIN, on_message);
	if (r == 0)
		r = qube__source_add(h->loop, &h->exit_source, h->child.pidfd, EPOLLIN, on_end);
	if (r < 0)
		stop_program(h);
	return r;
}

/* A new helper's socket is empty and takes a whole record: EAGAIN is no case here. */
static int send_job(struct qube__helper *h, struct qube__job *j)
{
	ssize_t r = qube__io_send_fds(h->sock, j->message, j->len, j->fds, j->n_fds);

	if (r < 0)
		return r == QUBE_E_SYSTEM ? qube__fail_os("cannot send a job to %s", h->path) :
					    qube__fail((int)r, "cannot send a job to %s", h->path);
	for (size_t i = 0; i < j->n_fds; i++)
		qube__close_fd(&j->fds[i]);
	j->n_fds = 0;
	return 0;
}

static void pump(struct qube__posted *p)
{
	struct qube__helper *h = qube__container_of(p, struct qube__helper, pump);
	struct qube__job_reply none = { .kind = QUBE__JOB_DONE };
	struct qube__job *j;
	int r = 0;

	while (!qube__list_empty(&h->queue)) {
		j = qube__container_of(h->queue.next, struct qube__job, link);
		if (!j->canceled)
			break;
		none.id = j->id;
		none.code = qube__fail(QUBE_E_CANCELED, "canceled");
		finish(j, none.code, &none);
	}
	if (h->running)
		return;
	qube__timer_stop(h->loop, &h->timer);
	if (qube__list_empty(&h->queue)) {
		if (h->child.pid)
			qube__timer_set(h->loop, &h->timer, qube__now_ms() + h->idle_ms);
		return;
	}
	j = qube__container_of(h->queue.next, struct qube__job, link);
	if (!h->child.pid)
		r = start_program(h);
	if (r == 0)
		r = send_job(h, j);
	if (r == QUBE_E_CLOSED) { /* it died while idle: once more with a new one */
		stop_program(h);
		r = start_program(h);
		if (r == 0)
			r = send_job(h, j);
	}
	if (r < 0) {
		none.code = r;
		none.id = j->id;
		finish(j, r, &none);
		return;
	}
	qube__list_remove(&j->link);
	h->running = j;
}

static void report(struct qube__job *j, const struct qube__job_reply *reply)
{
	if (reply->kind == QUBE__JOB_PLAN && j->cb.plan)
		j->cb.plan(j->cb.user, reply);
	if (reply->kind == QUBE__JOB_PROGRESS && j->cb.progress)
		j->cb.progress(j->cb.user, reply->done, reply->total);
	if (reply->kind == QUBE__JOB_STAGE && j->cb.stage)
		j->cb.stage(j->cb.user, (uint32_t)reply->done);
	if (reply->kind == QUBE__JOB_NOTE && j->cb.note)
		j->cb.note(j->cb.user, reply->text);
}

/* The helper's words become the record; its errno is kept for callers who look at it. */
static int record_failure(const struct qube__job_reply *reply)
{
	struct qube__err e;

	qube__err_clear(&e);
	qube__fail(reply->code, "%s", reply->text[0] ? reply->text : "the helper gave no reason");
	qube__err_save(&e);
	e.pub.os_errno = reply->os_errno;
	return qube__err_restore(&e);
}

static void on_message(struct qube__source *s, uint32_t revents)
{
	struct qube__helper *h = qube__container_of(s, struct qube__helper, source);
	struct qube__job_reply reply;

	(void)revents;
	for (int i = 0; i < ROUND; i++) {
		uint8_t untrusted[1024];
		int fds[1];
		size_t n_fds = 0;
		ssize_t n = qube__io_recv_fds(h->sock, untrusted, sizeof(untrusted), fds, &n_fds);

		if (n == QUBE_E_AGAIN)
			return;
		if (n <= 0 || qube__job_reply_parse(&reply, untrusted, (size_t)n) < 0 ||
		    !h->running || reply.id != h->running->id) {
			fail_running(h, stop_program(h));
			return;
		}
		if (reply.kind == QUBE__JOB_DONE) {
			qube__timer_stop(h->loop, &h->timer);
			if (reply.code < 0)
				record_failure(&reply);
			finish(h->running, reply.code, &reply);
			return;
		}
		report(h->running, &reply);
	}
	qube__source_again(h->loop, s);
}

static void on_end(struct qube__source *s, uint32_t revents)
{
	struct qube__helper *h = qube__container_of(s, struct qube__helper, exit_source);
	char peek;

	(void)revents;
	/* What it said before it went is still in the socket: read that first. */
	if (h->running) {
		on_message(&h->source, 0);
		if (!h->child.pid)
			return;
		if (h->running && recv(h->sock, &peek, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
			return; /* the pidfd stays readable: next round */
	}
	fail_running(h, stop_program(h));
}

static void on_timer(struct qube__timer *t)
{
	struct qube__helper *h = qube__container_of(t, struct qube__helper, timer);

	fail_running(h, stop_program(h));
}

void qube__helper_destroy(struct qube__helper *h)
{
	struct qube__job_reply none = { .kind = QUBE__JOB_DONE, .code = QUBE_E_CANCELED };

	if (!h)
		return;
	stop_program(h);
	while (h->running || !qube__list_empty(&h->queue)) {
		struct qube__job *j = h->running;

		if (!j)
			j = qube__container_of(h->queue.next, struct qube__job, link);
		none.id = j->id;
		finish(j, qube__fail(QUBE_E_CANCELED, "the helper was closed"), &none);
	}
	qube__timer_stop(h->loop, &h->timer);
	qube__posted_cancel(&h->pump);
	free(h->path);
	free(h->option);
	free(h);
}

static int dup_fds(struct qube__job *j, const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		j->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (j->fds[i] < 0)
			return qube__fail_os("cannot pass a directory to a helper");
		j->n_fds = i + 1;
	}
	return 0;
}

int qube__job_start(struct qube__job **out, struct qube__helper *h,
		    const struct qube__job_request *req, const int *fds,
		    const struct qube__job_cb *cb)
{
	qube__autofree uint8_t *message = malloc(QUBE__JOB_MSG_MAX);
	struct qube__job_request full = *req;
	struct qube__job *j;
	int len;

	if (!message)
		return qube__fail_nomem();
	full.id = ++h->last_id;
	len = qube__job_request_encode(message, QUBE__JOB_MSG_MAX, &full);
	if (len < 0)
		return qube__fail(len, "a job of type %u cannot be expressed", req->type);
	j = calloc(1, sizeof(*j) + (size_t)len);
	if (!j)
		return qube__fail_nomem();
	if (dup_fds(j, fds, (size_t)qube__job_type_fds(req->type)) < 0) {
		free_job(j);
		return QUBE_E_SYSTEM;
	}
	memcpy(j->message, message, (size_t)len);
	j->len = (size_t)len;
	j->id = full.id;
	j->h = h;
	j->cb = *cb;
	qube__list_append(&h->queue, &j->link);
	qube__post(h->loop, &h->pump);
	if (out)
		*out = j;
	return 0;
}

void qube__job_cancel(struct qube__job *j)
{
	struct qube__job_request req = { .type = QUBE__JOB_CANCEL, .id = j->id };
	struct qube__helper *h = j->h;
	uint8_t message[64];
	int len;

	if (j->canceled)
		return;
	j->canceled = true;
	if (h->running != j) {
		/* To the front: it ends in the next round, not after what was queued before. */
		qube__list_remove(&j->link);
		qube__list_append(h->queue.next, &j->link);
		qube__post(h->loop, &h->pump);
		return;
	}
	len = qube__job_request_encode(message, sizeof(message), &req);
	if (len > 0)
		qube__io_send_fds(h->sock, message, (size_t)len, NULL, 0);
	qube__timer_set(h->loop, &h->timer, qube__now_ms() + CANCEL_MS);
}
