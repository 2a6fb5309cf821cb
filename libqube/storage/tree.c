/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Volumes at rest: create, remove, rename, clone, revert, look. */
#include "storage/tree.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool on_disk(struct qube__pool *p, const struct qube__volume_spec *v)
{
	if (v->kind == QUBE__VOLUME_LAYERED && v->save_on_stop)
		return qube__tree_has_file(p, v->owner, v->name);
	if (v->kind == QUBE__VOLUME_TREE && v->save_on_stop)
		return qube__pool_exists(p->volumes, v->owner, v->name);
	return false;
}

/* Most volumes are nothing until their first start: so a new qube costs one look at the disk. */
int qube__tree_create(struct qube__pool *p, const struct qube__volume_spec *v)
{
	qube__autofree struct qube__volume_file *f = NULL;

	if (on_disk(p, v))
		return qube__fail(QUBE_E_EXISTS, "%s has a volume %s in pool %s", v->owner, v->name,
				  p->name);
	if (v->kind != QUBE__VOLUME_LAYERED || !v->save_on_stop)
		return 0;
	f = calloc(1, sizeof(*f));
	if (!f)
		return qube__fail_nomem();
	f->n_states = 1;
	f->states[0].number = 1;
	f->states[0].time = qube__wall_s();
	return qube__tree_write_file(p, f, v->owner, v->name);
}

static bool has_any_file(struct qube__pool *p, const char *owner)
{
	int fd = qube__pool_owner_dir(p->volumes, owner, false);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	bool found = false;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && (e = readdir(d))) {
		size_t n = strlen(e->d_name);

		found = n > 4 && strcmp(e->d_name + n - 4, ".vol") == 0;
	}
	closedir(d);
	return found;
}

int qube__tree_remove(struct qube__pool *p, const char *owner)
{
	bool layered = has_any_file(p, owner);
	int r = qube__pool_remove_owner(p, owner);

	return r == 0 && layered ? qube__tree_collect(p) : r;
}

static int finish_clone(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	struct qube__pool *p = op->p;
	qube__autofd owner = qube__pool_owner_dir(p->volumes, op->owner, true);

	(void)result;
	if (owner < 0 || renameat2(p->tmp, op->temp, owner, op->name, RENAME_NOREPLACE) < 0 ||
	    fsync(owner) < 0 || fsync(p->volumes) < 0 ||
	    qube__fault_fails(QUBE__FAULT_CLONE_PLACED))
		return qube__pool_fail(p, "place a volume of", op->owner);
	return 0;
}

static int clone_tree(struct qube__pool_op **out_op, struct qube__pool *p,
		      const struct qube__volume_spec *dst, const char *src_owner,
		      const struct qube__pool_cb *cb)
{
	qube__autofd owner = qube__pool_owner_dir(p->volumes, src_owner, false);
	qube__autofd src = owner < 0 ? -1 : qube__pool_owner_dir(owner, dst->name, false);
	struct qube__pool_op *op;
	int r;

	if (src < 0)
		return errno == ENOENT ? 0 : qube__pool_fail(p, "open a volume of", src_owner);
	if (qube__pool_find_started(p, src_owner, dst->name))
		return qube__fail(QUBE_E_BUSY, "%s runs: its volume %s cannot be copied now",
				  src_owner, dst->name);
	r = qube__pool_op_new(&op, p, dst->owner, dst->name, cb);
	if (r < 0)
		return r;
	op->finish = finish_clone;
	r = qube__pool_op_copy(op, src);
	if (r < 0)
		qube__pool_op_free(op);
	else if (out_op)
		*out_op = op;
	return r;
}

static int clone_layers(struct qube__pool *p, const struct qube__volume_spec *dst,
			const char *src_owner)
{
	qube__autofree struct qube__volume_file *f = malloc(sizeof(*f));
	int r = f ? qube__tree_read_file(p, f, src_owner, dst->name) : qube__fail_nomem();

	if (r < 0)
		return r;
	f->pending[0] = '\0';
	f->n_states = 1;
	f->states[0].number = 1;
	f->states[0].time = qube__wall_s();
	return qube__tree_write_file(p, f, dst->owner, dst->name);
}

