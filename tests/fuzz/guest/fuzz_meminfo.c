/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The text of /proc/meminfo: a number, or refused without a change. */
/* The assertions are the target's point, in every kind of build. */
#undef NDEBUG
#include "meminfo.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t used = UINT64_MAX;

	if (guest_meminfo_parse(&used, (const char *)data, size) < 0)
		assert(used == UINT64_MAX);
	else
		assert(used <= UINT64_MAX / 4);
	return 0;
}
