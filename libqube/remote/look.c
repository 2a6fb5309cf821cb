/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The remote backend's members that look: what a qube uses, what the host's machine can do. */
#include "remote/request.h"
#include "remote/settings.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* "key=number" lines; a key that is not known is a newer host's and is skipped. */
int qube__remote_stats(struct qube_domain_stats *out, qube_domain *d)
{
	struct qube_domain_stats s = { .size = out->size };
	const struct {
		const char *key;
		uint64_t *value;
	} fields[] = {
		{ "memory_bytes", &s.memory_bytes },
		{ "cpu_ns", &s.cpu_ns },
		{ "pids", &s.pids },
		{ "read_bytes", &s.read_bytes },
		{ "write_bytes", &s.write_bytes },
		{ "start_time_ms", &s.start_time_ms },
		{ "target_bytes", &s.target_bytes },
	};
	qube__autofree char *text = NULL;
	uint64_t known = 0;
	char *save = NULL;
	int r = qube__remote_ask(&text, NULL, d->ctx, "qube.Stats", NULL, d->name, NULL, 0);

	if (r < 0)
		return r;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(l, '=');

		if (!value)
			return qube__fail(QUBE_E_PROTO, "the host's statistics are malformed");
		*value++ = '\0';
		if (!strcmp(l, "known") && qube__text_u64(&known, value, UINT32_MAX) < 0)
			return qube__fail(QUBE_E_PROTO, "the host's statistics are malformed");
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			if (!strcmp(l, fields[i].key) &&
			    qube__text_u64(fields[i].value, value, UINT64_MAX) < 0)
				return qube__fail(QUBE_E_PROTO, "'%s' is no number", l);
	}
	s.known = (uint32_t)known;
	*out = s;
	return 0;
}

/* "OUTCOME\tNAME\tDETAIL" */
static int parse_check(struct qube_check *out, char *line)
{
	char *name = strchr(line, '\t');
	char *detail = name ? strchr(name + 1, '\t') : NULL;
	uint64_t outcome;

	if (!detail)
		return QUBE_E_PROTO;
	*name++ = '\0';
	*detail++ = '\0';
	if (qube__text_u64(&outcome, line, QUBE_CHECK_FAIL) < 0 ||
	    qube__text_copy(out->name, sizeof(out->name), name) < 0 ||
	    qube__text_copy(out->detail, sizeof(out->detail), detail) < 0)
		return QUBE_E_PROTO;
	out->outcome = (uint32_t)outcome;
	return 0;
}

int qube__remote_check(struct qube_check **out, size_t *count, qube_ctx *ctx)
{
	enum { LINES_MAX = 64 };
	qube__autofree struct qube_check *list = NULL;
	qube__autofree char *text = NULL;
	uint32_t worst = QUBE_CHECK_OK;
	char *save = NULL;
	size_t n = 0;
	int r = qube__remote_ask(&text, NULL, ctx, "qube.HostCheck", NULL, "dom0", NULL, 0);

	if (r < 0)
		return r;
	list = calloc(LINES_MAX, sizeof(*list));
	if (!list)
		return qube__fail_nomem();
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (n == LINES_MAX || parse_check(&list[n], l) < 0)
			return qube__fail(QUBE_E_PROTO, "the host's checks are malformed");
		if (list[n].outcome > worst)
			worst = list[n].outcome;
		n++;
	}
	*out = qube__steal(list);
	*count = n;
	return (int)worst;
}
