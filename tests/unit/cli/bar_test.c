/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The line of progress, whole. */
#include "qtest.h"

#include "bar.h"

static const struct cli_bar half = {
	.title = "deb",
	.stage = "copy",
	.done_bytes = 20 << 20,
	.total_bytes = 40 << 20,
	.moved_bytes = 20 << 20,
	.moved_ms = 2000,
};

QTEST(cli_bar, has_bytes_rate_and_the_time_that_is_left)
{
	char line[256];

	cli_bar_line(line, sizeof(line), &half, 120);
	QT_STR(line, "deb: copy [############............] 20.0 MiB of 40.0 MiB, 10.0 MiB/s, "
		     "0:02 left");
}

QTEST(cli_bar, leaves_out_what_does_not_fit)
{
	char line[256];

	cli_bar_line(line, sizeof(line), &half, 76);
	QT_STR(line, "deb: copy [############............] 20.0 MiB of 40.0 MiB, 10.0 MiB/s");
	cli_bar_line(line, sizeof(line), &half, 60);
	QT_STR(line, "deb: copy [############............] 20.0 MiB of 40.0 MiB");
	cli_bar_line(line, sizeof(line), &half, 40);
	QT_STR(line, "deb: copy 20.0 MiB of 40.0 MiB");
	cli_bar_line(line, sizeof(line), &half, 6);
	QT_STR(line, "deb: c");
}

QTEST(cli_bar, without_a_total_or_with_a_wrong_one_tells_the_stage)
{
	struct cli_bar b = half;
	char line[256];

	b.total_bytes = 0;
	cli_bar_line(line, sizeof(line), &b, 120);
	QT_STR(line, "deb: copy");
	b.total_bytes = 5;
	cli_bar_line(line, sizeof(line), &b, 120);
	QT_STR(line, "deb: copy");
	b = half;
	b.moved_ms = 100;
	cli_bar_line(line, sizeof(line), &b, 120);
	QT_STR(line, "deb: copy [############............] 20.0 MiB of 40.0 MiB");
	b.moved_ms = 1000;
	b.moved_bytes = 0;
	cli_bar_line(line, sizeof(line), &b, 120);
	QT_STR(line, "deb: copy [############............] 20.0 MiB of 40.0 MiB, 0 bytes/s");
}

QTEST(cli_bar, threat_04_escapes_what_it_is_told)
{
	struct cli_bar b = { .title = "a\033[2J", .stage = "s\n" };
	char line[256];

	cli_bar_line(line, sizeof(line), &b, 120);
	QT_STR(line, "a\\x1b[2J: s\\x0a");
}
