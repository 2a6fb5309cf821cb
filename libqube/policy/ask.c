/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a prompt offers: policy.md 6, "ask". The set is a few bits for each qube, so that the walk
 * over the rules costs no comparisons of texts. */
#include "policy/rules.h"

#include "base/cleanup.h"

#include <qube/error.h>

#include <stdlib.h>
#include <string.h>

enum { OFFER_QUBE = 1, OFFER_DISPVM = 2 };

struct offer {
	const struct qube__policy_call *call;
	unsigned char *bits; /* for each qube of the system */
	bool dispvm;	     /* the plain keyword */
	bool admin;	     /* the keyword, or dom0 that the system does not list */
};

static void mark(unsigned char *bits, unsigned char bit, bool add)
{
	*bits = (unsigned char)(add ? *bits | bit : *bits & ~bit);
}

static void mark_qube(struct offer *o, const struct qube__policy_domain *d, bool add)
{
	/* One administrative domain, however it is spelled. */
	if (d->admin)
		o->admin = add;
	else
		mark(&o->bits[d->index], OFFER_QUBE, add);
}

static void mark_all(struct offer *o, bool with_admin, bool add)
{
	const struct qube__policy_system *sys = o->call->sys;

	for (size_t i = 0; i < sys->count; i++) {
		if (!sys->list[i]->admin || with_admin)
			mark_qube(o, sys->list[i], add);
		if (sys->list[i]->template_for_dispvms)
			mark(&o->bits[i], OFFER_DISPVM, add);
	}
	o->dispvm = add;
}

static void mark_some(struct offer *o, const struct qube__policy_token *t, bool add)
{
	const struct qube__policy_system *sys = o->call->sys;
	const char *value = t->text + t->value_at;

	for (size_t i = 0; i < sys->count; i++) {
		const struct qube__policy_domain *d = sys->list[i];

		if (t->kind == QUBE__PK_TYPE && !strcmp(d->type.s, value))
			mark_qube(o, d, add);
		else if (t->kind == QUBE__PK_TAG && qube__policy_domain_tagged(d, value))
			mark_qube(o, d, add);
		else if (t->kind == QUBE__PK_DISPVM_TAG && d->template_for_dispvms &&
			 qube__policy_domain_tagged(d, value))
			mark(&o->bits[i], OFFER_DISPVM, add);
	}
}

/* Adds what the token stands for, or takes it away. */
static void mark_token(struct offer *o, const struct qube__policy_token *t, bool add)
{
	const struct qube__policy_system *sys = o->call->sys;
	const char *value = t->text + t->value_at;
	const struct qube__policy_domain *d;

	switch ((int)t->kind) {
	case QUBE__PK_STAR:
	case QUBE__PK_ANYVM:
		mark_all(o, t->kind == QUBE__PK_STAR, add);
		break;
	case QUBE__PK_ADMIN:
		o->admin = add;
		break;
	case QUBE__PK_DISPVM:
		o->dispvm = add;
		break;
	case QUBE__PK_TYPE:
	case QUBE__PK_TAG:
	case QUBE__PK_DISPVM_TAG:
		mark_some(o, t, add);
		break;
	case QUBE__PK_NAME:
	case QUBE__PK_UUID:
		d = qube__policy_system_find(sys, t->text, strlen(t->text));
		if (d)
			mark_qube(o, d, add);
		break;
	case QUBE__PK_DISPVM_NAME:
	case QUBE__PK_DISPVM_UUID:
		d = t->kind == QUBE__PK_DISPVM_NAME ?
			    qube__policy_system_name(sys, value, strlen(value)) :
			    qube__policy_system_uuid(sys, value, strlen(value));
		if (d && d->template_for_dispvms)
			mark(&o->bits[d->index], OFFER_DISPVM, add);
		break;
	default:
		break; /* @default offers nothing */
	}
}

/* Step 4: keywords get their names, the source and what is internal disappear. */
static void settle(struct offer *o)
{
	const struct qube__policy_system *sys = o->call->sys;
	const struct qube__policy_who *source = &o->call->source;

	if (o->dispvm && source->d && source->d->default_dispvm.s) {
		const struct qube__policy_text *usual = &source->d->default_dispvm;
		const struct qube__policy_domain *d =
			qube__policy_system_find(sys, usual->s, usual->len);

		if (d)
			o->bits[d->index] |= OFFER_DISPVM;
	}
	for (size_t i = 0; i < sys->count; i++) {
		if (sys->list[i]->internal)
			o->bits[i] = 0;
		if (sys->list[i] == source->d)
			mark(&o->bits[i], OFFER_QUBE, false);
	}
	if (source->kind == QUBE__PK_ADMIN)
		o->admin = false;
}

static void keep_running(struct offer *o)
{
	const struct qube__policy_system *sys = o->call->sys;

	for (size_t i = 0; i < sys->count; i++) {
		mark(&o->bits[i], OFFER_DISPVM, false);
		if (!sys->list[i]->running)
			o->bits[i] = 0;
	}
}

