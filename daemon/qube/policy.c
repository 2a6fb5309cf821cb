/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * `qube policy check` and `qube policy explain`: decisions on the directories of this system, or of
 * any folder, without a host. */
#include "policy_cmd.h"
#include "common/text.h"

#include <qube/error.h>
#include <qube/policy.h>

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_ALLOW = 0, EXIT_DENY = 1, EXIT_USAGE = 2, EXIT_ASK = 3, EXIT_POLICY = 4 };

enum { SYSTEM_MAX = 32 << 20 };

struct args {
	const char *dir;
	const char *system_info;
	struct qube_policy_request req;
	const char *answer;
	bool json;
	bool explain;
};

static void usage(FILE *to, const char *verb)
{
	fprintf(to,
		"usage: qube policy %s [--dir D] [--system-info FILE] --source S --service SVC\n"
		"           [--target T] [--arg +A] [--requested-source R]\n"
		"           [--answer allow:TARGET|deny] [--json]\n",
		verb);
	if (!strcmp(verb, "check"))
		fputs("       qube policy check [--dir D] [--json]\n", to);
	fputs("\n", to);
	fputs(!strcmp(verb, "check") ?
		      "Says what the policy decides about a call; without --source, whether the\n"
		      "files are right.\n" :
		      "Says what the policy decides about a call, which rule decided, and why the\n"
		      "rules in front of it did not.\n",
	      to);
	fputs("\n"
	      "  --dir D               a folder with policy.d/, run.d/ and legacy/; without it,\n"
	      "                        the directories of this system; --policy-root D too\n"
	      "  --system-info FILE    JSON of the qubes, as internal.GetSystemInfo gives it\n"
	      "  --source S            the calling qube\n"
	      "  --target T            what it wants to call; nothing means @default\n"
	      "  --service SVC         the service, SVC or SVC+ARG\n"
	      "  --arg +A              its argument, with the '+'\n"
	      "  --requested-source R  the caller is a relay and speaks for R\n"
	      "  --answer ANSWER       how a prompt would be answered\n"
	      "  --json                one JSON object\n"
	      "\n"
	      "exit status: 0 allow (or the files are right), 1 deny, 2 wrong usage,\n"
	      "             3 somebody has to be asked, 4 the policy has an error\n",
	      to);
}

static int fail_usage(const char *verb, const char *text)
{
	char safe[400];

	cli_escape(safe, sizeof(safe), text);
	fprintf(stderr, "qube policy %s: %s\n", verb, safe);
	fprintf(stderr, "try: qube policy %s --help\n", verb);
	return EXIT_USAGE;
}

static int fail_error(void)
{
	fprintf(stderr, "qube policy: %s\n", qube_error_last()->message);
	return EXIT_USAGE;
}

static const struct option options[] = {
	{ "dir", required_argument, NULL, 'd' },
	{ "policy-root", required_argument, NULL, 'd' }, /* as other verbs call it */
	{ "system-info", required_argument, NULL, 'i' },
	{ "source", required_argument, NULL, 's' },
	{ "target", required_argument, NULL, 't' },
	{ "service", required_argument, NULL, 'v' },
	{ "arg", required_argument, NULL, 'a' },
	{ "requested-source", required_argument, NULL, 'r' },
	{ "answer", required_argument, NULL, 'w' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* Negative: go on; else the exit status. */
static int parse_args(struct args *a, int argc, char **argv)
{
	const char *verb = argv[0];
	char text[200];
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
		case 's':
			a->req.source = optarg;
			break;
		case 't':
			a->req.target = optarg;
			break;
		case 'v':
			a->req.service = optarg;
			break;
		case 'a':
			a->req.argument = optarg;
			break;
		case 'r':
			a->req.requested_source = optarg;
			break;
		case 'w':
			a->answer = optarg;
			break;
		case 'j':
			a->json = true;
			break;
		case 'h':
			usage(stdout, verb);
			return 0;
		default:
			snprintf(text, sizeof(text), "%s: no such option, or its value is missing",
				 argv[optind - 1]);
			return fail_usage(verb, text);
		}
	}
	if (optind < argc)
		return fail_usage(verb, "takes options only");
	if (!a->req.source && !a->req.service && !a->req.target && !a->answer && !a->explain)
		return -1;
	if (!a->req.source || !a->req.service)
		return fail_usage(verb, "needs both --source and --service");
	return -1;
}

static char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *data = NULL;
	size_t cap = 0;
	size_t n;

	*len = 0;
	if (!f)
		return NULL;
	do {
		char *grown = realloc(data, cap += 65536);

		if (!grown || cap > SYSTEM_MAX + 65536) {
			free(grown ? grown : data);
			fclose(f);
			return NULL;
		}
		data = grown;
		n = fread(data + *len, 1, cap - *len, f);
		*len += n;
	} while (n && !ferror(f));
	if (ferror(f)) {
		free(data);
		data = NULL;
	}
	fclose(f);
	return data;
}

/* A name from a file, on a terminal. */
static void print_safe(const char *s)
{
	for (; *s; s++)
		putchar((unsigned char)*s >= 0x20 && *s != 0x7f ? *s : '?');
}

static void print_field(const char *label, const char *value)
{
	if (!value || !*value)
		return;
	printf("  %-17s ", label);
	print_safe(value);
	putchar('\n');
}

static void print_where(const char *label, const char *file, uint32_t line)
{
	if (!file || !*file)
		return;
	printf("  %-17s ", label);
	print_safe(file);
	if (line)
		printf(":%u", line);
	putchar('\n');
}

