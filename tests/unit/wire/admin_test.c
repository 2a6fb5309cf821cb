/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "wire/admin.h"

#include <qube/error.h>

#include <stdio.h>
#include <stdlib.h>

#define REQ(text) text, sizeof(text) - 1

static struct qube__wire_admin_request req;

QTEST(admin_request, is_split_at_its_first_separators)
{
	const char text[] = "a.b.C+x+y-z dom0 name work\0pay\0load";

	QT_INT(qube__wire_admin_request_parse(&req, text, sizeof(text) - 1), 0);
	QT_STR(req.method, "a.b.C");
	QT_STR(req.arg, "x+y-z");
	QT_STR(req.source, "dom0");
	QT_STR(req.dest, "work");
	QT_INT(req.payload_len, 8);
	QT_MEM(req.payload, "pay\0load", 8);
}

QTEST(admin_request, the_plus_may_be_missing)
{
	QT_INT(qube__wire_admin_request_parse(&req, REQ("a.List dom0 name dom0\0")), 0);
	QT_STR(req.arg, "");
	QT_INT(req.payload_len, 0);
}

QTEST(admin_request, adminvm_is_the_only_keyword)
{
	QT_INT(qube__wire_admin_request_parse(&req, REQ("a b keyword adminvm\0")), 0);
	QT_STR(req.dest, "dom0");
	QT_INT(qube__wire_admin_request_parse(&req, REQ("a b keyword dom0\0")), QUBE_E_PROTO);
	QT_INT(qube__wire_admin_request_parse(&req, REQ("a b keywor adminvm\0")), QUBE_E_PROTO);
}

QTEST(admin_request, refuses_every_truncation_of_the_header)
{
	const char text[] = "admin.vm.List+ dom0 name dom0";

	for (size_t n = 0; n < sizeof(text); n++)
		QT_INT(qube__wire_admin_request_parse(&req, text, n),
		       n < sizeof(text) ? QUBE_E_PROTO : 0);
	QT_INT(qube__wire_admin_request_parse(&req, text, sizeof(text)), 0);
}

