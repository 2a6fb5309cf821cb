/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The table of qubes. One allocation holds a qube with all its texts, so it is made whole or not
 * at all. */
#include "policy/system.h"

#include <qube/error.h>

#include <stdlib.h>
#include <string.h>

static const char admin_uuid[] = "00000000-0000-0000-0000-000000000000";

static bool text_is(const struct qube__policy_text *t, const char *s, size_t len)
{
	return t->len == len && !memcmp(t->s, s, len);
}

const struct qube__policy_domain *qube__policy_system_name(const struct qube__policy_system *sys,
							   const char *name, size_t len)
{
	const struct qube__policy_domain *d;

	if (!sys->buckets)
		return NULL;
	d = sys->by_name[qube__policy_hash(name, len) & (sys->buckets - 1)];
	while (d && !text_is(&d->name, name, len))
		d = d->next_name;
	return d;
}

const struct qube__policy_domain *qube__policy_system_uuid(const struct qube__policy_system *sys,
							   const char *uuid, size_t len)
{
	const struct qube__policy_domain *d;

	if (!sys->buckets)
		return NULL;
	d = sys->by_uuid[qube__policy_hash(uuid, len) & (sys->buckets - 1)];
	while (d && !text_is(&d->uuid, uuid, len))
		d = d->next_uuid;
	return d;
}

const struct qube__policy_domain *qube__policy_system_find(const struct qube__policy_system *sys,
							   const char *spelling, size_t len)
{
	if (len > 5 && !memcmp(spelling, "uuid:", 5))
		return qube__policy_system_uuid(sys, spelling + 5, len - 5);
	return qube__policy_system_name(sys, spelling, len);
}

static bool text_fits(const char *s)
{
	return !s || strnlen(s, QUBE__POLICY_NAME_MAX + 1) <= QUBE__POLICY_NAME_MAX;
}

