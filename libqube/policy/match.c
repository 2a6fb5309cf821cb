/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The one canonical request: what the caller wrote becomes typed once, here, and everything after
 * looks at the types (policy.md 5). The request's texts are untrusted. Also the plain comparison of
 * a rule with a request (policy.md 3). */
#include "policy/rules.h"

#include <qube/error.h>

#include <string.h>

/* Printable ASCII without space: a name may have any of it and is then just unknown. */
static bool is_plain(const char *untrusted, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (untrusted[i] <= ' ' || untrusted[i] > '~')
			return false;
	return true;
}

static bool is_service(const char *untrusted, size_t len, bool plus)
{
	for (size_t i = 0; i < len; i++) {
		char c = untrusted[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '.' || c == '_' || (plus && c == '+')))
			return false;
	}
	return true;
}

static void who_set(struct qube__policy_who *out, const struct qube__policy_spelled *sp,
		    const char *text, size_t len)
{
	*out = (struct qube__policy_who){
		.kind = sp->kind,
		.text = text,
		.len = len,
		.value = sp->value,
		.value_len = sp->len,
	};
}

enum qube__policy_cause qube__policy_who_target(struct qube__policy_who *out,
						const struct qube__policy_system *sys,
						const char *text, size_t len)
{
	static const struct qube__policy_who unknown = { .kind = QUBE__PK_DEFAULT,
							 .text = "@default",
							 .len = 8 };
	struct qube__policy_spelled sp;

	*out = unknown;
	if (!len)
		return QUBE__POLICY_CAUSE_NONE;
	if (qube__policy_spelled_parse(&sp, text, len) < 0 ||
	    !qube__policy_kind_allowed(sp.kind, QUBE__PP_REQUEST))
		return QUBE__POLICY_CAUSE_BAD_TARGET;
	switch ((int)sp.kind) {
	case QUBE__PK_ADMIN:
		who_set(out, &sp, text, len);
		out->keyword = text[0] == '@';
		out->d = qube__policy_system_name(sys, "dom0", 4);
		break;
	case QUBE__PK_NAME:
	case QUBE__PK_UUID:
		who_set(out, &sp, text, len);
		out->d = sp.kind == QUBE__PK_NAME ?
				 qube__policy_system_name(sys, sp.value, sp.len) :
				 qube__policy_system_uuid(sys, sp.value, sp.len);
		if (!out->d)
			*out = unknown;
		break;
	case QUBE__PK_DISPVM_NAME:
	case QUBE__PK_DISPVM_UUID:
		who_set(out, &sp, text, len);
		out->d = sp.kind == QUBE__PK_DISPVM_NAME ?
				 qube__policy_system_name(sys, sp.value, sp.len) :
				 qube__policy_system_uuid(sys, sp.value, sp.len);
		if (!out->d || !out->d->template_for_dispvms) {
			*out = unknown;
			return QUBE__POLICY_CAUSE_BAD_DISPVM;
		}
		break;
	default:
		who_set(out, &sp, text, len);
		break;
	}
	return QUBE__POLICY_CAUSE_NONE;
}

enum qube__policy_cause qube__policy_who_source(struct qube__policy_who *out,
						const struct qube__policy_system *sys,
						const char *text)
{
	size_t len = text ? strnlen(text, QUBE__POLICY_NAME_MAX + 6) : 0;
	struct qube__policy_spelled sp;

	*out = (struct qube__policy_who){ .kind = QUBE__PK_DEFAULT, .text = "" };
	if (!len || len > QUBE__POLICY_NAME_MAX + 5 || !is_plain(text, len) ||
	    qube__policy_spelled_parse(&sp, text, len) < 0)
		return QUBE__POLICY_CAUSE_BAD_REQUEST;
	if (sp.kind != QUBE__PK_NAME && sp.kind != QUBE__PK_UUID && sp.kind != QUBE__PK_ADMIN)
		return QUBE__POLICY_CAUSE_BAD_REQUEST;
	who_set(out, &sp, text, len);
	out->keyword = text[0] == '@';
	out->d = sp.kind == QUBE__PK_ADMIN ? qube__policy_system_name(sys, "dom0", 4) :
					     qube__policy_system_find(sys, text, len);
	return QUBE__POLICY_CAUSE_NONE;
}

