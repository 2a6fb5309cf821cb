/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Volumes of running qubes: prepare, start, stop. */
#include "storage/tree.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A directory that will be the guest's root of something: its mode is exactly 0755 there. */
static int make_guest_dir(int dir, const char *name)
{
	qube__autofd fd = -1;

	if (mkdirat(dir, name, 0755) < 0)
		return errno == EEXIST ? 0 : -1;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -1 : fchmod(fd, 0755);
}

static int layer_paths(struct qube__volume_run *run, struct qube__pool *p,
		       const struct qube__volume_state *state)
{
	for (uint32_t i = 0; i < state->n_layers; i++) {
		run->layers[i] = qube__text_format("%s/layers/%s", p->path, state->layers[i]);
		if (!run->layers[i])
			return qube__fail_nomem();
		run->n_layers = i + 1;
	}
	return 0;
}

/* run/OWNER/VOL with upper and an empty work; a snapshot's is always fresh. */
static int make_upper(struct qube__volume_run *run, struct qube__pool *p,
		      const struct qube__volume_spec *v)
{
	qube__autofd owner = qube__pool_owner_dir(p->run, v->owner, true);
	qube__autofd dir = -1;
	int r;

	if (owner < 0)
		return qube__pool_fail(p, "make room for the writes of", v->owner);
	r = qube__pool_check_leftovers(p, owner, v, "upper");
	if (r < 0)
		return r;
	dir = qube__pool_owner_dir(owner, v->name, true);
	if (dir < 0)
		return qube__pool_fail(p, "make room for the writes of", v->owner);
	if (v->save_on_stop) /* of a session that crashed: overlayfs wants its own, empty */
		r = qube__pool_trash(p, dir, "work");
	if (r < 0)
		return r;
	if (v->discard)
		r = qube__pool_mark_discard(p, owner, dir, v->owner);
	if (r < 0)
		return r;
	if (make_guest_dir(dir, "upper") < 0 || make_guest_dir(dir, "work") < 0)
		return qube__pool_fail(p, "make room for the writes of", v->owner);
	run->upper = qube__text_format("%s/run/%s/%s/upper", p->path, v->owner, v->name);
	run->work = qube__text_format("%s/run/%s/%s/work", p->path, v->owner, v->name);
	return run->upper && run->work ? 0 : qube__fail_nomem();
}

static int start_layered(struct qube__volume_run *run, struct qube__pool *p,
			 const struct qube__volume_spec *v, struct qube__volume_state *state)
{
	qube__autofree struct qube__volume_file *f = malloc(sizeof(*f));
	const char *from = v->snap_on_start ? v->source : v->owner;
	int r;

	if (!f)
		return qube__fail_nomem();
	if (!from)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_STORAGE,
					 "volume %s of %s has no source", v->name, v->owner);
	r = qube__tree_read_file(p, f, from, v->name);
	if (r < 0)
		return r;
	if (!f->states[0].n_layers)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_STORAGE,
					 "volume %s of %s is empty: import a system first", v->name,
					 from);
	if (v->save_on_stop && f->states[0].n_layers >= QUBE__LAYERS_FULL)
		return qube__fail(
			QUBE_E_LIMIT,
			"volume %s of %s has %u layers, which are still being merged: try "
			"again later",
			v->name, from, f->states[0].n_layers);
	*state = f->states[0];
	r = layer_paths(run, p, state);
	return r < 0 ? r : make_upper(run, p, v);
}

static int start_tree(struct qube__volume_run *run, struct qube__pool *p,
		      const struct qube__volume_spec *v)
{
	qube__autofd owner = -1;
	qube__autofd dir = -1;

	if (v->save_on_stop) {
		owner = qube__pool_owner_dir(p->volumes, v->owner, true);
		if (owner < 0 || make_guest_dir(owner, v->name) < 0)
			return qube__pool_fail(p, "make a volume of", v->owner);
		run->upper = qube__text_format("%s/volumes/%s/%s", p->path, v->owner, v->name);
		return run->upper ? 0 : qube__fail_nomem();
	}
	owner = qube__pool_owner_dir(p->run, v->owner, true);
	if (owner >= 0)
		dir = qube__pool_owner_dir(owner, v->name, true);
	if (dir < 0)
		return qube__pool_fail(p, "make a volume of", v->owner);
	if (!qube__pool_exists(owner, v->name, "tree") && v->source &&
	    qube__pool_exists(p->volumes, v->source, v->name))
		return qube__fail(QUBE_E_STATE, "volume %s of %s was not prepared", v->name,
				  v->owner);
	if (make_guest_dir(dir, "tree") < 0)
		return qube__pool_fail(p, "make a volume of", v->owner);
	run->upper = qube__text_format("%s/run/%s/%s/tree", p->path, v->owner, v->name);
	return run->upper ? 0 : qube__fail_nomem();
}

