/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Why a decision is what it is: the rules about the service that were passed over, and words for
 * the causes. Walks all rules; it is for people, not for calls. */
#include "policy/rules.h"

#include <qube/error.h>

#include <string.h>
#include <strings.h>

static const struct {
	const char *name;
	const char *text;
} causes[] = {
	[QUBE__POLICY_CAUSE_NONE] = { "", "" },
	[QUBE__POLICY_CAUSE_RULE] = { "rule", "a rule denies it" },
	[QUBE__POLICY_CAUSE_NO_MATCH] = { "no-match", "no rule matches, and then it is refused" },
	[QUBE__POLICY_CAUSE_NO_TARGET] = { "no-target",
					   "neither the call nor the rule names a known qube" },
	[QUBE__POLICY_CAUSE_NO_DISPVM] = { "no-dispvm",
					   "the calling qube has no default disposable template" },
	[QUBE__POLICY_CAUSE_BAD_DISPVM] = { "bad-dispvm-template",
					    "no disposable can be made of that qube" },
	[QUBE__POLICY_CAUSE_BAD_TARGET] = { "bad-target-token",
					    "a caller may not use that keyword as a target" },
	[QUBE__POLICY_CAUSE_AUTOSTART] = { "autostart",
					   "the target is not running, the rule has autostart=no" },
	[QUBE__POLICY_CAUSE_LOOPBACK] = { "loopback", "a qube cannot call itself" },
	[QUBE__POLICY_CAUSE_NO_ASK_TARGETS] = { "no-ask-targets",
						"there is no target that could be offered" },
	[QUBE__POLICY_CAUSE_USER] = { "user", "the prompt was answered with no" },
	[QUBE__POLICY_CAUSE_NOT_OFFERED] = { "answer-not-offered",
					     "the answer names a target that was not offered" },
	[QUBE__POLICY_CAUSE_RELAY] = { "relay", "the RemoteVM or its relay is not set up for it" },
	[QUBE__POLICY_CAUSE_CONFIG] = { "config", "the policy's directories are not in order" },
	[QUBE__POLICY_CAUSE_SYNTAX] = { "policy-error", "the policy has an error" },
	[QUBE__POLICY_CAUSE_BAD_REQUEST] = { "bad-request",
					     "the request has characters that it may not have" },
};

const char *qube__policy_cause_name(enum qube__policy_cause cause)
{
	return (size_t)cause < sizeof(causes) / sizeof(causes[0]) ? causes[cause].name : "";
}

const char *qube__policy_cause_text(enum qube__policy_cause cause)
{
	return (size_t)cause < sizeof(causes) / sizeof(causes[0]) ? causes[cause].text : "";
}

static struct qube__policy_near near_of(const struct qube__policy_rule *rule,
					enum qube__policy_column column)
{
	static const char *const actions[] = { "", "allow", "ask", "deny" };

	return (struct qube__policy_near){
		.file = rule->file,
		.line = rule->line,
		.column = column,
		.service = rule->service.text,
		.argument = rule->argument.text,
		.source = rule->source.text,
		.target = rule->target.text,
		.action = actions[rule->action],
	};
}

static void near_add(struct qube__policy_explanation *out, const struct qube__policy_rule *rule,
		     enum qube__policy_column column)
{
	if (out->n_near == QUBE__POLICY_NEAR_MAX)
		out->omitted++;
	else
		out->near[out->n_near++] = near_of(rule, column);
}

int qube__policy_rules_get(struct qube__policy_near *out, const struct qube__policy_rules *rules,
			   size_t index)
{
	if (rules->state != QUBE__POLICY_USABLE || index >= rules->n_rules)
		return QUBE_E_NOENT;
	*out = near_of(&rules->rules[index], QUBE__POLICY_COLUMN_NONE);
	return 0;
}

void qube__policy_explain(struct qube__policy_explanation *out,
			  const struct qube__policy_rules *rules,
			  const struct qube__policy_system *sys,
			  const struct qube__policy_request *req)
{
	struct qube__policy_call call;

	out->n_near = 0;
	out->omitted = 0;
	if (rules->state != QUBE__POLICY_USABLE ||
	    qube__policy_call_init(&call, rules, sys, req) != QUBE__POLICY_CAUSE_NONE)
		return;
	for (uint32_t i = 0; i < rules->n_rules; i++) {
		const struct qube__policy_rule *rule = &rules->rules[i];
		enum qube__policy_column column = qube__policy_rule_mismatch(rule, &call);

		if (column == QUBE__POLICY_COLUMN_NONE)
			return;
		/* Another service is of interest only if it looks like the same. */
		if (column == QUBE__POLICY_COLUMN_SERVICE &&
		    (strlen(rule->service.text) != call.service_len ||
		     strncasecmp(rule->service.text, call.service, call.service_len) != 0))
			continue;
		near_add(out, rule, column);
	}
}
