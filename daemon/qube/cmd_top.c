/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What qubes use: stats prints it, top keeps it on the screen. */
#include "cli.h"
#include "term.h"
#include "top.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SECONDS_MAX = 3600, FIRST_MS = 500 };

struct top {
	struct cli *c;
	struct cli_top_view view;
	struct cli_top_row *rows; /* the last reading */
	size_t n;
	uint64_t every_ms;
	bool quit;
};

static uint64_t clock_ms(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t known(const struct qube_domain_stats *s, uint32_t bit, uint64_t value)
{
	return s->known & bit ? value : CLI_TOP_UNKNOWN;
}

static void describe(struct top *t, struct cli_top_row *row, qube_domain *d)
{
	char *value = NULL;
	bool userns = qube_domain_feature_fetch(&value, d, "local.userns") == 0 && *value;

	qube_free(value);
	value = NULL;
	snprintf(row->name, sizeof(row->name), "%s", qube_domain_get_name(d));
	row->klass = qube_class_name(qube_domain_get_class(d));
	row->state = qube_state_name(qube_domain_get_state(d));
	snprintf(row->isolation, sizeof(row->isolation), "%s%s%s%s",
		 qube_isolation_name(qube_ctx_get_isolation(t->c->ctx)), userns ? ", userns" : "",
		 qube_domain_feature_fetch(&value, d, "local.new-privs") == 0 && *value ?
			 ", new-privs" :
			 "",
		 cli_any_core(d) ? ", any-core" : "");
	qube_free(value);
	snprintf(row->unenforced, sizeof(row->unenforced), "%s", qube_domain_get_unenforced(d));
}

/* 1: a row; 0: it does not run (any more); < 0: failed. */
static int read_row(struct top *t, struct cli_top_row *row, qube_domain *d)
{
	struct qube_domain_stats s = { .size = sizeof(s) };
	int r;

	if (qube_domain_get_class(d) == QUBE_CLASS_ADMIN ||
	    qube_domain_get_state(d) == QUBE_STATE_HALTED)
		return 0;
	r = qube_domain_stats_fetch(&s, d);
	if (r == QUBE_E_STATE || r == QUBE_E_NOENT)
		return 0;
	if (r < 0)
		return r;
	memset(row, 0, sizeof(*row));
	describe(t, row, d);
	row->guessed = (s.known & QUBE_STATS_MEMORY_GUESSED) != 0;
	row->cpu_ns = known(&s, QUBE_STATS_CPU, s.cpu_ns);
	row->memory_bytes = known(&s, QUBE_STATS_MEMORY, s.memory_bytes);
	row->target_bytes = known(&s, QUBE_STATS_TARGET, s.target_bytes);
	row->pids = known(&s, QUBE_STATS_PIDS, s.pids);
	row->read_bytes = known(&s, QUBE_STATS_IO, s.read_bytes);
	row->write_bytes = known(&s, QUBE_STATS_IO, s.write_bytes);
	row->start_time_ms = known(&s, QUBE_STATS_START, s.start_time_ms);
	row->taken_ms = clock_ms(CLOCK_MONOTONIC);
	row->cpu_permille = CLI_TOP_UNKNOWN;
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->rows[i].name, row->name))
			row->cpu_permille = cli_top_share(&t->rows[i], row);
	return 1;
}

static bool is_wanted(struct cli *c, qube_domain *d)
{
	for (int i = 0; i < c->o.n_pos; i++)
		if (!strcmp(c->o.pos[i], qube_domain_get_name(d)))
			return true;
	return c->o.n_pos == 0;
}

