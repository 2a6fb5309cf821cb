/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What of its memory a guest uses, see meminfo.h. */
#include "meminfo.h"

#include <qube/error.h>

#include <string.h>

enum field { TOTAL, FREE, BUFFERS, CACHED, SWAP_TOTAL, SWAP_FREE, FIELDS };

static const char *const names[FIELDS] = {
	"MemTotal:", "MemFree:", "Buffers:", "Cached:", "SwapTotal:", "SwapFree:",
};

/* Digits, then " kB" and the end of the line. */
static bool take_kib(uint64_t *out, const char *p, const char *end)
{
	uint64_t n = 0;
	const char *digits;

	while (p < end && *p == ' ')
		p++;
	digits = p;
	for (; p < end && *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return false;
	if (p == digits || end - p != 3 || memcmp(p, " kB", 3) != 0 || n > UINT64_MAX / 8)
		return false;
	*out = n;
	return true;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

int guest_meminfo_parse(uint64_t *out, const char *text, size_t len)
{
	uint64_t value[FIELDS] = { 0 };
	unsigned int have = 0;
	const char *end = text + len;

	while (text < end) {
		const char *line = text;
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		if (!stop)
			return QUBE_E_PROTO;
		text = stop + 1;
		for (int i = 0; i < FIELDS; i++) {
			size_t n = strlen(names[i]);

			if ((size_t)(stop - line) < n || memcmp(line, names[i], n) != 0)
				continue;
			if ((have & (1u << i)) || !take_kib(&value[i], line + n, stop))
				return QUBE_E_PROTO;
			have |= 1u << i;
		}
	}
	if (have != (1u << FIELDS) - 1)
		return QUBE_E_PROTO;
	*out = less(value[TOTAL], value[FREE] + value[BUFFERS] + value[CACHED]) +
	       less(value[SWAP_TOTAL], value[SWAP_FREE]);
	return 0;
}

bool guest_meminfo_differs(uint64_t told, uint64_t now)
{
	uint64_t by = told > now ? told - now : now - told;

	return by >= 1024 && by > told / 50;
}
