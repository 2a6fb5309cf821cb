/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The beginning of a qube: volumes, machine, agent. A start that fails anywhere goes back by the
 * road that a stop takes (stop.c); a driver's report never goes on in the driver's call but in a
 * posted step. */
#include "core/host.h"
#include "core/life.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PIDS_MAX = 4096,
	ROOM_AGAIN_MS = 500,
	/* An agent that is lost so often, each time within so long, is not connected again. */
	LOSSES_MAX = 8,
	LOSSES_MS = 60000,
};

static void prepare_next(struct qube__run *r);
static void machine_gone(struct qube__run *r);

static void go_on(struct qube__posted *p)
{
	struct qube__run *r = qube__container_of(p, struct qube__run, step);

	r->next(r);
}

void qube__life_post(struct qube__run *r, void (*next)(struct qube__run *r))
{
	r->next = next;
	qube__post(&r->host->ctx.loop, &r->step);
}

static void stage(struct qube__run *r, const char *name)
{
	if (r->trace)
		qube__op_stage(r->trace, name);
}

static void part(struct qube__run *r, const char *name)
{
	if (r->trace)
		qube__op_part(r->trace, name);
}

void qube__life_on_stage(void *user, void *machine_user, const char *name)
{
	(void)user;
	part(machine_user, name);
}

void qube__life_trace(struct qube__run *r, qube_op *op)
{
	if (r && !r->trace)
		r->trace = qube__op_hold(op);
}

void qube__life_set_state(struct qube__run *r, uint32_t state)
{
	r->vm->state = state;
	r->host->model->generation++;
}

void qube__life_tell(struct qube__list *waiters, int code)
{
	while (!qube__list_empty(waiters)) {
		struct qube__waiter *w =
			qube__container_of(waiters->next, struct qube__waiter, link);

		qube__list_remove(&w->link);
		w->fn(w, code);
	}
}

void qube__life_wait_for(struct qube__list *waiters, struct qube__waiter *w)
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
void qube__life_fail(struct qube__run *r)
{
	if (!r->failed) {
		r->failed = true;
		qube__err_save(&r->err);
	}
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

/* The names of the qube's features service.NAME that are on; owned. NULL: out of memory. */
static char *services_of(const struct qube__vm *vm)
{
	static const char prefix[] = "service.";
	size_t n = 1;
	char *all;

	for (size_t i = 0; i < vm->n_features; i++)
		n += strlen(vm->features[i].name) + 1;
	all = calloc(1, n);
	for (size_t i = 0; all && i < vm->n_features; i++) {
		const struct qube__feature *f = &vm->features[i];

		if (strncmp(f->name, prefix, sizeof(prefix) - 1) || !qube__feature_true(f->value))
			continue;
		/* Can be set, but no guest would take it (vchan-qubesdb.md). */
		if (f->name[sizeof(prefix) - 1] == '-' || f->name[sizeof(prefix) - 1] == '.')
			continue;
		snprintf(all + strlen(all), n - strlen(all), "%s%s", *all ? " " : "",
			 f->name + sizeof(prefix) - 1);
	}
	return all;
}

/* "local.NAME": a number, which may have K, M or G behind it. */
static int limit_of(uint64_t *out, const struct qube__vm *vm, const char *feature, uint64_t least,
		    uint64_t most)
{
	static const char units[] = "KMG";
	const char *value = qube__vm_feature_find(vm, feature);
	char digits[24];
	size_t n = value ? strspn(value, "0123456789") : 0;
	const char *unit = value && value[n] && !value[n + 1] ? strchr(units, value[n]) : NULL;
	int shift = unit ? 10 * (int)(unit - units + 1) : 0;
	uint64_t v;

	if (!value)
		return 0;
	if (n && n < sizeof(digits) && (!value[n] || unit)) {
		memcpy(digits, value, n);
		digits[n] = '\0';
		if (qube__text_u64(&v, digits, most >> shift) == 0 && v << shift >= least) {
			*out = v << shift;
			return 0;
		}
	}
	return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE,
				 "feature %s of '%s' is no number from %llu to %llu", feature,
				 vm->name, (unsigned long long)least, (unsigned long long)most);
}

