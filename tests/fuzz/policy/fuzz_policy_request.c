/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The fields of a request, one a line: source, target, service, argument, requested source, answer.
 * What is allowed names a qube of the system or a disposable of one, and nothing else. */
#include "policy/rules.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char policy[] = "* +x * @tag:t allow\n* * * dom0 allow\n* * a @dispvm:b allow\n"
			     "* * @type:RemoteVM * allow\n* * * r allow user=u\n"
			     "s * * @anyvm ask default_target=b\n* * a * allow target=@dispvm\n";

static int fill(struct qube__policy_system *sys)
{
	static const char *const tags[] = { "t" };
	static const struct qube__policy_qube qubes[] = {
		{ .name = "dom0",
		  .type = "AdminVM",
		  .uuid = "00000000-0000-0000-0000-000000000000" },
		{ .name = "a",
		  .type = "AppVM",
		  .default_dispvm = "b",
		  .uuid = "1",
		  .guivm = "dom0",
		  .tags = tags,
		  .n_tags = 1,
		  .power_state = "Running" },
		{ .name = "b", .type = "AppVM", .uuid = "2", .template_for_dispvms = true },
		{ .name = "r", .type = "RemoteVM", .relayvm = "b", .transport_rpc = "t.R" },
	};

	for (size_t i = 0; i < 4; i++)
		if (qube__policy_system_put(sys, &qubes[i]) < 0)
			return -1;
	return 0;
}

static void check(const struct qube__policy_result *res, const struct qube__policy_system *sys)
{
	const char *t = res->target;

	if (res->verdict != QUBE__POLICY_ALLOW) {
		if (*t || res->service || (res->verdict == QUBE__POLICY_ASK && !res->n_targets))
			abort();
		return;
	}
	if (!strncmp(t, "@dispvm:", 8))
		t += 8;
	if (!qube__policy_system_find(sys, t, strlen(t)) && strcmp(t, "dom0") != 0)
		abort();
	if (res->service &&
	    strspn(res->service, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789-._+") != strlen(res->service))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qube__policy_system sys = { 0 };
	struct qube__policy_rules *rules = NULL;
	struct qube__policy_result res;
	const char *field[6];
	char *text = malloc(size + 7);
	char *at = text;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	memset(text + size, 0, 7);
	for (int i = 0; i < 6; i++) {
		size_t n = strcspn(at, "\n");
		bool more = at[n] == '\n';

		field[i] = at;
		at[n] = '\0';
		if (more)
			at += n + 1;
		else
			at += n;
	}
	if (qube__policy_load_text(&rules, "fuzz", NULL, policy, strlen(policy)) == 0 &&
	    fill(&sys) == 0) {
		struct qube__policy_request req = { field[0], field[1], field[2],
						    *field[3] ? field[3] : NULL, field[4] };

		if (qube__policy_evaluate(&res, rules, &sys, &req) == 0) {
			check(&res, &sys);
			if (res.verdict == QUBE__POLICY_ASK &&
			    qube__policy_answer(&res, &sys, field[5]) == 0)
				check(&res, &sys);
			qube__policy_result_fini(&res);
		}
	}
	qube__policy_rules_unref(rules);
	qube__policy_system_fini(&sys);
	free(text);
	return 0;
}
