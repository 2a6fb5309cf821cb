/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Templates: their import. */
#include "cli.h"
#include "debian.h"
#include "common/text.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than this is asked about where somebody can answer. */
#define ASK_ABOVE_BYTES ((uint64_t)2 << 30)

static const char *value_or_null(struct cli *c, int option)
{
	return cli_given(&c->o, option) ? c->o.value[option] : NULL;
}

enum { SIGNED_TEXT_MAX = 8192 };

/* What an archive is imported with; texts are owned. */
struct archive {
	char source[PATH_MAX];
	char *key;
	char *signature;
};

/* The text of a key or a signature, or NULL after the failure was told. */
static char *read_text(struct cli *c, const char *path)
{
	char *text = calloc(1, SIGNED_TEXT_MAX + 2);
	FILE *f = text ? fopen(path, "re") : NULL;
	size_t n = f ? fread(text, 1, SIGNED_TEXT_MAX + 1, f) : 0;
	bool bad = !f || ferror(f);

	if (bad)
		cli_fail_text(c, CLI_FAILED, "cannot read %s: %s", path, strerror(errno));
	else if (n > SIGNED_TEXT_MAX || strlen(text) != n)
		cli_fail_text(c, CLI_FAILED, "%s is no text of minisign", path);
	if (f)
		fclose(f);
	if (!bad && n <= SIGNED_TEXT_MAX && strlen(text) == n)
		return text;
	free(text);
	return NULL;
}

static int read_archive(struct cli *c, struct archive *a)
{
	const char *from = c->o.value[O_FROM];
	bool key = cli_given(&c->o, O_KEY);
	char path[PATH_MAX + 32];
	struct stat st;

	if (cli_given(&c->o, O_HOST) || cli_given(&c->o, O_INCLUDE) || cli_given(&c->o, O_DRY_RUN))
		return cli_usage(c, "--from does not go with what is for packages");
	if (key == cli_given(&c->o, O_UNSIGNED))
		return cli_usage(c, key ? "--key and --unsigned exclude each other" :
					  "--from needs --key, or --unsigned");
	/* The host has another working directory. */
	if (!realpath(from, a->source) || stat(a->source, &st) < 0)
		return cli_fail_text(c, CLI_FAILED, "cannot open %s: %s", from, strerror(errno));
	if (!key)
		return 0;
	snprintf(path, sizeof(path), "%s%s.minisig", a->source,
		 S_ISDIR(st.st_mode) ? "/index.json" : "");
	a->key = read_text(c, c->o.value[O_KEY]);
	if (a->key)
		a->signature = read_text(
			c, cli_given(&c->o, O_SIGNATURE) ? c->o.value[O_SIGNATURE] : path);
	return a->key && a->signature ? 0 : CLI_FAILED;
}

static void set_source(struct qube_template_import_opts *opts, const struct archive *a)
{
	if (!*a->source) {
		opts->flags |= QUBE_TEMPLATE_IMPORT_HOST;
		return;
	}
	opts->source = a->source;
	opts->key = a->key;
	opts->signature = a->signature;
	if (!a->key)
		opts->flags |= QUBE_TEMPLATE_IMPORT_UNSIGNED;
}

static int run_import(struct cli *c, const struct archive *a, uint32_t flags, bool tell,
		      struct qube_op_progress *plan)
{
	struct qube_template_import_opts opts = { .size = sizeof(opts) };
	struct cli_op_opts watch = { .title = c->o.pos[0], .stages = tell, .plan = tell };
	qube_op *op = NULL;
	qube_op *done = NULL;
	int r;

	opts.flags = flags;
	set_source(&opts, a);
	opts.name = c->o.pos[0];
	opts.include = *a->source ? NULL : value_or_null(c, O_INCLUDE);
	opts.label = value_or_null(c, O_LABEL);
	opts.pool = value_or_null(c, O_POOL);
	if (qube_template_import(c->ctx, &opts, &op) < 0)
		return cli_fail_last(c);
	r = cli_op_run(c, op, &watch, &done);
	if (r)
		return r;
	if (qube_op_progress_fetch(done, plan) < 0)
		r = cli_fail_last(c);
	qube_op_unref(done);
	return r;
}

