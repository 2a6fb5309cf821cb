/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which volumes a qube has: the model's classes (storage-templates.md 1.1) told to storage. */
#include "core/host.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

const char *qube__slot_name(enum qube__slot slot)
{
	static const char *const names[] = { "root", "private", "volatile" };

	return names[slot];
}

struct qube__pool *qube__host_pool(struct qube__host *h, const char *name)
{
	for (size_t i = 0; i < h->n_pools; i++)
		if (!strcmp(qube__pool_name(h->pools[i]), name))
			return h->pools[i];
	return NULL;
}

static void pool_log(void *user, int priority, const char *line)
{
	struct qube__host *h = user;

	qube__ctx_log(&h->ctx, priority, "%s", line);
}

static int remove_leftovers(void *user, const char *owner)
{
	struct qube__host *h = user;

	/* A damaged definition keeps its volumes. */
	if (qube__model_vm(h->model, owner) || qube__model_damaged(h->model, owner))
		return 0;
	qube__ctx_log(&h->ctx, 5, "removing what was left of the volumes of '%s'", owner);
	for (size_t i = 0; i < h->n_pools; i++)
		qube__volumes_remove(h->pools[i], owner);
	return 0;
}

/* Qubes whose volumes a dead host was still making: what they hold is not whole. */
static void drop_unfinished(struct qube__host *h)
{
	struct qube__vm *vm = NULL;
	struct qube__vm *next;

	for (vm = qube__model_next(h->model, NULL); vm; vm = next) {
		next = qube__model_next(h->model, vm);
		if (!vm->unfinished)
			continue;
		qube__ctx_log(&h->ctx, 4, "'%s' was not finished and is removed", vm->name);
		if (qube__vm_remove(vm) < 0)
			qube__ctx_log(&h->ctx, 3, "%s", qube_error_last()->message);
	}
}

/* A pool whose driver is not here, or cannot be on its disk any more, does not keep the host from
 * opening: what is in it is not to be had. */
static int open_pool(struct qube__host *h, struct qube__pool_env *env,
		     const struct qube__pool_conf *conf)
{
	int r;

	if (h->n_pools == QUBE__HOST_POOLS_MAX)
		return qube__fail(QUBE_E_LIMIT, "more than %d pools", QUBE__HOST_POOLS_MAX);
	env->driver = conf->driver;
	r = qube__pool_open(&h->pools[h->n_pools], env, conf->name);
	if (r == 0)
		h->n_pools++;
	if (r == QUBE_E_NOTSUP)
		qube__ctx_log(&h->ctx, 4, "pool '%s' is not used: %s", conf->name,
			      qube_error_last()->message);
	return r == QUBE_E_NOTSUP ? 0 : r;
}

static int set_unless_set(struct qube__host *h, const char *property, const char *value)
{
	struct qube__prop_value now;
	int r = qube__global_get(&now, h->model, property);

	return r == 0 && now.is_default ? qube__global_set(h->model, property, value) : r;
}

/* For virtual machines: a pool of disks, and what is new goes there; templates stay trees. */
static int add_block_pool(struct qube__host *h, struct qube__pool_env *env)
{
	static const char *const drivers[] = { "reflink", "file" };
	struct qube__pool_conf conf = { .name = "block" };
	size_t had = h->n_pools;
	int r = h->n_pools < QUBE__HOST_POOLS_MAX ?
			0 :
			qube__fail(QUBE_E_LIMIT, "more than %d pools", QUBE__HOST_POOLS_MAX);

	for (size_t i = 0; i < h->model->n_pools; i++)
		for (size_t k = 0; k < 2; k++)
			if (!strcmp(h->model->pools[i].driver, drivers[k]))
				return 0;
	if (qube__model_pool(h->model, conf.name)) {
		qube__ctx_log(&h->ctx, 4, "the pool '%s' is not one of disks: add one", conf.name);
		return 0;
	}
	for (size_t i = 0; r == 0 && h->n_pools == had && i < 2; i++) {
		qube__text_copy(conf.driver, sizeof(conf.driver), drivers[i]);
		env->driver = conf.driver;
		r = qube__pool_open(&h->pools[h->n_pools], env, conf.name);
		if (r == 0)
			h->n_pools++;
		if (r == QUBE_E_NOTSUP) /* reflink, where files share no data */
			r = 0;
	}
	if (r == 0 && h->n_pools > had)
		r = qube__model_pool_add(h->model, conf.name, conf.driver, NULL, 0);
	if (r == 0 && h->n_pools > had)
		r = set_unless_set(h, "default_pool_private", conf.name);
	if (r == 0 && h->n_pools > had)
		r = set_unless_set(h, "default_pool_volatile", conf.name);
	return r;
}

