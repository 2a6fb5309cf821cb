/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A driver that refuses, forgets and fails: what core makes of it. The machines are the fake
 * driver's; single calls are replaced. */
#include "qtest.h"
#include "rig.h"

#include "base/error.h"
#include "core/host.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct qube__driver_ops ops;
static int connects;

static struct qube__host *scripted(qube_ctx *ctx)
{
	struct qube__host *h = qube__host_of(ctx);

	ops = qube__driver_fake;
	h->ops = &ops;
	connects = 0;
	return h;
}

static int no_create(struct qube__driver *d, struct qube__machine **out, void *user,
		     const struct qube__machine_spec *spec)
{
	(void)d;
	(void)out;
	(void)user;
	(void)spec;
	return qube__fail(QUBE_E_LIMIT, "no room");
}

static int refuse(struct qube__machine *m)
{
	(void)m;
	return qube__fail(QUBE_E_SYSTEM, "the driver refuses");
}

static int ignore(struct qube__machine *m)
{
	(void)m;
	return 0;
}

QTEST(driver, a_machine_that_cannot_be_created_leaves_the_qube_halted)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	OP op = NULL;

	scripted(ctx);
	ops.create = no_create;
	QT_INT(qube_domain_start(d, NULL), QUBE_E_LIMIT);
	QT_STR(qube_error_last()->message, "no room");
	QT_INT(qube_domain_start(d, &op), 0);
	QT_INT(qube_op_wait(op, 0), QUBE_E_LIMIT);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_HALTED);
	ops.create = qube__driver_fake.create;
	QT_INT(qube_domain_start(d, NULL), 0);
}

QTEST(driver, a_disposable_that_cannot_start_is_removed)
{
	struct qube_domain_create_opts o = {
		.size = sizeof(o),
		.flags = QUBE_DOMAIN_CREATE_DISPOSABLE,
		.template_name = "dvm",
	};
	CTX ctx = rig_open();
	DOMAIN d = NULL;

	scripted(ctx);
	QT_INT(qube_domain_create(&d, ctx, &o), 0);
	ops.create = no_create;
	QT_INT(qube_domain_start(d, NULL), QUBE_E_LIMIT);
	QT_INT(qube_domain_start(d, NULL), QUBE_E_NOENT);
}

QTEST(driver, a_machine_that_cannot_be_run_is_taken_down)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");

	scripted(ctx);
	ops.run = refuse;
	QT_INT(qube_domain_start(d, NULL), QUBE_E_SYSTEM);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_HALTED);
}

QTEST(driver, a_shutdown_that_is_refused_does_not_kill_later)
{
	struct qube_domain_shutdown_opts o = {
		.size = sizeof(o),
		.flags = QUBE_DOMAIN_SHUTDOWN_OR_KILL,
		.timeout_ms = 10,
	};
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");

	scripted(ctx);
	QT_INT(qube_domain_start(d, NULL), 0);
	ops.shutdown = refuse;
	QT_INT(qube_domain_shutdown(d, &o, NULL), QUBE_E_SYSTEM);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_RUNNING);
	/* No timer is left behind: nothing to wait for. */
	QT_TRUE(qube__list_empty(&ctx->loop.timers));
}

QTEST(driver, a_guest_that_does_not_stop_runs_on_after_its_time)
{
	struct qube_domain_shutdown_opts o = { .size = sizeof(o), .timeout_ms = 10 };
	static struct text t;
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	SUB sub = NULL;

	scripted(ctx);
	ops.shutdown = ignore;
	QT_INT(qube_domain_start(d, NULL), 0);
	rig_drain(ctx);
	t = (struct text){ 0 };
	sub = rig_record(ctx, &t);
	QT_INT(qube_domain_shutdown(d, &o, NULL), QUBE_E_TIMEOUT);
	QT_INT(qube_error_last()->detail, QUBE_D_VM_SHUTDOWN_TIMEOUT);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_RUNNING);
	rig_drain(ctx);
	QT_STR(t.s, "work domain-pre-shutdown force=False\n"
		    "work domain-shutdown-failed reason=Domain shutdown timed out: 'work'\n");
	o.flags = QUBE_DOMAIN_SHUTDOWN_OR_KILL;
	QT_INT(qube_domain_shutdown(d, &o, NULL), 0);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_HALTED);
	(void)sub;
}

QTEST(driver, the_most_impatient_shutdown_counts)
{
	struct qube_domain_shutdown_opts patient = { .size = sizeof(patient), .timeout_ms = -1 };
	struct qube_domain_shutdown_opts now = {
		.size = sizeof(now),
		.flags = QUBE_DOMAIN_SHUTDOWN_OR_KILL,
		.timeout_ms = 10,
	};
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	OP first = NULL;

	scripted(ctx);
	ops.shutdown = ignore;
	QT_INT(qube_domain_start(d, NULL), 0);
	QT_INT(qube_domain_shutdown(d, &patient, &first), 0);
	QT_INT(qube_domain_shutdown(d, &now, NULL), 0);
	QT_INT(qube_op_wait(first, 0), 0);
}

QTEST(driver, a_kill_that_fails_changes_nothing)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");

	scripted(ctx);
	QT_INT(qube_domain_start(d, NULL), 0);
	ops.kill = refuse;
	QT_INT(qube_domain_kill(d, NULL), QUBE_E_SYSTEM);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_RUNNING);
	ops.kill = qube__driver_fake.kill;
	QT_INT(qube_domain_kill(d, NULL), 0);
}

QTEST(driver, a_start_without_an_answer_ends_at_its_time)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");

	scripted(ctx);
	ops.run = ignore;
	QT_INT(qube_domain_property_set(d, "qrexec_timeout", "1"), 0);
	QT_INT(qube_domain_start(d, NULL), QUBE_E_TIMEOUT);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_HALTED);
}

static int count_connect(struct qube__machine *m, int *out_fd)
{
	(void)m;
	(void)out_fd;
	connects++;
	return qube__fail(QUBE_E_SYSTEM, "nobody answers");
}

QTEST(driver, an_agent_that_keeps_failing_is_left_alone)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	struct qube__host *h = scripted(ctx);
	struct qube__vm *vm = qube__model_vm(h->model, "work");

	ops.control_connect = count_connect;
	QT_INT(qube_domain_start(d, NULL), 0);
	ops.isolation = QUBE__ISOLATION_KERNEL_SHARED; /* one with agents */
	for (int i = 0; i < 100; i++)
		qube__life_guest_down(vm->run, "it broke the protocol");
	QT_TRUE(connects > 0 && connects <= 8);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_RUNNING);
}

QTEST(driver, a_host_closes_over_guests_that_run_start_and_stop)
{
	qube_ctx *ctx = rig_open();
	qube_domain *d = rig_domain(ctx, "work");
	qube_domain *dvm = rig_domain(ctx, "dvm");
	qube_domain *deb = rig_domain(ctx, "deb");
	qube_op *op[3] = { NULL };
	struct qube__host *h = scripted(ctx);

	(void)h;
	ops.shutdown = ignore;
	QT_INT(qube_domain_start(d, NULL), 0);
	QT_INT(qube_domain_shutdown(d, NULL, &op[0]), 0);
	QT_INT(qube_domain_start(dvm, &op[1]), 0);
	QT_INT(qube_domain_start(deb, NULL), 0);
	QT_INT(qube_domain_pause(deb), 0);
	for (int i = 0; i < 3; i++)
		qube_op_unref(op[i]);
	qube_domain_unref(d);
	qube_domain_unref(dvm);
	qube_domain_unref(deb);
	qube_ctx_unref(ctx);
}