static int set_limits(struct qube__machine_spec *spec, const struct qube__vm *vm)
{
	uint64_t pids = PIDS_MAX;
	int r = limit_of(&pids, vm, "local.pids-max", 16, 1 << 20);

	if (r == 0)
		r = limit_of(&spec->io_read_max, vm, "local.io-read-max", 4096, 1ull << 50);
	if (r == 0)
		r = limit_of(&spec->io_write_max, vm, "local.io-write-max", 4096, 1ull << 50);
	spec->pids_max = (uint32_t)pids;
	return r;
}

static uint32_t vcpus_of(const struct qube__vm *vm)
{
	int64_t n = qube__vm_int(vm, QUBE__PROP_VCPUS, 0);

	return n > INT32_MAX ? INT32_MAX : (uint32_t)n;
}

static const char *text_of(struct qube__prop_value *space, const struct qube__vm *vm, uint32_t id)
{
	qube__vm_prop_read(space, vm, id);
	return space->text && *space->text ? space->text : NULL;
}

/* What only a virtual machine has; the texts are in space. */
static void set_virtual(struct qube__machine_spec *spec, const struct qube__vm *vm,
			struct qube__prop_value space[3])
{
	spec->kernel = text_of(&space[0], vm, QUBE__PROP_KERNEL);
	spec->kernel_opts = text_of(&space[1], vm, QUBE__PROP_KERNELOPTS);
	spec->virt_mode = text_of(&space[2], vm, QUBE__PROP_VIRT_MODE);
}

/* Of a feature that is on unless something is said. */
static bool is_off(const char *value)
{
	return value && (!qube__feature_true(value) || !strcmp(value, "off"));
}

static void create_machine(struct qube__run *r)
{
	struct qube__vm *vm = r->vm;
	struct qube__prop_value user;
	struct qube__prop_value texts[3];
	struct qube__vm_volume *volatile_volume;
	qube__autofree char *services = services_of(vm);
	struct qube__machine_spec spec = {
		.name = vm->name,
		.services = services,
		.uuid = vm->uuid,
		.qid = vm->qid,
		.id_base = QUBE__IDS_FIRST + vm->qid % QUBE__IDS_RANGES * QUBE__IDS_RANGE,
		.role = role_of(vm),
		.memory_bytes = qube__memory_max_kb(vm) << 10,
		.memory_start_bytes = qube__memory_start_kb(vm) << 10,
		.vcpus = vcpus_of(vm),
		.bound = vm->bound || vm->held,
		.root = r->volumes[QUBE__SLOT_ROOT],
		.private_volume = r->volumes[QUBE__SLOT_PRIVATE],
		.volatile_volume = r->volumes[QUBE__SLOT_VOLATILE],
	};

	if (r->early)
		spec.flags |= QUBE__MACHINE_WAIT;
	if (qube__feature_true(qube__vm_feature_find(vm, "local.userns")))
		spec.flags |= QUBE__MACHINE_USERNS;
	if (qube__feature_true(qube__vm_feature_find(vm, "local.new-privs")))
		spec.flags |= QUBE__MACHINE_NEW_PRIVS;
	if (is_off(qube__vm_feature_find(vm, "local.core-sched")))
		spec.flags |= QUBE__MACHINE_ANY_CORE;
	volatile_volume = qube__vm_volume(vm, qube__slot_name(QUBE__SLOT_VOLATILE));
	if (volatile_volume && volatile_volume->ephemeral)
		spec.flags |= QUBE__MACHINE_EPHEMERAL;
	spec.default_user = text_of(&user, vm, QUBE__PROP_DEFAULT_USER);
	set_virtual(&spec, vm, texts);
	r->memory_target =
		(r->host->ops->divides_memory ? spec.memory_start_bytes : spec.memory_bytes) >> 10;
	stage(r, "create");
	part(r, "/launch");
	qube__ctx_log(&r->host->ctx, 7, "creating '%s' (%s)", vm->name, role_names[spec.role]);
	if (set_limits(&spec, vm) < 0 ||
	    r->host->ops->create(r->host->driver, &r->machine, r, &spec) < 0) {
		r->machine = NULL;
		qube__life_fail(r);
		qube__life_unwind(r);
	}
	qube__fault(QUBE__FAULT_START_CREATED);
}

/* The one that may have to be copied comes last. */
static const enum qube__slot slots[QUBE__SLOT_COUNT] = { QUBE__SLOT_ROOT, QUBE__SLOT_VOLATILE,
							 QUBE__SLOT_PRIVATE };

