/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The fake driver: machines that are only remembered. It obeys the contract of driver.h to the
 * letter, reports from the loop included, so that what works on it was not lucky. */
#include "driver/fake/fake.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct fake {
	struct qube__driver base;
	struct qube__driver_env env;
	struct qube__list machines;
	unsigned int refs;
	bool closed;
	const struct qube__fake_memory *memory; /* or NULL */
};

enum state { CREATING, HELD, STARTING, RUNNING, PAUSED, STOPPING, STOPPED };

struct fake_machine {
	struct qube__machine base;
	struct fake *d;
	void *user;
	enum state state;
	uint64_t start_ms; /* of the wall */
	uint64_t began_ms; /* the same, monotonic */
	struct qube__posted posted;
	struct qube__list link;
	char name[64];
	uint64_t target_kb;
	uint64_t has_kb;
};

static struct fake *of_driver(struct qube__driver *d)
{
	return qube__container_of(d, struct fake, base);
}

static struct fake_machine *of_machine(struct qube__machine *m)
{
	return qube__container_of(m, struct fake_machine, base);
}

static int fake_open(struct qube__driver **out, const struct qube__driver_env *env)
{
	struct fake *d = calloc(1, sizeof(*d));

	if (!d)
		return qube__fail_nomem();
	d->base.ops = &qube__driver_fake;
	d->env = *env;
	d->refs = 1;
	qube__list_init(&d->machines);
	*out = &d->base;
	return 0;
}

static void unref(struct fake *d)
{
	if (--d->refs == 0)
		free(d);
}

static void fake_close(struct qube__driver *base)
{
	struct fake *d = base ? of_driver(base) : NULL;
	struct qube__list *pos;

	if (!d)
		return;
	d->closed = true;
	qube__list_foreach (pos, &d->machines) {
		struct fake_machine *m = qube__container_of(pos, struct fake_machine, link);

		qube__posted_cancel(&m->posted);
		m->state = STOPPED;
	}
	unref(d);
}

static void report(struct qube__posted *p)
{
	struct fake_machine *m = qube__container_of(p, struct fake_machine, posted);
	enum qube__machine_event event = QUBE__MACHINE_STOPPED;

	if (m->state == CREATING) {
		m->state = HELD;
		event = QUBE__MACHINE_HELD;
	} else if (m->state == STARTING) {
		m->state = RUNNING;
		m->start_ms = qube__wall_ms();
		m->began_ms = qube__now_ms();
		event = QUBE__MACHINE_RUNNING;
	} else {
		m->state = STOPPED;
	}
	m->d->env.on_machine(m->d->env.user, &m->base, m->user, event, 0);
}

static int fake_create(struct qube__driver *base, struct qube__machine **out, void *machine_user,
		       const struct qube__machine_spec *spec)
{
	struct fake *d = of_driver(base);
	struct fake_machine *m;

	if (!spec->name || !spec->name[0])
		return qube__fail(QUBE_E_INVALID, "a machine needs a name");
	m = calloc(1, sizeof(*m));
	if (!m)
		return qube__fail_nomem();
	m->base.ops = &qube__driver_fake;
	m->d = d;
	m->user = machine_user;
	m->state = CREATING;
	snprintf(m->name, sizeof(m->name), "%s", spec->name);
	m->target_kb = m->has_kb = spec->memory_start_bytes >> 10;
	d->refs++;
	qube__list_append(&d->machines, &m->link);
	qube__posted_init(&m->posted, report);
	qube__post(d->env.loop, &m->posted);
	*out = &m->base;
	return 0;
}

static int fake_run(struct qube__machine *base)
{
	struct fake_machine *m = of_machine(base);

	if (m->state != HELD)
		return qube__fail(QUBE_E_STATE, "the machine is not held");
	m->state = STARTING;
	qube__post(m->d->env.loop, &m->posted);
	return 0;
}

static int fake_control_connect(struct qube__machine *base, int *out_fd)
{
	(void)base;
	(void)out_fd;
	return qube__fail(QUBE_E_NOTSUP, "a fake machine has no agent");
}

static int fake_kill(struct qube__machine *base)
{
	struct fake_machine *m = of_machine(base);

	if (m->state == STOPPED)
		return qube__fail(QUBE_E_STATE, "the machine has stopped");
	m->state = STOPPING;
	qube__post(m->d->env.loop, &m->posted);
	return 0;
}

static int fake_shutdown(struct qube__machine *base)
{
	if (of_machine(base)->state != RUNNING)
		return qube__fail(QUBE_E_STATE, "the machine is not running");
	return fake_kill(base);
}

