/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A request that is taken must survive encoding and parsing again. */
#include "wire/admin.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct qube__wire_admin_request a;
	static struct qube__wire_admin_request b;
	const char *uuid;
	qube__autobuf out;

	qube__buf_init(&out, QUBE__ADMIN_REQUEST_MAX + 16);
	if (qube__wire_admin_request_parse(&a, data, size) < 0)
		return 0;
	assert(a.payload_len <= size && a.payload + a.payload_len == data + size);
	assert(qube__name_is_service(a.method, strlen(a.method)));
	assert(qube__name_is_argument(a.arg, strlen(a.arg)));
	if (qube__wire_admin_peer(&uuid, a.source) == 0)
		assert(uuid ? qube__name_is_uuid(uuid, strlen(uuid)) :
			      qube__name_is_qube(a.source, strlen(a.source)));
	/* "+" and "name" may make it longer than what came in. */
	if (qube__wire_admin_request_encode(&out, a.method, a.arg, a.source, a.dest, a.payload,
					    a.payload_len) < 0) {
		assert(size + 8 > QUBE__ADMIN_REQUEST_MAX);
		return 0;
	}
	assert(qube__wire_admin_request_parse(&b, qube__buf_data(&out), out.len) == 0);
	assert(strcmp(a.method, b.method) == 0 && strcmp(a.arg, b.arg) == 0);
	assert(strcmp(a.source, b.source) == 0 && strcmp(a.dest, b.dest) == 0);
	assert(a.payload_len == b.payload_len);
	assert(memcmp(a.payload, b.payload, a.payload_len) == 0);
	return 0;
}