int qube__tree_clone(struct qube__pool_op **out_op, struct qube__pool *p,
		     const struct qube__volume_spec *dst, const char *src_owner,
		     const struct qube__pool_cb *cb)
{
	if (on_disk(p, dst))
		return qube__fail(QUBE_E_EXISTS, "%s has a volume %s in pool %s", dst->owner,
				  dst->name, p->name);
	if (!dst->save_on_stop)
		return 0;
	if (dst->kind == QUBE__VOLUME_LAYERED)
		return clone_layers(p, dst, src_owner);
	return clone_tree(out_op, p, dst, src_owner, cb);
}

int qube__tree_info(struct qube__volume_info *out, struct qube__pool *p,
		    const struct qube__volume_spec *v)
{
	struct qube__started *s = qube__pool_find_started(p, v->owner, v->name);
	qube__autofree struct qube__volume_file *f = NULL;
	struct qube__volume_info info = { .started = s != NULL };
	const char *from = v->source ? v->source : v->owner;
	int r;

	info.exists = on_disk(p, v) || s;
	if (v->kind != QUBE__VOLUME_LAYERED || !qube__tree_has_file(p, from, v->name)) {
		*out = info;
		return 0;
	}
	f = malloc(sizeof(*f));
	r = f ? qube__tree_read_file(p, f, from, v->name) : qube__fail_nomem();
	if (r < 0)
		return r;
	if (s && s->state && !s->persistent)
		info.outdated = !qube__volume_file_same(f, &f->states[0], s->state);
	if (s && !s->state && !s->persistent) {
		char key[QUBE__LAYER_ID_MAX];

		qube__tree_image_of(key, p, v->owner, v->name);
		info.outdated = strcmp(key, qube__volume_file_top(f, &f->states[0])) != 0;
	}
	if (v->save_on_stop) {
		qube__autofd run = qube__pool_owner_dir(p->run, v->owner, false);

		info.dirty = !s && run >= 0 && qube__pool_exists(run, v->name, "upper");
		info.n_revisions = f->n_states;
	}
	for (uint32_t i = 0; i < info.n_revisions; i++)
		info.revisions[i] = (struct qube__revision){
			.number = f->states[i].number,
			.time = f->states[i].time,
			.n_layers = f->states[i].n_layers,
			.current = i == 0,
		};
	*out = info;
	return 0;
}

int qube__tree_revert(struct qube__pool *p, const struct qube__volume_spec *v, uint64_t revision)
{
	qube__autofree struct qube__volume_state *state = NULL;
	qube__autofree struct qube__volume_file *f = malloc(sizeof(*f));
	int r;

	if (!f)
		return qube__fail_nomem();
	if (v->kind != QUBE__VOLUME_LAYERED || !v->save_on_stop)
		return qube__fail_detail(QUBE_E_NOTSUP, QUBE_D_STORAGE,
					 "volume %s of %s has no revisions", v->name, v->owner);
	if (qube__pool_owner_busy(p, v->owner))
		return qube__fail(QUBE_E_BUSY, "volume %s of %s is in use", v->name, v->owner);
	r = qube__tree_read_file(p, f, v->owner, v->name);
	for (uint32_t i = 0; r == 0 && !state && i < f->n_states; i++) {
		if (f->states[i].number != revision)
			continue;
		state = malloc(sizeof(*state));
		if (!state)
			return qube__fail_nomem();
		*state = f->states[i];
	}
	if (r == 0 && !state)
		r = qube__fail_detail(QUBE_E_NOENT, QUBE_D_STORAGE,
				      "volume %s of %s has no revision %llu", v->name, v->owner,
				      (unsigned long long)revision);
	if (r < 0)
		return r;
	state->time = qube__wall_s();
	/* The one that is left stays in any case, so that this can be taken back. */
	r = qube__volume_file_push(f, state, v->revisions_to_keep > 0 ? v->revisions_to_keep : 1);
	if (r == 0)
		r = qube__tree_write_file(p, f, v->owner, v->name);
	return r < 0 ? r : qube__tree_collect(p);
}

