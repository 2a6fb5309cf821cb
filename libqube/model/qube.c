/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Creating, cloning and removing qubes. A new qube is made whole in memory, written once, and only
 * then entered into the tables, which cannot fail. */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "model/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { DISPID_TRIES = 100, DISPID_REST = 7 * 86400 };

static const uint64_t GIB = (uint64_t)1 << 30;

static int random_bytes(void *out, size_t n)
{
	ssize_t got;

	do
		got = getrandom(out, n, 0);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)n ? 0 : qube__fail_os("no random bytes");
}

static int random_uuid(char out[QUBE__UUID_LEN + 1])
{
	uint8_t b[16];
	int r = random_bytes(b, sizeof(b));

	if (r < 0)
		return r;
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(out, QUBE__UUID_LEN + 1,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
	return 0;
}

static int take_qid(struct qube__vm *vm)
{
	for (uint32_t qid = 1; qid <= QUBE__QID_MAX; qid++) {
		if (!qube__bit(vm->model->qids, qid)) {
			vm->qid = qid;
			return 0;
		}
	}
	return qube__fail(QUBE_E_LIMIT, "all %d numbers of qubes are taken", QUBE__QID_MAX);
}

/* A number that nobody has, and that nobody had for a week: logs and address lists name it. */
static int take_dispid(struct qube__vm *vm)
{
	struct qube__model *m = vm->model;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	for (int i = 0; i < DISPID_TRIES; i++) {
		uint32_t left;
		uint32_t id;
		char name[16];
		int r = random_bytes(&id, sizeof(id));

		if (r < 0)
			return r;
		id %= QUBE__DISPID_MAX + 1;
		left = m->dispid_left[id];
		snprintf(name, sizeof(name), "disp%u", id);
		if (qube__bit(m->dispids, id) || qube__model_vm(m, name) ||
		    qube__model_damaged(m, name) ||
		    (left && (uint32_t)ts.tv_sec - (left - 1) < DISPID_REST))
			continue;
		vm->dispid = (int32_t)id;
		return 0;
	}
	return qube__fail(QUBE_E_LIMIT, "no number for a disposable in %d tries", DISPID_TRIES);
}

static int check_name(const struct qube__model *m, const char *name)
{
	const char *fault = qube__name_qube_fault(name, strlen(name));
	const char *damaged;
	char safe[96];

	qube__text_escape(safe, sizeof(safe), name, strlen(name));
	if (fault)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE, "'%s': %s", safe, fault);
	damaged = qube__model_damaged(m, name);
	if (damaged)
		return qube__fail_detail(QUBE_E_EXISTS, QUBE_D_VM_ALREADY_EXISTS,
					 "'%s' exists, but its file is damaged: %s", safe, damaged);
	if (qube__model_vm(m, name))
		return qube__fail_detail(QUBE_E_EXISTS, QUBE_D_VM_ALREADY_EXISTS,
					 "qube '%s' exists already", safe);
	return 0;
}

static int assign(struct qube__vm *vm, uint32_t id, const char *text)
{
	char *old = NULL;
	int r = qube__text_swap(&vm->prop[id], &old, text);

	free(old);
	return r;
}

/* --- volumes --- */
struct qube__vm_volume *qube__vm_volume(struct qube__vm *vm, const char *name)
{
	for (size_t i = 0; i < vm->n_volumes; i++)
		if (strcmp(vm->volumes[i].name, name) == 0)
			return &vm->volumes[i];
	return NULL;
}

bool qube__vm_volume_snap_on_start(const struct qube__vm *vm, const char *name)
{
	if (strcmp(name, "root") == 0)
		return vm->vm_class == QUBE__CLASS_APP || vm->vm_class == QUBE__CLASS_DISP;
	return strcmp(name, "private") == 0 && vm->vm_class == QUBE__CLASS_DISP;
}

bool qube__vm_volume_save_on_stop(const struct qube__vm *vm, const char *name)
{
	return (strcmp(name, "root") == 0 || strcmp(name, "private") == 0) &&
	       !qube__vm_volume_snap_on_start(vm, name);
}

int qube__vm_volume_set(struct qube__vm *vm, const struct qube__vm_volume *v)
{
	struct qube__vm_volume *slot = qube__vm_volume(vm, v->name);
	struct qube__vm_volume old = { .rw = false };
	int r;

	if (!qube__name_is_volume(v->name, strnlen(v->name, sizeof(v->name))) ||
	    !qube__name_is_pool(v->pool, strnlen(v->pool, sizeof(v->pool))) ||
	    v->revisions_to_keep < QUBE__REVISIONS_POOL)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE, "not a volume of '%s'",
					 vm->name);
	if (!slot && vm->n_volumes == QUBE__VOLUMES_MAX)
		return qube__fail(QUBE_E_LIMIT, "'%s' has %d volumes already", vm->name,
				  QUBE__VOLUMES_MAX);
	if (slot) {
		old = *slot;
		*slot = *v;
	} else {
		vm->volumes[vm->n_volumes++] = *v;
	}
	r = qube__vm_changed(vm);
	if (r < 0 && slot)
		*slot = old;
	else if (r < 0)
		vm->n_volumes--;
	return r;
}

