/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Rights, over random systems: what is made of a qube never has more than the qube, and what a
 * default gives or takes later is told of. Every system comes from its number alone. */
#include "house.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SYSTEMS = 3000, APPS = 7, STEPS = 60, WHY = 256 };

struct dice {
	uint64_t state;
};

static uint32_t roll(struct dice *d, uint32_t sides)
{
	d->state ^= d->state << 13;
	d->state ^= d->state >> 7;
	d->state ^= d->state << 17;
	return (uint32_t)(d->state >> 32) % sides;
}

static const char *one_of(struct dice *d, const char *const *list, size_t n)
{
	return list[roll(d, (uint32_t)n)];
}
#define ONE_OF(d, list) one_of(d, list, sizeof(list) / sizeof((list)[0]))

static const char *const everyone[] = { "deb", "tpl", "a0", "a1", "a2",	   "a3",   "a4",
					"a5",  "a6",  "n0", "n1", "disp0", "disp1" };

static void set_something(struct dice *d, struct qube__vm *vm)
{
	static const struct {
		const char *name;
		const char *values[5];
	} props[] = {
		{ "netvm", { "", "n0", "n1", "a0", NULL } },
		{ "provides_network", { "True", "False", "True", NULL, "True" } },
		{ "template_for_dispvms", { "True", "True", "True", "False", NULL } },
		{ "default_dispvm", { "", "a0", "a1", "a2", NULL } },
		{ "management_dispvm", { "", "a0", "a1", NULL, NULL } },
		{ "guivm", { "", "dom0", "a1", NULL, NULL } },
		{ "audiovm", { "", "dom0", "a2", NULL, NULL } },
		{ "memory", { "100", "400", "1000", "300", NULL } },
		{ "maxmem", { "0", "500", "2000", "0", NULL } },
		{ "vcpus", { "1", "2", "4", NULL, NULL } },
		{ "devices_denied", { "u03****", "b******", "u******p******", "", NULL } },
		{ "default_user", { "root", "user", "other", NULL, NULL } },
		{ "kernelopts", { "", "quiet", "debug", NULL, NULL } },
		{ "kernel", { "", "6.1", "6.2", NULL, NULL } },
		{ "virt_mode", { "pvh", "hvm", "pv", NULL, NULL } },
		{ "debug", { "True", "False", NULL, NULL, NULL } },
		{ "qrexec_timeout", { "9", "90", NULL, NULL, NULL } },
		{ "shutdown_timeout", { "9", "90", NULL, NULL, NULL } },
		{ "template", { "a0", "a1", "deb", "tpl", "a2" } },
	};
	uint32_t i = roll(d, sizeof(props) / sizeof(props[0]));
	const char *value = props[i].values[roll(d, 5)];

	/* What the rules refuse is none of this test's business. */
	if (value)
		qube__vm_prop_set(vm, props[i].name, value);
	else
		qube__vm_prop_reset(vm, props[i].name);
}

static void set_feature_or_tag(struct dice *d, struct qube__vm *vm)
{
	static const char *const features[] = { "local.userns",
						"local.new-privs",
						"local.core-sched",
						"local.pids-max",
						"local.io-read-max",
						"local.io-write-max",
						"service.cups",
						"service.clocksync",
						"prohibit-start",
						"preload-dispvm-max",
						"os",
						"internal" };
	static const char *const values[] = { "", "1", "64", "8K", "Linux" };
	static const char *const tags[] = { "team",	     "created-by-dom0",
					    "created-by-a1", "disp-created-by-a2",
					    "may-print",     "anon-vm" };
	const char *name = ONE_OF(d, features);

	switch (roll(d, 3)) {
	case 0:
		qube__vm_tag_add(vm, ONE_OF(d, tags));
		break;
	case 1:
		if (qube__vm_feature_find(vm, name) && !roll(d, 3)) {
			qube__vm_feature_remove(vm, name);
			break;
		}
		/* fall through */
	default:
		qube__vm_feature_set(vm, name, ONE_OF(d, values));
	}
}

static void set_volume(struct dice *d, struct qube__vm *vm)
{
	static const char *const names[] = { "root", "private", "volatile" };
	struct qube__vm_volume *at = qube__vm_volume(vm, ONE_OF(d, names));
	struct qube__vm_volume v;

	if (!at)
		return;
	v = *at;
	v.rw = roll(d, 2);
	v.ephemeral = !strcmp(v.name, "volatile") && roll(d, 2);
	v.size_bytes = (uint64_t)(1 + roll(d, 30)) << 30;
	qube__vm_volume_set(vm, &v);
}

