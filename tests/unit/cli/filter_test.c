/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a guest may write to a terminal of ours: golden cases in both modes. */
#include "qtest.h"

#include "filter.h"
#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct golden {
	const char *in, *out;
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Filters in pieces of the given size; the stream must come out the same whatever they are. */
static size_t run_filter(uint32_t mode, const char *in, size_t len, size_t piece, char *out)
{
	struct cli_filter f;
	size_t n = 0;

	cli_filter_init(&f, mode);
	for (size_t at = 0; at < len; at += piece)
		n += cli_filter(&f, out + n, in + at, len - at < piece ? len - at : piece);
	return n;
}

static void check(uint32_t mode, const struct golden *g, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t piece = 1; piece <= 5; piece++) {
			char out[1024];
			size_t n = run_filter(mode, g[i].in, strlen(g[i].in), piece, out);

			if (n == strlen(g[i].out) && memcmp(out, g[i].out, n) == 0)
				continue;
			out[n] = '\0';
			qtest_fail(__FILE__, __LINE__, "case %zu in pieces of %zu: got '%s'", i,
				   piece, out);
		}
	}
}

QTEST(cli_filter, threat_04_plain_output_has_no_escapes)
{
	static const struct golden g[] = {
		{ "plain text\n\tand\r\b\a", "plain text\n\tand\r\b\a" },
		{ "\033[31mred\033[m", "_[31mred_[m" },
		{ "\033]0;title\007", "_]0;title\a" },
		{ "\033]52;c;ZXZpbA==\033\\", "_]52;c;ZXZpbA==_\\" },
		{ "\033P$qm\033\\", "_P$qm_\\" },
		{ "\x9b"
		  "31m\x90\x9d\x9f",
		  "_31m___" },
		{ "\xc2\x9b"
		  "0m",
		  "__0m" },
		{ "\xe2\x80\xae"
		  "gnp.exe",
		  "___gnp.exe" },
		{ "caf\xc3\xa9", "caf__" },
		{ "\001\002\013\014\016\017\030\032\177", "_________" },
		{ "line\xe2\x80\xa8two", "line___two" },
	};

	check(CLI_FILTER_PLAIN, g, COUNT(g));
}

QTEST(cli_filter, threat_04_plain_mode_judges_each_byte_alone)
{
	for (int i = 0; i < 256; i++) {
		char in = (char)i;
		char out[1 + CLI_FILTER_HELD];
		int kept = (i >= 0x20 && i <= 0x7e) || i == '\t' || i == '\n' || i == '\r' ||
			   i == '\b' || i == '\a';

		QT_INT(run_filter(CLI_FILTER_PLAIN, &in, 1, 1, out), 1);
		QT_INT((unsigned char)out[0], kept ? i : '_');
	}
}

