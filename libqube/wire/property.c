/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Property values as the Admin API writes them (admin-api.md 2.1). The text comes from a server
 * that may be hostile to this client. */
#include "wire/admin.h"

#include <qube/error.h>

#include <string.h>

static const char *const type_names[] = {
	[QUBE__TYPE_STR] = "str", [QUBE__TYPE_INT] = "int",	[QUBE__TYPE_BOOL] = "bool",
	[QUBE__TYPE_VM] = "vm",	  [QUBE__TYPE_LABEL] = "label",
};
enum { TYPES = sizeof(type_names) / sizeof(type_names[0]) };

const char *qube__wire_type_name(uint32_t type)
{
	return type < TYPES ? type_names[type] : "str";
}

/* All properties of a thousand qubes are one answer: without printf it is made in a third of the
 * time. */
static int put(struct qube__buf *out, const char *s)
{
	return qube__buf_append(out, s, strlen(s));
}

int qube__wire_property_encode(struct qube__buf *out, bool is_default, uint32_t type,
			       const char *value)
{
	size_t before = out->len;
	int r = put(out, is_default ? "default=True type=" : "default=False type=");

	if (r == 0)
		r = put(out, qube__wire_type_name(type));
	if (r == 0)
		r = put(out, " ");
	if (r == 0 && value)
		r = put(out, value);
	if (r < 0)
		out->len = before;
	return r;
}

static int append_escaped(struct qube__buf *out, const char *value)
{
	int r = 0;

	for (const char *p = value; r == 0 && *p;) {
		size_t plain = strcspn(p, "\\\n");

		r = qube__buf_append(out, p, plain);
		p += plain;
		if (r == 0 && *p)
			r = qube__buf_append(out, *p++ == '\n' ? "\\n" : "\\\\", 2);
	}
	return r;
}

int qube__wire_property_line(struct qube__buf *out, const char *name, bool is_default,
			     uint32_t type, const char *value)
{
	size_t before = out->len;
	int r = put(out, name);

	if (r == 0)
		r = put(out, " ");
	if (r == 0)
		r = qube__wire_property_encode(out, is_default, type, NULL);
	if (r == 0 && value)
		r = append_escaped(out, value);
	if (r == 0)
		r = qube__buf_append(out, "\n", 1);
	if (r < 0)
		out->len = before;
	return r;
}

static bool take_text(const char **p, size_t *left, const char *text)
{
	size_t n = strlen(text);

	if (*left < n || memcmp(*p, text, n) != 0)
		return false;
	*p += n;
	*left -= n;
	return true;
}

/* "type=int 400" */
static int take_typed(struct qube__wire_property *out, const char *p, size_t left)
{
	if (!take_text(&p, &left, "type="))
		return QUBE_E_PROTO;
	for (uint32_t type = 0; type < TYPES; type++) {
		const char *at = p;
		size_t n = left;

		if (!take_text(&at, &n, type_names[type]) || !take_text(&at, &n, " "))
			continue;
		if (n && memchr(at, 0, n))
			return QUBE_E_PROTO;
		out->type = type;
		out->value = at;
		out->len = n;
		return 0;
	}
	return QUBE_E_PROTO;
}

int qube__wire_property_parse(struct qube__wire_property *out, const void *untrusted, size_t len)
{
	struct qube__wire_property got = { .is_default = false };
	const char *p = untrusted;
	int r;

	if (take_text(&p, &len, "default=True "))
		got.is_default = true;
	else if (!take_text(&p, &len, "default=False "))
		return QUBE_E_PROTO;
	r = take_typed(&got, p, len);
	if (r == 0)
		*out = got;
	return r;
}

int qube__wire_property_default_parse(struct qube__wire_property *out, const void *untrusted,
				      size_t len)
{
	struct qube__wire_property got = { .is_default = true };
	int r = len ? take_typed(&got, untrusted, len) : QUBE_E_NOENT;

	if (r == 0)
		*out = got;
	return r;
}

int qube__wire_property_line_parse(char name[QUBE__PROPERTY_MAX + 1],
				   struct qube__wire_property *out, size_t *used,
				   const void *untrusted, size_t len)
{
	const char *p = untrusted;
	const char *end = len ? memchr(p, '\n', len) : NULL;
	const char *space;
	size_t n;
	int r;

	if (!end)
		return QUBE_E_AGAIN;
	space = memchr(p, ' ', (size_t)(end - p));
	n = space ? (size_t)(space - p) : 0;
	if (!qube__name_is_property(p, n))
		return QUBE_E_PROTO;
	r = qube__wire_property_parse(out, space + 1, (size_t)(end - space - 1));
	if (r < 0)
		return r;
	memcpy(name, p, n);
	name[n] = '\0';
	*used = (size_t)(end + 1 - p);
	return 0;
}

int qube__wire_property_unescape(char *out, const char *untrusted, size_t len)
{
	size_t at = 0;

	for (size_t i = 0; i < len; i++) {
		char c = untrusted[i];

		if (c == '\\') {
			if (++i == len || (untrusted[i] != '\\' && untrusted[i] != 'n'))
				return QUBE_E_PROTO;
			c = untrusted[i] == 'n' ? '\n' : '\\';
		}
		out[at++] = c;
	}
	out[at] = '\0';
	return 0;
}
