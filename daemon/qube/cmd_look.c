/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Looking: ls. */
#include "cli.h"
#include "table.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The colour of a label on a terminal of 256 colours. */
static int color_of(const char *label)
{
	static const struct {
		const char *label;
		int color;
	} table[] = {
		{ "red", 160 },	 { "orange", 208 }, { "yellow", 220 }, { "green", 34 },
		{ "gray", 245 }, { "blue", 27 },    { "purple", 91 },  { "black", 238 },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i].label, label) == 0)
			return table[i].color;
	return -1;
}

static void draw_dot(FILE *f, const char *label, size_t row)
{
	const char *dot = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? "\u25cf" : "*";
	int color = row == 0 ? -1 : color_of(label);

	if (color < 0)
		fputs("  ", f);
	else
		fprintf(f, "\033[38;5;%dm%s\033[m ", color, dot);
}

static bool is_wanted(struct cli *c, qube_domain *d, uint32_t klass)
{
	const char *name = qube_domain_get_name(d);
	bool named = c->o.n_pos == 0;

	for (int i = 0; i < c->o.n_pos && !named; i++)
		named = strcmp(c->o.pos[i], name) == 0;
	if (klass && qube_domain_get_class(d) != klass)
		return false;
	if (cli_given(&c->o, O_CLASS) &&
	    strcasecmp(c->o.value[O_CLASS], qube_class_name(qube_domain_get_class(d))) != 0)
		return false;
	if (cli_given(&c->o, O_RUNNING) && qube_domain_get_state(d) == QUBE_STATE_HALTED)
		return false;
	return named;
}

/* The host is no compartment. */
static const char *isolation_of(struct cli *c, qube_domain *d)
{
	return qube_domain_get_class(d) == QUBE_CLASS_ADMIN ?
		       NULL :
		       qube_isolation_name(qube_ctx_get_isolation(c->ctx));
}

/* The features that give a qube more of a shared kernel. */
static bool has_feature(qube_domain *d, const char *name)
{
	char *value = NULL;
	bool set;

	if (qube_domain_get_class(d) == QUBE_CLASS_ADMIN ||
	    qube_domain_feature_fetch(&value, d, name) < 0)
		return false;
	set = *value != '\0';
	qube_free(value);
	return set;
}

bool cli_any_core(qube_domain *d)
{
	char *value = NULL;
	bool off;

	if (qube_domain_get_class(d) == QUBE_CLASS_ADMIN ||
	    qube_domain_feature_fetch(&value, d, "local.core-sched") < 0)
		return false;
	off = !*value || !strcmp(value, "off");
	qube_free(value);
	return off;
}

/* The isolation with what weakens it: listings show both together. */
static const char *describe_isolation(struct cli *c, qube_domain *d, char *out, size_t cap)
{
	const char *level = isolation_of(c, d);

	if (!level)
		return NULL;
	snprintf(out, cap, "%s%s%s%s", level, has_feature(d, "local.userns") ? ", userns" : "",
		 has_feature(d, "local.new-privs") ? ", new-privs" : "",
		 cli_any_core(d) ? ", any-core" : "");
	return out;
}

