/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whatever is decoded encodes to the same bytes, and its strings are inside the input. */
#include "driver/local/proto.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

static void check_spec(const uint8_t *data, size_t size)
{
	static uint8_t again[QUBE__BOX_SPEC_MAX];
	struct qube__box_spec spec;
	size_t len;

	if (size > sizeof(again) || qube__box_spec_decode(&spec, data, size) < 0)
		return;
	check(spec.name[0] && strlen(spec.name) < 64 && !strchr(spec.name, '/'));
	check(spec.id_base >= 65536 && spec.root.n_layers <= QUBE__BOX_LAYERS_MAX);
	check(qube__box_spec_encode(again, sizeof(again), &len, &spec) == 0);
	check(len == size && memcmp(again, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[QUBE__BOX_REPLY_MAX];
	struct qube__box_order order;
	struct qube__box_reply reply;
	size_t len;

	check_spec(data, size);
	if (qube__box_order_decode(&order, data, size) == 0) {
		check(qube__box_order_encode(again, sizeof(again), &len, &order) == 0);
		check(len == size && memcmp(again, data, size) == 0);
	}
	if (qube__box_reply_decode(&reply, data, size) == 0) {
		check(qube__box_reply_encode(again, sizeof(again), &len, &reply) == 0);
		check(len == size && memcmp(again, data, size) == 0);
	}
	return 0;
}
