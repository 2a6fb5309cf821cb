/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "driver/local/proto.h"

#include <qube/error.h>

static struct qube__box_spec good(void)
{
	struct qube__box_spec s = { .name = "work",
				    .user = "user",
				    .services = "cups my.own_service-2",
				    .scratch = "/run/qube/work",
				    .guest_dir = "",
				    .id_base = 65536,
				    .pids_max = 64 };

	s.root.kind = QUBE__BOX_VOLUME_LAYERED;
	s.root.n_layers = 2;
	s.root.layers[0] = "/pool/b";
	s.root.layers[1] = "/pool/a";
	s.root.upper = "/pool/upper";
	s.root.work = "/pool/work";
	s.volatile_volume.kind = QUBE__BOX_VOLUME_TMPFS;
	s.volatile_volume.size_bytes = 1 << 20;
	return s;
}

static int round_trip(struct qube__box_spec *out, const struct qube__box_spec *in)
{
	static uint8_t bytes[QUBE__BOX_SPEC_MAX];
	size_t len;

	if (qube__box_spec_encode(bytes, sizeof(bytes), &len, in) < 0)
		return -100;
	return qube__box_spec_decode(out, bytes, len);
}

QTEST(box_proto, a_specification_survives_the_way)
{
	struct qube__box_spec in = good();
	struct qube__box_spec out;

	in.root.discard = true;
	QT_INT(round_trip(&out, &in), 0);
	QT_STR(out.name, "work");
	QT_STR(out.root.layers[1], "/pool/a");
	QT_STR(out.root.work, "/pool/work");
	QT_STR(out.private_volume.upper, "");
	QT_TRUE(out.root.discard && !out.root.read_only);
	QT_INT(out.volatile_volume.size_bytes, 1 << 20);
}

QTEST(box_proto, rejects_every_truncation_and_a_byte_too_many)
{
	uint8_t bytes[1024];
	struct qube__box_spec in = good();
	struct qube__box_spec out = { .id_base = 42 };
	size_t len;

	QT_INT(qube__box_spec_encode(bytes, sizeof(bytes), &len, &in), 0);
	for (size_t n = 0; n < len; n++)
		QT_INT(qube__box_spec_decode(&out, bytes, n), QUBE_E_PROTO);
	bytes[len] = 0;
	QT_INT(qube__box_spec_decode(&out, bytes, len + 1), QUBE_E_PROTO);
	QT_INT(out.id_base, 42);
	for (size_t n = 0; n < len; n++)
		QT_INT(qube__box_spec_encode(bytes, n, &len, &in), QUBE_E_LIMIT);
}

#define REJECTS(change)                                                                            \
	do {                                                                                       \
		struct qube__box_spec in = good();                                                 \
		struct qube__box_spec out;                                                         \
		change;                                                                            \
		QT_INT(round_trip(&out, &in), QUBE_E_PROTO);                                       \
	} while (0)

QTEST(box_proto, rejects_what_makes_no_machine)
{
	REJECTS(in.name = "");
	REJECTS(in.name = "../x");
	REJECTS(in.name = "a b");
	REJECTS(in.user = "root:0");
	REJECTS(in.user = "-x");
	REJECTS(in.services = " ");
	REJECTS(in.services = "a ");
	REJECTS(in.services = "a  b");
	REJECTS(in.services = "../x");
	REJECTS(in.services = "-x");
	REJECTS(in.services = "ok 7890123456789012345678901234567890123456789012345");
	REJECTS(in.scratch = "run");
	REJECTS(in.scratch = "");
	REJECTS(in.id_base = 0);
	REJECTS(in.id_base = 65535);
	REJECTS(in.id_base = UINT32_MAX - 65535);
	REJECTS(in.role = 3);
	REJECTS(in.flags = 4);
	REJECTS(in.pids_max = 0);
	REJECTS(in.root.kind = 9);
	REJECTS(in.root.kind = QUBE__BOX_VOLUME_NONE);
	REJECTS(in.root.layers[0] = "pool");
	REJECTS(in.root.layers[0] = "");
	REJECTS(in.root.work = "");
	REJECTS(in.root.upper = NULL; in.root.work = NULL);
	REJECTS(in.private_volume.kind = QUBE__BOX_VOLUME_TREE);
	REJECTS(in.volatile_volume.size_bytes = 0);
	REJECTS(in.private_volume = in.root);
}

QTEST(box_proto, orders_and_replies_survive_the_way)
{
	uint8_t bytes[QUBE__BOX_REPLY_MAX];
	struct qube__box_order order = { .type = QUBE__BOX_STOP, .grace_ms = 5000 };
	struct qube__box_order got = { 0 };
	struct qube__box_reply reply = { QUBE__BOX_FAILED, -3, 28, 0, "no room" };
	struct qube__box_reply back = { 0 };
	size_t len;

	QT_INT(qube__box_order_encode(bytes, sizeof(bytes), &len, &order), 0);
	QT_INT(qube__box_order_decode(&got, bytes, len), 0);
	QT_INT(got.grace_ms, 5000);
	bytes[4] = QUBE__BOX_HELD;
	QT_INT(qube__box_order_decode(&got, bytes, len), QUBE_E_PROTO);
	QT_INT(qube__box_reply_encode(bytes, sizeof(bytes), &len, &reply), 0);
	QT_INT(qube__box_reply_decode(&back, bytes, len), 0);
	QT_INT(back.status, -3);
	QT_INT(back.os_errno, 28);
	QT_STR(back.text, "no room");
	bytes[0] = QUBE__BOX_VERSION + 1;
	QT_INT(qube__box_reply_decode(&back, bytes, len), QUBE_E_PROTO);
}

QTEST(box_proto, threat_34_a_greeting_tells_its_version_and_orders_go_in_the_boxs)
{
	uint8_t bytes[QUBE__BOX_REPLY_MAX];
	struct qube__box_reply hello = { QUBE__BOX_HELLO, QUBE__BOX_IS_RUNNING, 3, 9, "9.0 work" };
	struct qube__box_reply back = { 0 };
	struct qube__box_order order = { QUBE__BOX_STOP, 5, 9 };
	struct qube__box_order got = { 0 };
	size_t len;

	QT_INT(qube__box_reply_encode(bytes, sizeof(bytes), &len, &hello), 0);
	QT_INT(qube__box_reply_decode(&back, bytes, len), 0);
	QT_INT(back.version, 9);
	QT_STR(back.text, "9.0 work");
	QT_TRUE(!qube__box_version_ok(back.version));
	QT_INT(qube__box_order_encode(bytes, sizeof(bytes), &len, &order), 0);
	QT_INT(qube__box_order_decode(&got, bytes, len), QUBE_E_PROTO);
	order.version = QUBE__BOX_VERSION_MIN;
	QT_INT(qube__box_order_encode(bytes, sizeof(bytes), &len, &order), 0);
	QT_INT(qube__box_order_decode(&got, bytes, len), 0);
	QT_INT(got.version, QUBE__BOX_VERSION_MIN);
}
