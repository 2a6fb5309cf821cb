/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A stream of files from a hostile qube: whatever is taken as a name or as a link stays below the
 * directory that was entered, and what is parsed says the same when it is encoded again. */
#include "wire/copy.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How far up a target leads at most, one part after the other. */
static void check_link(const char *target, size_t len, uint32_t depth)
{
	long level = depth;

	assert(len && target[0] != '/');
	for (size_t at = 0, n; at < len; at += n + 1) {
		for (n = 0; at + n < len && target[at + n] != '/'; n++)
			assert(target[at + n]);
		if (n == 2 && !memcmp(target + at, "..", 2))
			level--;
		assert(level >= 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t depth = 0;
	size_t at = 0;

	while (size - at >= QUBE__COPY_HEAD) {
		uint8_t again[QUBE__COPY_HEAD];
		struct qube__wire_copy h;
		const char *name;

		if (qube__wire_copy_parse(&h, data + at) < 0)
			return 0;
		qube__wire_copy_encode(again, &h);
		assert(!memcmp(again, data + at, sizeof(again)));
		at += QUBE__COPY_HEAD;
		name = (const char *)data + at;
		if (h.name_len > size - at)
			return 0;
		at += h.name_len;
		assert(h.name_len <= QUBE__COPY_NAME_MAX && h.mode <= 0777);
		if (h.name_len && qube__wire_copy_name(name, h.name_len) < 0)
			return 0;
		assert(!memchr(name, '/', h.name_len) && !memchr(name, 0, h.name_len));
		if (h.type == QUBE__COPY_DIR)
			depth++;
		if (h.type == QUBE__COPY_LEAVE && depth)
			depth--;
		if (h.type != QUBE__COPY_FILE && h.type != QUBE__COPY_LINK)
			continue;
		if (h.size > size - at)
			return 0;
		if (h.type == QUBE__COPY_LINK &&
		    qube__wire_copy_link((const char *)data + at, h.size, depth) == 0)
			check_link((const char *)data + at, h.size, depth);
		at += h.size;
	}
	return 0;
}
