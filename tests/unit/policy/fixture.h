/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A small system and shorthands for the policy's tests. */
#ifndef TEST_POLICY_FIXTURE_H
#define TEST_POLICY_FIXTURE_H

#include "policy/policy.h"

#include <string.h>

static const char *const fixture_tags[] = { "work", "web" };

static inline int fixture_qube(struct qube__policy_system *sys, const char *name, const char *type,
			       const char *uuid, size_t n_tags)
{
	struct qube__policy_qube q = {
		.name = name,
		.type = type,
		.uuid = uuid,
		.power_state = "Running",
		.default_dispvm = "dvm",
		.guivm = "dom0",
		.tags = fixture_tags,
		.n_tags = n_tags,
		.template_for_dispvms = !strcmp(name, "dvm"),
	};

	return qube__policy_system_put(sys, &q);
}

/* dom0, mail (work, web), bank, vault, dvm (a disposable template). */
static inline int fixture_system(struct qube__policy_system *sys)
{
	return fixture_qube(sys, "dom0", "AdminVM", "00000000-0000-0000-0000-000000000000", 0) |
	       fixture_qube(sys, "mail", "AppVM", "11111111-0000-4000-8000-000000000001", 2) |
	       fixture_qube(sys, "bank", "AppVM", "11111111-0000-4000-8000-000000000002", 0) |
	       fixture_qube(sys, "vault", "AppVM", "11111111-0000-4000-8000-000000000003", 1) |
	       fixture_qube(sys, "dvm", "AppVM", "11111111-0000-4000-8000-000000000004", 1);
}

static inline struct qube__policy_rules *fixture_rules(const char *text)
{
	struct qube__policy_rules *r = NULL;

	return qube__policy_load_text(&r, "t.policy", NULL, text, strlen(text)) == 0 ? r : NULL;
}

/* Decides and leaves the result to the caller; -1 if it could not. */
static inline int fixture_decide(struct qube__policy_result *res, const char *text,
				 const struct qube__policy_request *req)
{
	struct qube__policy_system sys = { 0 };
	struct qube__policy_rules *rules = fixture_rules(text);
	int r = -1;

	if (rules && fixture_system(&sys) == 0)
		r = qube__policy_evaluate(res, rules, &sys, req);
	qube__policy_rules_unref(rules);
	qube__policy_system_fini(&sys);
	return r;
}

#endif