bool cli_restart_needed(qube_domain *d)
{
	struct qube_volume_info v = { .size = sizeof(v) };
	uint32_t state = qube_domain_get_state(d);

	if (state == QUBE_STATE_HALTED || state == QUBE_STATE_TRANSIENT ||
	    !*qube_domain_get_template(d))
		return false;
	return qube_domain_volume_info_fetch(&v, d, "root") == 0 && v.flags & QUBE_VOLUME_OUTDATED;
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static void print_json(struct cli *c, qube_domain **list, size_t n, uint32_t klass)
{
	struct cli_json j;

	cli_json_init(&j, stdout);
	cli_json_open_array(&j, NULL);
	for (size_t i = 0; i < n; i++) {
		qube_domain *d = list[i];

		if (!is_wanted(c, d, klass))
			continue;
		cli_json_open_object(&j, NULL);
		cli_json_string(&j, "name", qube_domain_get_name(d));
		cli_json_string(&j, "uuid", qube_domain_get_uuid(d));
		cli_json_string(&j, "state", qube_state_name(qube_domain_get_state(d)));
		cli_json_string(&j, "class", qube_class_name(qube_domain_get_class(d)));
		cli_json_string(&j, "label", or_null(qube_domain_get_label(d)));
		cli_json_string(&j, "template", or_null(qube_domain_get_template(d)));
		cli_json_string(&j, "isolation", isolation_of(c, d));
		cli_json_bool(&j, "userns", has_feature(d, "local.userns"));
		cli_json_bool(&j, "new_privs", has_feature(d, "local.new-privs"));
		cli_json_bool(&j, "any_core", cli_any_core(d));
		cli_json_string(&j, "unenforced", qube_domain_get_unenforced(d));
		cli_json_bool(&j, "restart_needed", cli_restart_needed(d));
		cli_json_close_object(&j);
	}
	cli_json_close_array(&j);
	cli_json_end(&j);
}

static void add_row(struct cli *c, struct cli_table *t, qube_domain *d)
{
	char isolation[64];
	char state[64];

	snprintf(state, sizeof(state), "%s%s", qube_state_name(qube_domain_get_state(d)),
		 cli_restart_needed(d) ? ", restart needed" : "");
	cli_table_add(t, qube_domain_get_name(d));
	cli_table_add(t, state);
	cli_table_add(t, qube_class_name(qube_domain_get_class(d)));
	cli_table_add(t, or_null(qube_domain_get_label(d)));
	cli_table_add(t, or_null(qube_domain_get_template(d)));
	cli_table_add(t, describe_isolation(c, d, isolation, sizeof(isolation)));
	if (t->columns == 7)
		cli_table_add(t, or_null(qube_domain_get_unenforced(d)));
}

static int print_table(struct cli *c, qube_domain **list, size_t n, uint32_t klass)
{
	static const char *const heads[] = { "NAME",	 "STATE",     "CLASS",	   "LABEL",
					     "TEMPLATE", "ISOLATION", "UNENFORCED" };
	struct cli_table t;
	size_t columns = 6;
	bool ok;

	for (size_t i = 0; i < n; i++)
		if (is_wanted(c, list[i], klass) && *qube_domain_get_unenforced(list[i]))
			columns = 7;
	cli_table_init(&t, heads, columns);
	for (size_t i = 0; i < n; i++)
		if (is_wanted(c, list[i], klass))
			add_row(c, &t, list[i]);
	ok = cli_table_print(&t, stdout, 3, c->color && c->out_tty ? draw_dot : NULL);
	cli_table_fini(&t);
	return ok ? 0 : cli_fail_text(c, CLI_FAILED, "out of memory");
}

static int list_domains(struct cli *c, uint32_t klass)
{
	qube_domain **list = NULL;
	size_t n = 0;
	int r = cli_ctx_open(c);

	/* A name that does not exist is an error, not an empty list. */
	for (int i = 0; i < c->o.n_pos && r == 0; i++) {
		qube_domain *d = NULL;

		r = cli_domain(c, &d, c->o.pos[i]);
		qube_domain_unref(d);
	}
	if (r)
		return r;
	if (qube_domain_list(&list, &n, c->ctx) < 0)
		return cli_fail_last(c);
	if (c->json) {
		print_json(c, list, n, klass);
	} else if (cli_given(&c->o, O_NAMES)) {
		for (size_t i = 0; i < n; i++)
			if (is_wanted(c, list[i], klass))
				printf("%s\n", qube_domain_get_name(list[i]));
	} else {
		r = print_table(c, list, n, klass);
	}
	qube_domain_list_free(list, n);
	return cli_finish_output(c, r);
}

static bool class_is_valid(const char *text)
{
	for (uint32_t k = QUBE_CLASS_ADMIN; k <= QUBE_CLASS_REMOTE; k++)
		if (strcasecmp(text, qube_class_name(k)) == 0)
			return true;
	return false;
}

int cmd_ls(struct cli *c)
{
	if (cli_given(&c->o, O_CLASS) && !class_is_valid(c->o.value[O_CLASS]))
		return cli_usage(c, "no class is called '%s'", c->o.value[O_CLASS]);
	return list_domains(c, 0);
}

int cmd_template_ls(struct cli *c)
{
	return list_domains(c, QUBE_CLASS_TEMPLATE);
}
