/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "fixture.h"

#include "policy/rules.h"

#include <qube/error.h>

#include <stdio.h>
#include <stdlib.h>

QTEST(policy_system, finds_by_name_and_uuid_after_growth_and_removal)
{
	struct qube__policy_system sys = { 0 };
	char name[16];
	char uuid[16];

	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "q%d", i);
		snprintf(uuid, sizeof(uuid), "u%d", i);
		QT_INT(fixture_qube(&sys, name, "AppVM", uuid, 2), 0);
	}
	QT_INT(qube__policy_system_remove(&sys, "q3"), 0);
	QT_INT(qube__policy_system_remove(&sys, "q3"), QUBE_E_NOENT);
	QT_INT(sys.count, 499);
	QT_TRUE(!qube__policy_system_uuid(&sys, "u3", 2));
	QT_STR(qube__policy_system_find(&sys, "uuid:u499", 9)->name.s, "q499");
	QT_INT(qube__policy_system_name(&sys, "q499", 4)->index, 3);
	QT_INT(qube__policy_system_set_power(&sys, "q499", "Paused"), 0);
	QT_TRUE(!qube__policy_system_name(&sys, "q499", 4)->running);
	qube__policy_system_fini(&sys);
	QT_INT(sys.count, 0);
}

QTEST(policy_system, refuses_names_that_read_as_keywords_and_stolen_uuids)
{
	static const char *const names[] = { "", "@anyvm", "*", "uuid:x" };
	struct qube__policy_system sys = { 0 };

	for (size_t i = 0; i < 4; i++)
		QT_INT(fixture_qube(&sys, names[i], "AppVM", NULL, 0), QUBE_E_INVALID);
	QT_INT(fixture_qube(&sys, "evil", "AppVM", "00000000-0000-0000-0000-000000000000", 0),
	       QUBE_E_INVALID);
	QT_INT(fixture_qube(&sys, "a", "AppVM", "u", 0), 0);
	QT_INT(fixture_qube(&sys, "b", "AppVM", "u", 0), QUBE_E_EXISTS);
	QT_INT(fixture_qube(&sys, "a", "TemplateVM", "u", 0), 0);
	QT_INT(sys.count, 1);
	QT_STR(qube__policy_system_name(&sys, "a", 1)->type.s, "TemplateVM");
	qube__policy_system_fini(&sys);
}

QTEST(policy_decide, names_the_deciding_rule)
{
	struct qube__policy_request req = { "mail", "bank", "app.Do", "+", NULL };
	struct qube__policy_result res;

	QT_INT(fixture_decide(&res, "# one\napp.Do +x mail bank deny\napp.Do * mail bank allow\n",
			      &req),
	       0);
	QT_INT(res.verdict, QUBE__POLICY_ALLOW);
	QT_STR(res.file, "t.policy");
	QT_INT(res.line, 3);
	QT_STR(res.user, "DEFAULT");
	qube__policy_result_fini(&res);
	qube__policy_result_fini(&res);
}

QTEST(policy_decide, splits_a_service_at_its_first_plus)
{
	struct qube__policy_request req = { "mail", "bank", "app.Do+a+b", NULL, NULL };
	struct qube__policy_result res;

	QT_INT(fixture_decide(&res, "app.Do +a+b mail bank allow\n", &req), 0);
	QT_INT(res.verdict, QUBE__POLICY_ALLOW);
	qube__policy_result_fini(&res);
	req.argument = "+c";
	QT_INT(fixture_decide(&res, "* * * * allow\n", &req), 0);
	QT_INT(res.cause, QUBE__POLICY_CAUSE_BAD_REQUEST);
	qube__policy_result_fini(&res);
}

QTEST(policy_decide, a_call_to_oneself_is_refused_in_every_spelling)
{
	static const char *const spellings[] = {
		"mail",
		"uuid:11111111-0000-4000-8000-000000000001",
	};
	struct qube__policy_result res;

	for (size_t i = 0; i < 4; i++) {
		struct qube__policy_request req = { spellings[i / 2], spellings[i % 2], "a.B", "+",
						    NULL };

		QT_INT(fixture_decide(&res, "* * * * allow\n", &req), 0);
		QT_INT(res.cause, QUBE__POLICY_CAUSE_LOOPBACK);
		qube__policy_result_fini(&res);
	}
}

QTEST(policy_decide, dom0_calling_dom0_is_a_loop_in_every_spelling)
{
	static const char *const spellings[] = {
		"dom0",
		"@adminvm",
		"uuid:00000000-0000-0000-0000-000000000000",
	};
	struct qube__policy_result res;

	for (size_t i = 0; i < 9; i++) {
		struct qube__policy_request req = { spellings[i / 3], spellings[i % 3], "a.B", "+",
						    NULL };

		QT_INT(fixture_decide(&res, "* * * * allow\n", &req), 0);
		QT_INT(res.cause, QUBE__POLICY_CAUSE_LOOPBACK);
		qube__policy_result_fini(&res);
	}
}