QTEST(cli_filter, screen_mode_lets_drawing_pass)
{
	static const struct golden g[] = {
		{ "\033[1;31mred\033[0m\033[m", "\033[1;31mred\033[0m\033[m" },
		{ "\033[2J\033[H\033[K", "\033[2J\033[H\033[K" },
		{ "\033[5A\033[B\033[C\033[D\033[7G\033[3d",
		  "\033[5A\033[B\033[C\033[D\033[7G\033[3d" },
		{ "\033[2P\033[4@\033[L\033[M\033[3X", "\033[2P\033[4@\033[L\033[M\033[3X" },
		{ "\033[1;24r\033[10;20H", "\033[1;24r\033[10;20H" },
		{ "\033[?25l\033[?25h\033[?1049h\033[?1049l",
		  "\033[?25l\033[?25h\033[?1049h\033[?1049l" },
		{ "\033[?2004h\033[?1h\033=\033>", "\033[?2004h\033[?1h\033=\033>" },
		{ "\033[?12;25h", "\033[?12;25h" },
		{ "\033"
		  "7\033"
		  "8\033M",
		  "\033"
		  "7\033"
		  "8\033M" },
		{ "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
		  "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "a\r\n\tb\b\a", "a\r\n\tb\b\a" },
	};

	check(CLI_FILTER_SCREEN, g, COUNT(g));
}

/* Everything that makes a terminal answer, remember, print or hide is dropped whole. */
QTEST(cli_filter, threat_04_screen_mode_drops_what_does_more_than_draw)
{
	static const struct golden g[] = {
		{ "a\033]0;title\007b", "ab" },	      /* title */
		{ "a\033]52;c;ZXZpbA==\007b", "ab" }, /* clipboard */
		{ "a\033]52;c;?\033\\b", "ab" },      /* clipboard query */
		{ "a\033]10;?\007b", "ab" },	      /* colour query */
		{ "a\033]8;;http://x\033\\link\033]8;;\033\\b", "alinkb" },
		{ "a\033P$qm\033\\b", "ab" },	 /* DECRQSS */
		{ "a\033P+q544e\033\\b", "ab" }, /* XTGETTCAP */
		{ "a\033_G1\033\\b", "ab" },	 /* APC */
		{ "a\033^pm\033\\b", "ab" },	 /* PM */
		{ "a\033Xsos\033\\b", "ab" },	 /* SOS */
		{ "a\033[cb", "ab" },		 /* device attributes */
		{ "a\033[>cb", "ab" },
		{ "a\033[0cb", "ab" },
		{ "a\033[5nb\033[6nc", "abc" }, /* reports */
		{ "a\033[?6nb", "ab" },
		{ "a\033[21tb\033[8;10;10tc", "abc" },	/* window reports */
		{ "a\033[xb", "ab" },			/* DECREQTPARM */
		{ "a\033[!pb", "ab" },			/* soft reset */
		{ "a\033[4ib\033[5ic", "abc" },		/* printer */
		{ "a\033[?1000hb\033[?1006hc", "abc" }, /* mouse */
		{ "a\033[?1004hb", "ab" },		/* focus */
		{ "a\033[?3hb", "ab" },			/* columns */
		{ "a\033[?25;1000hb", "ab" },		/* one bad among good */
		{ "a\033[4hb\033[20hc", "abc" },	/* ANSI modes */
		{ "a\033[?hb", "ab" },
		{ "a\033[>4;1mb", "ab" }, /* modifyOtherKeys */
		{ "a\033[?1mb", "ab" },
		{ "a\033[1$rb", "ab" },
		{ "a\033[1 qb", "ab" },
		{ "a\033[1;1;1;1;1Tb", "ab" }, /* mouse highlighting */
		{ "a\033[99999Ab", "ab" },     /* absurd numbers */
		{ "a\033cb", "ab" },	       /* full reset */
		{ "a\033Zb", "ab" },	       /* DECID */
		{ "a\033(0b", "ab" },	       /* character sets */
		{ "a\033#8b", "ab" },
		{ "a\033nb\033|c", "abc" },
	};

	check(CLI_FILTER_SCREEN, g, COUNT(g));
}

QTEST(cli_filter, threat_04_screen_mode_marks_bad_characters)
{
	static const struct golden g[] = {
		{ "\x9b"
		  "31m",
		  "_31m" }, /* C1 as a byte */
		{ "\x9d"
		  "0;t\x9c",
		  "_0;t_" },
		{ "\xc2\x9b"
		  "31m",
		  "_31m" }, /* C1 as a character */
		{ "\xc2\x85", "_" },
		{ "\xe2\x80\xaegnp", "_gnp" },		/* bidirectional override */
		{ "\xe2\x81\xa6x\xe2\x81\xa9", "_x_" }, /* isolates */
		{ "\xe2\x80\x8f\xd8\x9c", "__" },	/* marks */
		{ "\xe2\x80\x8b", "_" },		/* zero width */
		{ "\xe2\x80\xa8", "_" },		/* line separator */
		{ "\xef\xbb\xbf", "_" },
		{ "\xf3\xa0\x81\x81", "_" }, /* tag */
		{ "\xc0\x9b"
		  "1m",
		  "__1m" }, /* overlong ESC */
		{ "\xe0\x80\x9b", "_" },
		{ "\xed\xa0\x80", "_" }, /* surrogate */
		{ "\xf4\x90\x80\x80", "_" },
		{ "\xf5\x80", "__" },
		{ "\xe2\x80"
		  "x",
		  "_x" }, /* cut short */
		{ "\xe2\033[31m", "_\033[31m" },
		{ "\016\017\013\014\005\030\032\177", "________" },
	};

	check(CLI_FILTER_SCREEN, g, COUNT(g));
}

QTEST(cli_filter, threat_04_broken_sequences_do_not_leak)
{
	static const struct golden g[] = {
		{ "\033\033[31mx", "\033[31mx" },
		{ "\033[31\033[32mx", "\033[32mx" },
		{ "\033[3\n1mx", "\n1mx" }, /* a control ends a sequence */
		{ "\033[3\x9b"
		  "1mx",
		  "_1mx" },
		{ "\033]0;t\033[31mx", "\033[31mx" }, /* ESC ends a string */
		{ "\033]0;t\033]1;u\007x", "x" },
		{ "\033P\033\033\\x", "x" },
		{ "\033]0;t\030x", "x" }, /* CAN */
		{ "\033]0;t\xc2\x9cx\007y", "y" },
		{ "\033[", "" },
		{ "\033[12", "" },
		{ "\033", "" },
		{ "\033]0;", "" },
	};

	check(CLI_FILTER_SCREEN, g, COUNT(g));
}

QTEST(cli_filter, threat_04_overlong_sequences_are_dropped)
{
	char in[256] = "\033[";
	char out[512];
	size_t n;

	memset(in + 2, '1', 200);
	memcpy(in + 202, "mx", 3);
	n = run_filter(CLI_FILTER_SCREEN, in, strlen(in), 7, out);
	QT_INT(n, 1);
	QT_INT(out[0], 'x');
	memset(in + 2, ';', 200);
	n = run_filter(CLI_FILTER_SCREEN, in, strlen(in), 7, out);
	QT_INT(n, 1);
}

QTEST(cli_filter, a_string_without_end_does_not_swallow_the_session)
{
	size_t len = 200000;
	char *in = malloc(len);
	char *out = malloc(len + CLI_FILTER_HELD);
	size_t n;

	memset(in, 'a', len);
	memcpy(in, "\033]0;", 4);
	n = run_filter(CLI_FILTER_SCREEN, in, len, len, out);
	QT_TRUE(n > 100000 && n < 150000);
	free(in);
	free(out);
}

/* Whatever comes in: no C0 but the harmless ones, no C1, and each ESC begins a known sequence. */
static int is_harmless(const unsigned char *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (out[i] == 0x1b) {
			if (i + 1 < n && memchr("78M=>", out[i + 1], 5)) {
				i++;
				continue;
			}
			if (i + 1 >= n || out[++i] != '[')
				return 0;
			for (i++; i < n && ((out[i] >= '0' && out[i] <= '9') || out[i] == ';' ||
					    out[i] == '?');
			     i++)
				;
			if (i >= n || !memchr("ABCDEFGHJKLMPSTXd@fmrhl", out[i], 23))
				return 0;
		} else if (out[i] < 0x20 && !memchr("\t\n\r\b\a", out[i], 5)) {
			return 0;
		} else if (out[i] == 0xc2 && i + 1 < n && out[i + 1] < 0xa0) {
			return 0;
		}
	}
	return 1;
}

