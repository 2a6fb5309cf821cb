/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Settings of a qube, and of the host: prefs, defaults, tags, features, notes. */
#include "cli.h"
#include "table.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* A property's value in JSON's own types; a number too long for every reader stays text. */
static void json_value(struct cli_json *j, const char *key, const struct qube_property *p)
{
	bool negative = p->type == QUBE_PROPERTY_INT && p->value[0] == '-';
	uint64_t n;

	if (p->type == QUBE_PROPERTY_BOOL)
		cli_json_bool(j, key, strcmp(p->value, "True") == 0);
	else if (p->type == QUBE_PROPERTY_INT &&
		 cli_parse_u64(&n, p->value + negative, (uint64_t)1 << 53))
		cli_json_int(j, key, negative ? -(int64_t)n : (int64_t)n);
	else if (p->type == QUBE_PROPERTY_VM && !*p->value)
		cli_json_string(j, key, NULL);
	else
		cli_json_string(j, key, p->value);
}

static const char *type_name(uint32_t type)
{
	static const char *const names[] = { "?", "str", "int", "bool", "vm", "label" };

	return names[type < sizeof(names) / sizeof(names[0]) ? type : 0];
}

static void json_property(struct cli_json *j, const char *name, const struct qube_property *p)
{
	cli_json_open_object(j, name);
	json_value(j, "value", p);
	cli_json_string(j, "type", type_name(p->type));
	cli_json_bool(j, "default", p->flags & QUBE_PROPERTY_IS_DEFAULT);
	cli_json_close_object(j);
}

/* Of a qube, or of the host as a whole (d NULL). */
static int fetch_property(struct cli *c, struct qube_property *out, qube_domain *d,
			  const char *name)
{
	if (d)
		return qube_domain_property_fetch(out, d, name);
	return qube_ctx_property_fetch(out, c->ctx, name);
}

static int set_property(struct cli *c, qube_domain *d, const char *name, const char *value)
{
	int r = d ? qube_domain_property_set(d, name, value) :
		    qube_ctx_property_set(c->ctx, name, value);

	return r < 0 ? cli_fail_last(c) : 0;
}

static int reset_property(struct cli *c, qube_domain *d, const char *name)
{
	int r = d ? qube_domain_property_reset(d, name) : qube_ctx_property_reset(c->ctx, name);

	return r < 0 ? cli_fail_last(c) : 0;
}

/* "default" in front of values that nobody set; a property without a value is left out. */
static int list_properties(struct cli *c, qube_domain *d)
{
	static const char *const heads[] = { "NAME", "SET", "VALUE" };
	struct cli_table t;
	struct cli_json j;
	char **names = NULL;
	int r = 0;

	if ((d ? qube_domain_property_list(&names, d) : qube_ctx_property_list(&names, c->ctx)) < 0)
		return cli_fail_last(c);
	cli_table_init(&t, heads, 3);
	cli_json_init(&j, stdout);
	if (c->json)
		cli_json_open_object(&j, NULL);
	for (size_t i = 0; names[i] && r == 0; i++) {
		struct qube_property p = { .size = sizeof(p) };

		if (fetch_property(c, &p, d, names[i]) < 0) {
			if (qube_error_last()->code != QUBE_E_NOENT)
				r = cli_fail_last(c);
			continue;
		}
		if (c->json) {
			json_property(&j, names[i], &p);
		} else {
			cli_table_add(&t, names[i]);
			cli_table_add(&t, p.flags & QUBE_PROPERTY_IS_DEFAULT ? "default" : "set");
			cli_table_add(&t, p.value);
		}
		qube_free(p.value);
	}
	if (c->json)
		cli_json_close_object(&j);
	qube_strings_free(names);
	return cli_list_end(c, &j, &t, r);
}

/* A value alone on its line, for scripts; what could hide on a terminal is escaped there. */
static void print_line(struct cli *c, const char *text)
{
	struct cli_table t;
	static const char *const none[] = { "" };

	if (!c->out_tty) {
		printf("%s\n", text);
		return;
	}
	cli_table_init(&t, none, 1);
	cli_table_add(&t, text);
	printf("%s\n", cli_table_cell(&t, 1, 0));
	cli_table_fini(&t);
}

