/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the two helpers are ordered and what they say. A helper that is lost costs no domain: the
 * next one lists what there is, and what was ordered and not done is ordered again. */
#include "driver/xen/xen.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	RUN_MS = 30000,
	AGAIN_MS = 200,
	AGAIN_LATER_MS = 5000,
	KILLS_MAX = 5,
	LOOK_MS = 1000,
	ASKED_MS = 5000, /* so long after the last question what machines use is looked at */
};

static void tell(struct qube__xen_driver *d, int priority, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void tell(struct qube__xen_driver *d, int priority, const char *fmt, ...)
{
	char line[900];
	va_list ap;

	if (!d->env.log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	d->env.log(d->env.user, priority, line);
}

static void set_again(struct qube__xen_driver *d, uint32_t ms)
{
	if (!d->closed)
		qube__timer_set(d->env.loop, &d->again, qube__now_ms() + ms);
}

int qube__xen_order(struct qube__xen_machine *m, uint32_t type, uint32_t deadline_ms)
{
	struct qube__xl_msg order = { .type = type, .deadline_ms = deadline_ms };
	int r;

	memcpy(order.uuid, m->uuid, sizeof(order.uuid));
	r = qube__xen_helper_order(&m->d->keeper, &order);
	if (r < 0)
		set_again(m->d, AGAIN_LATER_MS);
	return r;
}

int qube__xen_order_memory(struct qube__xen_machine *m)
{
	struct qube__xl_msg order = { .type = QUBE__XL_MEMORY, .memory_kb = m->target_kb };
	int r;

	memcpy(order.uuid, m->uuid, sizeof(order.uuid));
	r = qube__xen_helper_order(&m->d->keeper, &order);
	if (r < 0)
		set_again(m->d, AGAIN_LATER_MS);
	return r;
}

static int list(struct qube__xen_driver *d)
{
	struct qube__xl_msg order = { .type = QUBE__XL_LIST };

	return qube__xen_helper_order(&d->keeper, &order);
}

/* --- what machines are --- */

static void is_shut(struct qube__xen_machine *m, uint32_t reason)
{
	if (m->state >= QUBE__XEN_ENDING)
		return;
	m->reason = reason;
	qube__xen_kill(m);
}

static void on_domain(struct qube__xen_driver *d, const struct qube__xl_msg *t)
{
	struct qube__xen_machine *m = qube__xen_find(d, t->uuid);

	/* Others' domains are not our business. */
	if (!m || (t->state & QUBE__XL_IS_DYING))
		return;
	m->seen_in = t->id;
	m->domid = t->domid;
	m->cpu_ns = t->cpu_ns;
	m->memory_kb = t->memory_kb;
	if (d->listing) {
		m->paused = t->state & QUBE__XL_IS_PAUSED;
		m->killed = !(t->state & QUBE__XL_IS_WHOLE) || !m->ran ||
			    qube__xen_record_get(&m->record, t->record) < 0;
	}
	if ((t->state & QUBE__XL_IS_SHUT) && !d->listing)
		is_shut(m, t->reason);
}

static void told(struct qube__xen_helper *h, const struct qube__xl_msg *t)
{
	struct qube__xen_driver *d = h->user;
	struct qube__xen_machine *m;
	char safe[64];

	switch (t->type) {
	case QUBE__XL_HOST:
		d->total_kb = t->max_kb;
		d->free_kb = t->memory_kb;
		d->has = t->state;
		snprintf(d->version, sizeof(d->version), "%s",
			 qube__text_escape(safe, sizeof(safe), t->text, strlen(t->text)));
		return;
	case QUBE__XL_DOMAIN:
		on_domain(d, t);
		return;
	default:
		break;
	}
	m = qube__xen_find(d, t->uuid);
	if (!m)
		return;
	if (t->type == QUBE__XL_USED)
		m->used_kb = t->memory_kb;
	/* Of one that is being made, or killed, DONE says what became of it. */
	else if (m->state < QUBE__XEN_HELD || m->state >= QUBE__XEN_ENDING || m->domid != t->domid)
		return;
	else if (t->type == QUBE__XL_SHUT)
		is_shut(m, t->reason);
	else if (t->type == QUBE__XL_GONE)
		qube__xen_over(m);
}

/* --- what became of orders --- */

static void on_created(struct qube__xen_machine *m, int code, const struct qube__xl_msg *t)
{
	if (m->state != QUBE__XEN_CREATING && !(m->state == QUBE__XEN_ENDING && !m->kills))
		return;
	if (code < 0) {
		m->failed = true;
		qube__err_save(&m->why);
	}
	/* Half of it may be there when nobody knows, or is still being undone. */
	if (code < 0 && t && code != QUBE_E_TIMEOUT) {
		qube__xen_over(m);
		return;
	}
	if (code < 0 || m->killed) {
		qube__xen_kill(m);
		return;
	}
	m->domid = t->domid;
	m->state = QUBE__XEN_HELD;
	/* A list that is on its way may be from before. */
	m->newer = m->d->keeper.next_id;
	qube__xen_order(m, QUBE__XL_WATCH, 0);
	m->d->env.on_machine(m->d->env.user, &m->base, m->user, QUBE__MACHINE_HELD, 0);
}

static void on_run(struct qube__xen_machine *m, int code)
{
	if (m->state != QUBE__XEN_STARTING) {
		if (code < 0 && m->state == QUBE__XEN_RUNNING)
			tell(m->d, 4, "'%s' cannot go on: %s", m->record.name,
			     qube_error_last()->message);
		return;
	}
	if (code < 0) {
		m->failed = true;
		qube__err_save(&m->why);
		qube__xen_kill(m);
		return;
	}
	m->state = QUBE__XEN_RUNNING;
	m->d->env.on_machine(m->d->env.user, &m->base, m->user, QUBE__MACHINE_RUNNING, 0);
}

static void on_killed(struct qube__xen_machine *m, int code)
{
	if (m->state != QUBE__XEN_ENDING)
		return;
	if (code == 0 || code == QUBE_E_NOENT) {
		qube__xen_over(m);
		return;
	}
	tell(m->d, 3, "'%s' cannot be destroyed: %s", m->record.name, qube_error_last()->message);
	/* One that still is created, or whose devices do not let go. */
	if (++m->kills < KILLS_MAX) {
		set_again(m->d, AGAIN_MS);
		return;
	}
	m->stuck = true;
	qube__xen_over(m);
}

static void on_listed(struct qube__xen_driver *d, uint32_t id, int code,
		      const struct qube__xl_msg *t)
{
	struct qube__list *pos;
	struct qube__list *tmp;

	if (code == 0)
		d->free_kb = t->memory_kb;
	if (d->listing)
		d->list_code = code;
	if (code < 0 || d->listing)
		return;
	qube__list_foreach_safe (pos, tmp, &d->machines) {
		struct qube__xen_machine *m =
			qube__container_of(pos, struct qube__xen_machine, link);
		bool there = m->state >= QUBE__XEN_HELD && m->state < QUBE__XEN_ENDING;

		if (there && m->seen_in != id && m->newer < id)
			qube__xen_over(m);
	}
}

static void done(struct qube__xen_helper *h, const struct qube__xen_order *o, int code,
		 const struct qube__xl_msg *t)
{
	struct qube__xen_driver *d = h->user;
	struct qube__xen_machine *m;

	if (o->type == QUBE__XL_LIST) {
		on_listed(d, o->id, code, t);
		return;
	}
	m = qube__xen_find(d, o->uuid);
	if (!m)
		return;
	if (o->type == QUBE__XL_CREATE)
		on_created(m, code, t);
	else if (!t)
		return; /* ordered again, if it still is to be */
	else if (o->type == QUBE__XL_RUN)
		on_run(m, code);
	else if (o->type == QUBE__XL_KILL)
		on_killed(m, code);
	else if (code < 0 && o->type == QUBE__XL_WATCH)
		set_again(d, AGAIN_MS); /* the list lets it be watched too */
	else if (code < 0)
		tell(d, 4, "'%s': %s", m->record.name, qube_error_last()->message);
}

/* --- lost and found --- */

static void lost(struct qube__xen_helper *h)
{
	struct qube__xen_driver *d = h->user;

	tell(d, 3, "lost qube-xl (%s); the qubes run on",
	     h == &d->maker ? "that creates" : "that keeps");
	set_again(d, AGAIN_MS);
}

static void order_again(struct qube__xen_machine *m)
{
	switch (m->state) {
	case QUBE__XEN_STARTING:
		qube__xen_order(m, QUBE__XL_RUN, RUN_MS);
		break;
	case QUBE__XEN_RUNNING:
		/* Which of the two had been done nobody knows; both are done once only. */
		qube__xen_order(m, m->paused ? QUBE__XL_PAUSE : QUBE__XL_RUN, RUN_MS);
		if (m->stopping)
			qube__xen_order(m, QUBE__XL_STOP, QUBE__XEN_STOP_MS);
		if (m->target_kb)
			qube__xen_order_memory(m);
		break;
	case QUBE__XEN_ENDING:
		qube__xen_kill(m);
		break;
	default:
		break;
	}
}

static void on_again(struct qube__timer *t)
{
	struct qube__xen_driver *d = qube__container_of(t, struct qube__xen_driver, again);
	struct qube__list *pos;

	/* It also lets the new helper watch them. */
	if (list(d) < 0) {
		tell(d, 3, "no qube-xl: %s", qube_error_last()->message);
		set_again(d, AGAIN_LATER_MS);
		return;
	}
	qube__list_foreach (pos, &d->machines)
		order_again(qube__container_of(pos, struct qube__xen_machine, link));
}

/* --- looking --- */

static void on_look(struct qube__timer *t)
{
	struct qube__xen_driver *d = qube__container_of(t, struct qube__xen_driver, looking);
	struct qube__list *pos;

	if (qube__now_ms() - d->asked_ms > ASKED_MS || d->closed)
		return;
	qube__timer_set(d->env.loop, t, qube__now_ms() + LOOK_MS);
	/* A list that is under way will do. */
	qube__list_foreach (pos, &d->keeper.orders)
		if (qube__container_of(pos, struct qube__xen_order, link)->type == QUBE__XL_LIST)
			return;
	list(d);
}

void qube__xen_look(struct qube__xen_driver *d)
{
	d->asked_ms = qube__now_ms();
	if (qube__list_empty(&d->looking.link))
		qube__timer_set(d->env.loop, &d->looking, qube__now_ms());
}

void qube__xen_orders_init(struct qube__xen_driver *d)
{
	struct qube__xen_helper *both[] = { &d->keeper, &d->maker };

	for (int i = 0; i < 2; i++) {
		*both[i] = (struct qube__xen_helper){ .loop = d->env.loop,
						      .path = d->xl_path,
						      .user = d,
						      .told = told,
						      .done = done,
						      .lost = lost };
		qube__xen_helper_init(both[i]);
	}
	qube__timer_init(&d->again, on_again);
	qube__timer_init(&d->looking, on_look);
}
