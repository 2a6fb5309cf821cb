/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Storage of compiled rules and the tree of hash nodes. A node of level 1 stands for a service, its
 * children for arguments, theirs for sources and theirs for targets; the leaf keeps the first rule
 * of that combination, so a decision looks up combinations and never walks rules. Adding is
 * constant in time, so loading is linear. */
#include "policy/rules.h"

#include <qube/error.h>

#include <stdlib.h>
#include <string.h>

enum { ARENA_CHUNK = 32768 };

struct qube__policy_arena {
	struct qube__policy_arena *next;
	size_t used;
	size_t cap;
	char bytes[];
};

static char *arena_copy(struct qube__policy_rules *r, const char *s, size_t len)
{
	struct qube__policy_arena *a = r->arena;
	char *at;

	if (!a || a->cap - a->used < len + 1) {
		size_t cap = len + 1 > ARENA_CHUNK ? len + 1 : ARENA_CHUNK;

		a = malloc(sizeof(*a) + cap);
		if (!a)
			return NULL;
		a->used = 0;
		a->cap = cap;
		a->next = r->arena;
		r->arena = a;
	}
	at = a->bytes + a->used;
	if (len)
		memcpy(at, s, len);
	at[len] = '\0';
	a->used += len + 1;
	return at;
}

/* Makes room for one more element of size bytes. */
static int grow(void *pp, uint32_t *cap, uint32_t n, size_t size)
{
	void **p = pp;
	uint32_t bigger;
	void *q;

	if (n < *cap)
		return 0;
	bigger = *cap ? *cap * 2 : 64;
	q = reallocarray(*p, bigger, size);
	if (!q)
		return QUBE_E_NOMEM;
	*p = q;
	*cap = bigger;
	return 0;
}

static uint32_t kind_hash(enum qube__policy_kind kind, uint32_t hash)
{
	hash += (uint32_t)kind * 0x9e3779b1u;
	return hash ^ hash >> 15;
}

static int slots_grow(struct qube__policy_rules *r)
{
	uint32_t n = r->n_slots ? r->n_slots * 2 : 256;
	uint32_t *slots;

	if (r->n_slots && r->n_interned + 1 < r->n_slots / 2)
		return 0;
	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return QUBE_E_NOMEM;
	for (uint32_t id = 0; id < r->n_interned; id++) {
		uint32_t at = r->interned[id].hash & (n - 1);

		while (slots[at])
			at = (at + 1) & (n - 1);
		slots[at] = id + 1;
	}
	free(r->slots);
	r->slots = slots;
	r->n_slots = n;
	return 0;
}

uint32_t qube__policy_interned_id(const struct qube__policy_rules *r, enum qube__policy_kind kind,
				  const char *s, size_t len, uint32_t hash)
{
	uint32_t h = kind_hash(kind, hash);
	uint32_t at = h & (r->n_slots - 1);

	for (; r->slots[at]; at = (at + 1) & (r->n_slots - 1)) {
		const struct qube__policy_interned *i = &r->interned[r->slots[at] - 1];

		if (i->hash == h && i->kind == kind && i->len == len && !memcmp(i->s, s, len))
			return r->slots[at] - 1;
	}
	return QUBE__POLICY_NONE;
}

int qube__policy_intern(struct qube__policy_rules *r, uint32_t *id, const char **text,
			enum qube__policy_kind kind, const char *s, size_t len)
{
	uint32_t hash = qube__policy_hash(s, len);
	uint32_t got = qube__policy_interned_id(r, kind, s, len, hash);

	if (got == QUBE__POLICY_NONE) {
		const char *copy;
		uint32_t at;

		if (slots_grow(r) < 0 ||
		    grow(&r->interned, &r->cap_interned, r->n_interned, sizeof(*r->interned)) < 0)
			return QUBE_E_NOMEM;
		copy = arena_copy(r, s, len);
		if (!copy)
			return QUBE_E_NOMEM;
		got = r->n_interned++;
		r->interned[got] = (struct qube__policy_interned){
			.s = copy,
			.len = (uint32_t)len,
			.hash = kind_hash(kind, hash),
			.kind = kind,
		};
		at = r->interned[got].hash & (r->n_slots - 1);
		while (r->slots[at])
			at = (at + 1) & (r->n_slots - 1);
		r->slots[at] = got + 1;
	}
	if (id)
		*id = got;
	if (text)
		*text = r->interned[got].s;
	return 0;
}

static uint32_t edge_slot(const struct qube__policy_rules *r, uint32_t parent, uint32_t token)
{
	uint64_t h = ((uint64_t)parent << 32 | token) * 0x9e3779b97f4a7c15u;
	uint32_t at = (uint32_t)(h >> 32) & (r->cap_edges - 1);

	while (r->edges[at].node && (r->edges[at].parent != parent || r->edges[at].token != token))
		at = (at + 1) & (r->cap_edges - 1);
	return at;
}

uint32_t qube__policy_node_find(const struct qube__policy_rules *r, uint32_t parent, uint32_t token)
{
	if (token == QUBE__POLICY_NONE)
		return 0;
	return r->edges[edge_slot(r, parent, token)].node;
}

