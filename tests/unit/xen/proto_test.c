/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the xen driver and its helper say to each other. */
#include "qtest.h"

#include "driver/xen/proto.h"

#include <qube/error.h>

#include <stdlib.h>

#define UUID                                                                                       \
	{                                                                                          \
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16                              \
	}

static const struct qube__xl_msg samples[] = {
	{ .type = QUBE__XL_LIST, .id = 1 },
	{ .type = QUBE__XL_CREATE,
	  .id = 2,
	  .deadline_ms = 1000,
	  .uuid = UUID,
	  .kind = QUBE__XL_PVH,
	  .vcpus = 2,
	  .memory_kb = 262144,
	  .max_kb = 524288,
	  .name = "work",
	  .kernel = "/k",
	  .ramdisk = "",
	  .cmdline = "console=hvc0",
	  .record = "1",
	  .n_disks = 2,
	  .disks = { { 0, false, "/a.img" }, { 1, true, "/b.img" } } },
	{ .type = QUBE__XL_RUN, .id = 3, .deadline_ms = 1, .uuid = UUID },
	{ .type = QUBE__XL_PAUSE, .id = 4, .deadline_ms = 1, .uuid = UUID },
	{ .type = QUBE__XL_STOP, .id = 5, .deadline_ms = 1, .uuid = UUID },
	{ .type = QUBE__XL_KILL, .id = 6, .deadline_ms = 1, .uuid = UUID },
	{ .type = QUBE__XL_MEMORY, .id = 7, .uuid = UUID, .memory_kb = 262144 },
	{ .type = QUBE__XL_WATCH, .id = 7, .uuid = UUID },
	{ .type = QUBE__XL_HOST,
	  .version = 1,
	  .state = QUBE__XL_HAS_HAP,
	  .memory_kb = 5,
	  .max_kb = 7,
	  .text = "4.17" },
	{ .type = QUBE__XL_DOMAIN,
	  .id = 8,
	  .domid = 9,
	  .uuid = UUID,
	  .state = QUBE__XL_IS_PAUSED,
	  .memory_kb = 1,
	  .max_kb = 2,
	  .cpu_ns = 3,
	  .record = "r",
	  .name = "\x1b[1m" },
	{ .type = QUBE__XL_DONE, .id = 9, .code = QUBE_E_TIMEOUT, .text = "why" },
	{ .type = QUBE__XL_SHUT, .uuid = UUID, .domid = 3, .reason = QUBE__XL_CRASH },
	{ .type = QUBE__XL_GONE, .uuid = UUID, .domid = 3 },
	{ .type = QUBE__XL_USED, .uuid = UUID, .domid = 3, .memory_kb = 77 },
};
enum { N_SAMPLES = sizeof(samples) / sizeof(samples[0]) };

static uint8_t packet[QUBE__XL_PACKET_MAX];

QTEST(xl_proto, every_message_survives_the_way_there_and_back)
{
	uint8_t again[512];

	for (size_t i = 0; i < N_SAMPLES; i++) {
		struct qube__xl_msg m;
		int n = qube__xl_encode(packet, sizeof(packet), &samples[i]);

		QT_TRUE(n > 0);
		QT_INT(qube__xl_decode(&m, packet, (size_t)n), 0);
		QT_INT(m.type, samples[i].type);
		QT_INT(m.id, samples[i].id);
		QT_INT(m.code, samples[i].code);
		QT_MEM(m.uuid, samples[i].uuid, sizeof(m.uuid));
		QT_INT(qube__xl_encode(again, sizeof(again), &m), n);
		QT_MEM(again, packet, (size_t)n);
	}
}

QTEST(xl_proto, rejects_every_truncation_and_extension)
{
	for (size_t i = 0; i < N_SAMPLES; i++) {
		int n = qube__xl_encode(packet, sizeof(packet), &samples[i]);
		struct qube__xl_msg m;

		for (size_t len = 0; len < (size_t)n; len++) {
			uint8_t *exact = malloc(len + 1);

			memcpy(exact, packet, len);
			QT_INT(qube__xl_decode(&m, exact, len), QUBE_E_PROTO);
			free(exact);
		}
		packet[n] = 0;
		QT_INT(qube__xl_decode(&m, packet, (size_t)n + 1), QUBE_E_PROTO);
	}
}

/* What one field makes of a good order. */
static int with(void (*change)(struct qube__xl_msg *m))
{
	struct qube__xl_msg m = samples[1];

	change(&m);
	return qube__xl_encode(packet, sizeof(packet), &m);
}

static void no_id(struct qube__xl_msg *m)
{
	m->id = 0;
}

static void no_deadline(struct qube__xl_msg *m)
{
	m->deadline_ms = 0;
}

static void no_kind(struct qube__xl_msg *m)
{
	m->kind = 3;
}

static void no_vcpu(struct qube__xl_msg *m)
{
	m->vcpus = 0;
}

static void no_memory(struct qube__xl_msg *m)
{
	m->memory_kb = QUBE__XL_KB_MIN - 1;
}

static void beyond_max(struct qube__xl_msg *m)
{
	m->memory_kb = m->max_kb + 1;
}

static void dash(struct qube__xl_msg *m)
{
	m->name = "-x";
}

static void slash(struct qube__xl_msg *m)
{
	m->name = "a/b";
}

static void no_name(struct qube__xl_msg *m)
{
	m->name = "";
}

static void relative(struct qube__xl_msg *m)
{
	m->kernel = "k";
}

static void no_kernel(struct qube__xl_msg *m)
{
	m->kernel = NULL;
}

static void relative_ramdisk(struct qube__xl_msg *m)
{
	m->ramdisk = "r";
}

QTEST(xl_proto, a_creation_that_makes_no_sense_is_not_told)
{
	void (*const changes[])(struct qube__xl_msg *) = {
		no_id, no_deadline, no_kind, no_vcpu,  no_memory, beyond_max,
		dash,  slash,	    no_name, relative, no_kernel, relative_ramdisk,
	};

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		QT_INT(with(changes[i]), QUBE_E_INVALID);
}

QTEST(xl_proto, what_does_not_fit_is_refused)
{
	struct qube__xl_msg m = samples[1];
	static char line[QUBE__XL_CMDLINE_MAX + 1];

	memset(line, 'x', sizeof(line) - 1);
	m.cmdline = line;
	QT_INT(qube__xl_encode(packet, sizeof(packet), &m), QUBE_E_LIMIT);
	line[sizeof(line) - 2] = '\0';
	QT_TRUE(qube__xl_encode(packet, sizeof(packet), &m) > 0);
	QT_INT(qube__xl_encode(packet, 20, &samples[1]), QUBE_E_LIMIT);
}
