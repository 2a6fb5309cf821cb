/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the broker may bring about: decisions, disposables, calls to the host. The test is the
 * broker, one that a guest took over included. */
#include "qtest.h"
#include "rig.h"

#include "base/error.h"
#include "core/host.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GUEST = 7 };

struct broker {
	qube_ctx *ctx;
	struct qube__host *h;
	int sock;
	char dir[64];
	uint8_t packet[QUBE__RPC_MSG_MAX];
	int served; /* calls that reached the Admin API's end of core */
};

static struct broker *now;

static void count_service(struct qube__host *h, const struct qube__host_service *s)
{
	(void)h;
	(void)s;
	now->served++;
}

static int write_policy(struct broker *b, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(b->dir, sizeof(b->dir), "/tmp/qube-test-XXXXXX");
	if (!mkdtemp(b->dir))
		return -1;
	for (int i = 0; i < 3; i++) {
		static const char *const dirs[] = { "policy.d", "run.d", "legacy" };

		snprintf(path, sizeof(path), "%s/%s", b->dir, dirs[i]);
		if (mkdir(path, 0700) < 0)
			return -1;
	}
	snprintf(path, sizeof(path), "%s/policy.d/30.policy", b->dir);
	f = fopen(path, "w");
	if (!f)
		return -1;
	fputs(text, f);
	return fclose(f);
}

static void broker_end(struct broker *b)
{
	char command[128];

	if (b->ctx) {
		close(b->h->sock);
		b->h->sock = -1;
		qube_ctx_unref(b->ctx);
	}
	if (b->sock >= 0)
		close(b->sock);
	for (int i = 0; i < 4; i++) {
		static const char *const names[] = { "policy.d/30.policy", "policy.d", "run.d",
						     "legacy" };

		snprintf(command, sizeof(command), "%s/%s", b->dir, names[i]);
		remove(command);
	}
	rmdir(b->dir);
	free(b);
}

static int make(qube_ctx *ctx, const char *name, const char *klass, const char *of)
{
	struct qube_domain_create_opts o = {
		.size = sizeof(o), .name = name, .klass = klass, .template_name = of
	};
	qube_domain *d = NULL;
	int r = qube_domain_create(&d, ctx, &o);

	if (r == 0 && !strcmp(name, "dvm"))
		r = qube_domain_property_set(d, "template_for_dispvms", "True");
	if (r == 0 && !strcmp(name, "work"))
		r = qube_domain_start(d, NULL);
	qube_domain_unref(d);
	return r;
}

/* "work" runs and is guest 7. */
static struct broker *broker_begin(void)
{
	struct qube_ctx_opts o = QUBE_CTX_OPTS_INIT;
	struct broker *b = calloc(1, sizeof(*b));
	struct qube__run *r;
	int pair[2];

	now = b;
	b->sock = -1;
	o.mode = QUBE_MODE_FAKE;
	o.policy_root = b->dir;
	if (write_policy(b, "admin.vm.List * work dom0 allow\n"
			    "admin.vm.Start * work work deny\n"
			    "qubes.Open * work @dispvm:dvm allow\n"
			    "qubes.Open * work @dispvm allow\n"
			    "qubes.Open * work dvm allow autostart=no\n") < 0 ||
	    qube_ctx_open(&b->ctx, &o) < 0 || make(b->ctx, "deb", "TemplateVM", NULL) < 0 ||
	    make(b->ctx, "work", "AppVM", "deb") < 0 || make(b->ctx, "dvm", "AppVM", "deb") < 0 ||
	    qube__rpc_pair(pair) < 0)
		return NULL;
	b->h = qube__host_of(b->ctx);
	b->h->service = count_service;
	b->h->sock = pair[0];
	b->sock = pair[1];
	r = qube__model_vm(b->h->model, "work")->run;
	r->guest = GUEST;
	return b;
}

/* The next message of core to the broker; 0 when there is none. */
static uint32_t next(struct broker *b, struct qube__rpc_msg *m)
{
	int fds[QUBE__RPC_FDS_MAX];

	if (qube__rpc_recv(b->sock, m, b->packet, sizeof(b->packet), fds) < 0)
		return 0;
	return m->type;
}

static void decide(struct broker *b, uint64_t id, const char *service, const char *argument,
		   const char *target)
{
	struct qube__rpc_decide d = {
		.request = id,
		.guest = GUEST,
		.service = service,
		.argument = argument,
		.target = target,
		.source = "",
	};

	qube__ask_decide(b->h, &d);
}