static void set_global(struct qube__model *m, struct dice *d)
{
	static const struct {
		const char *name;
		const char *values[4];
	} globals[] = {
		{ "default_netvm", { "n0", "n1", "a0", "" } },
		{ "default_dispvm", { "a0", "a1", "a2", "" } },
		{ "management_dispvm", { "a0", "a1", "", "a3" } },
		{ "default_template", { "deb", "tpl", "", "deb" } },
		{ "default_guivm", { "dom0", "a1", "", "a2" } },
		{ "default_audiovm", { "dom0", "a1", "", "a2" } },
		{ "default_kernel", { "6.1", "6.2", "6.3", "" } },
		{ "check_updates_vm", { "True", "False", "True", "False" } },
		{ "default_qrexec_timeout", { "5", "50", "500", "60" } },
		{ "default_shutdown_timeout", { "5", "50", "500", "60" } },
		{ "clockvm", { "n0", "a1", "", "a0" } },
	};
	uint32_t i = roll(d, sizeof(globals) / sizeof(globals[0]));

	if (roll(d, 6))
		qube__global_set(m, globals[i].name, globals[i].values[roll(d, 4)]);
	else
		qube__global_reset(m, globals[i].name);
}

static void change(struct qube__model *m, struct dice *d)
{
	struct qube__vm *vm = qube__model_vm(m, ONE_OF(d, everyone));

	switch (roll(d, 5)) {
	case 0:
	case 1:
		if (vm)
			set_something(d, vm);
		break;
	case 2:
		if (vm)
			set_feature_or_tag(d, vm);
		break;
	case 3:
		if (vm)
			set_volume(d, vm);
		break;
	default:
		set_global(m, d);
	}
}

static struct qube__model *random_system(struct dice *d)
{
	static const char *const templates[] = { "deb", "tpl" };
	struct qube__model *m = NULL;
	struct qube__vm *vm;
	char name[16];

	if (qube__model_open(&m, NULL) < 0)
		return NULL;
	for (int i = 0; i < 2; i++)
		house_vm(m, QUBE__CLASS_TEMPLATE, templates[i], NULL);
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		vm = house_vm(m, QUBE__CLASS_APP, name, ONE_OF(d, templates));
		qube__vm_prop_set(vm, "provides_network", "True");
	}
	for (int i = 0; i < APPS; i++) {
		bool standalone = !roll(d, 3);

		snprintf(name, sizeof(name), "a%d", i);
		vm = house_vm(m, standalone ? QUBE__CLASS_STANDALONE : QUBE__CLASS_APP, name,
			      standalone ? NULL : ONE_OF(d, templates));
		if (i < 3 || roll(d, 2))
			qube__vm_prop_set(vm, "template_for_dispvms", "True");
	}
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "disp%d", i);
		house_vm(m, QUBE__CLASS_DISP, name, i ? "a1" : "a0");
	}
	for (int i = 0; i < STEPS; i++)
		change(m, d);
	return m;
}

/* --- the order of rights --- */

static const char *text_of(char out[WHY], const struct qube__vm *vm, uint32_t id)
{
	struct qube__prop_value v;

	qube__vm_prop_read(&v, vm, id);
	snprintf(out, WHY, "%s", v.text ? v.text : "(none)");
	return out;
}

static bool reaches(const struct qube__vm *vm, const struct qube__vm *target)
{
	const struct qube__vm *at = qube__vm_netvm(vm);

	for (int i = 0; at && i < 64; i++, at = qube__vm_netvm(at))
		if (at == target)
			return true;
	return false;
}

static bool more_network(char why[WHY], const struct qube__vm *vm, const struct qube__vm *of)
{
	const struct qube__vm *at = qube__vm_netvm(vm);

	/* Through the qube itself is no way that it has not. */
	for (int i = 0; at && i < 64; i++, at = qube__vm_netvm(at)) {
		if (at != of && !reaches(of, at)) {
			snprintf(why, WHY, "it reaches %s", at->name);
			return true;
		}
	}
	snprintf(why, WHY, "it provides network");
	return qube__vm_bool(vm, QUBE__PROP_PROVIDES_NETWORK) &&
	       !qube__vm_bool(of, QUBE__PROP_PROVIDES_NETWORK);
}

