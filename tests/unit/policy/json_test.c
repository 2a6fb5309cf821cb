/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "policy/system.h"

#include <qube/error.h>

static int from(struct qube__policy_system *sys, const char *text)
{
	return qube__policy_system_from_json(sys, text, strlen(text));
}

QTEST(policy_json, reads_every_key_that_decides)
{
	static const char text[] =
		"{\"domains\": {\"a\": {\"type\": \"AppVM\", \"uuid\": \"u\", \"tags\": [\"x\", "
		"\"y\"], \"template_for_dispvms\": true, \"default_dispvm\": \"d\", "
		"\"power_state\": \"Running\", \"internal\": \"1\", \"guivm\": \"g\", "
		"\"relayvm\": \"r\", \"transport_rpc\": \"t\", \"icon\": 3}, "
		"\"uuid:u\": {\"type\": \"AppVM\", \"uuid\": \"u\"}, "
		"\"b\": {\"type\": \"AppVM\", \"internal\": \"\"}}}";
	struct qube__policy_system sys = { 0 };
	const struct qube__policy_domain *d;

	QT_INT(from(&sys, text), 0);
	QT_INT(sys.count, 2);
	d = qube__policy_system_find(&sys, "uuid:u", 6);
	QT_STR(d->name.s, "a");
	QT_INT(d->n_tags, 2);
	QT_STR(d->tags[1].s, "y");
	QT_TRUE(d->template_for_dispvms && d->running && d->internal && !d->admin && !d->remote);
	QT_STR(d->default_dispvm.s, "d");
	QT_STR(d->guivm, "g");
	QT_STR(d->relayvm, "r");
	QT_STR(d->transport_rpc, "t");
	d = qube__policy_system_name(&sys, "b", 1);
	QT_TRUE(!d->running && !d->internal && !d->guivm && !d->uuid.s);
	qube__policy_system_fini(&sys);
}

QTEST(policy_json, refuses_wrong_shapes_and_keeps_what_it_knew)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"domains\": []}",
		"{\"domains\": {\"a\": 1}}",
		"{\"domains\": {\"a\": {}}}",
		"{\"domains\": {\"a\": {\"type\": 3}}}",
		"{\"domains\": {\"@tag:x\": {\"type\": \"AppVM\"}}}",
		"{\"domains\": {\"a\": {\"type\": \"AppVM\", \"tags\": \"x\"}}}",
		"{\"domains\": {\"a\": {\"type\": \"AppVM\", \"tags\": [1]}}}",
		"{\"domains\": {\"a\": {\"type\": \"AppVM\", \"template_for_dispvms\": \"no\"}}}",
		"{\"domains\": {\"a\": {\"type\": \"AppVM\", \"uuid\": \"u\"}, "
		"\"b\": {\"type\": \"AppVM\", \"uuid\": \"u\"}}}",
		"{\"domains\": {\"a\": {\"type\": \"AppVM\"}, \"a\": {\"type\": \"AppVM\"}}}",
		"{\"domains\": {\"a\": {\"type\": \"App\\u0000VM\"}}}",
	};
	struct qube__policy_system sys = { 0 };

	QT_INT(from(&sys, "{\"domains\": {\"kept\": {\"type\": \"AppVM\"}}}"), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (from(&sys, bad[i]) != QUBE_E_PROTO)
			QT_FAIL("accepted %s", bad[i]);
	QT_TRUE(qube__policy_system_name(&sys, "kept", 4) != NULL);
	QT_INT(sys.count, 1);
	qube__policy_system_fini(&sys);
}
