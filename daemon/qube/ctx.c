/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Opening the host, and telling failures. */
#include "cli.h"
#include "common/text.h"
#include "common/where.h"
#include "json.h"
#include "table.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

static void on_log(void *user, int32_t priority, const char *line)
{
	char text[2048];

	(void)user;
	(void)priority;
	cli_escape(text, sizeof(text), line);
	fprintf(stderr, "qube: %s\n", text);
}

/* An embedded host must not die half-way through a start: what asks us to stop is read from a
 * descriptor while operations run, and waits while calls do not. */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static const char *value_or_null(struct cli *c, int option)
{
	return cli_given(&c->o, option) ? c->o.value[option] : NULL;
}

static int check_embedded_options(struct cli *c)
{
	static const int only_embedded[] = { O_STATE_DIR, O_DRIVER, O_RUN_DIR, O_POLICY_ROOT };

	if (cli_given(&c->o, O_EMBEDDED) && cli_given(&c->o, O_SOCKET))
		return cli_usage(c, "--socket and --embedded exclude each other");
	for (size_t i = 0; i < sizeof(only_embedded) / sizeof(only_embedded[0]); i++)
		if (cli_given(&c->o, only_embedded[i]) && !cli_given(&c->o, O_EMBEDDED))
			return cli_usage(c, "--%s needs --embedded",
					 cli_optdefs[only_embedded[i]].name);
	return 0;
}

int cli_ctx_open(struct cli *c)
{
	struct qube_ctx_opts opts = QUBE_CTX_OPTS_INIT;
	char helpers[4096];
	char daemon[4096];
	int r = c->ctx ? 0 : check_embedded_options(c);

	if (r || c->ctx)
		return r;
	opts.mode = QUBE_MODE_CONNECTED;
	opts.log = on_log;
	opts.log_priority = c->log_priority;
	opts.socket_path = value_or_null(c, O_SOCKET);
	if (cli_given(&c->o, O_EMBEDDED)) {
		cli_where_helpers(helpers, sizeof(helpers));
		cli_where_daemon(daemon, sizeof(daemon));
		opts.mode = QUBE_MODE_EMBEDDED;
		opts.flags = c->verb->flags & CLI_V_GUESTS ? 0 : QUBE_CTX_NO_GUESTS;
		opts.state_dir = value_or_null(c, O_STATE_DIR);
		opts.driver = value_or_null(c, O_DRIVER);
		opts.run_dir = value_or_null(c, O_RUN_DIR);
		opts.policy_root = value_or_null(c, O_POLICY_ROOT);
		opts.libexec_dir = value_or_null(c, O_LIBEXEC_DIR);
		if (!opts.libexec_dir)
			opts.libexec_dir = helpers;
		/* Guests' bytes are read by a process without rights where there is one. */
		opts.broker_program = access(daemon, X_OK) == 0 ? daemon : NULL;
		block_signals();
	}
	if (qube_ctx_open(&c->ctx, &opts) < 0)
		return cli_fail_last(c);
	return 0;
}

static int exit_code_of(struct cli *c, int32_t code)
{
	switch (code) {
	case QUBE_E_DENIED:
		return CLI_DENIED;
	case QUBE_E_TIMEOUT:
		return CLI_TIMEOUT;
	case QUBE_E_CANCELED:
		return CLI_CANCELED;
	default:
		return c->verb && (c->verb->flags & CLI_V_CALL) ? CLI_NO_CALL : CLI_FAILED;
	}
}

static void print_json(const struct qube_error *e, int32_t code)
{
	struct cli_json j;

	cli_json_init(&j, stderr);
	cli_json_open_object(&j, NULL);
	cli_json_open_object(&j, "error");
	cli_json_int(&j, "code", code);
	cli_json_string(&j, "name", code ? qube_error_name(code) : "USAGE");
	cli_json_string(&j, "message", e->message);
	cli_json_string(&j, "where", e->where);
	cli_json_string(&j, "rule_file", e->rule_file);
	cli_json_uint(&j, "rule_line", e->rule_line);
	cli_json_int(&j, "os_errno", e->os_errno);
	cli_json_close_object(&j);
	cli_json_close_object(&j);
	cli_json_end(&j);
}

