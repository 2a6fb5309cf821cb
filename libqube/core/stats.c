/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What qubes use, and what the machine can do. */
#include "core/domain.h"
#include "core/host.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Several may look; a share measured over less time than this would be noise. */
enum { LOOK_EVERY_MS = 500 };
/* A driver's, its report, the other one's line and that of the disks. */
enum { CHECKS_ALL = 2 * QUBE__CHECKS_MAX + 2 };

static uint32_t share(struct qube__run *r, const struct qube__machine_stats *s)
{
	uint64_t now = qube__now_ms();

	if (r->looked_ms && now - r->looked_ms < LOOK_EVERY_MS)
		return r->percent;
	r->percent = 0;
	if (r->looked_ms && s->cpu_ns > r->seen_cpu_ns)
		r->percent =
			(uint32_t)((s->cpu_ns - r->seen_cpu_ns) / (now - r->looked_ms) / 10000);
	r->looked_ms = now;
	r->seen_cpu_ns = s->cpu_ns;
	return r->percent;
}

int qube__host_stats(struct qube__machine_stats *out, uint32_t *percent, struct qube__host *h,
		     const struct qube__vm *vm)
{
	struct qube__machine_stats s = { 0 };
	struct qube__run *run = vm->run;
	int r;

	if (!run || !run->machine || run->gone)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_STARTED, "'%s' does not run",
					 vm->name);
	if (!h->ops->stats)
		return qube__fail(QUBE_E_NOTSUP, "the driver %s does not measure", h->ops->name);
	r = h->ops->stats(run->machine, &s);
	if (r < 0)
		return r;
	s.target_bytes = qube__memory_target_kb(run) << 10;
	if (s.target_bytes)
		s.known |= QUBE_STATS_TARGET;
	if (percent)
		*percent = share(run, &s);
	*out = s;
	return 0;
}

int qube__host_domain_stats(struct qube_domain_stats *out, qube_domain *d)
{
	struct qube__host *h = qube__host_of(d->ctx);
	struct qube__machine_stats s;
	struct qube__vm *vm = qube__model_vm_by_uuid(h->model, d->uuid);
	int r;

	if (!vm)
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_VM_NOT_FOUND, "No such domain: '%s'",
					 d->name);
	r = qube__host_stats(&s, NULL, h, vm);
	if (r < 0)
		return r;
	*out = (struct qube_domain_stats){ .size = out->size,
					   .known = s.known,
					   .memory_bytes = s.memory_bytes,
					   .cpu_ns = s.cpu_ns,
					   .pids = s.pids,
					   .read_bytes = s.read_bytes,
					   .write_bytes = s.write_bytes,
					   .start_time_ms = s.start_time_ms,
					   .target_bytes = s.target_bytes };
	return 0;
}

/* --- the machine --- */

int qube__check_worst(const struct qube_check *list, size_t n)
{
	uint32_t worst = QUBE_CHECK_OK;

	for (size_t i = 0; i < n; i++)
		if (list[i].outcome > worst)
			worst = list[i].outcome;
	return (int)worst;
}

static uint32_t outcome_of(const struct qube__check *c)
{
	if (c->ok)
		return QUBE_CHECK_OK;
	return c->optional ? QUBE_CHECK_WARN : QUBE_CHECK_FAIL;
}

static size_t put(struct qube_check *list, const struct qube__check *checks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		list[i].outcome = outcome_of(&checks[i]);
		snprintf(list[i].name, sizeof(list[i].name), "%s", checks[i].name);
		snprintf(list[i].detail, sizeof(list[i].detail), "%s", checks[i].detail);
	}
	return n;
}

/* Of a driver that is not asked for: could it be? What does not work is the first reason. */
static size_t put_other(struct qube_check *list, const char *name, const struct qube__check *checks,
			size_t n)
{
	list->outcome = QUBE_CHECK_OK;
	snprintf(list->name, sizeof(list->name), "driver %s", name);
	snprintf(list->detail, sizeof(list->detail), "could be used");
	for (size_t i = 0; i < n; i++) {
		if (checks[i].ok || checks[i].optional)
			continue;
		snprintf(list->detail, sizeof(list->detail), "cannot be used: %s: %s",
			 checks[i].name, checks[i].detail);
		break;
	}
	return 1;
}

static size_t look_local(struct qube__check checks[QUBE__CHECKS_MAX], const char *libexec_dir)
{
#ifdef QUBE_DRIVER_LOCAL
	return qube__local_check(checks, libexec_dir);
#else
	(void)libexec_dir;
	checks[0] = (struct qube__check){ .name = "build", .detail = "it was built without" };
	return 1;
#endif
}

