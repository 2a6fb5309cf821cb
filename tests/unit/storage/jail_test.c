/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The real worker, looked at from outside while it waits for its next job. */
#include "qtest.h"
#include "util.h"

#include "event/job.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static int done_code;

static void on_done(void *user, int code, const struct qube__job_reply *result)
{
	(void)result;
	done_code = code;
	*(int *)user = 1;
}

static int is_set(void *arg)
{
	return *(int *)arg;
}

static const char *field(int pid, const char *name)
{
	static char value[64];
	char path[64];
	const char *found;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	found = strstr(get_file(path), name);
	value[0] = '\0';
	if (found)
		sscanf(found + strlen(name), " %63s", value);
	return value;
}

static int same_namespace(int pid, const char *which)
{
	char ours[64] = "";
	char theirs[64] = "";
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", which);
	if (readlink(path, ours, sizeof(ours) - 1) < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, which);
	if (readlink(path, theirs, sizeof(theirs) - 1) < 0)
		return -1;
	return strcmp(ours, theirs) == 0;
}

QTEST(jail, threat_17_the_worker_has_no_root_no_network_and_few_rights)
{
	struct qube__job_request req = { .type = QUBE__JOB_USAGE };
	int done = 0;
	struct qube__job_cb cb = { .user = &done, .done = on_done };
	int dir = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct qube__helper *h;
	struct qube__loop loop;
	char path[64];
	int pid;

	QT_INT(qube__loop_init(&loop), 0);
	QT_INT(qube__helper_create(&h, &loop, QUBE_TEST_WORKER, NULL), 0);
	QT_INT(qube__job_start(NULL, h, &req, &dir, &cb), 0);
	QT_INT(wait_until(&loop, is_set, &done), 0);
	QT_INT(done_code, 0);
	close(dir);
	pid = qube__helper_pid(h);
	QT_STR(field(pid, "NoNewPrivs:"), "1");
	QT_STR(field(pid, "Seccomp:"), SANITIZED ? "0" : "2");
	/* chown, dac_override, fowner, fsetid, setfcap */
	QT_STR(field(pid, "CapEff:"), "000000008000001b");
	QT_STR(field(pid, "CapPrm:"), "000000008000001b");
	QT_STR(field(pid, "CapBnd:"), "000000008000001b");
	QT_STR(field(pid, "CapInh:"), "0000000000000000");
	QT_INT(same_namespace(pid, "net"), 0);
	QT_INT(same_namespace(pid, "mnt"), 0);
	QT_INT(same_namespace(pid, "ipc"), 0);
	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	QT_INT(count_entries(path), 0);
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	QT_INT(count_entries(path), 4); /* null, null, its errors, the channel: threat 14 */
	qube__helper_destroy(h);
	qube__loop_fini(&loop);
}

QTEST(jail, threat_17_a_worker_that_copies_is_the_user_who_asked)
{
	struct qube__job_request req = { .type = QUBE__JOB_SEND,
					 .n_args = 1,
					 .args = { "shadow" } };
	int done = 0;
	struct qube__job_cb cb = { .user = &done, .done = on_done };
	int fds[2] = { open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		       open("/dev/null", O_WRONLY | O_CLOEXEC) };
	struct qube__helper *h;
	struct qube__loop loop;
	char path[64];
	int pid;

	QT_INT(qube__loop_init(&loop), 0);
	QT_INT(qube__helper_create(&h, &loop, QUBE_TEST_WORKER, "--as=65533:65532"), 0);
	QT_INT(qube__job_start(NULL, h, &req, fds, &cb), 0);
	QT_INT(wait_until(&loop, is_set, &done), 0);
	QT_TRUE(done_code < 0); /* of /etc he may not read all */
	pid = qube__helper_pid(h);
	QT_STR(field(pid, "Uid:"), "65533");
	QT_STR(field(pid, "Gid:"), "65532");
	QT_STR(field(pid, "Groups:"), "NStgid:"); /* none */
	QT_STR(field(pid, "CapEff:"), "0000000000000000");
	QT_STR(field(pid, "CapPrm:"), "0000000000000000");
	QT_STR(field(pid, "CapBnd:"), "0000000000000000");
	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	QT_INT(count_entries(path), 0);
	close(fds[0]);
	close(fds[1]);
	qube__helper_destroy(h);
	qube__loop_fini(&loop);
}
