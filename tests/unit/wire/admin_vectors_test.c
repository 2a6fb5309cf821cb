/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The Admin API's test vectors, tests/vectors/admin-encoding.json. */
#include "qtest.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "wire/admin.h"
#include "wire/json.h"

#include <qube/error.h>

#include <fcntl.h>

static struct qube__json *load(void)
{
	qube__autofree char *text = NULL;
	struct qube__json *root = NULL;
	size_t len = 0;

	if (qube__io_read_file(&text, &len, AT_FDCWD,
			       QUBE_TEST_SOURCE_DIR "/vectors/admin-encoding.json", 1 << 20) == 0)
		qube__json_parse(&root, text, len, 1 << 20, NULL);
	return root;
}

static int nibble(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static size_t bytes_of(uint8_t *out, const struct qube__json *o, const char *key)
{
	const char *hex = "";
	size_t n;

	qube__json_get_string(o, key, &hex);
	n = strlen(hex) / 2;
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
	return n;
}

static const char *text_of(const struct qube__json *o, const char *key)
{
	const char *s = NULL;

	return qube__json_get_string(o, key, &s) == 0 ? s : NULL;
}

QTEST(admin_vectors, requests)
{
	qube__autojson *root = load();
	const struct qube__json *list;

	QT_TRUE(root != NULL);
	QT_INT(qube__json_get_array(root, "requests", &list), 0);
	QT_TRUE(qube__json_size(list) > 0);
	for (size_t i = 0; i < qube__json_size(list); i++) {
		const struct qube__json *o = qube__json_at(list, i);
		struct qube__wire_admin_request r;
		const char *payload = text_of(o, "payload");
		uint8_t bytes[512];
		size_t n = bytes_of(bytes, o, "hex");
		qube__autobuf b;

		qube__buf_init(&b, 512);
		QT_INT(qube__wire_admin_request_parse(&r, bytes, n), 0);
		QT_STR(r.method, text_of(o, "method"));
		QT_STR(r.arg, text_of(o, "arg"));
		QT_STR(r.source, text_of(o, "src"));
		QT_STR(r.dest, text_of(o, "dest"));
		QT_INT(r.payload_len, strlen(payload));
		QT_MEM(r.payload, payload, r.payload_len);
		QT_INT(qube__wire_admin_request_encode(&b, r.method, r.arg, r.source, r.dest,
						       r.payload, r.payload_len),
		       0);
		QT_INT(b.len, n);
		QT_MEM(qube__buf_data(&b), bytes, n);
	}
}

/* What the Python client would raise for a reply that is none. */
static const char *daemon_error(int r)
{
	return r == QUBE_E_CLOSED ? "QubesDaemonAccessError" : "QubesDaemonCommunicationError";
}

static void check_response(const struct qube__json *o)
{
	struct qube__wire_admin_response r;
	const struct qube__json *expect;
	const char *want;
	uint8_t bytes[512];
	size_t n = bytes_of(bytes, o, "hex");
	int got = qube__wire_admin_response_parse(&r, bytes, n);

	QT_INT(qube__json_get_object(o, "expect", &expect), 0);
	if (qube__json_get(expect, "ok")) {
		QT_INT(qube__json_string(qube__json_get(expect, "ok"), &want, &n), 0);
		QT_INT(got, 0);
		QT_INT(r.kind, QUBE__ADMIN_OK);
		QT_INT(r.content_len, n);
		QT_MEM(r.content, want, n);
		return;
	}
	want = text_of(expect, "exception");
	if (got < 0) {
		QT_STR(daemon_error(got), want);
		return;
	}
	QT_INT(r.kind, QUBE__ADMIN_EXCEPTION);
	if (strcmp(want, "QubesException") == 0)
		QT_INT(r.detail, QUBE_D_GENERIC);
	else
		QT_STR(r.type, want);
	if (text_of(expect, "text"))
		QT_STR(r.message, text_of(expect, "text"));
}

QTEST(admin_vectors, responses)
{
	qube__autojson *root = load();
	const struct qube__json *list;

	QT_TRUE(root != NULL);
	QT_INT(qube__json_get_array(root, "responses", &list), 0);
	QT_TRUE(qube__json_size(list) >= 12);
	for (size_t i = 0; i < qube__json_size(list); i++) {
		check_response(qube__json_at(list, i));
		if (qtest_failed())
			QT_FAIL("at '%s'", text_of(qube__json_at(list, i), "name"));
	}
}

static uint32_t type_of(const struct qube__json *o)
{
	uint32_t type = 0;

	while (strcmp(qube__wire_type_name(type), text_of(o, "type")) != 0)
		type++;
	return type;
}

QTEST(admin_vectors, properties)
{
	qube__autojson *root = load();
	const struct qube__json *list;

	QT_TRUE(root != NULL);
	QT_INT(qube__json_get_array(root, "properties", &list), 0);
	QT_TRUE(qube__json_size(list) > 0);
	for (size_t i = 0; i < qube__json_size(list); i++) {
		const struct qube__json *o = qube__json_at(list, i);
		const char *wire = text_of(o, "wire");
		struct qube__wire_property p;
		char value[64];
		bool is_default;
		qube__autobuf b;

		qube__buf_init(&b, 512);
		QT_INT(qube__json_get_bool(o, "default", &is_default), 0);
		QT_INT(qube__wire_property_parse(&p, wire, strlen(wire)), 0);
		QT_INT(p.is_default, is_default);
		QT_INT(p.type, type_of(o));
		QT_TRUE(p.len < sizeof(value));
		memcpy(value, p.value, p.len);
		value[p.len] = '\0';
		if (p.type == QUBE__TYPE_STR || p.type == QUBE__TYPE_LABEL)
			QT_STR(value, text_of(o, "value"));
		QT_INT(qube__wire_property_encode(&b, p.is_default, p.type, value), 0);
		QT_INT(b.len, strlen(wire));
		QT_MEM(qube__buf_data(&b), wire, b.len);
	}
}

QTEST(admin_vectors, getall_lines)
{
	qube__autojson *root = load();
	const struct qube__json *list;

	QT_TRUE(root != NULL);
	QT_INT(qube__json_get_array(root, "getall", &list), 0);
	QT_TRUE(qube__json_size(list) > 0);
	for (size_t i = 0; i < qube__json_size(list); i++) {
		const struct qube__json *o = qube__json_at(list, i);
		struct qube__wire_property p;
		char name[QUBE__PROPERTY_MAX + 1];
		char value[64];
		uint8_t bytes[512];
		size_t n = bytes_of(bytes, o, "line_hex");
		size_t used = 0;
		bool is_default = false;
		qube__autobuf b;

		qube__buf_init(&b, 512);
		qube__json_get_bool(o, "default", &is_default);
		QT_INT(qube__wire_property_line(&b, text_of(o, "name"), is_default, type_of(o),
						text_of(o, "value")),
		       0);
		QT_INT(b.len, n);
		QT_MEM(qube__buf_data(&b), bytes, n);
		for (size_t cut = 0; cut < n; cut++)
			QT_INT(qube__wire_property_line_parse(name, &p, &used, bytes, cut),
			       QUBE_E_AGAIN);
		QT_INT(qube__wire_property_line_parse(name, &p, &used, bytes, n), 0);
		QT_INT(used, n);
		QT_STR(name, text_of(o, "name"));
		QT_INT(p.is_default, is_default);
		QT_TRUE(p.len < sizeof(value));
		QT_INT(qube__wire_property_unescape(value, p.value, p.len), 0);
		QT_STR(value, text_of(o, "value"));
	}
}

QTEST(admin_vectors, events)
{
	qube__autojson *root = load();
	const struct qube__json *list;

	QT_TRUE(root != NULL);
	QT_INT(qube__json_get_array(root, "events", &list), 0);
	QT_TRUE(qube__json_size(list) > 0);
	for (size_t i = 0; i < qube__json_size(list); i++) {
		const struct qube__json *expect = qube__json_get(qube__json_at(list, i), "expect");
		const struct qube__json *kwargs = qube__json_get(expect, "kwargs");
		struct qube__wire_admin_event ev;
		const char *pairs[2 * QUBE__ADMIN_PAIRS_MAX];
		uint8_t bytes[512];
		size_t n = bytes_of(bytes, qube__json_at(list, i), "hex");
		qube__autobuf b;

		qube__buf_init(&b, 512);
		QT_INT(qube__wire_admin_event_parse(&ev, bytes, n), 0);
		QT_INT(ev.used, n);
		QT_STR(ev.subject, text_of(expect, "subject"));
		QT_STR(ev.event, text_of(expect, "event"));
		QT_INT(ev.n_pairs, qube__json_size(kwargs));
		for (size_t k = 0; k < ev.n_pairs; k++) {
			QT_STR(ev.value[k], text_of(kwargs, ev.key[k]));
			pairs[2 * k] = ev.key[k];
			pairs[2 * k + 1] = ev.value[k];
		}
		QT_INT(qube__wire_admin_event(&b, ev.subject, ev.event, pairs, ev.n_pairs), 0);
		QT_INT(b.len, n);
		QT_MEM(qube__buf_data(&b), bytes, n);
	}
}
