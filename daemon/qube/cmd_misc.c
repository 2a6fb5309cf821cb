/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The rest: doctor, admin, daemon, version. */
#include "cli.h"
#include "filter.h"
#include "table.h"
#include "common/where.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAYLOAD_MAX = 65000 };

static const char *outcome_name(uint32_t outcome)
{
	static const char *const names[] = { "ok", "warn", "fail" };

	return outcome < 3 ? names[outcome] : "?";
}

static void doctor_json(const struct qube_check *checks, size_t n)
{
	struct cli_json j;

	cli_json_init(&j, stdout);
	cli_json_open_array(&j, NULL);
	for (size_t i = 0; i < n; i++) {
		cli_json_open_object(&j, NULL);
		cli_json_string(&j, "check", checks[i].name);
		cli_json_string(&j, "outcome", outcome_name(checks[i].outcome));
		cli_json_string(&j, "detail", checks[i].detail);
		cli_json_close_object(&j);
	}
	cli_json_close_array(&j);
	cli_json_end(&j);
}

static bool doctor_table(const struct qube_check *checks, size_t n)
{
	static const char *const heads[] = { "OUTCOME", "CHECK", "DETAIL" };
	struct cli_table t;
	bool ok;

	cli_table_init(&t, heads, 3);
	for (size_t i = 0; i < n; i++) {
		cli_table_add(&t, outcome_name(checks[i].outcome));
		cli_table_add(&t, checks[i].name);
		cli_table_add(&t, checks[i].detail);
	}
	ok = cli_table_print(&t, stdout, 0, NULL);
	cli_table_fini(&t);
	return ok;
}

/* The policy's own files: one that does not load refuses every call. */
static void check_policy(struct qube_check *out, const char *root)
{
	struct qube_policy_opts o = { .size = sizeof(o) };
	char etc[4096];
	char run[4096];
	char legacy[4096];
	const struct qube_error *e;
	qube_policy *policy = NULL;

	*out = (struct qube_check){ .outcome = QUBE_CHECK_WARN, .name = "policy" };
	if (root) {
		snprintf(etc, sizeof(etc), "%s/policy.d", root);
		snprintf(run, sizeof(run), "%s/run.d", root);
		snprintf(legacy, sizeof(legacy), "%s/legacy", root);
		o.etc_dir = etc;
		o.run_dir = run;
		o.legacy_dir = legacy;
	}
	if (qube_policy_open(&policy, &o) == 0 && qube_policy_check(policy) >= 0) {
		out->outcome = QUBE_CHECK_OK;
		snprintf(out->detail, sizeof(out->detail), "loads");
	} else {
		e = qube_error_last();
		if (e->rule_line)
			snprintf(out->detail, sizeof(out->detail),
				 "every call is refused: %.100s:%u: %.100s", e->rule_file,
				 e->rule_line, e->message);
		else
			snprintf(out->detail, sizeof(out->detail), "every call is refused: %.200s",
				 e->message);
	}
	qube_policy_unref(policy);
}

static struct qube_check *with_policy(struct cli *c, const struct qube_check *checks, size_t *n)
{
	struct qube_check *all = calloc(*n + 1, sizeof(*all));
	bool given = cli_given(&c->o, O_POLICY_ROOT);

	if (!all)
		return NULL;
	if (*n)
		memcpy(all, checks, *n * sizeof(*all));
	check_policy(&all[(*n)++], given ? c->o.value[O_POLICY_ROOT] : NULL);
	return all;
}

int cmd_doctor(struct cli *c)
{
	struct qube_check *all;
	struct qube_check *checks = NULL;
	char helpers[4096];
	size_t n = 0;
	int worst;

	cli_where_helpers(helpers, sizeof(helpers));
	if (cli_given(&c->o, O_SOCKET)) {
		/* Of that host, with its rights. */
		worst = cli_ctx_open(c);
		if (worst)
			return worst;
		worst = qube_ctx_host_check(&checks, &n, c->ctx);
	} else {
		worst = qube_host_check(
			&checks, &n, cli_given(&c->o, O_DRIVER) ? c->o.value[O_DRIVER] : NULL,
			cli_given(&c->o, O_LIBEXEC_DIR) ? c->o.value[O_LIBEXEC_DIR] : helpers);
	}
	if (worst < 0)
		return cli_fail_last(c);
	all = with_policy(c, checks, &n);
	qube_free(checks);
	if (!all)
		return cli_fail_text(c, CLI_FAILED, "out of memory");
	if (c->json)
		doctor_json(all, n);
	else if (!doctor_table(all, n))
		worst = QUBE_CHECK_FAIL;
	free(all);
	return cli_finish_output(c, worst == QUBE_CHECK_FAIL ? CLI_FAILED : CLI_OK);
}

