/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a name may be made of. Everything here reads untrusted bytes. */
#include "wire/names.h"

#include <qube/error.h>

#include <string.h>

enum {
	LOWER = 1,
	UPPER = 2,
	DIGIT = 4,
	USCORE = 8,
	DASH = 16,
	DOT = 32,
	PLUS = 64,
	ALNUM = LOWER | UPPER | DIGIT,
};

/* ASCII by value: isalnum() and its like depend on the locale. */
static uint32_t kind_of(uint8_t c)
{
	if (c >= 'a' && c <= 'z')
		return LOWER;
	if (c >= 'A' && c <= 'Z')
		return UPPER;
	if (c >= '0' && c <= '9')
		return DIGIT;
	switch (c) {
	case '_':
		return USCORE;
	case '-':
		return DASH;
	case '.':
		return DOT;
	case '+':
		return PLUS;
	default:
		return 0;
	}
}

static bool all_of(const void *untrusted, size_t len, size_t max, uint32_t alphabet)
{
	const uint8_t *p = untrusted;

	if (!len || len > max)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!(kind_of(p[i]) & alphabet))
			return false;
	return true;
}

static bool is_text(const void *untrusted, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(untrusted, text, len) == 0;
}

static bool is_dots(const void *untrusted, size_t len)
{
	return is_text(untrusted, len, ".") || is_text(untrusted, len, "..");
}

const char *qube__name_qube_fault(const void *untrusted, size_t len)
{
	const uint8_t *p = untrusted;

	if (!len)
		return "a name must not be empty";
	if (len > QUBE__NAME_MAX)
		return "a name has at most 31 characters";
	if (!(kind_of(p[0]) & (LOWER | UPPER)))
		return "a name starts with a letter";
	if (!all_of(p, len, QUBE__NAME_MAX, ALNUM | USCORE | DASH | DOT))
		return "a name has only letters, digits, '_', '-' and '.'";
	if (is_text(p, len, "none") || is_text(p, len, "default") || is_text(p, len, "Domain-0"))
		return "this name is reserved";
	/* Device models of the Xen toolstack are called so. */
	if (len >= 3 && memcmp(p + len - 3, "-dm", 3) == 0)
		return "a name must not end in \"-dm\"";
	return NULL;
}

bool qube__name_is_qube(const void *untrusted, size_t len)
{
	return !qube__name_qube_fault(untrusted, len);
}

bool qube__name_is_uuid(const void *untrusted, size_t len)
{
	const uint8_t *p = untrusted;

	if (len != QUBE__UUID_LEN)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (p[i] != '-')
				return false;
		} else if (!(kind_of(p[i]) & DIGIT) && !(p[i] >= 'a' && p[i] <= 'f')) {
			return false;
		}
	}
	return true;
}

bool qube__name_is_label(const void *untrusted, size_t len)
{
	return all_of(untrusted, len, QUBE__LABEL_MAX, ALNUM | USCORE | DASH | DOT) &&
	       !all_of(untrusted, len, QUBE__LABEL_MAX, DIGIT) && !is_dots(untrusted, len);
}