QTEST(policy_decide, a_redirection_to_the_caller_is_a_loop)
{
	struct qube__policy_request req = { "mail", "bank", "a.B", "+", NULL };
	struct qube__policy_result res;

	QT_INT(fixture_decide(&res,
			      "* * * * allow target=uuid:11111111-0000-4000-8000-"
			      "000000000001\n",
			      &req),
	       0);
	QT_INT(res.cause, QUBE__POLICY_CAUSE_LOOPBACK);
	QT_TRUE(res.notify);
	QT_STR(res.notify_guivm, "dom0");
	qube__policy_result_fini(&res);
}

QTEST(policy_decide, asking_for_a_redirection_that_cannot_work_refuses)
{
	static const struct {
		const char *rule;
		enum qube__policy_cause cause;
	} table[] = {
		{ "* * * * ask target=ghost\n", QUBE__POLICY_CAUSE_NO_ASK_TARGETS },
		{ "* * * * ask target=@dispvm:bank\n", QUBE__POLICY_CAUSE_BAD_DISPVM },
		{ "* * * * ask target=@dispvm autostart=no\n", QUBE__POLICY_CAUSE_NO_ASK_TARGETS },
	};
	struct qube__policy_request req = { "mail", "bank", "a.B", "+", NULL };
	struct qube__policy_result res;

	for (size_t i = 0; i < 3; i++) {
		QT_INT(fixture_decide(&res, table[i].rule, &req), 0);
		QT_INT(res.verdict, QUBE__POLICY_DENY);
		QT_INT(res.cause, table[i].cause);
		qube__policy_result_fini(&res);
	}
	QT_INT(fixture_decide(&res, "* * * * ask target=@dispvm\n", &req), 0);
	QT_INT(res.verdict, QUBE__POLICY_ASK);
	QT_STR(res.targets[0], "@dispvm:dvm");
	qube__policy_result_fini(&res);
}

/* The system and the policy may change while the prompt is open. */
QTEST(policy_answer, is_judged_against_the_system_of_now)
{
	struct qube__policy_request req = { "mail", "bank", "a.B", "+", NULL };
	struct qube__policy_system sys = { 0 };
	struct qube__policy_rules *rules = fixture_rules("a.B * mail @anyvm ask user=u\n");
	struct qube__policy_result res;

	QT_INT(fixture_system(&sys), 0);
	QT_INT(qube__policy_evaluate(&res, rules, &sys, &req), 0);
	QT_INT(res.verdict, QUBE__POLICY_ASK);
	QT_STR(res.guivm, "dom0");
	qube__policy_rules_unref(rules);
	QT_INT(qube__policy_system_remove(&sys, "bank"), 0);
	QT_INT(qube__policy_answer(&res, &sys, "allow:bank"), 0);
	QT_INT(res.verdict, QUBE__POLICY_DENY);
	QT_INT(res.cause, QUBE__POLICY_CAUSE_NO_TARGET);
	QT_INT(qube__policy_answer(&res, &sys, "allow:vault"), QUBE_E_STATE);
	qube__policy_result_fini(&res);
	qube__policy_system_fini(&sys);
}

QTEST(policy_answer, only_the_two_words_are_answers)
{
	static const struct {
		const char *text;
		enum qube__policy_verdict verdict;
		enum qube__policy_cause cause;
	} table[] = {
		{ "allow:bank", QUBE__POLICY_ALLOW, QUBE__POLICY_CAUSE_NONE },
		{ "deny", QUBE__POLICY_DENY, QUBE__POLICY_CAUSE_USER },
		{ "", QUBE__POLICY_DENY, QUBE__POLICY_CAUSE_NOT_OFFERED },
		{ "allow:", QUBE__POLICY_DENY, QUBE__POLICY_CAUSE_NOT_OFFERED },
		{ "allow:bank\n", QUBE__POLICY_DENY, QUBE__POLICY_CAUSE_NOT_OFFERED },
		{ "allow:mail", QUBE__POLICY_DENY, QUBE__POLICY_CAUSE_NOT_OFFERED },
		{ "allow:@dispvm", QUBE__POLICY_DENY, QUBE__POLICY_CAUSE_NOT_OFFERED },
		{ "Allow:bank", QUBE__POLICY_DENY, QUBE__POLICY_CAUSE_NOT_OFFERED },
	};
	struct qube__policy_request req = { "mail", "bank", "a.B", "+", NULL };
	struct qube__policy_system sys = { 0 };
	struct qube__policy_rules *rules = fixture_rules("a.B * mail @anyvm ask user=u\n");
	struct qube__policy_result res;

	QT_INT(fixture_system(&sys), 0);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		QT_INT(qube__policy_evaluate(&res, rules, &sys, &req), 0);
		QT_INT(qube__policy_answer(&res, &sys, table[i].text), 0);
		QT_INT(res.verdict, table[i].verdict);
		QT_INT(res.cause, table[i].cause);
		if (res.verdict == QUBE__POLICY_ALLOW)
			QT_STR(res.user, "u");
		qube__policy_result_fini(&res);
	}
	qube__policy_rules_unref(rules);
	qube__policy_system_fini(&sys);
}

