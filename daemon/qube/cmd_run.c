/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * run, call and console. The guest gets pipes, never our own descriptors; what it writes to a
 * terminal of ours passes the filter. */
#include "cli.h"
#include "relay.h"
#include "resize.h"
#include "term.h"
#include "common/text.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct call {
	struct cli *c;
	qube_domain *d;
	char *command;	     /* owned; NULL with service */
	const char *service; /* NULL with command */
	bool disposable;
	bool pty;
	bool console; /* a terminal that its user can leave */
	bool detach;
	struct cli_resize resize; /* with pty */
};

/* The command line in the guest's shell that gives command a terminal of our size. */
static char *wrap_pty(struct call *k, const char *command)
{
	static const char format[] = "QUBE_PTY_ID=%s TERM=xterm exec /run/qube/guest/qube-pty "
				     "--rows %u --cols %u -- sh -c %s";
	struct cli_resize *size = &k->resize;
	char *args[] = { (char *)command };
	char *quoted = cli_quote_args(args, 1);
	char *out = NULL;

	if (cli_resize_init(size) < 0) {
		free(quoted);
		return NULL;
	}
	cli_term_size(&size->rows, &size->cols);
	if (quoted && asprintf(&out, format, size->id, size->rows, size->cols, quoted) < 0)
		out = NULL;
	free(quoted);
	return out;
}

static int open_domain(struct call *k, const char *name)
{
	struct qube_domain_create_opts opts = { .size = sizeof(opts),
						.flags = QUBE_DOMAIN_CREATE_DISPOSABLE };
	const char *template_name = k->c->o.value[O_DISPOSABLE];
	int r;

	if (!k->disposable)
		return cli_guest(k->c, &k->d, name);
	r = cli_ctx_open(k->c);
	if (r)
		return r;
	if (template_name && *template_name)
		opts.template_name = template_name;
	/* It is to go with us, however we end; but not if it is to go on without us. */
	if (!k->detach)
		opts.flags |= QUBE_DOMAIN_CREATE_BOUND;
	if (qube_domain_create(&k->d, k->c->ctx, &opts) == 0)
		return 0;
	if (qube_error_last()->code != QUBE_E_NOTSUP || k->detach)
		return cli_fail_last(k->c);
	cli_note(k->c, "this host keeps the disposable if we are killed");
	opts.flags = QUBE_DOMAIN_CREATE_DISPOSABLE;
	return qube_domain_create(&k->d, k->c->ctx, &opts) < 0 ? cli_fail_last(k->c) : 0;
}

/* The program of the call is over: so is its disposable, which may be gone by itself already. One
 * that never started is not removed by stopping. */
static int take_down(struct cli *c, const char *name)
{
	struct cli_op_opts watch = { .gone_is_fine = true };
	qube_domain *d = NULL;
	qube_op *op = NULL;
	int r = 0;

	if (qube_domain_open(&d, c->ctx, name) < 0)
		return qube_error_last()->code == QUBE_E_NOENT ? 0 : cli_fail_last(c);
	if (qube_domain_get_state(d) == QUBE_STATE_HALTED)
		r = qube_domain_destroy(d);
	else
		r = qube_domain_kill(d, &op);
	if (r < 0)
		r = qube_error_last()->code == QUBE_E_NOENT ||
				    qube_error_last()->code == QUBE_E_STATE ?
			    0 :
			    cli_fail_last(c);
	else if (op)
		r = cli_op_run(c, op, &watch, NULL);
	qube_domain_unref(d);
	return r;
}

static int remove_disposable(struct call *k, int code)
{
	struct cli quiet = *k->c;
	char *name = strdup(qube_domain_get_name(k->d));
	int r;

	/* The trace of its end is of no interest. */
	quiet.o.seen &= ~CLI_BIT(O_TRACE);
	r = name ? take_down(&quiet, name) : CLI_NO_CALL;
	free(name);
	return code ? code : r;
}

static int start_call(struct call *k, struct cli_relay *relay, qube_op **op)
{
	struct qube_call_opts opts = { .size = sizeof(opts) };
	struct cli *c = k->c;

	opts.service = k->service;
	opts.command = k->command;
	opts.user = cli_given(&c->o, O_USER) ? c->o.value[O_USER] : NULL;
	if (cli_given(&c->o, O_NO_START))
		opts.flags |= QUBE_CALL_NO_START;
	if (k->detach)
		opts.flags |= QUBE_CALL_JUST_EXEC;
	opts.stdin_fd = relay->guest_fd[0];
	opts.stdout_fd = relay->guest_fd[1];
	opts.stderr_fd = relay->guest_fd[2];
	if (qube_domain_call(k->d, &opts, op) < 0)
		return cli_fail_last(c);
	cli_relay_close_guest(relay);
	return 0;
}

/* The guest's agent answers by exit statuses alone, which a service may use as well. A shell tells
 * itself which command it did not find. */
static void explain(struct call *k, int code)
{
	const char *name = qube_domain_get_name(k->d);

	if (code == 127 && k->service)
		cli_note(k->c, "'%s' has no service '%s', or it ended with status 127", name,
			 k->service);
	else if (code == 125 && cli_given(&k->c->o, O_USER))
		cli_note(k->c, "'%s' has no user '%s', or the call ended with status 125", name,
			 k->c->o.value[O_USER]);
	else if (code == 125)
		cli_note(k->c, "the call ended with status 125; 'qube logs %s' may tell why", name);
}

