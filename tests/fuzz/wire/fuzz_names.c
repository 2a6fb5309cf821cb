/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whatever a check takes is safe where such a name ends up: a file, a line, an argument. */
#include "wire/names.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool (*const files[])(const void *, size_t) = {
		qube__name_is_qube,   qube__name_is_label,   qube__name_is_pool,
		qube__name_is_volume, qube__name_is_service,
	};
	static bool (*const words[])(const void *, size_t) = {
		qube__name_is_tag,	  qube__name_is_feature, qube__name_is_property,
		qube__name_is_uuid,	  qube__name_is_colour,	 qube__name_is_argument,
		qube__name_is_descriptor,
	};
	int64_t number;
	uint32_t rgb;
	bool flag;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!files[i](data, size))
			continue;
		assert(size && size <= 255 && !memchr(data, '/', size) && !memchr(data, 0, size));
		assert(!(size == 1 && data[0] == '.') && !(size == 2 && !memcmp(data, "..", 2)));
		assert(qube__name_is_printable(data, size) && !memchr(data, ' ', size));
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i](data, size))
			assert(qube__name_is_printable(data, size) &&
			       (!size || !memchr(data, ' ', size)));
	assert(qube__name_is_qube(data, size) == !qube__name_qube_fault(data, size));
	if (qube__name_int(&number, data, size) == 0)
		assert(size <= 20 && (number < 0) == (data[0] == '-'));
	if (qube__name_colour(&rgb, data, size) == 0)
		assert(size == 8 && rgb <= 0xffffff);
	if (qube__name_bool(&flag, data, size) == 0)
		assert(size <= 5);
	return 0;
}