static int show_property(struct cli *c, qube_domain *d, const char *name)
{
	struct qube_property p = { .size = sizeof(p) };
	struct cli_json j;

	if (fetch_property(c, &p, d, name) < 0)
		return cli_fail_last(c);
	if (c->json) {
		cli_json_init(&j, stdout);
		cli_json_open_object(&j, NULL);
		json_property(&j, name, &p);
		cli_json_close_object(&j);
		cli_json_end(&j);
	} else {
		print_line(c, p.value);
	}
	qube_free(p.value);
	return 0;
}

/* name, value: NULL if they were not given. */
static int prefs(struct cli *c, qube_domain *d, const char *name, const char *value)
{
	const char *reset = cli_given(&c->o, O_RESET) ? c->o.value[O_RESET] : NULL;
	int r = 0;

	if (reset)
		r = reset_property(c, d, reset);
	else if (value)
		r = set_property(c, d, name, value);
	else if (!name)
		r = list_properties(c, d);
	/* With --json a value that was set is shown as it is now. */
	if (r == 0 && ((name && !value) || (c->json && (reset || value))))
		r = show_property(c, d, reset ? reset : name);
	return r;
}

/* The words behind the first few. */
static const char *word(struct cli *c, int i)
{
	return c->o.n_pos > i ? c->o.pos[i] : NULL;
}

int cmd_prefs(struct cli *c)
{
	qube_domain *d = NULL;
	int r;

	if (cli_given(&c->o, O_RESET) && c->o.n_pos != 1)
		return cli_usage(c, "--reset takes the place of NAME and VALUE");
	r = cli_domain(c, &d, c->o.pos[0]);
	if (r)
		return r;
	r = prefs(c, d, word(c, 1), word(c, 2));
	qube_domain_unref(d);
	return cli_finish_output(c, r);
}

int cmd_defaults(struct cli *c)
{
	int r;

	if (cli_given(&c->o, O_RESET) && c->o.n_pos)
		return cli_usage(c, "--reset takes the place of NAME and VALUE");
	r = cli_ctx_open(c);
	if (r == 0)
		r = prefs(c, NULL, word(c, 0), word(c, 1));
	return cli_finish_output(c, r);
}

static int list_tags(struct cli *c, qube_domain *d)
{
	struct cli_json j;
	char **tags = NULL;

	if (qube_domain_tag_list(&tags, d) < 0)
		return cli_fail_last(c);
	cli_json_init(&j, stdout);
	if (c->json)
		cli_json_open_array(&j, NULL);
	for (size_t i = 0; tags[i]; i++) {
		if (c->json)
			cli_json_string(&j, NULL, tags[i]);
		else
			print_line(c, tags[i]);
	}
	if (c->json) {
		cli_json_close_array(&j);
		cli_json_end(&j);
	}
	qube_strings_free(tags);
	return 0;
}

int cmd_tags(struct cli *c)
{
	qube_domain *d = NULL;
	bool add = c->o.n_pos > 1 && strcmp(c->o.pos[1], "add") == 0;
	int r;

	if (c->o.n_pos > 1 && !add && strcmp(c->o.pos[1], "rm") != 0)
		return cli_usage(c, "'%s' is neither add nor rm", c->o.pos[1]);
	if (c->o.n_pos == 2)
		return cli_usage(c, "a tag is missing");
	r = cli_domain(c, &d, c->o.pos[0]);
	if (r)
		return r;
	for (int i = 2; i < c->o.n_pos && r == 0; i++) {
		int done = add ? qube_domain_tag_add(d, c->o.pos[i]) :
				 qube_domain_tag_remove(d, c->o.pos[i]);

		r = done < 0 ? cli_fail_last(c) : 0;
	}
	if (r == 0 && (c->o.n_pos == 1 || c->json))
		r = list_tags(c, d);
	qube_domain_unref(d);
	return cli_finish_output(c, r);
}

static int list_features(struct cli *c, qube_domain *d)
{
	static const char *const heads[] = { "NAME", "VALUE" };
	struct cli_table t;
	struct cli_json j;
	char **names = NULL;
	int r = 0;

	if (qube_domain_feature_list(&names, d) < 0)
		return cli_fail_last(c);
	cli_table_init(&t, heads, 2);
	cli_json_init(&j, stdout);
	if (c->json)
		cli_json_open_object(&j, NULL);
	for (size_t i = 0; names[i] && r == 0; i++) {
		char *value = NULL;

		if (qube_domain_feature_fetch(&value, d, names[i]) < 0) {
			/* Removed since the list was made. */
			if (qube_error_last()->code != QUBE_E_NOENT)
				r = cli_fail_last(c);
			continue;
		}
		if (c->json) {
			cli_json_string(&j, names[i], value);
		} else {
			cli_table_add(&t, names[i]);
			cli_table_add(&t, value);
		}
		qube_free(value);
	}
	if (c->json)
		cli_json_close_object(&j);
	qube_strings_free(names);
	return cli_list_end(c, &j, &t, r);
}

