/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Volumes as streams: their content out, and other content in. Both wait for somebody, so each has
 * a helper of its own. */
#include "storage/tree.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int begun(struct qube__pool_op **out_op, struct qube__pool_op *op, int r)
{
	if (r < 0)
		qube__pool_op_free(op);
	else if (out_op)
		*out_op = op;
	return r;
}

/* --- out --- */

static int finish_export(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	(void)result;
	if (op->merged)
		qube__tree_let_layers_go(op);
	return 0;
}

static int write_out(struct qube__pool_op *op, int dir, const char *name)
{
	struct qube__job_request req = { .type = QUBE__JOB_EXPORT };
	qube__autofd tree = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fds[2] = { tree, op->fd };

	op->finish = finish_export;
	return tree < 0 ? qube__pool_fail(op->p, "open a volume of", op->owner) :
			  qube__pool_op_job_on(op, op->own, &req, fds);
}

static int finish_flatten(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	(void)result;
	return write_out(op, op->p->tmp, op->temp);
}

static int export_layers(struct qube__pool_op *op, const char *from)
{
	struct qube__job_request req = { .type = QUBE__JOB_FLATTEN };
	qube__autofree struct qube__volume_file *f = malloc(sizeof(*f));
	int fds[2] = { op->p->layers, op->p->tmp };
	int r = f ? qube__tree_read_file(op->p, f, from, op->name) : qube__fail_nomem();

	if (r < 0)
		return r;
	if (!f->states[0].n_layers)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_STORAGE, "volume %s of %s is empty",
					 op->name, from);
	op->merged = malloc(sizeof(*op->merged));
	if (!op->merged)
		return qube__fail_nomem();
	*op->merged = f->states[0];
	op->failed = qube__tree_let_layers_go;
	if (op->merged->n_layers == 1)
		return write_out(op, op->p->layers, op->merged->layers[0]);
	r = qube__pool_random_id(op->temp);
	if (r < 0)
		return r;
	req.args[req.n_args++] = op->temp;
	for (uint32_t i = 0; i < op->merged->n_layers; i++)
		req.args[req.n_args++] = op->merged->layers[i];
	op->finish = finish_flatten;
	return qube__pool_op_job_on(op, op->own, &req, fds);
}

static int export_tree(struct qube__pool_op *op, const char *from)
{
	qube__autofd owner = qube__pool_owner_dir(op->p->volumes, from, false);

	if (qube__pool_find_started(op->p, from, op->name))
		return qube__fail(QUBE_E_BUSY, "%s runs: its volume %s cannot be read now", from,
				  op->name);
	if (owner < 0 || !qube__pool_exists(owner, ".", op->name))
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_STORAGE,
					 "volume %s of %s is empty: it never ran", op->name, from);
	return write_out(op, owner, op->name);
}

int qube__tree_export(struct qube__pool_op **out_op, struct qube__pool *p,
		      const struct qube__volume_spec *v, int fd, const struct qube__pool_cb *cb)
{
	const char *from = v->source ? v->source : v->owner;
	struct qube__pool_op *op;
	int r;

	if (v->kind == QUBE__VOLUME_TMPFS)
		return qube__fail_detail(QUBE_E_NOTSUP, QUBE_D_STORAGE,
					 "volume %s of %s is empty at each start", v->name,
					 v->owner);
	r = qube__pool_new_stream(&op, p, v, fd, cb, "--layers");
	if (r < 0)
		return r;
	return begun(out_op, op,
		     v->kind == QUBE__VOLUME_LAYERED ? export_layers(op, from) :
						       export_tree(op, from));
}

/* --- in --- */