/* Qubes that are no virtual machines need none. */
static void look_at_mke2fs(struct qube_check *c, bool needed)
{
	bool there = qube__pool_makes_disks();

	c->outcome = there || !needed ? QUBE_CHECK_OK : QUBE_CHECK_WARN;
	snprintf(c->name, sizeof(c->name), "disks");
	snprintf(c->detail, sizeof(c->detail), "%s",
		 there ? "mke2fs makes them of trees" :
			 "no mke2fs (e2fsprogs): virtual machines get no private disk, and none of "
			 "a template that is a tree");
}

/* By the driver that is asked for, then by the other one. h: NULL without a host. */
static size_t look(struct qube_check *list, const struct qube__host *h, bool xen,
		   const char *libexec_dir)
{
	struct qube__check checks[QUBE__CHECKS_MAX];
	const char *programs = libexec_dir ? libexec_dir : QUBE_LIBEXECDIR;
	size_t n = xen ? qube__xen_check(checks, programs) : look_local(checks, programs);

	n = put(list, checks, n);
	if (h && h->driver && h->ops->report)
		n += put(list + n, checks, h->ops->report(h->driver, checks));
	if (xen)
		n += put_other(list + n, "local", checks, look_local(checks, programs));
	else
		n += put_other(list + n, "xen", checks, qube__xen_check(checks, programs));
	look_at_mke2fs(&list[n], xen);
	return n + 1;
}

int qube__check_machine(struct qube_check **out, size_t *count, const char *driver,
			const char *libexec_dir)
{
	bool xen = driver && !strcmp(driver, "xen");
	struct qube_check *list;

	if (driver && !xen && strcmp(driver, "local") != 0)
		return qube__fail(QUBE_E_NOENT, "there is no driver '%s'", driver);
	list = calloc(CHECKS_ALL, sizeof(*list));
	if (!list)
		return qube__fail_nomem();
	*count = look(list, NULL, xen, libexec_dir);
	*out = list;
	return qube__check_worst(list, *count);
}

static void look_at_pool(struct qube_check *c, struct qube__pool *p)
{
	struct qube__pool_look look;

	snprintf(c->name, sizeof(c->name), "pool %.58s", qube__pool_name(p));
	if (qube__pool_look(&look, p) < 0) {
		c->outcome = QUBE_CHECK_FAIL;
		snprintf(c->detail, sizeof(c->detail), "%.200s", qube_error_last()->message);
		return;
	}
	if (qube__pool_is_block(p)) {
		c->outcome = QUBE_CHECK_OK;
		snprintf(c->detail, sizeof(c->detail), "disks (%s) on %s: %s", qube__pool_driver(p),
			 look.type,
			 !strcmp(qube__pool_driver(p), "reflink") ?
				 "copies share their data until it is changed" :
				 "a template's start copies all of it");
		return;
	}
	c->outcome = look.no_ids ? QUBE_CHECK_FAIL : QUBE_CHECK_OK;
	snprintf(c->detail, sizeof(c->detail), "on %s: %s", look.type,
		 look.no_ids ? "it has no idmapped mounts, so no qube starts from it" :
		 look.shares ? "clones share their data until it is changed" :
			       "clones are full copies, it cannot share data");
}

/* The machine's checks, and the host's own pools behind them. */
static int look_with_pools(struct qube_check **out, size_t *count, struct qube__host *h)
{
	struct qube_check *list = calloc(CHECKS_ALL + h->n_pools, sizeof(*list));

	if (!list)
		return qube__fail_nomem();
	*count = look(list, h, h->ops == &qube__driver_xen, h->libexec_dir);
	for (size_t i = 0; i < h->n_pools; i++)
		look_at_pool(&list[(*count)++], h->pools[i]);
	*out = list;
	return qube__check_worst(list, *count);
}

/* A host in memory needs nothing of the machine. */
int qube__host_check(struct qube_check **out, size_t *count, qube_ctx *ctx)
{
	struct qube__host *h = qube__host_of(ctx);
	struct qube_check *list;

	if (h->ops != &qube__driver_fake)
		return look_with_pools(out, count, h);
	list = calloc(1, sizeof(*list));
	if (!list)
		return qube__fail_nomem();
	snprintf(list->name, sizeof(list->name), "driver");
	snprintf(list->detail, sizeof(list->detail), "fake: qubes are only remembered");
	*out = list;
	*count = 1;
	return QUBE_CHECK_OK;
}