static int serve_call(struct call *k, struct cli_relay *relay)
{
	struct cli_op_opts watch = { .relay = relay };
	struct cli_term term = { 0 };
	qube_op *op = NULL;
	qube_op *done = NULL;
	int code;

	code = start_call(k, relay, &op);
	if (code)
		return code;
	if (k->pty) {
		cli_term_raw(&term);
		k->resize.d = k->d;
		k->resize.user = cli_given(&k->c->o, O_USER) ? k->c->o.value[O_USER] : NULL;
		watch.resize = &k->resize;
	}
	code = cli_op_run(k->c, op, &watch, &done);
	cli_term_restore(&term);
	cli_resize_fini(&k->resize);
	if (code)
		return code;
	if (relay->left) {
		qube_op_unref(done);
		cli_note(k->c, "left the console of '%s'", qube_domain_get_name(k->d));
		return 0;
	}
	code = k->detach ? 0 : qube_op_get_exit_code(done);
	qube_op_unref(done);
	if (!k->pty)
		explain(k, code);
	return code >= 0 ? code : cli_fail_text(k->c, CLI_NO_CALL, "the call has no exit code");
}

static int run_call(struct call *k)
{
	/* Half a megabyte of buffers: not for the stack. */
	struct cli_relay *relay = malloc(sizeof(*relay));
	int code;

	if (!relay)
		return cli_fail_text(k->c, CLI_NO_CALL, "out of memory");
	if (cli_relay_init(relay, k->pty ? CLI_FILTER_SCREEN : CLI_FILTER_PLAIN, !k->pty) < 0)
		code = cli_fail_text(k->c, CLI_NO_CALL, "cannot make pipes: %m");
	else {
		relay->keys = k->console && isatty(STDIN_FILENO);
		code = serve_call(k, relay);
	}
	if (k->disposable)
		code = remove_disposable(k, code);
	cli_relay_fini(relay);
	free(relay);
	return code;
}

/* Which of the arguments are the qube and which are the rest. */
static int split_arguments(struct call *k, const char **qube, char ***rest, int *n_rest)
{
	struct cli *c = k->c;
	int names = k->disposable ? 0 : 1;

	if (c->o.n_before != CLI_NO_DASHES && c->o.n_before != names)
		return cli_usage(c, k->disposable ? "no qube is named with --disposable" :
						    "one qube is named in front of --");
	*qube = names ? c->o.pos[0] : NULL;
	*rest = c->o.pos + names;
	*n_rest = c->o.n_pos - names;
	return 0;
}

static int execute(struct call *k, const char *qube)
{
	int code;

	/* A reader that went away is an error of write(), not our end. */
	signal(SIGPIPE, SIG_IGN);
	code = open_domain(k, qube);
	if (code == 0)
		code = run_call(k);
	qube_domain_unref(k->d);
	free(k->command);
	return code;
}

int cmd_run(struct cli *c)
{
	struct call k = { .c = c,
			  .disposable = cli_given(&c->o, O_DISPOSABLE),
			  .pty = cli_given(&c->o, O_PTY),
			  .detach = cli_given(&c->o, O_DETACH) };
	const char *qube = NULL;
	char **rest = NULL;
	char *wrapped;
	int n_rest = 0;
	int r = split_arguments(&k, &qube, &rest, &n_rest);

	if (r)
		return r;
	if (n_rest < 1 || !*rest[0])
		return cli_usage(c, "a command is missing");
	if (k.detach && (k.pty || k.disposable))
		return cli_usage(c, "--detach goes with neither --pty nor --disposable");
	k.command = cli_quote_command(rest, n_rest);
	if (k.command && k.pty) {
		wrapped = wrap_pty(&k, k.command);
		free(k.command);
		k.command = wrapped;
	}
	if (!k.command)
		return cli_fail_text(c, CLI_NO_CALL, "out of memory");
	return execute(&k, qube);
}

int cmd_console(struct cli *c)
{
	/* The agent's shell is the user's own; this one knows that somebody sits before it. */
	static const char shell[] = "exec \"${SHELL:-/bin/sh}\" -l";
	struct call k = { .c = c, .pty = true, .console = true };

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return cli_usage(c, "a console is for a terminal; for programs there is qube run");
	k.command = wrap_pty(&k, shell);
	if (!k.command)
		return cli_fail_text(c, CLI_NO_CALL, "out of memory");
	cli_note(c, "press Ctrl-] three times to leave");
	return execute(&k, c->o.pos[0]);
}

int cmd_call(struct cli *c)
{
	struct call k = { .c = c, .disposable = cli_given(&c->o, O_DISPOSABLE) };
	const char *qube = NULL;
	char **rest = NULL;
	int n_rest = 0;
	int r = split_arguments(&k, &qube, &rest, &n_rest);

	if (r)
		return r;
	if (n_rest != 1)
		return cli_usage(c, n_rest < 1 ? "a service is missing" : "too many arguments");
	k.service = rest[0];
	return execute(&k, qube);
}