static const char *wanted_pool(const struct qube__vm_new *n, const char *volume)
{
	for (size_t i = 0; i < n->n_volume_pools; i++)
		if (strcmp(n->volume_pools[i].name, volume) == 0)
			return n->volume_pools[i].value;
	return n->pool;
}

static int add_volume(struct qube__vm *vm, const struct qube__vm_new *n, const char *name,
		      uint64_t size_bytes, uint32_t default_pool)
{
	struct qube__vm *t = qube__vm_sound_template(vm);
	const struct qube__vm_volume *source = t ? qube__vm_volume(t, name) : NULL;
	struct qube__vm_volume v = { .size_bytes = size_bytes,
				     .revisions_to_keep = QUBE__REVISIONS_POOL,
				     .rw = true };
	const char *pool = wanted_pool(n, name);
	struct qube__prop_value value;

	/* A disposable may no more than what it is made from (storage-templates.md 1.1). */
	if (source && vm->vm_class == QUBE__CLASS_DISP) {
		v.rw = source->rw;
		v.ephemeral = source->ephemeral;
		v.size_bytes = source->size_bytes;
	}
	if (pool && !qube__model_pool(vm->model, pool))
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_GENERIC, "Unknown storage pool %.64s",
					 pool);
	/* What starts as a copy of the template's volume lives beside it and has its size. */
	if (source && qube__vm_volume_snap_on_start(vm, name)) {
		v.size_bytes = source->size_bytes;
		if (!pool)
			pool = source->pool;
	}
	if (!pool) {
		qube__global_read(&value, vm->model, default_pool);
		pool = value.text ? value.text : "default";
	}
	if (qube__text_copy(v.name, sizeof(v.name), name) < 0 ||
	    qube__text_copy(v.pool, sizeof(v.pool), pool) < 0)
		return qube__fail(QUBE_E_INVALID, "not a pool's name");
	return qube__vm_volume_set(vm, &v);
}

static int add_volumes(struct qube__vm *vm, const struct qube__vm_new *n)
{
	int r;

	if (vm->vm_class == QUBE__CLASS_REMOTE)
		return 0;
	for (size_t i = 0; i < n->n_volume_pools; i++) {
		const char *name = n->volume_pools[i].name;

		if (strcmp(name, "root") != 0 && strcmp(name, "private") != 0 &&
		    strcmp(name, "volatile") != 0 && strcmp(name, "kernel") != 0)
			return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL,
						 "no volume is called '%.32s'", name);
	}
	r = add_volume(vm, n, "root", 20 * GIB, QUBE__PROP_G_DEFAULT_POOL_ROOT);
	if (r == 0)
		r = add_volume(vm, n, "private", 2 * GIB, QUBE__PROP_G_DEFAULT_POOL_PRIVATE);
	if (r == 0)
		r = add_volume(vm, n, "volatile", 10 * GIB, QUBE__PROP_G_DEFAULT_POOL_VOLATILE);
	return r;
}

/* --- create --- */
static int set_template(struct qube__vm *vm, const struct qube__vm_new *n)
{
	bool disp = vm->vm_class == QUBE__CLASS_DISP;
	struct qube__prop_value v;
	const char *name = n->template_name;

	if (vm->vm_class != QUBE__CLASS_APP && !disp) {
		if (name)
			return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL,
						 "a %s has no template",
						 qube__vm_class_name(vm->vm_class));
		return 0;
	}
	if (!name) {
		qube__global_read(&v, vm->model,
				  disp ? QUBE__PROP_G_DEFAULT_DISPVM :
					 QUBE__PROP_G_DEFAULT_TEMPLATE);
		name = v.text;
	}
	if (!name)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE,
					 "no template given and no %s set",
					 disp ? "default_dispvm" : "default_template");
	return qube__vm_prop_set(vm, "template", name);
}

static bool is_creator_tag(const char *tag)
{
	return strncmp(tag, "created-by-", 11) == 0 || strncmp(tag, "disp-created-by-", 16) == 0;
}

