/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a template tells of its update, in one piece or byte by byte, and what it may not. */
#include "qtest.h"

#include "update_report.h"

#include <stdio.h>
#include <string.h>

static enum cli_update_result judge(const char *text, int exit_code, char why[256])
{
	struct cli_update_report r = { .n_packages = 0 };
	enum cli_update_result result;

	why[0] = '\0';
	for (size_t i = 0; i < strlen(text); i++)
		cli_update_report_feed(&r, text + i, 1);
	result = cli_update_report_judge(&r, exit_code, why, 256);
	cli_update_report_fini(&r);
	return result;
}

QTEST(cli_update_report, is_good_when_each_package_is_there)
{
	struct cli_update_report r = { .n_packages = 0 };
	static const char text[] = "manager apt\nstage deliver\nwant a 1 2\nwant b 1 3\n"
				   "stage check\nis b 3\nis a 2\nresult updated\n";
	char why[256];

	QT_TRUE(cli_update_report_feed(&r, text, 26));
	QT_STR(r.manager, "apt");
	QT_STR(r.stage, "deliver");
	cli_update_report_feed(&r, text + 26, sizeof(text) - 27);
	QT_INT(r.n_packages, 2);
	QT_STR(r.packages[1].name, "b");
	QT_STR(r.packages[1].from, "1");
	QT_STR(r.packages[1].to, "3");
	QT_INT(cli_update_report_judge(&r, 0, why, sizeof(why)), CLI_UPDATE_DONE);
	cli_update_report_fini(&r);
	QT_INT(judge("manager rpm\nresult none\n", 0, why), CLI_UPDATE_NONE);
}

QTEST(cli_update_report, threat_26_is_no_success_unless_all_of_it_says_so)
{
	static const struct {
		const char *text;
		int exit_code;
		const char *why;
	} bad[] = {
		{ "", 0, "the update ended without a result" },
		{ "want a 1 2\n", 0, "the update ended without a result" },
		{ "result updated\n", 0, "the update ended without a result" },
		{ "want a 1 2\nresult none\n", 0, "the update ended without a result" },
		{ "want a 1 2\nresult updated\n", 0, "a 2 was not applied" },
		{ "want a 1 2\nwant b 1 2\nis a 2\nresult updated\n", 0, "b 2 was not applied" },
		{ "want a 1 2\nis a 2\nresult updated\n", 3, "the update ended with status 3" },
		{ "result none\n", 1, "the update ended with status 1" },
		{ "error no space\nresult none\n", 0, "no space" },
		{ "want a 1 2\nis a 2\nresult upd", 0, "the update ended without a result" },
	};
	char why[256];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		QT_INT(judge(bad[i].text, bad[i].exit_code, why), CLI_UPDATE_FAILED);
		QT_STR(why, bad[i].why);
	}
}

QTEST(cli_update_report, refuses_what_is_no_report)
{
	static const char *const bad[] = {
		"hello\n",
		"\n",
		"stage\n",
		"stage \n",
		"stage a b\n",
		"want a 1\n",
		"want a 1 2 3\n",
		"want  1 2\n",
		"is a 1\n",
		"manager a\nmanager b\n",
		"error a\nerror b\n",
		"result none\nresult none\n",
		"result none\nstage a\n",
	};
	struct cli_update_report r = { .n_packages = 0 };
	char why[256];
	char much[4096];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		QT_TRUE(!cli_update_report_feed(&r, bad[i], strlen(bad[i])) || !r.nonsense);
		QT_TRUE(r.nonsense);
		cli_update_report_fini(&r);
	}
	memset(much, 'x', sizeof(much));
	cli_update_report_feed(&r, much, sizeof(much));
	QT_TRUE(r.nonsense);
	cli_update_report_fini(&r);
	cli_update_report_feed(&r, "stage a\0b\n", 10);
	QT_TRUE(r.nonsense);
	cli_update_report_fini(&r);
	snprintf(much, sizeof(much), "stage %0*d\n", CLI_UPDATE_WORD_MAX, 0);
	cli_update_report_feed(&r, much, strlen(much));
	QT_TRUE(r.nonsense);
	QT_INT(cli_update_report_judge(&r, 0, why, sizeof(why)), CLI_UPDATE_FAILED);
	QT_STR(why, "the template's answer is no report of an update");
	cli_update_report_fini(&r);
	for (int i = 0; i <= CLI_UPDATE_PACKAGES_MAX; i++) {
		QT_TRUE(!r.nonsense);
		cli_update_report_feed(&r, "want a 1 2\n", 11);
	}
	QT_TRUE(r.nonsense);
	cli_update_report_fini(&r);
}