static int start_volume(struct qube__run *r, enum qube__slot slot)
{
	struct qube__volume_spec spec;
	struct qube__pool *pool;
	int ret = qube__volumes_spec(&spec, &pool, r->host, r->vm, slot);

	if (ret < 0)
		return ret;
	spec.discard = r->discard && slot == QUBE__SLOT_ROOT;
	qube__volume_run_fini(&r->volumes[slot]);
	ret = qube__fault_fails(QUBE__FAULT_START_VOLUMES) ?
		      QUBE_E_SYSTEM :
		      qube__volume_start(&r->volumes[slot], pool, &spec);
	if (ret == 0)
		r->started |= 1u << slot;
	return ret;
}

static int start_volumes(struct qube__run *r, size_t n)
{
	int ret = 0;

	stage(r, "volumes");
	for (size_t i = 0; ret == 0 && i < n; i++)
		ret = start_volume(r, slots[i]);
	return ret;
}

/* While the private volume is copied all else is made already. Not where its disk must be known. */
static bool may_be_early(const struct qube__run *r)
{
	return r->host->ops->volumes_ready && slots[r->slot - 1] == QUBE__SLOT_PRIVATE &&
	       !qube__vm_feature_find(r->vm, "local.io-read-max") &&
	       !qube__vm_feature_find(r->vm, "local.io-write-max");
}

static void begin_early(struct qube__run *r, struct qube__pool *pool,
			const struct qube__volume_spec *spec)
{
	r->early = true;
	if (start_volumes(r, QUBE__SLOT_COUNT - 1) < 0 ||
	    qube__volume_expect(&r->volumes[QUBE__SLOT_PRIVATE], pool, spec) < 0)
		qube__life_fail(r); /* goes back when the copy has ended */
	else
		create_machine(r);
}

static void finish_early(struct qube__run *r)
{
	if (start_volume(r, QUBE__SLOT_PRIVATE) < 0 ||
	    r->host->ops->volumes_ready(r->machine) < 0) {
		qube__life_fail(r);
		qube__life_unwind(r);
	}
}

static void on_stage(void *user, const char *name)
{
	part(user, name);
}

/* What is made before the machine takes as long as there is much of it. The time is the guest's. */
static void on_preparing(void *user, uint64_t done, uint64_t total)
{
	struct qube__run *r = user;
	int64_t seconds = qube__vm_int(r->vm, QUBE__PROP_QREXEC_TIMEOUT, 60);

	(void)done;
	(void)total;
	if (r->pending && !r->failed)
		qube__timer_set(&r->host->ctx.loop, &r->deadline,
				qube__now_ms() + (uint64_t)seconds * 1000);
}

static void on_prepared(void *user, int code)
{
	struct qube__run *r = user;

	r->pending = 0;
	if (code < 0)
		qube__life_fail(r);
	/* That step is next already, and settles all now that nothing is pending. */
	if (qube__list_empty(&r->step.link) || r->next != machine_gone)
		qube__life_post(r, prepare_next);
}

static void prepare_next(struct qube__run *r)
{
	if (r->failed) {
		qube__life_unwind(r);
		return;
	}
	while (r->slot < QUBE__SLOT_COUNT) {
		enum qube__slot slot = slots[r->slot++];
		struct qube__volume_spec spec;
		struct qube__pool *pool;
		struct qube__pool_cb cb = {
			.user = r, .progress = on_preparing, .stage = on_stage, .done = on_prepared
		};
		int ret = qube__volumes_spec(&spec, &pool, r->host, r->vm, slot);

		if (ret == 0)
			ret = qube__volume_prepare(NULL, pool, &spec, &cb);
		if (ret == 1) {
			r->pending = 1;
			if (may_be_early(r))
				begin_early(r, pool, &spec);
			return;
		}
		if (ret < 0) {
			qube__life_fail(r);
			qube__life_unwind(r);
			return;
		}
	}
	if (r->early) {
		finish_early(r);
		return;
	}
	if (start_volumes(r, QUBE__SLOT_COUNT) < 0) {
		qube__life_fail(r);
		qube__life_unwind(r);
		return;
	}
	create_machine(r);
}

static void begin_volumes(struct qube__run *r)
{
	stage(r, "prepare");
	if (r->host->n_pools)
		qube__life_post(r, prepare_next);
	else
		create_machine(r); /* fake: there is nothing on disk */
}

