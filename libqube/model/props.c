/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reading and changing properties, by the table. */
#include "base/error.h"
#include "base/text.h"
#include "model/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_such(const char *name, const struct qube__vm *vm)
{
	char safe[96];

	qube__text_escape(safe, sizeof(safe), name, strlen(name));
	return qube__fail_detail(QUBE_E_NOENT, QUBE_D_NO_SUCH_PROPERTY,
				 "Invalid property '%s' of %s", safe, vm ? vm->name : "the system");
}

void qube__prop_read_default(struct qube__prop_value *out, const struct qube__prop_of *of,
			     const struct qube__prop *p)
{
	out->prop = p;
	/* An identity is never a default, though nobody set it. */
	out->is_default = p->set != QUBE__SET_ONCE;
	out->text = p->fixed;
	if (p->compute)
		p->compute(of, out);
}

static void read_value(struct qube__prop_value *out, const struct qube__prop_of *of,
		       const struct qube__prop *p, const char *explicit_text)
{
	if (!explicit_text) {
		qube__prop_read_default(out, of, p);
		return;
	}
	out->prop = p;
	out->is_default = false;
	out->text = p->type == QUBE__TYPE_VM && !*explicit_text ? NULL : explicit_text;
}

void qube__vm_prop_read(struct qube__prop_value *out, const struct qube__vm *vm, uint32_t id)
{
	const struct qube__prop *p = &qube__props[id];
	struct qube__prop_of of = { .model = vm->model, .vm = vm };

	if (p->classes & 1u << vm->vm_class) {
		read_value(out, &of, p, vm->prop[id]);
		return;
	}
	out->prop = p;
	out->is_default = true;
	out->text = NULL;
}

void qube__global_read(struct qube__prop_value *out, const struct qube__model *m, uint32_t id)
{
	struct qube__prop_of of = { .model = m };

	read_value(out, &of, &qube__props[id], m->global[id - QUBE__PROP_G_FIRST]);
}

int qube__vm_prop_get(struct qube__prop_value *out, const struct qube__vm *vm, const char *name)
{
	const struct qube__prop *p = qube__prop_find(1u << vm->vm_class, name);

	if (!p)
		return no_such(name, vm);
	qube__vm_prop_read(out, vm, qube__prop_id(p));
	return 0;
}

int qube__global_get(struct qube__prop_value *out, const struct qube__model *m, const char *name)
{
	const struct qube__prop *p = qube__prop_find(QUBE__CLASSES_GLOBAL, name);

	if (!p)
		return no_such(name, NULL);
	qube__global_read(out, m, qube__prop_id(p));
	return 0;
}

static void get_default(struct qube__prop_value *out, bool *has, const struct qube__prop_of *of,
			const struct qube__prop *p)
{
	*has = (p->fixed || p->compute) && p->set != QUBE__SET_ONCE;
	out->prop = p;
	out->is_default = true;
	out->text = NULL;
	if (*has)
		qube__prop_read_default(out, of, p);
}

int qube__vm_prop_default(struct qube__prop_value *out, bool *has, const struct qube__vm *vm,
			  const char *name)
{
	const struct qube__prop *p = qube__prop_find(1u << vm->vm_class, name);
	struct qube__prop_of of = { .model = vm->model, .vm = vm };

	if (!p)
		return no_such(name, vm);
	get_default(out, has, &of, p);
	return 0;
}

int qube__global_default(struct qube__prop_value *out, bool *has, const struct qube__model *m,
			 const char *name)
{
	const struct qube__prop *p = qube__prop_find(QUBE__CLASSES_GLOBAL, name);
	struct qube__prop_of of = { .model = m };

	if (!p)
		return no_such(name, NULL);
	get_default(out, has, &of, p);
	return 0;
}

bool qube__vm_bool(const struct qube__vm *vm, uint32_t id)
{
	struct qube__prop_value v;

	qube__vm_prop_read(&v, vm, id);
	return v.text && v.text[0] == 'T';
}

int64_t qube__vm_int(const struct qube__vm *vm, uint32_t id, int64_t if_unset)
{
	struct qube__prop_value v;
	int64_t n = if_unset;

	qube__vm_prop_read(&v, vm, id);
	if (v.text && qube__name_int(&n, v.text, strlen(v.text)) < 0)
		return if_unset;
	return n;
}

struct qube__vm *qube__vm_ref(const struct qube__vm *vm, uint32_t id)
{
	struct qube__prop_value v;

	qube__vm_prop_read(&v, vm, id);
	return v.text ? qube__model_vm(vm->model, v.text) : NULL;
}

