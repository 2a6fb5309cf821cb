/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A qube's file, both ways. The text is ours, but a disk or a hand may have damaged it: everything
 * is checked as if a stranger had written it, and what is not understood refuses the file. */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "model/internal.h"
#include "wire/note.h"

#include <stdlib.h>
#include <string.h>

/* --- writing --- */
static int properties_json(struct qube__json *root, const struct qube__vm *vm)
{
	qube__autojson *o = NULL;
	int r = qube__json_new_object(&o);

	for (uint32_t id = 0; r == 0 && id < QUBE__PROP_VM_COUNT; id++)
		if (vm->prop[id])
			r = qube__json_set_string(o, qube__props[id].name, vm->prop[id]);
	if (r < 0)
		return r;
	r = qube__json_set(root, "properties", o);
	o = NULL;
	return r;
}

static int tags_json(struct qube__json *root, const struct qube__vm *vm)
{
	qube__autojson *array = NULL;
	int r = qube__json_new_array(&array);

	for (size_t i = 0; r == 0 && i < vm->n_tags; i++)
		r = qube__json_append_string(array, vm->tags[i]);
	if (r < 0)
		return r;
	r = qube__json_set(root, "tags", array);
	array = NULL;
	return r;
}

static int features_json(struct qube__json *root, const struct qube__vm *vm)
{
	qube__autojson *o = NULL;
	int r = qube__json_new_object(&o);

	for (size_t i = 0; r == 0 && i < vm->n_features; i++)
		r = qube__json_set_string(o, vm->features[i].name, vm->features[i].value);
	if (r < 0)
		return r;
	r = qube__json_set(root, "features", o);
	o = NULL;
	return r;
}

static int volume_json(struct qube__json *volumes, const struct qube__vm_volume *v)
{
	qube__autojson *o = NULL;
	int r = qube__json_new_object(&o);

	if (r == 0)
		r = qube__json_set_string(o, "pool", v->pool);
	if (r == 0)
		r = qube__json_set_int(o, "size", (int64_t)v->size_bytes);
	if (r == 0)
		r = qube__json_set_int(o, "revisions_to_keep", v->revisions_to_keep);
	if (r == 0)
		r = qube__json_set_bool(o, "rw", v->rw);
	if (r == 0)
		r = qube__json_set_bool(o, "ephemeral", v->ephemeral);
	if (r < 0)
		return r;
	r = qube__json_set(volumes, v->name, o);
	o = NULL;
	return r;
}

static int volumes_json(struct qube__json *root, const struct qube__vm *vm)
{
	qube__autojson *o = NULL;
	int r = qube__json_new_object(&o);

	for (size_t i = 0; r == 0 && i < vm->n_volumes; i++)
		r = volume_json(o, &vm->volumes[i]);
	if (r < 0)
		return r;
	r = qube__json_set(root, "volumes", o);
	o = NULL;
	return r;
}

static int head_json(struct qube__json *root, const struct qube__vm *vm)
{
	int r = qube__json_set_int(root, "format", QUBE__STORE_FORMAT);

	if (r == 0)
		r = qube__json_set_string(root, "name", vm->name);
	if (r == 0)
		r = qube__json_set_string(root, "uuid", vm->uuid);
	if (r == 0)
		r = qube__json_set_int(root, "qid", vm->qid);
	if (r == 0)
		r = qube__json_set_string(root, "class", qube__vm_class_name(vm->vm_class));
	if (r == 0 && vm->dispid >= 0)
		r = qube__json_set_int(root, "dispid", vm->dispid);
	if (r == 0 && vm->driver)
		r = qube__json_set_string(root, "driver", vm->driver);
	if (r == 0 && vm->import_source)
		r = qube__json_set_string(root, "import_source", vm->import_source);
	if (r == 0 && vm->notes)
		r = qube__json_set_string(root, "notes", vm->notes);
	if (r == 0 && vm->unfinished)
		r = qube__json_set_bool(root, "unfinished", true);
	return r;
}

