/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A qube's file: what is loaded can be read, listed and written again, and loads as the same. */
#include "model/model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct qube__model *m, const struct qube__vm *vm)
{
	const struct qube__prop *rows[QUBE__PROP_COUNT];
	size_t n = qube__vm_prop_list(rows, vm);
	struct qube__prop_value v;
	struct qube__vm_view view;

	for (size_t i = 0; i < n; i++) {
		qube__vm_prop_read(&v, vm, qube__prop_id(rows[i]));
		assert(!v.text || strlen(v.text) < QUBE__PROP_CANON_MAX + 64 * 1024);
	}
	assert(qube__vm_view(&view, vm) == 0);
	qube__vm_view_fini(&view);
	(void)m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "work", "dom0", "disp7" };
	struct qube__model *m = NULL;
	struct qube__model *again = NULL;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct qube__vm *vm = NULL;
		struct qube__vm *back = NULL;
		char *text = NULL;
		char *second = NULL;
		size_t len;

		assert(qube__model_open(&m, NULL) == 0 && qube__model_open(&again, NULL) == 0);
		if (qube__store_vm_decode(&vm, m, names[i], (const char *)data, size) == 0) {
			use(m, vm);
			assert(qube__store_vm_encode(&text, &len, vm) == 0);
			assert(qube__store_vm_decode(&back, again, names[i], text, len) == 0);
			assert(qube__store_vm_encode(&second, &len, back) == 0);
			assert(strcmp(text, second) == 0);
			free(text);
			free(second);
		}
		qube__model_close(m);
		qube__model_close(again);
	}
	return 0;
}