struct qube__vm *qube__global_ref(const struct qube__model *m, uint32_t id)
{
	struct qube__prop_value v;

	qube__global_read(&v, m, id);
	return v.text ? qube__model_vm(m, v.text) : NULL;
}

const struct qube__label *qube__vm_label(const struct qube__vm *vm)
{
	const char *name = vm->prop[QUBE__PROP_LABEL];
	const struct qube__label *l = name ? qube__model_label(vm->model, name) : NULL;

	return l ? l : &vm->model->labels[0];
}

int qube__text_swap(char **dst, char **old, const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		return qube__fail_nomem();
	*old = *dst;
	*dst = copy;
	return 0;
}

/* --- checking --- */
static int bad_text(const struct qube__prop *p, const char *value, const char *what)
{
	char safe[80];

	qube__text_escape(safe, sizeof(safe), value, strlen(value));
	return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE,
				 "value '%s' of property '%s' is not %s", safe, p->name, what);
}

/* By name, by index or as "label-INDEX". */
static const struct qube__label *find_label(const struct qube__model *m, const char *value)
{
	const char *digits = strncmp(value, "label-", 6) == 0 ? value + 6 : value;
	const struct qube__label *l = qube__model_label(m, value);
	uint64_t index;

	if (l || qube__text_u64(&index, digits, UINT32_MAX) < 0)
		return l;
	for (size_t i = 0; i < m->n_labels; i++)
		if (m->labels[i].index == index)
			return &m->labels[i];
	return NULL;
}

static int check_vm(const struct qube__prop_of *of, const struct qube__prop *p, const char *value)
{
	const char *fault = *value ? qube__name_qube_fault(value, strlen(value)) : NULL;

	if (!*value)
		return p->none_ok ? 0 : bad_text(p, value, "a qube");
	if (fault)
		return bad_text(p, value, "a qube's name");
	if (!qube__model_vm(of->model, value))
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_VM_NOT_FOUND, "No such domain: '%s'",
					 value);
	return 0;
}

static int check_type(const struct qube__prop_of *of, const struct qube__prop *p, const char *value,
		      char *canon)
{
	const struct qube__label *label;
	size_t n = strlen(value);
	int64_t number;
	bool flag;

	if (n >= QUBE__PROP_CANON_MAX || !qube__name_is_printable(value, n))
		return bad_text(p, value, "printable text of less than 4096 characters");
	memcpy(canon, value, n + 1);
	switch (p->type) {
	case QUBE__TYPE_INT:
		if (qube__name_int(&number, value, n) < 0)
			return bad_text(p, value, "a number");
		return 0;
	case QUBE__TYPE_BOOL:
		if (qube__name_bool(&flag, value, n) < 0)
			return bad_text(p, value, "a boolean");
		snprintf(canon, QUBE__PROP_CANON_MAX, "%s", flag ? "True" : "False");
		return 0;
	case QUBE__TYPE_VM:
		return check_vm(of, p, value);
	case QUBE__TYPE_LABEL:
		label = find_label(of->model, value);
		if (!label)
			return qube__fail_detail(QUBE_E_NOENT, QUBE_D_LABEL_NOT_FOUND,
						 "Label does not exist: %.64s", value);
		snprintf(canon, QUBE__PROP_CANON_MAX, "%s", label->name);
		return 0;
	default:
		return 0;
	}
}

int qube__prop_check(const struct qube__prop_of *of, const struct qube__prop *p, const char *value,
		     char *canon)
{
	int r = check_type(of, p, value, canon);

	return r == 0 && p->check ? p->check(of, p, canon) : r;
}

bool qube__prop_plausible(const struct qube__prop *p, const char *value)
{
	size_t n = strlen(value);
	int64_t number;

	if (n >= QUBE__PROP_CANON_MAX || !qube__name_is_printable(value, n) ||
	    p->set == QUBE__SET_NEVER || p->set == QUBE__SET_ONCE)
		return false;
	switch (p->type) {
	case QUBE__TYPE_INT:
		return qube__name_int(&number, value, n) == 0;
	case QUBE__TYPE_BOOL:
		return strcmp(value, "True") == 0 || strcmp(value, "False") == 0;
	case QUBE__TYPE_VM:
		return !n ? p->none_ok : qube__name_is_qube(value, n);
	case QUBE__TYPE_LABEL:
		return qube__name_is_label(value, n);
	default:
		return true;
	}
}

