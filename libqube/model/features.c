/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tags, features and notes of a qube (admin-api.md 6.1, 6.2, 6.4). The first two are kept sorted.
 * The tags guivm-X, audiovm-X and relayvm-X are not stored: they follow a property, so they cannot
 * fall out of step.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "model/internal.h"
#include "wire/note.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 64, DERIVED = 3 };

static const struct derived_tag {
	const char *prefix;
	uint32_t prop;
} derived[DERIVED] = {
	{ "audiovm-", QUBE__PROP_AUDIOVM },
	{ "guivm-", QUBE__PROP_GUIVM },
	{ "relayvm-", QUBE__PROP_RELAYVM },
};

/* --- tags --- */
/* Where tag is, or where it would go. */
static size_t tag_place(const struct qube__vm *vm, const char *tag, bool *found)
{
	size_t low = 0;
	size_t high = vm->n_tags;

	*found = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = strcmp(vm->tags[mid], tag);

		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static const struct derived_tag *derived_of(const char *tag)
{
	for (size_t i = 0; i < DERIVED; i++)
		if (strncmp(tag, derived[i].prefix, strlen(derived[i].prefix)) == 0)
			return &derived[i];
	return NULL;
}

bool qube__vm_tag_has(const struct qube__vm *vm, const char *tag)
{
	const struct derived_tag *d = derived_of(tag);
	struct qube__prop_value v;
	bool found;

	if (d) {
		qube__vm_prop_read(&v, vm, d->prop);
		return v.text && strcmp(v.text, tag + strlen(d->prefix)) == 0;
	}
	tag_place(vm, tag, &found);
	return found;
}

static int check_tag(const char *tag)
{
	char safe[96];

	if (qube__name_is_tag(tag, strlen(tag)))
		return 0;
	qube__text_escape(safe, sizeof(safe), tag, strlen(tag));
	return qube__fail_detail(QUBE_E_INVALID, QUBE_D_INVALID_TAG, "Invalid tag: '%s'", safe);
}

static int refuse_derived(const char *tag, const struct derived_tag *d)
{
	return qube__fail_detail(QUBE_E_DENIED, QUBE_D_PERMISSION,
				 "tag '%s' follows the property %s and is not set by hand", tag,
				 qube__props[d->prop].name);
}

int qube__vm_tag_put(struct qube__vm *vm, const char *tag)
{
	const struct derived_tag *d = derived_of(tag);
	qube__autofree char *copy = NULL;
	char **grown;
	bool found;
	size_t at;
	int r = check_tag(tag);

	if (r < 0)
		return r;
	if (d)
		return refuse_derived(tag, d);
	at = tag_place(vm, tag, &found);
	if (found)
		return 0;
	if (vm->n_tags == QUBE__TAGS_MAX)
		return qube__fail(QUBE_E_LIMIT, "'%s' has %d tags already", vm->name,
				  QUBE__TAGS_MAX);
	copy = strdup(tag);
	grown = copy ? realloc(vm->tags, (vm->n_tags + 1) * sizeof(*grown)) : NULL;
	if (!grown)
		return qube__fail_nomem();
	vm->tags = grown;
	memmove(grown + at + 1, grown + at, (vm->n_tags - at) * sizeof(*grown));
	grown[at] = qube__steal(copy);
	vm->n_tags++;
	return 1;
}

/* Takes the tag out of the list; it stays allocated. */
static char *tag_take(struct qube__vm *vm, size_t at)
{
	char *tag = vm->tags[at];

	vm->n_tags--;
	memmove(vm->tags + at, vm->tags + at + 1, (vm->n_tags - at) * sizeof(*vm->tags));
	return tag;
}

int qube__vm_tag_add(struct qube__vm *vm, const char *tag)
{
	bool found;
	int r = qube__vm_tag_put(vm, tag);

	if (r <= 0)
		return r;
	r = qube__vm_changed(vm);
	if (r < 0)
		free(tag_take(vm, tag_place(vm, tag, &found)));
	return r;
}

int qube__vm_tag_remove(struct qube__vm *vm, const char *tag)
{
	const struct derived_tag *d = derived_of(tag);
	qube__autofree char *taken = NULL;
	bool found;
	size_t at;
	int r = check_tag(tag);

	if (r < 0)
		return r;
	if (d && qube__vm_tag_has(vm, tag))
		return refuse_derived(tag, d);
	at = tag_place(vm, tag, &found);
	if (!found)
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_TAG_NOT_FOUND,
					 "Tag not set for domain %s: %s", vm->name, tag);
	taken = tag_take(vm, at);
	r = qube__vm_changed(vm);
	if (r < 0) {
		/* There is room: it was there a moment ago. */
		memmove(vm->tags + at + 1, vm->tags + at, (vm->n_tags - at) * sizeof(*vm->tags));
		vm->tags[at] = qube__steal(taken);
		vm->n_tags++;
	}
	return r;
}