/* Before anything is made for it. */
static void make_room(struct qube__run *r)
{
	int ret = qube__memory_room(r);

	if (ret == 0) {
		begin_volumes(r);
	} else if (ret > 0) {
		qube__timer_set(&r->host->ctx.loop, &r->room_timer, qube__now_ms() + ROOM_AGAIN_MS);
	} else {
		qube__life_fail(r);
		qube__life_unwind(r);
	}
}

static void make_room_again(struct qube__timer *t)
{
	make_room(qube__container_of(t, struct qube__run, room_timer));
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

static int fail_agent(const struct qube__run *r)
{
	return qube__fail(QUBE_E_CLOSED, "'%s' has no agent that answers", r->vm->name);
}

static void on_agent_late(struct qube__timer *t)
{
	struct qube__run *r = qube__container_of(t, struct qube__run, agent_late);

	qube__life_tell(&r->agent_waiters, fail_agent(r));
}

struct qube__run *qube__life_new(struct qube__host *h, struct qube__vm *vm, uint32_t state)
{
	struct qube__run *r = calloc(1, sizeof(*r));

	if (!r) {
		qube__fail_nomem();
		return NULL;
	}
	r->host = h;
	r->vm = vm;
	qube__list_init(&r->start_waiters);
	qube__list_init(&r->stop_waiters);
	qube__list_init(&r->agent_waiters);
	qube__timer_init(&r->deadline, qube__life_on_deadline);
	qube__timer_init(&r->room_timer, make_room_again);
	qube__timer_init(&r->agent_late, on_agent_late);
	qube__posted_init(&r->step, go_on);
	qube__list_append(&h->runs, &r->link);
	vm->run = r;
	qube__life_set_state(r, state);
	return r;
}

static int begin(struct qube__host *h, struct qube__vm *vm, struct qube__waiter *w, uint32_t flags,
		 qube_op *trace)
{
	struct qube__run *r;
	int64_t seconds = qube__vm_int(vm, QUBE__PROP_QREXEC_TIMEOUT, 60);
	int ret = may_start(h, vm);

	if (ret < 0)
		return ret;
	if ((flags & QUBE_DOMAIN_START_DISCARD) && !qube__vm_volume_save_on_stop(vm, "root"))
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_GENERIC,
					 "the root of '%s' is not kept anyway", vm->name);
	r = qube__life_new(h, vm, QUBE__STATE_TRANSIENT);
	if (!r)
		return QUBE_E_NOMEM;
	r->discard = flags & QUBE_DOMAIN_START_DISCARD;
	if (trace)
		r->trace = qube__op_hold(trace);
	qube__life_wait_for(&r->start_waiters, w);
	qube__timer_set(&h->ctx.loop, &r->deadline, qube__now_ms() + (uint64_t)seconds * 1000);
	qube__fault(QUBE__FAULT_START_BEGUN);
	qube__ctx_emit(&h->ctx, vm->name, "domain-pre-start", "start_guid", "True", NULL);
	if (qube__memory_needs_room(h)) {
		stage(r, "memory");
		qube__life_post(r, make_room);
	} else {
		begin_volumes(r);
	}
	return 0;
}

int qube__life_start(struct qube__host *h, struct qube__vm *vm, struct qube__waiter *w,
		     uint32_t flags, qube_op *trace)
{
	struct qube__run *r = vm->run;

	if (!r)
		return begin(h, vm, w, flags, trace);
	if (flags & QUBE_DOMAIN_START_DISCARD)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_HALTED,
					 "'%s' runs: its writes are discarded from a start on only",
					 vm->name);
	switch (vm->state) {
	case QUBE__STATE_TRANSIENT:
		if (r->failed)
			break;
		qube__life_wait_for(&r->start_waiters, w);
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
	qube__memory_made(r);
	if (r->failed) {
		qube__life_unwind(r);
		return;
	}
	stage(r, "run");
	qube__ctx_emit(&r->host->ctx, r->vm->name, "domain-spawn", "start_guid", "True", NULL);
	if (qube__fault_fails(QUBE__FAULT_START_HELD) || r->host->ops->run(r->machine) < 0) {
		qube__life_fail(r);
		qube__life_unwind(r);
	}
}

