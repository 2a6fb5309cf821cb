/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the calls answer is an exit status and nothing else: the qube has no way to make us do more
 * than stop. */
#include "resize.h"
#include "term.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* The qube may still start, or its shell: as long as that takes, ever more seldom. */
enum { NOT_THERE = 69, AGAIN_MS = 300, AGAIN_MS_MAX = 10000 };

int cli_resize_init(struct cli_resize *r)
{
	unsigned char raw[16];

	memset(r, 0, sizeof(*r));
	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return -1;
	for (size_t i = 0; i < sizeof(raw); i++)
		snprintf(r->id + 2 * i, 3, "%02x", raw[i]);
	return 0;
}

int cli_resize_wait(const struct cli_resize *r, int64_t now_ms)
{
	if (r->off || r->op || r->again_ms <= now_ms)
		return -1;
	return (int)(r->again_ms - now_ms);
}

static void again(struct cli_resize *r, int64_t now_ms)
{
	r->rows = 0; /* told was nothing */
	r->wait_ms = r->wait_ms ? 3 * r->wait_ms / 2 : AGAIN_MS;
	if (r->wait_ms > AGAIN_MS_MAX)
		r->wait_ms = AGAIN_MS_MAX;
	r->again_ms = now_ms + r->wait_ms;
}

/* True: the call is over. */
static bool end_call(struct cli_resize *r, int64_t now_ms)
{
	uint32_t state = qube_op_get_state(r->op);
	int32_t code = qube_op_get_exit_code(r->op);

	if (state == QUBE_OP_RUNNING)
		return false;
	qube_op_unref(r->op);
	r->op = NULL;
	if (state == QUBE_OP_FAILED || code == NOT_THERE)
		again(r, now_ms);
	else if (code == 0)
		r->wait_ms = 0;
	else
		r->off = true; /* an older qube-pty, or none */
	return true;
}

void cli_resize_turn(struct cli_resize *r, int64_t now_ms)
{
	struct qube_call_opts opts = { .size = sizeof(opts),
				       .flags = QUBE_CALL_NO_START,
				       .user = r->user,
				       .stdin_fd = -1,
				       .stdout_fd = -1,
				       .stderr_fd = -1 };
	char command[160];
	unsigned int rows;
	unsigned int cols;

	if (r->off || (r->op && !end_call(r, now_ms)) || r->off || now_ms < r->again_ms)
		return;
	cli_term_size(&rows, &cols);
	if (rows == r->rows && cols == r->cols)
		return;
	snprintf(command, sizeof(command),
		 "exec /run/qube/guest/qube-pty --resize %s --rows %u --cols %u", r->id, rows,
		 cols);
	opts.command = command;
	r->rows = rows;
	r->cols = cols;
	/* Of a qube that does not run, or not yet, too. */
	if (qube_domain_call(r->d, &opts, &r->op) < 0) {
		r->op = NULL;
		again(r, now_ms);
	}
}

void cli_resize_fini(struct cli_resize *r)
{
	if (r->op && qube_op_get_state(r->op) == QUBE_OP_RUNNING)
		qube_op_cancel(r->op);
	qube_op_unref(r->op);
	r->op = NULL;
}