static bool split_service(struct qube__policy_call *call, const struct qube__policy_request *req)
{
	const char *service = req->service ? req->service : "";
	const char *plus;
	size_t len = strnlen(service, QUBE__POLICY_SERVICE_MAX + QUBE__POLICY_ARGUMENT_MAX + 1);

	plus = memchr(service, '+', len);
	call->service = service;
	call->service_len = plus ? (size_t)(plus - service) : len;
	call->argument = "+";
	call->argument_len = 1;
	if (req->argument && plus)
		return false;
	if (req->argument) {
		call->argument = req->argument;
		call->argument_len = strnlen(req->argument, QUBE__POLICY_ARGUMENT_MAX + 1);
	} else if (plus) {
		call->argument = plus;
		call->argument_len = len - call->service_len;
	}
	return call->service_len > 0 && call->service_len <= QUBE__POLICY_SERVICE_MAX &&
	       call->argument_len <= QUBE__POLICY_ARGUMENT_MAX && call->argument[0] == '+' &&
	       is_service(call->service, call->service_len, false) &&
	       is_service(call->argument, call->argument_len, true);
}

static enum qube__policy_cause relay_check(struct qube__policy_call *call, const char *requested)
{
	struct qube__policy_who remote;
	size_t len = call->caller.len;

	if (qube__policy_who_source(&remote, call->sys, requested) != QUBE__POLICY_CAUSE_NONE)
		return QUBE__POLICY_CAUSE_RELAY;
	if (!remote.d || !remote.d->remote || !remote.d->relayvm ||
	    strlen(remote.d->relayvm) != len || memcmp(remote.d->relayvm, call->caller.text, len))
		return QUBE__POLICY_CAUSE_RELAY;
	call->source = remote;
	call->relayed = true;
	return QUBE__POLICY_CAUSE_NONE;
}

enum qube__policy_cause qube__policy_call_init(struct qube__policy_call *call,
					       const struct qube__policy_rules *rules,
					       const struct qube__policy_system *sys,
					       const struct qube__policy_request *req)
{
	const char *target = req->target ? req->target : "";
	size_t len = strnlen(target, QUBE__POLICY_TOKEN_MAX + 1);
	enum qube__policy_cause cause;
	bool good;

	call->rules = rules;
	call->sys = sys;
	call->relayed = false;
	call->target = (struct qube__policy_who){ .kind = QUBE__PK_DEFAULT, .text = "" };
	good = split_service(call, req);
	cause = qube__policy_who_source(&call->caller, sys, req->source);
	call->source = call->caller;
	if (cause != QUBE__POLICY_CAUSE_NONE || !good || len > QUBE__POLICY_TOKEN_MAX ||
	    !is_plain(target, len))
		return QUBE__POLICY_CAUSE_BAD_REQUEST;
	if (req->requested_source && *req->requested_source) {
		cause = relay_check(call, req->requested_source);
		if (cause != QUBE__POLICY_CAUSE_NONE)
			return cause;
	}
	return qube__policy_who_target(&call->target, sys, target, len);
}

bool qube__policy_same(const struct qube__policy_who *a, const struct qube__policy_who *b)
{
	bool disposable = a->kind == QUBE__PK_DISPVM_NAME || a->kind == QUBE__PK_DISPVM_UUID ||
			  b->kind == QUBE__PK_DISPVM_NAME || b->kind == QUBE__PK_DISPVM_UUID;

	if (a->kind == QUBE__PK_ADMIN && b->kind == QUBE__PK_ADMIN)
		return true;
	if (a->d && a->d == b->d && !disposable)
		return true;
	return a->len == b->len && !memcmp(a->text, b->text, a->len);
}

bool qube__policy_domain_tagged(const struct qube__policy_domain *d, const char *tag)
{
	for (size_t i = 0; i < d->n_tags; i++)
		if (!strcmp(d->tags[i].s, tag))
			return true;
	return false;
}

