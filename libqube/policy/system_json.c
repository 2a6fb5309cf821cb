/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * internal.GetSystemInfo's JSON into the table of qubes, policy.md 7. The text is untrusted. */
#include "policy/system.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "wire/json.h"

#include <string.h>

/* A string, null or nothing. 0, or QUBE_E_PROTO for another type. */
static int optional(const struct qube__json *o, const char *key, const char **out)
{
	const struct qube__json *v = qube__json_get(o, key);

	*out = NULL;
	if (!v || qube__json_type(v) == QUBE__JSON_NULL)
		return 0;
	return qube__json_string(v, out, NULL) < 0 ? QUBE_E_PROTO : 0;
}

/* A feature's value: anything that is not empty, false or 0 is true. */
static bool is_set(const struct qube__json *v)
{
	const char *s;
	int64_t i;
	bool b;

	if (!v)
		return false;
	switch (qube__json_type(v)) {
	case QUBE__JSON_NULL:
		return false;
	case QUBE__JSON_BOOL:
		return qube__json_bool(v, &b) == 0 && b;
	case QUBE__JSON_INT:
		return qube__json_int(v, &i) < 0 || i != 0;
	case QUBE__JSON_STRING:
		return qube__json_string(v, &s, NULL) < 0 || *s;
	default:
		return true;
	}
}

static int take_tags(struct qube__policy_qube *q, const struct qube__json *o, const char **tags)
{
	const struct qube__json *list = qube__json_get(o, "tags");

	q->tags = tags;
	if (!list || qube__json_type(list) == QUBE__JSON_NULL)
		return 0;
	if (qube__json_type(list) != QUBE__JSON_ARRAY ||
	    qube__json_size(list) > QUBE__POLICY_TAGS_MAX)
		return QUBE_E_PROTO;
	q->n_tags = qube__json_size(list);
	for (size_t i = 0; i < q->n_tags; i++)
		if (qube__json_string(qube__json_at(list, i), &tags[i], NULL) < 0)
			return QUBE_E_PROTO;
	return 0;
}

static int take_qube(struct qube__policy_system *sys, const char *name, const struct qube__json *o)
{
	const char *tags[QUBE__POLICY_TAGS_MAX];
	struct qube__policy_qube q = { .name = name };
	const struct qube__json *dvm;
	int r;

	if (qube__json_type(o) != QUBE__JSON_OBJECT || optional(o, "type", &q.type) < 0 ||
	    optional(o, "uuid", &q.uuid) < 0 || optional(o, "power_state", &q.power_state) < 0 ||
	    optional(o, "default_dispvm", &q.default_dispvm) < 0 ||
	    optional(o, "guivm", &q.guivm) < 0 || optional(o, "relayvm", &q.relayvm) < 0 ||
	    optional(o, "transport_rpc", &q.transport_rpc) < 0 || take_tags(&q, o, tags) < 0)
		return QUBE_E_PROTO;
	dvm = qube__json_get(o, "template_for_dispvms");
	if (dvm && qube__json_type(dvm) != QUBE__JSON_NULL &&
	    qube__json_bool(dvm, &q.template_for_dispvms) < 0)
		return QUBE_E_PROTO;
	q.internal = is_set(qube__json_get(o, "internal"));
	r = qube__policy_system_put(sys, &q);
	return r == QUBE_E_INVALID || r == QUBE_E_EXISTS ? QUBE_E_PROTO : r;
}

int qube__policy_system_from_json(struct qube__policy_system *sys, const void *untrusted,
				  size_t len)
{
	qube__autojson *root = NULL;
	struct qube__policy_system fresh = { 0 };
	const struct qube__json *domains;
	const struct qube__json *value;
	const char *key;
	const void *it = NULL;
	uint32_t line = 0;
	char shown[80];
	int r = qube__json_parse(&root, untrusted, len, QUBE__POLICY_SYSTEM_JSON_MAX, &line);

	if (r == QUBE_E_NOMEM)
		return qube__fail_nomem();
	if (r == QUBE_E_LIMIT)
		return qube__fail(r, "system information of %zu bytes is too long", len);
	if (r < 0)
		return qube__fail(QUBE_E_PROTO, "system information: bad JSON in line %u", line);
	if (qube__json_type(root) != QUBE__JSON_OBJECT ||
	    qube__json_get_object(root, "domains", &domains) < 0)
		return qube__fail(QUBE_E_PROTO, "system information without \"domains\"");
	while (r == 0 && (it = qube__json_next(domains, it, &key, &value))) {
		/* Some writers list each qube again as uuid:UUID. */
		if (strncmp(key, "uuid:", 5) != 0)
			r = take_qube(&fresh, key, value);
		if (r == QUBE_E_PROTO)
			qube__fail(r, "system information: qube \"%s\" is not right",
				   qube__text_escape(shown, sizeof(shown), key, strlen(key)));
		else if (r == QUBE_E_LIMIT)
			qube__fail(r, "system information: too many qubes");
		else if (r < 0)
			qube__fail_nomem();
	}
	if (r < 0) {
		qube__policy_system_fini(&fresh);
		return r;
	}
	qube__policy_system_fini(sys);
	*sys = fresh;
	return 0;
}
