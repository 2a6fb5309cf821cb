/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whom a changed default reaches, and the host backend's members about its own properties, notes
 * and labels. */
#include "core/domain.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "core/host.h"

#include <stdio.h>
#include <string.h>

static void tell(struct qube__host *h, const struct qube__vm *vm, uint32_t row)
{
	const char *name = qube__props[row].name;
	char event[QUBE__PROPERTY_MAX + 32];
	struct qube__prop_value v;

	snprintf(event, sizeof(event), "property-reset:%s", name);
	qube__ctx_emit(&h->ctx, vm->name, event, "name", name, NULL);
	if (!vm->run)
		return;
	qube__vm_prop_read(&v, vm, row);
	qube__ctx_log(&h->ctx, 5, "'%s' runs, and its %s is now %s, by default", vm->name, name,
		      v.text && *v.text ? v.text : "none");
}

static void tell_row(struct qube__host *h, const struct qube__vm *of, uint32_t row)
{
	for (struct qube__vm *vm = NULL; (vm = qube__model_next(h->model, vm));)
		if (vm != of && qube__vm_prop_follows(vm, row, of))
			tell(h, vm, row);
}

void qube__host_tell_followers(struct qube__host *h, const struct qube__vm *of, uint32_t row)
{
	if (!of) {
		row = qube__global_default_of(row);
		if (row != QUBE__PROP_COUNT)
			tell_row(h, NULL, row);
		return;
	}
	/* Most rows concern their own qube alone: nobody else is looked at. */
	if (qube__prop_from_template(row)) {
		tell_row(h, of, row);
	} else if (row == QUBE__PROP_TEMPLATE) {
		for (uint32_t id = 0; id < QUBE__PROP_VM_COUNT; id++) {
			if (!qube__prop_from_template(id) || of->prop[id])
				continue;
			tell(h, of, id);
			tell_row(h, of, id);
		}
		/* A disposable's own disposables are its template's. */
		if (of->vm_class == QUBE__CLASS_DISP && !of->prop[QUBE__PROP_DEFAULT_DISPVM])
			tell(h, of, QUBE__PROP_DEFAULT_DISPVM);
	}
	/* The most memory is reckoned from the memory at start. */
	if (row == QUBE__PROP_MEMORY && !of->prop[QUBE__PROP_MAXMEM]) {
		tell(h, of, QUBE__PROP_MAXMEM);
		tell_row(h, of, QUBE__PROP_MAXMEM);
	}
}

int qube__host_ctx_property_fetch(struct qube_property *out, qube_ctx *ctx, const char *name)
{
	struct qube__prop_value v;
	int r = qube__global_get(&v, qube__host_of(ctx)->model, name);

	return r < 0 ? r : qube__host_property_out(out, &v, "the system");
}

int qube__host_ctx_property_set(qube_ctx *ctx, const char *name, const char *value)
{
	return qube__host_global_set(qube__host_of(ctx), name, value);
}

int qube__host_ctx_property_reset(qube_ctx *ctx, const char *name)
{
	return qube__host_global_reset(qube__host_of(ctx), name);
}

int qube__host_ctx_property_list(char ***out, qube_ctx *ctx)
{
	const struct qube__prop *props[QUBE__PROP_COUNT];
	size_t n = qube__prop_list(props, QUBE__CLASSES_GLOBAL);
	qube__autostrings list = { 0 };

	(void)ctx;
	for (size_t i = 0; i < n; i++)
		if (qube__strings_add(&list, props[i]->name) < 0)
			return QUBE_E_NOMEM;
	return qube__strings_take(out, &list);
}

int qube__host_notes_fetch(char **out, qube_domain *d)
{
	struct qube__vm *vm;
	char *copy;
	int r = qube__host_vm_of(&vm, d);

	if (r < 0)
		return r;
	copy = strdup(vm->notes ? vm->notes : "");
	if (!copy)
		return qube__fail_nomem();
	*out = copy;
	return 0;
}

int qube__host_notes_set(qube_domain *d, const char *text, size_t len)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__vm_notes_set(vm, text, len);
}

int qube__host_label_list(char ***out, qube_ctx *ctx)
{
	struct qube__model *m = qube__host_of(ctx)->model;
	qube__autostrings list = { 0 };

	for (size_t i = 0; i < m->n_labels; i++)
		if (qube__strings_add(&list, m->labels[i].name) < 0)
			return QUBE_E_NOMEM;
	return qube__strings_take(out, &list);
}

int qube__host_label_info(struct qube_label_info *out, qube_ctx *ctx, const char *name)
{
	const struct qube__label *l = qube__model_label(qube__host_of(ctx)->model, name);
	struct qube_label_info info = { .size = out->size };
	char text[80];

	if (!l)
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_LABEL_NOT_FOUND,
					 "Label does not exist: %s",
					 qube__text_escape(text, sizeof(text), name, strlen(name)));
	info.index = l->index;
	/* It was checked when it came into the model. */
	qube__name_colour(&info.rgb, l->colour, strlen(l->colour));
	*out = info;
	return 0;
}

int qube__host_label_create(qube_ctx *ctx, const char *name, uint32_t rgb)
{
	char colour[16];

	snprintf(colour, sizeof(colour), "0x%06x", rgb);
	return qube__model_label_create(qube__host_of(ctx)->model, name, colour);
}

int qube__host_label_destroy(qube_ctx *ctx, const char *name)
{
	return qube__model_label_remove(qube__host_of(ctx)->model, name);
}