int qube__store_vm_encode(char **out, size_t *len, const struct qube__vm *vm)
{
	qube__autojson *root = NULL;
	qube__autofree char *text = NULL;
	size_t n = 0;
	int r = qube__json_new_object(&root);

	if (r == 0)
		r = head_json(root, vm);
	if (r == 0)
		r = properties_json(root, vm);
	if (r == 0)
		r = tags_json(root, vm);
	if (r == 0)
		r = features_json(root, vm);
	if (r == 0)
		r = volumes_json(root, vm);
	if (r == 0)
		r = qube__json_dump(&text, &n, root, QUBE__JSON_SORTED | QUBE__JSON_INDENT);
	if (r == QUBE_E_NOMEM)
		return qube__fail_nomem();
	if (r < 0)
		return qube__fail(r, "'%s' cannot be written as JSON", vm->name);
	if (n > QUBE__STORE_QUBE_MAX)
		return qube__fail(QUBE_E_LIMIT, "what is known of '%s' is larger than %d bytes",
				  vm->name, QUBE__STORE_QUBE_MAX);
	*out = qube__steal(text);
	*len = n;
	return 0;
}

/* --- reading --- */
static int bad(const struct qube__vm *vm, const char *what, const char *which)
{
	char safe[96];

	qube__text_escape(safe, sizeof(safe), which, strlen(which));
	return qube__fail(QUBE_E_INVALID, "%s.json: bad %s %s", vm->name, what, safe);
}

static int load_properties(struct qube__vm *vm, const struct qube__json *root)
{
	const struct qube__json *object;
	const struct qube__json *value;
	const void *it = NULL;
	const char *name;
	const char *text;
	int r = 0;

	if (qube__json_get_object(root, "properties", &object) < 0)
		return bad(vm, "properties", "");
	while (r == 0 && (it = qube__json_next(object, it, &name, &value))) {
		const struct qube__prop *p = qube__prop_find(1u << vm->vm_class, name);
		char *old = NULL;

		if (!p || qube__json_string(value, &text, NULL) < 0 ||
		    !qube__prop_plausible(p, text))
			return bad(vm, "property", name);
		r = qube__text_swap(&vm->prop[qube__prop_id(p)], &old, text);
		free(old);
	}
	return r;
}

static int load_tags(struct qube__vm *vm, const struct qube__json *root)
{
	const struct qube__json *array;
	const char *tag;
	int r = 0;

	if (qube__json_get_array(root, "tags", &array) < 0)
		return bad(vm, "tags", "");
	for (size_t i = 0; r >= 0 && i < qube__json_size(array); i++) {
		if (qube__json_string(qube__json_at(array, i), &tag, NULL) < 0)
			return bad(vm, "tag", "");
		r = qube__vm_tag_put(vm, tag);
	}
	return r < 0 ? r : 0;
}

static int load_features(struct qube__vm *vm, const struct qube__json *root)
{
	const struct qube__json *object;
	const struct qube__json *value;
	const void *it = NULL;
	const char *name;
	const char *text;
	int r = 0;

	if (qube__json_get_object(root, "features", &object) < 0)
		return bad(vm, "features", "");
	while (r == 0 && (it = qube__json_next(object, it, &name, &value))) {
		if (qube__json_string(value, &text, NULL) < 0)
			return bad(vm, "feature", name);
		r = qube__vm_feature_put(vm, name, text);
	}
	return r;
}

static int load_volumes(struct qube__vm *vm, const struct qube__json *root)
{
	const struct qube__json *object;
	const struct qube__json *o;
	const void *it = NULL;
	const char *name;
	int r = 0;

	if (qube__json_get_object(root, "volumes", &object) < 0)
		return bad(vm, "volumes", "");
	while (r == 0 && (it = qube__json_next(object, it, &name, &o))) {
		struct qube__vm_volume v = { .rw = false };
		const char *pool;
		int64_t size;
		int64_t keep;

		if (qube__json_get_string(o, "pool", &pool) < 0 ||
		    qube__json_get_int(o, "size", &size, 0, INT64_MAX) < 0 ||
		    qube__json_get_int(o, "revisions_to_keep", &keep, QUBE__REVISIONS_POOL,
				       INT32_MAX) < 0 ||
		    qube__json_get_bool(o, "rw", &v.rw) < 0 ||
		    qube__json_get_bool(o, "ephemeral", &v.ephemeral) < 0 ||
		    qube__text_copy(v.name, sizeof(v.name), name) < 0 ||
		    qube__text_copy(v.pool, sizeof(v.pool), pool) < 0)
			return bad(vm, "volume", name);
		v.size_bytes = (uint64_t)size;
		v.revisions_to_keep = (int32_t)keep;
		r = qube__vm_volume_set(vm, &v);
	}
	return r;
}

