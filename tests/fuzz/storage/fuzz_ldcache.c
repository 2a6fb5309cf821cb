/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The linker's cache: what is kept is a cache of which nothing more is lost. */
#include "ldcache.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has(void *user, const char *path)
{
	(void)user;
	return strlen(path) % 2 == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qube__buf once;
	struct qube__buf twice;
	size_t n;
	size_t again;

	qube__buf_init(&once, WORKER_LDCACHE_MAX);
	qube__buf_init(&twice, WORKER_LDCACHE_MAX);
	if (worker_ldcache_keep(&once, &n, data, size, has, NULL) == 0) {
		assert(worker_ldcache_keep(&twice, &again, qube__buf_data(&once), once.len, has,
					   NULL) == 0);
		assert(again == n && twice.len == once.len);
		assert(memcmp(qube__buf_data(&once), qube__buf_data(&twice), once.len) == 0);
	}
	qube__buf_fini(&once);
	qube__buf_fini(&twice);
	return 0;
}
