/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The xen driver: what core calls. */
#include "driver/xen/xen.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { OPEN_MS = 10000, CLOSE_MS = 20000, RUN_MS = 30000 };

static struct qube__xen_driver *of_driver(struct qube__driver *d)
{
	return qube__container_of(d, struct qube__xen_driver, base);
}

static struct qube__xen_machine *of_machine(struct qube__machine *m)
{
	return qube__container_of(m, struct qube__xen_machine, base);
}

void qube__xen_unref(struct qube__xen_driver *d)
{
	if (--d->refs)
		return;
	free(d->run_dir);
	free(d->state_dir);
	free(d->libexec_dir);
	free(d->xl_path);
	free(d->vchan_path);
	free(d);
}

static int check_host(const char *libexec)
{
	struct qube__check checks[QUBE__CHECKS_MAX];
	size_t n = qube__xen_check(checks, libexec);

	for (size_t i = 0; i < n; i++)
		if (!checks[i].ok && !checks[i].optional)
			return qube__fail(QUBE_E_NOTSUP, "the xen driver cannot work: %s: %s",
					  checks[i].name, checks[i].detail);
	return 0;
}

static int prepare(struct qube__xen_driver *d)
{
	int r;

	d->run_dir = strdup(d->env.run_dir);
	d->state_dir = strdup(d->env.state_dir);
	d->libexec_dir = strdup(d->env.libexec_dir);
	d->xl_path = qube__text_format("%s/qube-xl", d->env.libexec_dir);
	d->vchan_path = qube__text_format("%s/qube-vchan", d->env.libexec_dir);
	if (!d->run_dir || !d->state_dir || !d->libexec_dir || !d->xl_path || !d->vchan_path)
		return qube__fail_nomem();
	d->env.run_dir = d->env.state_dir = d->env.libexec_dir = NULL;
	qube__xen_orders_init(d);
	r = qube__xen_helper_open(&d->keeper, OPEN_MS);
	return r < 0 ? r : qube__xen_adopt(d);
}

static void forget_all(struct qube__xen_driver *d)
{
	qube__xen_helper_close(&d->keeper);
	qube__xen_helper_close(&d->maker);
	qube__xen_kernels_free(d);
	qube__xen_channels_free(d);
	qube__timer_stop(d->env.loop, &d->again);
	qube__timer_stop(d->env.loop, &d->looking);
}

/* What is marked stays so. */
static void forget_machines(struct qube__xen_driver *d)
{
	while (!qube__list_empty(&d->machines))
		qube__xen_machine_free(
			qube__container_of(d->machines.next, struct qube__xen_machine, link));
}

int qube__xen_start(struct qube__driver **out, const struct qube__driver_env *env)
{
	struct qube__xen_driver *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return qube__fail_nomem();
	d->base.ops = &qube__driver_xen;
	d->env = *env;
	d->refs = 1;
	qube__list_init(&d->machines);
	qube__list_init(&d->channels);
	qube__list_init(&d->kernels);
	r = prepare(d);
	if (r < 0) {
		struct qube__err why;

		qube__err_save(&why);
		if (d->vchan_path)
			forget_all(d);
		forget_machines(d);
		qube__xen_unref(d);
		return qube__err_restore(&why);
	}
	*out = &d->base;
	return 0;
}

static int xen_open(struct qube__driver **out, const struct qube__driver_env *env)
{
	int r = check_host(env->libexec_dir);

	return r < 0 ? r : qube__xen_start(out, env);
}

static bool is_left(const struct qube__xen_machine *m)
{
	return m->d->env.keep && m->state == QUBE__XEN_RUNNING && !m->killed;
}

/* What runs is left to the next host, or ended: all first, then waited for. */
static void xen_close(struct qube__driver *base)
{
	struct qube__xen_driver *d = base ? of_driver(base) : NULL;
	uint64_t end = qube__now_ms() + CLOSE_MS;
	struct qube__list *pos;
	struct qube__list *tmp;

	if (!d)
		return;
	d->closed = true;
	qube__list_foreach (pos, &d->machines) {
		struct qube__xen_machine *m =
			qube__container_of(pos, struct qube__xen_machine, link);

		if (m->state == QUBE__XEN_CREATING)
			m->killed = true; /* when it is made */
		else if (m->state >= QUBE__XEN_HELD && m->state < QUBE__XEN_ENDING && !is_left(m))
			qube__xen_kill(m);
	}
	while (qube__now_ms() < end &&
	       (!qube__list_empty(&d->keeper.orders) || !qube__list_empty(&d->maker.orders))) {
		qube__xen_helper_turn(&d->maker, 10);
		qube__xen_helper_turn(&d->keeper, 50);
	}
	forget_all(d);
	qube__list_foreach_safe (pos, tmp, &d->machines) {
		struct qube__xen_machine *m =
			qube__container_of(pos, struct qube__xen_machine, link);

		if (!m->user)
			qube__xen_machine_free(m);
		else if (!is_left(m))
			m->state = QUBE__XEN_GONE;
	}
	qube__xen_unref(d);
}

