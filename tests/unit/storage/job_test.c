/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"
#include "util.h"

#include "base/error.h"
#include "event/job.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct seen {
	int done;
	int code;
	int progress;
	char message[256];
	struct qube__helper *again; /* start another job from done */
};

static void on_done(void *user, int code, const struct qube__job_reply *result);

static int start(struct qube__helper *h, struct seen *s, const char *what, struct qube__job **out)
{
	struct qube__job_request req = { .type = QUBE__JOB_REMOVE_TREE, .n_args = 1 };
	struct qube__job_cb cb = { .user = s, .done = on_done };
	int dir = open("/", O_PATH | O_CLOEXEC);
	int r;

	req.args[0] = what;
	r = qube__job_start(out, h, &req, &dir, &cb);
	close(dir);
	return r;
}

static void on_done(void *user, int code, const struct qube__job_reply *result)
{
	struct seen *s = user;
	struct qube__helper *again = s->again;

	(void)result;
	s->done++;
	s->code = code;
	if (code < 0)
		snprintf(s->message, sizeof(s->message), "%s", qube_error_last()->message);
	s->again = NULL;
	if (again)
		start(again, s, "well", NULL);
}

static int is_done(void *arg)
{
	return ((struct seen *)arg)->done > 0;
}

static int is_twice(void *arg)
{
	return ((struct seen *)arg)->done > 1;
}

struct fixture {
	struct qube__loop loop;
	struct qube__helper *h;
};

static int setup(struct fixture *f, const char *path)
{
	int r = qube__loop_init(&f->loop);

	return r < 0 ? r : qube__helper_create(&f->h, &f->loop, path, NULL);
}

static void teardown(struct fixture *f)
{
	qube__helper_destroy(f->h);
	qube__loop_fini(&f->loop);
}

QTEST(job, starts_no_program_before_it_is_needed)
{
	struct seen s = { 0 };
	struct fixture f;

	QT_INT(setup(&f, QUBE_TEST_HELPER), 0);
	QT_INT(qube__helper_pid(f.h), 0);
	QT_INT(start(f.h, &s, "well", NULL), 0);
	QT_INT(s.done, 0);
	QT_INT(wait_until(&f.loop, is_done, &s), 0);
	QT_INT(s.code, 0);
	QT_TRUE(qube__helper_pid(f.h) > 0);
	teardown(&f);
}

QTEST(job, death_of_the_helper_fails_its_job_and_the_next_gets_a_new_one)
{
	struct seen first = { 0 };
	struct seen second = { 0 };
	struct fixture f;
	int pid;

	QT_INT(setup(&f, QUBE_TEST_HELPER), 0);
	QT_INT(start(f.h, &first, "die", NULL), 0);
	QT_INT(start(f.h, &second, "well", NULL), 0);
	for (int i = 0; i < 100 && !qube__helper_pid(f.h); i++)
		QT_TRUE(qube__loop_dispatch(&f.loop, 100) >= 0);
	pid = qube__helper_pid(f.h);
	QT_TRUE(pid > 0);
	QT_INT(wait_until(&f.loop, is_done, &first), 0);
	QT_INT(first.code, QUBE_E_CLOSED);
	QT_TRUE(strstr(first.message, "status") != NULL || strstr(first.message, "signal") != NULL);
	QT_INT(wait_until(&f.loop, is_done, &second), 0);
	QT_INT(second.code, 0);
	QT_TRUE(qube__helper_pid(f.h) > 0 && qube__helper_pid(f.h) != pid);
	teardown(&f);
}

static int has_stopped(void *arg)
{
	return qube__helper_pid(arg) == 0;
}

QTEST(job, a_helper_that_ends_after_its_answer_fails_nothing)
{
	struct fixture f;

	QT_INT(setup(&f, QUBE_TEST_HELPER), 0);
	for (int i = 0; i < 20; i++) {
		struct seen s = { 0 };

		QT_INT(start(f.h, &s, "last", NULL), 0);
		QT_INT(wait_until(&f.loop, is_done, &s), 0);
		QT_INT(s.code, 0);
		QT_INT(wait_until(&f.loop, has_stopped, f.h), 0);
	}
	teardown(&f);
}

QTEST(job, garbage_and_answers_to_other_jobs_end_the_helper)
{
	static const char *const bad[] = { "garbage", "other" };
	struct fixture f;

	QT_INT(setup(&f, QUBE_TEST_HELPER), 0);
	for (int i = 0; i < 2; i++) {
		struct seen s = { 0 };

		QT_INT(start(f.h, &s, bad[i], NULL), 0);
		QT_INT(wait_until(&f.loop, is_done, &s), 0);
		QT_INT(s.code, QUBE_E_CLOSED);
		QT_INT(s.done, 1);
	}
	teardown(&f);
}

QTEST(job, cancel_ends_a_running_and_a_waiting_job)
{
	struct seen running = { 0 };
	struct seen waiting = { 0 };
	struct qube__job *j;
	struct qube__job *k;
	struct fixture f;

	QT_INT(setup(&f, QUBE_TEST_HELPER), 0);
	QT_INT(start(f.h, &running, "hang", &j), 0);
	QT_INT(start(f.h, &waiting, "well", &k), 0);
	for (int i = 0; i < 3; i++)
		qube__loop_dispatch(&f.loop, 10);
	qube__job_cancel(k);
	QT_INT(waiting.done, 0);
	QT_INT(wait_until(&f.loop, is_done, &waiting), 0);
	QT_INT(waiting.code, QUBE_E_CANCELED);
	QT_INT(running.done, 0);
	qube__job_cancel(j);
	QT_INT(wait_until(&f.loop, is_done, &running), 0);
	QT_INT(running.code, QUBE_E_CANCELED);
	teardown(&f);
}

QTEST(job, destroy_ends_all_jobs_once)
{
	struct seen a = { 0 };
	struct seen b = { 0 };
	struct fixture f;

	QT_INT(setup(&f, QUBE_TEST_HELPER), 0);
	QT_INT(start(f.h, &a, "hang", NULL), 0);
	QT_INT(start(f.h, &b, "hang", NULL), 0);
	for (int i = 0; i < 3; i++)
		qube__loop_dispatch(&f.loop, 10);
	teardown(&f);
	QT_INT(a.done, 1);
	QT_INT(b.done, 1);
	QT_INT(a.code, QUBE_E_CANCELED);
	QT_INT(b.code, QUBE_E_CANCELED);
}

QTEST(job, a_missing_helper_fails_each_job_with_its_path)
{
	struct seen s = { 0 };
	struct fixture f;

	QT_INT(setup(&f, "/nonexistent/qube-worker"), 0);
	s.again = f.h;
	QT_INT(start(f.h, &s, "well", NULL), 0);
	QT_INT(wait_until(&f.loop, is_twice, &s), 0);
	QT_INT(s.code, QUBE_E_SYSTEM);
	QT_TRUE(strstr(s.message, "/nonexistent/qube-worker") != NULL);
	teardown(&f);
}

QTEST(job, an_idle_helper_is_stopped)
{
	struct seen s = { 0 };
	struct fixture f;

	QT_INT(setup(&f, QUBE_TEST_HELPER), 0);
	qube__helper_set_idle(f.h, 20);
	QT_INT(start(f.h, &s, "well", NULL), 0);
	QT_INT(wait_until(&f.loop, is_done, &s), 0);
	QT_INT(wait_until(&f.loop, has_stopped, f.h), 0);
	teardown(&f);
}
