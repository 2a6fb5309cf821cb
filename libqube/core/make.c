/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Qubes come and go: create, remove, clone, import. A definition whose volumes are still being made
 * says so, and it is removed first: what a crash leaves has no owner, and the next open removes it.
 */
#include "core/host.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int qube__host_vm(struct qube__vm **out, struct qube__host *h, const char *name)
{
	struct qube__vm *vm;
	char text[80];

	if (!strncmp(name, "uuid:", 5))
		vm = qube__model_vm_by_uuid(h->model, name + 5);
	else
		vm = qube__model_vm(h->model, name);
	if (!vm)
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_VM_NOT_FOUND, "No such domain: '%s'",
					 qube__text_escape(text, sizeof(text), name, strlen(name)));
	*out = vm;
	return 0;
}

/* A standalone qube may begin as another one's root; without that its root is empty. */
static int find_root(struct qube__vm **out, struct qube__host *h, const char *name)
{
	struct qube__vm *vm;
	int r = name ? qube__host_vm(&vm, h, name) : 0;

	if (r < 0 || !name)
		return r;
	if (!qube__vm_volume(vm, "root") || !qube__vm_volume_save_on_stop(vm, "root"))
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE,
					 "'%s' has no root of its own to begin with", vm->name);
	*out = vm;
	return 0;
}

static int same_size(struct qube__vm *vm, struct qube__vm *root_of)
{
	struct qube__vm_volume v = *qube__vm_volume(vm, "root");

	v.size_bytes = qube__vm_volume(root_of, "root")->size_bytes;
	return qube__vm_volume_set(vm, &v);
}

/* A standalone qube begins as what its template is now; the layers are shared. */
static int copy_root(struct qube__host *h, struct qube__vm *vm, struct qube__vm *from)
{
	struct qube__volume_spec spec;
	struct qube__pool *pool;
	struct qube__pool_cb cb = { 0 };
	int r = qube__volumes_spec(&spec, &pool, h, vm, QUBE__SLOT_ROOT);

	if (r < 0)
		return r;
	r = qube__volume_clone(NULL, pool, &spec, from->name, &cb);
	return r < 0 ? r : 0;
}

static int make_volumes(struct qube__host *h, struct qube__vm *vm, struct qube__vm *root_of)
{
	if (!h->n_pools || !vm->n_volumes)
		return qube__vm_finish(vm); /* fake, or a RemoteVM: nothing is on disk */
	/* A crash between removing a qube's definition and its volumes leaves volumes. */
	qube__volumes_drop(h, vm->name);
	if (root_of) {
		int r = copy_root(h, vm, root_of);

		return r < 0 ? r : qube__vm_finish(vm);
	}
	return qube__volumes_create(h, vm);
}

static void tell_tags(struct qube__host *h, struct qube__vm *vm, const char *const *tags, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char event[QUBE__TAG_MAX + 32];

		snprintf(event, sizeof(event), "domain-tag-add:%s", tags[i]);
		qube__ctx_emit(&h->ctx, vm->name, event, "tag", tags[i], NULL);
	}
}

void qube__host_let_go(struct qube__host *h, const char *name, const char *uuid)
{
	struct qube__vm *vm = qube__model_vm(h->model, name);
	int r;

	if (!vm || strcmp(vm->uuid, uuid) != 0 || !vm->held)
		return;
	r = vm->run ? qube__life_kill(h, vm, NULL) : qube__host_destroy(h, vm);
	if (r < 0)
		qube__ctx_log(&h->ctx, 4,
			      "the disposable '%s' stays though who made it is gone: %s", name,
			      qube_error_last()->message);
}

static int check_create(uint32_t *vm_class, const struct qube_domain_create_opts *o)
{
	bool disposable = o->flags & QUBE_DOMAIN_CREATE_DISPOSABLE;
	const char *klass = o->klass ? o->klass : disposable ? "DispVM" : "AppVM";
	uint32_t parsed;

	if (o->flags & QUBE_DOMAIN_CREATE_BOUND && !disposable)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE,
					 "only a disposable is bound to who makes it");
	if (disposable ? o->name != NULL : o->name == NULL)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE,
					 disposable ?
						 "an unnamed disposable has no name to choose" :
						 "a qube needs a name");
	if (qube__vm_class_parse(&parsed, klass) < 0 || parsed == QUBE__CLASS_ADMIN)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE, "no class '%s' to create",
					 klass);
	*vm_class = parsed;
	return 0;
}

