/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The host backend's members that concern one qube: find it in the model, then do it. */
#include "core/domain.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"
#include "core/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The qube of a handle, which may have been removed since. */
int qube__host_vm_of(struct qube__vm **out, qube_domain *d)
{
	struct qube__host *h = qube__host_of(d->ctx);

	*out = qube__model_vm_by_uuid(h->model, d->uuid);
	if (!*out)
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_VM_NOT_FOUND, "No such domain: '%s'",
					 d->name);
	return 0;
}

static int handle_of(qube_domain **out, qube_ctx *ctx, const struct qube__vm *vm)
{
	return qube__domain_handle(out, ctx, vm->name, vm->uuid, vm->vm_class + 1);
}

int qube__host_domain_open(qube_domain **out, qube_ctx *ctx, const char *name)
{
	struct qube__vm *vm;
	int r = qube__host_vm(&vm, qube__host_of(ctx), name);

	return r < 0 ? r : handle_of(out, ctx, vm);
}

int qube__host_domain_list(qube_domain ***out, size_t *count, qube_ctx *ctx)
{
	struct qube__model *m = qube__host_of(ctx)->model;
	qube_domain **list = calloc(m->n_vms + 1, sizeof(*list));
	struct qube__vm *vm;
	size_t n = 0;

	if (!list)
		return qube__fail_nomem();
	for (vm = NULL; (vm = qube__model_next(m, vm));) {
		if (handle_of(&list[n], ctx, vm) < 0) {
			qube_domain_list_free(list, n);
			return QUBE_E_NOMEM;
		}
		n++;
	}
	*out = list;
	*count = n;
	return 0;
}

void qube__host_domain_forget(qube_domain *d)
{
	(void)d;
}

void qube__host_domain_view(struct qube__domain_view *out, qube_domain *d)
{
	struct qube__vm *vm = qube__model_vm_by_uuid(qube__host_of(d->ctx)->model, d->uuid);
	struct qube__vm *template;

	*out = (struct qube__domain_view){ QUBE_STATE_HALTED, "", "" };
	if (!vm)
		return;
	out->state = qube__host_state(vm) + 1;
	out->label = qube__vm_label(vm)->name;
	template = vm->vm_class == QUBE__CLASS_ADMIN ? NULL : qube__vm_template(vm);
	if (template)
		out->template_name = template->name;
}

int qube__host_domain_create(qube_domain **out, qube_ctx *ctx,
			     const struct qube_domain_create_opts *o)
{
	struct qube__vm *vm;
	int r = qube__host_create(&vm, qube__host_of(ctx), o, "dom0");

	if (r < 0)
		return r;
	r = handle_of(out, ctx, vm);
	if (r < 0) {
		qube__host_destroy(qube__host_of(ctx), vm);
		return qube__fail_nomem();
	}
	return 0;
}

/* --- operations that end when a qube is up or gone --- */

struct life_op {
	struct qube__waiter waiter;
	qube_op *op;
};

static void life_done(struct qube__waiter *w, int code)
{
	struct life_op *l = qube__container_of(w, struct life_op, waiter);
	qube_op *op = l->op;

	free(l);
	qube__op_finish(op, code);
}

static struct life_op *life_op(qube_op *op)
{
	struct life_op *l = calloc(1, sizeof(*l));

	if (!l) {
		qube__fail_nomem();
		return NULL;
	}
	l->op = op;
	l->waiter.fn = life_done;
	qube__list_init(&l->waiter.link);
	return l;
}

static int life_result(struct life_op *l, int r)
{
	if (r < 0) {
		qube__waiter_drop(&l->waiter);
		free(l);
	}
	return r;
}

int qube__host_domain_start(qube_domain *d, uint32_t flags, qube_op *op)
{
	struct life_op *l = life_op(op);
	struct qube__vm *vm;
	int r;

	if (!l)
		return QUBE_E_NOMEM;
	r = qube__host_vm_of(&vm, d);
	if (r == 0)
		r = qube__life_start(qube__host_of(d->ctx), vm, &l->waiter, flags, op);
	return life_result(l, r);
}

/* The guest's end, then its volumes' (machine_gone). */
static void trace_end(struct qube__vm *vm, qube_op *op)
{
	qube__life_trace(vm->run, op);
	qube__op_part(op, "/guest");
}

