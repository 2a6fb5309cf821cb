/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The first matching rule by look-ups alone. A request's source and target each have a short list
 * of tokens that would match them ("*", "@anyvm", name, uuid, class, tags ...); those that the
 * policy never uses drop out, the rest are looked up in the tree. The cost depends on the tags of
 * the two qubes, never on the number of rules. */
#include "policy/rules.h"

#include <qube/error.h>

#include <stdlib.h>

enum { KEYS_MAX = 2 * QUBE__POLICY_TAGS_MAX + 16, GROUPS_MAX = 3 };

struct keys {
	size_t n;
	uint32_t ids[KEYS_MAX];
};

static void add_id(struct keys *k, uint32_t id)
{
	if (id != QUBE__POLICY_NONE && k->n < KEYS_MAX)
		k->ids[k->n++] = id;
}

static void add_text(struct keys *k, const struct qube__policy_rules *r,
		     enum qube__policy_kind kind, const struct qube__policy_text *t)
{
	if (t->s)
		add_id(k, qube__policy_interned_id(r, kind, t->s, t->len, t->hash));
}

static void add_spelled(struct keys *k, const struct qube__policy_rules *r,
			enum qube__policy_kind kind, const char *s, size_t len)
{
	add_id(k, qube__policy_interned_id(r, kind, s, len, qube__policy_hash(s, len)));
}

static void add_tags(struct keys *k, const struct qube__policy_rules *r,
		     enum qube__policy_kind kind, const struct qube__policy_domain *d)
{
	for (size_t i = 0; i < d->n_tags; i++)
		add_text(k, r, kind, &d->tags[i]);
}

/* A name, a uuid or the administrative domain. */
static void add_qube(struct keys *k, const struct qube__policy_rules *r,
		     const struct qube__policy_who *x)
{
	if (x->kind == QUBE__PK_ADMIN) {
		add_id(k, QUBE__PK_ADMIN);
	} else if (x->d) {
		add_text(k, r, QUBE__PK_NAME, &x->d->name);
		add_text(k, r, QUBE__PK_UUID, &x->d->uuid);
	} else {
		add_spelled(k, r, x->kind, x->value, x->value_len);
	}
	if (x->d && !x->keyword) {
		add_text(k, r, QUBE__PK_TYPE, &x->d->type);
		add_tags(k, r, QUBE__PK_TAG, x->d);
	}
}

static void add_usual_dispvm(struct keys *k, const struct qube__policy_call *call)
{
	const struct qube__policy_domain *source = call->source.d;
	const struct qube__policy_domain *m;
	const struct qube__policy_text *usual;

	if (!source || !source->default_dispvm.s)
		return;
	usual = &source->default_dispvm;
	/* By its exact spelling only; the tag's rule looks at the qube behind it. */
	if (usual->len > 5 && !__builtin_memcmp(usual->s, "uuid:", 5))
		add_spelled(k, call->rules, QUBE__PK_DISPVM_UUID, usual->s + 5, usual->len - 5);
	else
		add_text(k, call->rules, QUBE__PK_DISPVM_NAME, usual);
	m = qube__policy_system_find(call->sys, usual->s, usual->len);
	if (m && m->template_for_dispvms)
		add_tags(k, call->rules, QUBE__PK_DISPVM_TAG, m);
}

static void source_keys(struct keys *k, const struct qube__policy_call *call)
{
	k->n = 0;
	add_id(k, QUBE__PK_STAR);
	if (call->source.kind != QUBE__PK_ADMIN)
		add_id(k, QUBE__PK_ANYVM);
	add_qube(k, call->rules, &call->source);
}

