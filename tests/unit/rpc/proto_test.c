/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "rpc/proto.h"

#include <qube/error.h>

#include <stdio.h>
#include <stdlib.h>

static const struct qube__rpc_msg samples[] = {
	{ .type = QUBE__RPC_GUEST_ADD, .guest_add = { 1, 2, "work", "user", true, true } },
	{ .type = QUBE__RPC_GUEST_DEL, .guest_del = { 3 } },
	{ .type = QUBE__RPC_DECISION,
	  .decision = { 7, QUBE__RPC_ALLOW, 2, QUBE__RPC_DISPOSE, "u", "a.B+c", "src",
			"@dispvm" } },
	{ .type = QUBE__RPC_HOST_CALL, .host_call = { 9, 1, false, 5, "user:QUBESRPC a.B+ dom0" } },
	{ .type = QUBE__RPC_CALL_CANCEL, .call_cancel = { QUBE__RPC_BY_CALL, 9 } },
	{ .type = QUBE__RPC_HOST_SERVICE_REPLY,
	  .host_service_reply = { 7, true, -3, (const uint8_t *)"data", 4 } },
	{ .type = QUBE__RPC_GUEST_UP, .guest_up = { 1, 4, 3 } },
	{ .type = QUBE__RPC_GUEST_DOWN, .guest_down = { 1, "why" } },
	{ .type = QUBE__RPC_DECIDE, .decide = { 7, 1, "vault", "", "a.B", "c+d", true } },
	{ .type = QUBE__RPC_CALL_END,
	  .call_end = { QUBE__RPC_BY_REQUEST, 7, QUBE__RPC_DISPOSE, -1, "r" } },
	{ .type = QUBE__RPC_HOST_SERVICE,
	  .host_service = { 7, 1, "admin.vm.List+", "work", "dom0", (const uint8_t *)"p", 1 } },
	{ .type = QUBE__RPC_DOMAIN_GONE, .domain_gone = { 3 } },
	{ .type = QUBE__RPC_CHANNEL, .channel = { 1, 514, true } },
};
enum { N_SAMPLES = sizeof(samples) / sizeof(samples[0]) };

QTEST(rpc_proto, every_message_survives_the_way_there_and_back)
{
	uint8_t one[512];
	uint8_t two[512];

	for (size_t i = 0; i < N_SAMPLES; i++) {
		struct qube__rpc_msg m;
		int n = qube__rpc_encode(one, sizeof(one), &samples[i]);

		QT_TRUE(n > 0);
		QT_INT(qube__rpc_parse(&m, one, (size_t)n, qube__rpc_fds(&samples[i])), 0);
		QT_INT(qube__rpc_encode(two, sizeof(two), &m), n);
		QT_MEM(one, two, (size_t)n);
	}
}

QTEST(rpc_proto, rejects_every_truncation_extension_and_wrong_descriptor_count)
{
	uint8_t packet[512];

	for (size_t i = 0; i < N_SAMPLES; i++) {
		size_t fds = qube__rpc_fds(&samples[i]);
		int n = qube__rpc_encode(packet, sizeof(packet), &samples[i]);
		struct qube__rpc_msg m;

		for (size_t len = 0; len < (size_t)n; len++) {
			uint8_t *exact = malloc(len + 1);

			memcpy(exact, packet, len);
			QT_INT(qube__rpc_parse(&m, exact, len, fds), QUBE_E_PROTO);
			free(exact);
		}
		packet[n] = 0;
		QT_INT(qube__rpc_parse(&m, packet, (size_t)n + 1, fds), QUBE_E_PROTO);
		QT_INT(qube__rpc_parse(&m, packet, (size_t)n, fds + 1), QUBE_E_PROTO);
	}
}

QTEST(rpc_proto, threat_05_no_byte_of_a_packet_is_left_over_memory)
{
	uint8_t one[512];
	uint8_t two[512];

	for (size_t i = 0; i < N_SAMPLES; i++) {
		int n;

		memset(one, 0xaa, sizeof(one));
		memset(two, 0x55, sizeof(two));
		n = qube__rpc_encode(one, sizeof(one), &samples[i]);
		QT_INT(qube__rpc_encode(two, sizeof(two), &samples[i]), n);
		QT_MEM(one, two, (size_t)n);
	}
}

QTEST(rpc_proto, core_does_not_take_the_brokers_word_for_names)
{
	struct qube__rpc_msg m = samples[8];
	struct qube__rpc_msg got;
	uint8_t packet[512];
	int n;

	m.decide.service = "a/b";
	n = qube__rpc_encode(packet, sizeof(packet), &m);
	QT_INT(qube__rpc_parse(&got, packet, (size_t)n, 0), QUBE_E_PROTO);
	m = samples[8];
	m.decide.target = "$x";
	n = qube__rpc_encode(packet, sizeof(packet), &m);
	QT_INT(qube__rpc_parse(&got, packet, (size_t)n, 0), QUBE_E_PROTO);
	m = samples[8];
	m.decide.has_argument = false;
	n = qube__rpc_encode(packet, sizeof(packet), &m);
	QT_INT(qube__rpc_parse(&got, packet, (size_t)n, 0), QUBE_E_PROTO);
}