QTEST(policy_relay, the_relay_is_told_the_qube_that_was_allowed)
{
	struct qube__policy_qube far = { .name = "far",
					 .type = "RemoteVM",
					 .relayvm = "vault",
					 .transport_rpc = "air.T",
					 .guivm = "dom0" };
	struct qube__policy_request req = { "mail", "bank", "a.B", "+x", NULL };
	struct qube__policy_system sys = { 0 };
	struct qube__policy_rules *rules = fixture_rules("a.B * mail bank allow target=far\n");
	struct qube__policy_result res;

	QT_INT(fixture_system(&sys), 0);
	QT_INT(qube__policy_system_put(&sys, &far), 0);
	QT_INT(qube__policy_evaluate(&res, rules, &sys, &req), 0);
	QT_STR(res.service, "air.T+far+a.B+x");
	QT_STR(res.target, "vault");
	qube__policy_result_fini(&res);
	far.transport_rpc = "air.T+smuggled";
	QT_INT(qube__policy_system_put(&sys, &far), 0);
	QT_INT(qube__policy_evaluate(&res, rules, &sys, &req), 0);
	QT_INT(res.cause, QUBE__POLICY_CAUSE_RELAY);
	QT_TRUE(!res.service);
	qube__policy_result_fini(&res);
	qube__policy_rules_unref(rules);
	qube__policy_system_fini(&sys);
}

QTEST(policy_explain, says_which_column_differs_and_stops_at_the_decision)
{
	struct qube__policy_request req = { "mail", "bank", "app.Do", "+", NULL };
	struct qube__policy_system sys = { 0 };
	struct qube__policy_rules *rules = fixture_rules("app.DO * mail bank deny\n"
							 "other * mail bank deny\n"
							 "app.Do +y mail bank deny\n"
							 "app.Do * vault bank deny\n"
							 "* * mail @dispvm deny\n"
							 "app.Do * mail bank allow\n"
							 "app.Do * vault bank deny\n");
	struct qube__policy_explanation e;

	QT_INT(fixture_system(&sys), 0);
	qube__policy_explain(&e, rules, &sys, &req);
	QT_INT(e.n_near, 4);
	QT_INT(e.near[0].column, QUBE__POLICY_COLUMN_SERVICE);
	QT_INT(e.near[1].column, QUBE__POLICY_COLUMN_ARGUMENT);
	QT_INT(e.near[1].line, 3);
	QT_INT(e.near[2].column, QUBE__POLICY_COLUMN_SOURCE);
	QT_INT(e.near[3].column, QUBE__POLICY_COLUMN_TARGET);
	qube__policy_rules_unref(rules);
	qube__policy_system_fini(&sys);
}

QTEST(policy_explain, lists_no_more_than_its_limit)
{
	struct qube__policy_request req = { "mail", "bank", "app.Do", "+", NULL };
	struct qube__policy_system sys = { 0 };
	struct qube__policy_explanation e;
	struct qube__policy_rules *rules;
	char text[8192] = "";

	for (int i = 0; i < 50; i++)
		memcpy(text + strlen(text), "app.Do * x bank deny\n", 22);
	rules = fixture_rules(text);
	QT_INT(qube__policy_rules_count(rules), 50);
	qube__policy_explain(&e, rules, &sys, &req);
	QT_INT(e.n_near, QUBE__POLICY_NEAR_MAX);
	QT_INT(e.omitted, 50 - QUBE__POLICY_NEAR_MAX);
	qube__policy_rules_unref(rules);
}

/* --- threats --- */

static bool in(unsigned int c, const char *set)
{
	return c && strchr(set, (int)c);
}

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* Every byte in every field: a service and an argument are made of their letters or the call is
 * refused unseen; a target or source outside printable ASCII is. Nothing is ever repaired. */