static void target_keys(struct keys *k, const struct qube__policy_call *call)
{
	const struct qube__policy_who *x = &call->target;

	k->n = 0;
	add_id(k, QUBE__PK_STAR);
	if (x->kind != QUBE__PK_ADMIN)
		add_id(k, QUBE__PK_ANYVM);
	switch ((int)x->kind) {
	case QUBE__PK_DEFAULT:
		add_id(k, QUBE__PK_DEFAULT);
		break;
	case QUBE__PK_DISPVM:
		add_id(k, QUBE__PK_DISPVM);
		add_usual_dispvm(k, call);
		break;
	case QUBE__PK_DISPVM_NAME:
	case QUBE__PK_DISPVM_UUID:
		add_text(k, call->rules, QUBE__PK_DISPVM_NAME, &x->d->name);
		add_text(k, call->rules, QUBE__PK_DISPVM_UUID, &x->d->uuid);
		if (x->d->template_for_dispvms)
			add_tags(k, call->rules, QUBE__PK_DISPVM_TAG, x->d);
		break;
	default:
		add_qube(k, call->rules, x);
		break;
	}
}

/* Nodes of the argument level: (service, argument), (service, *), (*, *). */
static size_t find_groups(uint32_t out[GROUPS_MAX], const struct qube__policy_call *call)
{
	const struct qube__policy_rules *r = call->rules;
	uint32_t services[2];
	uint32_t arg;
	uint32_t node;
	size_t n = 0;

	services[0] =
		qube__policy_interned_id(r, QUBE__PK_SERVICE, call->service, call->service_len,
					 qube__policy_hash(call->service, call->service_len));
	services[1] = QUBE__PK_STAR;
	for (int i = 0; i < 2; i++) {
		node = qube__policy_node_find(r, 0, services[i]);
		if (!node)
			continue;
		out[n] = qube__policy_node_find(r, node, QUBE__PK_STAR);
		n += out[n] != 0;
		if (i > 0)
			continue; /* every service stands with every argument only */
		arg = qube__policy_interned_id(
			r, QUBE__PK_ARGUMENT, call->argument, call->argument_len,
			qube__policy_hash(call->argument, call->argument_len));
		out[n] = qube__policy_node_find(r, node, arg);
		n += out[n] != 0;
	}
	return n;
}

uint32_t qube__policy_find(const struct qube__policy_call *call)
{
	const struct qube__policy_rules *r = call->rules;
	struct keys sources;
	struct keys targets;
	uint32_t groups[GROUPS_MAX];
	uint32_t best = QUBE__POLICY_NONE;
	size_t n = find_groups(groups, call);

	source_keys(&sources, call);
	target_keys(&targets, call);
	for (size_t g = 0; g < n; g++) {
		for (size_t s = 0; s < sources.n; s++) {
			uint32_t node = qube__policy_node_find(r, groups[g], sources.ids[s]);

			if (!node || r->nodes[node].first >= best)
				continue;
			for (size_t t = 0; t < targets.n; t++) {
				uint32_t leaf = qube__policy_node_find(r, node, targets.ids[t]);

				if (leaf && r->nodes[leaf].first < best)
					best = r->nodes[leaf].first;
			}
		}
	}
	return best;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int qube__policy_find_all(uint32_t **out, size_t *n, const struct qube__policy_call *call)
{
	const struct qube__policy_rules *r = call->rules;
	struct keys sources;
	uint32_t groups[GROUPS_MAX];
	size_t n_groups = find_groups(groups, call);
	uint32_t *list = NULL;
	size_t count = 0;
	size_t cap = 0;

	source_keys(&sources, call);
	for (size_t g = 0; g < n_groups; g++) {
		for (size_t s = 0; s < sources.n; s++) {
			uint32_t node = qube__policy_node_find(r, groups[g], sources.ids[s]);
			uint32_t i = node ? r->nodes[node].first : QUBE__POLICY_NONE;

			for (; i != QUBE__POLICY_NONE; i = r->rules[i].next) {
				if (count == cap) {
					uint32_t *grown;

					cap = cap ? cap * 2 : 64;
					grown = reallocarray(list, cap, sizeof(*list));
					if (!grown) {
						free(list);
						return QUBE_E_NOMEM;
					}
					list = grown;
				}
				list[count++] = i;
			}
		}
	}
	if (count)
		qsort(list, count, sizeof(*list), by_number);
	*out = list;
	*n = count;
	return 0;
}
