/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Help for people and the manual's list of verbs, both from the tables. */
#include "cli.h"

#include <stdio.h>
#include <string.h>

/* A line must hold the widest option. */
enum { OPTION_WIDTH = 28, VERB_WIDTH = 18, LINE_WIDTH = 78 };

/* Wraps text at spaces. */
static void print_wrapped(const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column && column + 1 + len > LINE_WIDTH) {
			putchar('\n');
			column = 0;
		}
		column += (size_t)printf("%s%.*s", column ? " " : "", (int)len, text);
		text += len;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_option(const struct cli_optdef *d)
{
	char left[64];
	char value[40] = "";

	if (d->arg == CLI_ARG_NEEDED)
		snprintf(value, sizeof(value), " %s", d->metavar);
	else if (d->arg == CLI_ARG_MAYBE)
		snprintf(value, sizeof(value), "[=%s]", d->metavar);
	if (d->letter)
		snprintf(left, sizeof(left), "-%c, --%s%s", d->letter, d->name, value);
	else
		snprintf(left, sizeof(left), "    --%s%s", d->name, value);
	printf("  %-*s  %s\n", OPTION_WIDTH, left, d->help);
}

static void print_options(cli_bits options)
{
	for (int i = 0; i < O_N_OPTIONS; i++)
		if ((options >> i) & 1)
			print_option(&cli_optdefs[i]);
}

int cli_help_verb(const struct cli_verb *v)
{
	printf("usage: qube %s%s%s%s\n\n", v->name, v->options ? " [OPTION...]" : "",
	       *v->args ? " " : "", v->args);
	printf("%c%s.\n", v->summary[0] - 'a' + 'A', v->summary + 1);
	if (*v->help) {
		putchar('\n');
		print_wrapped(v->help);
	}
	if (v->options) {
		printf("\nOptions:\n");
		print_options(v->options);
	}
	if (!(v->flags & CLI_V_RAW)) {
		printf("\nOptions of every verb:\n");
		print_options(CLI_GLOBAL);
	}
	return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

int cli_help_overview(void)
{
	printf("usage: qube [OPTION...] VERB [OPTION...] [ARGUMENT...]\n\nVerbs:\n");
	for (size_t i = 0; i < cli_n_verbs; i++)
		if (!(cli_verbs[i].flags & CLI_V_HIDDEN))
			printf("  %-*s  %s\n", VERB_WIDTH, cli_verbs[i].name, cli_verbs[i].summary);
	printf("\nOptions of every verb:\n");
	print_options(CLI_GLOBAL);
	printf("\nqube help VERB tells more; the manual is qube(1).\n");
	return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

/* Text for roff: a dash is a minus, a backslash itself, and no line begins with a dot or an
 * apostrophe. */
static void put_roff(const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", stdout);
	for (; *text; text++) {
		if (*text == '-')
			fputs("\\-", stdout);
		else if (*text == '\\')
			fputs("\\e", stdout);
		else
			putchar(*text);
	}
}

static void man_option(const struct cli_optdef *d)
{
	printf(".TP\n");
	if (d->letter)
		printf("\\fB\\-%c\\fR, ", d->letter);
	printf("\\fB\\-\\-");
	put_roff(d->name);
	printf("\\fR");
	if (d->arg == CLI_ARG_NEEDED)
		printf(" \\fI%s\\fR", d->metavar);
	else if (d->arg == CLI_ARG_MAYBE)
		printf("[=\\fI%s\\fR]", d->metavar);
	putchar('\n');
	put_roff(d->help);
	putchar('\n');
}

/* One sentence a line, as roff wants it. */
static void man_sentences(const char *text)
{
	while (*text) {
		const char *end = strstr(text, ". ");
		size_t len = end ? (size_t)(end - text) + 1 : strlen(text);
		char one[512];

		snprintf(one, sizeof(one), "%.*s", (int)len, text);
		put_roff(one);
		putchar('\n');
		text += len;
		text += strspn(text, " ");
	}
}

static void man_verb(const struct cli_verb *v)
{
	printf(".SS \"");
	put_roff(v->name);
	if (v->options)
		printf(" [OPTION...]");
	if (*v->args) {
		putchar(' ');
		put_roff(v->args);
	}
	printf("\"\n");
	printf("%c", v->summary[0] - 'a' + 'A');
	put_roff(v->summary + 1);
	printf(".\n");
	man_sentences(v->help);
	for (int i = 0; i < O_N_OPTIONS; i++)
		if ((v->options >> i) & 1)
			man_option(&cli_optdefs[i]);
}

static int print_man(void)
{
	printf(".SH OPTIONS OF EVERY VERB\n");
	printf("They stand in front of the verb or behind it.\n");
	for (int i = 0; i < O_N_OPTIONS; i++)
		if ((CLI_GLOBAL >> i) & 1)
			man_option(&cli_optdefs[i]);
	printf(".SH VERBS\n");
	for (size_t i = 0; i < cli_n_verbs; i++)
		man_verb(&cli_verbs[i]);
	return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

int cmd_help(struct cli *c)
{
	const struct cli_verb *v;

	if (cli_given(&c->o, O_MAN))
		return cli_finish_output(c, print_man());
	if (c->o.n_pos == 0)
		return cli_finish_output(c, cli_help_overview());
	v = cli_verb_find(c->o.pos[0], c->o.n_pos > 1 ? c->o.pos[1] : NULL);
	if (v)
		return cli_finish_output(c, cli_help_verb(v));
	if (c->o.n_pos > 1 || !cli_verb_is_group(c->o.pos[0]))
		return cli_usage(c, "no verb is called '%s%s%s'", c->o.pos[0],
				 c->o.n_pos > 1 ? " " : "", c->o.n_pos > 1 ? c->o.pos[1] : "");
	for (size_t i = 0; i < cli_n_verbs; i++)
		if (strncmp(cli_verbs[i].name, c->o.pos[0], strlen(c->o.pos[0])) == 0 &&
		    cli_verbs[i].name[strlen(c->o.pos[0])] == ' ')
			printf("  %-*s  %s\n", VERB_WIDTH, cli_verbs[i].name, cli_verbs[i].summary);
	return cli_finish_output(c, 0);
}