static int offer_text(struct qube__policy_result *res, const char *prefix, const char *name)
{
	size_t n = strlen(prefix);
	size_t len = strlen(name);
	char *s = malloc(n + len + 1);

	if (!s)
		return QUBE_E_NOMEM;
	memcpy(s, prefix, n);
	memcpy(s + n, name, len + 1);
	res->targets[res->n_targets++] = s;
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int offer_write(struct qube__policy_result *res, const struct offer *o)
{
	const struct qube__policy_system *sys = o->call->sys;
	size_t n = o->admin;

	for (size_t i = 0; i < sys->count; i++)
		n += (size_t)__builtin_popcount(o->bits[i]);
	if (!n)
		return 0;
	res->targets = calloc(n, sizeof(*res->targets));
	if (!res->targets)
		return QUBE_E_NOMEM;
	if (o->admin && offer_text(res, "", "dom0") < 0)
		return QUBE_E_NOMEM;
	for (size_t i = 0; i < sys->count; i++) {
		const char *name = sys->list[i]->name.s;

		if (((o->bits[i] & OFFER_QUBE) && offer_text(res, "", name) < 0) ||
		    ((o->bits[i] & OFFER_DISPVM) && offer_text(res, "@dispvm:", name) < 0))
			return QUBE_E_NOMEM;
	}
	qsort(res->targets, n, sizeof(*res->targets), by_text);
	return 0;
}

static int offer_rules(struct qube__policy_result *res, const struct qube__policy_call *call,
		       const struct qube__policy_rule *rule)
{
	qube__autofree unsigned char *bits = calloc(call->sys->count + 1, 1);
	qube__autofree uint32_t *list = NULL;
	struct offer o = { .call = call, .bits = bits };
	size_t n = 0;

	if (!bits || qube__policy_find_all(&list, &n, call) < 0)
		return QUBE_E_NOMEM;
	/* From the last to the first, so that an earlier rule has the last word. */
	while (n--) {
		const struct qube__policy_rule *at = &call->rules->rules[list[n]];

		mark_token(&o, at->redirect.text ? &at->redirect : &at->target,
			   at->action != QUBE__PA_DENY);
	}
	settle(&o);
	if (!rule->autostart)
		keep_running(&o);
	return offer_write(res, &o);
}

/* target= on the rule: that one alone, and only if a call to it could work. */
static int offer_one(struct qube__policy_result *res, const struct qube__policy_call *call,
		     const struct qube__policy_rule *rule, enum qube__policy_cause *cause)
{
	const char *text = rule->redirect.text;
	const char *prefix = "";
	struct qube__policy_who who;
	bool disposable;

	*cause = qube__policy_who_target(&who, call->sys, text, strlen(text));
	if (*cause != QUBE__POLICY_CAUSE_NONE)
		return 0;
	if (who.kind == QUBE__PK_DISPVM) {
		*cause = QUBE__POLICY_CAUSE_NO_DISPVM;
		if (!call->source.d || !call->source.d->default_dispvm.s)
			return 0;
		prefix = "@dispvm:";
		text = call->source.d->default_dispvm.s;
	} else if (who.kind == QUBE__PK_ADMIN) {
		text = "dom0";
	}
	disposable = who.kind != QUBE__PK_NAME && who.kind != QUBE__PK_UUID &&
		     who.kind != QUBE__PK_ADMIN;
	*cause = QUBE__POLICY_CAUSE_NO_ASK_TARGETS;
	if (who.kind == QUBE__PK_DEFAULT)
		return 0;
	if (!rule->autostart && who.kind != QUBE__PK_ADMIN && (disposable || !who.d->running))
		return 0;
	*cause = QUBE__POLICY_CAUSE_NONE;
	res->targets = calloc(1, sizeof(*res->targets));
	if (!res->targets)
		return QUBE_E_NOMEM;
	return offer_text(res, prefix, text);
}

/* Selects the rule's default_target if it is offered, by name or under its own spelling. */
static void choose_default(struct qube__policy_result *res, const struct qube__policy_call *call,
			   const struct qube__policy_token *t)
{
	struct qube__policy_who who;
	const char *prefix = "";
	const char *name;
	size_t n;

	if (qube__policy_who_target(&who, call->sys, t->text, strlen(t->text)) !=
		    QUBE__POLICY_CAUSE_NONE ||
	    who.kind == QUBE__PK_DEFAULT)
		return;
	if (who.kind == QUBE__PK_ADMIN) {
		name = "dom0";
	} else if (who.kind == QUBE__PK_DISPVM) {
		prefix = "@dispvm:";
		name = call->source.d ? call->source.d->default_dispvm.s : NULL;
	} else {
		prefix = who.kind == QUBE__PK_NAME || who.kind == QUBE__PK_UUID ? "" : "@dispvm:";
		name = who.d->name.s;
	}
	if (!name)
		return;
	n = strlen(prefix);
	for (size_t i = 0; i < res->n_targets; i++) {
		const char *s = res->targets[i];
		size_t len = strlen(s);

		if ((!strncmp(s, prefix, n) && !strcmp(s + n, name)) || !strcmp(s, t->text)) {
			if (len < sizeof(res->default_target))
				memcpy(res->default_target, s, len + 1);
			return;
		}
	}
}

int qube__policy_offer(struct qube__policy_result *res, const struct qube__policy_call *call,
		       const struct qube__policy_rule *rule, enum qube__policy_cause *cause)
{
	int r;

	*cause = QUBE__POLICY_CAUSE_NONE;
	r = rule->redirect.text ? offer_one(res, call, rule, cause) : offer_rules(res, call, rule);
	if (r < 0 || *cause != QUBE__POLICY_CAUSE_NONE)
		return r;
	if (!res->n_targets) {
		*cause = QUBE__POLICY_CAUSE_NO_ASK_TARGETS;
		return 0;
	}
	if (rule->default_target.text)
		choose_default(res, call, &rule->default_target);
	return 0;
}