static void connect_agent(struct qube__run *r)
{
	qube__autofd fd = -1;

	if (r->failed) {
		qube__life_unwind(r);
		return;
	}
	stage(r, "agent");
	part(r, "/connect");
	r->vm->start_time_ms = qube__wall_ms();
	r->vm->xid =
		(int64_t)(r->host->ops->domain ? r->host->ops->domain(r->machine) : r->vm->qid);
	if (!qube__life_has_agent(r)) {
		qube__life_guest_up(r); /* nobody is there to say hello */
		return;
	}
	if (qube__fault_fails(QUBE__FAULT_START_RUNNING) ||
	    r->host->ops->control_connect(r->machine, &fd) < 0 ||
	    qube__link_guest_add(r->host, r, fd) < 0) {
		qube__life_fail(r);
		qube__life_unwind(r);
		return;
	}
	part(r, "/hello");
}

static void machine_gone(struct qube__run *r)
{
	r->gone = true;
	part(r, "/settle");
	qube__fault(QUBE__FAULT_STOP_GONE);
	if (r->vm->state == QUBE__STATE_TRANSIENT && !r->failed) {
		qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_ERROR, "'%s' ended while it started%s%s",
				  r->vm->name, r->end ? ": " : "", r->end ? r->end : "");
		qube__life_fail(r);
	}
	if (!r->pending) /* else when the copy has ended */
		qube__life_settle(r);
}

void qube__life_on_machine(void *user, struct qube__machine *m, void *machine_user,
			   enum qube__machine_event event, int status)
{
	struct qube__run *r = machine_user;

	(void)user;
	(void)m;
	switch (event) {
	case QUBE__MACHINE_HELD:
		qube__life_post(r, run_machine);
		break;
	case QUBE__MACHINE_RUNNING:
		qube__life_post(r, connect_agent);
		break;
	case QUBE__MACHINE_FAILED:
		qube__life_fail(r);
		qube__life_post(r, machine_gone);
		break;
	case QUBE__MACHINE_HALTING:
		qube__life_halting(r);
		break;
	case QUBE__MACHINE_STOPPED:
		r->end = r->host->ops->end_text ? r->host->ops->end_text(status) : NULL;
		if (r->end)
			qube__ctx_log(&r->host->ctx, 6, "'%s' ended: %s", r->vm->name, r->end);
		else
			qube__ctx_log(&r->host->ctx, 6, "'%s' ended with status %d", r->vm->name,
				      status);
		qube__life_post(r, machine_gone);
		break;
	}
}

bool qube__vm_has_agent(const struct qube__vm *vm)
{
	return !is_off(qube__vm_feature_check(vm, "qrexec", QUBE__CHAIN_TEMPLATE));
}

bool qube__life_has_agent(const struct qube__run *r)
{
	return r->host->ops->isolation != QUBE__ISOLATION_NONE && qube__vm_has_agent(r->vm);
}

bool qube__life_wait_for_agent(struct qube__run *r, struct qube__waiter *w)
{
	int64_t seconds = qube__vm_int(r->vm, QUBE__PROP_QREXEC_TIMEOUT, 60);

	/* One that is not expected is told of where the call is sent. */
	if (r->answers || !r->guest)
		return false;
	if (qube__list_empty(&r->agent_waiters))
		qube__timer_set(&r->host->ctx.loop, &r->agent_late,
				qube__now_ms() + (uint64_t)seconds * 1000);
	qube__life_wait_for(&r->agent_waiters, w);
	return true;
}

void qube__life_guest_up(struct qube__run *r)
{
	r->answers = true;
	qube__timer_stop(&r->host->ctx.loop, &r->agent_late);
	qube__life_tell(&r->agent_waiters, 0);
	if (r->up || r->vm->state != QUBE__STATE_TRANSIENT || r->failed)
		return;
	r->up = true;
	qube__fault(QUBE__FAULT_START_UP);
	qube__timer_stop(&r->host->ctx.loop, &r->deadline);
	qube__life_set_state(r, QUBE__STATE_RUNNING);
	stage(r, "up");
	if (r->trace) {
		qube__op_drop(r->trace);
		r->trace = NULL;
	}
	qube__ctx_emit(&r->host->ctx, r->vm->name, "domain-start", "start_guid", "True", NULL);
	qube__life_tell(&r->start_waiters, 0);
}

void qube__life_reconnect(struct qube__run *r)
{
	qube__autofd fd = -1;
	uint64_t now = qube__now_ms();

	if (!qube__life_has_agent(r))
		return;
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
		qube__life_fail(r);
		qube__life_unwind(r);
	} else if (r->vm->state == QUBE__STATE_RUNNING) {
		qube__life_reconnect(r); /* a paused one when it goes on */
		if (!r->guest)
			qube__life_tell(&r->agent_waiters, fail_agent(r));
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