static int edges_grow(struct qube__policy_rules *r)
{
	struct qube__policy_edge *old = r->edges;
	uint32_t old_cap = r->cap_edges;
	uint32_t cap = old_cap ? old_cap * 2 : 256;
	struct qube__policy_edge *edges;

	if (old_cap && r->n_edges + 1 < old_cap / 2)
		return 0;
	edges = calloc(cap, sizeof(*edges));
	if (!edges)
		return QUBE_E_NOMEM;
	r->edges = edges;
	r->cap_edges = cap;
	for (uint32_t i = 0; i < old_cap; i++)
		if (old[i].node)
			edges[edge_slot(r, old[i].parent, old[i].token)] = old[i];
	free(old);
	return 0;
}

static int node_make(struct qube__policy_rules *r, uint32_t *out, uint32_t parent, uint32_t token)
{
	uint32_t at;

	if (edges_grow(r) < 0 || grow(&r->nodes, &r->cap_nodes, r->n_nodes, sizeof(*r->nodes)) < 0)
		return QUBE_E_NOMEM;
	at = edge_slot(r, parent, token);
	if (!r->edges[at].node) {
		r->nodes[r->n_nodes] =
			(struct qube__policy_node){ QUBE__POLICY_NONE, QUBE__POLICY_NONE };
		r->edges[at] = (struct qube__policy_edge){ parent, token, r->n_nodes++ };
		r->n_edges++;
	}
	*out = r->edges[at].node;
	return 0;
}

int qube__policy_rules_add(struct qube__policy_rules *r, const struct qube__policy_rule *rule)
{
	uint32_t index = r->n_rules;
	uint32_t node = 0;
	uint32_t leaf;
	struct qube__policy_node *n;

	if (index >= QUBE__POLICY_RULES_MAX)
		return QUBE_E_LIMIT;
	if (grow(&r->rules, &r->cap_rules, index, sizeof(*r->rules)) < 0 ||
	    node_make(r, &node, 0, rule->service.id) < 0 ||
	    node_make(r, &node, node, rule->argument.id) < 0 ||
	    node_make(r, &node, node, rule->source.id) < 0 ||
	    node_make(r, &leaf, node, rule->target.id) < 0)
		return QUBE_E_NOMEM;
	r->rules[index] = *rule;
	r->rules[index].next = QUBE__POLICY_NONE;
	n = &r->nodes[node];
	if (n->first == QUBE__POLICY_NONE)
		n->first = index;
	else
		r->rules[n->last].next = index;
	n->last = index;
	if (r->nodes[leaf].first == QUBE__POLICY_NONE)
		r->nodes[leaf].first = index;
	r->n_rules++;
	return 0;
}

int qube__policy_rules_watched(struct qube__policy_rules *r, const char *path, size_t len)
{
	const char *copy;

	if (qube__policy_intern(r, NULL, &copy, QUBE__PK_TEXT, path, len) < 0)
		return QUBE_E_NOMEM;
	for (uint32_t i = 0; i < r->n_watched; i++)
		if (r->watched[i] == copy)
			return 0;
	if (grow(&r->watched, &r->cap_watched, r->n_watched, sizeof(*r->watched)) < 0)
		return QUBE_E_NOMEM;
	r->watched[r->n_watched++] = copy;
	return 0;
}

int qube__policy_rules_new(struct qube__policy_rules **out)
{
	struct qube__policy_rules *r = calloc(1, sizeof(*r));
	uint32_t id;

	if (!r)
		return QUBE_E_NOMEM;
	r->refs = 1;
	if (slots_grow(r) < 0 || edges_grow(r) < 0 ||
	    grow(&r->nodes, &r->cap_nodes, 0, sizeof(*r->nodes)) < 0) {
		qube__policy_rules_unref(r);
		return QUBE_E_NOMEM;
	}
	r->nodes[r->n_nodes++] = (struct qube__policy_node){ QUBE__POLICY_NONE, QUBE__POLICY_NONE };
	for (int kind = QUBE__PK_STAR; kind <= QUBE__PK_DISPVM; kind++) {
		if (qube__policy_intern(r, &id, NULL, (enum qube__policy_kind)kind, "", 0) < 0) {
			qube__policy_rules_unref(r);
			return QUBE_E_NOMEM;
		}
	}
	*out = r;
	return 0;
}

struct qube__policy_rules *qube__policy_rules_ref(struct qube__policy_rules *r)
{
	r->refs++;
	return r;
}

void qube__policy_rules_unref(struct qube__policy_rules *r)
{
	if (!r || --r->refs)
		return;
	while (r->arena) {
		struct qube__policy_arena *next = r->arena->next;

		free(r->arena);
		r->arena = next;
	}
	free(r->interned);
	free(r->slots);
	free(r->rules);
	free(r->nodes);
	free(r->edges);
	free(r->watched);
	free(r->error);
	free(r);
}

enum qube__policy_state qube__policy_rules_state(const struct qube__policy_rules *r)
{
	return r->state;
}

size_t qube__policy_rules_count(const struct qube__policy_rules *r)
{
	return r->n_rules;
}

const char *qube__policy_rules_error(const struct qube__policy_rules *r, const char **file,
				     uint32_t *line)
{
	if (file)
		*file = r->error_file;
	if (line)
		*line = r->error_line;
	return r->state == QUBE__POLICY_USABLE ? NULL : r->error;
}
