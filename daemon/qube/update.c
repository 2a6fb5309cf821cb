/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Templates updated beside each other, see update.h. */
#include "update.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DRAIN_MS = 2000, PIECE = 65536, TIMED_OUT = 124 };

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void tell(struct cli_update_item *i)
{
	i->u->told(i->u->user, i);
}

/* Keeps the first reason. */
static void fail(struct cli_update_item *i, const char *why)
{
	i->result = CLI_UPDATE_FAILED;
	if (!*i->error)
		snprintf(i->error, sizeof(i->error), "%s", why);
}

static void over(struct cli_update_item *i)
{
	i->step = CLI_STEP_OVER;
	i->u->running--;
	tell(i);
	cli_update_next(i->u);
}

/* True if it went well; else the item has the reason. */
static bool end_op(struct cli_update_item *i, qube_op *op)
{
	const struct qube_error *e = qube_op_get_error(op);
	bool well = qube_op_get_state(op) == QUBE_OP_DONE;

	if (i->u->ended)
		i->u->ended(i->u->user, i, op);

	i->op = NULL;
	if (!well)
		fail(i, e ? e->message : "canceled");
	return well;
}

/* Whatever it is doing, nobody is told of its end. */
static void forget_op(struct cli_update_item *i)
{
	struct qube_op_callback none = { 0 };

	if (!i->op)
		return;
	qube_op_set_callback(i->op, &none);
	qube_op_unref(i->op);
	i->op = NULL;
}

/* --- the end --- */

static void on_ended(void *user, qube_op *op)
{
	struct cli_update_item *i = user;

	end_op(i, op);
	qube_op_unref(op);
	over(i);
}

/* Nothing but this shutdown keeps what was written. */
static void finish(struct cli_update_item *i)
{
	struct qube_domain_shutdown_opts keep = {
		.size = sizeof(keep),
		.flags = QUBE_DOMAIN_SHUTDOWN_KEEP | QUBE_DOMAIN_SHUTDOWN_OR_KILL,
	};
	struct qube_op_callback cb = { .fn = on_ended, .user = i };
	int r;

	i->step = CLI_STEP_END;
	for (int k = 0; k < 3; k++)
		close_fd(&i->fd[k]);
	tell(i);
	if (i->result == CLI_UPDATE_DONE)
		r = qube_domain_shutdown(i->d, &keep, &i->op);
	else
		r = qube_domain_kill(i->d, &i->op);
	if (r == 0) {
		qube_op_set_callback(i->op, &cb);
		return;
	}
	/* One that died by itself is as good as killed. */
	if (i->result == CLI_UPDATE_DONE || qube_error_last()->code != QUBE_E_STATE)
		fail(i, qube_error_last()->message);
	over(i);
}

static void judge(struct cli_update_item *i)
{
	char why[CLI_UPDATE_LINE_MAX];

	if (*i->error)
		i->result = CLI_UPDATE_FAILED;
	else
		i->result = cli_update_report_judge(&i->report, i->exit_code, why, sizeof(why));
	if (i->result == CLI_UPDATE_FAILED)
		fail(i, why);
	finish(i);
}

/* --- the call --- */

static void on_called(void *user, qube_op *op)
{
	struct cli_update_item *i = user;

	if (end_op(i, op))
		i->exit_code = qube_op_get_exit_code(op);
	qube_op_unref(op);
	close_fd(&i->fd[0]);
	/* What it said last may still be on its way. */
	i->step = CLI_STEP_DRAIN;
	i->drain_until_ms = cli_now_ms() + DRAIN_MS;
}

/* The guest's ends, for the length of the call of qube_domain_call(). */
static int make_pipes(struct cli_update_item *i, int guest[3])
{
	for (int k = 0; k < 3; k++) {
		int ends[2];
		int ours = k == 0 ? 1 : 0;

		if (pipe2(ends, O_CLOEXEC) < 0)
			return -1;
		guest[k] = ends[1 - ours];
		i->fd[k] = ends[ours];
		if (fcntl(i->fd[k], F_SETFL, O_NONBLOCK) < 0)
			return -1;
	}
	return 0;
}

static void call(struct cli_update_item *i)
{
	struct qube_call_opts opts = { .size = sizeof(opts),
				       .flags = QUBE_CALL_NO_START,
				       .command = i->u->command,
				       .user = "root" };
	struct qube_op_callback cb = { .fn = on_called, .user = i };
	int guest[3] = { -1, -1, -1 };

	i->step = CLI_STEP_CALL;
	i->call_until_ms = i->u->timeout_ms ? cli_now_ms() + i->u->timeout_ms : 0;
	if (make_pipes(i, guest) < 0) {
		fail(i, "cannot make pipes");
	} else {
		opts.stdin_fd = guest[0];
		opts.stdout_fd = guest[1];
		opts.stderr_fd = guest[2];
		if (qube_domain_call(i->d, &opts, &i->op) < 0)
			fail(i, qube_error_last()->message);
	}
	for (int k = 0; k < 3; k++)
		close_fd(&guest[k]);
	if (i->op)
		qube_op_set_callback(i->op, &cb);
	else
		finish(i);
}

/* --- the beginning --- */

static void on_started(void *user, qube_op *op)
{
	struct cli_update_item *i = user;
	bool well = end_op(i, op);

	qube_op_unref(op);
	if (!well) {
		over(i);
	} else if (i->u->canceled) {
		fail(i, "interrupted");
		finish(i);
	} else {
		call(i);
	}
}

