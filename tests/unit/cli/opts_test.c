/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Options of our own programs: one reading only. */
#include "qtest.h"

#include "common/opts.h"

#include <stdio.h>
#include <stdlib.h>

enum { HELP, USER, DISP, MULTI, FORCE, N };

static const struct cli_optdef defs[N] = {
	[HELP] = { "help", 'h', CLI_ARG_NONE, NULL, "" },
	[USER] = { "user", 'u', CLI_ARG_NEEDED, "NAME", "" },
	[DISP] = { "disposable", 0, CLI_ARG_MAYBE, "TEMPLATE", "" },
	[MULTI] = { "property", 'p', CLI_ARG_NEEDED, "NAME=VALUE", "" },
	[FORCE] = { "force", 'f', CLI_ARG_NONE, NULL, "" },
};

struct line {
	struct cli_parsed p;
	char *argv[16];
	int argc;
	int used;
};

/* Arguments up to NULL; the options in accepted are known. */
static void parse_with(struct line *l, cli_bits accepted, bool stop, const char *const *args)
{
	struct cli_syntax s = { .defs = defs,
				.n_defs = N,
				.accepted = accepted,
				.multi = 1 << MULTI,
				.stop_at_pos = stop };

	memset(l, 0, sizeof(*l));
	while (args[l->argc]) {
		l->argv[l->argc] = (char *)args[l->argc];
		l->argc++;
	}
	l->used = cli_parse(&l->p, &s, l->argc, l->argv);
}

#define PARSE(l, ...)                                                                              \
	parse_with((l), (1 << N) - 1, false, (const char *const[]){ __VA_ARGS__, NULL })

QTEST(cli_opts, accepts_options_around_arguments)
{
	struct line l;

	PARSE(&l, "work", "--user", "root", "-f", "x");
	QT_INT(l.used, 5);
	QT_INT(l.p.n_pos, 2);
	QT_STR(l.p.pos[0], "work");
	QT_STR(l.p.pos[1], "x");
	QT_STR(l.p.value[USER], "root");
	QT_TRUE(cli_given(&l.p, FORCE));
	QT_TRUE(!cli_given(&l.p, HELP));
	QT_INT(l.p.n_before, CLI_NO_DASHES);
}

QTEST(cli_opts, accepts_glued_values)
{
	struct line l;

	PARSE(&l, "--user=--odd", "--disposable=dvm");
	QT_INT(l.used, 2);
	QT_STR(l.p.value[USER], "--odd");
	QT_STR(l.p.value[DISP], "dvm");
	PARSE(&l, "-funame");
	QT_INT(l.used, 1);
	QT_STR(l.p.value[USER], "name");
	QT_TRUE(cli_given(&l.p, FORCE));
	PARSE(&l, "--user=");
	QT_INT(l.used, 1);
	QT_STR(l.p.value[USER], "");
}

QTEST(cli_opts, takes_a_maybe_value_only_by_equals)
{
	struct line l;

	PARSE(&l, "--disposable", "dvm");
	QT_STR(l.p.value[DISP], "");
	QT_INT(l.p.n_pos, 1);
	QT_STR(l.p.pos[0], "dvm");
}

QTEST(cli_opts, keeps_repeated_values_in_order)
{
	struct line l;

	PARSE(&l, "-p", "a=1", "--property=b=2");
	QT_INT(l.p.n_multi, 2);
	QT_STR(l.p.multi[0], "a=1");
	QT_STR(l.p.multi[1], "b=2");
}

QTEST(cli_opts, rejects_more_repetitions_than_fit)
{
	struct cli_syntax s = { .defs = defs, .n_defs = N, .accepted = 31, .multi = 1 << MULTI };
	char *argv[CLI_MULTI_MAX + 1];
	struct cli_parsed p = { 0 };

	for (int i = 0; i <= CLI_MULTI_MAX; i++)
		argv[i] = (char *)"-px=y";
	QT_INT(cli_parse(&p, &s, CLI_MULTI_MAX + 1, argv), -1);
}

QTEST(cli_opts, counts_what_stands_before_the_dashes)
{
	struct line l;

	PARSE(&l, "work", "--", "ls", "-l", "--", "--user=x");
	QT_INT(l.p.n_before, 1);
	QT_INT(l.p.n_pos, 5);
	QT_STR(l.p.pos[2], "-l");
	QT_STR(l.p.pos[3], "--");
	QT_STR(l.p.pos[4], "--user=x");
	QT_TRUE(!cli_given(&l.p, USER));
	PARSE(&l, "--", "ls");
	QT_INT(l.p.n_before, 0);
}

QTEST(cli_opts, stops_at_the_first_argument_if_asked)
{
	struct line l;

	parse_with(&l, 31, true, (const char *const[]){ "-f", "ls", "--bogus", NULL });
	QT_INT(l.used, 1);
	QT_TRUE(cli_given(&l.p, FORCE));
}