QTEST(cli_filter, threat_04_random_bytes_come_out_harmless)
{
	static const char spice[] = "\033[]P?;0123456789mhlcnt\\\007\xc2\x9b\xe2\x80\xae\030";
	uint32_t seed = 12345;
	unsigned char in[512];
	char out[sizeof(in) + CLI_FILTER_HELD];

	for (int round = 0; round < 20000; round++) {
		size_t n;

		for (size_t i = 0; i < sizeof(in); i++) {
			seed = seed * 1664525 + 1013904223;
			in[i] = (seed >> 24) % 4 ?
					(unsigned char)spice[(seed >> 8) % (sizeof(spice) - 1)] :
					(unsigned char)(seed >> 16);
		}
		n = run_filter(CLI_FILTER_SCREEN, (const char *)in, sizeof(in), 100, out);
		QT_TRUE(n <= sizeof(out));
		QT_TRUE(is_harmless((const unsigned char *)out, n));
	}
}

QTEST(cli_filter, resets_only_what_was_used)
{
	struct cli_filter f;
	char out[256];
	char undo[64];
	size_t n;

	cli_filter_init(&f, CLI_FILTER_SCREEN);
	QT_INT(cli_filter_reset(&f, undo), 0);
	cli_filter(&f, out, "\033[?1049h\033[31m", 13);
	n = cli_filter_reset(&f, undo);
	undo[n] = '\0';
	QT_STR(undo, "\033[?1049l\033[m");
	cli_filter(&f, out, "\033[?25l\033[?1h\033[?2004h\033[1;5r", 26);
	QT_TRUE(cli_filter_reset(&f, undo) < sizeof(undo));
}

QTEST(cli_utf8, writes_text_and_nothing_that_acts)
{
	static const struct {
		const char *text;
		const char *want;
	} rows[] = {
		{ "", "" },
		{ "two\n\tlines", "two\n\tlines" },
		{ "gr\xc3\xbc\xc3\x9f \xe2\x82\xac", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac" },
		{ "\x1b]0;x\x07\r", "_]0;x__" },
		{ "\xc2\x9b\xe2\x80\xae", "__" },
		{ "\xff\xe2\x82", "___" },
		{ "\xe2\x82\n", "__\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *got = NULL;
		size_t len = 0;
		FILE *f = open_memstream(&got, &len);

		QT_TRUE(f != NULL);
		cli_utf8_write(f, rows[i].text, strlen(rows[i].text));
		fclose(f);
		QT_STR(got, rows[i].want);
		free(got);
	}
}
