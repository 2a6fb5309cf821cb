/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Operations that take a helper: a job, then a short end that makes its result visible. */
#include "storage/inside.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <fcntl.h>
#include <string.h>
#include <stdio.h>
#include <sys/mount.h>

static void release(struct qube__pool_op *op)
{
	qube__list_remove(&op->link);
	qube__posted_cancel(&op->end);
	qube__helper_destroy(op->second);
	qube__helper_destroy(op->own);
	qube__close_fd(&op->fd);
	qube__volume_run_fini(&op->parts);
	free(op->merged);
	free(op);
}

static void on_ended(struct qube__posted *p)
{
	release(qube__container_of(p, struct qube__pool_op, end));
}

/* A helper may not be destroyed by what it calls. */
void qube__pool_op_free(struct qube__pool_op *op)
{
	if (!op->own || op->p->closing) {
		release(op);
		return;
	}
	qube__list_remove(&op->link);
	qube__list_append(&op->p->ended, &op->link);
	qube__post(op->p->env.loop, &op->end);
}

int qube__pool_op_new(struct qube__pool_op **out, struct qube__pool *p, const char *owner,
		      const char *name, const struct qube__pool_cb *cb)
{
	struct qube__pool_op *op = calloc(1, sizeof(*op));

	if (!op)
		return qube__fail_nomem();
	qube__list_append(&p->ops, &op->link);
	op->p = p;
	op->cb = *cb;
	op->fd = -1;
	qube__posted_init(&op->end, on_ended);
	qube__text_copy(op->owner, sizeof(op->owner), owner);
	qube__text_copy(op->name, sizeof(op->name), name);
	*out = op;
	return 0;
}

static void on_progress(void *user, uint64_t done, uint64_t total)
{
	struct qube__pool_op *op = user;

	if (op->cb.progress)
		op->cb.progress(op->cb.user, done, total);
}

static void on_note(void *user, const char *line)
{
	struct qube__pool_op *op = user;

	if (op->cb.note)
		op->cb.note(op->cb.user, line);
}

static void on_stage(void *user, uint32_t stage)
{
	static const char *const names[QUBE__JOB_STAGES] = {
		[QUBE__JOB_AT_COPY] = "/copy",	       [QUBE__JOB_AT_VERIFY] = "/verify",
		[QUBE__JOB_AT_UNPACK] = "/unpack",     [QUBE__JOB_AT_WRITE] = "/write",
		[QUBE__JOB_AT_SETTINGS] = "/settings", [QUBE__JOB_AT_FLUSH] = "/flush",
	};
	struct qube__pool_op *op = user;

	if (op->cb.stage && stage < QUBE__JOB_STAGES)
		op->cb.stage(op->cb.user, names[stage]);
}

static void on_plan(void *user, const struct qube__job_reply *plan)
{
	struct qube__pool_op *op = user;

	if (op->plan)
		op->plan(op->cb.user, plan->packages, plan->files, plan->total);
}

static void on_done(void *user, int code, const struct qube__job_reply *result)
{
	struct qube__pool_op *op = user;
	struct qube__pool_cb cb = op->cb;
	struct qube__err why;

	op->job = NULL;
	if (code == 0)
		code = op->finish(op, result);
	if (code > 0)
		return;
	qube__err_save(&why);
	/* What became something is not in tmp/ any more. */
	if (op->temp[0])
		qube__pool_trash(op->p, op->p->tmp, op->temp);
	if (op->from[0])
		qube__pool_trash(op->p, op->p->tmp, op->from);
	if (code < 0 && op->failed)
		op->failed(op);
	qube__pool_op_free(op);
	if (code < 0)
		qube__err_restore(&why);
	cb.done(cb.user, code);
}

int qube__pool_op_job_on(struct qube__pool_op *op, struct qube__helper *helper,
			 const struct qube__job_request *req, const int *fds)
{
	struct qube__job_cb cb = {
		.user = op,
		.progress = on_progress,
		.plan = on_plan,
		.note = on_note,
		.stage = on_stage,
		.done = on_done,
	};
	int r = qube__job_start(&op->job, helper, req, fds, &cb);

	return r < 0 ? r : 1;
}

