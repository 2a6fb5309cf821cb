/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * JSON over jansson. The text is untrusted: a strict scan of our own checks grammar, UTF-8 and depth
 * before jansson sees a byte. jansson reports a failed allocation in most places as a syntax error;
 * after the scan a syntax error cannot be one, so the two can be told apart. In its lexer it drops the
 * bytes of a string or number for which there was no memory and goes on: so the scan sums up every
 * value that it passes, and the parsed document must have the same sum. */
#include "wire/json.h"

#include <qube/error.h>

#include <jansson.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 63 };

struct scan {
	const uint8_t *p;
	const uint8_t *end;
	uint32_t line;
	uint64_t sum;	/* of all keys and values in their order */
};

/* FNV-1a */
static void mix(uint64_t *sum, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		*sum = (*sum ^ p[i]) * 1099511628211u;
}

/* Ends a text: no UTF-8 has this byte. */
static void mix_end(uint64_t *sum)
{
	static const uint8_t end = 0xff;

	mix(sum, &end, 1);
}

static json_t *jt(const struct qube__json *j)
{
	return (json_t *)(uintptr_t)j;
}

static struct qube__json *qj(json_t *j)
{
	return (struct qube__json *)j;
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

static bool utf8_ok(const char *s)
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

static void skip_space(struct scan *s)
{
	for (; s->p < s->end; s->p++) {
		if (*s->p == '\n')
			s->line++;
		else if (*s->p != ' ' && *s->p != '\t' && *s->p != '\r')
			break;
	}
}

static bool take(struct scan *s, uint8_t c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* The four digits of \uXXXX; -1 if they are not there. */
static int32_t scan_hex4(struct scan *s)
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

static void mix_code_point(struct scan *s, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)v };
	size_t n = v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;

	for (size_t i = n; n > 1 && i-- > 1; v >>= 6)
		b[i] = (uint8_t)(0x80 | (v & 0x3f));
	if (n > 1)
		b[0] = (uint8_t)((0xf00 >> n & 0xff) | v);
	mix(&s->sum, b, n);
}

static bool scan_escape(struct scan *s, bool is_key)
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
			mix(&s->sum, &meant[at - letters], 1);
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

static bool scan_string(struct scan *s, bool is_key)
{
	if (!take(s, '"'))
		return false;
	while (s->p < s->end) {
		uint8_t c = *s->p;
		size_t n;

		if (c == '"') {
			s->p++;
			mix_end(&s->sum);
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
		mix(&s->sum, s->p, n);
		s->p += n;
	}
	return false;
}

static bool scan_digits(struct scan *s)
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
	mix(sum, &v, sizeof(v));
}

static void mix_integer(uint64_t *sum, const uint8_t *text, size_t n)
{
	uint64_t v = 0;

	/* Wraps where jansson will refuse. */
	for (size_t i = text[0] == '-'; i < n; i++)
		v = v * 10 + (uint64_t)(text[i] - '0');
	if (text[0] == '-')
		v = -v;
	mix(sum, &v, sizeof(v));
}

static bool scan_number(struct scan *s)
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

static bool scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return false;
	s->p += n;
	return true;
}

static bool scan_scalar(struct scan *s)
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

static bool scan_key(struct scan *s)
{
	skip_space(s);
	if (!scan_string(s, true))
		return false;
	skip_space(s);
	return take(s, ':');
}

/* After a value: closes what ends here, and stands before the next value. */
static bool scan_after(struct scan *s, const bool *is_object, size_t *depth)
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
static bool scan_document(struct scan *s)
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

/* The same sum over what jansson made of it; no deeper than QUBE__JSON_DEPTH_MAX. */
static void sum_parsed(uint64_t *sum, json_t *j)
{
	const char *key;
	json_t *value;
	json_int_t integer;
	double real;
	size_t i;

	switch (json_typeof(j)) {
	case JSON_OBJECT:
		json_object_foreach(j, key, value) {
			mix(sum, key, strlen(key));
			mix_end(sum);
			sum_parsed(sum, value);
		}
		break;
	case JSON_ARRAY:
		json_array_foreach(j, i, value)
			sum_parsed(sum, value);
		break;
	case JSON_STRING:
		mix(sum, json_string_value(j), json_string_length(j));
		mix_end(sum);
		break;
	case JSON_INTEGER:
		integer = json_integer_value(j);
		mix(sum, &integer, sizeof(integer));
		break;
	case JSON_REAL:
		real = json_real_value(j);
		mix(sum, &real, sizeof(real));
		break;
	default:
		break;
	}
}

