/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "driver/driver.h"

#include <qube/error.h>

struct seen {
	int events[8];
	int n;
};

static void on_machine(void *user, struct qube__machine *m, void *machine_user,
		       enum qube__machine_event event, int status)
{
	struct seen *s = machine_user;

	(void)user;
	(void)m;
	(void)status;
	if (s->n < 8)
		s->events[s->n++] = (int)event;
}

QTEST(driver_fake, reports_a_life_from_the_loop_only)
{
	const struct qube__driver_ops *ops = &qube__driver_fake;
	struct qube__loop loop;
	struct qube__driver_env env = { .loop = &loop, .on_machine = on_machine };
	struct qube__machine_spec spec = { .name = "a" };
	struct qube__machine_stats stats;
	struct qube__driver *d;
	struct qube__machine *m;
	struct seen s = { .n = 0 };
	int fd = -7;

	QT_INT(qube__loop_init(&loop), 0);
	QT_INT(ops->open(&d, &env), 0);
	QT_INT(ops->create(d, &m, &s, &spec), 0);
	QT_INT(s.n, 0);
	QT_INT(ops->run(m), QUBE_E_STATE);
	qube__loop_dispatch(&loop, 0);
	QT_INT(s.events[0], QUBE__MACHINE_HELD);
	QT_INT(ops->run(m), 0);
	QT_INT(s.n, 1);
	qube__loop_dispatch(&loop, 0);
	QT_INT(s.events[1], QUBE__MACHINE_RUNNING);
	QT_INT(ops->control_connect(m, &fd), QUBE_E_NOTSUP);
	QT_INT(fd, -7);
	QT_INT(ops->pause(m), 0);
	QT_INT(ops->pause(m), QUBE_E_STATE);
	QT_INT(ops->unpause(m), 0);
	QT_INT(ops->stats(m, &stats), 0);
	QT_TRUE(stats.start_time_ms > 0);
	QT_INT(ops->shutdown(m), 0);
	QT_INT(s.n, 2);
	qube__loop_dispatch(&loop, 0);
	QT_INT(s.events[2], QUBE__MACHINE_STOPPED);
	QT_INT(ops->kill(m), QUBE_E_STATE);
	ops->release(m);
	ops->close(d);
	qube__loop_fini(&loop);
}

QTEST(driver_fake, a_machine_may_be_killed_before_it_is_held_and_released_after_close)
{
	const struct qube__driver_ops *ops = &qube__driver_fake;
	struct qube__loop loop;
	struct qube__driver_env env = { .loop = &loop, .on_machine = on_machine };
	struct qube__machine_spec spec = { .name = "a" };
	struct qube__driver *d;
	struct qube__machine *m;
	struct qube__machine *other;
	struct seen s = { .n = 0 };

	QT_INT(qube__loop_init(&loop), 0);
	QT_INT(ops->open(&d, &env), 0);
	QT_INT(ops->create(d, &m, &s, &spec), 0);
	QT_INT(ops->create(d, &other, &s, &spec), 0);
	QT_INT(ops->kill(m), 0);
	ops->close(d);
	qube__loop_dispatch(&loop, 0);
	QT_INT(s.n, 0);
	ops->release(m);
	ops->release(other);
	qube__loop_fini(&loop);
}