int qube__tree_expect(struct qube__volume_run *out, struct qube__pool *p,
		      const struct qube__volume_spec *v)
{
	struct qube__volume_run run = {
		.kind = v->kind,
		.read_only = v->read_only,
		.discard = !v->save_on_stop,
		.upper = qube__text_format("%s/run/%s/%s/tree", p->path, v->owner, v->name),
	};

	if (!run.upper)
		return qube__fail_nomem();
	*out = run;
	return 0;
}

int qube__tree_start(struct qube__volume_run *out, struct qube__pool *p,
		     const struct qube__volume_spec *v)
{
	qube__autofree struct qube__volume_state *state = NULL;
	struct qube__volume_run run = { .kind = v->kind, .size_bytes = v->size_bytes };
	int r = 0;

	if (v->block)
		r = qube__tree_check_block(v);
	if (r < 0)
		return r;
	if (v->discard && (v->kind != QUBE__VOLUME_LAYERED || !v->save_on_stop))
		return qube__fail(QUBE_E_INVALID, "volume %s of %s has no writes to discard",
				  v->name, v->owner);
	run.read_only = v->read_only;
	run.discard = !v->save_on_stop;
	if (v->block) {
		r = qube__tree_start_image(&run, p, v);
	} else if (v->kind == QUBE__VOLUME_LAYERED) {
		state = calloc(1, sizeof(*state));
		r = state ? start_layered(&run, p, v, state) : qube__fail_nomem();
	} else if (v->kind == QUBE__VOLUME_TREE) {
		r = start_tree(&run, p, v);
	}
	if (r == 0)
		r = qube__pool_remember(p, v, state);
	if (r < 0) {
		qube__volume_run_fini(&run);
		return r;
	}
	(void)qube__steal(state);
	*out = run;
	return 0;
}

int qube__tree_attach(struct qube__pool *p, const struct qube__volume_spec *v,
		      const char *const *layers, uint32_t n_layers)
{
	qube__autofree struct qube__volume_state *state = NULL;
	int r;

	if (v->kind == QUBE__VOLUME_LAYERED && !v->block) {
		state = calloc(1, sizeof(*state));
		if (!state)
			return qube__fail_nomem();
		for (uint32_t i = 0; i < n_layers; i++) {
			if (i == QUBE__LAYERS_MAX || !qube__layer_id_ok(layers[i]))
				return qube__fail(QUBE_E_INVALID,
						  "volume %s of %s runs on no layer", v->name,
						  v->owner);
			qube__text_copy(state->layers[state->n_layers++], QUBE__LAYER_ID_MAX,
					layers[i]);
		}
	}
	r = qube__pool_remember(p, v, state);
	if (r < 0)
		return r;
	(void)qube__steal(state);
	if (v->kind == QUBE__VOLUME_LAYERED && v->save_on_stop)
		qube__pool_find_started(p, v->owner, v->name)->discard =
			qube__pool_marked_discard(p, v->owner, v->name);
	return 0;
}

static int finish_prepare(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	struct qube__pool *p = op->p;
	qube__autofd owner = qube__pool_owner_dir(p->run, op->owner, true);
	qube__autofd dir = -1;

	(void)result;
	if (owner >= 0)
		dir = qube__pool_owner_dir(owner, op->name, true);
	if (dir < 0 || renameat2(p->tmp, op->temp, dir, "tree", RENAME_NOREPLACE) < 0)
		return qube__pool_fail(p, "place a volume of", op->owner);
	return 0;
}

