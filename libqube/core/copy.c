/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A copy into or out of a qube: a call of qube-copy inside, a worker of its own on the host, and a
 * pipe between them. What passes the pipe is seen by those two alone. */
#include "core/domain.h"
#include "core/host.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"
#include "event/job.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	SAID_MAX = 400, /* of what the qube's end says */
	LATE_MS = 3000, /* for the other end, once one has failed */
};

struct copy {
	struct qube__list link; /* host->copies */
	struct qube__host *host;
	qube_op *op;
	bool in;
	bool canceled;
	bool call_over;
	bool job_over;
	qube_op *call; /* NULL: over */
	int call_code; /* of the call itself */
	int exit_code; /* of its program */
	struct qube__err call_err;
	struct qube__helper *own;
	struct qube__job *job; /* NULL: over */
	int job_code;
	struct qube__err job_err;
	bool left;     /* something was left out */
	bool cleaning; /* the job is one that removes what another left */
	char temp[32]; /* out: what is being made */
	int dir_fd;    /* in that; -1 */
	int works_fd;
	struct qube__source said_source;
	int said_fd;
	size_t n_said;
	char said[SAID_MAX];
	struct qube__posted step;
	struct qube__timer late;
	char name[QUBE__NAME_MAX + 1];
};

static void copy_free(struct copy *c)
{
	/* Its job ends now, and posts a step. */
	qube__helper_destroy(c->own);
	qube__list_remove(&c->link);
	qube__posted_cancel(&c->step);
	qube__timer_stop(&c->host->ctx.loop, &c->late);
	qube__source_remove(&c->host->ctx.loop, &c->said_source);
	qube__close_fd(&c->said_fd);
	qube__close_fd(&c->works_fd);
	qube__close_fd(&c->dir_fd);
	if (c->call) {
		c->call->over = NULL;
		if (c->call->cancel)
			c->call->cancel(c->call);
		qube__op_drop(c->call);
	}
	free(c);
}

static void finish(struct copy *c, int code)
{
	qube_op *op = c->op;
	struct qube__err err;

	qube__err_save(&err);
	op->exit_code = c->left ? 1 : 0;
	copy_free(c);
	if (code < 0)
		qube__err_restore(&err);
	qube__op_finish(op, code);
}

static void on_said(struct qube__source *s, uint32_t revents)
{
	struct copy *c = qube__container_of(s, struct copy, said_source);
	char rest[256];
	ssize_t n;

	(void)revents;
	/* More than the beginning is of no use, but it is read: who writes is not held. */
	n = qube__io_read(c->said_fd, rest, sizeof(rest));
	if (n == QUBE_E_AGAIN)
		return;
	if (n <= 0) {
		qube__source_remove(&c->host->ctx.loop, s);
		return;
	}
	if ((size_t)n > sizeof(c->said) - c->n_said)
		n = (ssize_t)(sizeof(c->said) - c->n_said);
	memcpy(c->said + c->n_said, rest, (size_t)n);
	c->n_said += (size_t)n;
}

/* A qube may claim what it likes, but not what only the host can know. */
static int code_of(int exit_code)
{
	switch (-exit_code) {
	case QUBE_E_INVALID:
	case QUBE_E_LIMIT:
	case QUBE_E_NOENT:
	case QUBE_E_STATE:
	case QUBE_E_EXISTS:
		return -exit_code;
	default:
		return QUBE_E_SYSTEM;
	}
}

static int guest_failed(struct copy *c)
{
	char text[SAID_MAX];

	if (c->call_code < 0)
		return qube__err_restore(&c->call_err);
	if (c->said_source.added)
		on_said(&c->said_source, 0);
	while (c->n_said && c->said[c->n_said - 1] == '\n')
		c->n_said--;
	if (c->exit_code == 125)
		return qube__fail(QUBE_E_NOENT,
				  "'%s' has no user of that name, or it may run "
				  "nothing",
				  c->name);
	if (!c->n_said)
		return qube__fail(QUBE_E_SYSTEM, "in '%s' the copy ended with status %d", c->name,
				  c->exit_code);
	qube__text_escape(text, sizeof(text), c->said, c->n_said);
	return qube__fail(code_of(c->exit_code), "in '%s': %s", c->name, text);
}

static void wait_a_moment(struct copy *c)
{
	if (qube__list_empty(&c->late.link))
		qube__timer_set(&c->host->ctx.loop, &c->late, qube__now_ms() + LATE_MS);
}

/* One end is over, or both are. */
static void on_step(struct qube__posted *p)
{
	struct copy *c = qube__container_of(p, struct copy, step);
	bool guest_bad = c->call_over && (c->call_code < 0 || c->exit_code != 0);

	if (c->canceled && c->job_over) {
		qube__fail(QUBE_E_CANCELED, "the copy was canceled");
		finish(c, QUBE_E_CANCELED);
	} else if (!c->job_over) {
		/* It sees the end of the pipe by itself, unless somebody inside keeps that. */
		wait_a_moment(c);
	} else if (c->job_code == 0 && !c->in) {
		finish(c, 0);
	} else if (c->job_code < 0 && c->job_code != QUBE_E_CLOSED) {
		finish(c, qube__err_restore(&c->job_err));
	} else if (guest_bad) {
		finish(c, guest_failed(c));
	} else if (c->call_over) {
		finish(c, c->job_code < 0 ? qube__err_restore(&c->job_err) : 0);
	} else if (c->job_code < 0) {
		wait_a_moment(c); /* for the reason */
	}
}

