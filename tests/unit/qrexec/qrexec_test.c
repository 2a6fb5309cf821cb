/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "wire/qrexec.h"

#include <qube/error.h>

#include <stdlib.h>

static uint8_t buf[70000];

QTEST(qrexec, numbers_are_those_of_the_protocol)
{
	static const uint8_t hello[] = { 0, 3, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0 };
	static const uint8_t exec[] = {
		0, 2, 0, 0, 11, 0, 0, 0, 5, 0, 0, 0, 1, 2, 0, 0, 'a', 'b', 0
	};

	QT_INT(qube__qrexec_hello_put(buf, sizeof(buf), 4), 12);
	QT_MEM(buf, hello, 12);
	QT_INT(qube__qrexec_params_put(buf, sizeof(buf), 0x200, 5, 513, "ab"), 19);
	QT_MEM(buf, exec, 19);
	QT_INT(qube__qrexec_params_put(buf, sizeof(buf), 0x211, 5, 513, NULL), 16);
	QT_INT(qube__qrexec_exit_put(buf, sizeof(buf), -1), 12);
	QT_INT(qube__qrexec_hello_put(buf, 11, 4), QUBE_E_LIMIT);
}

QTEST(qrexec, each_layout_of_a_trigger_is_read_back)
{
	static const uint32_t types[] = { 0, 0, 0x210, 0x212, 0x213 };

	for (uint32_t v = 2; v <= 4; v++) {
		struct qube__qrexec_trigger t;
		int n = qube__qrexec_trigger_put(buf, sizeof(buf), v, v == 4 ? "far" : "", "work",
						 "a.B+c", "SOCKET7");

		QT_TRUE(n > 0);
		QT_INT(qube__qrexec_header_get(buf).type, types[v]);
		QT_INT(qube__qrexec_trigger_parse(&t, types[v], buf + 8, (size_t)n - 8), 0);
		QT_INT(t.refusal, 0);
		QT_STR(t.target, "work");
		QT_STR(t.source, v == 4 ? "far" : "");
		QT_STR(t.service, "a.B+c");
		QT_STR((const char *)t.ident, "SOCKET7");
	}
	QT_INT(qube__qrexec_trigger_put(buf, sizeof(buf), 3, "far", "", "a", "i"), QUBE_E_LIMIT);
}

QTEST(qrexec, threat_02_every_truncation_is_refused)
{
	struct qube__qrexec_trigger t;
	struct qube__qrexec_params p;
	int32_t code;
	uint32_t v;
	int n = qube__qrexec_trigger_put(buf, sizeof(buf), 4, "", "work", "a.Service+arg", "S1");

	for (size_t len = 0; len < (size_t)n - 8; len++) {
		uint8_t *exact = malloc(len + 1);
		int r;

		memcpy(exact, buf + 8, len);
		r = qube__qrexec_trigger_parse(&t, 0x213, exact, len);
		/* Framed, but its service has no end: refused with the ident. */
		QT_INT(len <= 160 ? r == QUBE_E_PROTO :
				    r == 0 && t.refusal == QUBE__QREXEC_BAD_SERVICE,
		       1);
		free(exact);
	}
	QT_INT(qube__qrexec_trigger_parse(&t, 0x210, buf, 127), QUBE_E_PROTO);
	QT_INT(qube__qrexec_trigger_parse(&t, 0x210, buf, 129), QUBE_E_PROTO);
	n = qube__qrexec_params_put(buf, sizeof(buf), 0x200, 1, 513, "cmd");
	for (size_t len = 0; len < (size_t)n - 8; len++)
		QT_INT(qube__qrexec_params_parse(&p, true, buf + 8, len), QUBE_E_PROTO);
	QT_INT(qube__qrexec_params_parse(&p, true, buf + 8, (size_t)n - 8), 0);
	QT_STR(p.command, "cmd");
	QT_INT(qube__qrexec_params_parse(&p, false, buf + 8, 9), QUBE_E_PROTO);
	QT_INT(qube__qrexec_exit_parse(&code, buf, 3), QUBE_E_PROTO);
	QT_INT(qube__qrexec_exit_parse(&code, buf, 5), QUBE_E_PROTO);
	QT_INT(qube__qrexec_hello_parse(&v, buf, 5), QUBE_E_PROTO);
}

QTEST(qrexec, threat_02_a_hidden_nul_is_refused)
{
	struct qube__qrexec_trigger t;
	struct qube__qrexec_params p;
	int n = qube__qrexec_trigger_put(buf, sizeof(buf), 4, "", "work", "abcdef", "S1");

	buf[8 + 160 + 2] = 0;
	QT_INT(qube__qrexec_trigger_parse(&t, 0x213, buf + 8, (size_t)n - 8), 0);
	QT_INT(t.refusal, QUBE__QREXEC_BAD_SERVICE);
	n = qube__qrexec_params_put(buf, sizeof(buf), 0x200, 1, 513, "abcdef");
	buf[8 + 8 + 2] = 0;
	QT_INT(qube__qrexec_params_parse(&p, true, buf + 8, (size_t)n - 8), QUBE_E_PROTO);
}

