/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A policy file. The first byte chooses the layout: the rest is a file of the current one, or, by
 * an !include-service, of the old one. Whatever loads must decide as a walk over its rules does. */
#include "policy/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct qube__policy_rules *rules)
{
	static const char *const targets[] = { "", "a", "dom0", "@dispvm", "@dispvm:a" };
	struct qube__policy_qube q = {
		.name = "a", .type = "AppVM", .default_dispvm = "a", .template_for_dispvms = true
	};
	struct qube__policy_system sys = { 0 };

	if (qube__policy_system_put(&sys, &q) < 0)
		return;
	for (size_t i = 0; i < 5; i++) {
		struct qube__policy_request req = { "a", targets[i], "s", "+", NULL };
		struct qube__policy_call call;
		uint32_t at = 0;

		if (qube__policy_call_init(&call, rules, &sys, &req) != QUBE__POLICY_CAUSE_NONE)
			abort();
		while (at < rules->n_rules &&
		       qube__policy_rule_mismatch(&rules->rules[at], &call) !=
			       QUBE__POLICY_COLUMN_NONE)
			at++;
		if (qube__policy_find(&call) != (at < rules->n_rules ? at : QUBE__POLICY_NONE))
			abort();
	}
	qube__policy_system_fini(&sys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qube__policy_rules *rules = NULL;
	const char *file;
	uint32_t line;

	if (!size)
		return 0;
	if (data[0] & 1) {
		static char path[64];
		static const char head[] = "!include-service s * ";
		char text[128];
		FILE *f;

		snprintf(path, sizeof(path), "/tmp/fuzz-policy-%d", (int)getpid());
		f = fopen(path, "wb");
		if (!f)
			return 0;
		fwrite(data + 1, 1, size - 1, f);
		fclose(f);
		snprintf(text, sizeof(text), "%s%s\n", head, path);
		if (qube__policy_load_text(&rules, "fuzz", "/nonexistent", text, strlen(text)) < 0)
			return 0;
		unlink(path);
	} else if (qube__policy_load_text(&rules, "fuzz", NULL, data + 1, size - 1) < 0) {
		return 0;
	}
	if (!qube__policy_rules_error(rules, &file, &line)) {
		check(rules);
	} else if (!*qube__policy_rules_error(rules, NULL, NULL) || !file || !line) {
		abort(); /* an error says where it is */
	}
	qube__policy_rules_unref(rules);
	return 0;
}
