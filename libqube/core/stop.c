/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The end of a qube: asked for, forced, or come by itself; and the settling of its volumes, by
 * which a start that failed goes back as well. */
#include "core/host.h"
#include "core/life.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"

#include <stdlib.h>
#include <string.h>

static void settle_next(struct qube__run *r);

/* The driver reports STOPPED once, however often it is told. */
static int kill_machine(struct qube__run *r)
{
	uint32_t before = r->vm->state;
	int ret;

	if (r->killing)
		return 0;
	if (before != QUBE__STATE_TRANSIENT)
		qube__life_set_state(r, QUBE__STATE_DYING);
	r->killing = true;
	ret = r->host->ops->kill(r->machine);
	qube__fault(QUBE__FAULT_STOP_KILLED);
	if (ret < 0) {
		r->killing = false;
		qube__life_set_state(r, before);
	}
	return ret;
}

/* It runs on: the thread's record says why. */
static void shutdown_failed(struct qube__run *r)
{
	struct qube__err err;

	qube__err_save(&err);
	qube__life_set_state(r, QUBE__STATE_RUNNING);
	qube__timer_stop(&r->host->ctx.loop, &r->deadline);
	r->kill_when_late = false;
	r->keep = false;
	qube__ctx_emit(&r->host->ctx, r->vm->name, "domain-shutdown-failed", "reason", err.message,
		       NULL);
	qube__err_restore(&err);
	qube__life_tell(&r->stop_waiters, err.pub.code);
}

void qube__life_on_deadline(struct qube__timer *t)
{
	struct qube__run *r = qube__container_of(t, struct qube__run, deadline);

	if (r->vm->state == QUBE__STATE_TRANSIENT) {
		qube__fail_detail(QUBE_E_TIMEOUT, QUBE_D_VM_ERROR,
				  "the agent of '%s' did not answer in time", r->vm->name);
		qube__life_fail(r);
		qube__life_unwind(r);
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

static void take(struct qube__list *to, struct qube__list *from)
{
	while (!qube__list_empty(from)) {
		struct qube__list *w = from->next;

		qube__list_remove(w);
		qube__list_append(to, w);
	}
}

static void finish(struct qube__run *r)
{
	struct qube__host *h = r->host;
	struct qube__vm *vm = r->vm;
	struct qube__list stop_waiters;
	struct qube__list start_waiters;
	struct qube__err err = r->err;
	struct qube__err unsaved = r->settle_err;
	int kept = r->settle_code;
	bool failed = r->failed;

	qube__fault(QUBE__FAULT_STOP_SETTLED);
	if (r->machine)
		h->ops->release(r->machine);
	for (int i = 0; i < QUBE__SLOT_COUNT; i++)
		qube__volume_run_fini(&r->volumes[i]);
	free(r->layers);
	qube__timer_stop(&h->ctx.loop, &r->deadline);
	qube__timer_stop(&h->ctx.loop, &r->room_timer);
	qube__timer_stop(&h->ctx.loop, &r->agent_late);
	qube__posted_cancel(&r->step);
	qube__list_remove(&r->link);
	qube__list_init(&start_waiters);
	qube__list_init(&stop_waiters);
	take(&start_waiters, &r->start_waiters);
	take(&start_waiters, &r->agent_waiters);
	take(&stop_waiters, &r->stop_waiters);
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
		qube__fail(QUBE_E_STATE, "the qube was stopped meanwhile");
	qube__life_tell(&start_waiters, failed ? err.pub.code : QUBE_E_STATE);
	if (kept < 0)
		qube__err_restore(&unsaved);
	qube__life_tell(&stop_waiters, kept);
}

/* The thread's record says what was lost. */
static void not_saved(struct qube__run *r, const char *volume)
{
	r->settle_code = qube_error_last()->code;
	qube__err_save(&r->settle_err);
	qube__ctx_log(&r->host->ctx, 3, "the volume '%s' of '%s' was not saved: %s", volume,
		      r->vm->name, r->settle_err.message);
}

static void on_settled(void *user, int code)
{
	struct qube__run *r = user;

	if (code < 0)
		not_saved(r, qube__slot_name((enum qube__slot)(r->slot - 1)));
	qube__life_post(r, settle_next);
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
			ret = qube__volume_stop(NULL, pool, &spec,
						r->keep ? QUBE__STOP_KEEP : QUBE__STOP_AS_STARTED,
						&cb);
		if (ret == 1)
			return;
		if (ret < 0)
			not_saved(r, spec.name);
	}
	finish(r);
}

/* The machine is gone or never was. */
void qube__life_settle(struct qube__run *r)
{
	qube__timer_stop(&r->host->ctx.loop, &r->deadline);
	if (r->guest)
		qube__link_guest_del(r->host, r);
	qube__link_domain_gone(r->host, r);
	qube__life_set_state(r, QUBE__STATE_DYING);
	r->slot = 0;
	settle_next(r);
}

/* A start that failed: whatever exists goes. */
void qube__life_unwind(struct qube__run *r)
{
	if (r->machine && !r->gone) {
		if (r->guest)
			qube__link_guest_del(r->host, r);
		if (kill_machine(r) == 0)
			return; /* STOPPED follows */
	}
	if (!r->pending)
		qube__life_settle(r);
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

/* Of an adopted qube: the host before had told it. Its time begins again, and then it is killed. */
void qube__life_halting(struct qube__run *r)
{
	if (r->vm->state != QUBE__STATE_RUNNING)
		return;
	qube__life_set_state(r, QUBE__STATE_HALTING);
	set_deadline(r, QUBE_DOMAIN_SHUTDOWN_OR_KILL, 0);
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
		qube__life_fail(r);
		qube__life_wait_for(&r->stop_waiters, w);
		qube__life_unwind(r);
		return 0;
	}
	if (vm->state == QUBE__STATE_RUNNING) {
		qube__ctx_emit(&h->ctx, vm->name, "domain-pre-shutdown", "force",
			       flags & QUBE_DOMAIN_SHUTDOWN_FORCE ? "True" : "False", NULL);
		qube__life_set_state(r, QUBE__STATE_HALTING);
		ret = qube__fault_fails(QUBE__FAULT_STOP_ASKED) ? QUBE_E_SYSTEM :
								  h->ops->shutdown(r->machine);
		if (ret < 0) {
			shutdown_failed(r);
			return ret;
		}
	}
	r->keep = r->keep || (flags & QUBE_DOMAIN_SHUTDOWN_KEEP);
	qube__life_wait_for(&r->stop_waiters, w);
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
		qube__life_fail(r);
		qube__life_wait_for(&r->stop_waiters, w);
		if (!r->gone)
			qube__life_unwind(r);
		return 0;
	}
	if (!r->gone && vm->state != QUBE__STATE_DYING) {
		ret = kill_machine(r);
		if (ret < 0)
			return ret;
	}
	qube__life_wait_for(&r->stop_waiters, w);
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
	qube__life_set_state(r, pause ? QUBE__STATE_PAUSED : QUBE__STATE_RUNNING);
	if (pause) /* each finds that */
		qube__life_tell(&r->agent_waiters, 0);
	if (!pause && !r->guest)
		qube__life_reconnect(r);
	qube__ctx_emit(&h->ctx, vm->name, pause ? "domain-paused" : "domain-unpaused", NULL);
	return 0;
}

