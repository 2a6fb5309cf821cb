/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A decision: policy.md 6. A result copies or references all that it shows, so it outlives changes
 * of the rules and of the system; an answer is judged against the system as it is then. */
#include "policy/rules.h"

#include "base/text.h"

#include <qube/error.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void put(char out[QUBE__POLICY_SPELLING], const char *s, size_t len)
{
	/* Only spellings of known qubes, keywords and checked sources get here. */
	assert(len < QUBE__POLICY_SPELLING);
	memcpy(out, s, len);
	out[len] = '\0';
}

static void put2(char out[QUBE__POLICY_SPELLING], const char *prefix, const char *s, size_t len)
{
	size_t n = strlen(prefix);

	assert(n + len < QUBE__POLICY_SPELLING);
	memcpy(out, prefix, n);
	memcpy(out + n, s, len);
	out[n + len] = '\0';
}

static void put_guivm(char out[QUBE__POLICY_SPELLING], const struct qube__policy_domain *d)
{
	if (d && d->guivm)
		put(out, d->guivm, strlen(d->guivm));
}

static void refuse(struct qube__policy_result *res, const struct qube__policy_call *call,
		   enum qube__policy_cause cause, bool notify)
{
	res->verdict = QUBE__POLICY_DENY;
	res->cause = cause;
	res->notify = notify;
	res->autostart = false;
	res->user = NULL;
	res->target[0] = '\0';
	res->target_uuid[0] = '\0';
	res->policy_source[0] = '\0';
	res->guivm[0] = '\0';
	res->notify_guivm[0] = '\0';
	/* Of the calling qube: the relay, when it speaks for another. */
	if (notify)
		put_guivm(res->notify_guivm, call->caller.d);
}

/* "@dispvm" becomes the source's own; an unknown one could not be started. */
static enum qube__policy_cause resolve_dispvm(struct qube__policy_who *target,
					      const struct qube__policy_call *call,
					      char space[QUBE__POLICY_SPELLING])
{
	const struct qube__policy_domain *source = call->source.d;
	const struct qube__policy_text *usual;

	if (target->kind != QUBE__PK_DISPVM)
		return QUBE__POLICY_CAUSE_NONE;
	if (!source || !source->default_dispvm.s)
		return QUBE__POLICY_CAUSE_NO_DISPVM;
	usual = &source->default_dispvm;
	put2(space, "@dispvm:", usual->s, usual->len);
	target->kind = QUBE__PK_DISPVM_NAME;
	target->d = qube__policy_system_find(call->sys, usual->s, usual->len);
	target->text = space;
	target->len = usual->len + 8;
	target->value = space + 8;
	target->value_len = usual->len;
	return target->d ? QUBE__POLICY_CAUSE_NONE : QUBE__POLICY_CAUSE_BAD_DISPVM;
}

/* What becomes an argument of the relay's service must be made of an argument's letters. */
static bool argument_safe(const char *s)
{
	return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789-._")] == '\0';
}

/* A call to a RemoteVM goes to its relay. The qube that the rule allowed is named, not the one that
 * was asked for: a redirection must not let the relay reach another. */
static int reroute(struct qube__policy_result *res, const struct qube__policy_call *call,
		   const struct qube__policy_domain *remote, enum qube__policy_cause *cause)
{
	const struct qube__policy_domain *relay = NULL;

	*cause = QUBE__POLICY_CAUSE_RELAY;
	if (!remote->relayvm || !remote->transport_rpc || !argument_safe(remote->transport_rpc) ||
	    !argument_safe(remote->name.s))
		return 0;
	relay = qube__policy_system_name(call->sys, remote->relayvm, strlen(remote->relayvm));
	if (!relay)
		return 0;
	res->service = qube__text_format("%s+%s+%.*s%.*s", remote->transport_rpc, remote->name.s,
					 (int)call->service_len, call->service,
					 (int)call->argument_len, call->argument);
	if (!res->service)
		return QUBE_E_NOMEM;
	res->user = "DEFAULT";
	put(res->target, relay->name.s, relay->name.len);
	res->target_uuid[0] = '\0';
	if (relay->uuid.s)
		put2(res->target_uuid, "uuid:", relay->uuid.s, relay->uuid.len);
	*cause = QUBE__POLICY_CAUSE_NONE;
	return 0;
}

