/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The life of qubes: create, clone, rm, start, shutdown, kill, pause, unpause, wait. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Prints what became of a qube, with --json. */
static void print_state(struct cli *c, qube_domain *d)
{
	struct cli_json j;

	if (!c->json)
		return;
	cli_json_init(&j, stdout);
	cli_json_open_object(&j, NULL);
	cli_json_string(&j, "name", qube_domain_get_name(d));
	cli_json_string(&j, "class", qube_class_name(qube_domain_get_class(d)));
	cli_json_string(&j, "state", qube_state_name(qube_domain_get_state(d)));
	cli_json_close_object(&j);
	cli_json_end(&j);
}

/* Does one thing to each named qube; goes on after a failure, but not after Ctrl-C. */
static int for_each(struct cli *c, int (*fn)(struct cli *c, qube_domain *d))
{
	int code = 0;

	for (int i = 0; i < c->o.n_pos && code != CLI_CANCELED; i++) {
		qube_domain *d = NULL;
		int r = cli_guest(c, &d, c->o.pos[i]);

		if (r == 0)
			r = fn(c, d);
		if (r && (!code || r == CLI_CANCELED))
			code = r;
		qube_domain_unref(d);
	}
	return cli_finish_output(c, code);
}

static int watch_op(struct cli *c, qube_domain *d, qube_op *op, bool stages)
{
	struct cli_op_opts opts = { .stages = stages };
	char *title = strdup(qube_domain_get_name(d));
	int r;

	opts.title = title;
	r = cli_op_run(c, op, &opts, NULL);
	free(title);
	return r;
}

static int run_op(struct cli *c, qube_domain *d, qube_op *op)
{
	int r = watch_op(c, d, op, false);

	if (r == 0)
		print_state(c, d);
	return r;
}

static int start_one(struct cli *c, qube_domain *d)
{
	struct qube_domain_start_opts opts = { .size = sizeof(opts) };
	qube_op *op = NULL;

	if (cli_given(&c->o, O_DISCARD))
		opts.flags |= QUBE_DOMAIN_START_DISCARD;
	if (qube_domain_start_with(d, &opts, &op) < 0)
		return cli_fail_last(c);
	return run_op(c, d, op);
}

/* Names, or an option that stands for them: one of the two. 0, or an exit code. */
static int check_names(struct cli *c, int option)
{
	bool all = cli_given(&c->o, option);

	if (all && c->o.n_pos)
		return cli_usage(c, "--%s stands instead of names", cli_optdefs[option].name);
	if (!all && !c->o.n_pos)
		return cli_usage(c, "a name is missing, or --%s", cli_optdefs[option].name);
	return 0;
}

int cmd_start(struct cli *c)
{
	int r = check_names(c, O_AUTOSTART);

	if (r == 0 && cli_given(&c->o, O_AUTOSTART) && cli_given(&c->o, O_DISCARD))
		r = cli_usage(c, "--discard is for qubes that are named");
	if (r)
		return r;
	return cli_given(&c->o, O_AUTOSTART) ? cli_fleet_autostart(c) : for_each(c, start_one);
}

static int shutdown_one(struct cli *c, qube_domain *d)
{
	struct qube_domain_shutdown_opts opts = { .size = sizeof(opts) };
	uint64_t seconds = 0;
	qube_op *op = NULL;

	if (cli_given(&c->o, O_FORCE))
		opts.flags |= QUBE_DOMAIN_SHUTDOWN_FORCE;
	if (cli_given(&c->o, O_OR_KILL))
		opts.flags |= QUBE_DOMAIN_SHUTDOWN_OR_KILL;
	if (cli_given(&c->o, O_KEEP))
		opts.flags |= QUBE_DOMAIN_SHUTDOWN_KEEP;
	if (cli_given(&c->o, O_TIMEOUT)) {
		cli_parse_u64(&seconds, c->o.value[O_TIMEOUT], INT32_MAX / 1000);
		opts.timeout_ms = seconds ? (int32_t)(seconds * 1000) : -1;
	}
	if (qube_domain_shutdown(d, &opts, &op) < 0)
		return cli_fail_last(c);
	return run_op(c, d, op);
}

static bool timeout_is_valid(struct cli *c)
{
	uint64_t seconds;

	return !cli_given(&c->o, O_TIMEOUT) ||
	       cli_parse_u64(&seconds, c->o.value[O_TIMEOUT], INT32_MAX / 1000);
}

int cmd_shutdown(struct cli *c)
{
	int r;

	if (!timeout_is_valid(c))
		return cli_usage(c, "--timeout is a number of seconds");
	r = check_names(c, O_ALL);
	if (r == 0 && cli_given(&c->o, O_ALL) && cli_given(&c->o, O_KEEP))
		r = cli_usage(c, "--keep is for qubes that are named");
	if (r)
		return r;
	return cli_given(&c->o, O_ALL) ? cli_fleet_shutdown(c) : for_each(c, shutdown_one);
}

static int kill_one(struct cli *c, qube_domain *d)
{
	qube_op *op = NULL;

	if (qube_domain_kill(d, &op) < 0)
		return cli_fail_last(c);
	return run_op(c, d, op);
}

int cmd_kill(struct cli *c)
{
	return for_each(c, kill_one);
}

static int pause_one(struct cli *c, qube_domain *d)
{
	if (qube_domain_pause(d) < 0)
		return cli_fail_last(c);
	print_state(c, d);
	return 0;
}

int cmd_pause(struct cli *c)
{
	return for_each(c, pause_one);
}

static int unpause_one(struct cli *c, qube_domain *d)
{
	if (qube_domain_unpause(d) < 0)
		return cli_fail_last(c);
	print_state(c, d);
	return 0;
}

