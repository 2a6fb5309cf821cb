/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The model itself: its tables of qubes, and what a name means. */
#include "model/model.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "model/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

static const char *const class_names[QUBE__CLASS_COUNT] = {
	[QUBE__CLASS_ADMIN] = "AdminVM", [QUBE__CLASS_TEMPLATE] = "TemplateVM",
	[QUBE__CLASS_APP] = "AppVM",	 [QUBE__CLASS_STANDALONE] = "StandaloneVM",
	[QUBE__CLASS_DISP] = "DispVM",	 [QUBE__CLASS_REMOTE] = "RemoteVM",
};

static const char *const state_names[] = {
	[QUBE__STATE_HALTED] = "Halted",
	[QUBE__STATE_TRANSIENT] = "Transient",
	[QUBE__STATE_RUNNING] = "Running",
	[QUBE__STATE_PAUSED] = "Paused",
	[QUBE__STATE_SUSPENDED] = "Suspended",
	[QUBE__STATE_HALTING] = "Halting",
	[QUBE__STATE_DYING] = "Dying",
	[QUBE__STATE_CRASHED] = "Crashed",
	[QUBE__STATE_NA] = "NA",
};

const char *qube__vm_class_name(uint32_t vm_class)
{
	return vm_class < QUBE__CLASS_COUNT ? class_names[vm_class] : "?";
}

int qube__vm_class_parse(uint32_t *out, const char *name)
{
	for (uint32_t i = 0; i < QUBE__CLASS_COUNT; i++) {
		if (strcmp(class_names[i], name) == 0) {
			*out = i;
			return 0;
		}
	}
	return QUBE_E_NOENT;
}

const char *qube__vm_state_name(uint32_t state)
{
	return state <= QUBE__STATE_NA ? state_names[state] : "NA";
}

struct qube__vm *qube__vm_alloc(struct qube__model *m, const char *name, uint32_t vm_class)
{
	struct qube__vm *vm = calloc(1, sizeof(*vm));

	if (!vm || qube__text_copy(vm->name, sizeof(vm->name), name) < 0) {
		free(vm);
		qube__fail_nomem();
		return NULL;
	}
	vm->model = m;
	vm->vm_class = vm_class;
	vm->dispid = -1;
	vm->xid = -1;
	vm->stubdom_xid = -1;
	if (vm_class == QUBE__CLASS_ADMIN || vm_class == QUBE__CLASS_REMOTE)
		vm->state = QUBE__STATE_RUNNING;
	qube__list_init(&vm->link);
	return vm;
}

void qube__vm_free(struct qube__vm *vm)
{
	if (!vm)
		return;
	for (size_t i = 0; i < QUBE__PROP_VM_COUNT; i++)
		free(vm->prop[i]);
	for (size_t i = 0; i < vm->n_tags; i++)
		free(vm->tags[i]);
	for (size_t i = 0; i < vm->n_features; i++) {
		free(vm->features[i].name);
		free(vm->features[i].value);
	}
	free(vm->tags);
	free(vm->features);
	free(vm->driver);
	free(vm->import_source);
	free(vm->notes);
	free(vm);
}

static size_t bucket(const char *key)
{
	return qube__text_hash(key) % QUBE__MODEL_BUCKETS;
}

static void set_bit(uint64_t *set, uint32_t i, bool on)
{
	if (on)
		set[i / 64] |= (uint64_t)1 << (i % 64);
	else
		set[i / 64] &= ~((uint64_t)1 << (i % 64));
}

/* dom0 first, then by name. */
static void link_sorted(struct qube__model *m, struct qube__vm *vm)
{
	struct qube__list *at = m->vms.prev;

	while (at != &m->vms) {
		const struct qube__vm *other = qube__container_of(at, struct qube__vm, link);

		if (other->vm_class == QUBE__CLASS_ADMIN || strcmp(other->name, vm->name) < 0)
			break;
		at = at->prev;
	}
	/* Appending to the list that starts at the next one puts vm before it. */
	qube__list_append(at->next, &vm->link);
}

void qube__model_insert(struct qube__model *m, struct qube__vm *vm)
{
	size_t b = bucket(vm->name);

	vm->next_name = m->by_name[b];
	m->by_name[b] = vm;
	b = bucket(vm->uuid);
	vm->next_uuid = m->by_uuid[b];
	m->by_uuid[b] = vm;
	link_sorted(m, vm);
	set_bit(m->qids, vm->qid, true);
	if (vm->dispid >= 0)
		set_bit(m->dispids, (uint32_t)vm->dispid, true);
	m->n_vms++;
	m->generation++;
}

static uint32_t now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint32_t)ts.tv_sec;
}

