/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the driver orders. Each order is one asynchronous operation of libxenlight with a deadline;
 * when that is over the driver is told, and what the operation still makes is taken away again. */
#include "xl.h"

#include "base/clock.h"

#include <qube/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The driver's record, kept by libxenlight with a domain for as long as that is there: it was made
 * to its end. */
static const char whole[] = "qube";

struct order {
	struct qube__list link;
	struct qube__timer deadline;
	struct xl *x;
	libxl_asyncop_how how;
	uint32_t type;
	uint32_t id;
	uint32_t domid; /* CREATE: written by libxenlight */
	uint8_t uuid[QUBE__XL_UUID];
	libxl_domain_config config; /* CREATE: used until it is done */
	int disks[QUBE__XL_DISKS_MAX];
	char *record;
	bool late; /* the driver was told so */
};

static int code_of(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case ERROR_NOMEM:
		return QUBE_E_NOMEM;
	case ERROR_INVAL:
		return QUBE_E_INVALID;
	case ERROR_NI:
		return QUBE_E_NOTSUP;
	case ERROR_GUEST_TIMEDOUT:
	case ERROR_TIMEDOUT:
		return QUBE_E_TIMEOUT;
	case ERROR_DOMAIN_NOTFOUND:
	case ERROR_DOMAIN_DESTROYED:
	case ERROR_NOTFOUND:
		return QUBE_E_NOENT;
	case ERROR_ABORTED:
		return QUBE_E_CANCELED;
	default:
		return QUBE_E_SYSTEM;
	}
}

static void done(struct xl *x, uint32_t id, int code, uint32_t domid, const char *text)
{
	struct qube__xl_msg m = {
		.type = QUBE__XL_DONE, .id = id, .code = code, .domid = domid, .text = text
	};

	xl_send(x, &m);
}

/* --- which domain --- */

/* The living domain with that uuid; false: there is none. One that dies may stay for a while, for
 * somebody's sake who still has a page of it, beside a new one. */
static bool find(struct xl *x, const uint8_t uuid[QUBE__XL_UUID], uint32_t *domid, bool *paused)
{
	int n = 0;
	libxl_dominfo *list = libxl_list_domain(x->ctx, &n);
	bool found = false;

	for (int i = 0; list && i < n && !found; i++) {
		found = !memcmp(libxl_uuid_bytearray(&list[i].uuid), uuid, QUBE__XL_UUID) &&
			list[i].domid != 0 && !list[i].dying;
		*domid = list[i].domid;
		*paused = list[i].paused;
	}
	libxl_dominfo_list_free(list, n);
	return found;
}

static bool creating(struct xl *x, const uint8_t uuid[QUBE__XL_UUID])
{
	struct qube__list *pos;

	qube__list_foreach (pos, &x->orders) {
		struct order *o = qube__container_of(pos, struct order, link);

		if (o->type == QUBE__XL_CREATE && !memcmp(o->uuid, uuid, QUBE__XL_UUID))
			return true;
	}
	return false;
}

/* Owned; NULL: it is not whole. */
static char *record_of(struct xl *x, uint32_t domid)
{
	uint8_t *data = NULL;
	int len = 0;

	if (domid && libxl_userdata_retrieve(x->ctx, domid, whole, &data, &len) == 0 && len > 1 &&
	    len <= QUBE__XL_RECORD_MAX && !data[len - 1])
		return (char *)data;
	free(data);
	return NULL;
}

struct watched *xl_watched(struct xl *x, uint32_t domid)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &x->watched) {
		struct watched *w = qube__container_of(pos, struct watched, link);

		if (w->domid == domid)
			return w;
	}
	return NULL;
}

static void unwatch(struct xl *x, struct watched *w)
{
	libxl_evdisable_domain_death(x->ctx, w->death);
	xl_store_watch(x, w->domid, false);
	qube__list_remove(&w->link);
	free(w);
}

static int watch(struct xl *x, uint32_t domid, const uint8_t uuid[QUBE__XL_UUID])
{
	struct watched *w = xl_watched(x, domid);
	int rc;

	if (w && !memcmp(w->uuid, uuid, QUBE__XL_UUID))
		return 0;
	/* The number was given again before the end of the one before was heard. */
	if (w)
		unwatch(x, w);
	w = calloc(1, sizeof(*w));
	if (!w)
		return ERROR_NOMEM;
	w->domid = domid;
	memcpy(w->uuid, uuid, QUBE__XL_UUID);
	qube__list_init(&w->link);
	rc = libxl_evenable_domain_death(x->ctx, domid, 0, &w->death);
	if (rc) {
		free(w);
		return rc;
	}
	qube__list_append(&x->watched, &w->link);
	xl_store_watch(x, domid, true);
	return 0;
}

