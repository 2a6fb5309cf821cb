/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is kept with a domain for the next host: a line for each thing, written by us and kept where
 * only root writes. Still nothing of it is believed that does not parse. */
#include "driver/xen/xen.h"

#include "base/error.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

int qube__xen_record_put(char *out, size_t cap, const struct qube__xen_record *r)
{
	int n = snprintf(
		out, cap, "format 1\nname %s\nqid %u\nids %u\nstart %llu\nbound %d\nimage %s\n",
		r->name, r->qid, r->id_base, (unsigned long long)r->start_ms, r->bound, r->image);

	return n > 0 && (size_t)n < cap ? 0 : QUBE_E_LIMIT;
}

/* "KEY VALUE\n" at *text, which is moved behind it. */
static int take(char *out, size_t cap, const char **text, const char *key)
{
	size_t n = strlen(key);
	size_t len;

	if (strncmp(*text, key, n) != 0 || (*text)[n] != ' ')
		return QUBE_E_PROTO;
	*text += n + 1;
	len = strcspn(*text, "\n");
	if (len >= cap || (*text)[len] != '\n')
		return QUBE_E_PROTO;
	memcpy(out, *text, len);
	out[len] = '\0';
	*text += len + 1;
	return 0;
}

static int take_number(uint64_t *out, const char **text, const char *key, uint64_t max)
{
	char digits[24];

	if (take(digits, sizeof(digits), text, key) < 0 || qube__text_u64(out, digits, max) < 0)
		return QUBE_E_PROTO;
	return 0;
}

int qube__xen_record_get(struct qube__xen_record *out, const char *text)
{
	struct qube__xen_record r = { 0 };
	uint64_t format = 0;
	uint64_t qid = 0;
	uint64_t ids = 0;
	uint64_t bound = 0;

	if (take_number(&format, &text, "format", UINT32_MAX) < 0)
		return QUBE_E_PROTO;
	if (format != 1)
		return QUBE_E_NOTSUP;
	if (take(r.name, sizeof(r.name), &text, "name") < 0 ||
	    take_number(&qid, &text, "qid", UINT32_MAX) < 0 ||
	    take_number(&ids, &text, "ids", UINT32_MAX) < 0 ||
	    take_number(&r.start_ms, &text, "start", UINT64_MAX) < 0 ||
	    take_number(&bound, &text, "bound", 1) < 0 ||
	    take(r.image, sizeof(r.image), &text, "image") < 0 || *text || !r.name[0] ||
	    strchr(r.image, '/'))
		return QUBE_E_PROTO;
	r.qid = (uint32_t)qid;
	r.id_base = (uint32_t)ids;
	r.bound = bound;
	*out = r;
	return 0;
}
