/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The host's memory among qubes that run and one that is started. The machines are the fake
 * driver's, on a host with as much memory as a test says. */
#include "qtest.h"
#include "rig.h"

#include "base/clock.h"
#include "core/host.h"
#include "driver/fake/fake.h"

#include <stdio.h>
#include <string.h>

#define MIB 1024ull

static struct qube__driver_ops ops;
static struct qube__fake_memory memory;
static uint64_t work_uses;
static bool work_gives;
static int looks;

static uint64_t used(void *user, const char *name)
{
	(void)user;
	return !strcmp(name, "work") ? work_uses : 64 * MIB;
}

static bool gives(void *user, const char *name)
{
	(void)user;
	return strcmp(name, "work") || work_gives;
}

static int counted(struct qube__driver *d, uint64_t *total, uint64_t *unused)
{
	looks++;
	return qube__driver_fake.host_memory(d, total, unused);
}

/* A host that divides so many MiB, of which it keeps 50 for itself. */
static struct qube__host *with_memory(qube_ctx *ctx, uint64_t mib)
{
	struct qube__host *h = qube__host_of(ctx);

	work_uses = 100 * MIB;
	work_gives = true;
	looks = 0;
	memory = (struct qube__fake_memory){ .total = mib * MIB, .used = used, .gives = gives };
	qube__fake_memory(h->driver, &memory);
	ops = qube__driver_fake;
	ops.divides_memory = true;
	ops.host_memory = counted;
	h->ops = &ops;
	return h;
}

static int set(qube_domain *d, const char *min, const char *max)
{
	int r = qube_domain_property_set(d, "memory", min);

	return r < 0 ? r : qube_domain_property_set(d, "maxmem", max);
}

static struct qube__run *run_of(struct qube__host *h, const char *name)
{
	return qube__model_vm(h->model, name)->run;
}

static uint64_t has_mib(struct qube__host *h, const char *name)
{
	return qube__fake_has_kb(run_of(h, name)->machine) / MIB;
}

/* Rounds come without waiting for the clock. */
static void rounds(struct qube__host *h, int n)
{
	while (n--) {
		if (!qube__list_empty(&h->memory_round.link))
			qube__timer_set(&h->ctx.loop, &h->memory_round, qube__now_ms());
		qube_ctx_dispatch(&h->ctx, 0);
		rig_drain(&h->ctx);
	}
}

QTEST(memory, a_qube_begins_with_its_memory_and_grows_with_its_need)
{
	CTX ctx = rig_open();
	DOMAIN work = rig_domain(ctx, "work");
	DOMAIN dvm = rig_domain(ctx, "dvm");
	struct qube__host *h = with_memory(ctx, 3000);

	QT_INT(set(work, "400", "2000"), 0);
	QT_INT(set(dvm, "400", "2000"), 0);
	QT_INT(qube_domain_start(work, NULL), 0);
	QT_INT(has_mib(h, "work"), 400);
	QT_INT(qube_domain_start(dvm, NULL), 0);
	rounds(h, 5);
	QT_TRUE(has_mib(h, "work") > 1300 && has_mib(h, "work") < 1600);
	work_uses = 1100 * MIB;
	rounds(h, 10);
	QT_TRUE(has_mib(h, "work") >= 1780 && has_mib(h, "dvm") < 1200);
	QT_TRUE(has_mib(h, "work") + has_mib(h, "dvm") <= 2950);
}

QTEST(memory, there_is_no_timer_where_nothing_can_be_balanced)
{
	CTX ctx = rig_open();
	DOMAIN work = rig_domain(ctx, "work");
	struct qube__host *h = with_memory(ctx, 3000);

	QT_INT(set(work, "400", "0"), 0);
	QT_INT(qube_domain_start(work, NULL), 0);
	QT_TRUE(qube__list_empty(&h->memory_round.link));
	QT_INT(qube_domain_kill(work, NULL), 0);
	QT_INT(set(work, "400", "2000"), 0);
	QT_INT(qube_domain_start(work, NULL), 0);
	QT_TRUE(!qube__list_empty(&h->memory_round.link));
	/* Nor while the one is paused, or once it is gone. */
	QT_INT(qube_domain_pause(work), 0);
	rounds(h, 1);
	QT_TRUE(qube__list_empty(&h->memory_round.link));
	QT_INT(qube_domain_unpause(work), 0);
	QT_TRUE(!qube__list_empty(&h->memory_round.link));
	QT_INT(qube_domain_kill(work, NULL), 0);
	rounds(h, 1);
	QT_TRUE(qube__list_empty(&h->memory_round.link));
}

