/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Who can reach whom. Nothing here understands a rule: each call that could make a difference is
 * decided by the policy. Those are all services and arguments that rules name, one more of each
 * that none names, from every qube to every target. */
#include "policy_reach.h"

#include <qube/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Stand for what no rule names. A rule cannot name them: see is_named(). */
static const char other_service[] = "qube.graph.AnyOther";
static const char other_argument[] = "+qube-graph-any-other";

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_text(char ***list, size_t *n, const char *text)
{
	char **grown = reallocarray(*list, *n + 1, sizeof(**list));

	if (!grown)
		return QUBE_E_NOMEM;
	*list = grown;
	grown[*n] = strdup(text);
	if (!grown[*n])
		return QUBE_E_NOMEM;
	(*n)++;
	return 0;
}

static void free_list(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

/* Sorted, each once. */
static size_t unique(char **list, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(list, n, sizeof(*list), by_text);
	for (size_t i = 0; i < n; i++) {
		if (kept && strcmp(list[kept - 1], list[i]) == 0)
			free(list[i]);
		else
			list[kept++] = list[i];
	}
	return kept;
}

static int add_qubes(struct policy_reach *r, qube_policy *p)
{
	const char *name;
	int ret = 0;

	for (uint32_t i = 0; ret == 0 && qube_policy_qube_get(&name, p, i) == 0; i++)
		ret = add_text(&r->qubes, &r->n_qubes, name);
	r->n_qubes = unique(r->qubes, r->n_qubes);
	return ret;
}

static int add_services(struct policy_reach *r, qube_policy *p)
{
	struct qube_policy_near rule = { .size = sizeof(rule) };
	char text[65536 + 512];
	int ret = add_text(&r->services, &r->n_services, "*");

	for (uint32_t i = 0; ret == 0 && qube_policy_rule_get(&rule, p, i) == 0; i++) {
		if (strcmp(rule.service, "*") == 0)
			continue;
		snprintf(text, sizeof(text), "%s+*", rule.service);
		ret = add_text(&r->services, &r->n_services, text);
		if (ret == 0 && strcmp(rule.argument, "*") != 0) {
			snprintf(text, sizeof(text), "%s%s", rule.service, rule.argument);
			ret = add_text(&r->services, &r->n_services, text);
		}
	}
	r->n_services = unique(r->services, r->n_services);
	return ret;
}

/* The request for a service as an edge spells it. */
static void spell(char *service, size_t cap, const char **argument, const char *text)
{
	const char *plus = strchr(text, '+');

	if (strcmp(text, "*") == 0) {
		snprintf(service, cap, "%s", other_service);
		*argument = other_argument;
		return;
	}
	snprintf(service, cap, "%.*s", (int)(plus - text), text);
	*argument = strcmp(plus, "+*") == 0 ? other_argument : plus;
}

static bool is_named(qube_policy *p)
{
	struct qube_policy_near rule = { .size = sizeof(rule) };

	for (uint32_t i = 0; qube_policy_rule_get(&rule, p, i) == 0; i++)
		if (strcmp(rule.service, other_service) == 0 ||
		    strcmp(rule.argument, other_argument) == 0)
			return true;
	return false;
}

static int add_edge(struct policy_reach *r, const char *source, const char *target,
		    const char *service, const struct qube_policy_result *res)
{
	struct policy_edge *e;

	if (r->n_edges == r->room) {
		size_t room = r->room ? r->room * 2 : 64;

		e = reallocarray(r->edges, room, sizeof(*e));
		if (!e)
			return QUBE_E_NOMEM;
		r->edges = e;
		r->room = room;
	}
	e = &r->edges[r->n_edges++];
	*e = (struct policy_edge){
		.source = strdup(source),
		.target = strdup(target),
		.service = strdup(service),
		.file = strdup(res->file ? res->file : ""),
		.line = res->line,
		.ask = res->result == QUBE_POLICY_ASK,
	};
	return e->source && e->target && e->service && e->file ? 0 : QUBE_E_NOMEM;
}

/* Each target of a prompt is one that can be reached. */
static int take(struct policy_reach *r, const struct policy_wanted *w, const char *source,
		const char *service, const struct qube_policy_result *res)
{
	const char *const *targets = &res->target;
	uint32_t n = 1;
	int ret = 0;

	if (res->result == QUBE_POLICY_ASK) {
		targets = res->targets;
		n = res->n_targets;
	} else if (res->result != QUBE_POLICY_ALLOW) {
		return 0;
	}
	for (uint32_t i = 0; ret == 0 && i < n; i++)
		if (!w->target || strcmp(w->target, targets[i]) == 0)
			ret = add_edge(r, source, targets[i], service, res);
	return ret;
}

static int decide(struct policy_reach *r, qube_policy *p, const struct policy_wanted *w,
		  const char *source, const char *service, const char *target)
{
	struct qube_policy_result res = { .size = sizeof(res) };
	struct qube_policy_request req = { .size = sizeof(req),
					   .source = source,
					   .target = target };
	char name[512];
	int ret;

	spell(name, sizeof(name), &req.argument, service);
	req.service = name;
	if (w->service && strcmp(w->service, strcmp(service, "*") == 0 ? "*" : name) != 0)
		return 0;
	ret = qube_policy_evaluate(&res, p, &req);
	return ret < 0 ? ret : take(r, w, source, service, &res);
}

static int from(struct policy_reach *r, qube_policy *p, const struct policy_wanted *w,
		const char *source)
{
	static const char *const keywords[] = { "@default", "@dispvm" };
	int ret = 0;

	for (size_t s = 0; s < r->n_services && ret == 0; s++) {
		for (size_t k = 0; k < 2 && ret == 0; k++)
			ret = decide(r, p, w, source, r->services[s], keywords[k]);
		for (size_t t = 0; t < r->n_qubes && ret == 0; t++) {
			char disposable[512];

			ret = decide(r, p, w, source, r->services[s], r->qubes[t]);
			snprintf(disposable, sizeof(disposable), "@dispvm:%s", r->qubes[t]);
			if (ret == 0)
				ret = decide(r, p, w, source, r->services[s], disposable);
		}
	}
	return ret;
}

static int by_edge(const void *a, const void *b)
{
	const struct policy_edge *x = a;
	const struct policy_edge *y = b;
	int r = strcmp(x->source, y->source);

	if (!r)
		r = strcmp(x->target, y->target);
	if (!r)
		r = strcmp(x->service, y->service);
	if (!r)
		r = (int)x->ask - (int)y->ask;
	if (!r)
		r = strcmp(x->file, y->file);
	return r ? r : (x->line > y->line) - (x->line < y->line);
}

static void edge_fini(struct policy_edge *e)
{
	free(e->source);
	free(e->target);
	free(e->service);
	free(e->file);
}

/* "*" says it all for every service that the same rule decides, "app.Do+*" for every argument. */
static bool says(const struct policy_edge *more, const struct policy_edge *e)
{
	const char *plus = strchr(e->service, '+');

	if (more == e || strcmp(more->source, e->source) || strcmp(more->target, e->target) ||
	    strcmp(more->file, e->file) || more->line != e->line || more->ask != e->ask)
		return false;
	if (strcmp(more->service, "*") == 0)
		return true;
	return plus && strcmp(plus, "+*") != 0 &&
	       strncmp(more->service, e->service, (size_t)(plus - e->service)) == 0 &&
	       strcmp(more->service + (plus - e->service), "+*") == 0;
}

/* Sorted, those with the same ends are neighbours; from i on, which is the first of them. */
static bool is_said(const struct policy_reach *r, size_t first, const struct policy_edge *e)
{
	for (size_t i = first; i < r->n_edges; i++) {
		if (strcmp(r->edges[i].source, e->source) || strcmp(r->edges[i].target, e->target))
			return false;
		if (says(&r->edges[i], e))
			return true;
	}
	return false;
}

static void drop_said(struct policy_reach *r)
{
	bool *said = calloc(r->n_edges ? r->n_edges : 1, sizeof(*said));
	size_t first = 0;
	size_t kept = 0;

	for (size_t i = 0; said && i < r->n_edges; i++) {
		if (strcmp(r->edges[first].source, r->edges[i].source) ||
		    strcmp(r->edges[first].target, r->edges[i].target))
			first = i;
		said[i] = is_said(r, first, &r->edges[i]);
	}
	for (size_t i = 0; said && i < r->n_edges; i++) {
		if (said[i])
			edge_fini(&r->edges[i]);
		else
			r->edges[kept++] = r->edges[i];
	}
	if (said)
		r->n_edges = kept;
	free(said);
}

static void sort_edges(struct policy_reach *r)
{
	size_t kept = 0;

	if (r->n_edges)
		qsort(r->edges, r->n_edges, sizeof(*r->edges), by_edge);
	for (size_t i = 0; i < r->n_edges; i++) {
		if (kept && by_edge(&r->edges[kept - 1], &r->edges[i]) == 0)
			edge_fini(&r->edges[i]);
		else
			r->edges[kept++] = r->edges[i];
	}
	r->n_edges = kept;
}

int policy_reach_find(struct policy_reach *out, qube_policy *p, const struct policy_wanted *wanted)
{
	int r = qube_policy_check(p);

	*out = (struct policy_reach){ 0 };
	if (r < 0)
		return r;
	if (is_named(p))
		return QUBE_E_NOTSUP;
	r = add_qubes(out, p);
	if (r == 0)
		r = add_services(out, p);
	for (size_t i = 0; i < out->n_qubes && r == 0; i++)
		if (!wanted->source || strcmp(wanted->source, out->qubes[i]) == 0)
			r = from(out, p, wanted, out->qubes[i]);
	sort_edges(out);
	drop_said(out);
	return r;
}

void policy_reach_fini(struct policy_reach *r)
{
	for (size_t i = 0; i < r->n_edges; i++)
		edge_fini(&r->edges[i]);
	free(r->edges);
	free_list(r->qubes, r->n_qubes);
	free_list(r->services, r->n_services);
}