static int undo_create(struct qube__host *h, struct qube__vm *vm)
{
	struct qube__err err;

	qube__err_save(&err);
	qube__volumes_drop(h, vm->name);
	qube__vm_remove(vm);
	return qube__err_restore(&err);
}

int qube__host_create(struct qube__vm **out, struct qube__host *h,
		      const struct qube_domain_create_opts *o, const char *creator)
{
	bool disposable = o->flags & QUBE_DOMAIN_CREATE_DISPOSABLE;
	char by[64];
	char disp_by[64];
	const char *tags[2] = { by, disp_by };
	struct qube__vm_pair pools[2];
	struct qube__vm_new n = {
		.name = o->name,
		.label = o->label,
		.template_name = o->template_name,
		.pool = o->pool,
		.volume_pools = pools,
		.driver = h->ops->name,
		.tags = tags,
		.n_tags = disposable ? 2 : 1,
	};
	struct qube__vm *root_of = NULL;
	struct qube__vm *vm;
	int r = check_create(&n.vm_class, o);

	if (r < 0)
		return r;
	n.n_volume_pools = n.pool ? 0 : qube__volumes_not_disks(pools, h, n.vm_class);
	snprintf(by, sizeof(by), "created-by-%s", creator);
	snprintf(disp_by, sizeof(disp_by), "disp-created-by-%s", creator);
	/* A disposable looks like its template; others are red until somebody says otherwise. */
	if (!n.label && n.vm_class != QUBE__CLASS_DISP)
		n.label = "red";
	if (n.vm_class == QUBE__CLASS_STANDALONE) {
		r = find_root(&root_of, h, o->template_name);
		if (r < 0)
			return r;
		n.template_name = NULL;
		n.unfinished = root_of != NULL;
		if (!root_of && !n.pool && !n.n_volume_pools)
			n.n_volume_pools = qube__volumes_own_disk(pools, h);
	}
	r = qube__vm_create(&vm, h->model, &n);
	if (r < 0)
		return r;
	qube__host_log_drop(h, vm->name);
	vm->held = o->flags & QUBE_DOMAIN_CREATE_BOUND;
	r = qube__fault_fails(QUBE__FAULT_CREATE_DEFINED) ? QUBE_E_SYSTEM : 0;
	if (r == 0 && root_of)
		r = same_size(vm, root_of);
	if (r == 0)
		r = make_volumes(h, vm, root_of);
	if (r < 0)
		return undo_create(h, vm);
	qube__fault(QUBE__FAULT_CREATE_VOLUMES);
	/* The order is that of admin-api.md 7, which differs for disposables. */
	qube__ctx_emit(&h->ctx, "", "domain-add", "vm", vm->name, NULL);
	if (!disposable)
		tell_tags(h, vm, tags, n.n_tags);
	qube__ctx_emit(&h->ctx, vm->name, "domain-create-on-disk", NULL);
	if (disposable)
		tell_tags(h, vm, tags, n.n_tags);
	*out = vm;
	return 0;
}

int qube__host_destroy(struct qube__host *h, struct qube__vm *vm)
{
	char name[QUBE__NAME_MAX + 1];
	int r = qube__host_not_cloning(h, vm);

	if (r == 0)
		r = qube__vm_removable(vm);
	if (r < 0)
		return r;
	memcpy(name, vm->name, sizeof(name));
	qube__ctx_emit(&h->ctx, "", "domain-pre-delete", "vm", name, NULL);
	r = qube__vm_remove(vm);
	if (r < 0)
		return r;
	qube__fault(QUBE__FAULT_REMOVE_DEFINED);
	qube__volumes_drop(h, name);
	qube__ctx_emit(&h->ctx, "", "domain-delete", "vm", name, NULL);
	return 0;
}

/* --- clone --- */

struct clone {
	struct qube__list link; /* host->clones */
	struct qube__host *host;
	qube_op *op;
	struct qube__pool_op *pool_op;
	struct qube__posted step;
	int slot;
	int code;
	char source[QUBE__NAME_MAX + 1];
	char name[QUBE__NAME_MAX + 1];
};