static int show_feature(struct cli *c, qube_domain *d, const char *name)
{
	struct cli_json j;
	char *value = NULL;

	if (qube_domain_feature_fetch(&value, d, name) < 0)
		return cli_fail_last(c);
	if (c->json) {
		cli_json_init(&j, stdout);
		cli_json_open_object(&j, NULL);
		cli_json_string(&j, name, value);
		cli_json_close_object(&j);
		cli_json_end(&j);
	} else {
		print_line(c, value);
	}
	qube_free(value);
	return 0;
}

int cmd_features(struct cli *c)
{
	qube_domain *d = NULL;
	bool unset = cli_given(&c->o, O_UNSET);
	int r;

	if (unset && c->o.n_pos != 1)
		return cli_usage(c, "--unset takes the place of NAME and VALUE");
	r = cli_domain(c, &d, c->o.pos[0]);
	if (r)
		return r;
	if (unset)
		r = qube_domain_feature_remove(d, c->o.value[O_UNSET]) < 0 ? cli_fail_last(c) : 0;
	else if (c->o.n_pos == 3)
		r = qube_domain_feature_set(d, c->o.pos[1], c->o.pos[2]) < 0 ? cli_fail_last(c) : 0;
	else if (c->o.n_pos == 1)
		r = list_features(c, d);
	if (r == 0 && (c->o.n_pos == 2 || (c->json && c->o.n_pos == 3)))
		r = show_feature(c, d, c->o.pos[1]);
	else if (r == 0 && unset && c->json)
		r = list_features(c, d);
	qube_domain_unref(d);
	return cli_finish_output(c, r);
}

enum { NOTES_MAX = 256000 };

/* Standard input as a text without NUL, or NULL after the failure was told. */
static char *read_notes(struct cli *c)
{
	char *text = malloc(NOTES_MAX + 2);
	size_t n = text ? fread(text, 1, NOTES_MAX + 1, stdin) : 0;
	const char *why = NULL;

	if (!text)
		why = "out of memory";
	else if (ferror(stdin))
		why = "cannot read standard input";
	else if (n > NOTES_MAX)
		why = "a note has at most 256000 bytes";
	else if (memchr(text, 0, n))
		why = "a note is text, and has no NUL";
	if (why) {
		cli_fail_text(c, CLI_FAILED, "%s", why);
		free(text);
		return NULL;
	}
	text[n] = '\0';
	return text;
}

static int set_notes(struct cli *c, qube_domain *d, const char *text)
{
	char *read = NULL;
	int r = 0;

	if (!strcmp(text, "-")) {
		read = read_notes(c);
		if (!read)
			return CLI_FAILED;
		text = read;
	}
	if (qube_domain_notes_set(d, text) < 0)
		r = cli_fail_last(c);
	free(read);
	return r;
}

static int show_notes(struct cli *c, qube_domain *d)
{
	struct cli_json j;
	char *text = NULL;
	size_t len;

	if (qube_domain_notes_fetch(&text, d) < 0)
		return cli_fail_last(c);
	len = strlen(text);
	if (c->json) {
		cli_json_init(&j, stdout);
		cli_json_open_object(&j, NULL);
		cli_json_string(&j, "name", qube_domain_get_name(d));
		cli_json_string(&j, "notes", text);
		cli_json_close_object(&j);
		cli_json_end(&j);
	} else if (!c->out_tty) {
		fwrite(text, 1, len, stdout);
	} else {
		cli_utf8_write(stdout, text, len);
		if (len && text[len - 1] != '\n')
			putchar('\n');
	}
	qube_free(text);
	return 0;
}

int cmd_notes(struct cli *c)
{
	qube_domain *d = NULL;
	bool set = c->o.n_pos == 2;
	int r = cli_domain(c, &d, c->o.pos[0]);

	if (r)
		return r;
	if (set)
		r = set_notes(c, d, c->o.pos[1]);
	if (r == 0 && (!set || c->json))
		r = show_notes(c, d);
	qube_domain_unref(d);
	return cli_finish_output(c, r);
}
