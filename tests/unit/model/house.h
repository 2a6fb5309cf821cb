/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A small house of qubes that the tests of this room live in. */
#ifndef MODEL_HOUSE_H
#define MODEL_HOUSE_H

#include "qtest.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "model/model.h"

#include <qube/error.h>

#include <string.h>

static inline void house_close(struct qube__model **m)
{
	qube__model_close(*m);
}
#define AUTO_MODEL __attribute__((cleanup(house_close))) struct qube__model

static inline struct qube__vm *house_vm(struct qube__model *m, uint32_t vm_class, const char *name,
					const char *template_name)
{
	struct qube__vm_new n = {
		.name = name, .vm_class = vm_class, .template_name = template_name, .label = "red"
	};
	struct qube__vm *vm = NULL;

	return qube__vm_create(&vm, m, &n) == 0 ? vm : NULL;
}

/* deb (TemplateVM), work (AppVM), dvm (AppVM, template_for_dispvms), net (AppVM, provides network,
 * no netvm), alone (StandaloneVM), disp (DispVM of dvm, named), far (RemoteVM). */
static inline struct qube__model *house_fill(struct qube__model *m)
{
	struct qube__vm *vm;

	house_vm(m, QUBE__CLASS_TEMPLATE, "deb", NULL);
	house_vm(m, QUBE__CLASS_APP, "work", "deb");
	vm = house_vm(m, QUBE__CLASS_APP, "dvm", "deb");
	qube__vm_prop_set(vm, "template_for_dispvms", "True");
	vm = house_vm(m, QUBE__CLASS_APP, "net", "deb");
	qube__vm_prop_set(vm, "provides_network", "True");
	qube__vm_prop_set(vm, "netvm", "");
	house_vm(m, QUBE__CLASS_STANDALONE, "alone", NULL);
	house_vm(m, QUBE__CLASS_DISP, "disp", "dvm");
	house_vm(m, QUBE__CLASS_REMOTE, "far", NULL);
	return m;
}

static inline struct qube__model *house(void)
{
	struct qube__model *m = NULL;

	return qube__model_open(&m, NULL) == 0 ? house_fill(m) : NULL;
}

/* The text of a property; "(none)" without value, "(error)" if there is no such property. */
static inline const char *house_get(char out[256], const struct qube__model *m, const char *vm,
				    const char *name)
{
	struct qube__prop_value v;
	int r = vm ? qube__vm_prop_get(&v, qube__model_vm(m, vm), name) :
		     qube__global_get(&v, m, name);
	const char *text = r < 0 ? "(error)" : v.text ? v.text : "(none)";

	strncpy(out, text, 255);
	out[255] = '\0';
	return out;
}

static inline int house_detail(void)
{
	return qube_error_last()->detail;
}

#endif
