/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * JSON over jansson. The text is untrusted: a strict scan of our own (json_scan.c) checks grammar,
 * UTF-8 and depth before jansson sees a byte. jansson reports a failed allocation in most places as
 * a syntax error; after the scan a syntax error cannot be one, so the two can be told apart. In its
 * lexer it drops the bytes of a string or number for which there was no memory and goes on: so the
 * scan sums up every value that it passes, and the parsed document must have the same sum. */
#include "wire/json.h"

#include "wire/json_scan.h"

#include <qube/error.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *jt(const struct qube__json *j)
{
	return (json_t *)(uintptr_t)j;
}

static struct qube__json *qj(json_t *j)
{
	return (struct qube__json *)j;
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
		json_object_foreach(j, key, value)
		{
			qube__json_mix(sum, key, strlen(key));
			qube__json_mix_end(sum);
			sum_parsed(sum, value);
		}
		break;
	case JSON_ARRAY:
		json_array_foreach(j, i, value) sum_parsed(sum, value);
		break;
	case JSON_STRING:
		qube__json_mix(sum, json_string_value(j), json_string_length(j));
		qube__json_mix_end(sum);
		break;
	case JSON_INTEGER:
		integer = json_integer_value(j);
		qube__json_mix(sum, &integer, sizeof(integer));
		break;
	case JSON_REAL:
		real = json_real_value(j);
		qube__json_mix(sum, &real, sizeof(real));
		break;
	default:
		break;
	}
}

int qube__json_parse(struct qube__json **out, const void *untrusted, size_t len, size_t max,
		     uint32_t *line)
{
	struct qube__json_scan s = { .p = untrusted, .line = 1 };
	/* jansson sets no code when its first allocation fails. */
	json_error_t err = { 0 };
	uint64_t sum = 0;
	json_t *j;

	if (len > max)
		return QUBE_E_LIMIT;
	s.end = s.p + len;
	if (!len || !qube__json_scan_document(&s)) {
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
	if (!qube__json_utf8_ok(key)) {
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
	if (!qube__json_utf8_ok(value))
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
	if (!qube__json_utf8_ok(value))
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
