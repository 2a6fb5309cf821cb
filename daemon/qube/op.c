/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Operations: the context is served until one is finished, with progress for people, Ctrl-C and a
 * deadline. */
#include "cli.h"
#include "bar.h"
#include "relay.h"
#include "resize.h"
#include "term.h"
#include "trace.h"
#include "common/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

/* Short operations show nothing; after this long a terminal gets a line. */
enum { PROGRESS_AFTER_MS = 500, PROGRESS_EVERY_MS = 100, TENTHS = 10, STAGES_MAX = 64 };

struct watch {
	struct cli *c;
	qube_op *op;
	const struct cli_op_opts *opts;
	int64_t began_ms;
	int64_t drawn_ms;
	char stage[64];	  /* the last one that was told */
	uint64_t tenth;	  /* of the bytes, the last one that was told */
	int64_t moved_ms; /* when the first bytes were seen; 0: none were */
	uint64_t moved_from;
	bool on_screen; /* a progress line stands on the terminal */
	bool planned;	/* the plan was told */
	int interrupts;
	bool timed_out;
	bool no_reader; /* of what the call writes, or who read it left: it was canceled */
};

int cli_signals_open_with(int extra)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (extra)
		sigaddset(&set, extra);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int cli_signals_open(void)
{
	return cli_signals_open_with(0);
}

void cli_signals_close(int fd)
{
	/* Stay blocked: from here to the end there is only clean-up, which is bounded. */
	if (fd >= 0)
		close(fd);
}