/* One block: the pointers, then the derived tags' text, then the stored ones'. */
int qube__vm_tag_list(char ***out, size_t *n, const struct qube__vm *vm)
{
	size_t count = vm->n_tags + DERIVED;
	size_t bytes = count * sizeof(char *) + (size_t)DERIVED * (QUBE__NAME_MAX + 16);
	char **list;
	char *text;
	size_t used = 0;

	for (size_t i = 0; i < vm->n_tags; i++)
		bytes += strlen(vm->tags[i]) + 1;
	list = malloc(bytes);
	if (!list)
		return qube__fail_nomem();
	text = (char *)(list + count);
	for (size_t i = 0; i < vm->n_tags; i++) {
		size_t len = strlen(vm->tags[i]) + 1;

		list[used++] = memcpy(text, vm->tags[i], len);
		text += len;
	}
	for (size_t i = 0; i < DERIVED; i++) {
		struct qube__prop_value v;
		size_t at = used;

		qube__vm_prop_read(&v, vm, derived[i].prop);
		if (!v.text)
			continue;
		snprintf(text, QUBE__NAME_MAX + 16, "%s%s", derived[i].prefix, v.text);
		for (; at && strcmp(list[at - 1], text) > 0; at--)
			list[at] = list[at - 1];
		list[at] = text;
		text += strlen(text) + 1;
		used++;
	}
	*out = list;
	*n = used;
	return 0;
}

/* --- features --- */
static size_t feature_place(const struct qube__vm *vm, const char *name, bool *found)
{
	size_t low = 0;
	size_t high = vm->n_features;

	*found = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = strcmp(vm->features[mid].name, name);

		if (c == 0) {
			*found = true;
			return mid;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const char *qube__vm_feature_find(const struct qube__vm *vm, const char *name)
{
	bool found;
	size_t at = feature_place(vm, name, &found);

	return found ? vm->features[at].value : NULL;
}

const char *qube__vm_feature_check(const struct qube__vm *vm, const char *name, uint32_t chain)
{
	const struct qube__vm *at = vm;

	for (uint32_t i = 0; at && i < STEPS_MAX; i++) {
		const char *v = qube__vm_feature_find(at, name);

		if (v)
			return v;
		if (chain & QUBE__CHAIN_TEMPLATE)
			at = qube__vm_sound_template(at);
		else
			at = chain & QUBE__CHAIN_NETVM ? qube__vm_netvm(at) : NULL;
	}
	return chain & QUBE__CHAIN_ADMIN ? qube__vm_feature_find(vm->model->dom0, name) : NULL;
}

int qube__vm_feature_get(const char **out, const struct qube__vm *vm, const char *name,
			 uint32_t chain)
{
	const char *v = qube__vm_feature_check(vm, name, chain);
	char safe[96];

	if (!v) {
		qube__text_escape(safe, sizeof(safe), name, strlen(name));
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_FEATURE_NOT_FOUND,
					 "Feature not set for domain %s: %s", vm->name, safe);
	}
	*out = v;
	return 0;
}

/* Some features become names of files or keys in the qube (admin-api.md 6.2). */
static const char *feature_fault(const char *name, const char *value)
{
	const char *rest;

	if (!qube__name_is_feature(name, strlen(name)))
		return "its name has other characters than letters, digits, '_', '-' and '.'";
	if (!qube__name_is_feature_value(value, strlen(value)))
		return "its value is not printable ASCII or too long";
	if (strncmp(name, "service.", 8) == 0) {
		rest = name + 8;
		if (!*rest || strlen(rest) > 48 || strcmp(rest, ".") == 0 ||
		    strcmp(rest, "..") == 0)
			return "not the name of a service";
	} else if (strncmp(name, "vm-config.", 10) == 0) {
		rest = name + 10;
		if (strlen(rest) > 52 ||
		    !((*rest >= 'a' && *rest <= 'z') || (*rest >= 'A' && *rest <= 'Z')))
			return "not the name of a vm-config key";
	}
	return NULL;
}

int qube__vm_feature_put(struct qube__vm *vm, const char *name, const char *value)
{
	const char *fault = feature_fault(name, value);
	qube__autofree char *name_copy = NULL;
	qube__autofree char *value_copy = NULL;
	struct qube__feature *grown;
	char safe[96];
	bool found;
	size_t at;

	if (fault) {
		qube__text_escape(safe, sizeof(safe), name, strlen(name));
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL, "feature '%s': %s", safe,
					 fault);
	}
	at = feature_place(vm, name, &found);
	value_copy = strdup(value);
	if (!value_copy)
		return qube__fail_nomem();
	if (found) {
		free(vm->features[at].value);
		vm->features[at].value = qube__steal(value_copy);
		return 0;
	}
	if (vm->n_features == QUBE__FEATURES_MAX)
		return qube__fail(QUBE_E_LIMIT, "'%s' has %d features already", vm->name,
				  QUBE__FEATURES_MAX);
	name_copy = strdup(name);
	grown = name_copy ? realloc(vm->features, (vm->n_features + 1) * sizeof(*grown)) : NULL;
	if (!grown)
		return qube__fail_nomem();
	vm->features = grown;
	memmove(grown + at + 1, grown + at, (vm->n_features - at) * sizeof(*grown));
	grown[at] = (struct qube__feature){ .name = qube__steal(name_copy),
					    .value = qube__steal(value_copy) };
	vm->n_features++;
	return 0;
}