int qube__host_domain_shutdown(qube_domain *d, const struct qube_domain_shutdown_opts *o,
			       qube_op *op)
{
	struct life_op *l = life_op(op);
	struct qube__vm *vm;
	int r;

	if (!l)
		return QUBE_E_NOMEM;
	qube__op_stage(op, "shutdown");
	r = qube__host_vm_of(&vm, d);
	if (r == 0)
		r = qube__life_shutdown(qube__host_of(d->ctx), vm, &l->waiter, o->flags,
					o->timeout_ms);
	if (r == 0)
		trace_end(vm, op);
	return life_result(l, r);
}

int qube__host_domain_kill(qube_domain *d, qube_op *op)
{
	struct life_op *l = life_op(op);
	struct qube__vm *vm;
	int r;

	if (!l)
		return QUBE_E_NOMEM;
	qube__op_stage(op, "kill");
	r = qube__host_vm_of(&vm, d);
	if (r == 0)
		r = qube__life_kill(qube__host_of(d->ctx), vm, &l->waiter);
	if (r == 0)
		trace_end(vm, op);
	return life_result(l, r);
}

/* --- wait for a state --- */

uint32_t qube__host_state(const struct qube__vm *vm)
{
	if (vm->vm_class == QUBE__CLASS_ADMIN || vm->vm_class == QUBE__CLASS_REMOTE)
		return QUBE__STATE_RUNNING;
	return vm->state;
}

struct state_wait {
	struct qube__listener listener;
	struct qube__posted check;
	qube_op *op;
	qube_ctx *ctx;
	uint32_t state;
	bool seen; /* when an event was told; a disposable may be gone at the check */
	char uuid[40];
};

static void wait_end(struct state_wait *w, int code)
{
	qube_op *op = w->op;

	qube__ctx_unlisten(&w->listener);
	qube__posted_cancel(&w->check);
	free(w);
	qube__op_finish(op, code);
}

static void wait_check(struct qube__posted *p)
{
	struct state_wait *w = qube__container_of(p, struct state_wait, check);
	struct qube__vm *vm = qube__model_vm_by_uuid(qube__host_of(w->ctx)->model, w->uuid);

	if (w->seen || (vm && qube__host_state(vm) + 1 == w->state)) {
		wait_end(w, 0);
	} else if (!vm) {
		qube__fail_detail(QUBE_E_NOENT, QUBE_D_VM_NOT_FOUND, "the qube was removed");
		wait_end(w, QUBE_E_NOENT);
	}
}

static void wait_event(struct qube__listener *l, const struct qube_event *ev)
{
	struct state_wait *w = qube__container_of(l, struct state_wait, listener);

	struct qube__vm *vm;

	if (strncmp(ev->name, "domain-", 7))
		return;
	vm = qube__model_vm_by_uuid(qube__host_of(w->ctx)->model, w->uuid);
	if (vm && qube__host_state(vm) + 1 == w->state)
		w->seen = true;
	qube__post(&w->ctx->loop, &w->check);
}

static int wait_cancel(qube_op *op)
{
	qube__fail(QUBE_E_CANCELED, "no longer waited for");
	wait_end(op->work, QUBE_E_CANCELED);
	return 0;
}

int qube__host_domain_wait(qube_domain *d, uint32_t state, qube_op *op)
{
	struct state_wait *w;
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	if (r < 0)
		return r;
	w = calloc(1, sizeof(*w));
	if (!w)
		return qube__fail_nomem();
	w->op = op;
	w->ctx = d->ctx;
	w->state = state;
	memcpy(w->uuid, d->uuid, sizeof(w->uuid));
	op->work = w;
	op->cancel = wait_cancel;
	qube__posted_init(&w->check, wait_check);
	qube__ctx_listen(d->ctx, &w->listener, wait_event);
	qube__post(&d->ctx->loop, &w->check);
	return 0;
}

/* --- the rest --- */

int qube__host_domain_clone(qube_domain *d, const char *name, qube_op *op)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_clone(qube__host_of(d->ctx), vm, name, op);
}

int qube__host_domain_call(qube_domain *d, const struct qube_call_opts *o, qube_op *op)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__link_call(qube__host_of(d->ctx), vm, o, op);
}

int qube__host_template_import(qube_ctx *ctx, const struct qube_template_import_opts *o,
			       qube_op *op)
{
	return qube__host_import(qube__host_of(ctx), o, op);
}

int qube__host_domain_pause(qube_domain *d)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__life_pause(qube__host_of(d->ctx), vm, true);
}

int qube__host_domain_unpause(qube_domain *d)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__life_pause(qube__host_of(d->ctx), vm, false);
}

int qube__host_domain_destroy(qube_domain *d)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_destroy(qube__host_of(d->ctx), vm);
}

