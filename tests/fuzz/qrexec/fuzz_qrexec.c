/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Every payload parser of qrexec: first byte picks the message. */
/* The assertions are the target's point, in every kind of build. */
#undef NDEBUG
#include "wire/qrexec.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void trigger(uint32_t type, const uint8_t *p, size_t n)
{
	static uint8_t out[70000];
	struct qube__qrexec_trigger t;
	struct qube__qrexec_trigger again;
	uint32_t version = type == 0x210 ? 2 : type == 0x212 ? 3 : 4;
	int len;

	if (qube__qrexec_trigger_parse(&t, type, p, n) < 0 || t.refusal)
		return;
	assert(qube__qrexec_service_ok(t.service, strlen(t.service)));
	assert(strlen(t.service) == t.service_len);
	assert(qube__qrexec_target_ok(t.target, strlen(t.target)));
	/* What was accepted can be written, and reads the same. */
	len = qube__qrexec_trigger_put(out, sizeof(out), version, t.source, t.target, t.service,
				       (const char *)t.ident);
	assert(len > 0);
	assert(qube__qrexec_trigger_parse(&again, type, out + 8, (size_t)len - 8) == 0);
	assert(strcmp(again.service, t.service) == 0 && strcmp(again.target, t.target) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qube__qrexec_params p;
	uint8_t ident[QUBE__QREXEC_IDENT];
	uint32_t version;
	int32_t code;
	const uint8_t *body = data + 1;
	size_t n = size - 1;

	if (!size)
		return 0;
	switch (data[0] % 8) {
	case 0:
		if (qube__qrexec_hello_parse(&version, body, n) == 0)
			assert(version >= 2 && version <= 4);
		break;
	case 1:
	case 2:
		if (qube__qrexec_params_parse(&p, data[0] % 8 == 1, body, n) == 0)
			assert(strlen(p.command) == p.command_len);
		break;
	case 3:
		if (qube__qrexec_refused_parse(ident, body, n) == 0)
			assert(qube__qrexec_ident_ok(ident));
		break;
	case 4:
		trigger(0x210, body, n);
		break;
	case 5:
		trigger(0x212, body, n);
		break;
	case 6:
		trigger(0x213, body, n);
		break;
	default:
		qube__qrexec_exit_parse(&code, body, n);
	}
	return 0;
}
