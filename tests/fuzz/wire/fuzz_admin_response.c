/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a client reads from a server: replies, events, property values and lines. */
#include "wire/admin.h"

#include <qube/error.h>

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_event(const uint8_t *data, size_t size)
{
	struct qube__wire_admin_event ev;

	if (qube__wire_admin_event_parse(&ev, data, size) < 0)
		return;
	assert(ev.used <= size && ev.n_pairs <= QUBE__ADMIN_PAIRS_MAX && *ev.event);
	for (size_t i = 0; i < ev.n_pairs; i++)
		assert(*ev.key[i] && ev.value[i] + strlen(ev.value[i]) < (const char *)data + size);
}

static void try_property(const uint8_t *data, size_t size)
{
	struct qube__wire_property p;
	char name[QUBE__PROPERTY_MAX + 1];
	char text[4096];
	size_t used;

	if (qube__wire_property_parse(&p, data, size) == 0)
		assert(p.value + p.len == (const char *)data + size);
	(void)qube__wire_property_default_parse(&p, data, size);
	if (qube__wire_property_line_parse(name, &p, &used, data, size) == 0) {
		assert(used <= size && qube__name_is_property(name, strlen(name)));
		if (p.len < sizeof(text) && qube__wire_property_unescape(text, p.value, p.len) == 0)
			assert(strlen(text) <= p.len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qube__wire_admin_response r;

	if (qube__wire_admin_response_parse(&r, data, size) == 0 &&
	    r.kind == QUBE__ADMIN_EXCEPTION) {
		assert(r.code < 0 && r.detail > 0);
		assert(qube__name_is_printable(r.message, strlen(r.message)));
		assert(qube__name_is_printable(r.type, strlen(r.type)));
	}
	try_event(data, size);
	try_property(data, size);
	return 0;
}