static int finish_layers(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	qube__autofree struct qube__volume_file *f = malloc(sizeof(*f));
	qube__autofree struct qube__volume_state *state = calloc(1, sizeof(*state));
	struct qube__pool *p = op->p;
	int r = f && state ? qube__tree_read_file(p, f, op->owner, op->name) : qube__fail_nomem();

	(void)result;
	if (r == 0)
		r = qube__tree_place_layer(op);
	if (r < 0)
		return r;
	memcpy(state->layers[state->n_layers++], op->temp, sizeof(op->temp));
	state->time = qube__wall_s();
	r = qube__volume_file_push(f, state, op->keep);
	if (r == 0)
		r = qube__tree_write_file(p, f, op->owner, op->name);
	if (r < 0)
		qube__pool_trash(p, p->layers, op->temp);
	return r < 0 ? r : qube__tree_collect(p);
}

/* The old tree goes to tmp/, under the name of the new one, and from there to the trash. */
static int finish_tree(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	struct qube__pool *p = op->p;
	qube__autofd owner = qube__pool_owner_dir(p->volumes, op->owner, true);
	bool there = owner >= 0 && qube__pool_exists(owner, ".", op->name);

	(void)result;
	if (owner < 0 ||
	    renameat2(p->tmp, op->temp, owner, op->name,
		      there ? RENAME_EXCHANGE : RENAME_NOREPLACE) < 0 ||
	    fsync(owner) < 0 || fsync(p->volumes) < 0)
		return qube__pool_fail(p, "place a volume of", op->owner);
	return 0;
}

int qube__tree_import(struct qube__pool_op **out_op, struct qube__pool *p,
		      const struct qube__volume_spec *v, int fd, const struct qube__pool_cb *cb)
{
	struct qube__job_request job = {
		.type = QUBE__JOB_IMPORT_ARCHIVE,
		.flags = QUBE__JOB_KEEP_SETID,
		.number = QUBE__POOL_KEEP_FREE,
		.n_args = 4,
		.args = { NULL, "tar", "", "" },
	};
	struct qube__pool_op *op;
	int fds[2];
	int r;

	if (!v->save_on_stop)
		return qube__fail_detail(QUBE_E_NOTSUP, QUBE_D_STORAGE,
					 "volume %s of %s is not kept: nothing can be put into it",
					 v->name, v->owner);
	if (qube__pool_owner_busy(p, v->owner))
		return qube__fail(QUBE_E_BUSY, "a volume of %s is in use", v->owner);
	r = qube__pool_new_stream(&op, p, v, fd, cb, NULL);
	if (r < 0)
		return r;
	op->finish = v->kind == QUBE__VOLUME_LAYERED ? finish_layers : finish_tree;
	fds[0] = op->fd;
	fds[1] = p->tmp;
	r = qube__pool_random_id(op->temp);
	job.args[0] = op->temp;
	return begun(out_op, op, r < 0 ? r : qube__pool_op_job_on(op, op->own, &job, fds));
}

int qube__tree_clear(struct qube__pool *p, const struct qube__volume_spec *v)
{
	qube__autofree struct qube__volume_file *f = NULL;
	qube__autofree struct qube__volume_state *state = NULL;
	qube__autofd owner = -1;
	int r;

	if (qube__pool_owner_busy(p, v->owner))
		return qube__fail(QUBE_E_BUSY, "volume %s of %s is in use", v->name, v->owner);
	if (!v->save_on_stop)
		return 0; /* it is, at each start */
	owner = qube__pool_owner_dir(p->volumes, v->owner, false);
	if (owner < 0)
		return errno == ENOENT ? 0 : qube__pool_fail(p, "open the volumes of", v->owner);
	if (v->kind == QUBE__VOLUME_TREE) {
		r = qube__pool_trash(p, owner, v->name);
		return r == 0 && fsync(owner) < 0 ? qube__pool_fail(p, "clear", v->name) : r;
	}
	f = malloc(sizeof(*f));
	state = calloc(1, sizeof(*state));
	r = f && state ? qube__tree_read_file(p, f, v->owner, v->name) : qube__fail_nomem();
	if (r < 0)
		return r;
	state->time = qube__wall_s();
	r = qube__volume_file_push(f, state, v->revisions_to_keep);
	if (r == 0)
		r = qube__tree_write_file(p, f, v->owner, v->name);
	return r < 0 ? r : qube__tree_collect(p);
}
