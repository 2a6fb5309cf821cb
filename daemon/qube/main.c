/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube VERB: finds the verb, parses its options and calls the verb's function. */
#include "cli.h"
#include "policy_cmd.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int parse_log_level(const char *text)
{
	static const struct {
		const char *name;
		int priority;
	} levels[] = {
		{ "err", 3 }, { "warning", 4 }, { "notice", 5 }, { "info", 6 }, { "debug", 7 }
	};

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strcmp(text, levels[i].name) == 0)
			return levels[i].priority;
	return -1;
}

static int apply_globals(struct cli *c)
{
	const char *color = cli_given(&c->o, O_COLOR) ? c->o.value[O_COLOR] : "auto";
	const char *no_color = getenv("NO_COLOR");
	const char *progress = cli_given(&c->o, O_PROGRESS) ? c->o.value[O_PROGRESS] : "auto";

	if (strcmp(color, "auto") != 0 && strcmp(color, "never") != 0)
		return cli_usage(c, "--color is auto or never");
	c->color = strcmp(color, "auto") == 0 && !(no_color && *no_color);
	if (strcmp(progress, "auto") != 0 && strcmp(progress, "plain") != 0)
		return cli_usage(c, "--progress is auto or plain");
	c->plain = strcmp(progress, "plain") == 0;
	c->quiet = cli_given(&c->o, O_QUIET);
	c->log_priority = 4;
	if (cli_given(&c->o, O_LOG_LEVEL))
		c->log_priority = parse_log_level(c->o.value[O_LOG_LEVEL]);
	if (c->log_priority < 0)
		return cli_usage(c, "no log level is called '%s'", c->o.value[O_LOG_LEVEL]);
	return 0;
}

/* Verbs that parse their own arguments get them as they are; --json is the one option of ours that
 * they know too. */
static int run_raw(struct cli *c, const struct cli_verb *v, int argc, char **argv)
{
	static char json[] = "--json";
	static char dir[] = "--dir";
	char **args = calloc((size_t)argc + 5, sizeof(*args));
	bool has_json = false;
	int n = 0;
	int r;

	if (!args)
		return cli_fail_text(c, CLI_FAILED, "out of memory");
	for (int i = 0; i < argc; i++) {
		args[n++] = argv[i];
		has_json = has_json || strcmp(argv[i], json) == 0;
		/* In front of the verb it is ours, behind it the verb's: --policy-root. */
		if (i == 1 && v->raw == cli_policy && cli_given(&c->o, O_POLICY_ROOT)) {
			args[n++] = dir;
			args[n++] = (char *)c->o.value[O_POLICY_ROOT];
		}
	}
	if (c->json && !has_json && v->raw != cmd_daemon)
		args[n++] = json;
	r = v->raw(n, args);
	free(args);
	return cli_finish_output(c, r);
}

static int run_verb(struct cli *c, int argc, char **argv)
{
	const struct cli_verb *v = c->verb;
	struct cli_syntax syntax = { .defs = cli_optdefs,
				     .n_defs = O_N_OPTIONS,
				     .accepted = CLI_GLOBAL | v->options,
				     .multi = CLI_BIT(O_PROPERTY) };
	int r = cli_parse(&c->o, &syntax, argc, argv);

	c->json = cli_given(&c->o, O_JSON);
	if (r < 0)
		return cli_usage(c, "%s", c->o.error);
	if (cli_given(&c->o, O_HELP))
		return cli_finish_output(c, cli_help_verb(v));
	r = apply_globals(c);
	if (r)
		return r;
	if (c->o.n_pos < v->min_pos)
		return cli_usage(c, "an argument is missing");
	if (v->max_pos >= 0 && c->o.n_pos > v->max_pos)
		return cli_usage(c, "too many arguments");
	r = v->fn(c);
	qube_ctx_unref(c->ctx);
	c->ctx = NULL;
	return r;
}

/* first and second (NULL: none) are no verb. */
static int refuse_verb(struct cli *c, const char *first, const char *second)
{
	const char *meant = NULL;
	char word[101];
	int best = CLI_FAR;

	snprintf(word, sizeof(word), "%s%s%s", first, second ? " " : "", second ? second : "");
	for (size_t i = 0; i < cli_n_verbs; i++) {
		int d = cli_distance(word, cli_verbs[i].name);

		if (d < best) {
			best = d;
			meant = cli_verbs[i].name;
		}
	}
	if (meant)
		return cli_usage(c, "no verb is called '%s'; did you mean '%s'?", word, meant);
	return cli_usage(c, "no verb is called '%s'; qube help lists them", word);
}

static int dispatch(struct cli *c, int argc, char **argv)
{
	const char *first = argv[0];
	bool group = cli_verb_is_group(first);

	if (group && argc < 2)
		return cli_usage(c, "'%s' wants another word: qube help %s", first, first);
	c->verb = cli_verb_find(first, group ? argv[1] : NULL);
	/* "qube policy --help" and the like are the business of those who parse for themselves. */
	if (!c->verb && strcmp(first, "policy") == 0 && argv[1][0] == '-')
		c->verb = cli_verb_find(first, "check");
	if (!c->verb)
		return refuse_verb(c, first, group ? argv[1] : NULL);
	if (c->verb->flags & CLI_V_RAW)
		return run_raw(c, c->verb, argc, argv);
	return run_verb(c, argc - (group ? 2 : 1), argv + (group ? 2 : 1));
}

int main(int argc, char **argv)
{
	struct cli_syntax syntax = { .defs = cli_optdefs,
				     .n_defs = O_N_OPTIONS,
				     .accepted = CLI_GLOBAL,
				     .stop_at_pos = true };
	static char version[] = "version";
	static struct cli c;
	int used;

	/* What is tried first with any program. */
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		argv[1] = version;
	setlocale(LC_CTYPE, "");
	c.out_tty = isatty(STDOUT_FILENO);
	c.err_tty = isatty(STDERR_FILENO);
	used = cli_parse(&c.o, &syntax, argc - 1, argv + 1);
	c.json = cli_given(&c.o, O_JSON);
	if (used < 0)
		return cli_usage(&c, "%s", c.o.error);
	if (cli_given(&c.o, O_HELP) && used == argc - 1)
		return cli_finish_output(&c, cli_help_overview());
	if (used == argc - 1) {
		cli_usage(&c, "no verb; qube help lists them");
		return CLI_USAGE;
	}
	return dispatch(&c, argc - 1 - used, argv + 1 + used);
}