static int unlimited(struct qube__machine *m, uint64_t target_kb)
{
	(void)m;
	(void)target_kb;
	return QUBE_E_NOTSUP;
}

static int untold(struct qube__machine *m, struct qube__machine_stats *out)
{
	(void)m;
	memset(out, 0, sizeof(*out));
	return 0;
}

QTEST(memory, there_is_no_timer_where_a_machine_cannot_be_limited)
{
	CTX ctx = rig_open();
	DOMAIN work = rig_domain(ctx, "work");
	struct qube__host *h = with_memory(ctx, 3000);

	ops.set_memory = unlimited;
	ops.stats = untold;
	QT_INT(set(work, "400", "2000"), 0);
	QT_INT(qube_domain_start(work, NULL), 0);
	rounds(h, 2);
	QT_TRUE(qube__list_empty(&h->memory_round.link));
}

QTEST(memory, a_driver_without_memory_is_asked_once)
{
	CTX ctx = rig_open();
	DOMAIN work = rig_domain(ctx, "work");
	struct qube__host *h = with_memory(ctx, 3000);

	qube__fake_memory(h->driver, NULL);
	QT_INT(set(work, "400", "2000"), 0);
	QT_INT(qube_domain_start(work, NULL), 0);
	rounds(h, 5);
	QT_TRUE(looks <= 3);
	QT_TRUE(qube__list_empty(&h->memory_round.link));
}

static int refusals;

static int not_of_this_machine(struct qube__machine *m, uint64_t kb)
{
	(void)m;
	(void)kb;
	refusals++;
	return QUBE_E_NOTSUP;
}

static int not_now(struct qube__machine *m, uint64_t kb)
{
	(void)m;
	(void)kb;
	refusals++;
	return qube__fail(QUBE_E_SYSTEM, "not now");
}

QTEST(memory, a_machine_that_cannot_be_changed_is_left_alone)
{
	CTX ctx = rig_open();
	DOMAIN work = rig_domain(ctx, "work");
	struct qube__host *h = with_memory(ctx, 3000);

	ops.set_memory = not_of_this_machine;
	refusals = 0;
	QT_INT(set(work, "400", "2000"), 0);
	QT_INT(qube_domain_start(work, NULL), 0);
	rounds(h, 5);
	QT_INT(refusals, 1);
	QT_TRUE(qube__list_empty(&h->memory_round.link));
	/* One that fails is asked again. */
	QT_INT(qube_domain_kill(work, NULL), 0);
	ops.set_memory = not_now;
	QT_INT(qube_domain_start(work, NULL), 0);
	rounds(h, 5);
	QT_INT(refusals, 6);
	ops.set_memory = qube__driver_fake.set_memory;
	rounds(h, 2);
	QT_TRUE(has_mib(h, "work") > 1900);
}

QTEST(memory, changed_properties_count_from_the_next_round_on)
{
	CTX ctx = rig_open();
	DOMAIN work = rig_domain(ctx, "work");
	struct qube__host *h = with_memory(ctx, 4000);

	QT_INT(set(work, "400", "0"), 0);
	QT_INT(qube_domain_feature_set(work, "memory-hotplug", "1"), 0);
	QT_INT(qube_domain_start(work, NULL), 0);
	rounds(h, 3);
	QT_INT(has_mib(h, "work"), 400);
	QT_INT(qube_domain_property_set(work, "maxmem", "900"), 0);
	rounds(h, 3);
	QT_INT(has_mib(h, "work"), 900);
	QT_INT(set(work, "1200", "1500"), 0);
	rounds(h, 3);
	QT_INT(has_mib(h, "work"), 1500);
	QT_INT(set(work, "300", "600"), 0);
	rounds(h, 3);
	QT_INT(has_mib(h, "work"), 600);
}

