/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What qubes use and what the machine can do, in this process and over a socket. */
#include "qtest.h"
#include "rig.h"

static bool is_made_up(const struct qube_domain_stats *s)
{
	return s->memory_bytes == 64u << 20 && s->cpu_ns == 250000000 && s->pids == 3 &&
	       s->start_time_ms && !s->read_bytes && !s->write_bytes &&
	       s->known ==
		       (QUBE_STATS_MEMORY | QUBE_STATS_CPU | QUBE_STATS_PIDS | QUBE_STATS_START);
}

QTEST(stats, of_a_running_qube_say_which_numbers_were_measured)
{
	struct qube_domain_stats s = { .size = sizeof(s) };
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");

	QT_INT(qube_domain_start(d, NULL), 0);
	QT_INT(qube_domain_stats_fetch(&s, d), 0);
	QT_INT(s.size, sizeof(s));
	QT_TRUE(is_made_up(&s));
}

QTEST(stats, of_a_halted_qube_there_are_none)
{
	struct qube_domain_stats s = { .size = sizeof(s), .pids = 7 };
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	DOMAIN host = rig_domain(ctx, "dom0");

	QT_INT(qube_domain_stats_fetch(&s, d), QUBE_E_STATE);
	QT_INT(qube_domain_stats_fetch(&s, host), QUBE_E_STATE);
	QT_INT(s.pids, 7);
	s.size = 4;
	QT_INT(qube_domain_stats_fetch(&s, d), QUBE_E_INVALID);
}

QTEST(stats, come_over_a_socket_unchanged)
{
	struct qube_domain_stats s = { .size = sizeof(s) };
	struct rig_server server;
	int halted;
	int running;

	QT_INT(rig_serve(&server), 0);
	{
		CTX ctx = rig_connect(&server);
		DOMAIN d = rig_domain(ctx, "work");

		halted = qube_domain_stats_fetch(&s, d);
		running = qube_domain_start(d, NULL);
		if (running == 0)
			running = qube_domain_stats_fetch(&s, d);
	}
	rig_serve_end(&server);
	QT_INT(halted, QUBE_E_STATE);
	QT_INT(running, 0);
	QT_TRUE(is_made_up(&s));
}

QTEST(host_check, of_a_host_in_memory_needs_nothing_also_over_a_socket)
{
	struct qube_check *list = NULL;
	struct rig_server server;
	size_t n = 0;
	int r = -1;
	CTX here = rig_open();

	QT_INT(qube_ctx_host_check(&list, &n, here), QUBE_CHECK_OK);
	QT_INT(n, 1);
	QT_STR(list[0].name, "driver");
	qube_free(list);
	list = NULL;
	QT_INT(rig_serve(&server), 0);
	{
		CTX ctx = rig_connect(&server);

		r = qube_ctx_host_check(&list, &n, ctx);
	}
	rig_serve_end(&server);
	QT_INT(r, QUBE_CHECK_OK);
	QT_INT(n, 1);
	QT_STR(list[0].detail, "fake: qubes are only remembered");
	qube_free(list);
}

QTEST(host_check, of_this_machine_answers_with_the_worst)
{
	struct qube_check *list = NULL;
	size_t n = 0;
	int r = qube_host_check(&list, &n, NULL, "/nonexistent");
	uint32_t worst = 0;

	for (size_t i = 0; i < n; i++)
		worst = list[i].outcome > worst ? list[i].outcome : worst;
	qube_free(list);
	QT_TRUE(n > 0);
	QT_INT(r, worst);
	QT_INT(r, QUBE_CHECK_FAIL); /* no helper programs there */
}

QTEST(host_check, of_the_driver_that_is_asked_for)
{
	struct qube_check *list = NULL;
	size_t n = 0;

	QT_INT(qube_host_check(&list, &n, "floppy", NULL), QUBE_E_NOENT);
	QT_INT(qube_host_check(&list, &n, "xen", "/nonexistent"), QUBE_CHECK_FAIL);
	QT_STR(list[0].name, "Xen");
	QT_STR(list[n - 1].name, "disks");
	qube_free(list);
}
