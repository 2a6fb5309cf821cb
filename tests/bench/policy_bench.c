/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The cost of a decision and of loading: policy_bench --decisions N --rules M. Run it under
 * callgrind with two values of N: the difference of the instructions by the difference of N is the
 * cost of one decision. */
#include "base/clock.h"
#include "policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUBES = 200 };

static long number(const char *s)
{
	char *end;
	long v;

	errno = 0;
	v = strtol(s, &end, 10);
	if (errno || *end || v < 0 || v > 100000000) {
		fprintf(stderr, "not a number: %s\n", s);
		exit(2);
	}
	return v;
}

/* A third of the rules is about the service that is called, as in a policy with long lists. */
static char *make_rules(long rules, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (!f)
		return NULL;
	for (long i = 0; i < rules - 4; i++) {
		if (i % 3 == 0)
			fprintf(f, "app.Do * other%ld peer%ld allow\n", i / 100, i % 100);
		else if (i % 3 == 1)
			fprintf(f, "svc.N%ld * @tag:t%ld @anyvm deny\n", i, i % 40);
		else
			fprintf(f, "app.Do +a%ld vm1 vm%ld ask\n", i, i % QUBES);
	}
	fputs("app.Do * @tag:work vm3 deny\napp.Do * vm1 vm2 allow user=root\n"
	      "app.Do * @anyvm @dispvm ask\n* * @anyvm @anyvm deny\n",
	      f);
	fclose(f);
	return text;
}

static int fill_system(struct qube__policy_system *sys)
{
	static const char *const tags[] = { "work", "web", "created-by-dom0" };

	for (int i = 0; i < QUBES; i++) {
		char name[32];
		char uuid[40];
		struct qube__policy_qube q = {
			.name = name,
			.uuid = uuid,
			.type = "AppVM",
			.power_state = "Running",
			.guivm = "dom0",
			.tags = tags,
			.n_tags = 3,
		};

		snprintf(name, sizeof(name), "vm%d", i);
		snprintf(uuid, sizeof(uuid), "5eed0000-0000-4000-8000-%012d", i);
		if (qube__policy_system_put(sys, &q) < 0)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct qube__policy_request req = {
		.source = "vm1", .target = "vm2", .service = "app.Do", .argument = "+"
	};
	struct qube__policy_system sys = { 0 };
	struct qube__policy_rules *rules = NULL;
	long decisions = 1000;
	long n = 100;
	size_t len = 0;
	char *text;
	uint64_t start;
	uint64_t ns;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--decisions"))
			decisions = number(argv[i + 1]);
		else if (!strcmp(argv[i], "--rules"))
			n = number(argv[i + 1]);
		else
			return 2;
	}
	text = make_rules(n, &len);
	if (!text || fill_system(&sys) < 0)
		return 1;
	start = qube__now_ns();
	if (qube__policy_load_text(&rules, "bench.policy", NULL, text, len) < 0 ||
	    qube__policy_rules_count(rules) != (size_t)n) {
		fprintf(stderr, "cannot load: %s\n",
			rules ? qube__policy_rules_error(rules, NULL, NULL) : "no memory");
		return 1;
	}
	ns = qube__now_ns() - start;
	printf("rules %ld load_ns_per_rule %.1f\n", n, (double)ns / (double)n);
	start = qube__now_ns();
	for (long i = 0; i < decisions; i++) {
		struct qube__policy_result res;

		if (qube__policy_evaluate(&res, rules, &sys, &req) < 0 ||
		    res.verdict != QUBE__POLICY_ALLOW)
			return 1;
		qube__policy_result_fini(&res);
	}
	ns = qube__now_ns() - start;
	if (decisions)
		printf("decisions %ld ns_per_decision %.1f\n", decisions,
		       (double)ns / (double)decisions);
	qube__policy_rules_unref(rules);
	qube__policy_system_fini(&sys);
	free(text);
	return 0;
}