/* A new reading; the one before gives the shares. 0, or an exit code after the failure was told. */
static int take(struct top *t)
{
	qube_domain **list = NULL;
	struct cli_top_row *rows;
	size_t n_list = 0;
	size_t n = 0;
	int r = qube_domain_list(&list, &n_list, t->c->ctx);

	if (r < 0)
		return cli_fail_last(t->c);
	rows = calloc(n_list + 1, sizeof(*rows));
	for (size_t i = 0; rows && r >= 0 && i < n_list; i++) {
		if (!is_wanted(t->c, list[i]))
			continue;
		r = read_row(t, &rows[n], list[i]);
		if (r > 0)
			n++;
	}
	if (!rows)
		r = cli_fail_text(t->c, CLI_FAILED, "out of memory");
	else
		r = r < 0 ? cli_fail_last(t->c) : 0;
	qube_domain_list_free(list, n_list);
	free(t->rows);
	t->rows = rows;
	t->n = rows ? n : 0;
	cli_top_sort(t->rows, t->n, t->view.by);
	t->view.now_ms = clock_ms(CLOCK_REALTIME);
	return r;
}

static void put_known(struct cli_json *j, const char *key, uint64_t value)
{
	if (value == CLI_TOP_UNKNOWN)
		cli_json_string(j, key, NULL);
	else
		cli_json_uint(j, key, value);
}

static void print_json(struct top *t)
{
	struct cli_json j;

	cli_json_init(&j, stdout);
	cli_json_open_array(&j, NULL);
	for (size_t i = 0; i < t->n; i++) {
		const struct cli_top_row *r = &t->rows[i];

		cli_json_open_object(&j, NULL);
		cli_json_string(&j, "name", r->name);
		cli_json_string(&j, "class", r->klass);
		cli_json_string(&j, "state", r->state);
		cli_json_string(&j, "isolation", r->isolation);
		cli_json_string(&j, "unenforced", r->unenforced);
		put_known(&j, "cpu_permille", r->cpu_permille);
		put_known(&j, "cpu_ns", r->cpu_ns);
		put_known(&j, "memory_bytes", r->memory_bytes);
		cli_json_bool(&j, "memory_guessed", r->guessed);
		put_known(&j, "target_bytes", r->target_bytes);
		put_known(&j, "pids", r->pids);
		put_known(&j, "read_bytes", r->read_bytes);
		put_known(&j, "write_bytes", r->write_bytes);
		put_known(&j, "start_time_ms", r->start_time_ms);
		cli_json_close_object(&j);
	}
	cli_json_close_array(&j);
	cli_json_end(&j);
}

static void draw(struct top *t)
{
	if (t->c->json) {
		print_json(t);
	} else if (t->view.live) {
		cli_term_size(&t->view.height, &t->view.width);
		fputs("\033[H", stdout);
		cli_top_draw(stdout, t->rows, t->n, &t->view);
		fputs("\033[J", stdout);
	} else {
		cli_top_draw(stdout, t->rows, t->n, &t->view);
	}
	fflush(stdout);
}

static void press(struct top *t, char key)
{
	switch (key) {
	case 'q':
	case 'Q':
	case 3: /* Ctrl-C, Ctrl-D: keys like others in raw mode */
	case 4:
		t->quit = true;
		return;
	case CLI_TOP_BY_CPU:
	case CLI_TOP_BY_MEMORY:
	case CLI_TOP_BY_NAME:
	case CLI_TOP_BY_PIDS:
	case CLI_TOP_BY_START:
		t->view.by = (enum cli_top_sort)key;
		cli_top_sort(t->rows, t->n, t->view.by);
		draw(t);
		return;
	default:
		return;
	}
}

