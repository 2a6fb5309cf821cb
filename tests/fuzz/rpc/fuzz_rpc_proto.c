/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The broker's protocol: what is accepted encodes to what was read. */
/* The assertions are the target's point, in every kind of build. */
#undef NDEBUG
#include "rpc/proto.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[QUBE__RPC_MSG_MAX];
	struct qube__rpc_msg m;

	for (size_t fds = 0; fds <= 3; fds++) {
		int n;

		if (qube__rpc_parse(&m, data, size, fds) < 0)
			continue;
		assert(qube__rpc_fds(&m) == fds);
		n = qube__rpc_encode(out, sizeof(out), &m);
		assert(n == (int)size && memcmp(out, data, size) == 0);
	}
	return 0;
}
