/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "driver/local/local.h"

#include <qube/error.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct qube__local_record sample = {
	.name = "work",
	.uuid = "01234567-89ab-cdef-0123-456789abcdef",
	.group = "/sys/fs/cgroup/a/qube-work-01234567",
	.qid = 3,
	.id_base = 0x10000000,
	.unenforced = 5,
	.bound = true,
	.pid = 77,
	.pid_start = 123456,
	.started_ms = 99,
	.n_layers = 2,
	.layers = { "aaaa", "bbbb" },
};

QTEST(run_record, survives_the_way_there_and_back)
{
	static struct qube__local_record got;
	char text[QUBE__LOCAL_RECORD_MAX];
	int n = qube__local_record_encode(text, sizeof(text), &sample);

	QT_TRUE(n > 0);
	QT_INT(qube__local_record_parse(&got, text, (size_t)n), 0);
	QT_TRUE(memcmp(&got, &sample, sizeof(got)) == 0);
	QT_INT(qube__local_record_encode(text, (size_t)n, &sample), QUBE_E_LIMIT);
}

/* Each format number's record as it was written, in formats/run-N; never changed. */
QTEST(run_record, of_every_format_that_ever_was_is_still_read)
{
	static struct qube__local_record got;
	qube__autofree char *was = NULL;
	char text[QUBE__LOCAL_RECORD_MAX];
	size_t len = 0;
	int n;

	QT_INT(qube__io_read_file(&was, &len, AT_FDCWD,
				  QUBE_TEST_SOURCE_DIR "/unit/local/formats/run-1", sizeof(text)),
	       0);
	QT_INT(qube__local_record_parse(&got, was, len), 0);
	QT_TRUE(memcmp(&got, &sample, sizeof(got)) == 0);
	n = qube__local_record_encode(text, sizeof(text), &got);
	QT_INT(n, len);
	QT_MEM(text, was, len);
}

QTEST(run_record, threat_34_every_truncation_is_damage)
{
	static struct qube__local_record got;
	char text[QUBE__LOCAL_RECORD_MAX];
	int n = qube__local_record_encode(text, sizeof(text), &sample);

	for (int i = 0; i < n; i++)
		QT_INT(qube__local_record_parse(&got, text, (size_t)i), QUBE_E_PROTO);
}

QTEST(run_record, threat_34_refuses_what_no_host_wrote)
{
	static const struct {
		const char *old, *new;
		int code;
	} harm[] = {
		{ "qube-run 1", "qube-run 2", QUBE_E_NOTSUP },
		{ "qube-run 1", "qube-run 0", QUBE_E_PROTO },
		{ "name work", "name ../x", QUBE_E_PROTO },
		{ "name work", "name", QUBE_E_PROTO },
		{ "pid 77", "pid 1", QUBE_E_PROTO },
		{ "pid 77", "pid -77", QUBE_E_PROTO },
		{ "pid 77", "pid 99999999999", QUBE_E_PROTO },
		{ "qid 3", "qid 0", QUBE_E_PROTO },
		{ "qid 3", "qid 3\nqid 4", QUBE_E_PROTO },
		{ "id-base 268435456", "id-base 0", QUBE_E_PROTO },
		{ "bound 1", "bound 2", QUBE_E_PROTO },
		{ "unenforced 5\n", "", QUBE_E_PROTO },
		{ "/qube-work", "/../qube-work", QUBE_E_PROTO },
		{ "/qube-work", "/other", QUBE_E_PROTO },
		{ "layer aaaa", "layer a/b", QUBE_E_PROTO },
		{ "end\n", "end\nmore\n", QUBE_E_PROTO },
		{ "end\n", "strange 1\nend\n", QUBE_E_PROTO },
	};
	static struct qube__local_record got;
	char text[QUBE__LOCAL_RECORD_MAX];
	char bad[QUBE__LOCAL_RECORD_MAX];

	QT_TRUE(qube__local_record_encode(text, sizeof(text), &sample) > 0);
	for (size_t i = 0; i < sizeof(harm) / sizeof(harm[0]); i++) {
		char *at = strstr(text, harm[i].old);

		QT_TRUE(at != NULL);
		snprintf(bad, sizeof(bad), "%.*s%s%s", (int)(at - text), text, harm[i].new,
			 at + strlen(harm[i].old));
		QT_INT(qube__local_record_parse(&got, bad, strlen(bad)), harm[i].code);
	}
	QT_INT(qube__local_record_parse(&got, "", 0), QUBE_E_PROTO);
	memcpy(bad, text, sizeof(bad));
	bad[20] = '\0';
	QT_INT(qube__local_record_parse(&got, bad, strlen(text)), QUBE_E_PROTO);
}

QTEST(run_record, tells_when_a_process_began)
{
	uint64_t one = 0;
	uint64_t two = 0;

	QT_INT(qube__local_pid_start(&one, getpid()), 0);
	QT_INT(qube__local_pid_start(&two, 1), 0);
	QT_TRUE(one > two);
	QT_TRUE(qube__local_pid_start(&one, 0x3fffffff) < 0);
}
