/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * base/ with each allocation failing in turn. */
#include "qtest.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/spawn.h"
#include "base/text.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

QTEST(oom, the_shim_fails_the_nth_allocation_and_only_that_one)
{
	void *volatile p[3];

	qtest_oom_arm(2);
	for (int i = 0; i < 3; i++)
		p[i] = malloc(1);
	QT_INT(qtest_oom_disarm(), 1);
	QT_TRUE(p[0] && !p[1] && p[2]);
	free(p[0]);
	free(p[2]);
	qtest_oom_arm(1);
	QT_INT(qtest_oom_disarm(), 0);
	p[0] = malloc(1);
	QT_TRUE(p[0] != NULL);
	free(p[0]);
}

/* Grows twice: a first block, then a larger one. */
static int fill_buf(struct qube__buf *b)
{
	uint8_t block[700] = { 0 };
	int r = qube__buf_append(b, "ab", 2);

	if (r == 0)
		r = qube__buf_printf(b, "%0600d", 1);
	if (r == 0)
		r = qube__buf_append(b, block, sizeof(block));
	return r;
}

QTEST(oom, buf_survives_every_failed_allocation)
{
	struct qube__buf b;

	qube__buf_init(&b, 4096);
	QT_EACH_OOM((qube__buf_fini(&b), fill_buf(&b)), (void)0);
	QT_INT(b.len, 1302);
	qube__buf_fini(&b);
}

QTEST(oom, buf_keeps_its_content_when_growing_fails)
{
	struct qube__buf b;

	qube__buf_init(&b, 4096);
	QT_INT(qube__buf_append(&b, "keep", 4), 0);
	qtest_oom_arm(1);
	QT_INT(qube__buf_printf(&b, "%02000d", 1), QUBE_E_NOMEM);
	QT_INT(qtest_oom_disarm(), 1);
	QT_INT(b.len, 4);
	qtest_oom_arm(1);
	QT_TRUE(qube__buf_take_string(&b) == NULL);
	qtest_oom_disarm();
	QT_MEM(qube__buf_data(&b), "keep", 4);
	qube__buf_fini(&b);
}

static int format_text(char **out)
{
	*out = qube__text_format("%s-%d", "qube", 7);
	return *out ? 0 : QUBE_E_NOMEM;
}

QTEST(oom, text_format_returns_null)
{
	char *s = NULL;

	QT_EACH_OOM(format_text(&s), free(s));
}

QTEST(oom, read_file_survives_every_failed_allocation)
{
	char *text = NULL;

	/* A file of /proc says size 0, so reading it grows the buffer as well. */
	QT_EACH_OOM(qube__io_read_file(&text, NULL, AT_FDCWD, "/proc/self/smaps", 1 << 20),
		    (free(text), text = NULL));
	qtest_oom_arm(1);
	QT_INT(qube__io_read_file(&text, NULL, AT_FDCWD, "/proc/self/stat", 4096), QUBE_E_NOMEM);
	qtest_oom_disarm();
	QT_TRUE(text == NULL);
	QT_INT(qube_error_last()->code, QUBE_E_NOMEM);
	QT_TRUE(*qube_error_last()->message != '\0');
}

static int spawn_true(void)
{
	const char *const argv[] = { "true", NULL };
	struct qube__spawn s = { .path = "/bin/true", .exec_fd = -1, .argv = argv };
	struct qube__child c;
	struct pollfd p = { .events = POLLIN };
	int r = qube__spawn(&c, &s);

	if (r < 0)
		return r;
	p.fd = c.pidfd;
	poll(&p, 1, 10000);
	return qube__child_reap(&c);
}

QTEST(oom, spawn_survives_every_failed_allocation)
{
	QT_EACH_OOM(spawn_true(), (void)0);
}
