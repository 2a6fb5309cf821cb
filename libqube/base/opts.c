/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Import of size-prefixed option structs. */
#include "base/opts.h"

#include "base/error.h"

#include <stdint.h>
#include <string.h>

int qube__opts_import(void *dst, size_t dst_size, size_t v1_size, const void *src)
{
	uint32_t size = (uint32_t)dst_size;

	if (src) {
		memcpy(&size, src, sizeof(size));
		if (size < v1_size || size > 4096)
			return qube__fail(QUBE_E_INVALID, "options size %u is not plausible", size);
		for (size_t i = dst_size; i < size; i++)
			if (((const unsigned char *)src)[i] != 0)
				return qube__fail(QUBE_E_NOTSUP,
						  "option at byte %zu needs a newer libqube", i);
	}
	memset(dst, 0, dst_size);
	if (src)
		memcpy(dst, src, size < dst_size ? size : dst_size);
	size = (uint32_t)dst_size;
	memcpy(dst, &size, sizeof(size));
	return 0;
}