void qube__model_detach(struct qube__vm *vm)
{
	struct qube__model *m = vm->model;
	struct qube__vm **at;

	for (at = &m->by_name[bucket(vm->name)]; *at; at = &(*at)->next_name) {
		if (*at == vm) {
			*at = vm->next_name;
			break;
		}
	}
	for (at = &m->by_uuid[bucket(vm->uuid)]; *at; at = &(*at)->next_uuid) {
		if (*at == vm) {
			*at = vm->next_uuid;
			break;
		}
	}
	qube__list_remove(&vm->link);
	set_bit(m->qids, vm->qid, false);
	if (vm->dispid >= 0) {
		set_bit(m->dispids, (uint32_t)vm->dispid, false);
		m->dispid_left[vm->dispid] = now_seconds() + 1;
	}
	m->n_vms--;
	m->generation++;
}

struct qube__vm *qube__model_vm(const struct qube__model *m, const char *name)
{
	struct qube__vm *vm = m->by_name[bucket(name)];

	while (vm && strcmp(vm->name, name) != 0)
		vm = vm->next_name;
	return vm;
}

struct qube__vm *qube__model_vm_by_uuid(const struct qube__model *m, const char *uuid)
{
	struct qube__vm *vm = m->by_uuid[bucket(uuid)];

	while (vm && strcmp(vm->uuid, uuid) != 0)
		vm = vm->next_uuid;
	return vm;
}

struct qube__vm *qube__model_next(const struct qube__model *m, const struct qube__vm *after)
{
	struct qube__list *at = after ? after->link.next : m->vms.next;

	return at == &m->vms ? NULL : qube__container_of(at, struct qube__vm, link);
}

const char *qube__model_damaged(const struct qube__model *m, const char *name)
{
	for (size_t i = 0; i < m->n_damaged; i++)
		if (strcmp(m->damaged[i].name, name) == 0)
			return m->damaged[i].reason;
	return NULL;
}

int qube__model_damaged_add(struct qube__model *m, const char *name, const char *reason)
{
	struct qube__damaged d = { .reason = strdup(reason) };
	struct qube__damaged *grown;

	grown = d.reason ? realloc(m->damaged, (m->n_damaged + 1) * sizeof(*grown)) : NULL;
	if (!grown || qube__text_copy(d.name, sizeof(d.name), name) < 0) {
		m->damaged = grown ? grown : m->damaged;
		free(d.reason);
		return qube__fail_nomem();
	}
	m->damaged = grown;
	grown[m->n_damaged++] = d;
	return 0;
}

static int add_labels(struct qube__model *m)
{
	static const struct {
		const char *name;
		const char *colour;
	} built_in[] = {
		{ "red", "0xcc0000" },	  { "orange", "0xf57900" }, { "yellow", "0xedd400" },
		{ "green", "0x73d216" },  { "gray", "0x555555" },   { "blue", "0x3465a4" },
		{ "purple", "0x75507b" }, { "black", "0x000000" },
	};
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < sizeof(built_in) / sizeof(built_in[0]); i++)
		r = qube__label_put(m, i + 1, built_in[i].name, built_in[i].colour);
	return r;
}

static int add_dom0(struct qube__model *m)
{
	qube__autovm *vm = qube__vm_alloc(m, "dom0", QUBE__CLASS_ADMIN);
	char *old;

	if (!vm)
		return QUBE_E_NOMEM;
	snprintf(vm->uuid, sizeof(vm->uuid), "00000000-0000-0000-0000-000000000000");
	if (qube__text_swap(&vm->prop[QUBE__PROP_LABEL], &old, "black") < 0)
		return QUBE_E_NOMEM;
	m->dom0 = vm;
	qube__model_insert(m, qube__steal(vm));
	return 0;
}

static void measure_host(struct qube__model *m)
{
	struct sysinfo info;

	m->host_memory_mib = 4096;
	if (sysinfo(&info) == 0)
		m->host_memory_mib = (int64_t)(((uint64_t)info.totalram * info.mem_unit) >> 20);
	m->host_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (m->host_cpus < 1)
		m->host_cpus = 1;
}

int qube__model_open(struct qube__model **out, const struct qube__model_opts *opts)
{
	struct qube__model *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return qube__fail_nomem();
	m->state_fd = m->qubes_fd = m->lock_fd = m->run_fd = -1;
	qube__list_init(&m->vms);
	measure_host(m);
	r = add_labels(m);
	if (r == 0)
		r = add_dom0(m);
	if (r == 0 && opts && opts->state_dir)
		r = qube__store_open(m, opts);
	if (r < 0) {
		qube__model_close(m);
		return r;
	}
	*out = m;
	return 0;
}

void qube__model_close(struct qube__model *m)
{
	struct qube__list *pos;
	struct qube__list *tmp;

	if (!m)
		return;
	qube__list_foreach_safe (pos, tmp, &m->vms)
		qube__vm_free(qube__container_of(pos, struct qube__vm, link));
	for (size_t i = 0; i < m->n_pools; i++)
		qube__pool_fini(&m->pools[i]);
	for (size_t i = 0; i < m->n_damaged; i++)
		free(m->damaged[i].reason);
	for (size_t i = 0; i < sizeof(m->global) / sizeof(m->global[0]); i++)
		free(m->global[i]);
	free(m->labels);
	free(m->pools);
	free(m->damaged);
	qube__store_close(m);
	free(m);
}
