/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * UTF-8, and which of its characters may reach a terminal. */
#include "utf8.h"

size_t cli_utf8_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	if (first >= 0xf0 && first <= 0xf4)
		return 4;
	return 0;
}

bool cli_utf8_decode(uint32_t *out, const unsigned char *untrusted, size_t len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	static const unsigned char mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t c;

	if (len < 1 || len > 4 || cli_utf8_length(untrusted[0]) != len)
		return false;
	c = untrusted[0] & mask[len];
	for (size_t i = 1; i < len; i++) {
		if ((untrusted[i] & 0xc0) != 0x80)
			return false;
		c = c << 6 | (untrusted[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return false;
	*out = c;
	return true;
}

bool cli_utf8_printable(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} bad[] = {
		{ 0x0000, 0x001f },   { 0x007f, 0x009f }, /* controls */
		{ 0x061c, 0x061c },			  /* Arabic letter mark */
		{ 0x200b, 0x200f },			  /* zero width, directional marks */
		{ 0x2028, 0x202e },			  /* separators, embeddings, overrides */
		{ 0x2060, 0x206f },			  /* invisible operators, isolates */
		{ 0xfeff, 0xfeff },   { 0xfff9, 0xfffb }, /* byte order mark, annotations */
		{ 0xe0000, 0xe0fff },			  /* tags */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (c >= bad[i].first && c <= bad[i].last)
			return false;
	return c <= 0x10ffff;
}

void cli_utf8_write(FILE *f, const char *untrusted, size_t len)
{
	const unsigned char *p = (const unsigned char *)untrusted;

	for (size_t i = 0; i < len;) {
		size_t n = cli_utf8_length(p[i]);
		uint32_t c;
		bool whole = n && n <= len - i && cli_utf8_decode(&c, p + i, n);

		if (whole && (cli_utf8_printable(c) || c == '\t' || c == '\n'))
			fwrite(p + i, 1, n, f);
		else
			putc('_', f);
		i += whole ? n : 1;
	}
}