QTEST(qrexec, threat_01_alphabets_byte_by_byte)
{
	static const char service[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.+";
	static const char target[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.@:";

	for (int c = 0; c < 256; c++) {
		char s[3] = { 'x', (char)c, 'y' };

		QT_INT(qube__qrexec_service_ok(s, 3), c && strchr(service, c));
		QT_INT(qube__qrexec_target_ok(s, 3), c && strchr(target, c));
	}
	QT_TRUE(!qube__qrexec_service_ok("", 0));
	QT_TRUE(!qube__qrexec_service_ok("+a", 2));
	QT_TRUE(!qube__qrexec_service_ok("..", 2));
	QT_TRUE(!qube__qrexec_service_ok(".+a", 3));
	memset(buf, 'a', 256);
	QT_TRUE(qube__qrexec_service_ok((char *)buf, 255));
	QT_TRUE(!qube__qrexec_service_ok((char *)buf, 256));
	QT_TRUE(qube__qrexec_target_ok((char *)buf, 63));
	QT_TRUE(!qube__qrexec_target_ok((char *)buf, 64));
}

/* The whole table, against the protocol written down a second time. */
QTEST(qrexec, threat_03_the_table_of_states_roles_and_types)
{
	size_t yes = 0;

	for (uint32_t role = 0; role < QUBE__QREXEC_ROLES; role++)
		for (uint32_t state = 0; state < QUBE__QREXEC_STATES; state++)
			for (uint32_t type = 0; type < 0x400; type++)
				for (uint32_t v = 0; v <= 5; v++)
					yes += qube__qrexec_accepts(role, state, v, type);
	/* hello for four readers at 6 versions; host: 1 + 3 + 2 + 4; agent 4 * 4; trigger 6;
	 * caller 3 * 4; executor 4. */
	QT_INT(yes, 24 + 10 + 16 + 6 + 12 + 4);
	/* Ours, which no agent of another make gets: to agents, and of one to its caller. */
	for (uint32_t role = 0; role < QUBE__QREXEC_ROLES; role++)
		for (uint32_t type = QUBE__QREXEC_EXEC_PLAIN; type <= QUBE__QREXEC_DATA_PLAIN;
		     type++)
			QT_INT(qube__qrexec_accepts(role, QUBE__QREXEC_AT_WORK, 4, type),
			       type == QUBE__QREXEC_DATA_PLAIN ? role == QUBE__QREXEC_CALLER :
								 role == QUBE__QREXEC_AGENT);
	QT_TRUE(!qube__qrexec_accepts(QUBE__QREXEC_EXECUTOR, QUBE__QREXEC_AT_WORK, 4, 0x192));
	QT_TRUE(!qube__qrexec_accepts(QUBE__QREXEC_EXECUTOR, QUBE__QREXEC_AT_WORK, 4, 0x193));
	QT_TRUE(!qube__qrexec_accepts(QUBE__QREXEC_CALLER, QUBE__QREXEC_AT_WORK, 4, 0x190));
	QT_TRUE(!qube__qrexec_accepts(QUBE__QREXEC_CALLER, QUBE__QREXEC_AT_END, 4, 0x191));
	QT_TRUE(!qube__qrexec_accepts(QUBE__QREXEC_HOST, QUBE__QREXEC_AT_WORK, 4, 0x200));
	QT_TRUE(!qube__qrexec_accepts(QUBE__QREXEC_HOST, QUBE__QREXEC_AT_WORK, 4, 0x300));
}

QTEST(qrexec, threat_05_encoders_leave_no_old_byte)
{
	static uint8_t other[70000];
	int n;

	memset(buf, 0xaa, sizeof(buf));
	memset(other, 0x55, sizeof(other));
	for (uint32_t v = 2; v <= 4; v++) {
		n = qube__qrexec_trigger_put(buf, sizeof(buf), v, "", "t", "a.B", "S");
		QT_INT(qube__qrexec_trigger_put(other, sizeof(other), v, "", "t", "a.B", "S"), n);
		QT_MEM(buf, other, (size_t)n);
	}
	n = qube__qrexec_params_put(buf, sizeof(buf), 0x200, 1, 2, "c");
	QT_INT(qube__qrexec_params_put(other, sizeof(other), 0x200, 1, 2, "c"), n);
	QT_MEM(buf, other, (size_t)n);
	n = qube__qrexec_exit_put(buf, sizeof(buf), 3);
	QT_INT(qube__qrexec_exit_put(other, sizeof(other), 3), n);
	QT_MEM(buf, other, (size_t)n);
}

QTEST(qrexec, a_frame_is_whole_or_not_yet_or_refused_by_its_header)
{
	uint8_t bytes[QUBE__QREXEC_HEADER + 4] = { 0 };
	struct qube__qrexec_header h = { 0 };

	qube__qrexec_header_put(bytes, QUBE__QREXEC_HELLO, 4);
	for (size_t n = 0; n < sizeof(bytes); n++)
		QT_INT(qube__qrexec_frame(&h, QUBE__QREXEC_AGENT, QUBE__QREXEC_AT_HELLO, 4, bytes,
					  n),
		       0);
	QT_INT(h.len, 0);
	QT_INT(qube__qrexec_frame(&h, QUBE__QREXEC_AGENT, QUBE__QREXEC_AT_HELLO, 4, bytes,
				  sizeof(bytes)),
	       1);
	QT_INT(h.len, 4);
	/* What may not come is refused before its payload is there. */
	qube__qrexec_header_put(bytes, QUBE__QREXEC_DATA_STDIN, 4);
	QT_INT(qube__qrexec_frame(&h, QUBE__QREXEC_AGENT, QUBE__QREXEC_AT_HELLO, 4, bytes,
				  QUBE__QREXEC_HEADER),
	       QUBE_E_PROTO);
	qube__qrexec_header_put(bytes, QUBE__QREXEC_HELLO, 5);
	QT_INT(qube__qrexec_frame(&h, QUBE__QREXEC_AGENT, QUBE__QREXEC_AT_HELLO, 4, bytes,
				  QUBE__QREXEC_HEADER),
	       QUBE_E_PROTO);
}
