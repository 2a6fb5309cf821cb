/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The strict reading of JSON that stands in front of the parser. The text is untrusted. No memory
 * is allocated and nothing recurses. */
#include "wire/json_scan.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 63 };

void qube__json_mix(uint64_t *sum, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	/* FNV-1a */
	for (size_t i = 0; i < n; i++)
		*sum = (*sum ^ p[i]) * 1099511628211u;
}

void qube__json_mix_end(uint64_t *sum)
{
	static const uint8_t end = 0xff;

	qube__json_mix(sum, &end, 1);
}

/* Length of the well-formed UTF-8 sequence at p, 0 if there is none (RFC 3629, no surrogates). */
static size_t utf8_len(const uint8_t *p, const uint8_t *end)
{
	size_t n;
	uint8_t low = 0x80;
	uint8_t high = 0xbf;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if ((size_t)(end - p) < n)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return n;
}

bool qube__json_utf8_ok(const char *s)
{
	const uint8_t *p = (const uint8_t *)s;
	const uint8_t *end = p + strlen(s);

	while (p < end) {
		size_t n = utf8_len(p, end);

		if (!n)
			return false;
		p += n;
	}
	return true;
}

static void skip_space(struct qube__json_scan *s)
{
	for (; s->p < s->end; s->p++) {
		if (*s->p == '\n')
			s->line++;
		else if (*s->p != ' ' && *s->p != '\t' && *s->p != '\r')
			break;
	}
}

static bool take(struct qube__json_scan *s, uint8_t c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* The four digits of \uXXXX; -1 if they are not there. */
static int32_t scan_hex4(struct qube__json_scan *s)
{
	int32_t v = 0;

	if (s->end - s->p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		uint8_t c = *s->p++;

		if (c >= '0' && c <= '9')
			v = v * 16 + (c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			v = v * 16 + ((c | 32) - 'a' + 10);
		else
			return -1;
	}
	return v;
}

static void mix_code_point(struct qube__json_scan *s, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)v };
	size_t n = v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;

	for (size_t i = n; n > 1 && i-- > 1; v >>= 6)
		b[i] = (uint8_t)(0x80 | (v & 0x3f));
	if (n > 1)
		b[0] = (uint8_t)((0xf00 >> n & 0xff) | v);
	qube__json_mix(&s->sum, b, n);
}

static bool scan_escape(struct qube__json_scan *s, bool is_key)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meant[] = "\"\\/\b\f\n\r\t";
	const char *at;
	int32_t v;
	int32_t low;

	if (s->p == s->end || !*s->p)
		return false;
	if (*s->p != 'u') {
		at = strchr(letters, *s->p++);
		if (at)
			qube__json_mix(&s->sum, &meant[at - letters], 1);
		return at;
	}
	s->p++;
	v = scan_hex4(s);
	if (v < 0 || (v == 0 && is_key) || (v >= 0xdc00 && v <= 0xdfff))
		return false;
	if (v >= 0xd800 && v <= 0xdbff) {
		if (!take(s, '\\') || !take(s, 'u'))
			return false;
		low = scan_hex4(s);
		if (low < 0xdc00 || low > 0xdfff)
			return false;
		v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
	}
	mix_code_point(s, (uint32_t)v);
	return true;
}

static bool scan_string(struct qube__json_scan *s, bool is_key)
{
	if (!take(s, '"'))
		return false;
	while (s->p < s->end) {
		uint8_t c = *s->p;
		size_t n;

		if (c == '"') {
			s->p++;
			qube__json_mix_end(&s->sum);
			return true;
		}
		if (c < 0x20)
			return false;
		if (c == '\\') {
			s->p++;
			if (!scan_escape(s, is_key))
				return false;
			continue;
		}
		n = utf8_len(s->p, s->end);
		if (!n)
			return false;
		qube__json_mix(&s->sum, s->p, n);
		s->p += n;
	}
	return false;
}

static bool scan_digits(struct qube__json_scan *s)
{
	const uint8_t *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > from;
}

/* As jansson reads it: strtod() wants the locale's point. */
static void mix_real(uint64_t *sum, const uint8_t *text, size_t n)
{
	char copy[NUMBER_MAX + 1];
	char *point;
	double v;

	memcpy(copy, text, n);
	copy[n] = '\0';
	point = strchr(copy, '.');
	if (point)
		*point = *localeconv()->decimal_point;
	v = strtod(copy, NULL);
	qube__json_mix(sum, &v, sizeof(v));
}

static void mix_integer(uint64_t *sum, const uint8_t *text, size_t n)
{
	uint64_t v = 0;

	/* Wraps where jansson will refuse. */
	for (size_t i = text[0] == '-'; i < n; i++)
		v = v * 10 + (uint64_t)(text[i] - '0');
	if (text[0] == '-')
		v = -v;
	qube__json_mix(sum, &v, sizeof(v));
}

static bool scan_number(struct qube__json_scan *s)
{
	const uint8_t *from = s->p;
	bool real = false;

	take(s, '-');
	if (!take(s, '0') && !scan_digits(s))
		return false;
	if (take(s, '.')) {
		real = true;
		if (!scan_digits(s))
			return false;
	}
	if (s->p < s->end && (*s->p | 32) == 'e') {
		real = true;
		s->p++;
		if (!take(s, '+'))
			take(s, '-');
		if (!scan_digits(s))
			return false;
	}
	if (s->p - from > NUMBER_MAX)
		return false;
	if (real)
		mix_real(&s->sum, from, (size_t)(s->p - from));
	else
		mix_integer(&s->sum, from, (size_t)(s->p - from));
	return true;
}

static bool scan_word(struct qube__json_scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return false;
	s->p += n;
	return true;
}

static bool scan_scalar(struct qube__json_scan *s)
{
	if (s->p == s->end)
		return false;
	switch (*s->p) {
	case '"':
		return scan_string(s, false);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		return scan_number(s);
	}
}

static bool scan_key(struct qube__json_scan *s)
{
	skip_space(s);
	if (!scan_string(s, true))
		return false;
	skip_space(s);
	return take(s, ':');
}

/* After a value: closes what ends here, and stands before the next value. */
static bool scan_after(struct qube__json_scan *s, const bool *is_object, size_t *depth)
{
	while (*depth) {
		bool object = is_object[*depth - 1];

		skip_space(s);
		if (take(s, ','))
			return object ? scan_key(s) : true;
		if (!take(s, object ? '}' : ']'))
			return false;
		(*depth)--;
	}
	return true;
}

/* Strict RFC 8259, one object or array, at most QUBE__JSON_DEPTH_MAX deep; no recursion. */
bool qube__json_scan_document(struct qube__json_scan *s)
{
	bool is_object[QUBE__JSON_DEPTH_MAX];
	size_t depth = 0;

	do {
		bool object;

		skip_space(s);
		object = take(s, '{');
		if (!object && !take(s, '[')) {
			if (!depth || !scan_scalar(s))
				return false;
		} else {
			if (depth == QUBE__JSON_DEPTH_MAX)
				return false;
			is_object[depth++] = object;
			skip_space(s);
			if (!take(s, object ? '}' : ']')) {
				if (object && !scan_key(s))
					return false;
				continue;
			}
			depth--;
		}
		if (!scan_after(s, is_object, &depth))
			return false;
	} while (depth);
	skip_space(s);
	return s->p == s->end;
}