static uint32_t reason_of(int reason)
{
	switch (reason) {
	case LIBXL_SHUTDOWN_REASON_POWEROFF:
		return QUBE__XL_POWEROFF;
	case LIBXL_SHUTDOWN_REASON_REBOOT:
		return QUBE__XL_REBOOT;
	case LIBXL_SHUTDOWN_REASON_SUSPEND:
		return QUBE__XL_SUSPEND;
	case LIBXL_SHUTDOWN_REASON_CRASH:
		return QUBE__XL_CRASH;
	default:
		return QUBE__XL_OTHER;
	}
}

static void on_event(void *user, libxl_event *ev)
{
	struct xl *x = user;
	struct watched *w = xl_watched(x, ev->domid);
	struct qube__xl_msg m = { .domid = ev->domid };

	if (w && (ev->type == LIBXL_EVENT_TYPE_DOMAIN_SHUTDOWN ||
		  ev->type == LIBXL_EVENT_TYPE_DOMAIN_DEATH)) {
		memcpy(m.uuid, w->uuid, sizeof(m.uuid));
		m.type = QUBE__XL_GONE;
		if (ev->type == LIBXL_EVENT_TYPE_DOMAIN_SHUTDOWN) {
			m.type = QUBE__XL_SHUT;
			m.reason = reason_of(ev->u.domain_shutdown.shutdown_reason);
		}
		xl_send(x, &m);
	}
	if (w && ev->type == LIBXL_EVENT_TYPE_DOMAIN_DEATH) {
		unwatch(x, w);
		xl_store_gone(x, ev->domid);
	}
	libxl_event_free(x->ctx, ev);
}

/* What libxenlight cannot go on without. The domains are as they were for the next helper. */
static void on_disaster(void *user, libxl_event_type type, const char *text, int error)
{
	(void)user;
	(void)type;
	fprintf(stderr, "qube-xl: %s: %s\n", text, strerror(error));
	_exit(1);
}

/* --- the life of an order --- */

static void order_free(struct order *o)
{
	qube__timer_stop(&o->x->loop, &o->deadline);
	qube__list_remove(&o->link);
	libxl_domain_config_dispose(&o->config);
	xl_disks_close(o->disks);
	free(o->record);
	free(o);
}

static void on_deadline(struct qube__timer *t)
{
	struct order *o = qube__container_of(t, struct order, deadline);

	o->late = true;
	done(o->x, o->id, QUBE_E_TIMEOUT, 0, "it took too long");
	libxl_ao_abort(o->x->ctx, &o->how);
}

static void on_undone(libxl_ctx *ctx, int rc, void *user)
{
	(void)ctx;
	(void)user;
	/* LIST shows it, and that it is not whole. */
	if (rc)
		fprintf(stderr, "qube-xl: a domain that came too late cannot be destroyed (%d)\n",
			rc);
}

/* Nobody waits for what was made too late, or knows of it. By its uuid: a creation that was aborted
 * leaves the domain and says nothing. */
static void undo(struct order *o)
{
	libxl_asyncop_how how = { .callback = on_undone, .u.for_callback = o->x };
	uint32_t domid;
	bool paused;

	if (!find(o->x, o->uuid, &domid, &paused))
		return;
	if (libxl_domain_destroy(o->x->ctx, domid, &how))
		on_undone(o->x->ctx, ERROR_FAIL, o->x);
}

static int made(struct order *o, int rc)
{
	struct xl *x = o->x;
	bool was_made = rc == 0;

	if (rc == 0 && !o->late)
		rc = xl_store_prepare(x, o->domid);
	if (rc == 0 && !o->late)
		rc = libxl_userdata_store(x->ctx, o->domid, whole, (const uint8_t *)o->record,
					  (int)strlen(o->record) + 1);
	/* libxenlight takes away what failed, but not what was aborted. */
	if (o->late || rc == ERROR_ABORTED || (was_made && rc))
		undo(o);
	return rc;
}

static void on_done(libxl_ctx *ctx, int rc, void *user)
{
	struct order *o = user;
	struct xl *x = o->x;
	bool alone = o->link.next == o->link.prev;
	uint32_t domid;
	bool paused;

	(void)ctx;
	if (o->type == QUBE__XL_CREATE)
		rc = made(o, rc);
	/* Nothing of it is left but what libxenlight did not find. */
	if (o->type == QUBE__XL_CREATE ? rc && !find(x, o->uuid, &domid, &paused) :
					 o->type == QUBE__XL_KILL && rc == 0)
		xl_store_forget(x, o->uuid);
	if (o->type == QUBE__XL_CREATE && rc)
		xl_sweep(x);
	/* Of several nobody knows whose complaint it was. */
	if (!o->late)
		done(x, o->id, code_of(rc), rc ? 0 : o->domid,
		     rc && alone ? xl_say_last(x->log) : "");
	order_free(o);
}