int qube__host_property_out(struct qube_property *out, const struct qube__prop_value *v,
			    const char *whose)
{
	struct qube_property p = { .size = out->size };

	if (!v->text && v->prop->type != QUBE__TYPE_VM && v->prop->type != QUBE__TYPE_STR)
		return qube__fail(QUBE_E_NOENT, "'%s' of '%s' has no value", v->prop->name, whose);
	p.type = (uint32_t)v->prop->type + 1;
	p.flags = v->is_default ? QUBE_PROPERTY_IS_DEFAULT : 0;
	p.value = strdup(v->text ? v->text : "");
	if (!p.value)
		return qube__fail_nomem();
	*out = p;
	return 0;
}

int qube__host_property_fetch(struct qube_property *out, qube_domain *d, const char *name)
{
	struct qube__prop_value v;
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	if (r == 0)
		r = qube__vm_prop_get(&v, vm, name);
	return r < 0 ? r : qube__host_property_out(out, &v, d->name);
}

/* "property-set:" and the name behind it. */
static void event_name(char *out, size_t cap, const char *prefix, const char *name)
{
	snprintf(out, cap, "%s%s", prefix, name);
}

/* What the property is now, as events say it: never the spelling that a caller chose. */
static const char *event_value(const struct qube__prop_value *v)
{
	if (v->text && (*v->text || v->prop->type != QUBE__TYPE_VM))
		return v->text;
	return "None";
}

/* What follows from some properties (admin-api.md 7). */
static void tell_derived(struct qube__host *h, const struct qube__vm *vm, const char *name)
{
	const struct qube__prop *p = qube__prop_find(1u << vm->vm_class, name);

	if (p)
		qube__host_tell_followers(h, vm, qube__prop_id(p));
	if (!strcmp(name, "label") || !strcmp(name, "template_for_dispvms"))
		qube__ctx_emit(&h->ctx, vm->name, "property-reset:icon", "name", "icon", NULL);
	if (strcmp(name, "provides_network"))
		return;
	qube__ctx_emit(&h->ctx, vm->name, "property-reset:gateway", "name", "gateway", NULL);
	qube__ctx_emit(&h->ctx, vm->name, "property-reset:gateway6", "name", "gateway6", NULL);
}

int qube__host_property_set(struct qube__host *h, struct qube__vm *vm, const char *name,
			    const char *value)
{
	char event[QUBE__PROPERTY_MAX + 32];
	qube__autofree char *old = NULL;
	struct qube__prop_value v;
	int r = qube__vm_prop_get(&v, vm, name);

	if (r < 0)
		return r;
	old = strdup(event_value(&v));
	if (!old)
		return qube__fail_nomem();
	r = qube__vm_prop_set(vm, name, value);
	if (r == 0)
		r = qube__vm_prop_get(&v, vm, name);
	if (r < 0)
		return r;
	event_name(event, sizeof(event), "property-set:", name);
	qube__ctx_emit(&h->ctx, vm->name, event, "name", name, "newvalue", event_value(&v),
		       "oldvalue", old, NULL);
	tell_derived(h, vm, name);
	return 0;
}

int qube__host_property_reset(struct qube__host *h, struct qube__vm *vm, const char *name)
{
	char event[QUBE__PROPERTY_MAX + 32];
	int r = qube__vm_prop_reset(vm, name);

	if (r < 0)
		return r;
	event_name(event, sizeof(event), "property-reset:", name);
	qube__ctx_emit(&h->ctx, vm->name, event, "name", name, NULL);
	tell_derived(h, vm, name);
	return 0;
}

int qube__host_global_set(struct qube__host *h, const char *name, const char *value)
{
	char event[QUBE__PROPERTY_MAX + 32];
	struct qube__prop_value v;
	int r = qube__global_set(h->model, name, value);

	if (r == 0)
		r = qube__global_get(&v, h->model, name);
	if (r < 0)
		return r;
	event_name(event, sizeof(event), "property-set:", name);
	qube__ctx_emit(&h->ctx, "", event, "name", name, "newvalue", event_value(&v), NULL);
	qube__host_tell_followers(h, NULL, qube__prop_id(v.prop));
	return 0;
}

int qube__host_global_reset(struct qube__host *h, const char *name)
{
	char event[QUBE__PROPERTY_MAX + 32];
	struct qube__prop_value v;
	int r = qube__global_reset(h->model, name);

	if (r == 0)
		r = qube__global_get(&v, h->model, name);
	if (r < 0)
		return r;
	event_name(event, sizeof(event), "property-reset:", name);
	qube__ctx_emit(&h->ctx, "", event, "name", name, NULL);
	qube__host_tell_followers(h, NULL, qube__prop_id(v.prop));
	return 0;
}

