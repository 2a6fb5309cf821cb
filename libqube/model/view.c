/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the policy knows of a qube (policy.md 7). */
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>

/* Values of qubes and strings are borrowed from the model, never computed into v's space. */
static const char *borrowed(const struct qube__vm *vm, uint32_t id)
{
	struct qube__prop_value v;

	qube__vm_prop_read(&v, vm, id);
	return v.text == v.space ? NULL : v.text;
}

int qube__vm_view(struct qube__vm_view *out, const struct qube__vm *vm)
{
	const struct qube__label *label = qube__vm_label(vm);
	struct qube__vm_view view = {
		.name = vm->name,
		.uuid = vm->uuid,
		.type = qube__vm_class_name(vm->vm_class),
		.power_state = qube__vm_state_name(vm->state),
		.internal = qube__feature_true(qube__vm_feature_find(vm, "internal")),
		.template_for_dispvms = qube__vm_bool(vm, QUBE__PROP_TEMPLATE_FOR_DISPVMS),
		.default_dispvm = borrowed(vm, QUBE__PROP_DEFAULT_DISPVM),
		.guivm = borrowed(vm, QUBE__PROP_GUIVM),
		.relayvm = borrowed(vm, QUBE__PROP_RELAYVM),
		.transport_rpc = borrowed(vm, QUBE__PROP_TRANSPORT_RPC),
		.label = label->colour,
	};
	int r = qube__vm_tag_list(&view.tags, &view.n_tags, vm);

	if (r < 0)
		return r;
	snprintf(view.icon, sizeof(view.icon), "appvm-%s", label->name);
	*out = view;
	return 0;
}

void qube__vm_view_fini(struct qube__vm_view *v)
{
	free(v->tags);
	v->tags = NULL;
	v->n_tags = 0;
}