static bool more_targets(char why[WHY], const struct qube__vm *vm, const struct qube__vm *of)
{
	static const uint32_t same[] = { QUBE__PROP_MANAGEMENT_DISPVM, QUBE__PROP_GUIVM,
					 QUBE__PROP_AUDIOVM };
	struct qube__vm *dispvm = qube__vm_ref(vm, QUBE__PROP_DEFAULT_DISPVM);

	/* Of a disposable it is its own template, that is: as much as the qube has itself. */
	snprintf(why, WHY, "default_dispvm");
	if (dispvm && dispvm != of && dispvm != qube__vm_ref(of, QUBE__PROP_DEFAULT_DISPVM))
		return true;
	for (size_t i = 0; i < 3; i++) {
		snprintf(why, WHY, "%s", qube__props[same[i]].name);
		if (qube__vm_ref(vm, same[i]) != qube__vm_ref(of, same[i]))
			return true;
	}
	return false;
}

static bool is_creator(const char *tag)
{
	return !strncmp(tag, "created-by-", 11) || !strncmp(tag, "disp-created-by-", 16);
}

static bool more_tags(char why[WHY], const struct qube__vm *vm, const struct qube__vm *of)
{
	for (size_t i = 0; i < vm->n_tags; i++) {
		snprintf(why, WHY, "the tag %s", vm->tags[i]);
		if (!strcmp(vm->tags[i], "created-by-maker"))
			continue;
		if (is_creator(vm->tags[i]) || !qube__vm_tag_has(of, vm->tags[i]))
			return true;
	}
	return false;
}

static bool more_features(char why[WHY], const struct qube__vm *vm, const struct qube__vm *of)
{
	for (size_t i = 0; i < vm->n_features; i++) {
		const struct qube__feature *f = &vm->features[i];
		const char *has = qube__vm_feature_find(of, f->name);

		snprintf(why, WHY, "the feature %s=%s", f->name, f->value);
		if (strcmp(f->name, "check-updates") && (!has || strcmp(has, f->value)))
			return true;
	}
	/* One that is missing may be a limit. */
	for (size_t i = 0; i < of->n_features; i++) {
		const char *name = of->features[i].name;

		snprintf(why, WHY, "it lacks the feature %s", name);
		if (strncmp(name, "preload-dispvm", 14) && !qube__vm_feature_find(vm, name))
			return true;
	}
	return false;
}

static int64_t memory_of(const struct qube__vm *vm)
{
	int64_t most = qube__vm_int(vm, QUBE__PROP_MAXMEM, 0);

	return most ? most : qube__vm_int(vm, QUBE__PROP_MEMORY, 0);
}

static bool more_resources(char why[WHY], const struct qube__vm *vm, const struct qube__vm *of)
{
	snprintf(why, WHY, "memory %" PRId64 " of %" PRId64, memory_of(vm), memory_of(of));
	if (memory_of(vm) > memory_of(of))
		return true;
	snprintf(why, WHY, "vcpus");
	if (qube__vm_int(vm, QUBE__PROP_VCPUS, 0) > qube__vm_int(of, QUBE__PROP_VCPUS, 0))
		return true;
	for (size_t i = 0; i < vm->n_volumes; i++) {
		const struct qube__vm_volume *v = &vm->volumes[i];
		const struct qube__vm_volume *o =
			qube__vm_volume((struct qube__vm *)(uintptr_t)of, v->name);

		snprintf(why, WHY,
			 "the volume %s: rw %d of %d, ephemeral %d of %d, %" PRIu64 " of %" PRIu64
			 " bytes",
			 v->name, v->rw, o ? o->rw : 0, v->ephemeral, o ? o->ephemeral : 0,
			 v->size_bytes, o ? o->size_bytes : 0);
		if (!o || (v->rw && !o->rw) || (!v->ephemeral && o->ephemeral) ||
		    v->size_bytes > o->size_bytes)
			return true;
	}
	return false;
}

static bool other_inside(char why[WHY], const struct qube__vm *vm, const struct qube__vm *of)
{
	static const uint32_t same[] = { QUBE__PROP_DEFAULT_USER, QUBE__PROP_KERNEL,
					 QUBE__PROP_KERNELOPTS,	  QUBE__PROP_DEBUG,
					 QUBE__PROP_VIRT_MODE,	  QUBE__PROP_DEVICES_DENIED };
	char a[WHY];
	char b[WHY];

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		text_of(a, vm, same[i]);
		text_of(b, of, same[i]);
		snprintf(why, WHY, "%.20s %.64s instead of %.64s", qube__props[same[i]].name, a, b);
		if (strcmp(a, b))
			return true;
	}
	return false;
}