static void on_late(struct qube__timer *t)
{
	struct copy *c = qube__container_of(t, struct copy, late);

	if (c->job && !c->cleaning)
		qube__job_cancel(c->job); /* on_step() goes on */
	else if (!c->call_over && c->job_code < 0)
		finish(c, qube__err_restore(&c->job_err));
}

static void on_progress(void *user, uint64_t done, uint64_t total)
{
	struct copy *c = user;

	c->op->done_bytes = done;
	c->op->total_bytes = total;
}

static void on_note(void *user, const char *line)
{
	struct copy *c = user;

	qube__ctx_log(&c->host->ctx, 5, "copy %s '%s': %s", c->in ? "into" : "out of", c->name,
		      line);
}

static void on_cleaned(void *user, int code, const struct qube__job_reply *result)
{
	struct copy *c = user;

	(void)code;
	(void)result;
	c->job = NULL;
	c->job_over = true;
	qube__post(&c->host->ctx.loop, &c->step);
}

/* A worker takes back what it began, unless it was killed: then another one does. */
static bool clean_up(struct copy *c)
{
	struct qube__job_request job = {
		.type = QUBE__JOB_REMOVE_TREE,
		.n_args = 1,
		.args = { c->temp },
	};
	struct qube__job_cb cb = { .user = c, .done = on_cleaned };

	c->cleaning =
		c->dir_fd >= 0 && qube__job_start(&c->job, c->own, &job, &c->dir_fd, &cb) == 0;
	return c->cleaning;
}

static void on_job(void *user, int code, const struct qube__job_reply *result)
{
	struct copy *c = user;

	c->job = NULL;
	c->job_code = code;
	c->left = result->skipped != 0;
	if (code < 0)
		qube__err_save(&c->job_err);
	else
		on_progress(c, result->done, result->done);
	/* The call ended first, and that is why. */
	if (code == QUBE_E_CANCELED && !c->canceled)
		c->job_code = QUBE_E_CLOSED;
	if (code < 0 && clean_up(c))
		return;
	c->job_over = true;
	qube__post(&c->host->ctx.loop, &c->step);
}

static void on_call(void *user, qube_op *call)
{
	struct copy *c = user;

	c->call_over = true;
	c->exit_code = call->exit_code;
	if (call->state == QUBE_OP_FAILED) {
		qube__err_restore(&call->err);
		qube__err_save(&c->call_err);
		c->call_code = call->err.pub.code;
	}
	c->call = NULL;
	qube__op_drop(call);
	qube__post(&c->host->ctx.loop, &c->step);
}

static int cancel(qube_op *op)
{
	struct copy *c = op->work;

	c->canceled = true;
	if (c->job && !c->cleaning)
		qube__job_cancel(c->job);
	else
		qube__post(&c->host->ctx.loop, &c->step);
	return 0;
}

/* --- begin --- */

/* path as one word of the shell. */
static char *quoted(const char *path)
{
	char *out = malloc(4 * strlen(path) + 3);
	char *p = out;

	if (!out)
		return NULL;
	*p++ = '\'';
	for (; *path; path++) {
		if (*path == '\'') {
			memcpy(p, "'\\''", 4);
			p += 4;
		} else {
			*p++ = *path;
		}
	}
	*p++ = '\'';
	*p = '\0';
	return out;
}

static char *command_of(bool in, const struct qube_copy_opts *o)
{
	static const char program[] = "exec /run/qube/guest/qube-copy";
	qube__autofree char *path = quoted(o->path);
	qube__autofree char *name = quoted(o->name);

	if (!path || !name)
		return NULL;
	if (!in)
		return qube__text_format("%s give %s", program, path);
	return qube__text_format("%s take %s%s %s", program,
				 o->flags & QUBE_COPY_REPLACE ? "--replace " : "", path, name);
}

/* Where it is made, and under which name until it is whole. */
static int begin_place(struct copy *c, int dir)
{
	uint64_t n;

	if (getrandom(&n, sizeof(n), 0) != (ssize_t)sizeof(n))
		return qube__fail_os("cannot make a name");
	snprintf(c->temp, sizeof(c->temp), ".qube-%016llx", (unsigned long long)n);
	c->dir_fd = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	return c->dir_fd < 0 ? qube__fail_os("cannot use the descriptor") : 0;
}