static void clone_end(struct clone *c, int code)
{
	struct qube__host *h = c->host;
	struct qube__vm *vm = qube__model_vm(h->model, c->name);
	struct qube__err err;
	qube_op *op = c->op;

	if (code == 0 && vm)
		code = qube__vm_finish(vm);
	qube__posted_cancel(&c->step);
	qube__list_remove(&c->link);
	if (code < 0) {
		qube__err_save(&err);
		if (vm)
			qube__vm_remove(vm);
		qube__volumes_drop(h, c->name);
		qube__err_restore(&err);
	} else if (vm) {
		qube__ctx_emit(&h->ctx, "", "domain-add", "vm", c->name, NULL);
		qube__ctx_emit(&h->ctx, c->name, "domain-clone-files", "src", c->source, NULL);
	}
	free(c);
	qube__op_finish(op, code);
}

static void clone_progress(void *user, uint64_t done, uint64_t total)
{
	struct clone *c = user;

	c->op->done_bytes = done;
	c->op->total_bytes = total;
}

static void clone_stage(void *user, const char *name)
{
	struct clone *c = user;

	qube__op_part(c->op, name);
}

static void clone_volume_done(void *user, int code)
{
	struct clone *c = user;

	c->pool_op = NULL;
	if (code < 0) {
		clone_end(c, code);
		return;
	}
	qube__post(&c->host->ctx.loop, &c->step);
}

static int clone_slot(struct clone *c, enum qube__slot slot)
{
	struct qube__vm *vm = qube__model_vm(c->host->model, c->name);
	struct qube__pool_cb cb = {
		.user = c,
		.progress = clone_progress,
		.stage = clone_stage,
		.done = clone_volume_done,
	};
	struct qube__volume_spec spec;
	struct qube__pool *pool;
	int r;

	if (!vm)
		return qube__fail(QUBE_E_STATE, "'%s' was removed", c->name);
	if (!qube__vm_volume_save_on_stop(vm, qube__slot_name(slot)))
		return 0;
	r = qube__volumes_spec(&spec, &pool, c->host, vm, slot);
	if (r < 0)
		return r;
	qube__op_stage(c->op, spec.name);
	return qube__volume_clone(&c->pool_op, pool, &spec, c->source, &cb);
}

static void clone_step(struct qube__posted *p)
{
	struct clone *c = qube__container_of(p, struct clone, step);

	while (c->slot < QUBE__SLOT_COUNT && c->host->n_pools) {
		int r = clone_slot(c, (enum qube__slot)c->slot++);

		if (r == 1)
			return;
		if (r < 0) {
			clone_end(c, r);
			return;
		}
	}
	clone_end(c, 0);
}

static int clone_cancel(qube_op *op)
{
	struct clone *c = op->work;

	if (c->pool_op) {
		qube__pool_op_cancel(c->pool_op); /* clone_volume_done() follows */
		return 0;
	}
	qube__fail(QUBE_E_CANCELED, "the clone was canceled");
	clone_end(c, QUBE_E_CANCELED);
	return 0;
}

int qube__host_not_cloning(struct qube__host *h, const struct qube__vm *vm)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &h->clones) {
		struct clone *c = qube__container_of(pos, struct clone, link);

		if (!strcmp(vm->name, c->source) || !strcmp(vm->name, c->name))
			return qube__fail_detail(QUBE_E_BUSY, QUBE_D_VM_IN_USE,
						 "'%s' is being cloned to '%s'", c->source,
						 c->name);
	}
	return 0;
}

int qube__host_clone(struct qube__host *h, struct qube__vm *vm, const char *name, qube_op *op)
{
	const char *const tags[] = { "created-by-dom0" };
	struct qube__vm *made;
	struct clone *c;
	int r;

	if (vm->vm_class == QUBE__CLASS_ADMIN)
		return qube__fail(QUBE_E_NOTSUP, "the host itself cannot be cloned");
	if (vm->run)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_HALTED,
					 "Domain is not powered off: '%s'", vm->name);
	c = calloc(1, sizeof(*c));
	if (!c)
		return qube__fail_nomem();
	r = qube__vm_clone(&made, vm, name, tags, 1);
	if (r < 0) {
		free(c);
		return r;
	}
	qube__fault(QUBE__FAULT_CLONE_DEFINED);
	qube__volumes_drop(h, name);
	qube__host_log_drop(h, name);
	qube__list_append(&h->clones, &c->link);
	c->host = h;
	c->op = op;
	qube__posted_init(&c->step, clone_step);
	memcpy(c->source, vm->name, sizeof(c->source));
	memcpy(c->name, made->name, sizeof(c->name));
	op->work = c;
	op->cancel = clone_cancel;
	qube__post(&h->ctx.loop, &c->step);
	return 0;
}

