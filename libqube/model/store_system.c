/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * system.json: custom labels, pools, global properties. */
#include "base/error.h"
#include "model/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char file[] = "system.json";

enum { FIRST_CUSTOM_LABEL = 9 };

/* A step of migration takes a root of format N to N + 1 in place. There is no format before 1. */
typedef int (*migration_fn)(struct qube__json *root);
static const migration_fn migrations[QUBE__STORE_FORMAT] = { NULL };

int qube__store_format(const struct qube__json *root, const char *name)
{
	int64_t format;

	if (qube__json_type(root) != QUBE__JSON_OBJECT ||
	    qube__json_get_int(root, "format", &format, 0, INT64_MAX) < 0)
		return qube__fail(QUBE_E_INVALID, "%s has no format number", name);
	if (format > QUBE__STORE_FORMAT)
		return qube__fail(QUBE_E_NOTSUP,
				  "%s has format %" PRId64 ", this libqube reads up to %d: "
				  "a newer one wrote it",
				  name, format, QUBE__STORE_FORMAT);
	for (int64_t at = format; at < QUBE__STORE_FORMAT; at++) {
		if (!migrations[at])
			return qube__fail(QUBE_E_INVALID,
					  "%s has format %" PRId64 ", which never was", name,
					  format);
		if (migrations[at]((struct qube__json *)(uintptr_t)root) < 0)
			return qube__fail(QUBE_E_INVALID,
					  "%s cannot be brought from format %" PRId64 " up to date",
					  name, at);
	}
	return 0;
}

/* --- writing --- */
static int labels_json(struct qube__json *root, const struct qube__model *m)
{
	qube__autojson *array = NULL;
	int r = qube__json_new_array(&array);

	for (size_t i = 0; r == 0 && i < m->n_labels; i++) {
		const struct qube__label *l = &m->labels[i];
		qube__autojson *o = NULL;

		if (l->index < FIRST_CUSTOM_LABEL)
			continue;
		r = qube__json_new_object(&o);
		if (r == 0)
			r = qube__json_set_string(o, "name", l->name);
		if (r == 0)
			r = qube__json_set_string(o, "color", l->colour);
		if (r == 0)
			r = qube__json_set_int(o, "index", l->index);
		if (r == 0) {
			r = qube__json_append(array, o);
			o = NULL;
		}
	}
	if (r < 0)
		return r;
	r = qube__json_set(root, "labels", array);
	array = NULL;
	return r;
}

static int pool_json(struct qube__json *array, const struct qube__pool_conf *p)
{
	qube__autojson *o = NULL;
	qube__autojson *options = NULL;
	int r = qube__json_new_object(&o);

	if (r == 0)
		r = qube__json_new_object(&options);
	if (r == 0)
		r = qube__json_set_string(o, "name", p->name);
	if (r == 0)
		r = qube__json_set_string(o, "driver", p->driver);
	for (size_t i = 0; r == 0 && i < p->n_options; i++)
		r = qube__json_set_string(options, p->options[i].name, p->options[i].value);
	if (r < 0)
		return r;
	r = qube__json_set(o, "options", options);
	options = NULL;
	if (r < 0)
		return r;
	r = qube__json_append(array, o);
	o = NULL;
	return r;
}

static int pools_json(struct qube__json *root, const struct qube__model *m)
{
	qube__autojson *array = NULL;
	int r = qube__json_new_array(&array);

	for (size_t i = 0; r == 0 && i < m->n_pools; i++)
		r = pool_json(array, &m->pools[i]);
	if (r < 0)
		return r;
	r = qube__json_set(root, "pools", array);
	array = NULL;
	return r;
}

static int globals_json(struct qube__json *root, const struct qube__model *m)
{
	qube__autojson *o = NULL;
	int r = qube__json_new_object(&o);

	for (uint32_t id = QUBE__PROP_G_FIRST; r == 0 && id < QUBE__PROP_COUNT; id++)
		if (m->global[id - QUBE__PROP_G_FIRST])
			r = qube__json_set_string(o, qube__props[id].name,
						  m->global[id - QUBE__PROP_G_FIRST]);
	if (r < 0)
		return r;
	r = qube__json_set(root, "properties", o);
	o = NULL;
	return r;
}