/* What a clone or a disposable takes over from whom it is made of (admin-api.md 12). */
static int inherit(struct qube__vm *vm, const struct qube__vm *from, bool to_disposable)
{
	int r = 0;

	for (uint32_t id = 0; r == 0 && id < QUBE__PROP_VM_COUNT; id++) {
		const struct qube__prop *p = &qube__props[id];

		if (from->prop[id] && !p->no_clone && (p->classes & 1u << vm->vm_class) &&
		    !(to_disposable && id == QUBE__PROP_TEMPLATE))
			r = assign(vm, id, from->prop[id]);
	}
	for (size_t i = 0; r == 0 && i < from->n_features; i++)
		if (!to_disposable || strncmp(from->features[i].name, "preload-dispvm", 14) != 0)
			r = qube__vm_feature_put(vm, from->features[i].name,
						 from->features[i].value);
	for (size_t i = 0; r >= 0 && i < from->n_tags; i++)
		if (!is_creator_tag(from->tags[i]))
			r = qube__vm_tag_put(vm, from->tags[i]);
	return r < 0 ? r : 0;
}

static int set_label(struct qube__vm *vm, const struct qube__vm_new *n)
{
	struct qube__vm *t = qube__vm_sound_template(vm);

	if (n->label)
		return qube__vm_prop_set(vm, "label", n->label);
	return assign(vm, QUBE__PROP_LABEL, t ? qube__vm_label(t)->name : "red");
}

static int set_texts(struct qube__vm *vm, const struct qube__vm_new *n)
{
	struct qube__vm *t = qube__vm_sound_template(vm);
	const char *driver = n->driver ? n->driver : t && t->driver ? t->driver : "local";

	if (!qube__name_is_pool(driver, strlen(driver)) ||
	    (n->import_source &&
	     !qube__name_is_feature_value(n->import_source, strlen(n->import_source))))
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE,
					 "not a driver's name or not a source");
	vm->driver = strdup(driver);
	if (n->import_source)
		vm->import_source = strdup(n->import_source);
	return !vm->driver || (n->import_source && !vm->import_source) ? qube__fail_nomem() : 0;
}

static int set_identity(struct qube__vm *vm, const struct qube__vm_new *n)
{
	int r = take_qid(vm);

	if (r == 0 && n->uuid) {
		if (!qube__name_is_uuid(n->uuid, strlen(n->uuid)))
			return qube__fail_detail(QUBE_E_INVALID, QUBE_D_INVALID_UUID, "not a uuid");
		if (qube__model_vm_by_uuid(vm->model, n->uuid))
			return qube__fail_detail(QUBE_E_EXISTS, QUBE_D_VM_ALREADY_EXISTS,
						 "uuid %s is taken", n->uuid);
		memcpy(vm->uuid, n->uuid, sizeof(vm->uuid));
	} else if (r == 0) {
		r = random_uuid(vm->uuid);
	}
	if (r == 0 && vm->vm_class == QUBE__CLASS_DISP)
		r = take_dispid(vm);
	if (r == 0 && !n->name) {
		snprintf(vm->name, sizeof(vm->name), "disp%d", vm->dispid);
		r = assign(vm, QUBE__PROP_AUTO_CLEANUP, "True");
	}
	return r;
}

/* Features, tags and properties that the caller asked for, after what is inherited. */
static int set_wanted(struct qube__vm *vm, const struct qube__vm_new *n)
{
	struct qube__prop_value v;
	int r = 0;

	qube__global_read(&v, vm->model, QUBE__PROP_G_CHECK_UPDATES_VM);
	if (v.text && strcmp(v.text, "False") == 0)
		r = qube__vm_feature_put(vm, "check-updates", "");
	for (size_t i = 0; r == 0 && i < n->n_properties; i++)
		r = qube__vm_prop_set(vm, n->properties[i].name, n->properties[i].value);
	for (size_t i = 0; r == 0 && i < n->n_features; i++)
		r = qube__vm_feature_put(vm, n->features[i].name, n->features[i].value);
	for (size_t i = 0; r >= 0 && i < n->n_tags; i++)
		r = qube__vm_tag_put(vm, n->tags[i]);
	return r < 0 ? r : 0;
}

/* Written, then entered: after a crash the qube is whole or was never there. */
static int publish(struct qube__vm **out, struct qube__vm **vm)
{
	int r;

	(*vm)->batch = 0;
	r = qube__store_vm_save(*vm);
	if (r < 0)
		return r;
	qube__model_insert((*vm)->model, *vm);
	*out = qube__steal(*vm);
	return 0;
}