/* --- import --- */

struct import {
	struct qube__host *host;
	qube_op *op;
	struct qube__pool_op *pool_op;
	bool plan_only;
	bool archive;
	char name[QUBE__NAME_MAX + 1];
	char pool[QUBE__POOL_MAX + 1];
	char *label;
};

static void import_plan(void *user, uint64_t packages, uint64_t files, uint64_t bytes)
{
	struct import *im = user;

	im->op->total_bytes = bytes;
	im->op->total_files = files;
	qube__ctx_log(&im->host->ctx, 6, "template '%s': %llu packages, %llu files, %llu bytes",
		      im->name, (unsigned long long)packages, (unsigned long long)files,
		      (unsigned long long)bytes);
	if (!im->plan_only)
		qube__op_stage(im->op, "copy");
}

static void import_progress(void *user, uint64_t done, uint64_t total)
{
	struct import *im = user;

	im->op->done_bytes = done;
	if (total)
		im->op->total_bytes = total;
}

static void import_stage(void *user, const char *name)
{
	struct import *im = user;

	qube__op_part(im->op, name);
}

static void import_note(void *user, const char *line)
{
	struct import *im = user;

	qube__ctx_log(&im->host->ctx, 6, "template '%s': %s", im->name, line);
}

static int define_template(struct import *im)
{
	struct qube__host *h = im->host;
	const char *const tags[] = { "created-by-dom0" };
	struct qube__vm_new n = {
		.name = im->name,
		.vm_class = QUBE__CLASS_TEMPLATE,
		.label = im->label ? im->label : "black",
		.driver = h->ops->name,
		.import_source = im->archive ? "archive" : "host",
		.pool = *im->pool ? im->pool : NULL,
		.tags = tags,
		.n_tags = 1,
	};
	struct qube__vm *vm;
	int r;

	qube__op_stage(im->op, "define");
	r = qube__fault_fails(QUBE__FAULT_IMPORT_VOLUME) ? QUBE_E_SYSTEM :
							   qube__vm_create(&vm, h->model, &n);
	if (r < 0)
		return r;
	qube__host_log_drop(h, vm->name);
	qube__ctx_emit(&h->ctx, "", "domain-add", "vm", vm->name, NULL);
	qube__ctx_emit(&h->ctx, vm->name, "template-postinstall", NULL);
	if (!qube__global_ref(h->model, QUBE__PROP_G_DEFAULT_TEMPLATE))
		qube__host_global_set(h, "default_template", vm->name);
	return 0;
}

static void import_done(void *user, int code)
{
	struct import *im = user;
	qube_op *op = im->op;
	struct qube__err err;

	if (code == 0 && !im->plan_only) {
		code = define_template(im);
		if (code < 0) {
			qube__err_save(&err);
			qube__volumes_drop(im->host, im->name);
			qube__err_restore(&err);
		}
	}
	free(im->label);
	free(im);
	qube__op_finish(op, code);
}

static int import_cancel(qube_op *op)
{
	struct import *im = op->work;

	qube__pool_op_cancel(im->pool_op);
	return 0;
}

/* "a,b,c" into packages that point into text. */
static int split(char *text, const char **packages, uint32_t cap, uint32_t *n)
{
	char *save = NULL;

	*n = 0;
	for (char *p = strtok_r(text, ", ", &save); p; p = strtok_r(NULL, ", ", &save)) {
		if (*n == cap)
			return qube__fail(QUBE_E_LIMIT, "more than %u packages", cap);
		packages[(*n)++] = p;
	}
	return 0;
}