int qube__name_colour(uint32_t *out, const void *untrusted, size_t len)
{
	const uint8_t *p = untrusted;
	uint32_t v = 0;

	if (len != 8 || p[0] != '0' || p[1] != 'x')
		return QUBE_E_INVALID;
	for (size_t i = 2; i < len; i++) {
		uint32_t c = p[i];

		if (kind_of(p[i]) & DIGIT)
			v = v << 4 | (c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			v = v << 4 | ((c | 0x20) - 'a' + 10);
		else
			return QUBE_E_INVALID;
	}
	*out = v;
	return 0;
}

bool qube__name_is_colour(const void *untrusted, size_t len)
{
	uint32_t unused;

	return qube__name_colour(&unused, untrusted, len) == 0;
}

bool qube__name_is_tag(const void *untrusted, size_t len)
{
	return all_of(untrusted, len, QUBE__TAG_MAX, ALNUM | USCORE | DASH);
}

bool qube__name_is_feature(const void *untrusted, size_t len)
{
	return all_of(untrusted, len, QUBE__FEATURE_MAX, ALNUM | USCORE | DASH | DOT);
}

bool qube__name_is_feature_value(const void *untrusted, size_t len)
{
	return len <= QUBE__FEATURE_VALUE_MAX && qube__name_is_printable(untrusted, len);
}

bool qube__name_is_property(const void *untrusted, size_t len)
{
	return all_of(untrusted, len, QUBE__PROPERTY_MAX, LOWER | DIGIT | USCORE);
}

bool qube__name_is_pool(const void *untrusted, size_t len)
{
	return all_of(untrusted, len, QUBE__POOL_MAX, ALNUM | USCORE | DASH | DOT) &&
	       !is_dots(untrusted, len);
}

bool qube__name_is_volume(const void *untrusted, size_t len)
{
	return all_of(untrusted, len, QUBE__VOLUME_MAX, ALNUM | USCORE | DASH | DOT) &&
	       !is_dots(untrusted, len);
}

bool qube__name_is_service(const void *untrusted, size_t len)
{
	return all_of(untrusted, len, QUBE__SERVICE_MAX, ALNUM | USCORE | DASH | DOT) &&
	       !is_dots(untrusted, len);
}

bool qube__name_is_argument(const void *untrusted, size_t len)
{
	return !len ||
	       all_of(untrusted, len, QUBE__ARGUMENT_MAX, ALNUM | USCORE | DASH | DOT | PLUS);
}

bool qube__name_is_descriptor(const void *untrusted, size_t len)
{
	const uint8_t *p = untrusted;
	const uint8_t *plus = len ? memchr(p, '+', len) : NULL;
	size_t name_len = plus ? (size_t)(plus - p) : len;

	if (len > QUBE__ARGUMENT_MAX || !qube__name_is_service(p, name_len))
		return false;
	return !plus || qube__name_is_argument(plus + 1, len - name_len - 1);
}

bool qube__name_is_printable(const void *untrusted, size_t len)
{
	const uint8_t *p = untrusted;

	for (size_t i = 0; i < len; i++)
		if (p[i] < 0x20 || p[i] > 0x7e)
			return false;
	return true;
}

/* a is lower case. */
static bool is_word(const uint8_t *p, size_t len, const char *a)
{
	if (len != strlen(a))
		return false;
	for (size_t i = 0; i < len; i++)
		if ((p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i]) != a[i])
			return false;
	return true;
}

int qube__name_bool(bool *out, const void *untrusted, size_t len)
{
	static const char *const words[2][4] = {
		{ "0", "no", "false", "off" },
		{ "1", "yes", "true", "on" },
	};

	for (size_t v = 0; v < 2; v++) {
		for (size_t i = 0; i < 4; i++) {
			if (is_word(untrusted, len, words[v][i])) {
				*out = v == 1;
				return 0;
			}
		}
	}
	return QUBE_E_INVALID;
}

int qube__name_int(int64_t *out, const void *untrusted, size_t len)
{
	const uint8_t *p = untrusted;
	bool negative = len && p[0] == '-';
	size_t i = negative ? 1 : 0;
	int64_t v = 0;

	if (i == len || len > 20 || (p[i] == '0' && len > 1))
		return QUBE_E_INVALID;
	/* Summed below zero, where there is room for INT64_MIN. */
	for (; i < len; i++) {
		if (!(kind_of(p[i]) & DIGIT) || __builtin_mul_overflow(v, (int64_t)10, &v) ||
		    __builtin_sub_overflow(v, (int64_t)(p[i] - '0'), &v))
			return QUBE_E_INVALID;
	}
	if (!negative && v == INT64_MIN)
		return QUBE_E_INVALID;
	*out = negative ? v : -v;
	return 0;
}
