/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What happens on the host, as it happens. */
#include "cli.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* How often a host that is gone is asked for. */
enum { AGAIN_MS = 200 };

struct watch {
	struct cli *c;
	uint64_t left; /* 0: no end */
	bool ended;
	bool lost; /* the connection to the host */
};

static void print_event_json(const struct qube_event *ev)
{
	struct cli_json j;

	cli_json_init(&j, stdout);
	cli_json_open_object(&j, NULL);
	cli_json_uint(&j, "time_ms", ev->time_ms);
	cli_json_string(&j, "subject", ev->subject);
	cli_json_string(&j, "event", ev->name);
	cli_json_open_object(&j, "fields");
	for (uint64_t i = 0; i < ev->n_fields; i++)
		cli_json_string(&j, ev->keys[i], ev->values[i]);
	cli_json_close_object(&j);
	cli_json_close_object(&j);
	cli_json_end(&j);
}

/* Values may come from guests: escaped, and their spaces with them, so that a line has one
 * reading. */
static void print_escaped(const char *text)
{
	for (; *text; text++) {
		unsigned char b = (unsigned char)*text;

		if (b > 0x20 && b < 0x7f && b != '\\')
			putchar(b);
		else
			printf("\\x%02x", b);
	}
}

static void print_event(const struct qube_event *ev)
{
	time_t seconds = (time_t)(ev->time_ms / 1000);
	struct tm tm;
	char when[32] = "";

	if (localtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%H:%M:%S", &tm);
	printf("%s.%03u ", when, (unsigned int)(ev->time_ms % 1000));
	print_escaped(*ev->subject ? ev->subject : "-");
	putchar(' ');
	print_escaped(ev->name);
	for (uint64_t i = 0; i < ev->n_fields; i++) {
		putchar(' ');
		print_escaped(ev->keys[i]);
		putchar('=');
		print_escaped(ev->values[i]);
	}
	putchar('\n');
}

/* It concerns a qube that was named. Of a qube that comes or goes the host is the subject. */
static bool is_wanted(const struct cli *c, const struct qube_event *ev)
{
	bool whole = strcmp(ev->name, "domain-add") == 0 || strcmp(ev->name, "domain-delete") == 0;

	for (int i = 0; i < c->o.n_pos; i++) {
		if (strcmp(ev->subject, c->o.pos[i]) == 0)
			return true;
		for (uint64_t f = 0; whole && f < ev->n_fields; f++)
			if (strcmp(ev->keys[f], "vm") == 0 &&
			    strcmp(ev->values[f], c->o.pos[i]) == 0)
				return true;
	}
	return c->o.n_pos == 0;
}

static void on_event(void *user, const struct qube_event *ev)
{
	struct watch *w = user;

	if (w->ended)
		return;
	w->lost = w->lost || strcmp(ev->name, "connection-lost") == 0;
	if (!is_wanted(w->c, ev))
		return;
	if (w->c->json)
		print_event_json(ev);
	else
		print_event(ev);
	/* A reader that went away ends it. */
	if (fflush(stdout) != 0 || (w->left && --w->left == 0))
		w->ended = true;
}

/* False: to be ended. */
static bool wait_for(struct watch *w, int signals, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = signals, .events = POLLIN },
				/* Told when the reader of a pipe goes away. */
				{ .fd = 1 },
				{ .fd = qube_ctx_get_fd(w->c->ctx), .events = POLLIN } };

	return poll(fds, 3, timeout_ms) <= 0 || !(fds[0].revents || fds[1].revents);
}

/* The host went away: that is the end, or with --follow it is waited for. A subscription opens the
 * stream if there is none. 0, or an exit code. */
static int come_back(struct watch *w, qube_subscription **sub, const struct qube_callback *cb,
		     int signals)
{
	const struct qube_error gone = {
		.code = QUBE_E_CLOSED,
		.where = "qube",
		.message = "the host is gone",
	};

	if (!cli_given(&w->c->o, O_FOLLOW))
		return cli_fail(w->c, &gone);
	cli_note(w->c, "the host is gone; waiting for it");
	qube_subscription_unref(*sub);
	*sub = NULL;
	while (qube_ctx_subscribe(sub, w->c->ctx, cb) < 0) {
		int code = qube_error_last()->code;

		if (code != QUBE_E_NOENT && code != QUBE_E_CLOSED)
			return cli_fail_last(w->c);
		if (!wait_for(w, signals, AGAIN_MS)) {
			w->ended = true;
			return 0;
		}
	}
	w->lost = false;
	return 0;
}

static int watch(struct watch *w)
{
	struct qube_callback cb = { .fn = on_event, .user = w };
	qube_subscription *sub = NULL;
	int signals;
	int r = 0;

	if (qube_ctx_subscribe(&sub, w->c->ctx, &cb) < 0)
		return cli_fail_last(w->c);
	signals = cli_signals_open();
	while (!w->ended && r == 0 && wait_for(w, signals, -1)) {
		if (qube_ctx_dispatch(w->c->ctx, 0) < 0)
			r = cli_fail_last(w->c);
		else if (w->lost && !w->ended)
			r = come_back(w, &sub, &cb, signals);
	}
	cli_signals_close(signals);
	qube_subscription_unref(sub);
	return r;
}

int cmd_events(struct cli *c)
{
	struct watch w = { .c = c };
	int r = 0;

	if (cli_given(&c->o, O_COUNT) &&
	    (!cli_parse_u64(&w.left, c->o.value[O_COUNT], UINT32_MAX) || !w.left))
		return cli_usage(c, "--count is a number above 0");
	r = cli_ctx_open(c);
	/* A name that does not exist would be a silence that nobody can tell from peace. */
	for (int i = 0; i < c->o.n_pos && r == 0; i++) {
		qube_domain *d = NULL;

		r = cli_domain(c, &d, c->o.pos[i]);
		qube_domain_unref(d);
	}
	return r ? r : watch(&w);
}