static bool ask(const char *name, uint64_t bytes)
{
	char size[32];
	char line[16] = "";

	cli_format_size(size, sizeof(size), bytes);
	fprintf(stderr, "%s: copy %s? [y/N] ", name, size);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

static void print_import_json(struct cli *c, const struct qube_op_progress *plan, bool planned_only)
{
	struct cli_json j;

	if (!c->json)
		return;
	cli_json_init(&j, stdout);
	cli_json_open_object(&j, NULL);
	cli_json_string(&j, "name", c->o.pos[0]);
	cli_json_bool(&j, "imported", !planned_only);
	cli_json_uint(&j, "files", plan->total_files);
	cli_json_uint(&j, "bytes", plan->total_bytes);
	cli_json_close_object(&j);
	cli_json_end(&j);
}

static int import(struct cli *c, const struct archive *a)
{
	struct qube_op_progress plan = { .size = sizeof(plan) };
	bool dry = cli_given(&c->o, O_DRY_RUN);
	bool can_ask = !*a->source && isatty(STDIN_FILENO) && c->err_tty &&
		       !cli_given(&c->o, O_YES) && !c->json;
	int r = cli_ctx_open(c);

	if (r)
		return r;
	if (dry) {
		r = run_import(c, a, QUBE_TEMPLATE_IMPORT_PLAN_ONLY, true, &plan);
		if (r == 0)
			print_import_json(c, &plan, true);
		return cli_finish_output(c, r);
	}
	if (can_ask) {
		r = run_import(c, a, QUBE_TEMPLATE_IMPORT_PLAN_ONLY, false, &plan);
		if (r)
			return r;
		if (plan.total_bytes > ASK_ABOVE_BYTES && !ask(c->o.pos[0], plan.total_bytes))
			return cli_fail_text(c, CLI_CANCELED, "nothing was copied");
	}
	r = run_import(c, a, 0, true, &plan);
	if (r == 0)
		print_import_json(c, &plan, false);
	return cli_finish_output(c, r);
}

/* The name is looked at before the long part begins. */
static int name_is_free(struct cli *c)
{
	qube_domain *d = NULL;
	int r = cli_ctx_open(c);

	if (r || qube_domain_open(&d, c->ctx, c->o.pos[0]) < 0)
		return r;
	qube_domain_unref(d);
	return cli_fail_text(c, CLI_FAILED, "there is a qube '%s' already", c->o.pos[0]);
}

/* mmdebstrap has verified what it fetched: its result is our own file and has no signature. */
static int import_debian(struct cli *c, struct archive *a)
{
	struct cli_debian d = { .dir = "" };
	int r = cli_debian_check(c);

	if (r == 0)
		r = name_is_free(c);
	if (r == 0)
		r = cli_debian_make(c, &d);
	if (r == 0) {
		memcpy(a->source, d.root, sizeof(a->source));
		r = import(c, a);
	}
	cli_debian_remove(&d);
	return r;
}

int cmd_template_import(struct cli *c)
{
	struct archive a = { .key = NULL };
	int r = 0;

	if (cli_given(&c->o, O_DEBIAN))
		return import_debian(c, &a);
	if (cli_given(&c->o, O_MIRROR) || cli_given(&c->o, O_KEYRING))
		return cli_usage(c, "--mirror and --keyring are for --debian");
	if (cli_given(&c->o, O_FROM))
		r = read_archive(c, &a);
	else if (cli_given(&c->o, O_KEY) || cli_given(&c->o, O_SIGNATURE) ||
		 cli_given(&c->o, O_UNSIGNED))
		r = cli_usage(c, "a signature is one of what --from names");
	if (r == 0)
		r = import(c, &a);
	free(a.key);
	free(a.signature);
	return r;
}
