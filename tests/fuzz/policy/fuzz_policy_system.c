/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * System information as JSON. Every qube that gets in is found again by its name. */
#include "policy/system.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qube__policy_system sys = { 0 };

	if (qube__policy_system_from_json(&sys, data, size) < 0 && sys.count)
		abort();
	for (size_t i = 0; i < sys.count; i++) {
		const struct qube__policy_domain *d = sys.list[i];

		if (qube__policy_system_name(&sys, d->name.s, d->name.len) != d ||
		    (d->uuid.s && qube__policy_system_uuid(&sys, d->uuid.s, d->uuid.len) != d))
			abort();
	}
	qube__policy_system_fini(&sys);
	return 0;
}
