/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The xen driver's protocol with its helper: what is accepted encodes to what was read. */
/* The assertions are the target's point, in every kind of build. */
#undef NDEBUG
#include "driver/xen/proto.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[QUBE__XL_PACKET_MAX];
	struct qube__xl_msg m;
	int n;

	if (qube__xl_decode(&m, data, size) < 0)
		return 0;
	n = qube__xl_encode(out, sizeof(out), &m);
	assert(n == (int)size && memcmp(out, data, size) == 0);
	return 0;
}
