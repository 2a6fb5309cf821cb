/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * P1: N rounds of name, state and a property in-process; callgrind counts the instructions. */
#include <qube/qube.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct qube_ctx_opts o = QUBE_CTX_OPTS_INIT;
	struct qube_domain_create_opts co = { .size = sizeof(co), .name = "work" };
	struct qube_property p = { .size = sizeof(p) };
	const char *what = argc > 2 ? argv[2] : "all";
	long n = argc > 1 ? strtol(argv[1], NULL, 10) : 1000;
	size_t sum = 0;
	qube_ctx *ctx;
	qube_domain *d;

	o.mode = QUBE_MODE_FAKE;
	if (qube_ctx_open(&ctx, &o) < 0)
		return 1;
	co.klass = "TemplateVM";
	if (qube_domain_create(&d, ctx, &co) < 0) {
		fprintf(stderr, "%s\n", qube_error_last()->message);
		return 1;
	}
	for (long i = 0; i < n; i++) {
		if (*what == 'a' || *what == 'n')
			sum += strlen(qube_domain_get_name(d));
		if (*what == 'a' || *what == 's')
			sum += qube_domain_get_state(d);
		if (*what == 'a' || *what == 'p') {
			if (qube_domain_property_fetch(&p, d, "memory") < 0)
				return 1;
			sum += strlen(p.value);
			qube_free(p.value);
		}
	}
	printf("%zu\n", sum);
	qube_domain_unref(d);
	qube_ctx_unref(ctx);
	return 0;
}