static int begin_job(struct copy *c, const struct qube__host_copy *req, int pipe_end)
{
	const struct qube_copy_opts *o = req->opts;
	struct qube__job_request job = {
		.type = c->in ? QUBE__JOB_SEND : QUBE__JOB_RECEIVE,
		.flags = !c->in && o->flags & QUBE_COPY_REPLACE ? QUBE__JOB_REPLACE : 0,
		.number = c->in ? 0 : o->max_bytes,
		.n_args = c->in ? 1 : 2,
		.args = { o->name, c->temp },
	};
	struct qube__job_cb cb = {
		.user = c, .progress = on_progress, .note = on_note, .done = on_job
	};
	int fds[2] = { c->in ? o->fd : pipe_end, c->in ? pipe_end : o->fd };
	qube__autofree char *worker = qube__text_format("%s/qube-worker", c->host->libexec_dir);
	char as[64];
	int r;

	if (!worker)
		return qube__fail_nomem();
	if (!c->in) {
		r = begin_place(c, o->fd);
		if (r < 0)
			return r;
	}
	snprintf(as, sizeof(as), "--as=%u:%u", (unsigned int)req->uid, (unsigned int)req->gid);
	r = qube__helper_create(&c->own, &c->host->ctx.loop, worker, as);
	/* The worker waits for the pipe and for its end at once. */
	if (r == 0)
		r = qube__io_nonblock(pipe_end);
	return r < 0 ? r : qube__job_start(&c->job, c->own, &job, fds, &cb);
}

static int begin_call(struct copy *c, struct qube__vm *vm, const struct qube_copy_opts *o,
		      int pipe_end, int said)
{
	qube__autofree char *command = command_of(c->in, o);
	struct qube_call_opts call = {
		.size = sizeof(call),
		.flags = o->flags & QUBE_COPY_NO_START ? QUBE_CALL_NO_START : 0,
		.command = command,
		.user = o->user,
		.stdin_fd = c->in ? pipe_end : -1,
		.stdout_fd = c->in ? -1 : pipe_end,
		.stderr_fd = said,
	};
	int r = command ? qube__op_create_inner(&c->call, &c->host->ctx) : qube__fail_nomem();

	if (r < 0)
		return r;
	c->call->over = on_call;
	c->call->over_user = c;
	r = qube__link_call(c->host, vm, &call, c->call);
	if (r < 0) {
		qube__op_drop(c->call); /* the call's own */
		qube__op_drop(c->call);
		c->call = NULL;
	}
	return r;
}

static int begin(struct copy *c, struct qube__vm *vm, const struct qube__host_copy *req)
{
	qube__autofd out = -1;
	qube__autofd in = -1;
	qube__autofd said = -1;
	int data[2];
	int err[2];
	int r;

	if (pipe2(data, O_CLOEXEC) < 0)
		return qube__fail_os("cannot make a pipe");
	out = data[0];
	in = data[1];
	if (pipe2(err, O_CLOEXEC) < 0)
		return qube__fail_os("cannot make a pipe");
	c->said_fd = err[0];
	said = err[1];
	r = qube__io_nonblock(c->said_fd);
	if (r == 0)
		r = qube__source_add(&c->host->ctx.loop, &c->said_source, c->said_fd, EPOLLIN,
				     on_said);
	if (r == 0)
		r = begin_job(c, req, c->in ? in : out);
	return r < 0 ? r : begin_call(c, vm, req->opts, c->in ? out : in, said);
}

int qube__host_copy(struct qube__host *h, struct qube__vm *vm, const struct qube__host_copy *req,
		    qube_op *op)
{
	struct qube__err err;
	struct copy *c;
	int r;

	if (!h->n_pools)
		return qube__fail(QUBE_E_NOTSUP, "this host keeps no files and runs nothing");
	c = calloc(1, sizeof(*c));
	if (!c)
		return qube__fail_nomem();
	c->host = h;
	c->op = op;
	c->in = req->in;
	c->said_fd = -1;
	c->works_fd = -1;
	c->dir_fd = -1;
	c->exit_code = -1;
	qube__text_copy(c->name, sizeof(c->name), vm->name);
	qube__posted_init(&c->step, on_step);
	qube__timer_init(&c->late, on_late);
	qube__list_append(&h->copies, &c->link);
	qube__op_stage(op, "copy");
	if (req->works_fd >= 0)
		c->works_fd = fcntl(req->works_fd, F_DUPFD_CLOEXEC, 3);
	r = begin(c, vm, req);
	if (r < 0) {
		qube__err_save(&err);
		copy_free(c);
		return qube__err_restore(&err);
	}
	op->work = c;
	op->cancel = cancel;
	return 0;
}

int qube__host_domain_copy(qube_domain *d, bool in, const struct qube_copy_opts *o, qube_op *op)
{
	struct qube__host_copy req = {
		.in = in, .opts = o, .works_fd = -1, .uid = geteuid(), .gid = getegid()
	};
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_copy(qube__host_of(d->ctx), vm, &req, op);
}

void qube__copies_close(struct qube__host *h)
{
	while (!qube__list_empty(&h->copies)) {
		qube__fail(QUBE_E_CANCELED, "the host is closed");
		finish(qube__container_of(h->copies.next, struct copy, link), QUBE_E_CANCELED);
	}
}