int qube__pools_open(struct qube__host *h)
{
	char *worker = qube__text_format("%s/qube-worker", h->libexec_dir);
	struct qube__pool_env env = {
		.loop = &h->ctx.loop,
		.state_dir = h->state_dir,
		.worker_path = worker,
		.user = h,
		.log = pool_log,
		.attach = qube__adopt_attach,
		.look_only = h->no_guests,
	};
	int r = 0;

	if (!worker)
		return qube__fail_nomem();
	if (!h->model->n_pools)
		r = qube__model_pool_add(h->model, "default", "tree", NULL, 0);
	for (size_t i = 0; r == 0 && i < h->model->n_pools; i++)
		r = open_pool(h, &env, &h->model->pools[i]);
	if (r == 0 && h->ops->takes_blocks && !h->no_guests)
		r = add_block_pool(h, &env);
	free(worker);
	if (r == 0 && !h->no_guests)
		drop_unfinished(h);
	for (size_t i = 0; r == 0 && i < h->n_pools && !h->no_guests; i++)
		qube__pool_each_owner(h->pools[i], remove_leftovers, h);
	return r;
}

static const char *pool_of_kind(const struct qube__host *h, bool block)
{
	for (size_t i = 0; i < h->n_pools; i++)
		if (qube__pool_is_block(h->pools[i]) == block)
			return qube__pool_name(h->pools[i]);
	return NULL;
}

/* A host of another driver may have made disks the default; ours would not start with them. */
size_t qube__volumes_not_disks(struct qube__vm_pair out[2], struct qube__host *h, uint32_t vm_class)
{
	static const uint32_t rows[] = { QUBE__PROP_G_DEFAULT_POOL_PRIVATE,
					 QUBE__PROP_G_DEFAULT_POOL_VOLATILE };
	static const char *const names[] = { "private", "volatile" };
	const char *tree = pool_of_kind(h, false);
	size_t n = 0;

	for (size_t i = 0; i < 2 && tree && !h->ops->takes_blocks; i++) {
		struct qube__prop_value v;
		struct qube__pool *pool;

		if (i == 0 && vm_class == QUBE__CLASS_DISP) /* it is where its template's is */
			continue;
		qube__global_read(&v, h->model, rows[i]);
		pool = v.text ? qube__host_pool(h, v.text) : NULL;
		if (pool && qube__pool_is_block(pool))
			out[n++] = (struct qube__vm_pair){ .name = names[i], .value = tree };
	}
	return n;
}

size_t qube__volumes_own_disk(struct qube__vm_pair out[1], const struct qube__host *h)
{
	const char *block = h->ops->takes_blocks ? pool_of_kind(h, true) : NULL;

	if (block)
		out[0] = (struct qube__vm_pair){ .name = "root", .value = block };
	return block != NULL;
}

void qube__pools_close(struct qube__host *h)
{
	while (h->n_pools)
		qube__pool_close(h->pools[--h->n_pools]);
}

/* The qube whose volume a snapshot shows: along the templates to one that keeps it. */
static struct qube__vm *source_of(struct qube__vm *vm, const char *volume)
{
	for (int depth = 0; vm && depth < 4; depth++) {
		if (!qube__vm_volume_snap_on_start(vm, volume))
			return vm;
		vm = qube__vm_template(vm);
	}
	return NULL;
}

/* What is kept in memory is the host's memory: a quarter of it is as much as one qube gets, however
 * large the volume is called. */
static uint64_t memory_share(const struct qube__host *h, uint64_t bytes)
{
	uint64_t most = (uint64_t)h->model->host_memory_mib << 18;

	return most && bytes > most ? most : bytes;
}

static int32_t kept_of(const struct qube__vm_volume *v)
{
	return v->revisions_to_keep < 0 ? 1 : v->revisions_to_keep;
}

int qube__volumes_spec_in(struct qube__volume_spec *out, struct qube__pool **pool,
			  struct qube__host *h, struct qube__vm *vm, enum qube__slot slot,
			  struct qube__pool *opening)
{
	static const uint32_t kinds[] = { QUBE__VOLUME_LAYERED, QUBE__VOLUME_TREE,
					  QUBE__VOLUME_TMPFS };
	const char *name = qube__slot_name(slot);
	struct qube__vm *keeper = vm;
	struct qube__vm_volume *v;

