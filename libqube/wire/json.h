/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * JSON, the only way in or out: a cap on bytes and depth, duplicates refused, types checked. The
 * functions set no error record. `const struct qube__json *` is borrowed from its root. */
#ifndef QUBE_WIRE_JSON_H
#define QUBE_WIRE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUBE__JSON_DEPTH_MAX 32

struct qube__json;

enum qube__json_type {
	QUBE__JSON_NULL,
	QUBE__JSON_BOOL,
	QUBE__JSON_INT,
	QUBE__JSON_REAL,
	QUBE__JSON_STRING,
	QUBE__JSON_ARRAY,
	QUBE__JSON_OBJECT,
};

/* Parses all len bytes (at most max) into an owned root, an object or an array. QUBE_E_LIMIT if
 * longer than max, QUBE_E_PROTO for anything that is not strict JSON, QUBE_E_NOMEM. line, if not
 * NULL, gets the line of a QUBE_E_PROTO, from 1. */
int qube__json_parse(struct qube__json **out, const void *untrusted, size_t len, size_t max,
		     uint32_t *line);
void qube__json_free(struct qube__json *j);
static inline void qube__json_free_ptr(struct qube__json **j)
{
	qube__json_free(*j);
	*j = NULL;
}
#define qube__autojson __attribute__((cleanup(qube__json_free_ptr))) struct qube__json

enum qube__json_type qube__json_type(const struct qube__json *j);
size_t qube__json_size(const struct qube__json *j); /* items or members; 0 for others */
const struct qube__json *qube__json_at(const struct qube__json *array, size_t i);
const struct qube__json *qube__json_get(const struct qube__json *object, const char *key);

/* The value itself. 0, or QUBE_E_INVALID for another type. A string with a NUL inside is refused
 * unless its length is asked for. Strings are valid UTF-8. */
int qube__json_string(const struct qube__json *j, const char **out, size_t *len);
int qube__json_int(const struct qube__json *j, int64_t *out);
int qube__json_bool(const struct qube__json *j, bool *out);

/* A member of an object. 0, QUBE_E_NOENT if there is none, QUBE_E_INVALID for another type or an
 * integer outside min..max. out untouched on failure. */
int qube__json_get_string(const struct qube__json *object, const char *key, const char **out);
int qube__json_get_int(const struct qube__json *object, const char *key, int64_t *out, int64_t min,
		       int64_t max);
int qube__json_get_bool(const struct qube__json *object, const char *key, bool *out);
int qube__json_get_array(const struct qube__json *object, const char *key,
			 const struct qube__json **out);
int qube__json_get_object(const struct qube__json *object, const char *key,
			  const struct qube__json **out);

/* for (it = NULL; (it = qube__json_next(object, it, &key, &value));) in the order of insertion */
const void *qube__json_next(const struct qube__json *object, const void *it, const char **key,
			    const struct qube__json **value);

/* Building. 0, QUBE_E_NOMEM, or QUBE_E_INVALID for text that is not UTF-8. */
int qube__json_new_object(struct qube__json **out);
int qube__json_new_array(struct qube__json **out);
int qube__json_set_string(struct qube__json *object, const char *key, const char *value);
int qube__json_set_int(struct qube__json *object, const char *key, int64_t value);
int qube__json_set_bool(struct qube__json *object, const char *key, bool value);
int qube__json_set_null(struct qube__json *object, const char *key);
/* child is transferred, also on failure; NULL is QUBE_E_NOMEM. */
int qube__json_set(struct qube__json *object, const char *key, struct qube__json *child);
int qube__json_append_string(struct qube__json *array, const char *value);
int qube__json_append_int(struct qube__json *array, int64_t value);
int qube__json_append(struct qube__json *array, struct qube__json *child);

enum {
	QUBE__JSON_SORTED = 1, /* members by name; without it in the order of insertion */
	QUBE__JSON_INDENT = 2, /* one member a line, one space a level, and a last newline */
};
/* Owned by malloc, NUL-terminated; len may be NULL. */
int qube__json_dump(char **out, size_t *len, const struct qube__json *j, uint32_t flags);

#endif