QTEST(admin_request, refuses_empty_and_doubled_fields)
{
	static const char *const bad[] = { "",
					   "   ",
					   " dom0 name dom0",
					   "+x dom0 name dom0",
					   "a  name dom0",
					   "a dom0  dom0",
					   "a dom0 name ",
					   "a dom0 name do m0",
					   "a dom0 nam dom0",
					   ".. d name d",
					   "a/b d name d",
					   "a+/ d name d",
					   "a d name d\n" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (qube__wire_admin_request_parse(&req, bad[i], strlen(bad[i]) + 1) !=
		    QUBE_E_PROTO)
			QT_FAIL("'%s' was taken", bad[i]);
}

QTEST(admin_request, threat_01_every_byte_of_the_header_is_checked)
{
	char text[] = "a.X+xyz dom0 name dom0";
	static const char service[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-.+";

	for (unsigned int c = 0; c < 256; c++) {
		bool in_service = c && strchr(service, (int)c);
		bool in_peer = c > 0x20 && c < 0x7f;

		text[5] = (char)c;
		QT_INT(qube__wire_admin_request_parse(&req, text, sizeof(text)),
		       in_service ? 0 : QUBE_E_PROTO);
		text[5] = 'y';
		text[9] = (char)c;
		QT_INT(qube__wire_admin_request_parse(&req, text, sizeof(text)),
		       in_peer ? 0 : QUBE_E_PROTO);
		text[9] = 'o';
		text[19] = (char)c;
		/* A NUL ends the header: the rest is payload. */
		QT_INT(qube__wire_admin_request_parse(&req, text, sizeof(text)),
		       in_peer || !c ? 0 : QUBE_E_PROTO);
		text[19] = 'o';
	}
}

QTEST(admin_request, threat_02_lengths_at_their_edges)
{
	static char text[QUBE__ADMIN_REQUEST_MAX + 2];
	static const size_t lens[] = { 1, 62, 63, 64, 65, 254, 255, 256, 1022, 1023, 1024 };
	size_t n;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		int len = (int)lens[i];

		memset(text, 'a', sizeof(text));
		n = (size_t)snprintf(text + len, 64, " d name d") + (size_t)len + 1;
		QT_INT(qube__wire_admin_request_parse(&req, text, n),
		       len <= QUBE__SERVICE_MAX ? 0 : QUBE_E_PROTO);
		memset(text, 'a', sizeof(text));
		text[1] = '+';
		n = (size_t)snprintf(text + 2 + len, 64, " d name d") + (size_t)len + 3;
		QT_INT(qube__wire_admin_request_parse(&req, text, n),
		       len <= QUBE__ADMIN_ARG_MAX ? 0 : QUBE_E_PROTO);
		memset(text, 'a', sizeof(text));
		text[1] = ' ';
		n = (size_t)snprintf(text + 2 + len, 64, " name d") + (size_t)len + 3;
		QT_INT(qube__wire_admin_request_parse(&req, text, n),
		       len <= QUBE__ADMIN_PEER_MAX ? 0 : QUBE_E_PROTO);
	}
	memset(text, 'a', sizeof(text));
	memcpy(text, "a d name d", 11);
	QT_INT(qube__wire_admin_request_parse(&req, text, QUBE__ADMIN_REQUEST_MAX), 0);
	QT_INT(req.payload_len, QUBE__ADMIN_REQUEST_MAX - 11);
	QT_INT(qube__wire_admin_request_parse(&req, text, QUBE__ADMIN_REQUEST_MAX + 1),
	       QUBE_E_LIMIT);
}

QTEST(admin_request, a_peer_is_a_name_or_a_uuid)
{
	const char *uuid = "x";

	QT_INT(qube__wire_admin_peer(&uuid, "work"), 0);
	QT_TRUE(uuid == NULL);
	QT_INT(qube__wire_admin_peer(&uuid, "uuid:00000000-0000-0000-0000-000000000000"), 0);
	QT_STR(uuid, "00000000-0000-0000-0000-000000000000");
	QT_INT(qube__wire_admin_peer(&uuid, "uuid:1"), QUBE_D_INVALID_UUID);
	QT_INT(qube__wire_admin_peer(&uuid, "uuid:"), QUBE_D_INVALID_UUID);
	QT_INT(qube__wire_admin_peer(&uuid, "@dispvm"), QUBE_D_VALUE);
	QT_INT(qube__wire_admin_peer(&uuid, "none"), QUBE_D_VALUE);
}

QTEST(admin_request, the_encoder_refuses_what_would_shift_fields)
{
	qube__autobuf b;

	qube__buf_init(&b, 100000);
	QT_INT(qube__wire_admin_request_encode(&b, "a+b", "", "dom0", "w", NULL, 0),
	       QUBE_E_INVALID);
	QT_INT(qube__wire_admin_request_encode(&b, "a", "", "dom0 name x", "w", NULL, 0),
	       QUBE_E_INVALID);
	QT_INT(qube__wire_admin_request_encode(&b, "a", "", "dom0", "w x", NULL, 0),
	       QUBE_E_INVALID);
	QT_INT(qube__wire_admin_request_encode(&b, "a", "b c", "dom0", "w", NULL, 0),
	       QUBE_E_INVALID);
	QT_INT(b.len, 0);
	QT_INT(qube__wire_admin_request_encode(&b, "a", NULL, "dom0", "w", "p\0q", 3), 0);
	QT_INT(b.len, 18);
	QT_MEM(qube__buf_data(&b), "a+ dom0 name w\0p\0q", 18);
}

QTEST(admin_reply, an_exception_doubles_percent_and_hides_control_bytes)
{
	struct qube__wire_admin_response r;
	qube__autobuf b;

	qube__buf_init(&b, 4096);
	QT_INT(qube__wire_admin_fail(&b, QUBE_E_NOENT, QUBE_D_VM_NOT_FOUND, "50%s\x1b[m\xc3"), 0);
	QT_INT(b.len, 2 + 21 + 1 + 16);
	QT_MEM(qube__buf_data(&b),
	       "2\0QubesVMNotFoundError\0\0"
	       "50%%s\\x1b[m\\xc3\0",
	       b.len);
	QT_INT(qube__wire_admin_response_parse(&r, qube__buf_data(&b), b.len), 0);
	QT_INT(r.kind, QUBE__ADMIN_EXCEPTION);
	QT_INT(r.code, QUBE_E_NOENT);
	QT_INT(r.detail, QUBE_D_VM_NOT_FOUND);
	/* What was escaped once is escaped again for the eye: a backslash is not plain text. */
	QT_STR(r.message, "50%s\\x5cx1b[m\\x5cxc3");
}

QTEST(admin_reply, every_detail_has_a_name_and_comes_back)
{
	for (int detail = 1; detail <= QUBE_D_GENERIC; detail++) {
		int code = 0;
		int back = 0;

		qube__wire_admin_codes(qube__wire_admin_type(0, detail), &code, &back);
		QT_INT(back, detail);
		QT_TRUE(code < 0);
	}
	QT_STR(qube__wire_admin_type(QUBE_E_DENIED, 0), "PermissionDenied");
	QT_STR(qube__wire_admin_type(QUBE_E_NOMEM, 0), "QubesException");
	QT_STR(qube__wire_admin_type(QUBE_E_NOENT, 999), "QubesException");
}

QTEST(admin_reply, a_hostile_format_reads_no_further_than_its_arguments)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *want;
	} rows[] = {
		{ REQ("2\0E\0\0%s %s\0one\0"), "one %s" },
		{ REQ("2\0E\0\0%s\0one"), "%s" },
		{ REQ("2\0E\0\0%\0"), "%" },
		{ REQ("2\0E\0\0%n%x\0a\0b\0"), "%n%x" },
		{ REQ("2\0E\0\0a\nb\x1b\0"), "a\\x0ab\\x1b" },
		{ REQ("2\0E\0tb\0%d%%\0"
		      "5\0"),
		  "5%" },
	};
	struct qube__wire_admin_response r;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		QT_INT(qube__wire_admin_response_parse(&r, rows[i].bytes, rows[i].len), 0);
		QT_STR(r.message, rows[i].want);
		QT_INT(r.detail, QUBE_D_GENERIC);
	}
}