static bool exceeds(char why[WHY], const struct qube__vm *vm, const struct qube__vm *of)
{
	return more_network(why, vm, of) || more_targets(why, vm, of) || more_tags(why, vm, of) ||
	       more_features(why, vm, of) || more_resources(why, vm, of) ||
	       other_inside(why, vm, of);
}

/* --- disposables and clones --- */

static const char *const maker[] = { "created-by-maker" };

static void check_disposable(uint64_t number, struct qube__model *m, struct qube__vm *of,
			     const char *name)
{
	struct qube__vm_new n = { .name = name,
				  .vm_class = QUBE__CLASS_DISP,
				  .template_name = of->name,
				  .tags = maker,
				  .n_tags = 1 };
	struct qube__vm *vm = NULL;
	char why[WHY];

	if (qube__vm_create(&vm, m, &n) < 0) {
		if (qube__vm_bool(of, QUBE__PROP_TEMPLATE_FOR_DISPVMS))
			QT_FAIL("system %" PRIu64 ": no disposable of %s: %s", number, of->name,
				qube_error_last()->message);
		return;
	}
	QT_TRUE(qube__vm_bool(of, QUBE__PROP_TEMPLATE_FOR_DISPVMS));
	if (exceeds(why, vm, of))
		QT_FAIL("system %" PRIu64 ": a %s disposable of %s: %s", number,
			name ? "named" : "unnamed", of->name, why);
	QT_TRUE(!qube__vm_bool(vm, QUBE__PROP_TEMPLATE_FOR_DISPVMS));
	QT_INT(qube__vm_bool(vm, QUBE__PROP_AUTO_CLEANUP), name == NULL);
	qube__vm_remove(vm);
}

static void check_clone(uint64_t number, struct qube__vm *of)
{
	struct qube__vm *vm = NULL;
	char why[WHY];

	QT_INT(qube__vm_clone(&vm, of, "copy", maker, 1), 0);
	/* A clone is no disposable's way out: it has what it is a clone of, preloads included. */
	if (exceeds(why, vm, of))
		QT_FAIL("system %" PRIu64 ": a clone of %s: %s", number, of->name, why);
	qube__vm_remove(vm);
}

QTEST(lattice, threat_24_what_is_made_of_a_qube_never_has_more_than_the_qube)
{
	for (uint64_t number = 1; number <= SYSTEMS; number++) {
		struct dice d = { number * 0x9e3779b97f4a7c15u };
		AUTO_MODEL *m = random_system(&d);
		struct qube__vm *vm;

		QT_TRUE(m != NULL);
		for (size_t i = 0; i < sizeof(everyone) / sizeof(everyone[0]); i++) {
			vm = qube__model_vm(m, everyone[i]);
			check_disposable(number, m, vm, NULL);
			check_disposable(number, m, vm, "named");
			check_clone(number, vm);
		}
	}
}

/* What a qube gets that names no template: the default one, or that of a call's source. */
QTEST(lattice, threat_24_a_default_gives_a_disposable_of_the_default_template_and_no_other)
{
	struct qube__vm_new n = { .vm_class = QUBE__CLASS_DISP, .tags = maker, .n_tags = 1 };

	for (uint64_t number = 1; number <= SYSTEMS; number++) {
		struct dice d = { number * 0xd1342543de82ef95u };
		AUTO_MODEL *m = random_system(&d);
		struct qube__vm *of = qube__global_ref(m, QUBE__PROP_G_DEFAULT_DISPVM);
		struct qube__vm *vm = NULL;
		char why[WHY];
		int r = qube__vm_create(&vm, m, &n);

		QT_INT(r == 0, of != NULL);
		if (r == 0 && exceeds(why, vm, of))
			QT_FAIL("system %" PRIu64 ": a disposable of %s: %s", number, of->name,
				why);
		/* Every default_dispvm is one that disposables may be made of. */
		for (vm = NULL; (vm = qube__model_next(m, vm));) {
			struct qube__vm *t = qube__vm_ref(vm, QUBE__PROP_DEFAULT_DISPVM);

			if (t && !qube__vm_bool(t, QUBE__PROP_TEMPLATE_FOR_DISPVMS))
				QT_FAIL("system %" PRIu64 ": %s has the default_dispvm %s", number,
					vm->name, t->name);
		}
	}
}

/* --- later --- */