QTEST(policy, threat_01_every_byte_of_every_field_is_kept_or_refused)
{
	for (unsigned int c = 1; c < 256; c++) {
		char text[8] = { 'a', (char)c, 'b', '\0' };
		char arg[8] = { '+', 'a', (char)c, 'b', '\0' };
		bool print = c > ' ' && c <= '~';
		struct qube__policy_request table[] = {
			{ "mail", "bank", text, "+", NULL },
			{ "mail", "bank", "a.B", arg, NULL },
			{ "mail", text, "a.B", "+", NULL },
			{ text, "bank", "a.B", "+", NULL },
		};
		bool good[] = { in(c, ALNUM "-._"), in(c, ALNUM "-._+"), print, print };

		for (size_t i = 0; i < 4; i++) {
			struct qube__policy_result res;

			QT_INT(fixture_decide(&res, "* * * bank allow\n* * * @default deny\n",
					      &table[i]),
			       0);
			if ((res.cause == QUBE__POLICY_CAUSE_BAD_REQUEST) == good[i])
				QT_FAIL("field %zu, byte %u: cause %d", i, c, (int)res.cause);
			if (i == 2 && good[i])
				QT_STR(res.requested_target, "@default");
			qube__policy_result_fini(&res);
		}
	}
}

/* An old keyword is just an unknown name in a request, and never a keyword. */
QTEST(policy, threat_01_a_dollar_is_never_a_keyword_in_a_request)
{
	static const char *const targets[] = { "$adminvm", "$anyvm", "$dispvm:dvm", "$default" };
	struct qube__policy_result res;

	for (size_t i = 0; i < 4; i++) {
		struct qube__policy_request req = { "mail", targets[i], "a.B", "+", NULL };

		QT_INT(fixture_decide(&res, "* * * @adminvm allow\n* * * @dispvm:dvm allow\n",
				      &req),
		       0);
		QT_INT(res.cause, QUBE__POLICY_CAUSE_NO_MATCH);
		QT_STR(res.requested_target, "@default");
		qube__policy_result_fini(&res);
	}
}

QTEST(policy, threat_01_over_long_fields_are_refused_not_cut)
{
	static char service[QUBE__POLICY_SERVICE_MAX + 2];
	static char argument[QUBE__POLICY_ARGUMENT_MAX + 2];
	static char name[QUBE__POLICY_TOKEN_MAX + 2];
	struct qube__policy_request req = { "mail", "bank", service, "+", NULL };
	struct qube__policy_result res;

	memset(service, 'a', sizeof(service) - 1);
	memset(argument, 'a', sizeof(argument) - 1);
	memset(name, 'a', sizeof(name) - 1);
	argument[0] = '+';
	for (int i = 0; i < 8; i++) {
		struct qube__policy_request table[] = {
			req,
			{ "mail", "bank", "a.B", argument, NULL },
			{ "mail", name, "a.B", "+", NULL },
			{ name, "bank", "a.B", "+", NULL },
		};

		/* One byte too many; then the longest that fits. */
		if (i == 4) {
			service[QUBE__POLICY_SERVICE_MAX] = '\0';
			argument[QUBE__POLICY_ARGUMENT_MAX] = '\0';
			name[QUBE__POLICY_NAME_MAX] = '\0';
		}
		QT_INT(fixture_decide(&res, "* * * * deny\n", &table[i % 4]), 0);
		QT_INT(res.cause, i < 4 ? QUBE__POLICY_CAUSE_BAD_REQUEST : QUBE__POLICY_CAUSE_RULE);
		qube__policy_result_fini(&res);
	}
}

/* What a refused caller's side may see says nothing of the rules: they are in file, line and text,
 * which are for the host. */
QTEST(policy, threat_08_a_refusal_carries_no_text_of_the_policy)
{
	struct qube__policy_request req = { "mail", "bank", "a.B", "+", NULL };
	struct qube__policy_result res;

	QT_INT(fixture_decide(&res, "a.B * mail bank deny\na.B * mail vault allow user=secret\n",
			      &req),
	       0);
	QT_INT(res.verdict, QUBE__POLICY_DENY);
	QT_TRUE(!res.user && !res.service && !res.targets && !res.text);
	QT_STR(res.target, "");
	QT_STR(res.target_uuid, "");
	QT_STR(res.policy_source, "");
	QT_STR(res.default_target, "");
	QT_STR(res.guivm, "");
	qube__policy_result_fini(&res);
}

/* A refusal after a prompt forgets what was prepared for an allow. */
QTEST(policy, threat_08_a_refused_answer_carries_no_user_or_target)
{
	struct qube__policy_request req = { "mail", "bank", "a.B", "+", NULL };
	struct qube__policy_system sys = { 0 };
	struct qube__policy_rules *rules = fixture_rules("a.B * mail @anyvm ask user=secret\n");
	struct qube__policy_result res;

	QT_INT(fixture_system(&sys), 0);
	QT_INT(qube__policy_evaluate(&res, rules, &sys, &req), 0);
	QT_INT(qube__policy_answer(&res, &sys, "deny"), 0);
	QT_TRUE(!res.user && !res.service);
	QT_STR(res.target, "");
	qube__policy_result_fini(&res);
	qube__policy_rules_unref(rules);
	qube__policy_system_fini(&sys);
}