static void print_error(struct cli *c, const struct qube_error *e)
{
	char text[2048];

	fflush(stdout);
	if (c->json) {
		print_json(e, e->code);
		return;
	}
	cli_escape(text, sizeof(text), e->message);
	fprintf(stderr, "qube: %s\n", text);
	if (e->rule_file) {
		cli_escape(text, sizeof(text), e->rule_file);
		if (e->rule_line)
			fprintf(stderr, "  decided by %s:%u\n", text, e->rule_line);
		else
			fprintf(stderr, "  decided by %s\n", text);
	}
}

int cli_fail(struct cli *c, const struct qube_error *e)
{
	print_error(c, e);
	return exit_code_of(c, e->code);
}

int cli_fail_last(struct cli *c)
{
	return cli_fail(c, qube_error_last());
}

static void fail_text(struct cli *c, int32_t code, const char *fmt, va_list ap)
{
	char text[1024];
	struct qube_error e = { .code = code, .where = "qube", .message = text };

	vsnprintf(text, sizeof(text), fmt, ap);
	print_error(c, &e);
}

int cli_fail_text(struct cli *c, int exit_code, const char *fmt, ...)
{
	va_list ap;
	int32_t code = exit_code == CLI_USAGE	 ? QUBE_E_INVALID :
		       exit_code == CLI_TIMEOUT	 ? QUBE_E_TIMEOUT :
		       exit_code == CLI_CANCELED ? QUBE_E_CANCELED :
						   QUBE_E_SYSTEM;

	va_start(ap, fmt);
	fail_text(c, code, fmt, ap);
	va_end(ap);
	return exit_code;
}

int cli_usage(struct cli *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail_text(c, QUBE_E_INVALID, fmt, ap);
	va_end(ap);
	if (!c->json && c->verb)
		fprintf(stderr, "usage: qube %s %s%s%s\n", c->verb->name,
			c->verb->options ? "[OPTION...]" : "",
			c->verb->options && *c->verb->args ? " " : "", c->verb->args);
	return CLI_USAGE;
}

void cli_note(struct cli *c, const char *fmt, ...)
{
	char raw[1024];
	char text[1024];
	va_list ap;

	if (c->quiet || c->json)
		return;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	cli_escape(text, sizeof(text), raw);
	fprintf(stderr, "qube: %s\n", text);
}

int cli_domain(struct cli *c, qube_domain **out, const char *name)
{
	int r = cli_ctx_open(c);

	if (r)
		return r;
	return qube_domain_open(out, c->ctx, name) < 0 ? cli_fail_last(c) : 0;
}

int cli_guest(struct cli *c, qube_domain **out, const char *name)
{
	int r = cli_domain(c, out, name);

	if (r || qube_domain_get_class(*out) != QUBE_CLASS_ADMIN)
		return r;
	qube_domain_unref(*out);
	*out = NULL;
	return cli_fail_text(c, c->verb->flags & CLI_V_CALL ? CLI_NO_CALL : CLI_FAILED,
			     "'%s' is the host itself; '%s' is for qubes", name, c->verb->name);
}

int cli_list_end(struct cli *c, struct cli_json *j, struct cli_table *t, int code)
{
	if (c->json && code == 0)
		cli_json_end(j);
	else if (code == 0 && !cli_table_print(t, stdout, 0, NULL))
		code = cli_fail_text(c, CLI_FAILED, "out of memory");
	cli_table_fini(t);
	return code;
}

int cli_finish_output(struct cli *c, int code)
{
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == 0)
		return cli_fail_text(c, CLI_FAILED, "cannot write standard output");
	return code;
}