int qube__store_system_encode(char **out, size_t *len, const struct qube__model *m)
{
	qube__autojson *root = NULL;
	int r = qube__json_new_object(&root);

	if (r == 0)
		r = qube__json_set_int(root, "format", QUBE__STORE_FORMAT);
	if (r == 0)
		r = labels_json(root, m);
	if (r == 0)
		r = pools_json(root, m);
	if (r == 0)
		r = globals_json(root, m);
	if (r == 0)
		r = qube__json_dump(out, len, root, QUBE__JSON_SORTED | QUBE__JSON_INDENT);
	if (r == QUBE_E_NOMEM)
		return qube__fail_nomem();
	return r < 0 ? qube__fail(r, "the system's settings cannot be written as JSON") : 0;
}

/* --- reading --- */
static int bad(const char *what)
{
	return qube__fail(QUBE_E_INVALID, "%s: bad %s", file, what);
}

static int load_labels(struct qube__model *m, const struct qube__json *root)
{
	const struct qube__json *array;
	int r = 0;

	if (qube__json_get_array(root, "labels", &array) < 0)
		return bad("labels");
	for (size_t i = 0; r == 0 && i < qube__json_size(array); i++) {
		const struct qube__json *o = qube__json_at(array, i);
		const char *name;
		const char *colour;
		int64_t index;

		if (qube__json_get_string(o, "name", &name) < 0 ||
		    qube__json_get_string(o, "color", &colour) < 0 ||
		    qube__json_get_int(o, "index", &index, FIRST_CUSTOM_LABEL, INT32_MAX) < 0 ||
		    !qube__name_is_label(name, strlen(name)) ||
		    !qube__name_is_colour(colour, strlen(colour)) || qube__model_label(m, name))
			return bad("label");
		for (size_t k = 0; k < m->n_labels; k++)
			if (m->labels[k].index == index)
				return bad("label's index");
		r = qube__label_put(m, (uint32_t)index, name, colour);
	}
	return r;
}

static int load_pools(struct qube__model *m, const struct qube__json *root)
{
	const struct qube__json *array;
	int r = 0;

	if (qube__json_get_array(root, "pools", &array) < 0)
		return bad("pools");
	for (size_t i = 0; r == 0 && i < qube__json_size(array); i++) {
		const struct qube__json *o = qube__json_at(array, i);
		const struct qube__json *options;
		const struct qube__json *value;
		const void *it = NULL;
		const char *name;
		const char *text;

		if (qube__json_get_string(o, "name", &name) < 0 ||
		    qube__json_get_string(o, "driver", &text) < 0 ||
		    qube__json_get_object(o, "options", &options) < 0)
			return bad("pool");
		r = qube__pool_put(m, name, text);
		while (r == 0 && (it = qube__json_next(options, it, &name, &value))) {
			if (qube__json_string(value, &text, NULL) < 0)
				return bad("pool's option");
			r = qube__pool_option_put(&m->pools[m->n_pools - 1], name, text);
		}
	}
	return r;
}

static int load_globals(struct qube__model *m, const struct qube__json *root)
{
	const struct qube__json *object;
	const struct qube__json *value;
	const void *it = NULL;
	const char *name;
	const char *text;
	int r = 0;

	if (qube__json_get_object(root, "properties", &object) < 0)
		return bad("properties");
	while (r == 0 && (it = qube__json_next(object, it, &name, &value))) {
		const struct qube__prop *p = qube__prop_find(QUBE__CLASSES_GLOBAL, name);
		char *old = NULL;

		if (!p || qube__json_string(value, &text, NULL) < 0 ||
		    !qube__prop_plausible(p, text))
			return qube__fail(QUBE_E_INVALID, "%s: bad property '%.64s'", file, name);
		r = qube__text_swap(&m->global[qube__prop_id(p) - QUBE__PROP_G_FIRST], &old, text);
		free(old);
	}
	return r;
}

int qube__store_system_decode(struct qube__model *m, const char *text, size_t len)
{
	qube__autojson *root = NULL;
	uint32_t line = 0;
	int r = qube__json_parse(&root, text, len, QUBE__STORE_SYSTEM_MAX, &line);

	if (r == QUBE_E_NOMEM)
		return qube__fail_nomem();
	if (r < 0)
		return qube__fail_rule(QUBE_E_INVALID, file, line, "%s:%u is not JSON", file, line);
	r = qube__store_format(root, file);
	if (r == 0)
		r = load_labels(m, root);
	if (r == 0)
		r = load_pools(m, root);
	return r < 0 ? r : load_globals(m, root);
}