static void print_near(qube_policy *p)
{
	static const char *const differs[] = { "", "another service", "another argument",
					       "another source", "another target" };
	struct qube_policy_near n = { .size = sizeof(n) };

	for (uint32_t i = 0; qube_policy_near_get(&n, p, i) == 0; i++) {
		if (i == 0)
			puts("rules that were passed over:");
		printf("  ");
		print_safe(n.file);
		if (n.line)
			printf(":%u", n.line);
		printf(": %s: ", differs[n.column]);
		print_safe(n.service);
		putchar(' ');
		print_safe(n.argument);
		putchar(' ');
		print_safe(n.source);
		putchar(' ');
		print_safe(n.target);
		printf(" %s\n", n.action);
	}
}

static void print_result(const struct args *a, qube_policy *p, const struct qube_policy_result *r)
{
	static const char *const words[] = { "?", "allow", "ask", "deny", "policy error" };

	printf("%s", words[r->result]);
	if (*r->explanation)
		printf(": %s", r->explanation);
	putchar('\n');
	print_where(r->text ? "error in" : "rule", r->file, r->line);
	print_field("what is wrong", r->text);
	if (r->result == QUBE_POLICY_ALLOW || r->result == QUBE_POLICY_ASK) {
		print_field("target", r->target);
		print_field("target by uuid", r->target_uuid);
		print_field("service instead", r->service);
		print_field("shown source", r->policy_source);
		print_field("user", r->user);
		print_field("starts the target", r->autostart ? "yes" : "no");
	}
	for (uint32_t i = 0; i < r->n_targets; i++)
		print_field(i ? "" : "offers", r->targets[i]);
	print_field("preselected", r->default_target);
	print_field("notifies", r->notify ? r->notify_guivm : "");
	if (a->explain)
		print_near(p);
}

static void print_json_text(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			printf("\\u%04x", c >= 0x7f ? '?' : c);
		else
			putchar(c);
	}
	putchar('"');
}

static int check_files(const struct args *a, qube_policy *p)
{
	int r = qube_policy_check(p);
	const struct qube_error *e = qube_error_last();
	bool config = r == QUBE_E_STATE;

	if (r >= 0) {
		printf(a->json ? "{\"result\": \"ok\", \"rules\": %d}\n" :
				 "the policy is right: %d rules\n",
		       r);
		return EXIT_ALLOW;
	}
	if (!e->rule_file)
		return fail_error();
	if (!a->json) {
		printf("policy error: %s\n", e->message);
		print_where(config ? "path" : "error in", e->rule_file, e->rule_line);
		return EXIT_POLICY;
	}
	printf("{\"result\": \"policy-error\", \"cause\": \"%s\", \"file\": ",
	       config ? "config" : "syntax");
	print_json_text(e->rule_file);
	printf(", \"line\": %u, \"text\": ", e->rule_line);
	print_json_text(e->message);
	puts("}");
	return EXIT_POLICY;
}

static int decide(const struct args *a, qube_policy *p)
{
	static const int statuses[] = { EXIT_DENY, EXIT_ALLOW, EXIT_ASK, EXIT_DENY, EXIT_POLICY };
	struct qube_policy_result res = { .size = sizeof(res) };
	char *json = NULL;
	int status;
	int r = a->explain ? qube_policy_explain(&res, p, &a->req) :
			     qube_policy_evaluate(&res, p, &a->req);

	if (r >= 0 && a->answer && res.result == QUBE_POLICY_ASK)
		r = qube_policy_answer(&res, p, a->answer);
	if (r >= 0 && a->json)
		r = qube_policy_result_json(&json, p);
	if (r < 0)
		return fail_error();
	status = statuses[res.result];
	if (json)
		puts(json);
	else
		print_result(a, p, &res);
	qube_free(json);
	return status;
}

static int run(const struct args *a)
{
	struct qube_policy_opts opts = { .size = sizeof(opts) };
	qube_policy *p = NULL;
	char *system_info = NULL;
	size_t len = 0;
	int status;

	if (a->system_info) {
		system_info = read_file(a->system_info, &len);
		if (!system_info) {
			fprintf(stderr, "qube policy: cannot read %s\n", a->system_info);
			return EXIT_USAGE;
		}
	}
	if (a->dir) {
		/* From inside, files are named as the reader of the folder would name them. */
		if (chdir(a->dir) < 0) {
			fprintf(stderr, "qube policy: no folder %s\n", a->dir);
			free(system_info);
			return EXIT_USAGE;
		}
		opts.etc_dir = "policy.d";
		opts.run_dir = "run.d";
		opts.legacy_dir = "legacy";
	}
	if (qube_policy_open(&p, &opts) < 0 ||
	    (system_info && qube_policy_load_system_json(p, system_info, len) < 0))
		status = fail_error();
	else
		status = a->req.source ? decide(a, p) : check_files(a, p);
	qube_policy_unref(p);
	free(system_info);
	return status;
}

int cli_policy(int argc, char **argv)
{
	struct args a = { .req = { .size = sizeof(a.req) } };
	const char *verb = argc > 1 ? argv[1] : "--help";
	int status;

	if (!strcmp(verb, "--help") || !strcmp(verb, "-h")) {
		usage(argc > 1 ? stdout : stderr, "check");
		fputc('\n', argc > 1 ? stdout : stderr);
		usage(argc > 1 ? stdout : stderr, "explain");
		return argc > 1 ? 0 : EXIT_USAGE;
	}
	if (!strcmp(verb, "graph"))
		return cli_policy_graph(argc - 1, argv + 1);
	a.explain = !strcmp(verb, "explain");
	if (!a.explain && strcmp(verb, "check") != 0)
		return fail_usage("check", "the verbs are check, explain and graph");
	status = parse_args(&a, argc - 1, argv + 1);
	return status >= 0 ? status : run(&a);
}
