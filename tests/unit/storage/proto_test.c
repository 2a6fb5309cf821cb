/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "event/proto.h"

#include <qube/error.h>

#include <stdlib.h>

static int good_request(uint8_t *buf, size_t cap)
{
	struct qube__job_request req = {
		.type = QUBE__JOB_IMPORT_HOST,
		.id = 7,
		.n_args = 2,
		.number = 1ull << 40,
		.args = { "abc", "poppler-utils" },
	};

	return qube__job_request_encode(buf, cap, &req);
}

QTEST(job_proto, carries_a_request_unchanged)
{
	struct qube__job_request got;
	uint8_t buf[256];
	int len = good_request(buf, sizeof(buf));

	QT_TRUE(len > 0);
	QT_INT(qube__job_request_parse(&got, buf, (size_t)len), 0);
	QT_INT(got.type, QUBE__JOB_IMPORT_HOST);
	QT_INT(got.number, 1ll << 40);
	QT_STR(got.args[1], "poppler-utils");
}

QTEST(job_proto, rejects_every_truncation_and_any_surplus)
{
	struct qube__job_request got;
	uint8_t buf[256];
	int len = good_request(buf, sizeof(buf));

	for (int n = 0; n < len; n++) {
		uint8_t *exact = malloc((size_t)n + 1);

		memcpy(exact, buf, (size_t)n);
		QT_INT(qube__job_request_parse(&got, exact, (size_t)n), QUBE_E_PROTO);
		free(exact);
	}
	buf[len] = 0;
	QT_INT(qube__job_request_parse(&got, buf, (size_t)len + 1), QUBE_E_PROTO);
}

QTEST(job_proto, threat_11_refuses_names_that_leave_their_directory)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "/", "../x" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct qube__job_request req = { .type = QUBE__JOB_REMOVE_TREE, .n_args = 1 };
		uint8_t buf[64];

		req.args[0] = bad[i];
		QT_INT(qube__job_request_encode(buf, sizeof(buf), &req), QUBE_E_INVALID);
	}
}

QTEST(job_proto, refuses_text_with_control_characters)
{
	struct qube__job_reply reply = { .kind = QUBE__JOB_NOTE, .text = "left out: x" };
	struct qube__job_reply got;
	uint8_t buf[1024];
	int len = qube__job_reply_encode(buf, sizeof(buf), &reply);

	QT_INT(qube__job_reply_parse(&got, buf, (size_t)len), 0);
	QT_STR(got.text, "left out: x");
	buf[len - 1] = '\x1b';
	QT_INT(qube__job_reply_parse(&got, buf, (size_t)len), QUBE_E_PROTO);
}

QTEST(job_proto, a_stage_is_one_that_is_known)
{
	struct qube__job_reply reply = { .kind = QUBE__JOB_STAGE, .done = QUBE__JOB_AT_FLUSH };
	struct qube__job_reply got;
	uint8_t buf[1024];
	int len = qube__job_reply_encode(buf, sizeof(buf), &reply);

	QT_INT(qube__job_reply_parse(&got, buf, (size_t)len), 0);
	QT_INT(got.done, QUBE__JOB_AT_FLUSH);
	reply.done = QUBE__JOB_STAGES;
	len = qube__job_reply_encode(buf, sizeof(buf), &reply);
	QT_INT(qube__job_reply_parse(&got, buf, (size_t)len), QUBE_E_PROTO);
}

QTEST(job_proto, images_take_two_descriptors_and_only_their_flags)
{
	static const struct {
		uint32_t type;
		uint32_t flags;
		uint32_t n_args;
		int fds;
	} good[] = {
		{ QUBE__JOB_COPY_IMAGE, QUBE__JOB_FLUSH, 1, 2 },
		{ QUBE__JOB_EXPORT_IMAGE, 0, 0, 2 },
		{ QUBE__JOB_IMPORT_IMAGE, 0, 1, 2 },
		{ QUBE__JOB_MAKE_FS, QUBE__JOB_EMPTY | QUBE__JOB_NO_JOURNAL, 0, 2 },
		{ QUBE__JOB_SYNC, QUBE__JOB_ONE_FILE, 0, 1 },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct qube__job_request req = { .type = good[i].type,
						 .flags = good[i].flags,
						 .n_args = good[i].n_args,
						 .args = { "x" } };
		uint8_t buf[64];

		QT_INT(qube__job_type_fds(req.type), good[i].fds);
		QT_TRUE(qube__job_request_encode(buf, sizeof(buf), &req) > 0);
		req.flags |= QUBE__JOB_REPLACE;
		QT_INT(qube__job_request_encode(buf, sizeof(buf), &req), QUBE_E_INVALID);
		req.flags = good[i].flags;
		req.n_args = 1 - good[i].n_args;
		QT_INT(qube__job_request_encode(buf, sizeof(buf), &req), QUBE_E_INVALID);
	}
}
