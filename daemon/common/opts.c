/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The parser of options. */
#include "common/opts.h"

#include "common/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static int refuse(struct cli_parsed *p, const char *fmt, ...)
{
	char raw[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	cli_escape(p->error, sizeof(p->error), raw);
	return -1;
}

static int find_name(const struct cli_syntax *s, const char *name, size_t len)
{
	for (size_t i = 0; i < s->n_defs; i++)
		if (((s->accepted >> i) & 1) && strlen(s->defs[i].name) == len &&
		    memcmp(s->defs[i].name, name, len) == 0)
			return (int)i;
	return -1;
}

static int find_letter(const struct cli_syntax *s, char letter)
{
	for (size_t i = 0; i < s->n_defs; i++)
		if (((s->accepted >> i) & 1) && s->defs[i].letter && s->defs[i].letter == letter)
			return (int)i;
	return -1;
}

static int store(struct cli_parsed *p, const struct cli_syntax *s, int id, const char *value)
{
	if ((s->multi >> id) & 1) {
		if (p->n_multi == CLI_MULTI_MAX)
			return refuse(p, "--%s is given too often", s->defs[id].name);
		p->multi[p->n_multi++] = value;
	} else if (cli_given(p, id)) {
		return refuse(p, "--%s is given twice", s->defs[id].name);
	}
	p->seen |= CLI_BITS_ONE << id;
	p->value[id] = value;
	return 0;
}

/* The value of option id: glued (by '='), or the next argument. */
static int take_value(struct cli_parsed *p, const struct cli_syntax *s, int id, const char *glued,
		      const char *next, int *used_next)
{
	const struct cli_optdef *d = &s->defs[id];

	*used_next = 0;
	if (d->arg == CLI_ARG_NONE)
		return glued ? refuse(p, "--%s takes no value", d->name) : store(p, s, id, "");
	if (glued)
		return store(p, s, id, glued);
	if (d->arg == CLI_ARG_MAYBE)
		return store(p, s, id, "");
	if (!next || next[0] == '-')
		return refuse(p, "--%s needs a value: --%s=%s", d->name, d->name,
			      d->metavar ? d->metavar : "VALUE");
	*used_next = 1;
	return store(p, s, id, next);
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

int cli_distance(const char *word, const char *meant)
{
	enum { LONGEST = 32 };
	int row[3][LONGEST + 1];
	size_t n = strlen(word);
	size_t m = strlen(meant);
	int *above2 = row[0];
	int *above = row[1];
	int *here = row[2];

	if (n < 2 || n > LONGEST || m > LONGEST)
		return CLI_FAR;
	if (n >= 3 && strncmp(word, meant, n) == 0)
		return 1;
	for (size_t j = 0; j <= m; j++)
		here[j] = (int)j;
	for (size_t i = 1; i <= n; i++) {
		int *next = above2;

		above2 = above;
		above = here;
		here = next;
		here[0] = (int)i;
		for (size_t j = 1; j <= m; j++) {
			here[j] = least(least(above[j], here[j - 1]) + 1,
					above[j - 1] + (word[i - 1] != meant[j - 1]));
			if (i > 1 && j > 1 && word[i - 1] == meant[j - 2] &&
			    word[i - 2] == meant[j - 1])
				here[j] = least(here[j], above2[j - 2] + 1);
		}
	}
	/* Of a short word nearly everything is two steps away. */
	return here[m] <= (n < 5 ? 1 : 2) ? here[m] : CLI_FAR;
}

static int refuse_unknown(struct cli_parsed *p, const struct cli_syntax *s, const char *name,
			  size_t len)
{
	char word[101];
	const char *meant = NULL;
	int best = CLI_FAR;

	snprintf(word, sizeof(word), "%.*s", (int)(len > 100 ? 100 : len), name);
	for (size_t i = 0; i < s->n_defs; i++) {
		int d = (s->accepted >> i) & 1 ? cli_distance(word, s->defs[i].name) : CLI_FAR;

		if (d < best) {
			best = d;
			meant = s->defs[i].name;
		}
	}
	if (meant)
		return refuse(p, "unknown option --%s; did you mean --%s?", word, meant);
	return refuse(p, "unknown option --%s", word);
}

static int parse_long(struct cli_parsed *p, const struct cli_syntax *s, const char *arg,
		      const char *next, int *used_next)
{
	const char *name = arg + 2;
	const char *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	int id = find_name(s, name, len);

	if (id < 0)
		return refuse_unknown(p, s, name, len);
	return take_value(p, s, id, equals ? equals + 1 : NULL, next, used_next);
}

/* "-tq", "-u NAME", "-uNAME". */
static int parse_letters(struct cli_parsed *p, const struct cli_syntax *s, const char *arg,
			 const char *next, int *used_next)
{
	*used_next = 0;
	for (const char *at = arg + 1; *at; at++) {
		int id = find_letter(s, *at);

		if (id < 0)
			return refuse(p, "unknown option -%c", *at);
		if (s->defs[id].arg == CLI_ARG_NEEDED)
			return take_value(p, s, id, at[1] ? at + 1 : NULL, next, used_next);
		if (store(p, s, id, "") < 0)
			return -1;
	}
	return 0;
}

int cli_parse(struct cli_parsed *p, const struct cli_syntax *s, int argc, char **argv)
{
	int n_pos = 0;
	int used_next;
	int r;

	p->pos = argv;
	p->n_pos = 0;
	p->n_before = CLI_NO_DASHES;
	for (int i = 0; i < argc; i++) {
		char *arg = argv[i];
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;

		if (p->n_before != CLI_NO_DASHES || arg[0] != '-' || !arg[1]) {
			if (s->stop_at_pos)
				return i;
			argv[n_pos++] = arg;
			p->n_pos = n_pos;
			continue;
		}
		if (strcmp(arg, "--") == 0) {
			if (s->stop_at_pos)
				return i;
			p->n_before = n_pos;
			continue;
		}
		r = arg[1] == '-' ? parse_long(p, s, arg, next, &used_next) :
				    parse_letters(p, s, arg, next, &used_next);
		if (r < 0)
			return -1;
		i += used_next;
	}
	return argc;
}

bool cli_parse_u64(uint64_t *out, const char *text, uint64_t max)
{
	uint64_t n = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(n, (uint64_t)10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return false;
	}
	if (n > max)
		return false;
	*out = n;
	return true;
}