QTEST(ask, a_refusal_and_an_unknown_guest_get_no_more_than_that)
{
	struct broker *b = broker_begin();
	struct qube__rpc_decide d = { .request = 1,
				      .guest = 99,
				      .service = "admin.vm.List",
				      .argument = "",
				      .target = "dom0",
				      .source = "" };
	struct qube__rpc_msg m;

	QT_TRUE(b != NULL);
	qube__ask_decide(b->h, &d);
	QT_INT(next(b, &m), QUBE__RPC_DECISION);
	QT_INT(m.decision.verdict, QUBE__RPC_FAIL);
	decide(b, 2, "admin.vm.Start", "", "work");
	QT_INT(next(b, &m), QUBE__RPC_DECISION);
	QT_INT(m.decision.verdict, QUBE__RPC_DENY);
	QT_INT(m.decision.request, 2);
	decide(b, 3, "other.Service", "", "dom0");
	QT_INT(next(b, &m), QUBE__RPC_DECISION);
	QT_INT(m.decision.verdict, QUBE__RPC_DENY);
	QT_INT(b->h->n_asks, 0);
	broker_end(b);
}

QTEST(ask, threat_28_the_host_is_called_only_as_the_policy_allowed_it)
{
	struct broker *b = broker_begin();
	struct qube__rpc_host_service s = {
		.request = 5, .guest = GUEST, .service = "admin.vm.List+", .target = "dom0"
	};
	struct qube__rpc_msg m;

	QT_TRUE(b != NULL);
	QT_TRUE(!qube__ask_claim(b->h, &s)); /* nobody asked */
	decide(b, 5, "admin.vm.List", "", "dom0");
	QT_INT(next(b, &m), QUBE__RPC_DECISION);
	QT_INT(m.decision.verdict, QUBE__RPC_ALLOW);
	QT_INT(m.decision.target, QUBE__RPC_GUEST_HOST);
	QT_STR(m.decision.requested, "dom0");
	s.service = "admin.vm.Kill+";
	QT_TRUE(!qube__ask_claim(b->h, &s));
	s.service = "admin.vm.List+other";
	QT_TRUE(!qube__ask_claim(b->h, &s));
	s.service = "admin.vm.List+";
	s.target = "work";
	QT_TRUE(!qube__ask_claim(b->h, &s));
	s.target = "dom0";
	s.guest = GUEST + 1;
	QT_TRUE(!qube__ask_claim(b->h, &s));
	s.guest = GUEST;
	s.request = 6;
	QT_TRUE(!qube__ask_claim(b->h, &s));
	s.request = 5;
	QT_TRUE(qube__ask_claim(b->h, &s));
	QT_TRUE(!qube__ask_claim(b->h, &s)); /* once */
	qube__ask_ended(b->h,
			&(struct qube__rpc_call_end){ .origin = QUBE__RPC_BY_REQUEST, .id = 5 });
	QT_INT(b->h->n_asks, 0);
	broker_end(b);
}

QTEST(ask, a_target_that_must_not_be_started_is_not)
{
	struct broker *b = broker_begin();
	struct qube__rpc_msg m;

	QT_TRUE(b != NULL);
	decide(b, 1, "qubes.Open", "", "dvm");
	QT_INT(next(b, &m), QUBE__RPC_DECISION);
	QT_TRUE(m.decision.verdict != QUBE__RPC_ALLOW);
	QT_INT(qube__model_vm(b->h->model, "dvm")->state, QUBE__STATE_HALTED);
	QT_INT(b->h->n_asks, 0);
	broker_end(b);
}

QTEST(ask, a_disposable_that_does_not_answer_is_thrown_away)
{
	struct broker *b = broker_begin();
	struct qube__rpc_msg m;
	size_t before;

	QT_TRUE(b != NULL);
	before = b->h->model->n_vms;
	decide(b, 1, "qubes.Open", "", "@dispvm:dvm");
	QT_INT(b->h->model->n_vms, before + 1);
	QT_INT(next(b, &m), 0);
	rig_drain(b->ctx);
	/* A fake machine has no agent: it started, and cannot be called. */
	QT_INT(next(b, &m), QUBE__RPC_DECISION);
	QT_INT(m.decision.verdict, QUBE__RPC_FAIL);
	QT_INT(b->h->model->n_vms, before);
	QT_INT(b->h->n_asks, 0);
	broker_end(b);
}