int qube__json_parse(struct qube__json **out, const void *untrusted, size_t len, size_t max,
		     uint32_t *line)
{
	struct scan s = { .p = untrusted, .end = (const uint8_t *)untrusted + len, .line = 1 };
	json_error_t err;
	uint64_t sum = 0;
	json_t *j;

	if (len > max)
		return QUBE_E_LIMIT;
	if (!len || !scan_document(&s)) {
		if (line)
			*line = s.line;
		return QUBE_E_PROTO;
	}
	j = json_loadb(untrusted, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &err);
	if (!j) {
		enum json_error_code code = json_error_code(&err);

		if (code != json_error_duplicate_key && code != json_error_numeric_overflow)
			return QUBE_E_NOMEM;
		if (line)
			*line = err.line > 0 ? (uint32_t)err.line : 1;
		return QUBE_E_PROTO;
	}
	sum_parsed(&sum, j);
	if (sum != s.sum) {
		json_decref(j);
		return QUBE_E_NOMEM;
	}
	*out = qj(j);
	return 0;
}

void qube__json_free(struct qube__json *j)
{
	json_decref(jt(j));
}

enum qube__json_type qube__json_type(const struct qube__json *j)
{
	switch (json_typeof(jt(j))) {
	case JSON_OBJECT:
		return QUBE__JSON_OBJECT;
	case JSON_ARRAY:
		return QUBE__JSON_ARRAY;
	case JSON_STRING:
		return QUBE__JSON_STRING;
	case JSON_INTEGER:
		return QUBE__JSON_INT;
	case JSON_REAL:
		return QUBE__JSON_REAL;
	case JSON_TRUE:
	case JSON_FALSE:
		return QUBE__JSON_BOOL;
	default:
		return QUBE__JSON_NULL;
	}
}

size_t qube__json_size(const struct qube__json *j)
{
	return json_is_array(jt(j)) ? json_array_size(jt(j)) : json_object_size(jt(j));
}

const struct qube__json *qube__json_at(const struct qube__json *array, size_t i)
{
	return qj(json_array_get(jt(array), i));
}

const struct qube__json *qube__json_get(const struct qube__json *object, const char *key)
{
	return qj(json_object_get(jt(object), key));
}

int qube__json_string(const struct qube__json *j, const char **out, size_t *len)
{
	const char *s = json_string_value(jt(j));
	size_t n;

	if (!s)
		return QUBE_E_INVALID;
	n = json_string_length(jt(j));
	if (!len && strlen(s) != n)
		return QUBE_E_INVALID;
	*out = s;
	if (len)
		*len = n;
	return 0;
}

int qube__json_int(const struct qube__json *j, int64_t *out)
{
	if (!json_is_integer(jt(j)))
		return QUBE_E_INVALID;
	*out = json_integer_value(jt(j));
	return 0;
}

int qube__json_bool(const struct qube__json *j, bool *out)
{
	if (!json_is_boolean(jt(j)))
		return QUBE_E_INVALID;
	*out = json_is_true(jt(j));
	return 0;
}

int qube__json_get_string(const struct qube__json *object, const char *key, const char **out)
{
	const struct qube__json *j = qube__json_get(object, key);

	return j ? qube__json_string(j, out, NULL) : QUBE_E_NOENT;
}

int qube__json_get_int(const struct qube__json *object, const char *key, int64_t *out, int64_t min,
		       int64_t max)
{
	const struct qube__json *j = qube__json_get(object, key);
	int64_t v;
	int r;

	if (!j)
		return QUBE_E_NOENT;
	r = qube__json_int(j, &v);
	if (r < 0)
		return r;
	if (v < min || v > max)
		return QUBE_E_INVALID;
	*out = v;
	return 0;
}