int qube__pool_op_job(struct qube__pool_op *op, const struct qube__job_request *req, const int *fds)
{
	return qube__pool_op_job_on(op, op->p->front, req, fds);
}

int qube__pool_op_copy(struct qube__pool_op *op, int src)
{
	struct qube__job_request req = { .type = QUBE__JOB_COPY_TREE, .n_args = 1 };
	int fds[2] = { src, op->p->tmp };
	int r = qube__pool_random_id(op->temp);

	if (r < 0)
		return r;
	req.args[0] = op->temp;
	return qube__pool_op_job(op, &req, fds);
}

/* The file is handed over as a mount that is nowhere, as the helper has no path to it, and what it
 * runs takes a path. */
static int open_place(struct qube__pool *p, const char *name)
{
	qube__autofd fd = openat(p->tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int place = fd < 0 ? -1 : open_tree(p->tmp, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return place < 0 ? qube__pool_fail(p, "make", "an image") : place;
}

/* A tree as a mount that is nowhere: read-only, and there is no way out of it, not even up. */
static int open_alone(struct qube__pool *p, int tree)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
					       MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	qube__autofd fd = open_tree(tree, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return qube__pool_fail(p, "open", "a tree");
	return qube__steal_fd(&fd);
}

int qube__pool_op_make_fs(struct qube__pool_op *op, int tree, uint32_t flags, uint64_t number)
{
	struct qube__job_request req = { .type = QUBE__JOB_MAKE_FS,
					 .flags = flags,
					 .number = number };
	struct qube__pool *p = op->p;
	struct qube__helper **helper = op->own ? &op->second : &op->own;
	int r = qube__pool_random_id(op->temp);
	qube__autofd place = r < 0 ? r : open_place(p, op->temp);
	qube__autofd alone = place >= 0 && tree >= 0 ? open_alone(p, tree) : -1;
	int fds[2] = { tree < 0 ? place : alone, place };

	if (place < 0)
		return place;
	r = tree >= 0 && alone < 0 ?
		    alone :
		    qube__helper_create(helper, p->env.loop, p->worker_path, "--programs");
	if (r == 0)
		r = qube__pool_op_job_on(op, *helper, &req, fds);
	if (r < 0)
		unlinkat(p->tmp, op->temp, 0);
	return r;
}

void qube__pool_op_cancel(struct qube__pool_op *op)
{
	if (op->job)
		qube__job_cancel(op->job);
	else if (op->waits)
		qube__post(op->p->env.loop, &op->end);
}

int qube__pool_new_stream(struct qube__pool_op **out, struct qube__pool *p,
			  const struct qube__volume_spec *v, int fd, const struct qube__pool_cb *cb,
			  const char *option)
{
	struct qube__pool_op *op;
	int r = qube__pool_op_new(&op, p, v->owner, v->name, cb);

	if (r < 0)
		return r;
	op->keep = v->revisions_to_keep;
	op->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	r = op->fd < 0 ? qube__fail_os("cannot use the descriptor") :
			 qube__helper_create(&op->own, p->env.loop, p->worker_path, option);
	if (r < 0) {
		qube__pool_op_free(op);
		return r;
	}
	*out = op;
	return 0;
}

static struct qube__pool_op *next_stream(struct qube__pool *p)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &p->ops) {
		struct qube__pool_op *op = qube__container_of(pos, struct qube__pool_op, link);

		if (op->own)
			return op;
	}
	return NULL;
}

void qube__pool_drop_streams(struct qube__pool *p)
{
	struct qube__pool_op *op;

	while ((op = next_stream(p))) {
		struct qube__helper *own = op->own;
		struct qube__helper *second = op->second;

		op->own = op->second = NULL;
		qube__helper_destroy(second);
		qube__helper_destroy(own); /* its job ends, and op with it */
	}
	while (!qube__list_empty(&p->ended)) {
		op = qube__container_of(p->ended.next, struct qube__pool_op, link);
		qube__pool_op_free(op); /* the pool is closing: at once */
	}
}