static int open_source(struct qube__pool *p, const char *source, const char *name)
{
	qube__autofd owner = qube__pool_owner_dir(p->volumes, source, false);

	if (owner < 0)
		return -1;
	return openat(owner, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int qube__tree_prepare(struct qube__pool_op **out_op, struct qube__pool *p,
		       const struct qube__volume_spec *v, const struct qube__pool_cb *cb)
{
	qube__autofd src = -1;
	struct qube__pool_op *op;
	int r;

	if (v->block)
		return qube__tree_prepare_image(out_op, p, v, cb);
	if (v->kind != QUBE__VOLUME_TREE || !v->source)
		return 0;
	if (qube__pool_find_started(p, v->owner, v->name))
		return qube__fail(QUBE_E_BUSY, "volume %s of %s is started", v->name, v->owner);
	if (qube__pool_exists(p->run, v->owner, v->name)) {
		qube__autofd owner = qube__pool_owner_dir(p->run, v->owner, false);

		r = owner < 0 ? 0 : qube__pool_trash(p, owner, v->name);
		if (r < 0)
			return r;
	}
	src = open_source(p, v->source, v->name);
	if (src < 0) /* nothing was ever written there */
		return errno == ENOENT ? 0 : qube__pool_fail(p, "open a volume of", v->source);
	if (qube__pool_find_started(p, v->source, v->name))
		return qube__fail(QUBE_E_BUSY, "%s runs: its volume %s cannot be copied now",
				  v->source, v->name);
	r = qube__pool_op_new(&op, p, v->owner, v->name, cb);
	if (r < 0)
		return r;
	op->finish = finish_prepare;
	r = qube__pool_op_copy(op, src);
	if (r < 0)
		qube__pool_op_free(op);
	else if (out_op)
		*out_op = op;
	return r;
}

/* True when the session wrote something: 0 no, 1 yes, or an error. */
static int has_writes(struct qube__pool *p, const char *owner, const char *name, int *out_fd)
{
	qube__autofd run = qube__pool_owner_dir(p->run, owner, false);
	qube__autofd vol = run < 0 ? -1 : qube__pool_owner_dir(run, name, false);
	int fd = vol < 0 ? -1 : qube__pool_owner_dir(vol, "upper", false);
	int again = fd < 0 ? -1 : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	int n = 0;

	if (!d) {
		int r = qube__pool_fail(p, "open the writes of", owner);

		qube__close_fd(&again);
		qube__close_fd(&fd);
		return r;
	}
	while (n <= 2 && readdir(d))
		n++;
	closedir(d);
	*out_fd = fd;
	return n > 2;
}

static int finish_stop(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	struct qube__started *s = qube__pool_find_started(op->p, op->owner, op->name);
	int r = qube__tree_commit(op->p, op->owner, op->name, op->keep);

	(void)result;
	if (r < 0)
		return r;
	if (s)
		qube__pool_forget(s);
	qube__fault(QUBE__FAULT_COMMIT_DONE);
	/* The state is committed: what fails now is untidy, not wrong. */
	if (qube__pool_throw_away(op->p, op->owner, op->name) < 0 || qube__tree_collect(op->p) < 0)
		qube__pool_log(op->p, 4, "%s", qube_error_last()->message);
	qube__tree_merge(op->p, op->owner, op->name);
	return 0;
}

static int begin_commit(struct qube__pool_op **out_op, struct qube__pool *p,
			const struct qube__volume_spec *v, struct qube__started *s, int upper,
			const struct qube__pool_cb *cb)
{
	struct qube__job_request req = { .type = QUBE__JOB_SYNC };
	struct qube__pool_op *op;
	int r = qube__pool_op_new(&op, p, v->owner, v->name, cb);

	if (r < 0)
		return r;
	op->keep = v->revisions_to_keep;
	op->finish = finish_stop;
	op->failed = qube__pool_stop_failed;
	r = qube__pool_op_job(op, &req, &upper);
	if (r < 0) {
		qube__pool_op_free(op);
		return r;
	}
	s->stopping = true;
	if (out_op)
		*out_op = op;
	return r;
}

int qube__tree_stop(struct qube__pool_op **out_op, struct qube__pool *p,
		    const struct qube__volume_spec *v, uint32_t how, const struct qube__pool_cb *cb)
{
	struct qube__started *s = qube__pool_find_started(p, v->owner, v->name);
	qube__autofd upper = -1;
	bool discard;
	bool collect = false;
	int r;

	if (!s || s->stopping)
		return qube__fail(QUBE_E_STATE, "volume %s of %s is not started", v->name,
				  v->owner);
	discard = how == QUBE__STOP_DISCARD || (s->discard && how != QUBE__STOP_KEEP);
	if (s->kind == QUBE__VOLUME_LAYERED && s->persistent && !discard) {
		r = has_writes(p, s->owner, s->name, &upper);
		if (r > 0)
			r = begin_commit(out_op, p, v, s, upper, cb);
		if (r != 0) {
			if (r < 0)
				qube__pool_forget(s);
			return r;
		}
	}
	r = 0;
	if (s->kind != QUBE__VOLUME_TMPFS && !(s->kind == QUBE__VOLUME_TREE && s->persistent))
		r = qube__pool_throw_away(p, s->owner, s->name);
	/* Layers that only this one still ran on may go now. */
	if (s->state && s->source[0]) {
		qube__autofree struct qube__volume_file *f = malloc(sizeof(*f));

		collect = !f || qube__tree_read_file(p, f, s->source, s->name) < 0 ||
			  f->states[0].n_layers != s->state->n_layers ||
			  strcmp(f->states[0].layers[0], s->state->layers[0]) != 0;
	}
	qube__pool_forget(s);
	if (collect)
		qube__tree_collect(p);
	return r;
}
