/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The guest's public calls: a loop of their own around the engines of rpc/. */
#include <qube/guest.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/opts.h"
#include "event/loop.h"
#include "rpc/agent.h"
#include "rpc/caller.h"
#include "rpc/pty.h"

#include <fcntl.h>
#include <stdbool.h>

enum { GRACE_MS = 5000 };

struct agent_run {
	struct qube__loop loop;
	struct qube__source stop;
	struct qube__agent *agent;
	struct qube_guest_agent_opts opts;
	bool over;
};

static void on_agent_over(void *user)
{
	struct agent_run *run = user;

	run->over = true;
}

static void on_stop(struct qube__source *s, uint32_t revents)
{
	struct agent_run *run = qube__container_of(s, struct agent_run, stop);

	(void)revents;
	qube__source_remove(&run->loop, s);
	qube__agent_stop(run->agent, run->opts.grace_ms ? run->opts.grace_ms : GRACE_MS);
}

static void on_log(void *user, int priority, const char *line)
{
	struct agent_run *run = user;

	if (run->opts.log)
		run->opts.log(run->opts.user, priority, line);
}

static int run_agent(struct agent_run *run)
{
	const struct qube_guest_agent_opts *o = &run->opts;
	struct qube__agent_opts opts = {
		.control_fd = o->control_fd,
		.default_user = o->default_user,
		.service_path = o->service_path,
		.config_path = o->config_path,
		.trigger_socket = o->trigger_socket,
		.vchan = o->vchan,
		.env = o->env,
		.user = run,
		.log = on_log,
		.on_closed = on_agent_over,
		.on_stopped = on_agent_over,
	};
	int r;

	r = qube__agent_create(&run->agent, &run->loop, &opts);
	if (r < 0)
		return r;
	if (o->stop_fd >= 0)
		r = qube__source_add(&run->loop, &run->stop, o->stop_fd, EPOLLIN, on_stop);
	while (r >= 0 && !run->over)
		r = qube__loop_dispatch(&run->loop, -1);
	qube__source_remove(&run->loop, &run->stop);
	qube__agent_destroy(run->agent);
	return r < 0 ? r : 0;
}

int qube_guest_agent_run(const struct qube_guest_agent_opts *opts)
{
	struct agent_run run = { .over = false };
	int r;

	qube__err_enter(__func__);
	r = qube__opts_import(&run.opts, sizeof(run.opts),
			      offsetof(struct qube_guest_agent_opts, vchan), opts);
	if (r < 0)
		return r;
	r = qube__loop_init(&run.loop);
	if (r < 0)
		return r;
	r = run_agent(&run);
	qube__loop_fini(&run.loop);
	return r;
}

struct call_run {
	struct qube__loop loop;
	int32_t code;
	bool over;
};

static void on_call_done(void *user, int32_t code, const char *why)
{
	struct call_run *run = user;

	(void)why;
	run->code = code;
	run->over = true;
}

static int dup_or_none(int fd)
{
	return fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
}

static int run_call(struct call_run *run, const struct qube_guest_call_opts *o)
{
	struct qube__caller *caller;
	struct qube__caller_opts opts = {
		.agent_socket = o->agent_socket,
		.target = o->target,
		.service = o->service,
		.source = o->source,
		.prefix = o->prefix,
		.prefix_len = o->prefix ? o->prefix_len : 0,
		.filter_out = o->flags & QUBE_GUEST_CALL_FILTER_STDOUT,
		.filter_err = o->flags & QUBE_GUEST_CALL_FILTER_STDERR,
		.in = dup_or_none(o->stdin_fd),
		.out = dup_or_none(o->stdout_fd),
		.err = dup_or_none(o->stderr_fd),
		.program = o->program,
		.env = o->env,
		.user = run,
		.done = on_call_done,
	};
	int r = qube__caller_create(&caller, &run->loop, &opts);

	if (r < 0)
		return r;
	while (r >= 0 && !run->over)
		r = qube__loop_dispatch(&run->loop, -1);
	qube__caller_destroy(caller);
	return r < 0 ? r : 0;
}

int qube_guest_call(const struct qube_guest_call_opts *opts, int32_t *exit_code)
{
	struct qube_guest_call_opts o;
	struct call_run run = { .code = 0 };
	int r;

	qube__err_enter(__func__);
	if (!exit_code)
		return qube__fail(QUBE_E_INVALID, "no place for the exit code");
	r = qube__opts_import(&o, sizeof(o), sizeof(o), opts);
	if (r < 0)
		return r;
	if (!o.target || !o.service || o.reserved0 ||
	    (o.flags & ~(uint32_t)(QUBE_GUEST_CALL_FILTER_STDOUT | QUBE_GUEST_CALL_FILTER_STDERR)))
		return qube__fail(QUBE_E_INVALID, "a call needs target and service, known flags");
	r = qube__loop_init(&run.loop);
	if (r < 0)
		return r;
	r = run_call(&run, &o);
	qube__loop_fini(&run.loop);
	if (r == 0)
		*exit_code = run.code;
	return r;
}

int qube_guest_pty(const char *const *argv, const char *const *env, uint16_t rows, uint16_t cols,
		   const char *id, int in_fd, int out_fd, int32_t *exit_code)
{
	static const char *const no_env[] = { NULL };

	qube__err_enter(__func__);
	if (!argv || !argv[0] || !exit_code)
		return qube__fail(QUBE_E_INVALID, "no command, or no place for its exit code");
	return qube__pty_run(argv, env ? env : no_env, rows, cols, id, in_fd, out_fd, exit_code);
}

int qube_guest_pty_resize(const char *id, uint16_t rows, uint16_t cols)
{
	qube__err_enter(__func__);
	if (!id)
		return qube__fail(QUBE_E_INVALID, "no id");
	return qube__pty_resize(id, rows, cols);
}
