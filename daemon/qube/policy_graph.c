/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * `qube policy graph`: what can reach what, and why, as text, JSON, for graphviz or as a picture.
 */
#include "json.h"
#include "policy_cmd.h"
#include "policy_reach.h"
#include "common/text.h"

#include <qube/qube.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_POLICY = 4 };
enum { SYSTEM_MAX = 32 << 20, LABEL_LINES = 6 };

struct args {
	const char *dir;
	const char *system_info;
	const char *socket;
	const char *format;
	struct policy_wanted wanted;
};

static const struct option options[] = {
	{ "dir", required_argument, NULL, 'd' },
	{ "policy-root", required_argument, NULL, 'd' },
	{ "system-info", required_argument, NULL, 'i' },
	{ "socket", required_argument, NULL, 'k' },
	{ "source", required_argument, NULL, 's' },
	{ "target", required_argument, NULL, 't' },
	{ "service", required_argument, NULL, 'v' },
	{ "format", required_argument, NULL, 'f' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void usage(void)
{
	fputs("usage: qube policy graph [--dir D] [--system-info FILE | --socket PATH]\n"
	      "           [--source S] [--target T] [--service SVC]\n"
	      "           [--format text|json|dot|svg]\n"
	      "\n"
	      "Says which qube can call which service of which other, and the rule that lets it.\n"
	      "SVC+* is any argument that no rule names, * any such service.\n"
	      "\n"
	      "  --dir D             a folder with policy.d/, run.d/ and legacy/; without it, the\n"
	      "                      directories of this system; --policy-root D too\n"
	      "  --system-info FILE  JSON of the qubes, as internal.GetSystemInfo gives it; else\n"
	      "                      the running host is asked\n"
	      "  --socket PATH       socket of the qubed to ask\n"
	      "  --source S          only what this qube can reach\n"
	      "  --target T          only what reaches this qube\n"
	      "  --service SVC       only by this service\n"
	      "  --format FORMAT     text (the default), json, dot (for graphviz), or svg,\n"
	      "                      which needs graphviz; --json too\n"
	      "\n"
	      "exit status: 0 done, 1 failed, 2 wrong usage, 4 the policy has an error\n",
	      stdout);
}

static int fail(int status, const char *text)
{
	char safe[600];

	cli_escape(safe, sizeof(safe), text);
	fprintf(stderr, "qube policy graph: %s\n", safe);
	if (status == EXIT_USAGE)
		fputs("try: qube policy graph --help\n", stderr);
	return status;
}

/* Negative: go on; else the exit status. */
static int parse_args(struct args *a, int argc, char **argv)
{
	int c;

	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			a->dir = optarg;
			break;
		case 'i':
			a->system_info = optarg;
			break;
		case 'k':
			a->socket = optarg;
			break;
		case 's':
			a->wanted.source = optarg;
			break;
		case 't':
			a->wanted.target = optarg;
			break;
		case 'v':
			a->wanted.service = optarg;
			break;
		case 'f':
			a->format = optarg;
			break;
		case 'j':
			a->format = "json";
			break;
		case 'h':
			usage();
			return EXIT_DONE;
		default:
			return fail(EXIT_USAGE, "no such option, or its value is missing");
		}
	}
	if (optind < argc)
		return fail(EXIT_USAGE, "takes options only");
	if (strcmp(a->format, "text") && strcmp(a->format, "json") && strcmp(a->format, "dot") &&
	    strcmp(a->format, "svg"))
		return fail(EXIT_USAGE, "the formats are text, json, dot and svg");
	return -1;
}

/* --- text --- */

static void print_safe(const char *text, int width)
{
	char safe[400];

	cli_escape(safe, sizeof(safe), text);
	printf("%-*s", width, safe);
}

static void write_text(const struct policy_reach *r)
{
	const char *source = "";

	for (size_t i = 0; i < r->n_edges; i++) {
		const struct policy_edge *e = &r->edges[i];

		if (strcmp(source, e->source) != 0) {
			if (*source)
				putchar('\n');
			source = e->source;
			print_safe(source, 0);
			puts(" can reach");
		}
		printf("  ");
		print_safe(e->target, 20);
		putchar(' ');
		print_safe(e->service, 28);
		printf(" %-5s  ", e->ask ? "asks" : "calls");
		print_safe(e->file, 0);
		if (e->line)
			printf(":%u", e->line);
		putchar('\n');
	}
	if (!r->n_edges)
		puts("nothing can reach anything");
}