/* The driver leaves a machine that runs to the next host. */
static bool stays(const struct qube__run *r)
{
	return !r->gone && !r->killing &&
	       (r->vm->state == QUBE__STATE_RUNNING || r->vm->state == QUBE__STATE_PAUSED ||
		r->vm->state == QUBE__STATE_HALTING);
}

static bool is_ending(const struct qube__host *h)
{
	const struct qube__list *pos;

	qube__list_foreach (pos, &h->runs)
		if (qube__container_of(pos, struct qube__run, link)->ending)
			return true;
	return false;
}

void qube__life_end_all(struct qube__host *h)
{
	uint64_t deadline = qube__now_ms() + 20000;
	struct qube__list *pos = h->runs.next;

	qube__op_cancel_all(&h->ctx);
	while (pos != &h->runs) {
		struct qube__run *r = qube__container_of(pos, struct qube__run, link);

		if (r->ending || (h->keep && !r->vm->held && stays(r))) {
			pos = pos->next;
			continue;
		}
		r->ending = true;
		qube__life_kill(h, r->vm, NULL);
		pos = h->runs.next; /* that may have ended several */
	}
	while ((is_ending(h) || !qube__list_empty(&h->ctx.ops)) && qube__now_ms() < deadline)
		if (qube__ctx_turn(&h->ctx, 1000) < 0)
			break;
	qube__list_foreach (pos, &h->runs) {
		struct qube__run *r = qube__container_of(pos, struct qube__run, link);

		if (r->ending)
			qube__ctx_log(&h->ctx, 3, "'%s' did not end", r->vm->name);
	}
}
