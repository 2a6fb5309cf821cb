/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The screen of qube top, whole. */
#include "qtest.h"

#include "top.h"

#include <stdlib.h>

static struct cli_top_row busy = {
	.name = "work",
	.klass = "AppVM",
	.state = "Running",
	.isolation = "kernel-shared",
	.unenforced = "memory vcpus disk",
	.guessed = true,
	.cpu_permille = 1253,
	.memory_bytes = 190 << 20,
	.target_bytes = 700 << 20,
	.pids = 14,
	.start_time_ms = 1000000,
};
static struct cli_top_row odd = {
	.name = "a\033[2Jb",
	.klass = "DispVM",
	.state = "Paused",
	.isolation = "kernel-shared, userns",
	.cpu_permille = CLI_TOP_UNKNOWN,
	.memory_bytes = CLI_TOP_UNKNOWN,
	.target_bytes = CLI_TOP_UNKNOWN,
	.pids = CLI_TOP_UNKNOWN,
	.start_time_ms = CLI_TOP_UNKNOWN,
};

static char *draw(enum cli_top_sort by, unsigned int width, unsigned int height, bool live)
{
	struct cli_top_row rows[2] = { odd, busy };
	struct cli_top_view v = {
		.width = width, .height = height, .by = by, .live = live, .now_ms = 4723000
	};
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	cli_top_sort(rows, 2, by);
	cli_top_draw(f, rows, 2, &v);
	fclose(f);
	return text;
}

QTEST(cli_top, threat_04_draws_a_screen_without_trusting_a_byte)
{
	char *text = draw(CLI_TOP_BY_CPU, 0, 0, false);

	QT_STR(text,
	       "2 running, by cpu\n"
	       "NAME              CLASS         STATE        CPU%       MEMORY"
	       "       TARGET   PIDS     UPTIME  ISOLATION\n"
	       "work              AppVM         Running     125.3   ~190.0 MiB"
	       "    700.0 MiB     14    1:02:03  kernel-shared  not enforced: memory vcpus disk\n"
	       "a\\x1b[2Jb         DispVM        Paused          -            -"
	       "            -      -          -  kernel-shared, userns\n");
	free(text);
}

QTEST(cli_top, cuts_lines_and_rows_to_the_terminal)
{
	char *text = draw(CLI_TOP_BY_NAME, 20, 4, true);

	QT_STR(text, "2 running, by name  \033[K\r\n"
		     "NAME              CL\033[K\r\n"
		     "a\\x1b[2Jb         Di\033[K\r\n");
	free(text);
}

QTEST(cli_top, sorts_the_unknown_last)
{
	static const char keys[] = "cmpt";
	enum cli_top_sort by;

	for (const char *k = keys; *k; k++) {
		struct cli_top_row rows[2] = { odd, busy };

		cli_top_sort(rows, 2, (enum cli_top_sort) * k);
		QT_STR(rows[0].name, "work");
	}
	QT_TRUE(cli_top_sort_parse(&by, "uptime"));
	QT_INT(by, CLI_TOP_BY_START);
	QT_TRUE(!cli_top_sort_parse(&by, "colour"));
}

QTEST(cli_top, a_share_needs_two_readings_of_one_life)
{
	struct cli_top_row a = { .cpu_ns = 0, .start_time_ms = 5, .taken_ms = 1000 };
	struct cli_top_row b = { .cpu_ns = 500000000, .start_time_ms = 5, .taken_ms = 2000 };

	QT_INT(cli_top_share(&a, &b), 500);
	b.start_time_ms = 6;
	QT_TRUE(cli_top_share(&a, &b) == CLI_TOP_UNKNOWN);
	b.start_time_ms = 5;
	b.taken_ms = 1000;
	QT_TRUE(cli_top_share(&a, &b) == CLI_TOP_UNKNOWN);
	b = a;
	a.taken_ms = 0;
	a.cpu_ns = CLI_TOP_UNKNOWN;
	QT_TRUE(cli_top_share(&a, &b) == CLI_TOP_UNKNOWN);
}