static void begin(struct cli_update_item *i)
{
	struct qube_domain_start_opts opts = { sizeof(opts), QUBE_DOMAIN_START_DISCARD };
	struct qube_op_callback cb = { .fn = on_started, .user = i };

	i->u->running++;
	i->step = CLI_STEP_START;
	if (qube_domain_get_state(i->d) != QUBE_STATE_HALTED) {
		fail(i, "it runs and was left alone: shut it down first");
		over(i);
		return;
	}
	tell(i);
	if (qube_domain_start_with(i->d, &opts, &i->op) < 0) {
		fail(i, qube_error_last()->message);
		over(i);
		return;
	}
	qube_op_set_callback(i->op, &cb);
}

void cli_update_next(struct cli_update *u)
{
	for (size_t k = 0; k < u->n && u->running < u->jobs; k++) {
		struct cli_update_item *i = &u->items[k];

		if (i->step != CLI_STEP_WAITS)
			continue;
		if (!u->canceled) {
			begin(i);
			continue;
		}
		fail(i, "not begun");
		i->step = CLI_STEP_OVER;
		tell(i);
	}
}

bool cli_update_is_over(const struct cli_update *u)
{
	for (size_t k = 0; k < u->n; k++)
		if (u->items[k].step != CLI_STEP_OVER)
			return false;
	return true;
}

static void stop_call(struct cli_update_item *i, const char *why)
{
	fail(i, why);
	i->call_until_ms = 0;
	if (qube_op_cancel(i->op) == 0)
		return;
	forget_op(i); /* the kill ends it */
	finish(i);
}

void cli_update_cancel(struct cli_update *u)
{
	u->canceled = true;
	for (size_t k = 0; k < u->n; k++)
		if (u->items[k].step == CLI_STEP_CALL)
			stop_call(&u->items[k], "interrupted");
}

/* --- the streams --- */

size_t cli_update_poll(const struct cli_update *u, struct pollfd fds[CLI_UPDATE_POLLFDS])
{
	size_t n = 0;

	for (size_t k = 0; k < u->n; k++)
		for (int s = 0; s < 3; s++)
			if (u->items[k].fd[s] >= 0)
				fds[n++] = (struct pollfd){
					.fd = u->items[k].fd[s],
					.events = s == 0 ? POLLOUT : POLLIN,
				};
	return n;
}

/* What the pipe does not take is read again. */
static void send_some(struct cli_update_item *i)
{
	char data[PIECE];
	ssize_t n = pread(i->u->packages, data, sizeof(data), (off_t)i->sent);

	if (n > 0) {
		ssize_t done = write(i->fd[0], data, (size_t)n);

		if (done < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		i->sent += done > 0 ? (uint64_t)done : 0;
		if (done > 0)
			return;
	}
	/* The end, or nobody reads: that it said why comes from the other two. */
	close_fd(&i->fd[0]);
}

static void keep_tail(struct cli_update_item *i, const char *data, size_t n)
{
	if (n > CLI_UPDATE_TAIL) {
		data += n - CLI_UPDATE_TAIL;
		n = CLI_UPDATE_TAIL;
	}
	if (i->tail_len + n > CLI_UPDATE_TAIL) {
		size_t drop = i->tail_len + n - CLI_UPDATE_TAIL;

		memmove(i->tail, i->tail + drop, i->tail_len - drop);
		i->tail_len -= drop;
	}
	memcpy(i->tail + i->tail_len, data, n);
	i->tail_len += n;
	i->tail[i->tail_len] = '\0';
}

static void receive(struct cli_update_item *i, int s)
{
	char untrusted[PIECE];
	ssize_t n = read(i->fd[s], untrusted, sizeof(untrusted));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		close_fd(&i->fd[s]);
	else if (s == 2)
		keep_tail(i, untrusted, (size_t)n);
	else if (cli_update_report_feed(&i->report, untrusted, (size_t)n))
		tell(i);
}

void cli_update_serve(struct cli_update *u, const struct pollfd *fds, size_t n)
{
	for (size_t k = 0; k < u->n; k++) {
		struct cli_update_item *i = &u->items[k];

		for (size_t f = 0; f < n; f++)
			for (int s = 0; fds[f].revents && s < 3; s++)
				if (i->fd[s] >= 0 && i->fd[s] == fds[f].fd) {
					if (s == 0)
						send_some(i);
					else
						receive(i, s);
					break;
				}
		if (i->step == CLI_STEP_CALL && i->call_until_ms &&
		    cli_now_ms() >= i->call_until_ms) {
			i->exit_code = TIMED_OUT;
			stop_call(i, "the time was up");
		}
		if (i->step == CLI_STEP_DRAIN &&
		    ((i->fd[1] < 0 && i->fd[2] < 0) || cli_now_ms() >= i->drain_until_ms))
			judge(i);
	}
}

const char *cli_update_doing(const struct cli_update_item *i)
{
	switch (i->step) {
	case CLI_STEP_WAITS:
		return "waits";
	case CLI_STEP_START:
		return "start";
	case CLI_STEP_CALL:
	case CLI_STEP_DRAIN:
		return *i->report.stage ? i->report.stage : "call";
	case CLI_STEP_END:
		return i->result == CLI_UPDATE_DONE ? "keep" : "discard";
	default:
		return "over";
	}
}

void cli_update_fini(struct cli_update *u)
{
	for (size_t k = 0; k < u->n; k++) {
		struct cli_update_item *i = &u->items[k];

		for (int s = 0; s < 3; s++)
			close_fd(&i->fd[s]);
		forget_op(i);
		cli_update_report_fini(&i->report);
		qube_domain_unref(i->d);
	}
	free(u->items);
	u->items = NULL;
	u->n = 0;
}