int qube__json_get_bool(const struct qube__json *object, const char *key, bool *out)
{
	const struct qube__json *j = qube__json_get(object, key);

	return j ? qube__json_bool(j, out) : QUBE_E_NOENT;
}

static int get_typed(const struct qube__json *object, const char *key, enum qube__json_type type,
		     const struct qube__json **out)
{
	const struct qube__json *j = qube__json_get(object, key);

	if (!j)
		return QUBE_E_NOENT;
	if (qube__json_type(j) != type)
		return QUBE_E_INVALID;
	*out = j;
	return 0;
}

int qube__json_get_array(const struct qube__json *object, const char *key,
			 const struct qube__json **out)
{
	return get_typed(object, key, QUBE__JSON_ARRAY, out);
}

int qube__json_get_object(const struct qube__json *object, const char *key,
			  const struct qube__json **out)
{
	return get_typed(object, key, QUBE__JSON_OBJECT, out);
}

const void *qube__json_next(const struct qube__json *object, const void *it, const char **key,
			    const struct qube__json **value)
{
	void *at = (void *)(uintptr_t)it;

	at = at ? json_object_iter_next(jt(object), at) : json_object_iter(jt(object));
	if (at) {
		*key = json_object_iter_key(at);
		*value = qj(json_object_iter_value(at));
	}
	return at;
}

int qube__json_new_object(struct qube__json **out)
{
	json_t *j = json_object();

	if (!j)
		return QUBE_E_NOMEM;
	*out = qj(j);
	return 0;
}

int qube__json_new_array(struct qube__json **out)
{
	json_t *j = json_array();

	if (!j)
		return QUBE_E_NOMEM;
	*out = qj(j);
	return 0;
}

int qube__json_set(struct qube__json *object, const char *key, struct qube__json *child)
{
	if (!child)
		return QUBE_E_NOMEM;
	if (!utf8_ok(key)) {
		qube__json_free(child);
		return QUBE_E_INVALID;
	}
	return json_object_set_new_nocheck(jt(object), key, jt(child)) < 0 ? QUBE_E_NOMEM : 0;
}

int qube__json_append(struct qube__json *array, struct qube__json *child)
{
	if (!child)
		return QUBE_E_NOMEM;
	return json_array_append_new(jt(array), jt(child)) < 0 ? QUBE_E_NOMEM : 0;
}

int qube__json_set_string(struct qube__json *object, const char *key, const char *value)
{
	if (!utf8_ok(value))
		return QUBE_E_INVALID;
	return qube__json_set(object, key, qj(json_string_nocheck(value)));
}

int qube__json_set_int(struct qube__json *object, const char *key, int64_t value)
{
	return qube__json_set(object, key, qj(json_integer(value)));
}

int qube__json_set_bool(struct qube__json *object, const char *key, bool value)
{
	return qube__json_set(object, key, qj(json_boolean(value)));
}

int qube__json_set_null(struct qube__json *object, const char *key)
{
	return qube__json_set(object, key, qj(json_null()));
}

int qube__json_append_string(struct qube__json *array, const char *value)
{
	if (!utf8_ok(value))
		return QUBE_E_INVALID;
	return qube__json_append(array, qj(json_string_nocheck(value)));
}

int qube__json_append_int(struct qube__json *array, int64_t value)
{
	return qube__json_append(array, qj(json_integer(value)));
}

int qube__json_dump(char **out, size_t *len, const struct qube__json *j, uint32_t flags)
{
	size_t how = flags & QUBE__JSON_INDENT ? JSON_INDENT(1) : JSON_COMPACT;
	char *text;
	char *grown;
	size_t n;

	if (flags & QUBE__JSON_SORTED)
		how |= JSON_SORT_KEYS;
	text = json_dumps(jt(j), how);
	if (!text)
		return QUBE_E_NOMEM;
	n = strlen(text);
	if (flags & QUBE__JSON_INDENT) {
		grown = realloc(text, n + 2);
		if (!grown) {
			free(text);
			return QUBE_E_NOMEM;
		}
		text = grown;
		text[n++] = '\n';
		text[n] = '\0';
	}
	*out = text;
	if (len)
		*len = n;
	return 0;
}
