/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The life of a qube: volumes, machine, agent, and back. A start that fails anywhere unwinds by the
 * same road that a stop takes; a driver's report never goes on in the driver's call but in a posted
 * step. */
#include "core/host.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
	/* First host id of qid 0's range; each qube has 65,536 of its own. */
	ID_BASE = 0x10000000,
	ID_RANGE = 65536,
	PIDS_MAX = 4096,
	/* An agent that is lost so often, each time within so long, is not connected again. */
	LOSSES_MAX = 8,
	LOSSES_MS = 60000,
};

static void prepare_next(struct qube__run *r);
static void settle_next(struct qube__run *r);
static void unwind(struct qube__run *r);

static void go_on(struct qube__posted *p)
{
	struct qube__run *r = qube__container_of(p, struct qube__run, step);

	r->next(r);
}

static void post(struct qube__run *r, void (*next)(struct qube__run *r))
{
	r->next = next;
	qube__post(&r->host->ctx.loop, &r->step);
}

static void stage(struct qube__run *r, const char *name)
{
	if (r->trace)
		qube__op_stage(r->trace, name);
}

static void set_state(struct qube__run *r, uint32_t state)
{
	r->vm->state = state;
	r->host->model->generation++;
}

static void tell_waiters(struct qube__list *waiters, int code)
{
	while (!qube__list_empty(waiters)) {
		struct qube__waiter *w =
			qube__container_of(waiters->next, struct qube__waiter, link);

		qube__list_remove(&w->link);
		w->fn(w, code);
	}
}

static void wait_for(struct qube__list *waiters, struct qube__waiter *w)
{
	if (w)
		qube__list_append(waiters, &w->link);
}

void qube__waiter_drop(struct qube__waiter *w)
{
	if (w->link.next)
		qube__list_remove(&w->link);
}

/* The start failed: the thread's record says why. Keeps the first reason. */
static void fail(struct qube__run *r)
{
	if (!r->failed) {
		r->failed = true;
		qube__err_save(&r->err);
	}
}

/* The driver reports STOPPED once, however often it is told. */
static int kill_machine(struct qube__run *r)
{
	uint32_t before = r->vm->state;
	int ret;

	if (r->killing)
		return 0;
	if (before != QUBE__STATE_TRANSIENT)
		set_state(r, QUBE__STATE_DYING);
	r->killing = true;
	ret = r->host->ops->kill(r->machine);
	if (ret < 0) {
		r->killing = false;
		set_state(r, before);
	}
	return ret;
}

/* It runs on: the thread's record says why. */
static void shutdown_failed(struct qube__run *r)
{
	struct qube__err err;

	qube__err_save(&err);
	set_state(r, QUBE__STATE_RUNNING);
	qube__timer_stop(&r->host->ctx.loop, &r->deadline);
	r->kill_when_late = false;
	qube__ctx_emit(&r->host->ctx, r->vm->name, "domain-shutdown-failed", "reason", err.message,
		       NULL);
	qube__err_restore(&err);
	tell_waiters(&r->stop_waiters, err.pub.code);
}

static void on_deadline(struct qube__timer *t)
{
	struct qube__run *r = qube__container_of(t, struct qube__run, deadline);

	if (r->vm->state == QUBE__STATE_TRANSIENT) {
		qube__fail_detail(QUBE_E_TIMEOUT, QUBE_D_VM_ERROR,
				  "the agent of '%s' did not answer in time", r->vm->name);
		fail(r);
		unwind(r);
		return;
	}
	if (r->vm->state != QUBE__STATE_HALTING)
		return;
	if (r->kill_when_late && kill_machine(r) == 0)
		return;
	if (!r->kill_when_late)
		qube__fail_detail(QUBE_E_TIMEOUT, QUBE_D_VM_SHUTDOWN_TIMEOUT,
				  "Domain shutdown timed out: '%s'", r->vm->name);
	shutdown_failed(r);
}

/* --- the end --- */

static void remove_disposable(struct qube__host *h, struct qube__vm *vm)
{
	if (qube__host_destroy(h, vm) < 0)
		qube__ctx_log(&h->ctx, 3, "cannot remove the disposable '%s': %s", vm->name,
			      qube_error_last()->message);
}