/* --- changing --- */
static int may_set(const struct qube__vm *vm, const struct qube__prop *p)
{
	if (p->set == QUBE__SET_NEVER || p->set == QUBE__SET_ONCE)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROPERTY_VALUE,
					 "property '%s' on %s instance cannot be set", p->name,
					 vm ? qube__vm_class_name(vm->vm_class) : "system");
	if (p->set == QUBE__SET_HALTED && vm->state != QUBE__STATE_HALTED)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_HALTED,
					 "Domain is not powered off: '%s'", vm->name);
	return 0;
}

/* Puts text in place and persists; takes it back if that fails. */
static int vm_assign(struct qube__vm *vm, uint32_t id, const char *text)
{
	char *old = NULL;
	int r = qube__text_swap(&vm->prop[id], &old, text);

	if (r < 0)
		return r;
	r = qube__vm_changed(vm);
	if (r < 0) {
		free(vm->prop[id]);
		vm->prop[id] = old;
		return r;
	}
	free(old);
	return 0;
}

int qube__vm_prop_set(struct qube__vm *vm, const char *name, const char *value)
{
	const struct qube__prop *p = qube__prop_find(1u << vm->vm_class, name);
	struct qube__prop_of of = { .model = vm->model, .vm = vm };
	char canon[QUBE__PROP_CANON_MAX];
	int r;

	if (!p)
		return no_such(name, vm);
	r = may_set(vm, p);
	if (r == 0)
		r = qube__prop_check(&of, p, value, canon);
	return r < 0 ? r : vm_assign(vm, qube__prop_id(p), canon);
}

int qube__vm_prop_reset(struct qube__vm *vm, const char *name)
{
	const struct qube__prop *p = qube__prop_find(1u << vm->vm_class, name);
	struct qube__prop_of of = { .model = vm->model, .vm = vm };
	int r;

	if (!p)
		return no_such(name, vm);
	/* A reset of what cannot be set does nothing, and that is no error. */
	if (p->set == QUBE__SET_NEVER || p->set == QUBE__SET_ONCE)
		return 0;
	if (p->check_reset) {
		r = p->check_reset(&of, p);
		if (r < 0)
			return r;
	}
	if (!vm->prop[qube__prop_id(p)])
		return 0;
	r = may_set(vm, p);
	return r < 0 ? r : vm_assign(vm, qube__prop_id(p), NULL);
}

static int global_assign(struct qube__model *m, uint32_t id, const char *text)
{
	char **slot = &m->global[id - QUBE__PROP_G_FIRST];
	char *old = NULL;
	int r = qube__text_swap(slot, &old, text);

	if (r < 0)
		return r;
	r = qube__store_system_save(m);
	if (r < 0) {
		free(*slot);
		*slot = old;
		return r;
	}
	free(old);
	return 0;
}

/* The qube that keeps the time tells the others so by a feature (admin-api.md 5.4). */
static int follow_clockvm(struct qube__vm *before, struct qube__vm *now)
{
	static const char feature[] = "service.clocksync";
	int r = 0;

	if (before == now)
		return 0;
	if (before && qube__vm_feature_find(before, feature))
		r = qube__vm_feature_remove(before, feature);
	if (r == 0 && now)
		r = qube__vm_feature_set(now, feature, "1");
	return r;
}

static int global_change(struct qube__model *m, const struct qube__prop *p, const char *text)
{
	struct qube__vm *clock = qube__global_ref(m, QUBE__PROP_G_CLOCKVM);
	int r = global_assign(m, qube__prop_id(p), text);

	if (r == 0 && qube__prop_id(p) == QUBE__PROP_G_CLOCKVM)
		r = follow_clockvm(clock, qube__global_ref(m, QUBE__PROP_G_CLOCKVM));
	return r;
}

int qube__global_set(struct qube__model *m, const char *name, const char *value)
{
	const struct qube__prop *p = qube__prop_find(QUBE__CLASSES_GLOBAL, name);
	struct qube__prop_of of = { .model = m };
	char canon[QUBE__PROP_CANON_MAX];
	int r;

	if (!p)
		return no_such(name, NULL);
	r = may_set(NULL, p);
	if (r == 0)
		r = qube__prop_check(&of, p, value, canon);
	return r < 0 ? r : global_change(m, p, canon);
}

int qube__global_reset(struct qube__model *m, const char *name)
{
	const struct qube__prop *p = qube__prop_find(QUBE__CLASSES_GLOBAL, name);

	if (!p)
		return no_such(name, NULL);
	if (!m->global[qube__prop_id(p) - QUBE__PROP_G_FIRST])
		return 0;
	return global_change(m, p, NULL);
}