static int fake_pause(struct qube__machine *base)
{
	struct fake_machine *m = of_machine(base);

	if (m->state != RUNNING)
		return qube__fail(QUBE_E_STATE, "the machine is not running");
	m->state = PAUSED;
	return 0;
}

static int fake_unpause(struct qube__machine *base)
{
	struct fake_machine *m = of_machine(base);

	if (m->state != PAUSED)
		return qube__fail(QUBE_E_STATE, "the machine is not paused");
	m->state = RUNNING;
	return 0;
}

void qube__fake_memory(struct qube__driver *d, const struct qube__fake_memory *memory)
{
	of_driver(d)->memory = memory;
}

uint64_t qube__fake_target_kb(struct qube__machine *m)
{
	return of_machine(m)->target_kb;
}

uint64_t qube__fake_has_kb(struct qube__machine *m)
{
	return of_machine(m)->has_kb;
}

static void move(struct fake_machine *m)
{
	const struct qube__fake_memory *mem = m->d->memory;
	uint64_t step = mem->step ? mem->step : UINT64_MAX;
	uint64_t way;

	if (m->target_kb > m->has_kb) {
		way = m->target_kb - m->has_kb;
		m->has_kb += way < step ? way : step;
	} else if (!mem->gives || mem->gives(mem->user, m->name)) {
		way = m->has_kb - m->target_kb;
		m->has_kb -= way < step ? way : step;
	}
}

static int no_memory(void)
{
	return qube__fail(QUBE_E_NOTSUP, "fake machines have no memory");
}

static int fake_set_memory(struct qube__machine *base, uint64_t target_kb)
{
	struct fake_machine *m = of_machine(base);

	if (!m->d->memory)
		return no_memory();
	m->target_kb = target_kb;
	return 0;
}

static int fake_host_memory(struct qube__driver *base, uint64_t *total_kb, uint64_t *free_kb)
{
	struct fake *d = of_driver(base);
	struct qube__list *pos;

	if (!d->memory)
		return no_memory();
	*total_kb = *free_kb = d->memory->total;
	qube__list_foreach (pos, &d->machines) {
		struct fake_machine *m = qube__container_of(pos, struct fake_machine, link);

		if (m->state == STOPPED)
			continue;
		move(m);
		*free_kb -= m->has_kb < *free_kb ? m->has_kb : *free_kb;
	}
	return 0;
}

static void memory_stats(struct qube__machine_stats *out, const struct fake_machine *m)
{
	const struct qube__fake_memory *mem = m->d->memory;

	if (mem->used)
		out->memory_bytes = mem->used(mem->user, m->name) << 10;
	out->assigned_bytes = m->has_kb << 10;
}

static int fake_stats(struct qube__machine *base, struct qube__machine_stats *out)
{
	struct fake_machine *m = of_machine(base);

	if (m->state != RUNNING && m->state != PAUSED)
		return qube__fail(QUBE_E_STATE, "the machine is not running");
	m->start_ms = qube__wall_begin(m->start_ms, qube__wall_ms(), qube__now_ms() - m->began_ms);
	/* Made up, and the same at each run. Bytes of disks it does not know, as some machines. */
	*out = (struct qube__machine_stats){ .known = QUBE_STATS_MEMORY | QUBE_STATS_CPU |
						      QUBE_STATS_PIDS | QUBE_STATS_START,
					     .memory_bytes = 64u << 20,
					     .cpu_ns = 250000000,
					     .pids = 3,
					     .start_time_ms = m->start_ms };
	if (m->d->memory)
		memory_stats(out, m);
	return 0;
}

static const char *fake_unenforced(struct qube__machine *base)
{
	(void)base;
	return "memory vcpus pids";
}

static void fake_release(struct qube__machine *base)
{
	struct fake_machine *m = base ? of_machine(base) : NULL;

	if (!m)
		return;
	qube__list_remove(&m->link);
	if (!m->d->closed)
		qube__posted_cancel(&m->posted);
	unref(m->d);
	free(m);
}

const struct qube__driver_ops qube__driver_fake = {
	.name = "fake",
	.isolation = QUBE__ISOLATION_NONE,
	.open = fake_open,
	.close = fake_close,
	.create = fake_create,
	.run = fake_run,
	.control_connect = fake_control_connect,
	.shutdown = fake_shutdown,
	.kill = fake_kill,
	.pause = fake_pause,
	.unpause = fake_unpause,
	.stats = fake_stats,
	.set_memory = fake_set_memory,
	.host_memory = fake_host_memory,
	.unenforced = fake_unenforced,
	.release = fake_release,
};