static int next_usage(struct qube__pool_op *op)
{
	struct qube__job_request req = { .type = QUBE__JOB_USAGE };
	qube__autofd fd =
		open(op->parts.layers[op->next], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	op->next++;
	return fd < 0 ? qube__pool_fail(op->p, "open a volume of", op->owner) :
			qube__pool_op_job(op, &req, &fd);
}

static int finish_usage(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	op->bytes += result->done;
	if (op->next < op->parts.n_layers)
		return next_usage(op);
	op->usage(op->cb.user, op->bytes);
	return 0;
}

static int add_part(struct qube__volume_run *parts, char *path)
{
	if (!path)
		return qube__fail_nomem();
	if (parts->n_layers == QUBE__LAYERS_MAX) {
		free(path);
		return 0;
	}
	parts->layers[parts->n_layers++] = path;
	return 0;
}

/* The directories that hold a volume now. */
static int list_parts(struct qube__volume_run *parts, struct qube__pool *p,
		      const struct qube__volume_spec *v)
{
	qube__autofd run = qube__pool_owner_dir(p->run, v->owner, false);
	qube__autofree struct qube__volume_file *f = NULL;
	int r = 0;

	if (run >= 0 && qube__pool_exists(run, ".", v->name))
		r = add_part(parts, qube__text_format("%s/run/%s/%s", p->path, v->owner, v->name));
	if (r == 0 && v->kind == QUBE__VOLUME_TREE && on_disk(p, v))
		r = add_part(parts,
			     qube__text_format("%s/volumes/%s/%s", p->path, v->owner, v->name));
	if (r < 0 || v->kind != QUBE__VOLUME_LAYERED || !on_disk(p, v))
		return r;
	f = malloc(sizeof(*f));
	r = f ? qube__tree_read_file(p, f, v->owner, v->name) : qube__fail_nomem();
	for (uint32_t i = 0; r == 0 && i < f->states[0].n_layers; i++)
		r = add_part(parts,
			     qube__text_format("%s/layers/%s", p->path, f->states[0].layers[i]));
	return r;
}

int qube__tree_usage(struct qube__pool *p, const struct qube__volume_spec *v,
		     void (*usage)(void *user, uint64_t bytes), const struct qube__pool_cb *cb)
{
	struct qube__pool_op *op;
	int r = qube__pool_op_new(&op, p, v->owner, v->name, cb);

	if (r < 0)
		return r;
	op->usage = usage;
	op->finish = finish_usage;
	r = list_parts(&op->parts, p, v);
	if (r == 0 && !op->parts.n_layers)
		usage(cb->user, 0);
	else if (r == 0)
		r = next_usage(op);
	if (r <= 0)
		qube__pool_op_free(op);
	return r;
}

static int open_tree(struct qube__pool *p)
{
	int r = qube__pool_open_part(p, &p->layers, "layers");

	if (r == 0)
		r = qube__pool_open_part(p, &p->images, "images");
	return r < 0 ? r : qube__helper_create(&p->merge, p->env.loop, p->worker_path, "--layers");
}

/* Jobs and starts that a dead host did not end. A template's writes stay: they have a file. */
static int clean_up(struct qube__pool *p)
{
	int r = qube__tree_recover(p);

	if (r == 0)
		r = qube__tree_collect(p);
	if (r == 0)
		qube__tree_merge_all(p);
	return r;
}

const struct qube__pool_driver qube__tree_driver = {
	.name = "tree",
	.kinds = 1u << QUBE__VOLUME_LAYERED | 1u << QUBE__VOLUME_TREE | 1u << QUBE__VOLUME_TMPFS,
	.open = open_tree,
	.clean_up = clean_up,
	.remove = qube__tree_remove,
	.create = qube__tree_create,
	.clone = qube__tree_clone,
	.info = qube__tree_info,
	.usage = qube__tree_usage,
	.revert = qube__tree_revert,
	.clear = qube__tree_clear,
	.export = qube__tree_export,
	.import = qube__tree_import,
	.prepare = qube__tree_prepare,
	.expect = qube__tree_expect,
	.start = qube__tree_start,
	.attach = qube__tree_attach,
	.stop = qube__tree_stop,
	.import_host = qube__tree_import_host,
};