static int xen_run(struct qube__machine *base)
{
	struct qube__xen_machine *m = of_machine(base);
	int r;

	if (m->state != QUBE__XEN_HELD)
		return qube__fail(QUBE_E_STATE, "the machine is not held");
	r = qube__xen_mark_ran(m);
	if (r < 0)
		return r;
	m->state = QUBE__XEN_STARTING;
	return qube__xen_order(m, QUBE__XL_RUN, RUN_MS);
}

static int xen_control_connect(struct qube__machine *base, int *out_fd)
{
	return qube__xen_control(of_machine(base), out_fd);
}

static int xen_channel(struct qube__machine *base, uint32_t port, bool server, const int fds[2])
{
	return qube__xen_channel(of_machine(base), port, server, fds);
}

static uint32_t xen_domain(struct qube__machine *base)
{
	return of_machine(base)->domid;
}

static int xen_shutdown(struct qube__machine *base)
{
	struct qube__xen_machine *m = of_machine(base);

	if (m->state != QUBE__XEN_RUNNING || m->paused)
		return qube__fail(QUBE_E_STATE, "the machine is not running");
	m->stopping = true;
	return qube__xen_order(m, QUBE__XL_STOP, QUBE__XEN_STOP_MS);
}

static int xen_kill(struct qube__machine *base)
{
	struct qube__xen_machine *m = of_machine(base);

	if (m->state == QUBE__XEN_GONE)
		return qube__fail(QUBE_E_STATE, "the machine has stopped");
	if (m->state == QUBE__XEN_ENDING)
		return 0; /* it is: STOPPED follows */
	/* Its creation goes on to its end, or to its failure. */
	m->killed = true;
	if (m->state != QUBE__XEN_CREATING)
		qube__xen_kill(m);
	return 0;
}

static int set_paused(struct qube__machine *base, bool pause)
{
	struct qube__xen_machine *m = of_machine(base);
	int r;

	if (m->state != QUBE__XEN_RUNNING || m->paused == pause)
		return qube__fail(QUBE_E_STATE, "the machine is %s",
				  m->state != QUBE__XEN_RUNNING ? "not running" :
				  pause				? "paused already" :
								  "not paused");
	r = qube__xen_order(m, pause ? QUBE__XL_PAUSE : QUBE__XL_RUN, RUN_MS);
	if (r == 0)
		m->paused = pause;
	return r;
}

static int xen_pause(struct qube__machine *base)
{
	return set_paused(base, true);
}

static int xen_unpause(struct qube__machine *base)
{
	return set_paused(base, false);
}

static int xen_stats(struct qube__machine *base, struct qube__machine_stats *out)
{
	struct qube__xen_machine *m = of_machine(base);
	struct qube__machine_stats stats = { .known = QUBE_STATS_START,
					     .start_time_ms = m->record.start_ms };

	if (m->state != QUBE__XEN_RUNNING)
		return qube__fail(QUBE_E_STATE, "the machine is not running");
	qube__xen_look(m->d);
	stats.assigned_bytes = m->memory_kb * 1024;
	stats.cpu_ns = m->cpu_ns;
	if (m->memory_kb)
		stats.known |= QUBE_STATS_CPU;
	/* As the guest says, which is bounded by what it has. */
	stats.memory_bytes = (m->used_kb < m->memory_kb ? m->used_kb : m->memory_kb) * 1024;
	if (stats.memory_bytes)
		stats.known |= QUBE_STATS_MEMORY;
	*out = stats;
	return 0;
}

static int xen_set_memory(struct qube__machine *base, uint64_t target_kb)
{
	struct qube__xen_machine *m = of_machine(base);

	if (m->state != QUBE__XEN_RUNNING)
		return qube__fail(QUBE_E_STATE, "the machine is not running");
	m->target_kb = target_kb;
	return qube__xen_order_memory(m);
}

static int xen_host_memory(struct qube__driver *base, uint64_t *total_kb, uint64_t *free_kb)
{
	struct qube__xen_driver *d = of_driver(base);

	qube__xen_look(d);
	*total_kb = d->total_kb;
	*free_kb = d->free_kb;
	return 0;
}

static void xen_release(struct qube__machine *base)
{
	if (base)
		qube__xen_machine_free(of_machine(base));
}

/* --- can this machine? --- */

struct checks {
	struct qube__check *at;
	size_t n;
};