QTEST(memory, a_start_that_finds_no_room_says_how_much_is_missing)
{
	struct text t = { 0 };
	CTX ctx = rig_open();
	DOMAIN work = rig_domain(ctx, "work");
	DOMAIN dvm = rig_domain(ctx, "dvm");
	struct qube__host *h = with_memory(ctx, 1000);

	QT_INT(set(work, "700", "0"), 0);
	QT_INT(set(dvm, "400", "0"), 0);
	QT_INT(qube_domain_start(work, NULL), 0);
	{
		SUB sub = rig_record(ctx, &t);

		QT_INT(qube_domain_start(dvm, NULL), QUBE_E_LIMIT);
		QT_STR(qube_error_last()->message,
		       "not enough memory to start 'dvm': 150 MiB of 400 are missing");
		QT_INT(qube_error_last()->detail, QUBE_D_MEMORY);
		rig_drain(ctx);
	}
	QT_TRUE(strstr(t.s, "dvm domain-start-failed") != NULL);
	QT_INT(qube_domain_get_state(dvm), QUBE_STATE_HALTED);
	QT_INT(qube_domain_kill(work, NULL), 0);
	QT_INT(qube_domain_start(dvm, NULL), 0);
	(void)h;
}

/* Until the op has ended, the waits for room without the clock. */
static void hurry(struct qube__host *h, const char *name, int turns)
{
	while (turns-- && run_of(h, name)) {
		struct qube__run *r = run_of(h, name);

		if (!qube__list_empty(&r->room_timer.link))
			qube__timer_set(&h->ctx.loop, &r->room_timer, qube__now_ms());
		qube_ctx_dispatch(&h->ctx, 0);
		rig_drain(&h->ctx);
	}
}

QTEST(memory, room_that_others_have_to_give_back_is_waited_for)
{
	struct qube_op_stage st[16];
	CTX ctx = rig_open();
	DOMAIN work = rig_domain(ctx, "work");
	DOMAIN dvm = rig_domain(ctx, "dvm");
	OP op = NULL;
	struct qube__host *h = with_memory(ctx, 3000);

	memory.step = 200 * MIB;
	QT_INT(set(work, "400", "4000"), 0);
	QT_INT(set(dvm, "1500", "0"), 0);
	QT_INT(qube_domain_start(work, NULL), 0);
	rounds(h, 20);
	QT_TRUE(has_mib(h, "work") > 2800);
	QT_INT(qube_domain_start(dvm, &op), 0);
	hurry(h, "dvm", 2);
	QT_INT(qube_domain_get_state(dvm), QUBE_STATE_TRANSIENT);
	QT_TRUE(run_of(h, "dvm")->machine == NULL);
	/* A round in between gives nobody what was given back for it. */
	rounds(h, 1);
	hurry(h, "dvm", 20);
	QT_INT(qube_op_wait(op, 5000), 0);
	QT_INT(has_mib(h, "dvm"), 1500);
	QT_TRUE(has_mib(h, "work") <= 1450);
	QT_TRUE(qube_op_trace(op, st, 16) > 2);
	QT_STR(st[0].name, "memory");
	QT_INT(run_of(h, "dvm")->room, 0);
}

QTEST(memory, a_qube_that_gives_nothing_back_ends_the_wait)
{
	CTX ctx = rig_open();
	DOMAIN work = rig_domain(ctx, "work");
	DOMAIN dvm = rig_domain(ctx, "dvm");
	OP op = NULL;
	struct qube__host *h = with_memory(ctx, 3000);

	QT_INT(set(work, "400", "4000"), 0);
	QT_INT(set(dvm, "1500", "0"), 0);
	QT_INT(qube_domain_start(work, NULL), 0);
	rounds(h, 20);
	work_gives = false;
	QT_INT(qube_domain_start(dvm, &op), 0);
	hurry(h, "dvm", 2);
	run_of(h, "dvm")->room_late_ms = qube__now_ms();
	hurry(h, "dvm", 2);
	QT_INT(qube_op_wait(op, 5000), QUBE_E_LIMIT);
	QT_TRUE(strstr(qube_op_get_error(op)->message, "were not given back in time") != NULL);
	/* Once it is known for it, nobody waits for it. */
	qube_op_unref(op);
	op = NULL;
	rounds(h, 30);
	QT_INT(qube_domain_start(dvm, &op), 0);
	hurry(h, "dvm", 30);
	QT_INT(qube_op_wait(op, 0), QUBE_E_LIMIT);
}