	*out = (struct qube__volume_spec){
		.owner = vm->name,
		.name = name,
		.kind = kinds[slot],
		.snap_on_start = qube__vm_volume_snap_on_start(vm, name),
		.save_on_stop = qube__vm_volume_save_on_stop(vm, name),
	};
	if (out->snap_on_start) {
		keeper = source_of(vm, name);
		if (!keeper)
			return qube__fail_detail(QUBE_E_STATE, QUBE_D_NO_TEMPLATE,
						 "'%s' has no template that is there", vm->name);
		out->source = keeper->name;
	}
	v = qube__vm_volume(keeper, name);
	if (!v)
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_STORAGE, "'%s' has no volume '%s'",
					 keeper->name, name);
	*pool = opening && !strcmp(qube__pool_name(opening), v->pool) ? opening :
									qube__host_pool(h, v->pool);
	if (!*pool)
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_STORAGE, "no pool '%s'", v->pool);
	out->block = h->ops->takes_blocks;
	out->blank = slot == QUBE__SLOT_ROOT && !qube__vm_has_agent(vm);
	if (qube__pool_is_block(*pool)) {
		out->kind = QUBE__VOLUME_BLOCK;
		out->in_place = slot == QUBE__SLOT_PRIVATE;
	}
	out->size_bytes = v->size_bytes;
	if (out->kind == QUBE__VOLUME_TMPFS)
		out->size_bytes = memory_share(h, v->size_bytes);
	out->revisions_to_keep = kept_of(v);
	/* A snapshot may be read-only though its source is not, and the other way round. */
	out->read_only = !qube__vm_volume(vm, name) || !qube__vm_volume(vm, name)->rw;
	return 0;
}

int qube__volumes_spec(struct qube__volume_spec *out, struct qube__pool **pool,
		       struct qube__host *h, struct qube__vm *vm, enum qube__slot slot)
{
	return qube__volumes_spec_in(out, pool, h, vm, slot, NULL);
}

int qube__volumes_create(struct qube__host *h, struct qube__vm *vm)
{
	for (int slot = 0; slot < QUBE__SLOT_COUNT; slot++) {
		struct qube__volume_spec spec;
		struct qube__pool *pool;
		int r;

		/* Snapshots and volatile volumes appear with their first start. */
		if (!qube__vm_volume_save_on_stop(vm, qube__slot_name((enum qube__slot)slot)) ||
		    slot == QUBE__SLOT_PRIVATE)
			continue;
		r = qube__volumes_spec(&spec, &pool, h, vm, (enum qube__slot)slot);
		if (r < 0)
			return r;
		r = qube__volume_create(pool, &spec);
		if (r < 0)
			return r;
	}
	return 0;
}

int qube__volumes_drop(struct qube__host *h, const char *owner)
{
	int worst = 0;

	for (size_t i = 0; i < h->n_pools; i++) {
		int r = qube__volumes_remove(h->pools[i], owner);

		if (r < 0)
			worst = r;
	}
	return worst;
}

/* What only the pool knows. A volume that it cannot read is told of as far as it is known. */
static void tell_state(struct qube_volume_info *info, struct qube__host *h, struct qube__vm *vm,
		       const char *name)
{
	struct qube__volume_info state;
	struct qube__volume_spec spec;
	struct qube__pool *pool;

	if (qube__host_volume_at(&spec, &pool, h, vm, name) < 0 ||
	    qube__volume_info(&state, pool, &spec) < 0)
		return;
	if (state.outdated)
		info->flags |= QUBE_VOLUME_OUTDATED;
	if (state.dirty)
		info->flags |= QUBE_VOLUME_DIRTY;
	info->n_revisions = state.n_revisions ? state.n_revisions - 1 : 0;
}

int qube__host_volume_info(struct qube_volume_info *out, struct qube__host *h, struct qube__vm *vm,
			   const char *name)
{
	struct qube_volume_info info = { .size = out->size };
	struct qube__vm_volume *v = qube__vm_volume(vm, name);
	struct qube__vm *source;

	if (!v)
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_PERMISSION, "no volume '%s'", name);
	info.max_bytes = v->size_bytes;
	info.revisions_to_keep = kept_of(v);
	if (v->rw)
		info.flags |= QUBE_VOLUME_RW;
	if (v->ephemeral)
		info.flags |= QUBE_VOLUME_EPHEMERAL;
	if (qube__vm_volume_save_on_stop(vm, name))
		info.flags |= QUBE_VOLUME_SAVE_ON_STOP;
	qube__text_copy(info.pool, sizeof(info.pool), v->pool);
	if (qube__vm_volume_snap_on_start(vm, name)) {
		info.flags |= QUBE_VOLUME_SNAP_ON_START;
		source = source_of(vm, name);
		if (source) {
			char *s = qube__text_format("%s/%s", source->name, name);

			if (!s)
				return qube__fail_nomem();
			qube__text_copy(info.source, sizeof(info.source), s);
			free(s);
			v = qube__vm_volume(source, name);
			if (v) {
				qube__text_copy(info.pool, sizeof(info.pool), v->pool);
				info.max_bytes = v->size_bytes;
			}
		}
	}
	{
		char *vid = qube__text_format("%s/%s", vm->name, name);

		if (!vid)
			return qube__fail_nomem();
		qube__text_copy(info.vid, sizeof(info.vid), vid);
		free(vid);
	}
	tell_state(&info, h, vm, name);
	*out = info;
	return 0;
}