int qube__vm_create(struct qube__vm **out, struct qube__model *m, const struct qube__vm_new *n)
{
	qube__autovm *vm = NULL;
	int r = 0;

	if (n->vm_class == QUBE__CLASS_ADMIN || n->vm_class >= QUBE__CLASS_COUNT)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL,
					 "a qube of class %s cannot be made",
					 qube__vm_class_name(n->vm_class));
	if (n->name)
		r = check_name(m, n->name);
	else if (n->vm_class != QUBE__CLASS_DISP)
		r = qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE, "the qube has no name");
	if (r < 0)
		return r;
	vm = qube__vm_alloc(m, n->name ? n->name : "disp", n->vm_class);
	if (!vm)
		return QUBE_E_NOMEM;
	vm->batch = 1; /* nothing is written before it is whole */
	vm->state = QUBE__STATE_HALTED;
	r = set_identity(vm, n);
	if (r == 0)
		r = set_template(vm, n);
	if (r == 0 && vm->vm_class == QUBE__CLASS_DISP)
		r = inherit(vm, qube__vm_sound_template(vm), true);
	if (r == 0)
		r = set_label(vm, n);
	if (r == 0)
		r = set_texts(vm, n);
	if (r == 0)
		r = add_volumes(vm, n);
	if (r == 0)
		r = set_wanted(vm, n);
	if (r == 0 && vm->vm_class == QUBE__CLASS_REMOTE)
		vm->state = QUBE__STATE_RUNNING;
	vm->unfinished = n->unfinished;
	return r < 0 ? r : publish(out, &vm);
}

int qube__vm_clone(struct qube__vm **out, struct qube__vm *source, const char *name,
		   const char *const *tags, size_t n_tags)
{
	struct qube__vm_new n = { .name = name,
				  .driver = source->driver,
				  .import_source = source->import_source };
	qube__autovm *vm = NULL;
	int r = check_name(source->model, name);

	if (r < 0)
		return r;
	if (source->vm_class == QUBE__CLASS_ADMIN)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE, "dom0 cannot be cloned");
	vm = qube__vm_alloc(source->model, name, source->vm_class);
	if (!vm)
		return QUBE_E_NOMEM;
	vm->batch = 1;
	r = set_identity(vm, &n);
	if (r == 0)
		r = set_texts(vm, &n);
	if (r == 0)
		r = inherit(vm, source, false);
	if (r == 0 && source->notes)
		r = qube__vm_notes_set(vm, source->notes, strlen(source->notes));
	memcpy(vm->volumes, source->volumes, sizeof(vm->volumes));
	vm->n_volumes = source->n_volumes;
	for (size_t i = 0; r >= 0 && i < n_tags; i++)
		r = qube__vm_tag_put(vm, tags[i]);
	vm->unfinished = true;
	return r < 0 ? r : publish(out, &vm);
}

int qube__vm_finish(struct qube__vm *vm)
{
	int r;

	if (!vm->unfinished)
		return 0;
	vm->unfinished = false;
	r = qube__vm_changed(vm);
	vm->unfinished = r < 0;
	return r;
}

/* --- remove --- */
static int in_use(const struct qube__vm *vm, const char *by, const char *as)
{
	return qube__fail_detail(QUBE_E_BUSY, QUBE_D_VM_IN_USE, "'%s' is in use: %s of %s",
				 vm->name, as, by);
}

int qube__vm_removable(struct qube__vm *vm)
{
	const struct qube__model *m = vm->model;

	if (vm->vm_class == QUBE__CLASS_ADMIN)
		return qube__fail_detail(QUBE_E_BUSY, QUBE_D_VM_IN_USE, "dom0 is always in use");
	if (vm->vm_class != QUBE__CLASS_REMOTE && vm->state != QUBE__STATE_HALTED)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_HALTED,
					 "Domain is not powered off: '%s'", vm->name);
	if (qube__vm_bool(vm, QUBE__PROP_INSTALLED_BY_RPM))
		return qube__fail_detail(QUBE_E_BUSY, QUBE_D_VM_IN_USE,
					 "'%s' belongs to the host's package manager", vm->name);
	for (uint32_t id = QUBE__PROP_G_FIRST; id < QUBE__PROP_COUNT; id++) {
		const char *v = m->global[id - QUBE__PROP_G_FIRST];

		if (v && qube__props[id].type == QUBE__TYPE_VM && strcmp(v, vm->name) == 0)
			return in_use(vm, "the system", qube__props[id].name);
	}
	for (struct qube__vm *other = NULL; (other = qube__model_next(m, other));) {
		for (uint32_t id = 0; other != vm && id < QUBE__PROP_VM_COUNT; id++) {
			const char *v = other->prop[id];

			if (v && qube__props[id].type == QUBE__TYPE_VM && strcmp(v, vm->name) == 0)
				return in_use(vm, other->name, qube__props[id].name);
		}
	}
	return 0;
}

int qube__vm_remove(struct qube__vm *vm)
{
	int r = qube__vm_removable(vm);

	if (r == 0)
		r = qube__store_vm_unlink(vm);
	if (r < 0)
		return r;
	qube__model_detach(vm);
	qube__vm_free(vm);
	return 0;
}
