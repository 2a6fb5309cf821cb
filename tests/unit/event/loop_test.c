/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "base/clock.h"
#include "event/loop.h"

#include <poll.h>
#include <unistd.h>

struct pair {
	struct qube__loop loop;
	struct qube__source a;
	struct qube__source b;
	int calls_a;
	int calls_b;
};

static struct pair P;

static void on_a(struct qube__source *s, uint32_t ev)
{
	(void)ev;
	P.calls_a++;
	qube__source_remove(&P.loop, &P.b);
	qube__source_remove(&P.loop, s);
}

static void on_b(struct qube__source *s, uint32_t ev)
{
	(void)ev;
	P.calls_b++;
	qube__source_remove(&P.loop, &P.a);
	qube__source_remove(&P.loop, s);
}

QTEST(loop, a_source_removed_in_the_same_round_is_not_called)
{
	int p[2];
	int q[2];

	memset(&P, 0, sizeof(P));
	QT_INT(qube__loop_init(&P.loop), 0);
	QT_INT(pipe(p), 0);
	QT_INT(pipe(q), 0);
	QT_INT(write(p[1], "x", 1), 1);
	QT_INT(write(q[1], "x", 1), 1);
	QT_INT(qube__source_add(&P.loop, &P.a, p[0], EPOLLIN, on_a), 0);
	QT_INT(qube__source_add(&P.loop, &P.b, q[0], EPOLLIN, on_b), 0);
	QT_INT(qube__loop_dispatch(&P.loop, 1000), 1); /* look again */
	QT_INT(P.calls_a + P.calls_b, 1);
	QT_INT(qube__loop_dispatch(&P.loop, 0), 0);
	QT_INT(P.calls_a + P.calls_b, 1);
	qube__loop_fini(&P.loop);
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
}

static int order[4];
static int fired;
static struct qube__timer timers[3];

static void on_timer(struct qube__timer *t)
{
	order[fired++] = (int)(t - timers);
}

QTEST(loop, timers_fire_in_order_of_deadline)
{
	struct qube__loop l;
	uint64_t now = qube__now_ms();

	fired = 0;
	QT_INT(qube__loop_init(&l), 0);
	for (int i = 0; i < 3; i++)
		qube__timer_init(&timers[i], on_timer);
	qube__timer_set(&l, &timers[0], now + 30);
	qube__timer_set(&l, &timers[1], now + 10);
	qube__timer_set(&l, &timers[2], now + 20);
	qube__timer_set(&l, &timers[0], now + 5);
	while (fired < 3)
		QT_TRUE(qube__loop_dispatch(&l, 1000) >= 0);
	QT_INT(order[0], 0);
	QT_INT(order[1], 1);
	QT_INT(order[2], 2);
	qube__loop_fini(&l);
}

static struct qube__loop *again_loop;
static int again_left;

static void on_again(struct qube__source *s, uint32_t ev)
{
	(void)ev;
	if (--again_left > 0)
		qube__source_again(again_loop, s);
}

QTEST(loop, again_keeps_the_descriptor_readable_until_drained)
{
	struct qube__loop l;
	struct qube__source s = { 0 };
	struct pollfd pfd;
	int p[2];
	int rounds = 0;

	QT_INT(qube__loop_init(&l), 0);
	QT_INT(pipe(p), 0);
	again_loop = &l;
	again_left = 3;
	QT_INT(qube__source_add(&l, &s, p[0], EPOLLIN, on_again), 0);
	qube__source_again(&l, &s);
	pfd = (struct pollfd){ .fd = l.epfd, .events = POLLIN };
	while (poll(&pfd, 1, 0) == 1 && rounds < 10) {
		qube__loop_dispatch(&l, 0);
		rounds++;
	}
	QT_INT(again_left, 0);
	QT_INT(rounds, 3);
	qube__source_remove(&l, &s);
	qube__loop_fini(&l);
	close(p[0]);
	close(p[1]);
}

/* The linker hands our objects' clock to this one: the wall's is set, the monotonic one is not. */
int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
static time_t wall_offset;
static int wall_reads;

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int r = __real_clock_gettime(id, ts);

	if (id == CLOCK_REALTIME) {
		ts->tv_sec += wall_offset;
		wall_reads++;
	}
	return r;
}

QTEST(loop, a_clock_that_is_set_moves_no_timer)
{
	static const time_t jumps[] = { 0, 86400, -86400, 86400 * 365, -86400 * 365 };
	struct qube__loop l;
	uint64_t before = qube__wall_ms();

	wall_offset = 7200;
	QT_TRUE(qube__wall_ms() - before >= 7200000); /* it is our clock that is read */
	QT_INT(qube__loop_init(&l), 0);
	qube__timer_init(&timers[0], on_timer);
	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		uint64_t begin = qube__now_ms();

		fired = 0;
		wall_reads = 0;
		qube__timer_set(&l, &timers[0], begin + 30);
		wall_offset = jumps[i];
		QT_TRUE(qube__loop_dispatch(&l, 10) >= 0);
		QT_INT(fired, 0);
		wall_offset = -jumps[i];
		while (!fired && qube__now_ms() < begin + 5000)
			QT_TRUE(qube__loop_dispatch(&l, 5000) >= 0);
		QT_INT(fired, 1);
		QT_TRUE(qube__now_ms() >= begin + 30 && qube__now_ms() < begin + 3000);
		QT_INT(wall_reads, 0);
	}
	qube__loop_fini(&l);
}
