/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * modules.dep, and behind a line "--" modules.builtin: paths that stay below their directory, none
 * twice, or refused. */
/* The assertions are the target's point, in every kind of build. */
#undef NDEBUG
#include "moddep.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const wanted[] = { "a", "xen-blkfront", "ext4" };
	static struct moddep_list list;
	const char *text = (const char *)data;
	const char *cut = memmem(text, size, "\n--\n", 4);
	struct moddep_texts t = { .untrusted_dep = text, .dep_len = size };

	if (cut) {
		t.dep_len = (size_t)(cut - text) + 1;
		t.untrusted_builtin = cut + 4;
		t.builtin_len = size - t.dep_len - 3;
	}
	list.n = 0;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (moddep_add(&list, &t, wanted[i]) < 0)
			break;
	assert(list.n <= MODDEP_LIST_MAX);
	for (size_t i = 0; i < list.n; i++) {
		const char *path = list.list[i].path;
		char file[MODDEP_PATH_MAX + 1];

		assert(moddep_path_ok(path, strlen(path)));
		assert(path[0] != '/' && path[0] != '.' && !strstr(path, "/."));
		moddep_file(file, path);
		assert(!strchr(file, '/') && strlen(file) > 3);
		for (size_t k = 0; k < i; k++)
			assert(strcmp(path, list.list[k].path) != 0);
	}
	return 0;
}