/* Every way of writing an option that other parsers read in two ways is refused here. */
QTEST(cli_opts, threat_12_rejects_what_has_two_readings)
{
	static const char *const lines[][4] = {
		{ "--use", "root", NULL },     /* abbreviation */
		{ "--user", NULL },	       /* value missing */
		{ "--user", "--force", NULL }, /* value that is an option */
		{ "--user", "--", NULL },      /* ... or the end of options */
		{ "-u", "-f", NULL },
		{ "--user=a", "--user=b", NULL }, /* twice: which counts? */
		{ "-f", "--force", NULL },
		{ "--force=yes", NULL }, /* a value that would be ignored */
		{ "--force=", NULL },
		{ "--userx=a", NULL },
		{ "--User=a", NULL },
		{ "---user=a", NULL },
		{ "-x", NULL },
		{ "-fx", NULL },
		{ "-f-", NULL },
		{ "--=", NULL },
		{ "--=user", NULL },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct line l;

		parse_with(&l, 31, false, lines[i]);
		if (l.used != -1)
			QT_FAIL("line %zu (%s) was accepted", i, lines[i][0]);
		QT_TRUE(l.p.error[0]);
	}
}

QTEST(cli_opts, threat_12_rejects_options_of_other_verbs)
{
	struct line l;

	parse_with(&l, 1 << HELP, false, (const char *const[]){ "--user=x", NULL });
	QT_INT(l.used, -1);
	QT_STR(l.p.error, "unknown option --user");
	parse_with(&l, 1 << HELP, false, (const char *const[]){ "-u", NULL });
	QT_INT(l.used, -1);
}

QTEST(cli_opts, threat_04_escapes_the_option_it_refuses)
{
	struct line l;

	PARSE(&l, "--\033]0;x\007");
	QT_INT(l.used, -1);
	QT_STR(l.p.error, "unknown option --\\x1b]0;x\\x07");
}

QTEST(cli_opts, numbers_are_digits_within_their_limit)
{
	static const char *const bad[] = { "",
					   " 1",
					   "1 ",
					   "+1",
					   "-1",
					   "0x1",
					   "1e3",
					   "101",
					   "18446744073709551616",
					   "99999999999999999999999" };
	uint64_t n = 7;

	QT_TRUE(cli_parse_u64(&n, "100", 100));
	QT_INT(n, 100);
	QT_TRUE(cli_parse_u64(&n, "18446744073709551615", UINT64_MAX));
	QT_TRUE(n == UINT64_MAX);
	n = 7;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (cli_parse_u64(&n, bad[i], 100))
			QT_FAIL("'%s' was accepted", bad[i]);
	QT_INT(n, 7);
}

QTEST(cli_opts, a_typing_error_finds_what_was_meant)
{
	struct line l;

	QT_INT(cli_distance("creat", "create"), 1);
	QT_INT(cli_distance("craete", "create"), 1);
	QT_INT(cli_distance("tempalte", "template"), 1);
	QT_INT(cli_distance("unpuase", "unpause"), 1);
	QT_INT(cli_distance("disp", "disposable"), 1);
	QT_INT(cli_distance("shutdonw", "shutdown"), 1);
	QT_INT(cli_distance("lss", "ls"), 1);
	QT_INT(cli_distance("x", "ls"), CLI_FAR);
	QT_INT(cli_distance("kill", "call"), CLI_FAR);
	QT_INT(cli_distance("", "ls"), CLI_FAR);
	QT_INT(cli_distance("a-word-that-is-longer-than-all-options-are", "ls"), CLI_FAR);
	PARSE(&l, "--froce");
	QT_INT(l.used, -1);
	QT_STR(l.p.error, "unknown option --froce; did you mean --force?");
	PARSE(&l, "--usr=root");
	QT_STR(l.p.error, "unknown option --usr; did you mean --user?");
	/* What this verb does not take is not proposed. */
	parse_with(&l, 1 << HELP, false, (const char *const[]){ "--froce", NULL });
	QT_STR(l.p.error, "unknown option --froce");
}

QTEST(cli_opts, of_a_large_table_are_told_apart)
{
	enum { LAST = CLI_OPTS_MAX - 1 };
	static struct cli_optdef large[CLI_OPTS_MAX];
	static char names[CLI_OPTS_MAX][8];
	struct cli_syntax s = { .defs = large, .n_defs = CLI_OPTS_MAX };
	struct cli_parsed p = { .n_pos = 0 };
	char last[] = "--o127";
	char other[] = "--o63";
	char *argv[] = { last, NULL };

	for (int i = 0; i < CLI_OPTS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "o%d", i);
		large[i].name = names[i];
	}
	s.accepted = CLI_BITS_ONE << LAST;
	QT_INT(cli_parse(&p, &s, 1, argv), 1);
	for (int i = 0; i < CLI_OPTS_MAX; i++)
		QT_INT(cli_given(&p, i), i == LAST);
	argv[0] = other; /* the same bit of another word */
	QT_INT(cli_parse(&p, &s, 1, argv), -1);
}