static struct qube__feature feature_take(struct qube__vm *vm, size_t at)
{
	struct qube__feature f = vm->features[at];

	vm->n_features--;
	memmove(vm->features + at, vm->features + at + 1,
		(vm->n_features - at) * sizeof(*vm->features));
	return f;
}

static void feature_back(struct qube__vm *vm, size_t at, struct qube__feature f)
{
	memmove(vm->features + at + 1, vm->features + at,
		(vm->n_features - at) * sizeof(*vm->features));
	vm->features[at] = f;
	vm->n_features++;
}

int qube__vm_feature_set(struct qube__vm *vm, const char *name, const char *value)
{
	qube__autofree char *old = NULL;
	struct qube__feature gone;
	bool was;
	size_t at = feature_place(vm, name, &was);
	int r;

	if (was && strcmp(vm->features[at].value, value) == 0)
		return 0;
	if (was) {
		old = strdup(vm->features[at].value);
		if (!old)
			return qube__fail_nomem();
	}
	r = qube__vm_feature_put(vm, name, value);
	if (r < 0)
		return r;
	r = qube__vm_changed(vm);
	if (r < 0 && was) {
		free(vm->features[at].value);
		vm->features[at].value = qube__steal(old);
	} else if (r < 0) {
		gone = feature_take(vm, at);
		free(gone.name);
		free(gone.value);
	}
	return r;
}

int qube__vm_feature_remove(struct qube__vm *vm, const char *name)
{
	struct qube__feature gone;
	const char *unused;
	bool found;
	size_t at = feature_place(vm, name, &found);
	int r;

	if (!found)
		return qube__vm_feature_get(&unused, vm, name, QUBE__CHAIN_SELF);
	gone = feature_take(vm, at);
	r = qube__vm_changed(vm);
	if (r < 0) {
		feature_back(vm, at, gone);
		return r;
	}
	free(gone.name);
	free(gone.value);
	return 0;
}

bool qube__feature_prohibited(const char *name)
{
	static const char *const names[] = { "deferred-netvm-original", "preload-dispvm",
					     "preload-dispvm-completed",
					     "preload-dispvm-in-progress" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* --- notes --- */
int qube__notes_check(char *out, const void *untrusted, size_t len)
{
	int r = qube__wire_note_clean(out, untrusted, len);

	if (r == QUBE_E_LIMIT)
		return qube__fail_detail(r, QUBE_D_PROTOCOL, "a note has at most %d bytes",
					 QUBE__NOTE_MAX);
	return r < 0 ? qube__fail_detail(r, QUBE_D_PROTOCOL, "a note is text in UTF-8") : 0;
}

int qube__vm_notes_set(struct qube__vm *vm, const void *untrusted, size_t len)
{
	qube__autofree char *text = malloc(len + 1);
	char *old = vm->notes;
	int r;

	if (!text)
		return qube__fail_nomem();
	r = qube__notes_check(text, untrusted, len);
	if (r < 0)
		return r;
	vm->notes = *text ? qube__steal(text) : NULL;
	r = qube__vm_changed(vm);
	if (r < 0) {
		free(vm->notes);
		vm->notes = old;
		return r;
	}
	free(old);
	return 0;
}