/* --- JSON --- */

static void write_json(const struct policy_reach *r)
{
	struct cli_json j;

	cli_json_init(&j, stdout);
	cli_json_open_object(&j, NULL);
	cli_json_open_array(&j, "qubes");
	for (size_t i = 0; i < r->n_qubes; i++)
		cli_json_string(&j, NULL, r->qubes[i]);
	cli_json_close_array(&j);
	cli_json_open_array(&j, "edges");
	for (size_t i = 0; i < r->n_edges; i++) {
		const struct policy_edge *e = &r->edges[i];

		cli_json_open_object(&j, NULL);
		cli_json_string(&j, "source", e->source);
		cli_json_string(&j, "target", e->target);
		cli_json_string(&j, "service", e->service);
		cli_json_string(&j, "result", e->ask ? "ask" : "allow");
		cli_json_string(&j, "file", e->file);
		cli_json_uint(&j, "line", e->line);
		cli_json_close_object(&j);
	}
	cli_json_close_array(&j);
	cli_json_close_object(&j);
	cli_json_end(&j);
}

/* --- graphviz --- */

/* A quoted string of its language: of the text nothing is left that could end it. */
static void dot_text(FILE *f, const char *text)
{
	char safe[400];

	cli_escape(safe, sizeof(safe), text);
	for (const char *p = safe; *p; p++) {
		if (*p == '"' || *p == '\\')
			putc('\\', f);
		putc(*p, f);
	}
}

/* The edges from i on that one arrow stands for: same ends, same decision. */
static size_t dot_arrow(FILE *f, const struct policy_reach *r, size_t i)
{
	const struct policy_edge *first = &r->edges[i];
	size_t more = 0;
	size_t n = 0;

	fputs("  \"", f);
	dot_text(f, first->source);
	fputs("\" -> \"", f);
	dot_text(f, first->target);
	fputs("\" [label=\"", f);
	for (; i + n < r->n_edges; n++) {
		const struct policy_edge *e = &r->edges[i + n];

		if (strcmp(e->source, first->source) || strcmp(e->target, first->target) ||
		    e->ask != first->ask)
			break;
		if (n >= LABEL_LINES) {
			more++;
			continue;
		}
		dot_text(f, e->service);
		fputs("\\l", f);
	}
	if (more)
		fprintf(f, "and %zu more\\l", more);
	fprintf(f, "\"%s];\n", first->ask ? ", style=dashed" : "");
	return n;
}

static void write_dot(FILE *f, const struct policy_reach *r)
{
	fputs("digraph policy {\n"
	      "  rankdir=LR;\n"
	      "  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n"
	      "  edge [fontname=\"sans-serif\", fontsize=10];\n",
	      f);
	for (size_t i = 0; i < r->n_qubes; i++) {
		fputs("  \"", f);
		dot_text(f, r->qubes[i]);
		fputs("\";\n", f);
	}
	for (size_t i = 0; i < r->n_edges;)
		i += dot_arrow(f, r, i);
	fputs("}\n", f);
}