static int take_text(char **out, const struct qube__vm *vm, const struct qube__json *root,
		     const char *key)
{
	const char *text;
	int r = qube__json_get_string(root, key, &text);

	if (r == QUBE_E_NOENT)
		return 0;
	if (r < 0 || !qube__name_is_feature_value(text, strlen(text)))
		return bad(vm, key, "");
	*out = strdup(text);
	return *out ? 0 : qube__fail_nomem();
}

/* A file of an older libqube, and of a qube without notes, has no such member. */
static int load_notes(struct qube__vm *vm, const struct qube__json *root)
{
	const char *text;
	int r = qube__json_get_string(root, "notes", &text);

	if (r == QUBE_E_NOENT)
		return 0;
	if (r < 0 || vm->vm_class == QUBE__CLASS_ADMIN || !*text ||
	    !qube__wire_note_is_clean(text, strlen(text)))
		return bad(vm, "notes", "");
	vm->notes = strdup(text);
	return vm->notes ? 0 : qube__fail_nomem();
}

static int load_ids(struct qube__vm *vm, const struct qube__json *root)
{
	bool admin = vm->vm_class == QUBE__CLASS_ADMIN;
	bool disp = vm->vm_class == QUBE__CLASS_DISP;
	const char *uuid;
	int64_t qid;
	int64_t dispid = -1;
	int r;

	if (qube__json_get_string(root, "uuid", &uuid) < 0 ||
	    !qube__name_is_uuid(uuid, strlen(uuid)))
		return bad(vm, "uuid", "");
	memcpy(vm->uuid, uuid, sizeof(vm->uuid));
	if (qube__json_get_int(root, "qid", &qid, admin ? 0 : 1, admin ? 0 : QUBE__QID_MAX) < 0)
		return bad(vm, "qid", "");
	vm->qid = (uint32_t)qid;
	r = qube__json_get_int(root, "dispid", &dispid, 0, QUBE__DISPID_MAX);
	if (r != (disp ? 0 : QUBE_E_NOENT))
		return bad(vm, "dispid", "");
	vm->dispid = (int32_t)dispid;
	return 0;
}

static int check_keys(const struct qube__vm *vm, const struct qube__json *root)
{
	static const char *const keys[] = { "format",	  "name",   "uuid",	"qid",
					    "class",	  "dispid", "driver",	"import_source",
					    "properties", "tags",   "features", "volumes",
					    "unfinished", "notes" };
	const struct qube__json *value;
	const void *it = NULL;
	const char *key;

	while ((it = qube__json_next(root, it, &key, &value))) {
		bool known = false;

		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			known = known || strcmp(keys[i], key) == 0;
		if (!known)
			return bad(vm, "member", key);
	}
	return 0;
}

static int load_body(struct qube__vm *vm, const struct qube__json *root)
{
	int r = check_keys(vm, root);

	if (r == 0)
		r = load_ids(vm, root);
	if (r == 0)
		r = take_text(&vm->driver, vm, root, "driver");
	if (r == 0)
		r = take_text(&vm->import_source, vm, root, "import_source");
	if (r == 0)
		r = load_notes(vm, root);
	if (r == 0 && qube__json_get(root, "unfinished") &&
	    qube__json_get_bool(root, "unfinished", &vm->unfinished) < 0)
		r = bad(vm, "unfinished", "");
	if (r == 0)
		r = load_properties(vm, root);
	if (r == 0)
		r = load_tags(vm, root);
	if (r == 0)
		r = load_features(vm, root);
	if (r == 0)
		r = load_volumes(vm, root);
	return r;
}

