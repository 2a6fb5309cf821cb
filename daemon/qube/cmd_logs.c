/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A qube's log: its end, or as it grows. */
#include "cli.h"
#include "filter.h"
#include "log_tail.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* What is asked for while it is followed; a reading is at most 64 KiB. */
enum { FOLLOW_EVERY_MS = 300 };

/* The library hands out text that is harmless already; a terminal is not asked to trust that. */
static void print_text(struct cli *c, const char *text)
{
	struct cli_filter filter;
	size_t len = strlen(text);
	char *out = c->out_tty ? malloc(len + CLI_FILTER_HELD) : NULL;

	if (out) {
		cli_filter_init(&filter, CLI_FILTER_PLAIN);
		fwrite(out, 1, cli_filter(&filter, out, text, len), stdout);
	} else if (!c->out_tty) {
		fwrite(text, 1, len, stdout);
	}
	if (len && text[len - 1] != '\n')
		putchar('\n');
	free(out);
}

static void print_json(const char *name, const char *key, const char *text)
{
	struct cli_json j;

	cli_json_init(&j, stdout);
	cli_json_open_object(&j, NULL);
	cli_json_string(&j, "name", name);
	cli_json_string(&j, key, text);
	cli_json_close_object(&j);
	cli_json_end(&j);
}

static void print_lines(struct cli *c, const char *name, char *text)
{
	char *save = NULL;

	if (!c->json) {
		print_text(c, text);
		return;
	}
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		print_json(name, "line", l);
}

/* False: to be ended. */
static bool pause_for(struct cli *c, int signals)
{
	struct pollfd fds[] = { { .fd = signals, .events = POLLIN }, { .fd = 1 } };

	if (fflush(stdout) != 0 || (poll(fds, 2, FOLLOW_EVERY_MS) > 0))
		return false;
	return qube_ctx_dispatch(c->ctx, 0) >= 0;
}

/* Until interrupted, or until the qube is removed: what was not there at the last reading. */
static int follow(struct cli *c, qube_domain *d, char **seen)
{
	int signals = cli_signals_open();
	int r = 0;

	while (pause_for(c, signals)) {
		char *text = NULL;
		const char *fresh;
		char *copy;

		if (qube_domain_log_fetch(&text, d) < 0) {
			r = qube_error_last()->code == QUBE_E_NOENT ? 0 : cli_fail_last(c);
			break;
		}
		fresh = cli_log_fresh(*seen, text);
		if (!fresh)
			cli_note(c, "lines are missing here");
		copy = strdup(fresh ? fresh : text);
		if (copy && *copy)
			print_lines(c, qube_domain_get_name(d), copy);
		free(copy);
		qube_free(*seen);
		*seen = text;
	}
	cli_signals_close(signals);
	return r;
}

int cmd_logs(struct cli *c)
{
	uint64_t lines = UINT64_MAX;
	qube_domain *d = NULL;
	char *text = NULL;
	char *tail;
	int r;

	if (cli_given(&c->o, O_LINES) && !cli_parse_u64(&lines, c->o.value[O_LINES], UINT32_MAX))
		return cli_usage(c, "--lines is a number");
	r = cli_guest(c, &d, c->o.pos[0]);
	if (r)
		return r;
	if (qube_domain_log_fetch(&text, d) < 0) {
		r = cli_fail_last(c);
	} else {
		tail = strdup(cli_log_tail(text, lines));
		if (!tail)
			r = cli_fail_text(c, CLI_FAILED, "out of memory");
		else if (cli_given(&c->o, O_FOLLOW))
			print_lines(c, qube_domain_get_name(d), tail);
		else if (c->json)
			print_json(qube_domain_get_name(d), "log", tail);
		else
			print_text(c, tail);
		free(tail);
		if (r == 0 && cli_given(&c->o, O_FOLLOW))
			r = follow(c, d, &text);
	}
	qube_free(text);
	qube_domain_unref(d);
	return cli_finish_output(c, r);
}