/* Steps 1 to 5 of allow. 0 with *cause, or QUBE_E_NOMEM. */
static int allow(struct qube__policy_result *res, const struct qube__policy_call *call,
		 const char *text, size_t len, const struct qube__policy_rule *rule,
		 enum qube__policy_cause *cause)
{
	struct qube__policy_who target;
	char space[QUBE__POLICY_SPELLING];
	bool disposable;

	*cause = qube__policy_who_target(&target, call->sys, text, len);
	if (*cause == QUBE__POLICY_CAUSE_NONE && target.kind == QUBE__PK_DEFAULT)
		*cause = QUBE__POLICY_CAUSE_NO_TARGET;
	if (*cause == QUBE__POLICY_CAUSE_NONE)
		*cause = resolve_dispvm(&target, call, space);
	if (*cause != QUBE__POLICY_CAUSE_NONE)
		return 0;
	disposable = target.kind == QUBE__PK_DISPVM_NAME || target.kind == QUBE__PK_DISPVM_UUID;
	*cause = QUBE__POLICY_CAUSE_AUTOSTART;
	if (!rule->autostart && target.kind != QUBE__PK_ADMIN && (disposable || !target.d->running))
		return 0;
	*cause = QUBE__POLICY_CAUSE_LOOPBACK;
	if (qube__policy_same(&target, &call->source))
		return 0;
	*cause = QUBE__POLICY_CAUSE_NONE;
	res->verdict = QUBE__POLICY_ALLOW;
	res->cause = QUBE__POLICY_CAUSE_NONE;
	res->notify = rule->notify;
	res->autostart = rule->autostart;
	res->user = rule->user ? rule->user : "DEFAULT";
	if (rule->notify)
		put_guivm(res->notify_guivm, call->source.d);
	if (target.kind == QUBE__PK_ADMIN) {
		put(res->target, "dom0", 4);
		return 0;
	}
	if (call->relayed)
		put(res->policy_source, call->source.text, call->source.len);
	if (!disposable && target.d->remote)
		return reroute(res, call, target.d, cause);
	put(res->target, target.text, target.len);
	if (target.d->uuid.s)
		put2(res->target_uuid, disposable ? "@dispvm:uuid:" : "uuid:", target.d->uuid.s,
		     target.d->uuid.len);
	return 0;
}

static int decide_allow(struct qube__policy_result *res, const struct qube__policy_call *call,
			const struct qube__policy_rule *rule, const char *text, size_t len)
{
	enum qube__policy_cause cause;
	int r = allow(res, call, text, len, rule, &cause);

	if (r < 0 || cause != QUBE__POLICY_CAUSE_NONE)
		refuse(res, call, cause,
		       cause == QUBE__POLICY_CAUSE_AUTOSTART ? rule->notify : true);
	return r;
}

/* The answer comes later, when the request's texts are gone. */
static int keep_call(struct qube__policy_result *res, const struct qube__policy_call *call)
{
	res->call = qube__text_format("%.*s%.*s", (int)call->service_len, call->service,
				      (int)call->argument_len, call->argument);
	if (!res->call)
		return QUBE_E_NOMEM;
	put(res->caller, call->caller.text, call->caller.len);
	put(res->source, call->source.text, call->source.len);
	return 0;
}

static int decide_ask(struct qube__policy_result *res, const struct qube__policy_call *call,
		      const struct qube__policy_rule *rule)
{
	enum qube__policy_cause cause = QUBE__POLICY_CAUSE_NONE;
	int r = keep_call(res, call);

	if (r == 0)
		r = qube__policy_offer(res, call, rule, &cause);
	if (r < 0)
		return r;
	if (cause != QUBE__POLICY_CAUSE_NONE) {
		refuse(res, call, cause, true);
		return 0;
	}
	res->verdict = QUBE__POLICY_ASK;
	res->notify = rule->notify;
	res->autostart = rule->autostart;
	res->user = rule->user ? rule->user : "DEFAULT";
	put_guivm(res->guivm, call->source.d);
	if (rule->notify)
		put_guivm(res->notify_guivm, call->source.d);
	return 0;
}

