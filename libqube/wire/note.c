/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a note may be made of. Everything here reads untrusted bytes. */
#include "wire/note.h"

#include <qube/error.h>

#include <stdint.h>
#include <string.h>

/* The length of the character at p, 0: not UTF-8. */
static size_t take_char(uint32_t *out, const uint8_t *p, size_t left)
{
	size_t n = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
	uint32_t c = n == 1 ? *p : *p & (0xffu >> (n + 1));

	if (!n || n > left || *p > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		c = c << 6 | (p[i] & 63u);
	}
	/* Overlong, surrogates, beyond the end. */
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c >> 11 == 0x1b || c > 0x10ffff)
		return 0;
	*out = c;
	return n;
}

static bool is_safe(uint32_t c)
{
	if (c < 0x20)
		return c == '\t' || c == '\n';
	if (c < 0x7f)
		return true;
	if (c < 0xa0 || c == 0xad) /* controls, the soft hyphen */
		return false;
	/* Direction, zero width, line separators, invisible operators, fillers. */
	if (c == 0x61c || c == 0x180e || c == 0x3164 || c == 0xfeff || c == 0xffa0 ||
	    c - 0x115f <= 1 || c - 0x200b <= 4 || c - 0x2028 <= 6 || c - 0x2060 <= 15)
		return false;
	/* Private use, annotations, characters that are none, tags. */
	return !(c - 0xe000 < 0x1900 || c - 0xfff9 <= 2 || (c & 0xfffe) == 0xfffe ||
		 c - 0xfdd0 < 32 || c >= 0xe0000);
}

int qube__wire_note_clean(char *out, const void *untrusted, size_t len)
{
	const uint8_t *p = untrusted;
	size_t used = 0;

	if (len > QUBE__NOTE_MAX)
		return QUBE_E_LIMIT;
	for (size_t i = 0; i < len;) {
		uint32_t c;
		size_t n = take_char(&c, p + i, len - i);

		if (!n)
			return QUBE_E_INVALID;
		if (out && is_safe(c)) {
			memcpy(out + used, p + i, n);
			used += n;
		} else if (out) {
			out[used++] = '_';
		}
		i += n;
	}
	if (out)
		out[used] = '\0';
	return 0;
}

bool qube__wire_note_is_clean(const void *untrusted, size_t len)
{
	const uint8_t *p = untrusted;

	if (len > QUBE__NOTE_MAX)
		return false;
	for (size_t i = 0; i < len;) {
		uint32_t c;
		size_t n = take_char(&c, p + i, len - i);

		if (!n || !is_safe(c))
			return false;
		i += n;
	}
	return true;
}
