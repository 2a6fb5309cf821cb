/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The index against the plain walk over the rules, on policies made by chance (a fixed seed). */
#include "qtest.h"

#include "fixture.h"

#include "policy/rules.h"

#include <stdio.h>
#include <stdlib.h>

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 16;
}

#define PICK(seed, list) ((list)[next(seed) % (sizeof(list) / sizeof((list)[0]))])

static const char *const services[] = { "a.B", "a.C", "*" };
static const char *const arguments[] = { "*", "*", "+", "+x" };
static const char *const sources[] = {
	"*",	       "@anyvm",
	"@adminvm",    "dom0",
	"mail",	       "bank",
	"ghost",       "uuid:11111111-0000-4000-8000-000000000001",
	"@tag:work",   "@tag:none",
	"@type:AppVM", "@type:AdminVM",
	"@dispvm:dvm", "@dispvm:@tag:work",
};
static const char *const targets[] = {
	"*",
	"@anyvm",
	"@adminvm",
	"dom0",
	"mail",
	"bank",
	"vault",
	"ghost",
	"@default",
	"@dispvm",
	"@dispvm:dvm",
	"@dispvm:bank",
	"@dispvm:@tag:work",
	"@dispvm:@tag:none",
	"@tag:work",
	"@type:AppVM",
	"@type:AdminVM",
	"uuid:11111111-0000-4000-8000-000000000002",
	"@dispvm:uuid:11111111-0000-4000-8000-000000000004",
};
static const char *const callers[] = {
	"mail", "bank", "dom0", "ghost", "uuid:11111111-0000-4000-8000-000000000003", "@adminvm",
};
static const char *const wanted[] = {
	"",
	"mail",
	"bank",
	"vault",
	"dom0",
	"@adminvm",
	"ghost",
	"@default",
	"@dispvm",
	"@dispvm:dvm",
	"uuid:11111111-0000-4000-8000-000000000002",
	"@dispvm:uuid:11111111-0000-4000-8000-000000000004",
};

static void make_policy(char *text, size_t cap, uint32_t *seed, int n)
{
	size_t at = 0;

	while (n--) {
		const char *service = PICK(seed, services);
		const char *argument = service[0] == '*' ? "*" : PICK(seed, arguments);

		at += (size_t)snprintf(text + at, cap - at, "%s %s %s %s deny\n", service, argument,
				       PICK(seed, sources), PICK(seed, targets));
	}
}

static uint32_t walk(const struct qube__policy_call *call)
{
	for (uint32_t i = 0; i < call->rules->n_rules; i++)
		if (qube__policy_rule_mismatch(&call->rules->rules[i], call) ==
		    QUBE__POLICY_COLUMN_NONE)
			return i;
	return QUBE__POLICY_NONE;
}

static size_t walk_all(const struct qube__policy_call *call)
{
	size_t n = 0;

	for (uint32_t i = 0; i < call->rules->n_rules; i++) {
		enum qube__policy_column c =
			qube__policy_rule_mismatch(&call->rules->rules[i], call);

		n += c == QUBE__POLICY_COLUMN_NONE || c == QUBE__POLICY_COLUMN_TARGET;
	}
	return n;
}

QTEST(policy_index, finds_the_rule_that_a_walk_finds)
{
	static char text[1 << 16];
	struct qube__policy_system sys = { 0 };
	uint32_t seed = 20240601;
	size_t hits = 0;

	QT_INT(fixture_system(&sys), 0);
	for (int round = 0; round < 400; round++) {
		struct qube__policy_rules *rules;

		make_policy(text, sizeof(text), &seed, 1 + (int)(next(&seed) % 40));
		rules = fixture_rules(text);
		QT_INT(qube__policy_rules_state(rules), QUBE__POLICY_USABLE);
		for (int i = 0; i < 50; i++) {
			struct qube__policy_request req = {
				PICK(&seed, callers),
				PICK(&seed, wanted),
				next(&seed) % 2 ? "a.B" : "a.C",
				next(&seed) % 2 ? "+" : "+x",
				NULL,
			};
			struct qube__policy_call call;
			uint32_t *list;
			size_t n;

			QT_INT(qube__policy_call_init(&call, rules, &sys, &req),
			       QUBE__POLICY_CAUSE_NONE);
			QT_INT(qube__policy_find(&call), walk(&call));
			hits += walk(&call) != QUBE__POLICY_NONE;
			QT_INT(qube__policy_find_all(&list, &n, &call), 0);
			QT_INT(n, walk_all(&call));
			for (size_t k = 1; k < n; k++)
				QT_TRUE(list[k - 1] < list[k]);
			free(list);
		}
		qube__policy_rules_unref(rules);
	}
	qube__policy_system_fini(&sys);
	QT_TRUE(hits > 5000 && hits < 20000);
}
