/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Rules and qubes of a policy, one by one. */
#include "qtest.h"

#include <qube/error.h>
#include <qube/policy.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static qube_policy *open_policy(char dir[64], const char *text)
{
	struct qube_policy_opts o = { .size = sizeof(o) };
	qube_policy *p = NULL;
	char path[96];
	FILE *f;

	snprintf(dir, 64, "/tmp/qube-policy-XXXXXX");
	if (!mkdtemp(dir))
		return NULL;
	snprintf(path, sizeof(path), "%s/t.policy", dir);
	f = fopen(path, "w");
	if (!f)
		return NULL;
	fputs(text, f);
	fclose(f);
	o.etc_dir = dir;
	o.run_dir = dir;
	o.legacy_dir = dir;
	if (qube_policy_open(&p, &o) < 0)
		return NULL;
	unlink(path);
	rmdir(dir);
	return p;
}

QTEST(policy_api, gives_each_rule_in_order_and_then_none)
{
	struct qube_policy_near rule = { .size = sizeof(rule) };
	char dir[64];
	qube_policy *p = open_policy(dir, "# a comment\na.B +c work @anyvm allow\n"
					  "* * @tag:x @adminvm deny\n");

	QT_TRUE(p != NULL);
	QT_INT(qube_policy_rule_get(&rule, p, 0), 0);
	QT_STR(rule.service, "a.B");
	QT_STR(rule.argument, "+c");
	QT_STR(rule.source, "work");
	QT_STR(rule.target, "@anyvm");
	QT_STR(rule.action, "allow");
	QT_INT(rule.line, 2);
	QT_INT(rule.column, QUBE_POLICY_COLUMN_NONE);
	QT_INT(qube_policy_rule_get(&rule, p, 1), 0);
	QT_STR(rule.service, "*");
	QT_STR(rule.action, "deny");
	QT_INT(qube_policy_rule_get(&rule, p, 2), QUBE_E_NOENT);
	rule.size = 3;
	QT_INT(qube_policy_rule_get(&rule, p, 0), QUBE_E_INVALID);
	QT_INT(qube_policy_rule_get(NULL, p, 0), QUBE_E_INVALID);
	qube_policy_unref(p);
}

QTEST(policy_api, an_unusable_policy_has_no_rules)
{
	struct qube_policy_near rule = { .size = sizeof(rule) };
	char dir[64];
	qube_policy *p = open_policy(dir, "a.B * work @anyvm allow\nnonsense\n");

	QT_TRUE(p != NULL);
	QT_INT(qube_policy_rule_get(&rule, p, 0), QUBE_E_NOENT);
	qube_policy_unref(p);
}

QTEST(policy_api, gives_each_qube_once)
{
	static const char system[] = "{\"domains\": {\"a\": {\"type\": \"AppVM\"}, "
				     "\"b\": {\"type\": \"AppVM\"}}}";
	const char *first;
	const char *second;
	const char *third = "untouched";
	char dir[64];
	qube_policy *p = open_policy(dir, "");

	QT_TRUE(p != NULL);
	QT_INT(qube_policy_qube_get(&first, p, 0), QUBE_E_NOENT);
	QT_INT(qube_policy_load_system_json(p, system, strlen(system)), 0);
	QT_INT(qube_policy_qube_get(&first, p, 0), 0);
	QT_INT(qube_policy_qube_get(&second, p, 1), 0);
	QT_TRUE(strcmp(first, second) != 0);
	QT_INT(qube_policy_qube_get(&third, p, 2), QUBE_E_NOENT);
	QT_STR(third, "untouched");
	QT_INT(qube_policy_qube_get(NULL, p, 0), QUBE_E_INVALID);
	qube_policy_unref(p);
}