static int read_payload(struct cli *c, struct qube_admin_request *req, char *room)
{
	size_t n;

	if (cli_given(&c->o, O_PAYLOAD)) {
		req->payload = c->o.value[O_PAYLOAD];
		req->payload_len = strlen(c->o.value[O_PAYLOAD]);
	}
	if (!cli_given(&c->o, O_STDIN))
		return 0;
	n = fread(room, 1, PAYLOAD_MAX + 1, stdin);
	if (ferror(stdin))
		return cli_fail_text(c, CLI_FAILED, "cannot read standard input");
	if (n > PAYLOAD_MAX)
		return cli_fail_text(c, CLI_FAILED, "a payload has at most %d bytes", PAYLOAD_MAX);
	req->payload = room;
	req->payload_len = n;
	return 0;
}

static void print_answer(struct cli *c, const char *answer, size_t len)
{
	struct cli_filter filter;
	struct cli_json j;
	char *out;

	if (c->json) {
		cli_json_init(&j, stdout);
		cli_json_open_object(&j, NULL);
		cli_json_string(&j, "content", answer);
		cli_json_close_object(&j);
		cli_json_end(&j);
		return;
	}
	if (!c->out_tty) {
		fwrite(answer, 1, len, stdout);
		return;
	}
	out = malloc(len + CLI_FILTER_HELD);
	if (!out)
		return;
	cli_filter_init(&filter, CLI_FILTER_PLAIN);
	fwrite(out, 1, cli_filter(&filter, out, answer, len), stdout);
	if (len && answer[len - 1] != '\n')
		putchar('\n');
	free(out);
}

int cmd_admin(struct cli *c)
{
	struct qube_admin_request req = { .size = sizeof(req) };
	char *room;
	char *answer = NULL;
	size_t len = 0;
	int r;

	if (cli_given(&c->o, O_PAYLOAD) && cli_given(&c->o, O_STDIN))
		return cli_usage(c, "--payload and --stdin exclude each other");
	room = malloc(PAYLOAD_MAX + 1);
	if (!room)
		return cli_fail_text(c, CLI_FAILED, "out of memory");
	req.method = c->o.pos[0];
	req.dest = c->o.n_pos > 1 ? c->o.pos[1] : NULL;
	req.argument = c->o.n_pos > 2 ? c->o.pos[2] : NULL;
	r = cli_ctx_open(c);
	if (r == 0)
		r = read_payload(c, &req, room);
	if (r == 0 && qube_admin_call(&answer, &len, c->ctx, &req) < 0)
		r = cli_fail_last(c);
	if (r == 0)
		print_answer(c, answer, len);
	qube_free(answer);
	free(room);
	return cli_finish_output(c, r);
}

int cmd_daemon(int argc, char **argv)
{
	static char name[] = "qubed";
	char path[4096];

	(void)argc;
	cli_where_daemon(path, sizeof(path));
	argv[0] = name;
	execv(path, argv);
	fprintf(stderr, "qube: cannot run %s: %s\n", path, strerror(errno));
	return CLI_FAILED;
}

int cmd_version(struct cli *c)
{
	uint32_t v = qube_version();
	struct cli_json j;
	char program[32];
	char library[32];

	snprintf(program, sizeof(program), "%d.%d.%d", QUBE_VERSION_MAJOR, QUBE_VERSION_MINOR,
		 QUBE_VERSION_PATCH);
	snprintf(library, sizeof(library), "%u.%u.%u", v >> 16, v >> 8 & 255, v & 255);
	if (c->json) {
		cli_json_init(&j, stdout);
		cli_json_open_object(&j, NULL);
		cli_json_string(&j, "qube", program);
		cli_json_string(&j, "libqube", library);
		cli_json_close_object(&j);
		cli_json_end(&j);
	} else {
		printf("qube %s (libqube %s)\n", program, library);
	}
	return cli_finish_output(c, 0);
}