static const uint32_t rights[] = {
	QUBE__PROP_NETVM,
	QUBE__PROP_DEFAULT_DISPVM,
	QUBE__PROP_MANAGEMENT_DISPVM,
	QUBE__PROP_GUIVM,
	QUBE__PROP_AUDIOVM,
	QUBE__PROP_PROVIDES_NETWORK,
	QUBE__PROP_MEMORY,
	QUBE__PROP_VCPUS,
	QUBE__PROP_DEVICES_DENIED,
	QUBE__PROP_KERNEL,
	QUBE__PROP_KERNELOPTS,
	QUBE__PROP_DEFAULT_USER,
	QUBE__PROP_VIRT_MODE,
	QUBE__PROP_QREXEC_TIMEOUT,
	QUBE__PROP_SHUTDOWN_TIMEOUT,
	QUBE__PROP_TEMPLATE_FOR_DISPVMS,
	QUBE__PROP_MAXMEM,
};
enum { RIGHTS = sizeof(rights) / sizeof(rights[0]) };

struct seen {
	char text[RIGHTS][WHY];
};

static size_t look(struct seen *all, const struct qube__model *m)
{
	size_t n = 0;

	for (struct qube__vm *vm = NULL; (vm = qube__model_next(m, vm)); n++)
		for (size_t i = 0; i < RIGHTS; i++)
			text_of(all[n].text[i], vm, rights[i]);
	return n;
}

/* As core does when it tells of a change. */
static bool is_told(const struct qube__vm *vm, uint32_t right, const struct qube__vm *of,
		    uint32_t row)
{
	bool same = right == row || (row == QUBE__PROP_MEMORY && right == QUBE__PROP_MAXMEM) ||
		    (row == QUBE__PROP_TEMPLATE && qube__prop_from_template(right));

	return same && qube__vm_prop_follows(vm, right, of);
}

/* Who has another right now, though nobody spoke to it, is one of those that are told. */
static void check_told(uint64_t number, const struct seen *before, const struct seen *after,
		       const struct qube__model *m, uint32_t row, const struct qube__vm *of)
{
	size_t n = 0;

	for (struct qube__vm *vm = NULL; (vm = qube__model_next(m, vm)); n++) {
		for (size_t i = 0; i < RIGHTS; i++) {
			if (vm == of || !strcmp(before[n].text[i], after[n].text[i]))
				continue;
			if (!is_told(vm, rights[i], of, row))
				QT_FAIL("system %" PRIu64 ": %s of %s became %.64s", number,
					qube__props[rights[i]].name, vm->name, after[n].text[i]);
		}
	}
}

enum { CHANGES = 20 };

QTEST(lattice, threat_24_a_default_that_changes_reaches_nobody_unseen)
{
	static struct seen before[32];
	static struct seen after[32];

	for (uint64_t number = 1; number <= SYSTEMS / CHANGES * 2; number++) {
		struct dice d = { number * 0xa0761d6478bd642fu };
		AUTO_MODEL *m = random_system(&d);

		for (int k = 0; k < CHANGES; k++) {
			char *global[QUBE__PROP_COUNT - QUBE__PROP_G_FIRST];
			uint32_t row = QUBE__PROP_COUNT;

			memcpy(global, m->global, sizeof(global));
			QT_TRUE(look(before, m) < 32);
			set_global(m, &d);
			look(after, m);
			for (uint32_t i = 0; i < QUBE__PROP_COUNT - QUBE__PROP_G_FIRST; i++)
				if (global[i] != m->global[i])
					row = qube__global_default_of(QUBE__PROP_G_FIRST + i);
			check_told(number, before, after, m, row, NULL);
		}
	}
}

QTEST(lattice, threat_24_a_template_that_changes_reaches_nobody_unseen)
{
	static struct seen before[32];
	static struct seen after[32];

	for (uint64_t number = 1; number <= SYSTEMS / CHANGES * 2; number++) {
		struct dice d = { number * 0xe7037ed1a0b428dbu };
		AUTO_MODEL *m = random_system(&d);

		for (int k = 0; k < CHANGES; k++) {
			struct qube__vm *vm = qube__model_vm(m, ONE_OF(&d, everyone));
			char *prop[QUBE__PROP_VM_COUNT];
			uint32_t row = QUBE__PROP_COUNT;

			memcpy(prop, vm->prop, sizeof(prop));
			QT_TRUE(look(before, m) < 32);
			set_something(&d, vm);
			look(after, m);
			for (uint32_t i = 0; i < QUBE__PROP_VM_COUNT; i++)
				if (prop[i] != vm->prop[i])
					row = i;
			check_told(number, before, after, m, row, vm);
		}
	}
}