int cmd_unpause(struct cli *c)
{
	return for_each(c, unpause_one);
}

static int remove_one(struct cli *c, qube_domain *d)
{
	struct cli_json j;

	if (qube_domain_destroy(d) < 0)
		return cli_fail_last(c);
	if (!c->json)
		return 0;
	cli_json_init(&j, stdout);
	cli_json_open_object(&j, NULL);
	cli_json_string(&j, "name", qube_domain_get_name(d));
	cli_json_bool(&j, "removed", true);
	cli_json_close_object(&j);
	cli_json_end(&j);
	return 0;
}

int cmd_rm(struct cli *c)
{
	return for_each(c, remove_one);
}

int cmd_clone(struct cli *c)
{
	qube_domain *made = NULL;
	qube_domain *d = NULL;
	qube_op *op = NULL;
	int r = cli_domain(c, &d, c->o.pos[0]);

	if (r)
		return r;
	if (qube_domain_clone(d, c->o.pos[1], &op) < 0)
		r = cli_fail_last(c);
	else
		r = watch_op(c, d, op, true);
	if (r == 0 && c->json)
		r = cli_domain(c, &made, c->o.pos[1]);
	if (r == 0 && made)
		print_state(c, made);
	qube_domain_unref(made);
	qube_domain_unref(d);
	return cli_finish_output(c, r);
}

static int set_properties(struct cli *c, qube_domain *d)
{
	for (size_t i = 0; i < c->o.n_multi; i++) {
		const char *equals = strchr(c->o.multi[i], '=');
		char *name = strndup(c->o.multi[i], (size_t)(equals - c->o.multi[i]));
		int r;

		if (!name)
			return cli_fail_text(c, CLI_FAILED, "out of memory");
		r = qube_domain_property_set(d, name, equals + 1);
		free(name);
		if (r < 0)
			return cli_fail_last(c);
	}
	return 0;
}

static const char *value_or_null(struct cli *c, int option)
{
	return cli_given(&c->o, option) ? c->o.value[option] : NULL;
}

static int check_create(struct cli *c, bool disposable)
{
	if (disposable ? c->o.n_pos != 0 : c->o.n_pos != 1)
		return cli_usage(c, disposable ? "a disposable gets its name from the host" :
						 "a name is missing");
	if (disposable && *c->o.value[O_DISPOSABLE] && cli_given(&c->o, O_TEMPLATE))
		return cli_usage(c, "the template is given twice");
	for (size_t i = 0; i < c->o.n_multi; i++)
		if (!strchr(c->o.multi[i], '=') || c->o.multi[i][0] == '=')
			return cli_usage(c, "--property is NAME=VALUE");
	return 0;
}

int cmd_create(struct cli *c)
{
	struct qube_domain_create_opts opts = { .size = sizeof(opts) };
	bool disposable = cli_given(&c->o, O_DISPOSABLE);
	qube_domain *d = NULL;
	int r = check_create(c, disposable);

	if (r)
		return r;
	opts.flags = disposable ? QUBE_DOMAIN_CREATE_DISPOSABLE : 0;
	opts.name = disposable ? NULL : c->o.pos[0];
	opts.klass = value_or_null(c, O_CLASS);
	opts.template_name = value_or_null(c, O_TEMPLATE);
	if (disposable && *c->o.value[O_DISPOSABLE])
		opts.template_name = c->o.value[O_DISPOSABLE];
	opts.label = value_or_null(c, O_LABEL);
	opts.pool = value_or_null(c, O_POOL);
	r = cli_ctx_open(c);
	if (r)
		return r;
	if (qube_domain_create(&d, c->ctx, &opts) < 0)
		return cli_fail_last(c);
	r = set_properties(c, d);
	if (r && qube_domain_destroy(d) < 0)
		cli_fail_last(c);
	if (r == 0 && disposable && !c->json)
		printf("%s\n", qube_domain_get_name(d));
	if (r == 0)
		print_state(c, d);
	qube_domain_unref(d);
	return cli_finish_output(c, r);
}

static uint32_t parse_state(const char *text)
{
	for (uint32_t s = QUBE_STATE_HALTED; s <= QUBE_STATE_CRASHED; s++)
		if (strcasecmp(text, qube_state_name(s)) == 0)
			return s;
	return 0;
}

int cmd_wait(struct cli *c)
{
	struct cli_op_opts opts = { 0 };
	uint32_t state = QUBE_STATE_RUNNING;
	uint64_t seconds = 0;
	qube_domain *d = NULL;
	qube_op *op = NULL;
	int r;

	if (cli_given(&c->o, O_STATE))
		state = parse_state(c->o.value[O_STATE]);
	if (!state)
		return cli_usage(c, "no state is called '%s'", c->o.value[O_STATE]);
	if (!timeout_is_valid(c))
		return cli_usage(c, "--timeout is a number of seconds");
	if (cli_given(&c->o, O_TIMEOUT))
		cli_parse_u64(&seconds, c->o.value[O_TIMEOUT], INT32_MAX / 1000);
	/* A time limit of nothing asks for the state of now. */
	opts.timeout_ms = cli_given(&c->o, O_TIMEOUT) ? (int64_t)seconds * 1000 + 1 : 0;
	r = cli_domain(c, &d, c->o.pos[0]);
	if (r)
		return r;
	if (qube_domain_wait(d, state, &op) < 0)
		r = cli_fail_last(c);
	else
		r = cli_op_run(c, op, &opts, NULL);
	if (r == 0)
		print_state(c, d);
	qube_domain_unref(d);
	return cli_finish_output(c, r);
}
