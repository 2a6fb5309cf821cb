/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * start --autostart and shutdown --all: what a host does when it comes up and goes down. */
#include "cli.h"
#include "common/fleet.h"
#include "common/text.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
	STARTS = 8,	 /* under way */
	STOPS = 64,	 /* each is a connection of its own */
	STOP_MS = 60000, /* for all of them, unless --timeout says otherwise */
};

struct job {
	struct cli *c;
	struct cli_json json;
	bool over;
};

static bool is_autostart(void *user, qube_domain *d)
{
	struct qube_property value = { .size = sizeof(value) };
	bool yes;

	(void)user;
	if (qube_domain_property_fetch(&value, d, "autostart") < 0)
		return false;
	yes = strcmp(value.value, "True") == 0;
	qube_free(value.value);
	return yes;
}

static void on_told(void *user, const char *name, const struct qube_error *e)
{
	struct job *j = user;
	char text[256];

	if (j->c->json) {
		cli_json_open_object(&j->json, NULL);
		cli_json_string(&j->json, "name", name);
		cli_json_bool(&j->json, "done", !e);
		if (e)
			cli_json_string(&j->json, "error", e->message);
		cli_json_close_object(&j->json);
		return;
	}
	if (e) {
		cli_escape(text, sizeof(text), e->message);
		fprintf(stderr, "qube: %s: %s\n", name, text);
	} else {
		cli_note(j->c, "%s: %s", name, j->c->verb->fn == cmd_start ? "runs" : "stopped");
	}
}

static void on_ended(void *user, const char *name, qube_op *op)
{
	cli_op_trace(((struct job *)user)->c, name, op);
}

static void on_done(void *user)
{
	((struct job *)user)->over = true;
}

/* False: a signal or a failure ended the waiting. */
static bool wait_for(struct job *j, int signals)
{
	while (!j->over) {
		struct pollfd fds[2] = {
			{ .fd = qube_ctx_get_fd(j->c->ctx), .events = POLLIN },
			{ .fd = signals, .events = POLLIN },
		};

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return false;
		if (fds[1].revents && cli_signals_read(signals))
			return false;
		if (qube_ctx_dispatch(j->c->ctx, 0) < 0)
			return false;
	}
	return true;
}

static int run(struct cli *c, struct cli_fleet_opts *opts)
{
	struct job j = { .c = c };
	struct cli_fleet *f = NULL;
	int signals;
	int code = 0;
	int r = cli_ctx_open(c);

	if (r)
		return r;
	opts->user = &j;
	opts->told = on_told;
	opts->ended = cli_given(&c->o, O_TRACE) ? on_ended : NULL;
	opts->done = on_done;
	signals = cli_signals_open();
	if (c->json) {
		cli_json_init(&j.json, stdout);
		cli_json_open_array(&j.json, NULL);
	}
	r = cli_fleet_begin(&f, c->ctx, opts);
	if (r < 0)
		code = cli_fail_last(c);
	else if (r > 0 && !wait_for(&j, signals))
		code = cli_fail_text(c, CLI_CANCELED, "interrupted; the host goes on with it");
	else if (r > 0 && cli_fleet_failed(f))
		code = CLI_FAILED;
	if (c->json) {
		cli_json_close_array(&j.json);
		cli_json_end(&j.json);
	}
	cli_fleet_free(f);
	cli_signals_close(signals);
	return cli_finish_output(c, code);
}

int cli_fleet_autostart(struct cli *c)
{
	struct cli_fleet_opts opts = {
		.what = CLI_FLEET_START,
		.at_once = STARTS,
		.wanted = is_autostart,
	};

	return run(c, &opts);
}

int cli_fleet_shutdown(struct cli *c)
{
	struct cli_fleet_opts opts = { .what = CLI_FLEET_STOP,
				       .at_once = STOPS,
				       .timeout_ms = STOP_MS };
	uint64_t seconds;

	if (cli_given(&c->o, O_TIMEOUT) &&
	    cli_parse_u64(&seconds, c->o.value[O_TIMEOUT], INT32_MAX / 1000))
		opts.timeout_ms = seconds ? (int32_t)(seconds * 1000) : -1;
	return run(c, &opts);
}
