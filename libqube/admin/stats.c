/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What qubes use (admin-api.md 10, and our own qube.Stats), and what the machine can do. */
#include "admin/call.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "core/domain.h"

#include <stdio.h>
#include <string.h>

/* Lines "key=number"; what was not measured is left out, and not in "known". */
int qube__m_stats(struct qube__admin_call *c)
{
	struct qube__machine_stats s;
	int r = qube__host_stats(&s, NULL, c->host, c->dest);
	const struct {
		const char *key;
		uint32_t bit;
		uint64_t value;
	} fields[] = {
		{ "memory_bytes", QUBE_STATS_MEMORY, s.memory_bytes },
		{ "cpu_ns", QUBE_STATS_CPU, s.cpu_ns },
		{ "pids", QUBE_STATS_PIDS, s.pids },
		{ "read_bytes", QUBE_STATS_IO, s.read_bytes },
		{ "write_bytes", QUBE_STATS_IO, s.write_bytes },
		{ "start_time_ms", QUBE_STATS_START, s.start_time_ms },
		{ "target_bytes", QUBE_STATS_TARGET, s.target_bytes },
	};

	if (r == 0)
		r = qube__reply(c, "known=%u\n", s.known);
	for (size_t i = 0; r == 0 && i < sizeof(fields) / sizeof(fields[0]); i++)
		if (s.known & fields[i].bit)
			r = qube__reply(c, "%s=%llu\n", fields[i].key,
					(unsigned long long)fields[i].value);
	return r;
}

int qube__m_host_check(struct qube__admin_call *c)
{
	qube__autofree struct qube_check *list = NULL;
	size_t n = 0;
	int r = c->host->ctx.be->host_check(&list, &n, &c->host->ctx);

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = qube__reply(c, "%u\t%s\t%s\n", list[i].outcome, list[i].name, list[i].detail);
	return r < 0 ? r : 0;
}

/* --- admin.vm.Stats: a stream --- */

static uint64_t vcpus_of(const struct qube__vm *vm)
{
	int64_t n = qube__vm_int(vm, QUBE__PROP_VCPUS, 1);

	return n > 0 ? (uint64_t)n : 1;
}

static void send_one(struct qube__admin_call *c, struct qube__vm *vm)
{
	struct qube__machine_stats s;
	uint32_t percent = 0;
	char kb[24];
	char total[24];
	char ms[24];
	char usage[24];
	char vcpus[24];
	const char *pairs[] = { "memory_kb",
				kb,
				"memory_assigned_total",
				total,
				"memory_assigned_usable",
				total,
				"memory_with_swap_used",
				kb,
				"cpu_time",
				ms,
				"cpu_usage",
				usage,
				"online_vcpus",
				vcpus };

	if (qube__host_stats(&s, &percent, c->host, vm) < 0)
		return; /* it does not run */
	snprintf(kb, sizeof(kb), "%llu", (unsigned long long)(s.memory_bytes / 1024));
	snprintf(total, sizeof(total), "%llu",
		 (unsigned long long)(s.target_bytes ? s.target_bytes / 1024 :
						       qube__memory_start_kb(vm)));
	snprintf(ms, sizeof(ms), "%llu", (unsigned long long)(s.cpu_ns / 1000000));
	snprintf(usage, sizeof(usage), "%llu", (unsigned long long)(percent / vcpus_of(vm)));
	snprintf(vcpus, sizeof(vcpus), "%llu", (unsigned long long)vcpus_of(vm));
	if (qube__wire_admin_event(&c->reply, vm->name, "vm-stats", pairs,
				   sizeof(pairs) / sizeof(pairs[0]) / 2) == 0)
		c->stream(c);
}

static void on_tick(struct qube__timer *t)
{
	struct qube__admin_call *c = qube__container_of(t, struct qube__admin_call, tick);
	struct qube__host *h = c->host;
	struct qube__prop_value v;
	uint64_t seconds = 3;
	bool all = !strcmp(c->req.dest, "dom0");

	for (struct qube__vm *vm = NULL; (vm = qube__model_next(h->model, vm));)
		if (all || !strcmp(c->req.dest, vm->name))
			send_one(c, vm);
	if (qube__global_get(&v, h->model, "stats_interval") == 0 && v.text &&
	    (qube__text_u64(&seconds, v.text, 86400) < 0 || !seconds))
		seconds = 1;
	qube__timer_set(&h->ctx.loop, t, qube__now_ms() + 1000 * seconds);
}

int qube__m_vm_stats(struct qube__admin_call *c)
{
	struct qube__machine_stats s;
	const char *none[2] = { NULL };
	int r = 0;

	/* It may be a uuid; from here on it is a name. */
	qube__text_copy(c->req.dest, sizeof(c->req.dest), c->dest->name);
	if (c->dest->vm_class != QUBE__CLASS_ADMIN)
		r = qube__host_stats(&s, NULL, c->host, c->dest);
	if (r == 0)
		r = qube__wire_admin_event(&c->reply, "", "connection-established", none, 0);
	if (r < 0)
		return r;
	c->stream(c);
	qube__timer_init(&c->tick, on_tick);
	qube__timer_set(&c->host->ctx.loop, &c->tick, qube__now_ms());
	return 1;
}