static size_t text_size(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

static int qube_check(const struct qube__policy_qube *q, size_t *bytes)
{
	size_t sum = 0;

	if (!q->name || !*q->name || !q->type || q->n_tags > QUBE__POLICY_TAGS_MAX ||
	    !text_fits(q->name) || !text_fits(q->type) || !text_fits(q->uuid) ||
	    !text_fits(q->default_dispvm) || !text_fits(q->guivm) || !text_fits(q->relayvm) ||
	    !text_fits(q->transport_rpc))
		return QUBE_E_INVALID;
	/* Such a name would be taken for a keyword or for another qube's uuid. */
	if (q->name[0] == '@' || !strcmp(q->name, "*") || !strncmp(q->name, "uuid:", 5))
		return QUBE_E_INVALID;
	/* The all-zero uuid is a spelling of dom0, nobody else's. */
	if (q->uuid && !strcmp(q->uuid, admin_uuid) && strcmp(q->name, "dom0") != 0)
		return QUBE_E_INVALID;
	for (size_t i = 0; i < q->n_tags; i++) {
		if (!q->tags[i] || !text_fits(q->tags[i]))
			return QUBE_E_INVALID;
		sum += text_size(q->tags[i]);
	}
	sum += text_size(q->name) + text_size(q->type) + text_size(q->uuid) +
	       text_size(q->default_dispvm) + text_size(q->guivm) + text_size(q->relayvm) +
	       text_size(q->transport_rpc);
	*bytes = sum;
	return 0;
}

static const char *place(char **at, const char *s)
{
	char *to = *at;
	size_t n = text_size(s);

	if (!s)
		return NULL;
	memcpy(to, s, n);
	*at += n;
	return to;
}

static struct qube__policy_text place_text(char **at, const char *s)
{
	struct qube__policy_text t = { NULL, 0, 0 };

	if (!s)
		return t;
	t.s = place(at, s);
	t.len = (uint32_t)strlen(s);
	t.hash = qube__policy_hash(t.s, t.len);
	return t;
}

static const char *none_if_empty(const char *s)
{
	return s && *s ? s : NULL;
}

static struct qube__policy_domain *domain_new(const struct qube__policy_qube *q, size_t bytes)
{
	struct qube__policy_domain *d =
		calloc(1, sizeof(*d) + q->n_tags * sizeof(*d->tags) + bytes);
	char *at;

	if (!d)
		return NULL;
	d->tags = (struct qube__policy_text *)(void *)(d + 1);
	d->n_tags = q->n_tags;
	at = (char *)(d->tags + q->n_tags);
	for (size_t i = 0; i < q->n_tags; i++)
		d->tags[i] = place_text(&at, q->tags[i]);
	d->name = place_text(&at, q->name);
	d->type = place_text(&at, q->type);
	d->uuid = place_text(&at, none_if_empty(q->uuid));
	d->default_dispvm = place_text(&at, none_if_empty(q->default_dispvm));
	d->guivm = place(&at, none_if_empty(q->guivm));
	d->relayvm = place(&at, none_if_empty(q->relayvm));
	d->transport_rpc = place(&at, none_if_empty(q->transport_rpc));
	d->template_for_dispvms = q->template_for_dispvms;
	d->internal = q->internal;
	d->running = q->power_state && !strcmp(q->power_state, "Running");
	d->admin = !strcmp(q->name, "dom0");
	d->remote = !strcmp(q->type, "RemoteVM");
	return d;
}

static void link_domain(struct qube__policy_system *sys, struct qube__policy_domain *d)
{
	struct qube__policy_domain **bucket = &sys->by_name[d->name.hash & (sys->buckets - 1)];

	d->next_name = *bucket;
	*bucket = d;
	if (!d->uuid.s)
		return;
	bucket = &sys->by_uuid[d->uuid.hash & (sys->buckets - 1)];
	d->next_uuid = *bucket;
	*bucket = d;
}

static void unlink_domain(struct qube__policy_system *sys, struct qube__policy_domain *d)
{
	struct qube__policy_domain **pos = &sys->by_name[d->name.hash & (sys->buckets - 1)];

	while (*pos != d)
		pos = &(*pos)->next_name;
	*pos = d->next_name;
	if (!d->uuid.s)
		return;
	pos = &sys->by_uuid[d->uuid.hash & (sys->buckets - 1)];
	while (*pos != d)
		pos = &(*pos)->next_uuid;
	*pos = d->next_uuid;
}

static int system_grow(struct qube__policy_system *sys)
{
	size_t cap = sys->cap ? sys->cap * 2 : 64;
	struct qube__policy_domain **list;
	struct qube__policy_domain **names;
	struct qube__policy_domain **uuids;

	if (sys->count < sys->cap)
		return 0;
	if (cap > QUBE__POLICY_QUBES_MAX)
		return QUBE_E_LIMIT;
	names = calloc(cap * 2, sizeof(struct qube__policy_domain *));
	uuids = calloc(cap * 2, sizeof(struct qube__policy_domain *));
	list = reallocarray(sys->list, cap, sizeof(struct qube__policy_domain *));
	if (list)
		sys->list = list;
	if (!names || !uuids || !list) {
		free(names);
		free(uuids);
		return QUBE_E_NOMEM;
	}
	free(sys->by_name);
	free(sys->by_uuid);
	sys->by_name = names;
	sys->by_uuid = uuids;
	sys->buckets = cap * 2;
	sys->cap = cap;
	for (size_t i = 0; i < sys->count; i++)
		link_domain(sys, sys->list[i]);
	return 0;
}

int qube__policy_system_put(struct qube__policy_system *sys, const struct qube__policy_qube *q)
{
	const struct qube__policy_domain *other;
	struct qube__policy_domain *d;
	size_t bytes;
	int r = qube_check(q, &bytes);

	if (r < 0)
		return r;
	if (q->uuid && *q->uuid) {
		other = qube__policy_system_uuid(sys, q->uuid, strlen(q->uuid));
		if (other && strcmp(other->name.s, q->name) != 0)
			return QUBE_E_EXISTS;
	}
	r = system_grow(sys);
	if (r < 0)
		return r;
	d = domain_new(q, bytes);
	if (!d)
		return QUBE_E_NOMEM;
	other = qube__policy_system_name(sys, q->name, strlen(q->name));
	if (other) {
		struct qube__policy_domain *old = sys->list[other->index];

		d->index = old->index;
		unlink_domain(sys, old);
		free(old);
	} else {
		d->index = sys->count++;
	}
	sys->list[d->index] = d;
	link_domain(sys, d);
	return 0;
}

int qube__policy_system_remove(struct qube__policy_system *sys, const char *name)
{
	const struct qube__policy_domain *found = qube__policy_system_name(sys, name, strlen(name));
	struct qube__policy_domain *d;

	if (!found)
		return QUBE_E_NOENT;
	d = sys->list[found->index];
	unlink_domain(sys, d);
	sys->count--;
	sys->list[d->index] = sys->list[sys->count];
	sys->list[d->index]->index = d->index;
	free(d);
	return 0;
}

int qube__policy_system_set_power(struct qube__policy_system *sys, const char *name,
				  const char *power_state)
{
	const struct qube__policy_domain *found = qube__policy_system_name(sys, name, strlen(name));

	if (!found)
		return QUBE_E_NOENT;
	sys->list[found->index]->running = power_state && !strcmp(power_state, "Running");
	return 0;
}

void qube__policy_system_fini(struct qube__policy_system *sys)
{
	for (size_t i = 0; i < sys->count; i++)
		free(sys->list[i]);
	free(sys->list);
	free(sys->by_name);
	free(sys->by_uuid);
	*sys = (struct qube__policy_system){ 0 };
}