QTEST(admin_reply, a_long_message_is_cut)
{
	struct qube__wire_admin_response r;
	static char text[5000] = "2\0E\0";

	memset(text + 5, 'm', sizeof(text) - 6);
	QT_INT(qube__wire_admin_response_parse(&r, text, sizeof(text)), 0);
	QT_TRUE(strlen(r.message) >= 700 && strlen(r.message) <= QUBE__ADMIN_MESSAGE_MAX);
}

QTEST(admin_event, every_prefix_wants_more_and_the_whole_is_taken)
{
	const char *pairs[] = { "name", "netvm", "newvalue", NULL };
	struct qube__wire_admin_event ev;
	qube__autobuf b;
	char *copy;

	qube__buf_init(&b, 1000);
	QT_INT(qube__wire_admin_event(&b, "work", "property-set:netvm", pairs, 2), 0);
	for (size_t n = 0; n < b.len; n++) {
		/* An exact-size copy: a read past it would be seen. */
		copy = malloc(n ? n : 1);
		memcpy(copy, qube__buf_data(&b), n);
		QT_INT(qube__wire_admin_event_parse(&ev, copy, n), QUBE_E_AGAIN);
		free(copy);
	}
	QT_INT(qube__wire_admin_event_parse(&ev, qube__buf_data(&b), b.len), 0);
	QT_INT(ev.used, b.len);
	QT_STR(ev.subject, "work");
	QT_INT(ev.n_pairs, 2);
	QT_STR(ev.key[1], "newvalue");
	QT_STR(ev.value[1], "None");
}

QTEST(admin_event, refuses_what_never_ends_and_what_is_none)
{
	static char text[QUBE__ADMIN_EVENT_MAX];
	struct qube__wire_admin_event ev;

	QT_INT(qube__wire_admin_event_parse(&ev, "0\0", 2), QUBE_E_PROTO);
	QT_INT(qube__wire_admin_event_parse(&ev, "11", 2), QUBE_E_PROTO);
	QT_INT(qube__wire_admin_event_parse(&ev, "1\0s\0\0\0", 6), QUBE_E_PROTO);
	memset(text, 'a', sizeof(text));
	text[0] = '1';
	text[1] = '\0';
	QT_INT(qube__wire_admin_event_parse(&ev, text, sizeof(text) - 1), QUBE_E_AGAIN);
	QT_INT(qube__wire_admin_event_parse(&ev, text, sizeof(text)), QUBE_E_PROTO);
	for (size_t i = 2; i < sizeof(text); i++)
		text[i] = i % 2 ? '\0' : 'k';
	QT_INT(qube__wire_admin_event_parse(&ev, text, sizeof(text)), QUBE_E_PROTO);
}

QTEST(admin_event, the_encoder_refuses_early_ends_and_bytes_beyond_ascii)
{
	const char *empty[] = { "", "x" };
	const char *wide[] = { "k", "\xc3\xa9" };
	qube__autobuf b;

	qube__buf_init(&b, 1000);
	QT_INT(qube__wire_admin_event(&b, "", "", NULL, 0), QUBE_E_INVALID);
	QT_INT(qube__wire_admin_event(&b, "", "e", empty, 1), QUBE_E_INVALID);
	QT_INT(qube__wire_admin_event(&b, "", "e", wide, 1), QUBE_E_INVALID);
	QT_INT(b.len, 0);
}

QTEST(admin_property, refuses_what_is_not_a_value)
{
	static const char *const bad[] = { "",
					   "default=True",
					   "default=True ",
					   "default=maybe type=int 1",
					   "default=True type=list 1",
					   "default=True type=int",
					   "default=True type=integer 1",
					   "type=int 1",
					   "default=True  type=int 1" };
	struct qube__wire_property p;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (qube__wire_property_parse(&p, bad[i], strlen(bad[i])) != QUBE_E_PROTO)
			QT_FAIL("'%s' was taken", bad[i]);
	QT_INT(qube__wire_property_parse(&p, "default=True type=str a\0b", 25), QUBE_E_PROTO);
	QT_INT(qube__wire_property_default_parse(&p, "", 0), QUBE_E_NOENT);
	QT_INT(qube__wire_property_default_parse(&p, "type=vm ", 8), 0);
	QT_INT(p.type, QUBE__TYPE_VM);
	QT_INT(p.len, 0);
}

QTEST(admin_property, unescape_undoes_and_refuses_strays)
{
	char out[16];

	QT_INT(qube__wire_property_unescape(out, "a\\\\b\\nc", 7), 0);
	QT_STR(out, "a\\b\nc");
	QT_INT(qube__wire_property_unescape(out, "a\\", 2), QUBE_E_PROTO);
	QT_INT(qube__wire_property_unescape(out, "\\t", 2), QUBE_E_PROTO);
}