/* Until the time of the next reading. A resized terminal is drawn again at once. */
static int wait_until(struct top *t, uint64_t at_ms, int signals)
{
	uint64_t now;

	while (!t->quit && (now = clock_ms(CLOCK_MONOTONIC)) < at_ms) {
		struct pollfd fds[] = { { .fd = qube_ctx_get_fd(t->c->ctx), .events = POLLIN },
					{ .fd = signals, .events = POLLIN },
					{ .fd = t->view.live ? STDIN_FILENO : -1,
					  .events = POLLIN },
					{ .fd = STDOUT_FILENO } };
		char keys[64];
		ssize_t n;
		int signo;

		if (poll(fds, 4, (int)(at_ms - now)) <= 0)
			continue;
		signo = fds[1].revents ? cli_signals_read(signals) : 0;
		if (signo == SIGWINCH)
			draw(t);
		else if (signo || fds[3].revents & (POLLERR | POLLHUP))
			t->quit = true;
		if (fds[2].revents) {
			n = read(STDIN_FILENO, keys, sizeof(keys));
			if (n <= 0)
				t->quit = true;
			for (ssize_t i = 0; i < n; i++)
				press(t, keys[i]);
		}
		if (fds[0].revents && qube_ctx_dispatch(t->c->ctx, 0) < 0)
			return cli_fail_last(t->c);
	}
	return 0;
}

/* rounds: how many screens, 0: until it is ended. The first reading has no shares of processors, so
 * a second one follows soon. */
static int watch(struct top *t, uint64_t rounds)
{
	int signals = cli_signals_open_with(SIGWINCH);
	uint64_t at = clock_ms(CLOCK_MONOTONIC);
	int r = take(t);

	if (r == 0 && t->view.live)
		draw(t);
	at += FIRST_MS;
	while (r == 0 && !t->quit) {
		r = wait_until(t, at, signals);
		if (r || t->quit)
			break;
		r = take(t);
		if (r)
			break;
		draw(t);
		if (ferror(stdout) || (rounds && --rounds == 0))
			break;
		at += t->every_ms;
	}
	cli_signals_close(signals);
	return r;
}

static int watch_live(struct top *t)
{
	struct cli_term term = { 0 };
	int r;

	cli_term_raw(&term);
	if (!term.raw)
		return cli_fail_text(t->c, CLI_FAILED, "standard input is no terminal; try --once");
	/* The other screen, without a cursor: what stood here stands here again afterwards. */
	fputs("\033[?1049h\033[?25l\033[H\033[J", stdout);
	t->view.live = true;
	r = watch(t, 0);
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	cli_term_restore(&term);
	return r;
}

static int open_top(struct top *t, struct cli *c)
{
	uint64_t seconds = 2;
	int r = 0;

	*t = (struct top){ .c = c, .view = { .by = CLI_TOP_BY_CPU } };
	if (cli_given(&c->o, O_SORT) && !cli_top_sort_parse(&t->view.by, c->o.value[O_SORT]))
		return cli_usage(c, "--sort is one of cpu, memory, name, pids and uptime");
	if (cli_given(&c->o, O_INTERVAL) &&
	    (!cli_parse_u64(&seconds, c->o.value[O_INTERVAL], SECONDS_MAX) || !seconds))
		return cli_usage(c, "--interval is a number of seconds from 1 to %d", SECONDS_MAX);
	t->every_ms = seconds * 1000;
	r = cli_ctx_open(c);
	/* A name that does not exist is an error, not an empty list. */
	for (int i = 0; r == 0 && i < c->o.n_pos; i++) {
		qube_domain *d = NULL;

		r = cli_guest(c, &d, c->o.pos[i]);
		qube_domain_unref(d);
	}
	return r;
}

int cmd_stats(struct cli *c)
{
	struct top t;
	int r = open_top(&t, c);

	if (r)
		return r;
	if (!cli_given(&c->o, O_SORT))
		t.view.by = CLI_TOP_BY_NAME;
	r = watch(&t, cli_given(&c->o, O_WATCH) ? 0 : 1);
	free(t.rows);
	return cli_finish_output(c, r);
}

int cmd_top(struct cli *c)
{
	bool once = cli_given(&c->o, O_ONCE) || c->json;
	struct top t;
	int r;

	if (!once && !c->out_tty)
		return cli_usage(c, "standard output is no terminal; try --once");
	r = open_top(&t, c);
	if (r)
		return r;
	r = once ? watch(&t, 1) : watch_live(&t);
	free(t.rows);
	return cli_finish_output(c, r);
}
