/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Divides the host's memory among the qubes that run (balance.c says how), once a second while
 * there is one whose part may change, and keeps what a qube that is being started begins with. */
#include "core/balance.h"
#include "core/host.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"

#include <stdlib.h>

enum {
	ROUND_MS = 1000,
	ROOM_MS = 10000, /* for the others to give back */
	RESERVE_MIN_KB = 50 * 1024,
	/* Of all memory: the host's own programs are in what a driver that divides leaves out. */
	RESERVE_DIVIDED = 100,
	RESERVE_SHARED = 20,
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t property_kb(const struct qube__vm *vm, uint32_t row)
{
	int64_t mib = qube__vm_int(vm, row, 0);

	return (uint64_t)(mib > INT64_MAX >> 20 ? INT64_MAX >> 20 : mib) << 10;
}

/* maxmem 0: no balancing, so it has what it starts with (admin-api.md 5.2). */
uint64_t qube__memory_max_kb(const struct qube__vm *vm)
{
	uint64_t max = property_kb(vm, QUBE__PROP_MAXMEM);

	return max ? max : property_kb(vm, QUBE__PROP_MEMORY);
}

uint64_t qube__memory_start_kb(const struct qube__vm *vm)
{
	return least(property_kb(vm, QUBE__PROP_MEMORY), qube__memory_max_kb(vm));
}

static bool is_balanced(const struct qube__run *r)
{
	return r->machine && !r->gone && !r->memory_fixed && r->up &&
	       r->vm->state == QUBE__STATE_RUNNING &&
	       qube__memory_max_kb(r->vm) > qube__memory_start_kb(r->vm);
}

static bool has_balanced(const struct qube__host *h)
{
	const struct qube__list *pos;

	qube__list_foreach (pos, &h->runs)
		if (is_balanced(qube__container_of(pos, struct qube__run, link)))
			return true;
	return false;
}

/* --- what there is --- */

struct view {
	struct qube__balance_host host;
	struct qube__balance_guest *guests;
	size_t n;
};

/* Once its machine is made, a run's memory is no longer among the host's free. */
static bool is_guest(const struct qube__run *r)
{
	return r->machine && !r->gone && !r->room;
}

static int look_at_host(struct qube__balance_host *out, const struct qube__host *h)
{
	uint64_t total;
	uint64_t reserve;
	int r;

	if (!h->ops->host_memory || !h->ops->set_memory || !h->driver)
		return QUBE_E_NOTSUP;
	*out = (struct qube__balance_host){ 0 };
	r = h->ops->host_memory(h->driver, &total, &out->free);
	if (r < 0)
		return r;
	reserve = total / (h->ops->divides_memory ? RESERVE_DIVIDED : RESERVE_SHARED);
	out->reserve = reserve > RESERVE_MIN_KB ? reserve : RESERVE_MIN_KB;
	return 0;
}

static void look_at_run(struct qube__balance_guest *g, struct qube__run *r)
{
	struct qube__machine_stats s = { 0 };
	bool divides = r->host->ops->divides_memory;

	if (r->host->ops->stats && r->host->ops->stats(r->machine, &s) < 0)
		s = (struct qube__machine_stats){ 0 };
	*g = (struct qube__balance_guest){
		.min = qube__memory_start_kb(r->vm),
		.max = qube__memory_max_kb(r->vm),
		.reports = is_balanced(r) && (s.known & QUBE_STATS_MEMORY),
		.paused = r->vm->state == QUBE__STATE_PAUSED,
		.seen = r->memory_seen,
		.late = r->memory_late,
	};
	if (!r->memory_target)
		r->memory_target = s.target_bytes ? s.target_bytes >> 10 : g->max;
	g->target = r->memory_target;
	/* Where memory is shared a qube has what it uses, and only who is balanced is promised any.
	 */
	g->has = s.assigned_bytes ? s.assigned_bytes >> 10 : divides ? g->target : 0;
	if (!divides && !is_balanced(r))
		g->target = g->has;
	g->untrusted_used = (s.memory_bytes - least(s.cache_bytes, s.memory_bytes)) >> 10;
}

static int look(struct view *out, struct qube__host *h)
{
	struct qube__list *pos;
	size_t n = 0;
	int r = look_at_host(&out->host, h);

	if (r < 0)
		return r;
	qube__list_foreach (pos, &h->runs)
		n++;
	out->guests = calloc(n ? n : 1, sizeof(*out->guests));
	if (!out->guests)
		return qube__fail_nomem();
	qube__list_foreach (pos, &h->runs) {
		struct qube__run *run = qube__container_of(pos, struct qube__run, link);

		out->host.claimed += run->room;
		if (is_guest(run))
			look_at_run(&out->guests[out->n++], run);
	}
	return 0;
}

static void view_fini(struct view *v)
{
	free(v->guests);
}

/* --- rounds --- */

static void order(struct qube__run *r, const struct qube__balance_guest *g)
{
	int ret;

	r->memory_seen = g->seen;
	r->memory_late = g->late;
	/* The first time in any case: it tells whether the driver can. */
	if (!is_balanced(r) || (r->memory_set && g->target == r->memory_target))
		return;
	ret = r->host->ops->set_memory(r->machine, g->target);
	r->memory_set = r->memory_set || ret == 0;
	if (ret == 0)
		r->memory_target = g->target;
	else if (ret == QUBE_E_NOTSUP)
		r->memory_fixed = true;
	else if (!r->memory_refused)
		qube__ctx_log(&r->host->ctx, 4, "the memory of '%s' stays as it is: %s",
			      r->vm->name, qube_error_last()->message);
	r->memory_refused = ret < 0;
}

static void balance(struct qube__host *h, struct view *v)
{
	const struct qube__balance_guest *g = v->guests;
	struct qube__list *pos;

	qube__balance_round(&v->host, v->guests, v->n);
	qube__list_foreach (pos, &h->runs) {
		struct qube__run *r = qube__container_of(pos, struct qube__run, link);

		if (is_guest(r))
			order(r, g++);
	}
}

static void arm(struct qube__host *h)
{
	qube__timer_set(&h->ctx.loop, &h->memory_round, qube__now_ms() + ROUND_MS);
}

static void on_round(struct qube__timer *t)
{
	struct qube__host *h = qube__container_of(t, struct qube__host, memory_round);
	__attribute__((cleanup(view_fini))) struct view v = { 0 };
	int r;

	if (!has_balanced(h))
		return; /* an event begins it again */
	r = look(&v, h);
	if (r == QUBE_E_NOTSUP)
		return;
	if (r == 0)
		balance(h, &v);
	arm(h);
}

static void begin_rounds(struct qube__host *h)
{
	struct qube__balance_host unused;
	struct qube__err err;

	if (!qube__list_empty(&h->memory_round.link) || !has_balanced(h))
		return;
	qube__err_save(&err); /* an event may be told on the way out of a failure */
	if (look_at_host(&unused, h) == 0)
		arm(h);
	qube__err_restore(&err);
}

/* Whatever makes a qube one whose part may change is told by an event. */
static void on_event(struct qube__listener *l, const struct qube_event *ev)
{
	struct qube__host *h = qube__container_of(l, struct qube__host, memory_listener);

	(void)ev;
	begin_rounds(h);
}

void qube__memory_open(struct qube__host *h)
{
	uint64_t total;
	uint64_t unused;

	qube__timer_init(&h->memory_round, on_round);
	qube__ctx_listen(&h->ctx, &h->memory_listener, on_event);
	if (!h->driver)
		return;
	/* The kernel that we run on sees its own part only. */
	if (h->ops->divides_memory && h->ops->host_memory &&
	    h->ops->host_memory(h->driver, &total, &unused) == 0)
		h->model->host_memory_mib = (int64_t)(total >> 10);
	begin_rounds(h); /* with adopted ones */
}

void qube__memory_close(struct qube__host *h)
{
	if (!h->memory_listener.fn)
		return; /* it was not opened */
	qube__timer_stop(&h->ctx.loop, &h->memory_round);
	qube__ctx_unlisten(&h->memory_listener);
}

/* --- room for one that is being started --- */

bool qube__memory_needs_room(const struct qube__host *h)
{
	return h->ops->divides_memory && h->ops->set_memory && h->ops->host_memory;
}

static unsigned long long mib_of(uint64_t kb)
{
	return (kb + 1023) >> 10;
}

static int refuse(const struct qube__run *r, uint64_t missing, const char *why)
{
	return qube__fail_detail(QUBE_E_LIMIT, QUBE_D_MEMORY,
				 "not enough memory to start '%s': %llu MiB of %llu are missing%s",
				 r->vm->name, mib_of(missing), mib_of(qube__memory_start_kb(r->vm)),
				 why);
}

int qube__memory_room(struct qube__run *r)
{
	__attribute__((cleanup(view_fini))) struct view v = { 0 };
	struct qube__host *h = r->host;
	uint64_t want = qube__memory_start_kb(r->vm);
	uint64_t now = qube__now_ms();
	uint64_t missing = 0;
	int ret;

	r->room = 0; /* of the others' claims it is none */
	ret = look(&v, h);
	if (ret < 0)
		return ret == QUBE_E_NOTSUP ? 0 : ret;
	if (!r->room_late_ms)
		r->room_late_ms = now + ROOM_MS;
	ret = qube__balance_room(&missing, &v.host, v.guests, v.n, want);
	/* Another that starts may have its memory counted twice while its machine is made. */
	if (ret < 0 && (!v.host.claimed || now >= r->room_late_ms))
		return refuse(r, missing, "");
	if (ret == 1 && now >= r->room_late_ms)
		return refuse(r, missing, ", and were not given back in time");
	if (ret < 0)
		return 1;
	r->room = want;
	if (ret == 1) {
		v.host.claimed += want;
		balance(h, &v);
	}
	return ret;
}

uint64_t qube__memory_target_kb(const struct qube__run *r)
{
	return r->memory_set || r->host->ops->divides_memory ? r->memory_target : 0;
}

void qube__memory_made(struct qube__run *r)
{
	r->room = 0;
}