static struct qube__vm *the_disposable(const struct broker *b)
{
	for (struct qube__vm *vm = NULL; (vm = qube__model_next(b->h->model, vm));)
		if (vm->vm_class == QUBE__CLASS_DISP)
			return vm;
	return NULL;
}

/* What a call's disposable is made of is the caller's own default_dispvm, and if it has none there
 * is no other. */
QTEST(ask, threat_24_a_disposable_of_a_call_is_what_the_caller_may_have)
{
	struct broker *b = broker_begin();
	struct qube__rpc_msg m;
	struct qube__vm *work;
	struct qube__vm *vm;

	QT_TRUE(b != NULL);
	work = qube__model_vm(b->h->model, "work");
	QT_INT(make(b->ctx, "other", "AppVM", "deb"), 0);
	vm = qube__model_vm(b->h->model, "other");
	QT_INT(qube__vm_prop_set(vm, "template_for_dispvms", "True"), 0);
	QT_INT(qube__host_global_set(b->h, "default_dispvm", "other"), 0);
	QT_INT(qube__vm_prop_set(work, "default_dispvm", ""), 0);
	decide(b, 1, "qubes.Open", "", "@dispvm");
	QT_INT(next(b, &m), QUBE__RPC_DECISION);
	QT_TRUE(m.decision.verdict != QUBE__RPC_ALLOW);
	QT_TRUE(the_disposable(b) == NULL);
	QT_INT(qube__vm_prop_set(work, "default_dispvm", "dvm"), 0);
	vm = qube__model_vm(b->h->model, "dvm");
	QT_INT(qube__vm_feature_set(vm, "local.pids-max", "64"), 0);
	QT_INT(qube__vm_tag_add(vm, "may-print"), 0);
	QT_INT(qube__vm_tag_add(work, "may-all"), 0);
	QT_INT(qube__vm_feature_set(work, "local.userns", "1"), 0);
	decide(b, 2, "qubes.Open", "", "@dispvm");
	vm = the_disposable(b);
	QT_TRUE(vm != NULL);
	QT_STR(vm->prop[QUBE__PROP_TEMPLATE], "dvm");
	QT_STR(qube__vm_feature_find(vm, "local.pids-max"), "64");
	QT_TRUE(!qube__vm_feature_find(vm, "local.userns"));
	QT_TRUE(qube__vm_tag_has(vm, "may-print") && !qube__vm_tag_has(vm, "may-all"));
	QT_TRUE(qube__vm_tag_has(vm, "disp-created-by-work"));
	QT_TRUE(vm->bound);
	qube__ask_close(b->h, false);
	rig_drain(b->ctx);
	QT_TRUE(the_disposable(b) == NULL);
	broker_end(b);
}

static int refuse(struct qube__machine *m)
{
	(void)m;
	return qube__fail(QUBE_E_SYSTEM, "the driver refuses");
}

QTEST(ask, a_broker_that_is_lost_takes_its_disposables_along)
{
	static struct qube__driver_ops ops;
	struct broker *b = broker_begin();
	size_t before;

	QT_TRUE(b != NULL);
	before = b->h->model->n_vms;
	ops = qube__driver_fake;
	b->h->ops = &ops;
	for (uint64_t i = 0; i < 4; i++)
		decide(b, i, "qubes.Open", "", "@dispvm:dvm");
	QT_INT(b->h->model->n_vms, before + 4);
	/* They end inside the call that throws them away: their waiters hear of it there. */
	ops.kill = refuse;
	qube__ask_close(b->h, false);
	QT_INT(b->h->n_asks, 0);
	ops.kill = qube__driver_fake.kill;
	rig_drain(b->ctx);
	QT_INT(b->h->model->n_vms, before);
	broker_end(b);
}

QTEST(ask, a_broker_cannot_make_the_host_remember_without_end)
{
	struct broker *b = broker_begin();
	struct qube__rpc_msg m;
	uint32_t last = 0;

	QT_TRUE(b != NULL);
	for (uint64_t i = 0; i < QUBE__HOST_CALLS_MAX + 10; i++) {
		decide(b, i, "admin.vm.List", "", "dom0");
		while (next(b, &m) == QUBE__RPC_DECISION)
			last = m.decision.verdict;
	}
	QT_INT(b->h->n_asks, QUBE__HOST_CALLS_MAX);
	QT_INT(last, QUBE__RPC_FAIL);
	qube__ask_close(b->h, false);
	broker_end(b);
}