static void finish(struct qube__run *r)
{
	struct qube__host *h = r->host;
	struct qube__vm *vm = r->vm;
	struct qube__list stop_waiters;
	struct qube__list start_waiters;
	struct qube__err err = r->err;
	bool failed = r->failed;

	if (r->machine)
		h->ops->release(r->machine);
	for (int i = 0; i < QUBE__SLOT_COUNT; i++)
		qube__volume_run_fini(&r->volumes[i]);
	qube__timer_stop(&h->ctx.loop, &r->deadline);
	qube__posted_cancel(&r->step);
	qube__list_remove(&r->link);
	qube__list_init(&start_waiters);
	qube__list_init(&stop_waiters);
	while (!qube__list_empty(&r->start_waiters)) {
		struct qube__list *w = r->start_waiters.next;

		qube__list_remove(w);
		qube__list_append(&start_waiters, w);
	}
	while (!qube__list_empty(&r->stop_waiters)) {
		struct qube__list *w = r->stop_waiters.next;

		qube__list_remove(w);
		qube__list_append(&stop_waiters, w);
	}
	if (r->trace)
		qube__op_drop(r->trace);
	vm->run = NULL;
	vm->xid = -1;
	vm->start_time_ms = 0;
	vm->state = QUBE__STATE_HALTED;
	h->model->generation++;
	free(r);
	if (failed) {
		qube__ctx_emit(&h->ctx, vm->name, "domain-start-failed", "reason",
			       err.pub.message ? err.message : "", NULL);
	} else {
		qube__ctx_emit(&h->ctx, vm->name, "domain-stopped", NULL);
	}
	qube__ctx_emit(&h->ctx, vm->name, "domain-shutdown", NULL);
	if (qube__vm_bool(vm, QUBE__PROP_AUTO_CLEANUP))
		remove_disposable(h, vm);
	if (failed)
		qube__err_restore(&err);
	else
		qube__fail(QUBE_E_STATE, "the qube was stopped while it started");
	tell_waiters(&start_waiters, failed ? err.pub.code : QUBE_E_STATE);
	tell_waiters(&stop_waiters, 0);
}

static void on_settled(void *user, int code)
{
	struct qube__run *r = user;

	if (code < 0)
		qube__ctx_log(&r->host->ctx, 3, "the volume '%s' of '%s' was not saved: %s",
			      qube__slot_name((enum qube__slot)(r->slot - 1)), r->vm->name,
			      qube_error_last()->message);
	post(r, settle_next);
}

static void settle_next(struct qube__run *r)
{
	while (r->slot < QUBE__SLOT_COUNT) {
		enum qube__slot slot = (enum qube__slot)r->slot++;
		struct qube__volume_spec spec;
		struct qube__pool *pool;
		struct qube__pool_cb cb = { .user = r, .done = on_settled };
		int ret;

		if (!(r->started & 1u << slot))
			continue;
		ret = qube__volumes_spec(&spec, &pool, r->host, r->vm, slot);
		if (ret == 0)
			ret = qube__volume_stop(NULL, pool, &spec, false, &cb);
		if (ret == 1)
			return;
		if (ret < 0)
			qube__ctx_log(&r->host->ctx, 3, "the volume '%s' of '%s': %s", spec.name,
				      r->vm->name, qube_error_last()->message);
	}
	finish(r);
}

/* The machine is gone or never was. */
static void settle(struct qube__run *r)
{
	qube__timer_stop(&r->host->ctx.loop, &r->deadline);
	if (r->guest)
		qube__link_guest_del(r->host, r);
	set_state(r, QUBE__STATE_DYING);
	r->slot = 0;
	settle_next(r);
}

/* A start that failed: whatever exists goes. */
static void unwind(struct qube__run *r)
{
	if (r->machine && !r->gone) {
		if (r->guest)
			qube__link_guest_del(r->host, r);
		if (kill_machine(r) == 0)
			return; /* STOPPED follows */
	}
	if (!r->pending)
		settle(r);
}

/* --- the beginning --- */

static const char *const role_names[] = { "app", "template", "net" };

static uint32_t role_of(const struct qube__vm *vm)
{
	if (qube__vm_bool(vm, QUBE__PROP_PROVIDES_NETWORK))
		return QUBE__ROLE_NET;
	if (vm->vm_class == QUBE__CLASS_TEMPLATE || vm->vm_class == QUBE__CLASS_STANDALONE)
		return QUBE__ROLE_TEMPLATE;
	return QUBE__ROLE_APP;
}