static struct order *order_new(struct xl *x, const struct qube__xl_msg *m)
{
	struct order *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->x = x;
	o->type = m->type;
	o->id = m->id;
	memcpy(o->uuid, m->uuid, sizeof(o->uuid));
	libxl_domain_config_init(&o->config);
	for (int i = 0; i < QUBE__XL_DISKS_MAX; i++)
		o->disks[i] = -1;
	o->how.callback = on_done;
	o->how.u.for_callback = o;
	qube__list_init(&o->link);
	qube__list_append(&x->orders, &o->link);
	qube__timer_init(&o->deadline, on_deadline);
	qube__timer_set(&x->loop, &o->deadline, qube__now_ms() + m->deadline_ms);
	return o;
}

/* --- orders --- */

static int fill(libxl_ctx *ctx, libxl_domain_config *c, const struct qube__xl_msg *m)
{
	libxl_domain_type type =
		m->kind == QUBE__XL_PV ? LIBXL_DOMAIN_TYPE_PV : LIBXL_DOMAIN_TYPE_PVH;

	c->c_info.type = type;
	c->c_info.name = strdup(m->name);
	memcpy(libxl_uuid_bytearray(&c->c_info.uuid), m->uuid, QUBE__XL_UUID);
	libxl_domain_build_info_init_type(&c->b_info, type);
	c->b_info.max_vcpus = (int)m->vcpus;
	c->b_info.max_memkb = m->max_kb;
	c->b_info.target_memkb = m->memory_kb;
	c->b_info.kernel = strdup(m->kernel);
	c->b_info.ramdisk = *m->ramdisk ? strdup(m->ramdisk) : NULL;
	c->b_info.cmdline = strdup(m->cmdline);
	/* No virtualisation inside: it is a door for attacks, and nobody's need here. */
	libxl_defbool_set(&c->b_info.nested_hvm, false);
	if (libxl_cpuid_parse_config(&c->b_info.cpuid, "vmx=0") ||
	    libxl_cpuid_parse_config(&c->b_info.cpuid, "svm=0"))
		return ERROR_INVAL;
	/* The driver decides what becomes of it. */
	c->on_poweroff = c->on_reboot = c->on_crash = c->on_watchdog = c->on_soft_reset =
		LIBXL_ACTION_ON_SHUTDOWN_PRESERVE;
	if (!c->c_info.name || !c->b_info.kernel || !c->b_info.cmdline ||
	    (*m->ramdisk && !c->b_info.ramdisk) ||
	    libxl_cpu_bitmap_alloc(ctx, &c->b_info.avail_vcpus, (int)m->vcpus))
		return ERROR_NOMEM;
	for (uint32_t i = 0; i < m->vcpus; i++)
		libxl_bitmap_set(&c->b_info.avail_vcpus, (int)i);
	return 0;
}

static int create(struct xl *x, struct order *o, const struct qube__xl_msg *m, char *why,
		  size_t cap)
{
	uint32_t same;
	bool paused;
	int rc;

	if (find(x, m->uuid, &same, &paused)) {
		snprintf(why, cap, "its domain is there already, with the number %u", same);
		return ERROR_INVAL;
	}
	rc = fill(x->ctx, &o->config, m);
	o->record = strdup(m->record);
	if (rc == 0)
		rc = o->record ? xl_disks_open(&o->config, o->disks, m, why, cap) : ERROR_NOMEM;
	return rc ? rc : libxl_domain_create_new(x->ctx, &o->config, &o->domid, &o->how, NULL);
}

static int begin(struct xl *x, struct order *o, const struct qube__xl_msg *m, char *why, size_t cap)
{
	bool paused;

	if (m->type == QUBE__XL_CREATE)
		return create(x, o, m, why, cap);
	if (!find(x, m->uuid, &o->domid, &paused))
		return ERROR_DOMAIN_NOTFOUND;
	/* The hypervisor counts pauses: after two it would take two to go on. */
	if ((m->type == QUBE__XL_RUN && !paused) || (m->type == QUBE__XL_PAUSE && paused)) {
		on_done(x->ctx, 0, o);
		return 0;
	}
	/* Half taken away, should we end meanwhile, it must not look like a good one. */
	if (m->type == QUBE__XL_KILL)
		libxl_userdata_store(x->ctx, o->domid, whole, NULL, 0);
	switch (m->type) {
	case QUBE__XL_RUN:
		return libxl_domain_unpause(x->ctx, o->domid, &o->how);
	case QUBE__XL_PAUSE:
		return libxl_domain_pause(x->ctx, o->domid, &o->how);
	case QUBE__XL_STOP:
		return libxl_domain_shutdown(x->ctx, o->domid, &o->how);
	default:
		return libxl_domain_destroy(x->ctx, o->domid, &o->how);
	}
}