/* Does the name or uuid in a rule mean the qube x? */
static bool names_who(bool uuid, const char *value, const struct qube__policy_who *x, bool x_uuid)
{
	if (x->d)
		return uuid ? x->d->uuid.s && !strcmp(value, x->d->uuid.s) :
			      !strcmp(value, x->d->name.s);
	return uuid == x_uuid && strlen(value) == x->value_len &&
	       !memcmp(value, x->value, x->value_len);
}

static bool dispvm_matches(const struct qube__policy_token *t, const struct qube__policy_who *x,
			   const struct qube__policy_who *source,
			   const struct qube__policy_system *sys)
{
	const char *value = t->text + t->value_at;
	const struct qube__policy_domain *m = x->d;

	if (x->kind == QUBE__PK_DISPVM) {
		const char *usual = source->d ? source->d->default_dispvm.s : NULL;

		if (!usual)
			return false;
		if (t->kind != QUBE__PK_DISPVM_TAG)
			return !strcmp(t->text + strlen("@dispvm:"), usual);
		m = qube__policy_system_find(sys, usual, strlen(usual));
	} else if (x->kind != QUBE__PK_DISPVM_NAME && x->kind != QUBE__PK_DISPVM_UUID) {
		return false;
	}
	if (t->kind == QUBE__PK_DISPVM_TAG)
		return m && m->template_for_dispvms && qube__policy_domain_tagged(m, value);
	return names_who(t->kind == QUBE__PK_DISPVM_UUID, value, x,
			 x->kind == QUBE__PK_DISPVM_UUID);
}

static bool token_matches(const struct qube__policy_token *t, const struct qube__policy_who *x,
			  const struct qube__policy_who *source,
			  const struct qube__policy_system *sys)
{
	const char *value = t->text + t->value_at;
	bool plain = x->kind == QUBE__PK_NAME || x->kind == QUBE__PK_UUID;
	const struct qube__policy_domain *d =
		plain || (x->kind == QUBE__PK_ADMIN && !x->keyword) ? x->d : NULL;

	switch (t->kind) {
	case QUBE__PK_STAR:
		return true;
	case QUBE__PK_ADMIN:
	case QUBE__PK_DEFAULT:
	case QUBE__PK_DISPVM:
		return x->kind == t->kind;
	case QUBE__PK_ANYVM:
		return x->kind != QUBE__PK_ADMIN;
	case QUBE__PK_NAME:
	case QUBE__PK_UUID:
		return plain &&
		       names_who(t->kind == QUBE__PK_UUID, value, x, x->kind == QUBE__PK_UUID);
	case QUBE__PK_TYPE:
		return d && !strcmp(d->type.s, value);
	case QUBE__PK_TAG:
		return d && qube__policy_domain_tagged(d, value);
	case QUBE__PK_DISPVM_NAME:
	case QUBE__PK_DISPVM_UUID:
	case QUBE__PK_DISPVM_TAG:
		return dispvm_matches(t, x, source, sys);
	default:
		return false;
	}
}

enum qube__policy_column qube__policy_rule_mismatch(const struct qube__policy_rule *rule,
						    const struct qube__policy_call *call)
{
	if (rule->service.kind != QUBE__PK_STAR &&
	    (strlen(rule->service.text) != call->service_len ||
	     memcmp(rule->service.text, call->service, call->service_len) != 0))
		return QUBE__POLICY_COLUMN_SERVICE;
	if (rule->argument.kind != QUBE__PK_STAR &&
	    (strlen(rule->argument.text) != call->argument_len ||
	     memcmp(rule->argument.text, call->argument, call->argument_len) != 0))
		return QUBE__POLICY_COLUMN_ARGUMENT;
	if (!token_matches(&rule->source, &call->source, &call->source, call->sys))
		return QUBE__POLICY_COLUMN_SOURCE;
	if (!token_matches(&rule->target, &call->target, &call->source, call->sys))
		return QUBE__POLICY_COLUMN_TARGET;
	return QUBE__POLICY_COLUMN_NONE;
}