int qube__host_domain_property_set(qube_domain *d, const char *name, const char *value)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_property_set(qube__host_of(d->ctx), vm, name, value);
}

int qube__host_domain_property_reset(qube_domain *d, const char *name)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_property_reset(qube__host_of(d->ctx), vm, name);
}

/* An empty list is a list too. */
int qube__host_property_list(char ***out, qube_domain *d)
{
	const struct qube__prop *props[QUBE__PROP_COUNT];
	qube__autostrings list = { 0 };
	struct qube__vm *vm;
	size_t n;
	int r = qube__host_vm_of(&vm, d);

	if (r < 0)
		return r;
	n = qube__vm_prop_list(props, vm);
	for (size_t i = 0; i < n; i++)
		if (qube__strings_add(&list, props[i]->name) < 0)
			return QUBE_E_NOMEM;
	return qube__strings_take(out, &list);
}

int qube__host_tag_list(char ***out, qube_domain *d)
{
	qube__autostrings list = { 0 };
	qube__autofree char **tags = NULL;
	struct qube__vm *vm;
	size_t n;
	int r = qube__host_vm_of(&vm, d);

	if (r == 0)
		r = qube__vm_tag_list(&tags, &n, vm);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (qube__strings_add(&list, tags[i]) < 0)
			return QUBE_E_NOMEM;
	return qube__strings_take(out, &list);
}

int qube__host_tag(struct qube__host *h, struct qube__vm *vm, const char *tag, bool add)
{
	char event[QUBE__TAG_MAX + 32];
	bool had = qube__vm_tag_has(vm, tag);
	int r = add ? qube__vm_tag_add(vm, tag) : qube__vm_tag_remove(vm, tag);

	if (r < 0 || (add && had))
		return r;
	event_name(event, sizeof(event), add ? "domain-tag-add:" : "domain-tag-delete:", tag);
	qube__ctx_emit(&h->ctx, vm->name, event, "tag", tag, NULL);
	return 0;
}

int qube__host_tag_add(qube_domain *d, const char *tag)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_tag(qube__host_of(d->ctx), vm, tag, true);
}

int qube__host_tag_remove(qube_domain *d, const char *tag)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_tag(qube__host_of(d->ctx), vm, tag, false);
}

int qube__host_feature_list(char ***out, qube_domain *d)
{
	qube__autostrings list = { 0 };
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	if (r < 0)
		return r;
	for (size_t i = 0; i < vm->n_features; i++)
		if (qube__strings_add(&list, vm->features[i].name) < 0)
			return QUBE_E_NOMEM;
	return qube__strings_take(out, &list);
}

int qube__host_feature_fetch(char **out, qube_domain *d, const char *name)
{
	const char *value;
	struct qube__vm *vm;
	char *copy;
	int r = qube__host_vm_of(&vm, d);

	if (r == 0)
		r = qube__vm_feature_get(&value, vm, name, QUBE__CHAIN_SELF);
	if (r < 0)
		return r;
	copy = strdup(value);
	if (!copy)
		return qube__fail_nomem();
	*out = copy;
	return 0;
}

/* value NULL: remove. */
int qube__host_feature(struct qube__host *h, struct qube__vm *vm, const char *name,
		       const char *value)
{
	char event[QUBE__FEATURE_MAX + 32];
	int r = value ? qube__vm_feature_set(vm, name, value) : qube__vm_feature_remove(vm, name);

	if (r < 0)
		return r;
	event_name(event, sizeof(event),
		   value ? "domain-feature-set:" : "domain-feature-delete:", name);
	if (value)
		qube__ctx_emit(&h->ctx, vm->name, event, "feature", name, "value", value, NULL);
	else
		qube__ctx_emit(&h->ctx, vm->name, event, "feature", name, NULL);
	return 0;
}

int qube__host_feature_set(qube_domain *d, const char *name, const char *value)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_feature(qube__host_of(d->ctx), vm, name, value);
}

int qube__host_feature_remove(qube_domain *d, const char *name)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_feature(qube__host_of(d->ctx), vm, name, NULL);
}

const char *qube__host_unenforced(qube_domain *d)
{
	struct qube__host *h = qube__host_of(d->ctx);
	struct qube__vm *vm = qube__model_vm_by_uuid(h->model, d->uuid);
	struct qube__run *r = vm ? vm->run : NULL;

	if (!r || !r->machine || !h->ops->unenforced)
		return "";
	return h->ops->unenforced(r->machine);
}
