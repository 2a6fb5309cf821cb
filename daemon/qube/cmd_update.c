/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * update: packages of a folder into templates. Verified by the helper program qube-packages before
 * anything starts; then update.c. */
#include "cli.h"
#include "table.h"
#include "term.h"
#include "update.h"
#include "update_guest.h"
#include "common/text.h"
#include "common/where.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS = 2, DRAW_MS = 200, SPOOL = 3, TAIL_LINES = 8, ANSWER_MAX = 2048 };

struct update {
	struct cli *c;
	struct cli_update u;
	char drawn[512]; /* the line of progress that stands on the terminal; "": none does */
};

/* --- the packages --- */

static int spawn_helper(struct cli *c, pid_t *pid, int spool, int out)
{
	char helper[PATH_MAX];
	char program[PATH_MAX + 16];
	char *argv[] = { (char *)"qube-packages", (char *)c->o.value[O_FROM],
			 (char *)(cli_given(&c->o, O_KEY) ? c->o.value[O_KEY] : NULL), NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int e;

	cli_where_helpers(helper, sizeof(helper));
	snprintf(program, sizeof(program), "%s/qube-packages",
		 cli_given(&c->o, O_LIBEXEC_DIR) ? c->o.value[O_LIBEXEC_DIR] : helper);
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, spool, SPOOL);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
	e = posix_spawn(pid, program, &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return e ? cli_fail_text(c, CLI_FAILED, "cannot run %s: %s", program, strerror(e)) : 0;
}

/* Its one line, without its end. */
static int read_answer(char answer[ANSWER_MAX], int fd, pid_t pid)
{
	size_t len = 0;
	int status = -1;
	ssize_t n;

	while (len + 1 < ANSWER_MAX && (n = read(fd, answer + len, ANSWER_MAX - 1 - len)) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	answer[len] = '\0';
	answer[strcspn(answer, "\n")] = '\0';
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return WIFEXITED(status) ? WEXITSTATUS(status) : CLI_FAILED;
}

static int fill_spool(struct cli *c, int spool)
{
	char answer[ANSWER_MAX];
	int ends[2];
	pid_t pid;
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return cli_fail_text(c, CLI_FAILED, "cannot make a pipe: %s", strerror(errno));
	r = spawn_helper(c, &pid, spool, ends[1]);
	close(ends[1]);
	if (r == 0) {
		r = read_answer(answer, ends[0], pid);
		if (r)
			cli_fail_text(c, r == CLI_DENIED ? CLI_DENIED : CLI_FAILED, "%s",
				      *answer ? answer : "qube-packages ended without an answer");
	}
	close(ends[0]);
	if (r)
		return r == CLI_DENIED ? r : CLI_FAILED;
	cli_note(c, "%s: %.*s packages%s", c->o.value[O_FROM], (int)strcspn(answer, " "), answer,
		 cli_given(&c->o, O_KEY) ? ", signed" : ", unsigned");
	return 0;
}

/* A file without a name, that nobody else can write to: what was verified is what is delivered. */
static int open_packages(struct update *up)
{
	struct cli *c = up->c;
	struct stat st;
	int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return cli_fail_text(c, CLI_FAILED, "cannot make a file in /var/tmp: %s",
				     strerror(errno));
	up->u.packages = fd;
	r = fill_spool(c, fd);
	if (r)
		return r;
	if (fstat(fd, &st) < 0)
		return cli_fail_text(c, CLI_FAILED, "the packages are gone: %s", strerror(errno));
	up->u.bytes = (uint64_t)st.st_size;
	return 0;
}

/* --- the templates --- */

static bool has_root(qube_domain *d)
{
	uint32_t klass = qube_domain_get_class(d);

	return klass == QUBE_CLASS_TEMPLATE || klass == QUBE_CLASS_STANDALONE;
}

/* Takes d over. */
static int add(struct update *up, qube_domain *d)
{
	struct cli_update_item *grown = realloc(up->u.items, (up->u.n + 1) * sizeof(*up->u.items));

	if (!grown) {
		qube_domain_unref(d);
		return cli_fail_text(up->c, CLI_FAILED, "out of memory");
	}
	up->u.items = grown;
	memset(&grown[up->u.n], 0, sizeof(*grown));
	grown[up->u.n].u = &up->u;
	grown[up->u.n].d = d;
	for (int k = 0; k < 3; k++)
		grown[up->u.n].fd[k] = -1;
	up->u.n++;
	return 0;
}

static int add_named(struct update *up, const char *name)
{
	qube_domain *d = NULL;
	int r = cli_guest(up->c, &d, name);

	if (r)
		return r;
	if (has_root(d))
		return add(up, d);
	r = cli_fail_text(up->c, CLI_FAILED,
			  *qube_domain_get_template(d) ?
				  "'%s' has no root of its own: update its template '%s'" :
				  "'%s' has no root of its own%s",
			  name, qube_domain_get_template(d));
	qube_domain_unref(d);
	return r;
}

static int add_all(struct update *up)
{
	qube_domain **list = NULL;
	size_t n = 0;
	int r = 0;

	if (qube_domain_list(&list, &n, up->c->ctx) < 0)
		return cli_fail_last(up->c);
	for (size_t i = 0; i < n && r == 0; i++)
		if (has_root(list[i]))
			r = add(up, qube_domain_ref(list[i]));
	qube_domain_list_free(list, n);
	if (r == 0 && !up->u.n)
		return cli_fail_text(up->c, CLI_FAILED, "there is no template");
	return r;
}

static int choose(struct update *up)
{
	struct cli *c = up->c;
	int r = cli_ctx_open(c);

	if (r == 0 && !c->o.n_pos)
		return add_all(up);
	for (int i = 0; i < c->o.n_pos && r == 0; i++) {
		for (int k = 0; k < i; k++)
			if (strcmp(c->o.pos[i], c->o.pos[k]) == 0)
				return cli_usage(c, "'%s' is named twice", c->o.pos[i]);
		r = add_named(up, c->o.pos[i]);
	}
	return r;
}

/* --- progress --- */

static void clear_line(struct update *up)
{
	if (*up->drawn)
		fputs("\r\033[K", stderr);
	up->drawn[0] = '\0';
}

/* The last lines of what the package manager said. */
static void tell_tail(struct update *up, const struct cli_update_item *i)
{
	const char *at = i->tail + i->tail_len;
	int lines = 0;

	while (at > i->tail && lines <= TAIL_LINES)
		if (*--at == '\n')
			lines++;
	if (*at == '\n')
		at++;
	while (*at) {
		int len = (int)strcspn(at, "\n");

		cli_note(up->c, "%s: | %.*s", qube_domain_get_name(i->d), len, at);
		at += at[len] ? len + 1 : len;
	}
}

static void on_told(void *user, const struct cli_update_item *i)
{
	struct update *up = user;
	const char *name = qube_domain_get_name(i->d);

	clear_line(up);
	if (i->step != CLI_STEP_OVER) {
		cli_note(up->c, "%s: %s", name, cli_update_doing(i));
	} else if (i->result == CLI_UPDATE_FAILED) {
		tell_tail(up, i);
		cli_note(up->c, "%s: failed: %s", name, i->error);
	} else {
		cli_note(up->c, "%s: %s", name,
			 i->result == CLI_UPDATE_DONE ? "updated" : "nothing newer");
	}
}

static void on_ended(void *user, const struct cli_update_item *i, qube_op *op)
{
	struct update *up = user;

	clear_line(up);
	cli_op_trace(up->c, qube_domain_get_name(i->d), op);
}

/* What is under way, in one line of a terminal. */
static void draw(struct update *up)
{
	char line[sizeof(up->drawn)] = "";
	size_t len = 0;
	unsigned int rows;
	unsigned int cols;

	if (!up->c->err_tty || up->c->plain || up->c->quiet || up->c->json)
		return;
	for (size_t k = 0; k < up->u.n && len < sizeof(line); k++) {
		const struct cli_update_item *i = &up->u.items[k];
		int percent = up->u.bytes ? (int)(i->sent * 100 / up->u.bytes) : 0;
		char doing[64];

		if (i->step == CLI_STEP_WAITS || i->step == CLI_STEP_OVER)
			continue;
		cli_escape(doing, sizeof(doing), cli_update_doing(i));
		len += (size_t)snprintf(line + len, sizeof(line) - len,
					i->fd[0] >= 0 ? "%s%s: %s %d %%" : "%s%s: %s",
					len ? ", " : "", qube_domain_get_name(i->d), doing,
					percent);
	}
	if (strcmp(line, up->drawn) == 0)
		return;
	cli_term_size(&rows, &cols);
	fprintf(stderr, "\r%.*s\033[K", (int)cols - 1, line);
	fflush(stderr);
	memcpy(up->drawn, line, sizeof(up->drawn));
}

/* False: left, the host goes on with it. */
static bool serve(struct update *up, int signals)
{
	struct pollfd fds[2 + CLI_UPDATE_POLLFDS] = {
		{ .fd = qube_ctx_get_fd(up->c->ctx), .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};
	size_t n = cli_update_poll(&up->u, fds + 2);

	if (poll(fds, (nfds_t)(2 + n), DRAW_MS) < 0 && errno != EINTR)
		return false;
	if (fds[1].revents && cli_signals_read(signals)) {
		clear_line(up);
		if (up->u.canceled)
			return false;
		cli_note(up->c, "interrupted: what was begun is undone");
		cli_update_cancel(&up->u);
	}
	cli_update_serve(&up->u, fds + 2, n);
	if (qube_ctx_dispatch(up->c->ctx, 0) < 0)
		return false;
	cli_update_next(&up->u);
	draw(up);
	return true;
}

/* --- what came of it --- */

static const char *result_of(const struct cli_update_item *i)
{
	static const char *const names[] = { "failed", "none", "updated" };

	return names[i->result];
}

/* 100 for nothing newer, as qubes-vm-update has it. */
static int status_of(const struct cli_update_item *i)
{
	if (i->result == CLI_UPDATE_FAILED)
		return i->exit_code > 0 ? i->exit_code : CLI_FAILED;
	return i->result == CLI_UPDATE_NONE ? 100 : 0;
}

static void json_item(struct cli_json *j, const struct cli_update_item *i)
{
	cli_json_open_object(j, NULL);
	cli_json_string(j, "name", qube_domain_get_name(i->d));
	cli_json_string(j, "result", result_of(i));
	cli_json_int(j, "status", status_of(i));
	cli_json_string(j, "manager", *i->report.manager ? i->report.manager : NULL);
	cli_json_open_array(j, "packages");
	for (size_t k = 0; k < i->report.n_packages; k++) {
		const struct cli_update_package *p = &i->report.packages[k];

		cli_json_open_object(j, NULL);
		cli_json_string(j, "name", p->name);
		cli_json_string(j, "from", p->from);
		cli_json_string(j, "to", p->to);
		cli_json_close_object(j);
	}
	cli_json_close_array(j);
	cli_json_string(j, "error", i->result == CLI_UPDATE_FAILED ? i->error : NULL);
	if (i->result == CLI_UPDATE_FAILED)
		cli_json_string(j, "output", i->tail);
	cli_json_close_object(j);
}

static void row_item(struct cli_table *t, const struct cli_update_item *i)
{
	char status[16];
	char packages[32];

	snprintf(status, sizeof(status), "%d", status_of(i));
	cli_format_count(packages, sizeof(packages), i->report.n_packages);
	cli_table_add(t, qube_domain_get_name(i->d));
	cli_table_add(t, result_of(i));
	cli_table_add(t, status);
	cli_table_add(t, *i->report.manager ? i->report.manager : NULL);
	cli_table_add(t, packages);
	cli_table_add(t, i->result == CLI_UPDATE_FAILED ? i->error : NULL);
}

/* The qubes that still run on what a template was before. */
static void tell_restarts(struct update *up, struct cli_json *j)
{
	qube_domain **list = NULL;
	size_t n = 0;

	if (up->c->json)
		cli_json_open_array(j, "restart_needed");
	if (qube_domain_list(&list, &n, up->c->ctx) < 0)
		cli_note(up->c, "%s", qube_error_last()->message);
	for (size_t i = 0; i < n; i++) {
		if (!cli_restart_needed(list[i]))
			continue;
		if (up->c->json)
			cli_json_string(j, NULL, qube_domain_get_name(list[i]));
		else
			printf("restart needed: %s\n", qube_domain_get_name(list[i]));
	}
	qube_domain_list_free(list, n);
	if (up->c->json)
		cli_json_close_array(j);
}

static int summary(struct update *up)
{
	static const char *const heads[] = { "NAME",	"RESULT",   "STATUS",
					     "MANAGER", "PACKAGES", "REASON" };
	struct cli_table t;
	struct cli_json j;
	bool failed = false;

	cli_table_init(&t, heads, 6);
	cli_json_init(&j, stdout);
	if (up->c->json) {
		cli_json_open_object(&j, NULL);
		cli_json_open_array(&j, "templates");
	}
	for (size_t k = 0; k < up->u.n; k++) {
		failed = failed || up->u.items[k].result == CLI_UPDATE_FAILED;
		if (up->c->json)
			json_item(&j, &up->u.items[k]);
		else
			row_item(&t, &up->u.items[k]);
	}
	if (up->c->json)
		cli_json_close_array(&j);
	else if (!cli_table_print(&t, stdout, 0, NULL))
		failed = true;
	cli_table_fini(&t);
	tell_restarts(up, &j);
	if (up->c->json) {
		cli_json_close_object(&j);
		cli_json_end(&j);
	}
	return failed ? CLI_FAILED : 0;
}

static int run(struct update *up)
{
	char *script[] = { (char *)cli_update_guest };
	char *quoted = cli_quote_args(script, 1);
	char *command = NULL;
	int signals = cli_signals_open();
	bool left = false;
	int r;

	if (!quoted || asprintf(&command, "exec /bin/sh -c %s", quoted) < 0)
		command = NULL;
	free(quoted);
	if (!command)
		return cli_fail_text(up->c, CLI_FAILED, "out of memory");
	up->u.command = command;
	up->u.told = on_told;
	up->u.ended = cli_given(&up->c->o, O_TRACE) ? on_ended : NULL;
	up->u.user = up;
	cli_update_next(&up->u);
	while (!left && !cli_update_is_over(&up->u))
		left = !serve(up, signals);
	clear_line(up);
	if (left)
		r = cli_fail_text(up->c, CLI_CANCELED, "left; what still runs discards its writes");
	else
		r = summary(up);
	if (!left && up->u.canceled)
		r = CLI_CANCELED;
	cli_signals_close(signals);
	free(command);
	return r;
}

static int check(struct update *up)
{
	struct cli *c = up->c;
	uint64_t jobs = JOBS;
	uint64_t seconds = 0;

	if (!cli_given(&c->o, O_FROM))
		return cli_usage(c,
				 "--from is missing: qubes have no network, a folder of packages "
				 "is what they are updated from");
	if (cli_given(&c->o, O_KEY) == cli_given(&c->o, O_UNSIGNED))
		return cli_usage(c, cli_given(&c->o, O_KEY) ?
					    "--key and --unsigned exclude each other" :
					    "--from needs --key, or --unsigned");
	if (cli_given(&c->o, O_JOBS) &&
	    (!cli_parse_u64(&jobs, c->o.value[O_JOBS], CLI_UPDATE_JOBS_MAX) || !jobs))
		return cli_usage(c, "--jobs is a number from 1 to %d", CLI_UPDATE_JOBS_MAX);
	if (cli_given(&c->o, O_TIMEOUT) &&
	    !cli_parse_u64(&seconds, c->o.value[O_TIMEOUT], INT32_MAX / 1000))
		return cli_usage(c, "--timeout is a number of seconds");
	up->u.jobs = (size_t)jobs;
	up->u.timeout_ms = (int64_t)seconds * 1000;
	return 0;
}

int cmd_update(struct cli *c)
{
	struct update up = { .c = c, .u = { .packages = -1 } };
	int r = check(&up);

	/* A template that stops reading is an error of write(), not our end. */
	signal(SIGPIPE, SIG_IGN);
	if (r == 0)
		r = open_packages(&up);
	if (r == 0)
		r = choose(&up);
	if (r == 0)
		r = cli_finish_output(c, run(&up));
	cli_update_fini(&up.u);
	if (up.u.packages >= 0)
		close(up.u.packages);
	return r;
}