int cli_signals_read(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

static void clear_line(struct watch *w)
{
	if (w->on_screen)
		fputs("\r\033[K", stderr);
	w->on_screen = false;
}

static void tell_plan(struct watch *w, const struct qube_op_progress *p)
{
	char files[32];
	char size[32];

	if (!w->opts->plan || w->planned || !p->total_files ||
	    (p->state == QUBE_OP_RUNNING && strcmp(p->stage, "plan") == 0))
		return;
	w->planned = true;
	clear_line(w);
	cli_format_count(files, sizeof(files), p->total_files);
	cli_format_size(size, sizeof(size), p->total_bytes);
	cli_note(w->c, "%s: %s files, %s will be copied", w->opts->title, files, size);
}

static void draw_bar(struct watch *w, const struct qube_op_progress *p, int64_t now)
{
	struct cli_bar bar = { .title = w->opts->title,
			       .stage = p->stage,
			       .done_bytes = p->done_bytes,
			       .total_bytes = p->total_bytes };
	unsigned int rows;
	unsigned int cols;
	char line[512];

	if (p->done_bytes && (!w->moved_ms || p->done_bytes < w->moved_from)) {
		w->moved_ms = now;
		w->moved_from = p->done_bytes;
	}
	if (w->moved_ms) {
		bar.moved_ms = (uint64_t)(now - w->moved_ms);
		bar.moved_bytes = p->done_bytes - w->moved_from;
	}
	cli_term_size(&rows, &cols);
	/* The last column stays free: some terminals wrap there. */
	cli_bar_line(line, sizeof(line), &bar, cols - 1);
	fprintf(stderr, "\r%s\033[K", line);
	fflush(stderr);
	w->on_screen = true;
}

/* A line for each stage, and with --progress=plain for each tenth of the bytes. */
static void tell_lines(struct watch *w, const struct qube_op_progress *p)
{
	uint64_t tenth =
		p->total_bytes && p->done_bytes <= p->total_bytes ?
			(uint64_t)((double)p->done_bytes / (double)p->total_bytes * TENTHS) :
			0;

	if (*p->stage && strcmp(p->stage, w->stage) != 0) {
		snprintf(w->stage, sizeof(w->stage), "%s", p->stage);
		w->tenth = tenth;
		cli_note(w->c, "%s: %s", w->opts->title, w->stage);
	}
	if (w->c->plain && tenth > w->tenth)
		cli_note(w->c, "%s: %s %u %%", w->opts->title, w->stage,
			 (unsigned int)tenth * (100 / TENTHS));
	w->tenth = tenth;
}

static void show_progress(struct watch *w)
{
	struct qube_op_progress p = { .size = sizeof(p) };
	int64_t now = cli_now_ms();

	if (!w->opts->title || w->c->quiet || w->c->json || qube_op_progress_fetch(w->op, &p) < 0 ||
	    !p.stage)
		return;
	tell_plan(w, &p);
	if (w->c->err_tty && !w->c->plain) {
		if (now - w->began_ms < PROGRESS_AFTER_MS || now - w->drawn_ms < PROGRESS_EVERY_MS)
			return;
		w->drawn_ms = now;
		if (p.state == QUBE_OP_RUNNING)
			draw_bar(w, &p, now);
	} else if (w->opts->stages || w->c->plain) {
		tell_lines(w, &p);
	}
}

/* Ctrl-C: cancel; what can not be canceled, or a second Ctrl-C, is left. False: leave. */
static bool interrupt(struct watch *w)
{
	clear_line(w);
	if (++w->interrupts > 1)
		return false;
	if (qube_op_cancel(w->op) < 0 && qube_op_get_state(w->op) == QUBE_OP_RUNNING)
		return false;
	return true;
}

/* The sooner one; -1 is never. */
static int64_t sooner(int64_t a, int64_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int timeout_of(const struct watch *w)
{
	int64_t left = w->opts->title ? PROGRESS_EVERY_MS : -1;

	if (w->opts->resize)
		left = sooner(left, cli_resize_wait(w->opts->resize, cli_now_ms()));
	if (w->opts->relay)
		left = sooner(left, cli_relay_wait(w->opts->relay));
	if (w->opts->timeout_ms && !w->timed_out) {
		int64_t end = w->began_ms + w->opts->timeout_ms - cli_now_ms();

		left = sooner(left, end > 0 ? end : 0);
	}
	return (int)(left > 1000000 ? 1000000 : left);
}

/* One round; false: stop waiting. */
static bool wait_round(struct watch *w, int signals)
{
	struct pollfd fds[2 + CLI_RELAY_POLLFDS] = {
		{ .fd = qube_ctx_get_fd(w->c->ctx), .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};
	size_t n = w->opts->relay ? cli_relay_poll(w->opts->relay, fds + 2) : 0;
	int signo = 0;

	if (poll(fds, (nfds_t)(2 + n), timeout_of(w)) < 0 && errno != EINTR)
		return false;
	if (fds[1].revents)
		signo = cli_signals_read(signals);
	/* That one only wakes us. */
	if (signo && signo != SIGWINCH && !interrupt(w))
		return false;
	if (w->opts->relay)
		cli_relay_serve(w->opts->relay, fds + 2, n);
	if (w->opts->relay && !w->no_reader && (w->opts->relay->broken || w->opts->relay->left)) {
		w->no_reader = true;
		if (qube_op_cancel(w->op) < 0 && qube_op_get_state(w->op) == QUBE_OP_RUNNING)
			return false;
	}
	if (qube_ctx_dispatch(w->c->ctx, 0) < 0)
		return false;
	if (w->opts->resize)
		cli_resize_turn(w->opts->resize, cli_now_ms());
	if (w->opts->timeout_ms && !w->timed_out &&
	    cli_now_ms() - w->began_ms >= w->opts->timeout_ms) {
		w->timed_out = true;
		if (qube_op_get_state(w->op) == QUBE_OP_RUNNING && qube_op_cancel(w->op) < 0)
			return false;
	}
	show_progress(w);
	return true;
}

static void print_trace_json(const char *name, const struct qube_op_stage *stages, size_t n)
{
	const char *stage = NULL;
	struct cli_json j;

	cli_json_init(&j, stderr);
	cli_json_open_object(&j, NULL);
	if (name)
		cli_json_string(&j, "name", name);
	cli_json_open_array(&j, "trace");
	for (size_t i = 0; i < n; i++) {
		bool part = *stages[i].name == '/';

		cli_json_open_object(&j, NULL);
		cli_json_string(&j, "stage", stages[i].name + part);
		cli_json_string(&j, "part_of", part ? stage : NULL);
		cli_json_uint(&j, "start_ns", stages[i].start_ns);
		cli_json_uint(&j, "duration_ns", stages[i].duration_ns);
		cli_json_close_object(&j);
		if (!part)
			stage = stages[i].name;
	}
	cli_json_close_array(&j);
	cli_json_close_object(&j);
	cli_json_end(&j);
}

void cli_op_trace(struct cli *c, const char *name, qube_op *op)
{
	struct qube_op_stage stages[STAGES_MAX];
	size_t n = qube_op_trace(op, stages, STAGES_MAX);

	if (n > STAGES_MAX)
		n = STAGES_MAX;
	if (c->json) {
		print_trace_json(name, stages, n);
		return;
	}
	if (name)
		fprintf(stderr, "%s:\n", name);
	cli_trace_draw(stderr, stages, n);
}

static int finish(struct watch *w, bool left)
{
	clear_line(w);
	if (w->opts->relay)
		cli_relay_drain(w->opts->relay, 2000);
	if (cli_given(&w->c->o, O_TRACE))
		cli_op_trace(w->c, NULL, w->op);
	if (w->opts->relay && w->opts->relay->left)
		return 0;
	/* Like any program that writes to a pipe which nobody reads: it ends, silently. */
	if (w->no_reader && qube_op_get_state(w->op) != QUBE_OP_DONE)
		return CLI_NO_READER;
	if (w->timed_out && qube_op_get_state(w->op) != QUBE_OP_DONE)
		return cli_fail_text(w->c, CLI_TIMEOUT, "the time was up");
	if (w->opts->gone_is_fine && qube_op_get_state(w->op) == QUBE_OP_FAILED &&
	    (qube_op_get_error(w->op)->code == QUBE_E_NOENT ||
	     qube_op_get_error(w->op)->code == QUBE_E_STATE))
		return 0;
	if (qube_op_get_state(w->op) == QUBE_OP_FAILED)
		return cli_fail(w->c, qube_op_get_error(w->op));
	if (qube_op_get_state(w->op) == QUBE_OP_DONE)
		return 0;
	if (left && w->interrupts)
		return cli_fail_text(w->c, CLI_CANCELED, "interrupted; the host goes on with it");
	return cli_fail_last(w->c);
}

int cli_op_run(struct cli *c, qube_op *op, const struct cli_op_opts *opts, qube_op **out)
{
	struct watch w = { .c = c, .op = op, .opts = opts, .began_ms = cli_now_ms() };
	int signals = cli_signals_open_with(opts->resize ? SIGWINCH : 0);
	bool left = false;
	int r;

	show_progress(&w);
	while (qube_op_get_state(op) == QUBE_OP_RUNNING && !left)
		left = !wait_round(&w, signals);
	show_progress(&w);
	r = finish(&w, left);
	cli_signals_close(signals);
	if (r == 0 && out)
		*out = op;
	else
		qube_op_unref(op);
	return r;
}