static int decide_rule(struct qube__policy_result *res, const struct qube__policy_call *call,
		       uint32_t index)
{
	const struct qube__policy_rule *rule = &call->rules->rules[index];
	const char *text = rule->redirect.text ? rule->redirect.text : call->target.text;
	size_t len = rule->redirect.text ? strlen(text) : call->target.len;

	res->rule = index;
	res->file = rule->file;
	res->line = rule->line;
	if (rule->action == QUBE__PA_ALLOW)
		return decide_allow(res, call, rule, text, len);
	if (rule->action == QUBE__PA_ASK)
		return decide_ask(res, call, rule);
	refuse(res, call, QUBE__POLICY_CAUSE_RULE, rule->notify);
	return 0;
}

static void unusable(struct qube__policy_result *res, const struct qube__policy_call *call)
{
	const struct qube__policy_rules *rules = call->rules;

	if (rules->state == QUBE__POLICY_BAD_CONFIG) {
		refuse(res, call, QUBE__POLICY_CAUSE_CONFIG, true);
	} else {
		refuse(res, call, QUBE__POLICY_CAUSE_SYNTAX, false);
		res->verdict = QUBE__POLICY_ERROR;
	}
	res->text = rules->error;
	res->file = rules->error_file;
	res->line = rules->error_line;
}

int qube__policy_evaluate(struct qube__policy_result *out, struct qube__policy_rules *rules,
			  const struct qube__policy_system *sys,
			  const struct qube__policy_request *req)
{
	struct qube__policy_call call;
	enum qube__policy_cause cause;
	uint32_t index;
	int r = 0;

	memset(out, 0, sizeof(*out));
	out->verdict = QUBE__POLICY_DENY;
	out->rules = qube__policy_rules_ref(rules);
	out->rule = QUBE__POLICY_NONE;
	cause = qube__policy_call_init(&call, rules, sys, req);
	if (rules->state != QUBE__POLICY_USABLE) {
		unusable(out, &call);
		return 0;
	}
	if (cause != QUBE__POLICY_CAUSE_NONE) {
		refuse(out, &call, cause, true);
		return 0;
	}
	put(out->requested_target, call.target.text, call.target.len);
	index = qube__policy_find(&call);
	if (index == QUBE__POLICY_NONE)
		refuse(out, &call, QUBE__POLICY_CAUSE_NO_MATCH, true);
	else
		r = decide_rule(out, &call, index);
	if (r < 0)
		qube__policy_result_fini(out);
	return r;
}

static bool was_offered(const struct qube__policy_result *res, const char *target)
{
	for (size_t i = 0; i < res->n_targets; i++)
		if (!strcmp(res->targets[i], target))
			return true;
	return false;
}

int qube__policy_answer(struct qube__policy_result *res, const struct qube__policy_system *sys,
			const char *untrusted_answer)
{
	static const char yes[] = "allow:";
	const struct qube__policy_rule *rule;
	struct qube__policy_request req = { .service = res->call, .source = res->caller };
	struct qube__policy_call call;
	const char *target;

	if (res->verdict != QUBE__POLICY_ASK)
		return QUBE_E_STATE;
	rule = &res->rules->rules[res->rule];
	/* Texts that were checked when the prompt was made; the qubes are looked up anew. */
	qube__policy_call_init(&call, res->rules, sys, &req);
	if (strcmp(res->caller, res->source) != 0) {
		qube__policy_who_source(&call.source, sys, res->source);
		call.relayed = true;
	}
	if (!call.source.d || !call.source.d->guivm || !strcmp(untrusted_answer, "deny")) {
		refuse(res, &call, QUBE__POLICY_CAUSE_USER, rule->notify);
		return 0;
	}
	target = untrusted_answer + sizeof(yes) - 1;
	if (strncmp(untrusted_answer, yes, sizeof(yes) - 1) != 0 || !was_offered(res, target)) {
		refuse(res, &call, QUBE__POLICY_CAUSE_NOT_OFFERED, true);
		return 0;
	}
	res->notify_guivm[0] = '\0';
	return decide_allow(res, &call, rule, target, strlen(target));
}

void qube__policy_result_fini(struct qube__policy_result *res)
{
	for (size_t i = 0; i < res->n_targets; i++)
		free(res->targets[i]);
	free(res->targets);
	free(res->service);
	free(res->call);
	qube__policy_rules_unref(res->rules);
	res->targets = NULL;
	res->n_targets = 0;
	res->service = NULL;
	res->call = NULL;
	res->rules = NULL;
	res->user = NULL;
	res->file = NULL;
	res->text = NULL;
	res->verdict = QUBE__POLICY_DENY;
}