static void create_machine(struct qube__run *r)
{
	struct qube__vm *vm = r->vm;
	struct qube__prop_value user;
	struct qube__machine_spec spec = {
		.name = vm->name,
		.uuid = vm->uuid,
		.qid = vm->qid,
		.id_base = ID_BASE + vm->qid * ID_RANGE,
		.role = role_of(vm),
		.memory_bytes = (uint64_t)qube__vm_int(vm, QUBE__PROP_MAXMEM, 0) << 20,
		.vcpus = (uint32_t)qube__vm_int(vm, QUBE__PROP_VCPUS, 0),
		.pids_max = PIDS_MAX,
		.root = r->volumes[QUBE__SLOT_ROOT],
		.private_volume = r->volumes[QUBE__SLOT_PRIVATE],
		.volatile_volume = r->volumes[QUBE__SLOT_VOLATILE],
	};

	if (qube__feature_true(qube__vm_feature_find(vm, "local.userns")))
		spec.flags |= QUBE__MACHINE_USERNS;
	if (qube__feature_true(qube__vm_feature_find(vm, "local.new-privs")))
		spec.flags |= QUBE__MACHINE_NEW_PRIVS;
	qube__vm_prop_read(&user, vm, QUBE__PROP_DEFAULT_USER);
	spec.default_user = user.text && *user.text ? user.text : NULL;
	stage(r, "create");
	qube__ctx_log(&r->host->ctx, 7, "creating '%s' (%s)", vm->name, role_names[spec.role]);
	if (r->host->ops->create(r->host->driver, &r->machine, r, &spec) < 0) {
		r->machine = NULL;
		fail(r);
		unwind(r);
	}
}

static int start_volumes(struct qube__run *r)
{
	stage(r, "volumes");
	for (int slot = 0; slot < QUBE__SLOT_COUNT; slot++) {
		struct qube__volume_spec spec;
		struct qube__pool *pool;
		int ret;

		ret = qube__volumes_spec(&spec, &pool, r->host, r->vm, (enum qube__slot)slot);
		if (ret < 0)
			return ret;
		ret = qube__volume_start(&r->volumes[slot], pool, &spec);
		if (ret < 0)
			return ret;
		r->started |= 1u << slot;
	}
	return 0;
}

static void on_prepared(void *user, int code)
{
	struct qube__run *r = user;

	r->pending = 0;
	if (code < 0)
		fail(r);
	post(r, prepare_next);
}

static void prepare_next(struct qube__run *r)
{
	if (r->failed) {
		unwind(r);
		return;
	}
	while (r->slot < QUBE__SLOT_COUNT) {
		enum qube__slot slot = (enum qube__slot)r->slot++;
		struct qube__volume_spec spec;
		struct qube__pool *pool;
		struct qube__pool_cb cb = { .user = r, .done = on_prepared };
		int ret = qube__volumes_spec(&spec, &pool, r->host, r->vm, slot);

		if (ret == 0)
			ret = qube__volume_prepare(NULL, pool, &spec, &cb);
		if (ret == 1) {
			r->pending = 1;
			return;
		}
		if (ret < 0) {
			fail(r);
			unwind(r);
			return;
		}
	}
	if (start_volumes(r) < 0) {
		fail(r);
		unwind(r);
		return;
	}
	create_machine(r);
}

static int may_start(struct qube__host *h, struct qube__vm *vm)
{
	const char *why = qube__vm_feature_find(vm, "prohibit-start");

	if (h->no_guests)
		return qube__fail(QUBE_E_NOTSUP, "this host was opened to start nothing");
	if (vm->vm_class == QUBE__CLASS_ADMIN || vm->vm_class == QUBE__CLASS_REMOTE)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_HALTED,
					 "Domain is not powered off: '%s'", vm->name);
	if (qube__feature_true(why))
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_GENERIC,
					 "'%s' must not be started: %s", vm->name, why);
	if (qube__host_not_cloning(h, vm) < 0)
		return QUBE_E_BUSY;
	if (strcmp(vm->driver, h->ops->name))
		return qube__fail(QUBE_E_NOTSUP, "'%s' belongs to the driver '%s', this is '%s'",
				  vm->name, vm->driver, h->ops->name);
	return 0;
}