/* The picture is drawn by graphviz, which writes where we would. */
static int write_svg(const struct policy_reach *r)
{
	char *const argv[] = { "dot", "-Tsvg", NULL };
	posix_spawn_file_actions_t actions;
	int pipe_fds[2];
	FILE *f = NULL;
	int status = -1;
	pid_t pid;
	int e;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return fail(EXIT_FAILED, strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipe_fds[0], 0);
	signal(SIGPIPE, SIG_IGN);
	fflush(stdout);
	e = posix_spawnp(&pid, "dot", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pipe_fds[0]);
	if (e == 0)
		f = fdopen(pipe_fds[1], "w");
	if (!f)
		close(pipe_fds[1]);
	if (e)
		return fail(EXIT_FAILED, e == ENOENT ? "a picture is drawn by the program dot of "
						       "graphviz, which is not installed" :
						       strerror(e));
	if (f) {
		write_dot(f, r);
		fclose(f);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return f && WIFEXITED(status) && WEXITSTATUS(status) == 0 ?
		       EXIT_DONE :
		       fail(EXIT_FAILED, "dot could not draw the picture");
}

/* --- what there is --- */

static char *read_system(const char *path, size_t *len)
{
	char *data = malloc(SYSTEM_MAX + 1);
	FILE *f = data ? fopen(path, "rb") : NULL;

	*len = f ? fread(data, 1, SYSTEM_MAX + 1, f) : 0;
	if (!f || ferror(f) || *len > SYSTEM_MAX) {
		free(data);
		data = NULL;
	}
	if (f)
		fclose(f);
	return data;
}

/* 0, or an exit status after the failure was told. *text is owned. */
static int find_system(char **text, size_t *len, const struct args *a)
{
	struct qube_ctx_opts opts = QUBE_CTX_OPTS_INIT;
	qube_ctx *ctx = NULL;
	int r;

	if (a->system_info) {
		*text = read_system(a->system_info, len);
		return *text ? 0 : fail(EXIT_FAILED, "the file of --system-info cannot be read");
	}
	opts.mode = QUBE_MODE_CONNECTED;
	opts.socket_path = a->socket;
	r = qube_ctx_open(&ctx, &opts);
	if (r == 0)
		r = qube_ctx_system_info_fetch(text, ctx);
	if (r < 0) {
		fail(EXIT_FAILED, qube_error_last()->message);
		fputs("What qubes there are can also be given by --system-info.\n", stderr);
	}
	qube_ctx_unref(ctx);
	if (r < 0)
		return EXIT_FAILED;
	*len = strlen(*text);
	return 0;
}

static int tell_failure(void)
{
	const struct qube_error *e = qube_error_last();

	fail(EXIT_FAILED, e->message);
	if (e->rule_file && *e->rule_file)
		fprintf(stderr, "  %s:%u\n", e->rule_file, e->rule_line);
	return e->code == QUBE_E_INVALID || e->code == QUBE_E_STATE ? EXIT_POLICY : EXIT_FAILED;
}

static int write_reach(const struct args *a, const struct policy_reach *r)
{
	int status = EXIT_DONE;

	switch (a->format[0]) {
	case 'j':
		write_json(r);
		break;
	case 'd':
		write_dot(stdout, r);
		break;
	case 's':
		status = write_svg(r);
		break;
	default:
		write_text(r);
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		return fail(EXIT_FAILED, "the output cannot be written");
	return status;
}

static int draw(const struct args *a, const char *text, size_t len)
{
	struct qube_policy_opts opts = { .size = sizeof(opts) };
	struct policy_reach reach = { 0 };
	qube_policy *p = NULL;
	int status;
	int r;

	if (a->dir) {
		opts.etc_dir = "policy.d";
		opts.run_dir = "run.d";
		opts.legacy_dir = "legacy";
	}
	r = qube_policy_open(&p, &opts);
	if (r == 0)
		r = qube_policy_load_system_json(p, text, len);
	if (r < 0) {
		qube_policy_unref(p);
		return fail(EXIT_FAILED, qube_error_last()->message);
	}
	r = policy_reach_find(&reach, p, &a->wanted);
	if (r == QUBE_E_NOTSUP)
		status = fail(EXIT_FAILED, "a rule names what stands for any other service");
	else if (r == QUBE_E_NOMEM)
		status = fail(EXIT_FAILED, "out of memory");
	else
		status = r < 0 ? tell_failure() : write_reach(a, &reach);
	policy_reach_fini(&reach);
	qube_policy_unref(p);
	return status;
}

int cli_policy_graph(int argc, char **argv)
{
	struct args a = { .format = "text" };
	char *text = NULL;
	size_t len = 0;
	int status = parse_args(&a, argc, argv);

	if (status >= 0)
		return status;
	status = find_system(&text, &len, &a);
	/* From inside, files are named as the reader of the folder would name them. */
	if (status == 0 && a.dir && chdir(a.dir) < 0)
		status = fail(EXIT_USAGE, "the folder of --dir is not there");
	if (status == 0)
		status = draw(&a, text, len);
	free(text);
	return status;
}
