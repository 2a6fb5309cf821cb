/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is accepted comes out of the encoder as it went in. */
#include "event/proto.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct qube__job_request req;
	static struct qube__job_reply reply;
	static uint8_t out[QUBE__JOB_MSG_MAX];

	if (qube__job_request_parse(&req, data, size) == 0) {
		int n = qube__job_request_encode(out, sizeof(out), &req);

		assert(n == (int)size);
		assert(memcmp(out, data, size) == 0);
	}
	if (qube__job_reply_parse(&reply, data, size) == 0) {
		int n = qube__job_reply_encode(out, sizeof(out), &reply);

		assert(n == (int)size);
		assert(memcmp(out, data, size) == 0);
	}
	return 0;
}
