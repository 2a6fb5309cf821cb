/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Quoting, escaping, numbers for people. */
#include "qtest.h"

#include "common/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

QTEST(cli_text, leaves_a_single_command_as_it_is)
{
	char *args[] = { (char *)"echo $HOME | wc" };
	char *got = cli_quote_command(args, 1);

	QT_STR(got, "echo $HOME | wc");
	free(got);
}

QTEST(cli_text, quotes_each_of_several_arguments)
{
	char *args[] = { (char *)"echo", (char *)"a b", (char *)"", (char *)"it's", (char *)"$x" };
	char *got = cli_quote_command(args, 5);

	QT_STR(got, "echo 'a b' '' 'it'\\''s' '$x'");
	free(got);
}

/* What the shell makes of a quoted line is read back, byte by byte. */
static int shell_gives(char *const *args, int n, const char *want, size_t want_len)
{
	char *quoted = cli_quote_args(args, n);
	char *line = NULL;
	char got[2048];
	size_t len;
	FILE *f;

	if (!quoted || asprintf(&line, "printf '%%s\\n' %s", quoted) < 0)
		return 0;
	f = popen(line, "r");
	len = f ? fread(got, 1, sizeof(got), f) : 0;
	if (f)
		pclose(f);
	free(line);
	free(quoted);
	return len == want_len && memcmp(got, want, len) == 0;
}

/* The host's words reach the guest's shell as words: nothing in them is expanded there. */
QTEST(cli_text, threat_01_every_byte_survives_the_shell)
{
	char all[256];
	char want[300];
	char *args[2] = { all, (char *)"end" };

	for (int i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	all[255] = '\0';
	memcpy(want, all, 255);
	memcpy(want + 255, "\nend\n", 5);
	QT_TRUE(shell_gives(args, 2, want, 260));
	for (int i = 1; i < 256; i++) {
		char one[2] = { (char)i, '\0' };
		char expected[8] = { (char)i, '\n', 'e', 'n', 'd', '\n' };

		args[0] = one;
		/* A thousand shells are slow: only the bytes that a shell knows. */
		if (i >= 0x7f || (i > ' ' && strchr("abcdefghijklmnopqrstuvwxyz"
						    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
						    i)))
			continue;
		if (!shell_gives(args, 2, expected, 6))
			QT_FAIL("byte %d did not survive", i);
	}
}

QTEST(cli_text, threat_04_escapes_all_but_printable_ascii)
{
	char text[256];
	char *got;

	for (int i = 1; i < 256; i++)
		text[i - 1] = (char)i;
	text[255] = '\0';
	got = cli_escape_dup(text);
	QT_TRUE(got != NULL);
	for (const char *at = got; *at; at++)
		if (*at < 0x20 || *at > 0x7e)
			QT_FAIL("byte %d came through", *at);
	free(got);
	got = cli_escape_dup("a\\b\033[m\xe2\x80\xae");
	QT_STR(got, "a\\\\b\\x1b[m\\xe2\\x80\\xae");
	free(got);
}

QTEST(cli_text, cuts_escaped_text_to_fit)
{
	char out[12];

	cli_escape(out, sizeof(out), "12345678901");
	QT_STR(out, "12345678901");
	cli_escape(out, sizeof(out), "123456789012");
	QT_STR(out, "12345678...");
	cli_escape(out, sizeof(out), "123456\n8901234");
	QT_STR(out, "123456...");
	cli_escape(out, 4, "abcdef");
	QT_STR(out, "...");
	cli_escape(out, 1, "abcdef");
	QT_STR(out, "");
	for (size_t cap = 1; cap <= sizeof(out); cap++) {
		char guarded[16];

		memset(guarded, 'x', sizeof(guarded));
		cli_escape(guarded, cap, "\n\n\n\n\n\n");
		QT_TRUE(strlen(guarded) < cap);
		QT_INT(guarded[cap], 'x');
	}
}

QTEST(cli_text, parses_sizes)
{
	static const char *const none[] = { "",
					    "K",
					    "-1",
					    " 1",
					    "1 ",
					    "1KB",
					    "1k",
					    "0x1",
					    "010",
					    "1.5G",
					    "+1",
					    "16777216T",
					    "18446744073709551615" };
	uint64_t n = 0;

	QT_TRUE(cli_parse_size(&n, "512") && n == 512);
	QT_TRUE(cli_parse_size(&n, "0") && n == 0);
	QT_TRUE(cli_parse_size(&n, "3K") && n == 3072);
	QT_TRUE(cli_parse_size(&n, "16777215T") && n == 16777215ull << 40);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		n = 7;
		QT_TRUE(!cli_parse_size(&n, none[i]) && n == 7);
	}
}

QTEST(cli_text, formats_sizes_and_counts)
{
	char out[32];

	cli_format_size(out, sizeof(out), 512);
	QT_STR(out, "512 bytes");
	cli_format_size(out, sizeof(out), 191155405);
	QT_STR(out, "182.3 MiB");
	cli_format_size(out, sizeof(out), UINT64_MAX);
	QT_STR(out, "16.0 EiB");
	cli_format_count(out, sizeof(out), 0);
	QT_STR(out, "0");
	cli_format_count(out, sizeof(out), 999);
	QT_STR(out, "999");
	cli_format_count(out, sizeof(out), 4212);
	QT_STR(out, "4,212");
	cli_format_count(out, sizeof(out), 1234567);
	QT_STR(out, "1,234,567");
}