static int import_where(struct qube__pool **out, struct qube__host *h,
			const struct qube_template_import_opts *o)
{
	struct qube__prop_value v;
	const char *name = o->pool;
	const char *fault;

	if (!(o->flags & QUBE_TEMPLATE_IMPORT_HOST) == !o->source)
		return qube__fail(QUBE_E_INVALID, "an import needs one source");
	if (!o->name)
		return qube__fail(QUBE_E_INVALID, "a template needs a name");
	fault = qube__name_qube_fault(o->name, strlen(o->name));
	if (fault)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE, "bad name: %s", fault);
	if (qube__model_vm(h->model, o->name) || qube__model_damaged(h->model, o->name))
		return qube__fail_detail(QUBE_E_EXISTS, QUBE_D_VM_ALREADY_EXISTS,
					 "there is a qube '%s' already", o->name);
	if (o->label && !qube__model_label(h->model, o->label))
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_LABEL_NOT_FOUND,
					 "Label does not exist: %s", o->label);
	if (!h->n_pools)
		return qube__fail(QUBE_E_NOTSUP, "this host keeps no volumes");
	if (!name) {
		qube__global_read(&v, h->model, QUBE__PROP_G_DEFAULT_POOL_ROOT);
		name = v.text && *v.text ? v.text : "default";
	}
	*out = qube__host_pool(h, name);
	if (!*out)
		return qube__fail(QUBE_E_NOENT, "no pool '%s'", name);
	return 0;
}

/* A file is tar, a directory an image: nothing is guessed from what is in it. */
static int open_source(struct qube__import *req, const struct qube_template_import_opts *o)
{
	struct stat st;

	if (o->source[0] != '/')
		return qube__fail(QUBE_E_INVALID, "the path of a source is absolute");
	if (o->flags & QUBE_TEMPLATE_IMPORT_PLAN_ONLY || (o->include && *o->include))
		return qube__fail(QUBE_E_NOTSUP,
				  "packages and a plan are for imports of this host");
	if (!o->key == !(o->flags & QUBE_TEMPLATE_IMPORT_UNSIGNED))
		return qube__fail(QUBE_E_INVALID, "%s",
				  o->key ? "a key is given, and that there is none" :
					   "who made the source is not known: a key is needed, or "
					   "the word that it is unsigned");
	req->source = open(o->source, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (req->source < 0)
		return qube__fail_os("cannot open %s", o->source);
	if (fstat(req->source, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return qube__fail(QUBE_E_INVALID, "%s is neither a file nor a directory",
				  o->source);
	req->format = S_ISDIR(st.st_mode) ? "oci" : "tar";
	req->key = o->key;
	req->signature = o->signature;
	return 0;
}

int qube__host_import(struct qube__host *h, const struct qube_template_import_opts *o, qube_op *op)
{
	enum { PACKAGES_MAX = 500 };
	const char *packages[PACKAGES_MAX];
	qube__autofree char *include = strdup(o->include ? o->include : "");
	qube__autofd source = -1;
	struct qube__import req = {
		.source = -1,
		.owner = o->name,
		.packages = packages,
		.plan = import_plan,
	};
	struct qube__pool_cb cb = {
		.progress = import_progress,
		.stage = import_stage,
		.note = import_note,
		.done = import_done,
	};
	struct qube__pool *pool;
	struct import *im;
	int r = import_where(&pool, h, o);

	if (r == 0 && !include)
		r = qube__fail_nomem();
	if (r == 0)
		r = split(include, packages, PACKAGES_MAX, &req.n_packages);
	if (r == 0 && o->source)
		r = open_source(&req, o);
	source = req.source;
	if (r < 0)
		return r;
	im = calloc(1, sizeof(*im));
	if (im && o->label)
		im->label = strdup(o->label);
	if (!im || (o->label && !im->label)) {
		free(im);
		return qube__fail_nomem();
	}
	im->host = h;
	im->op = op;
	im->archive = o->source != NULL;
	im->plan_only = o->flags & QUBE_TEMPLATE_IMPORT_PLAN_ONLY;
	if (im->plan_only)
		req.flags |= QUBE__IMPORT_PLAN_ONLY;
	qube__text_copy(im->name, sizeof(im->name), o->name);
	qube__text_copy(im->pool, sizeof(im->pool), qube__pool_name(pool));
	cb.user = im;
	op->work = im;
	qube__op_stage(op, "plan");
	if (!im->plan_only)
		qube__volumes_drop(h, im->name);
	r = qube__import_host(&im->pool_op, pool, &req, &cb);
	if (r < 0) {
		op->work = NULL;
		free(im->label);
		free(im);
		return r;
	}
	op->cancel = import_cancel;
	return 0;
}
