/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Layers of a volume that was changed often are merged into one, while everything goes on: what
 * runs keeps the layers that it has, what starts later gets the new one. */
#include "storage/tree.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fault.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static bool is_merging(struct qube__pool *p, const char *owner, const char *name)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &p->ops) {
		struct qube__pool_op *op = qube__container_of(pos, struct qube__pool_op, link);

		if (op->merged && strcmp(op->owner, owner) == 0 && strcmp(op->name, name) == 0)
			return true;
	}
	return false;
}

void qube__tree_let_layers_go(struct qube__pool_op *op)
{
	op->merged->n_layers = 0;
	if (qube__tree_collect(op->p) < 0)
		qube__pool_log(op->p, 4, "%s", qube_error_last()->message);
}

/* The volume may have got further layers meanwhile, another name, or have been removed: then the
 * work was for nothing. */
static int finish_merge(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	qube__autofree struct qube__volume_file *f = malloc(sizeof(*f));
	struct qube__pool *p = op->p;
	int r = f ? qube__tree_read_file(p, f, op->owner, op->name) : qube__fail_nomem();

	(void)result;
	if (r < 0)
		return r;
	r = qube__volume_file_merge(f, op->merged, op->temp);
	if (r <= 0)
		return qube__fail(QUBE_E_BUSY, "volume %s of %s changed meanwhile", op->name,
				  op->owner);
	r = qube__tree_place_layer(op);
	if (r < 0)
		return r;
	r = qube__fault_fails(QUBE__FAULT_FLATTEN_LAYER) ?
		    QUBE_E_SYSTEM :
		    qube__tree_write_file(p, f, op->owner, op->name);
	if (r < 0)
		qube__pool_trash(p, p->layers, op->temp);
	if (r == 0)
		qube__tree_let_layers_go(op);
	return r;
}

/* A failure costs the time of a start, never data: the layers are what they were. */
static void on_merged(void *user, int code)
{
	struct qube__pool *p = user;

	if (code < 0 && code != QUBE_E_CANCELED)
		qube__pool_log(p, 4, "pool %s: layers were not merged: %s", p->name,
			       qube_error_last()->message);
}

static int begin(struct qube__pool_op *op)
{
	struct qube__job_request req = { .type = QUBE__JOB_FLATTEN };
	int fds[2] = { op->p->layers, op->p->tmp };
	int r = qube__pool_random_id(op->temp);

	if (r < 0)
		return r;
	req.args[req.n_args++] = op->temp;
	for (uint32_t i = 0; i < op->merged->n_layers; i++)
		req.args[req.n_args++] = op->merged->layers[i];
	return qube__pool_op_job_on(op, op->p->merge, &req, fds);
}

static int try_merge(struct qube__pool *p, const char *owner, const char *name)
{
	qube__autofree struct qube__volume_file *f = malloc(sizeof(*f));
	struct qube__pool_cb cb = { .user = p, .done = on_merged };
	struct qube__pool_op *op;
	int r = f ? qube__tree_read_file(p, f, owner, name) : qube__fail_nomem();

	if (r < 0 || f->states[0].n_layers <= QUBE__LAYERS_MERGE || is_merging(p, owner, name))
		return r;
	r = qube__pool_op_new(&op, p, owner, name, &cb);
	if (r < 0)
		return r;
	op->quiet = true;
	op->finish = finish_merge;
	op->failed = qube__tree_let_layers_go;
	op->merged = malloc(sizeof(*op->merged));
	if (op->merged)
		*op->merged = f->states[0];
	r = op->merged ? begin(op) : qube__fail_nomem();
	if (r < 0)
		qube__pool_op_free(op);
	return r;
}

void qube__tree_merge(struct qube__pool *p, const char *owner, const char *name)
{
	int r = try_merge(p, owner, name);

	if (r < 0)
		on_merged(p, r);
}

static int merge_file(struct qube__pool *p, void *user, const char *owner, const char *name)
{
	(void)user;
	qube__tree_merge(p, owner, name);
	return 0;
}

void qube__tree_merge_all(struct qube__pool *p)
{
	if (qube__tree_each_file(p, merge_file, NULL) < 0)
		qube__pool_log(p, 4, "%s", qube_error_last()->message);
}