QTEST(memory, who_is_killed_while_it_waits_for_room_leaves_no_claim)
{
	CTX ctx = rig_open();
	DOMAIN work = rig_domain(ctx, "work");
	DOMAIN dvm = rig_domain(ctx, "dvm");
	OP op = NULL;
	struct qube__host *h = with_memory(ctx, 3000);

	work_gives = false;
	QT_INT(set(work, "400", "4000"), 0);
	QT_INT(set(dvm, "1500", "0"), 0);
	QT_INT(qube_domain_start(work, NULL), 0);
	rounds(h, 20);
	QT_INT(qube_domain_start(dvm, &op), 0);
	hurry(h, "dvm", 1);
	QT_INT(qube_domain_kill(dvm, NULL), 0);
	QT_INT(qube_op_wait(op, 5000), QUBE_E_STATE);
	QT_TRUE(run_of(h, "dvm") == NULL);
	work_gives = true;
	rounds(h, 20);
	QT_TRUE(has_mib(h, "work") > 2800);
}

QTEST(memory, two_that_start_at_once_do_not_get_the_same_room)
{
	CTX ctx = rig_open();
	DOMAIN work = rig_domain(ctx, "work");
	DOMAIN dvm = rig_domain(ctx, "dvm");
	OP one = NULL;
	OP two = NULL;
	struct qube__host *h = with_memory(ctx, 1000);
	int r[2];

	QT_INT(set(work, "700", "0"), 0);
	QT_INT(set(dvm, "700", "0"), 0);
	QT_INT(qube_domain_start(work, &one), 0);
	QT_INT(qube_domain_start(dvm, &two), 0);
	r[0] = qube_op_wait(one, 5000);
	r[1] = qube_op_wait(two, 5000);
	QT_INT(r[0], 0);
	QT_INT(r[1], QUBE_E_LIMIT);
	QT_TRUE(strstr(qube_op_get_error(two)->message, "450 MiB of 700 are missing") != NULL);
	(void)h;
}

QTEST(memory, where_it_is_shared_a_start_needs_no_room)
{
	struct qube_op_stage st[16];
	CTX ctx = rig_open();
	DOMAIN work = rig_domain(ctx, "work");
	OP op = NULL;
	size_t n;

	with_memory(ctx, 300);
	ops.divides_memory = false;
	QT_INT(set(work, "4000", "0"), 0);
	QT_INT(qube_domain_start(work, &op), 0);
	QT_INT(qube_op_wait(op, 5000), 0);
	n = qube_op_trace(op, st, 16);
	for (size_t i = 0; i < n; i++)
		QT_TRUE(strcmp(st[i].name, "memory") != 0);
}

QTEST(memory, what_a_qube_may_use_now_is_told)
{
	struct qube_domain_stats s = { .size = sizeof(s) };
	struct {
		struct qube_domain_stats s;
		uint64_t behind;
	} old = { .behind = 77 };
	CTX ctx = rig_open();
	DOMAIN work = rig_domain(ctx, "work");
	struct qube__host *h = with_memory(ctx, 3000);

	QT_INT(set(work, "400", "2000"), 0);
	QT_INT(qube_domain_start(work, NULL), 0);
	QT_INT(qube_domain_stats_fetch(&s, work), 0);
	QT_TRUE(s.known & QUBE_STATS_TARGET);
	QT_INT(s.target_bytes, 400 * MIB * 1024);
	rounds(h, 3);
	QT_INT(qube_domain_stats_fetch(&s, work), 0);
	QT_INT(s.target_bytes, 2000 * MIB * 1024);
	/* A program that does not know the field is left what is behind its own. */
	old.s.size = offsetof(struct qube_domain_stats, target_bytes);
	old.s.target_bytes = 78;
	QT_INT(qube_domain_stats_fetch(&old.s, work), 0);
	QT_INT(old.s.size, offsetof(struct qube_domain_stats, target_bytes));
	QT_INT(old.s.target_bytes, 78);
	QT_INT(old.behind, 77);
	/* Shared, and the driver never took a target: nobody tells it. */
	QT_INT(qube_domain_kill(work, NULL), 0);
	ops.divides_memory = false;
	ops.set_memory = not_of_this_machine;
	QT_INT(qube_domain_start(work, NULL), 0);
	rounds(h, 3);
	QT_INT(qube_domain_stats_fetch(&s, work), 0);
	QT_TRUE(!(s.known & QUBE_STATS_TARGET) && !s.target_bytes);
}