static void add(struct checks *l, const char *name, bool ok, bool optional, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
static void add(struct checks *l, const char *name, bool ok, bool optional, const char *fmt, ...)
{
	struct qube__check *c = &l->at[l->n++];
	va_list ap;

	*c = (struct qube__check){ .name = name, .ok = ok, .optional = optional };
	va_start(ap, fmt);
	vsnprintf(c->detail, sizeof(c->detail), fmt, ap);
	va_end(ap);
}

static void check_program(struct checks *l, const char *libexec, const char *name, const char *why)
{
	char path[4096];
	bool ok = snprintf(path, sizeof(path), "%s/%s", libexec, name) < (int)sizeof(path) &&
		  access(path, X_OK) == 0;

	add(l, name, ok, false, "%s", ok ? "is there" : why);
}

static void check_xen(struct checks *l)
{
	qube__autofree char *text = NULL;
	bool is_xen = qube__io_read_file(&text, NULL, AT_FDCWD, "/sys/hypervisor/type", 64) == 0 &&
		      strcmp(text, "xen\n") == 0;
	bool is_dom0;

	free(qube__steal(text));
	is_dom0 = is_xen &&
		  qube__io_read_file(&text, NULL, AT_FDCWD, "/proc/xen/capabilities", 64) == 0 &&
		  strstr(text, "control_d");
	add(l, "Xen", is_dom0, false, "%s",
	    is_dom0 ? "this is its dom0" :
	    is_xen  ? "this is a guest of it, not its dom0 (or /proc/xen is not mounted)" :
		      "this machine runs without a Xen hypervisor");
}

size_t qube__xen_check(struct qube__check out[QUBE__CHECKS_MAX], const char *libexec_dir)
{
	struct checks l = { .at = out };

	check_xen(&l);
	add(&l, "root", geteuid() == 0, false, "%s", geteuid() ? "only root may" : "this is root");
	check_program(&l, libexec_dir, "qube-xl", "this build has no libxenlight");
	check_program(&l, libexec_dir, "qube-block", "this build has no libxenlight");
	check_program(&l, libexec_dir, "qube-vchan", "it is not installed");
	check_program(&l, libexec_dir, "qube-initramfs", "it is not installed");
	return l.n;
}

static size_t xen_report(struct qube__driver *base, struct qube__check *out)
{
	struct qube__xen_driver *d = of_driver(base);
	struct checks l = { .at = out };
	bool hvm = d->has & QUBE__XL_HAS_HVM;
	bool iommu = d->has & QUBE__XL_HAS_IOMMU;
	const char *cores = "one thread each";
	bool apart = !(d->has & QUBE__XL_HAS_SMT) || (d->has & QUBE__XL_HAS_CORE_SCHED);

	add(&l, "hypervisor", true, true, "Xen %s, %llu MiB, %llu of them free", d->version,
	    (unsigned long long)d->total_kb >> 10, (unsigned long long)d->free_kb >> 10);
	add(&l, "virtualisation", hvm, true, "%s",
	    hvm ? "the processor has it" :
		  "the processor has none, or it is off: no virt_mode pvh, only pv");
	add(&l, "nested paging", d->has & QUBE__XL_HAS_HAP, true, "%s",
	    d->has & QUBE__XL_HAS_HAP ? "there" : "none: pvh qubes are slow");
	add(&l, "iommu of Xen", iommu, true, "%s",
	    iommu ? "there" : "none, or it is off: devices cannot be given to qubes safely");
	if (!apart)
		cores = "SMT is on without sched-gran=core: qubes that run at the same time on one "
			"core can spy on each other";
	else if (d->has & QUBE__XL_HAS_SMT)
		cores = "qubes do not share one (sched-gran)";
	add(&l, "cores", apart, true, "%s", cores);
	return l.n;
}

static const char *xen_end_text(int status)
{
	static const char *const texts[] = {
		[QUBE__XL_POWEROFF] = "it was switched off from inside",
		[QUBE__XL_REBOOT] = "it wanted to reboot",
		[QUBE__XL_SUSPEND] = "it was suspended",
		[QUBE__XL_CRASH] = "it crashed",
		[QUBE__XL_OTHER] = "it shut down for no known reason",
		[QUBE__XEN_DESTROYED] = "its domain was destroyed",
	};

	return texts[status < 0 || status > QUBE__XEN_DESTROYED ? QUBE__XL_OTHER : status];
}

const struct qube__driver_ops qube__driver_xen = {
	.name = "xen",
	.isolation = QUBE__ISOLATION_HYPERVISOR,
	.takes_blocks = true,
	.divides_memory = true,
	.tells_calls = true,
	.open = xen_open,
	.close = xen_close,
	.create = qube__xen_create,
	.run = xen_run,
	.control_connect = xen_control_connect,
	.channel = xen_channel,
	.domain = xen_domain,
	.shutdown = xen_shutdown,
	.kill = xen_kill,
	.pause = xen_pause,
	.unpause = xen_unpause,
	.stats = xen_stats,
	.set_memory = xen_set_memory,
	.host_memory = xen_host_memory,
	.report = xen_report,
	.end_text = xen_end_text,
	.release = xen_release,
};