static int begin(struct qube__host *h, struct qube__vm *vm, struct qube__waiter *w, qube_op *trace)
{
	struct qube__run *r;
	int64_t seconds = qube__vm_int(vm, QUBE__PROP_QREXEC_TIMEOUT, 60);
	int ret = may_start(h, vm);

	if (ret < 0)
		return ret;
	r = calloc(1, sizeof(*r));
	if (!r)
		return qube__fail_nomem();
	r->host = h;
	r->vm = vm;
	if (trace)
		r->trace = qube__op_hold(trace);
	qube__list_init(&r->start_waiters);
	qube__list_init(&r->stop_waiters);
	qube__timer_init(&r->deadline, on_deadline);
	qube__posted_init(&r->step, go_on);
	qube__list_append(&h->runs, &r->link);
	vm->run = r;
	set_state(r, QUBE__STATE_TRANSIENT);
	wait_for(&r->start_waiters, w);
	qube__timer_set(&h->ctx.loop, &r->deadline, qube__now_ms() + (uint64_t)seconds * 1000);
	qube__ctx_emit(&h->ctx, vm->name, "domain-pre-start", "start_guid", "True", NULL);
	stage(r, "prepare");
	if (!h->n_pools) {
		create_machine(r); /* fake: there is nothing on disk */
		return 0;
	}
	post(r, prepare_next);
	return 0;
}

int qube__life_start(struct qube__host *h, struct qube__vm *vm, struct qube__waiter *w,
		     qube_op *trace)
{
	struct qube__run *r = vm->run;

	if (!r)
		return begin(h, vm, w, trace);
	switch (vm->state) {
	case QUBE__STATE_TRANSIENT:
		if (r->failed)
			break;
		wait_for(&r->start_waiters, w);
		return 0;
	case QUBE__STATE_RUNNING:
	case QUBE__STATE_PAUSED:
		w->fn(w, 0);
		return 0;
	default:
		break;
	}
	return qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_HALTED, "'%s' is stopping", vm->name);
}

static void run_machine(struct qube__run *r)
{
	if (r->failed) {
		unwind(r);
		return;
	}
	stage(r, "run");
	qube__ctx_emit(&r->host->ctx, r->vm->name, "domain-spawn", "start_guid", "True", NULL);
	if (r->host->ops->run(r->machine) < 0) {
		fail(r);
		unwind(r);
	}
}

static void connect_agent(struct qube__run *r)
{
	qube__autofd fd = -1;
	struct timespec now;

	if (r->failed) {
		unwind(r);
		return;
	}
	stage(r, "agent");
	clock_gettime(CLOCK_REALTIME, &now);
	r->vm->start_time_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	r->vm->xid = (int64_t)r->vm->qid;
	if (r->host->ops->isolation == QUBE__ISOLATION_NONE) {
		qube__life_guest_up(r); /* fake: nobody is there to say hello */
		return;
	}
	if (r->host->ops->control_connect(r->machine, &fd) < 0 ||
	    qube__link_guest_add(r->host, r, fd) < 0) {
		fail(r);
		unwind(r);
	}
}

static void machine_gone(struct qube__run *r)
{
	r->gone = true;
	if (r->vm->state == QUBE__STATE_TRANSIENT && !r->failed) {
		qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_ERROR, "'%s' ended while it started",
				  r->vm->name);
		fail(r);
	}
	settle(r);
}

void qube__life_on_machine(void *user, struct qube__machine *m, void *machine_user,
			   enum qube__machine_event event, int status)
{
	struct qube__run *r = machine_user;

	(void)user;
	(void)m;
	switch (event) {
	case QUBE__MACHINE_HELD:
		post(r, run_machine);
		break;
	case QUBE__MACHINE_RUNNING:
		post(r, connect_agent);
		break;
	case QUBE__MACHINE_FAILED:
		fail(r);
		post(r, machine_gone);
		break;
	case QUBE__MACHINE_STOPPED:
		qube__ctx_log(&r->host->ctx, 6, "'%s' ended with status %d", r->vm->name, status);
		post(r, machine_gone);
		break;
	}
}

