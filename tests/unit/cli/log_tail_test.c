/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Following a log by readings of its end. */
#include "qtest.h"

#include "log_tail.h"

QTEST(cli_log, the_last_lines_are_whole)
{
	QT_STR(cli_log_tail("a\nb\nc\n", 2), "b\nc\n");
	QT_STR(cli_log_tail("a\nb\nc", 1), "c");
	QT_STR(cli_log_tail("a\nb\n", 7), "a\nb\n");
	QT_STR(cli_log_tail("a\nb\n", 0), "");
	QT_STR(cli_log_tail("", 3), "");
}

QTEST(cli_log, what_came_since_is_told_once)
{
	QT_STR(cli_log_fresh("", "a\n"), "a\n");
	QT_STR(cli_log_fresh("a\n", "a\n"), "");
	QT_STR(cli_log_fresh("a\n", "a\nb\n"), "b\n");
	/* The window moved on. */
	QT_STR(cli_log_fresh("a\nb\nc\n", "b\nc\nd\n"), "d\n");
	QT_STR(cli_log_fresh("x\nx\n", "x\nx\nx\n"), "x\n");
}

QTEST(cli_log, a_gap_is_noticed)
{
	QT_TRUE(cli_log_fresh("a\nb\n", "c\nd\n") == NULL);
	QT_TRUE(cli_log_fresh("a\nb\n", "") == NULL);
}