/* dom0 is in the tables from the start: only what its file may say is taken over. */
static void move_dom0(struct qube__vm *dom0, struct qube__vm *vm)
{
	for (size_t i = 0; i < QUBE__PROP_VM_COUNT; i++) {
		free(dom0->prop[i]);
		dom0->prop[i] = qube__steal(vm->prop[i]);
	}
	dom0->tags = qube__steal(vm->tags);
	dom0->n_tags = vm->n_tags;
	dom0->features = qube__steal(vm->features);
	dom0->n_features = vm->n_features;
	vm->n_tags = 0;
	vm->n_features = 0;
}

static int enter(struct qube__vm **out, struct qube__model *m, struct qube__vm **vm)
{
	const struct qube__vm *other = qube__model_vm_by_uuid(m, (*vm)->uuid);
	const char *id = "uuid";

	if ((*vm)->vm_class == QUBE__CLASS_ADMIN) {
		if (other != m->dom0 || m->dom0->n_tags || m->dom0->n_features)
			return bad(*vm, id, (*vm)->uuid);
		move_dom0(m->dom0, *vm);
		*out = m->dom0;
		return 0;
	}
	if (!other && qube__bit(m->qids, (*vm)->qid)) {
		id = "qid";
		for (struct qube__vm *v = NULL; (v = qube__model_next(m, v));)
			if (v->qid == (*vm)->qid)
				other = v;
	}
	if (!other && (*vm)->dispid >= 0 && qube__bit(m->dispids, (uint32_t)(*vm)->dispid)) {
		id = "dispid";
		for (struct qube__vm *v = NULL; (v = qube__model_next(m, v));)
			if (v->dispid == (*vm)->dispid)
				other = v;
	}
	if (other || qube__model_vm(m, (*vm)->name))
		return qube__fail(QUBE_E_INVALID, "%s.json: its %s belongs to '%s'", (*vm)->name,
				  other ? id : "name", other ? other->name : (*vm)->name);
	(*vm)->batch = 0;
	(*vm)->dirty = false;
	qube__model_insert(m, *vm);
	*out = qube__steal(*vm);
	return 0;
}

int qube__store_vm_decode(struct qube__vm **out, struct qube__model *m, const char *name,
			  const char *untrusted, size_t len)
{
	qube__autojson *root = NULL;
	qube__autovm *vm = NULL;
	const char *text;
	char path[QUBE__NAME_MAX + 8];
	uint32_t vm_class;
	uint32_t line = 0;
	int r;

	if (!qube__name_is_qube(name, strlen(name)))
		return qube__fail(QUBE_E_INVALID, "not the name of a qube");
	qube__text_copy(path, sizeof(path), name);
	memcpy(path + strlen(name), ".json", 6);
	r = qube__json_parse(&root, untrusted, len, QUBE__STORE_QUBE_MAX, &line);
	if (r == QUBE_E_NOMEM)
		return qube__fail_nomem();
	if (r < 0)
		return qube__fail_rule(QUBE_E_INVALID, path, line, "%s:%u is not JSON", path, line);
	r = qube__store_format(root, path);
	if (r < 0)
		return r;
	if (qube__json_get_string(root, "name", &text) < 0 || strcmp(text, name) != 0)
		return qube__fail(QUBE_E_INVALID, "%s is not about '%s'", path, name);
	if (qube__json_get_string(root, "class", &text) < 0 ||
	    qube__vm_class_parse(&vm_class, text) < 0 ||
	    (vm_class == QUBE__CLASS_ADMIN) != (strcmp(name, "dom0") == 0))
		return qube__fail(QUBE_E_INVALID, "%s: bad class", path);
	vm = qube__vm_alloc(m, name, vm_class);
	if (!vm)
		return QUBE_E_NOMEM;
	vm->batch = 1;
	r = load_body(vm, root);
	return r < 0 ? r : enter(out, m, &vm);
}