void qube__life_guest_up(struct qube__run *r)
{
	if (r->up || r->vm->state != QUBE__STATE_TRANSIENT || r->failed)
		return;
	r->up = true;
	qube__timer_stop(&r->host->ctx.loop, &r->deadline);
	set_state(r, QUBE__STATE_RUNNING);
	stage(r, "up");
	if (r->trace) {
		qube__op_drop(r->trace);
		r->trace = NULL;
	}
	qube__ctx_emit(&r->host->ctx, r->vm->name, "domain-start", "start_guid", "True", NULL);
	tell_waiters(&r->start_waiters, 0);
}

static void reconnect(struct qube__run *r)
{
	qube__autofd fd = -1;
	uint64_t now = qube__now_ms();

	if (now - r->lost_ms > LOSSES_MS)
		r->losses = 0;
	r->lost_ms = now;
	if (r->losses++ == LOSSES_MAX) {
		qube__ctx_log(&r->host->ctx, 3, "the agent of '%s' keeps failing and is left alone",
			      r->vm->name);
		return;
	}
	if (r->losses <= LOSSES_MAX && r->host->ops->control_connect(r->machine, &fd) == 0)
		qube__link_guest_add(r->host, r, fd);
}

/* The session is over: it broke the protocol or its agent died. The box restarts a dead agent, so a
 * new connection is made as long as the machine is there; a guest that keeps failing is left alone,
 * running and unreachable. */
void qube__life_guest_down(struct qube__run *r, const char *reason)
{
	r->guest = 0;
	if (r->vm->state == QUBE__STATE_DYING || r->vm->state == QUBE__STATE_HALTING || r->gone)
		return; /* as it should be */
	qube__ctx_log(&r->host->ctx, 4, "lost the agent of '%s': %s", r->vm->name, reason);
	qube__ctx_emit(&r->host->ctx, r->vm->name, "domain-agent-lost", "reason", reason, NULL);
	if (r->vm->state == QUBE__STATE_TRANSIENT) {
		qube__fail_detail(QUBE_E_PROTO, QUBE_D_VM_ERROR, "the agent of '%s': %s",
				  r->vm->name, reason);
		fail(r);
		unwind(r);
	} else if (r->vm->state == QUBE__STATE_RUNNING) {
		reconnect(r); /* a paused one when it goes on */
	}
}

struct qube__run *qube__life_find_guest(struct qube__host *h, uint32_t guest)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &h->runs) {
		struct qube__run *r = qube__container_of(pos, struct qube__run, link);

		if (guest && r->guest == guest)
			return r;
	}
	return NULL;
}

/* --- stopping --- */

static int not_started(const struct qube__vm *vm)
{
	return qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_STARTED, "Domain is powered off: '%s'",
				 vm->name);
}

/* QUBE_E_BUSY while running qubes have it as their netvm. */
static int serves_nobody(struct qube__host *h, const struct qube__vm *vm)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &h->runs) {
		struct qube__run *r = qube__container_of(pos, struct qube__run, link);

		if (r->vm != vm && qube__vm_netvm(r->vm) == vm)
			return qube__fail_detail(QUBE_E_BUSY, QUBE_D_VM_IN_USE,
						 "'%s' is the netvm of '%s', which runs", vm->name,
						 r->vm->name);
	}
	return 0;
}

/* Of several that ask, the most impatient one counts. */
static void set_deadline(struct qube__run *r, uint32_t flags, int32_t timeout_ms)
{
	int64_t seconds = qube__vm_int(r->vm, QUBE__PROP_SHUTDOWN_TIMEOUT, 60);
	uint64_t at =
		qube__now_ms() + (timeout_ms ? (uint64_t)timeout_ms : (uint64_t)seconds * 1000);

	if (flags & QUBE_DOMAIN_SHUTDOWN_OR_KILL)
		r->kill_when_late = true;
	if (timeout_ms >= 0 && (qube__list_empty(&r->deadline.link) || at < r->deadline.at_ms))
		qube__timer_set(&r->host->ctx.loop, &r->deadline, at);
}

