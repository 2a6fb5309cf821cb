/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The index of a folder of packages: sorted names, or refused. */
#include "sums.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct worker_sums s = { 0 };
	size_t line;

	if (worker_sums_parse(&s, &line, (const char *)data, size) < 0)
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		assert(worker_sums_name_ok(s.list[i].name, strlen(s.list[i].name)));
		assert(worker_sums_find(&s, s.list[i].name) == &s.list[i]);
	}
	worker_sums_fini(&s);
	return 0;
}