static void list(struct xl *x, uint32_t id)
{
	int n = 0;
	libxl_dominfo *all = libxl_list_domain(x->ctx, &n);
	struct qube__xl_msg end = { .type = QUBE__XL_DONE, .id = id };

	for (int i = 0; all && i < n; i++) {
		const libxl_dominfo *d = &all[i];
		char *name = d->domid ? libxl_domid_to_name(x->ctx, d->domid) : NULL;
		char *record = record_of(x, d->domid);
		struct qube__xl_msg m = {
			.type = QUBE__XL_DOMAIN,
			.id = id,
			.domid = d->domid,
			.state = (d->paused ? QUBE__XL_IS_PAUSED : 0u) |
				 (d->shutdown ? QUBE__XL_IS_SHUT : 0u) |
				 (d->dying ? QUBE__XL_IS_DYING : 0u),
			.memory_kb = d->current_memkb,
			.max_kb = d->max_memkb,
			.cpu_ns = d->cpu_time,
			.record = record,
			/* Another toolstack's may be of any length. */
			.name = name && strlen(name) < QUBE__XL_TEXT_MAX ? name : NULL,
			.reason = d->shutdown ? reason_of(d->shutdown_reason) : 0,
		};

		if (record)
			m.state |= QUBE__XL_IS_WHOLE;

		memcpy(m.uuid, libxl_uuid_bytearray_const(&d->uuid), sizeof(m.uuid));
		/* Also of those that a helper before this one made. */
		if (d->domid && !d->dying)
			watch(x, d->domid, m.uuid);
		if (d->domid)
			xl_send(x, &m);
		free(record);
		free(name);
	}
	libxl_dominfo_list_free(all, n);
	if (libxl_get_free_memory(x->ctx, &end.memory_kb) || !all) {
		end.code = QUBE_E_SYSTEM;
		end.text = xl_say_last(x->log);
	}
	xl_send(x, &end);
}

static void set_memory(struct xl *x, const struct qube__xl_msg *m)
{
	uint32_t domid = 0;
	bool paused;
	int rc = ERROR_DOMAIN_NOTFOUND;

	if (find(x, m->uuid, &domid, &paused))
		rc = libxl_set_memory_target(x->ctx, domid, (int64_t)m->memory_kb, 0, 1);
	done(x, m->id, code_of(rc), domid, rc ? xl_say_last(x->log) : "");
}

static void watch_too(struct xl *x, const struct qube__xl_msg *m)
{
	uint32_t domid = 0;
	bool paused;
	int rc = ERROR_DOMAIN_NOTFOUND;

	if (find(x, m->uuid, &domid, &paused))
		rc = watch(x, domid, m->uuid);
	done(x, m->id, code_of(rc), domid, "");
}

void xl_order(struct xl *x, const struct qube__xl_msg *m)
{
	char why[QUBE__XL_TEXT_MAX] = "";
	struct order *o;
	int rc;

	xl_say_forget(x->log);
	if (m->type == QUBE__XL_LIST) {
		list(x, m->id);
		return;
	}
	if (creating(x, m->uuid)) {
		done(x, m->id, QUBE_E_BUSY, 0, "it is being created");
		return;
	}
	if (m->type == QUBE__XL_MEMORY) {
		set_memory(x, m);
		return;
	}
	if (m->type == QUBE__XL_WATCH) {
		watch_too(x, m);
		return;
	}
	o = order_new(x, m);
	if (!o) {
		done(x, m->id, QUBE_E_NOMEM, 0, "");
		return;
	}
	rc = begin(x, o, m, why, sizeof(why));
	/* Refused at once: there will be no callback. */
	if (rc) {
		done(x, m->id, code_of(rc), 0, *why ? why : xl_say_last(x->log));
		order_free(o);
	}
}

int xl_orders_init(struct xl *x)
{
	static const libxl_event_hooks hooks = {
		.event_occurs_mask = LIBXL_EVENTMASK_ALL,
		.event_occurs = on_event,
		.disaster = on_disaster,
	};

	qube__list_init(&x->orders);
	qube__list_init(&x->watched);
	libxl_event_register_callbacks(x->ctx, &hooks, x);
	return 0;
}