int qube__life_shutdown(struct qube__host *h, struct qube__vm *vm, struct qube__waiter *w,
			uint32_t flags, int32_t timeout_ms)
{
	struct qube__run *r = vm->run;
	int ret;

	if (!r)
		return not_started(vm);
	if (!(flags & QUBE_DOMAIN_SHUTDOWN_FORCE) && serves_nobody(h, vm) < 0)
		return QUBE_E_BUSY;
	if (vm->state == QUBE__STATE_PAUSED) {
		if (!(flags & QUBE_DOMAIN_SHUTDOWN_FORCE))
			return qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_RUNNING,
						 "Domain not running (either powered off or "
						 "paused): '%s'",
						 vm->name);
		ret = qube__life_pause(h, vm, false);
		if (ret < 0)
			return ret;
	}
	if (vm->state == QUBE__STATE_TRANSIENT) {
		qube__fail(QUBE_E_STATE, "'%s' was shut down while it started", vm->name);
		fail(r);
		wait_for(&r->stop_waiters, w);
		unwind(r);
		return 0;
	}
	if (vm->state == QUBE__STATE_RUNNING) {
		qube__ctx_emit(&h->ctx, vm->name, "domain-pre-shutdown", "force",
			       flags & QUBE_DOMAIN_SHUTDOWN_FORCE ? "True" : "False", NULL);
		set_state(r, QUBE__STATE_HALTING);
		ret = h->ops->shutdown(r->machine);
		if (ret < 0) {
			shutdown_failed(r);
			return ret;
		}
	}
	wait_for(&r->stop_waiters, w);
	if (vm->state == QUBE__STATE_HALTING)
		set_deadline(r, flags, timeout_ms);
	return 0;
}

int qube__life_kill(struct qube__host *h, struct qube__vm *vm, struct qube__waiter *w)
{
	struct qube__run *r = vm->run;
	int ret;

	(void)h;

	if (!r)
		return not_started(vm);
	if (vm->state == QUBE__STATE_TRANSIENT) {
		qube__fail(QUBE_E_STATE, "'%s' was killed while it started", vm->name);
		fail(r);
		wait_for(&r->stop_waiters, w);
		if (!r->gone)
			unwind(r);
		return 0;
	}
	if (!r->gone && vm->state != QUBE__STATE_DYING) {
		ret = kill_machine(r);
		if (ret < 0)
			return ret;
	}
	wait_for(&r->stop_waiters, w);
	return 0;
}

int qube__life_pause(struct qube__host *h, struct qube__vm *vm, bool pause)
{
	struct qube__run *r = vm->run;
	int (*fn)(struct qube__machine * m) = pause ? h->ops->pause : h->ops->unpause;
	int ret;

	if (!r)
		return not_started(vm);
	if (pause && vm->state != QUBE__STATE_RUNNING)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_RUNNING,
					 "Domain not running (either powered off or paused): '%s'",
					 vm->name);
	if (!pause && vm->state != QUBE__STATE_PAUSED)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_PAUSED,
					 "Domain is not paused: '%s'", vm->name);
	if (!fn)
		return qube__fail(QUBE_E_NOTSUP, "the driver '%s' cannot pause", h->ops->name);
	ret = fn(r->machine);
	if (ret < 0)
		return ret;
	set_state(r, pause ? QUBE__STATE_PAUSED : QUBE__STATE_RUNNING);
	if (!pause && !r->guest && h->ops->isolation != QUBE__ISOLATION_NONE)
		reconnect(r);
	qube__ctx_emit(&h->ctx, vm->name, pause ? "domain-paused" : "domain-unpaused", NULL);
	return 0;
}

void qube__life_end_all(struct qube__host *h)
{
	uint64_t deadline = qube__now_ms() + 20000;
	struct qube__list *pos = h->runs.next;

	qube__op_cancel_all(&h->ctx);
	while (pos != &h->runs) {
		struct qube__run *r = qube__container_of(pos, struct qube__run, link);

		if (r->ending) {
			pos = pos->next;
			continue;
		}
		r->ending = true;
		qube__life_kill(h, r->vm, NULL);
		pos = h->runs.next; /* that may have ended several */
	}
	while ((!qube__list_empty(&h->runs) || !qube__list_empty(&h->ctx.ops)) &&
	       qube__now_ms() < deadline)
		if (qube__ctx_turn(&h->ctx, 1000) < 0)
			break;
	qube__list_foreach (pos, &h->runs) {
		struct qube__run *r = qube__container_of(pos, struct qube__run, link);

		qube__ctx_log(&h->ctx, 3, "'%s' did not end", r->vm->name);
	}
}
