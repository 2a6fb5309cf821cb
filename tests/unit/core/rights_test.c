/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a machine is started with: never more than its template, whatever was set; and who hears
 * that a default gave it something. The driver is the fake one, which notes what it was asked. */
#include "qtest.h"
#include "rig.h"

#include "base/error.h"
#include "core/host.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct qube__driver_ops ops;
static struct asked {
	struct qube__machine_spec spec;
	char services[256];
	char user[64];
} asked;

static int note_create(struct qube__driver *d, struct qube__machine **out, void *user,
		       const struct qube__machine_spec *spec)
{
	asked.spec = *spec;
	snprintf(asked.services, sizeof(asked.services), "%s", spec->services);
	snprintf(asked.user, sizeof(asked.user), "%s", spec->default_user);
	return qube__driver_fake.create(d, out, user, spec);
}

static struct qube__host *noted(qube_ctx *ctx)
{
	struct qube__host *h = qube__host_of(ctx);

	ops = qube__driver_fake;
	ops.create = note_create;
	h->ops = &ops;
	return h;
}

/* What it was started with; the qube is halted again. */
static int start_once(struct asked *out, qube_domain *d)
{
	int r;

	memset(&asked, 0, sizeof(asked));
	r = qube_domain_start(d, NULL);
	if (r < 0)
		return r;
	*out = asked;
	return qube_domain_kill(d, NULL);
}

static uint32_t roll(uint64_t *state, uint32_t sides)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 32) % sides;
}

static void set_something(uint64_t *state, qube_domain *d)
{
	static const struct {
		bool feature;
		const char *name;
		const char *values[4];
	} rows[] = {
		{ false, "memory", { "100", "300", "5000", "900" } },
		{ false, "maxmem", { "0", "500", "8000", "0" } },
		{ false, "vcpus", { "1", "2", "8", "3" } },
		{ false, "default_user", { "root", "user", "a", "b" } },
		{ false, "provides_network", { "True", "False", "True", "False" } },
		{ true, "local.userns", { "1", "", "yes", "" } },
		{ true, "local.new-privs", { "1", "", "yes", "" } },
		{ true, "local.core-sched", { "off", "", "on", "1" } },
		{ true, "local.pids-max", { "64", "4K", "100", "999" } },
		{ true, "local.io-read-max", { "1M", "8K", "5000", "1G" } },
		{ true, "local.io-write-max", { "1M", "8K", "5000", "1G" } },
		{ true, "service.cups", { "1", "", "1", "" } },
		{ true, "service.sshd", { "1", "", "1", "" } },
	};
	uint32_t i = roll(state, sizeof(rows) / sizeof(rows[0]));
	const char *value = rows[i].values[roll(state, 4)];

	if (rows[i].feature)
		qube_domain_feature_set(d, rows[i].name, value);
	else
		qube_domain_property_set(d, rows[i].name, value);
}

/* 0 is no limit, so more than any number. */
static bool above(uint64_t a, uint64_t b)
{
	return b && (!a || a > b);
}

static const char *more(const struct asked *a, const struct asked *of)
{
	if (above(a->spec.memory_bytes, of->spec.memory_bytes))
		return "memory";
	if (above(a->spec.vcpus, of->spec.vcpus))
		return "vcpus";
	if (above(a->spec.pids_max, of->spec.pids_max))
		return "pids";
	if (above(a->spec.io_read_max, of->spec.io_read_max) ||
	    above(a->spec.io_write_max, of->spec.io_write_max))
		return "io";
	if (a->spec.flags & ~of->spec.flags &
	    (QUBE__MACHINE_USERNS | QUBE__MACHINE_NEW_PRIVS | QUBE__MACHINE_ANY_CORE))
		return "flags";
	if (of->spec.flags & ~a->spec.flags & QUBE__MACHINE_EPHEMERAL)
		return "ephemeral";
	if (a->spec.role != of->spec.role && a->spec.role != QUBE__ROLE_APP)
		return "role";
	if (strcmp(a->services, of->services))
		return "services";
	return strcmp(a->user, of->user) ? "user" : NULL;
}

static qube_domain *make(qube_ctx *ctx, const char *name, const char *klass, const char *of)
{
	struct qube_domain_create_opts o = {
		.size = sizeof(o),
		.flags = name ? 0 : QUBE_DOMAIN_CREATE_DISPOSABLE,
		.name = name,
		.klass = klass,
		.template_name = of,
	};
	qube_domain *d = NULL;

	return qube_domain_create(&d, ctx, &o) == 0 ? d : NULL;
}

QTEST(rights, threat_24_a_machine_has_no_more_than_that_of_its_template)
{
	uint64_t state = 0x2545f4914f6cdd1du;

	for (int number = 0; number < 150; number++) {
		CTX ctx = rig_open();
		DOMAIN deb = rig_domain(ctx, "deb");
		DOMAIN app = rig_domain(ctx, "dvm");
		DOMAIN alone = make(ctx, "alone", "StandaloneVM", "deb");
		DOMAIN named = NULL;
		DOMAIN disp = NULL;
		DOMAIN copy = NULL;
		qube_domain *of = roll(&state, 2) ? app : alone;
		struct asked theirs;
		struct asked its;

		noted(ctx);
		QT_INT(qube_domain_property_set(alone, "template_for_dispvms", "True"), 0);
		for (int i = 0; i < 12; i++)
			set_something(&state, roll(&state, 4) ? of : deb);
		QT_INT(start_once(&theirs, of), 0);
		named = make(ctx, "named", "DispVM", qube_domain_get_name(of));
		disp = make(ctx, NULL, NULL, qube_domain_get_name(of));
		QT_INT(qube_domain_clone(of, "copy", NULL), 0);
		copy = rig_domain(ctx, "copy");
		QT_TRUE(named && disp && copy);
		QT_INT(start_once(&its, named), 0);
		if (more(&its, &theirs))
			QT_FAIL("%d: a named disposable has more %s", number, more(&its, &theirs));
		QT_INT(start_once(&its, disp), 0);
		if (more(&its, &theirs))
			QT_FAIL("%d: a disposable has more %s", number, more(&its, &theirs));
		QT_INT(start_once(&its, copy), 0);
		if (more(&its, &theirs))
			QT_FAIL("%d: a clone has more %s", number, more(&its, &theirs));
	}
}

QTEST(rights, threat_24_no_number_is_so_odd_that_it_is_no_limit)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	struct asked its;

	noted(ctx);
	QT_INT(qube_domain_property_set(d, "memory", "700"), 0);
	QT_INT(qube_domain_property_set(d, "maxmem", "0"), 0);
	QT_INT(start_once(&its, d), 0);
	QT_TRUE(its.spec.memory_bytes == (uint64_t)700 << 20);
	/* 2^44 MiB and 2^32 processors: shifted and cut they would be nothing. */
	QT_INT(qube_domain_property_set(d, "maxmem", "17592186044416"), 0);
	QT_INT(qube_domain_property_set(d, "vcpus", "4294967296"), 0);
	QT_INT(start_once(&its, d), 0);
	QT_TRUE(its.spec.memory_bytes > (uint64_t)1 << 60);
	QT_TRUE(its.spec.vcpus > 1u << 30);
}

static bool told(struct text *t, const char *line)
{
	return strstr(t->s, line) != NULL;
}

QTEST(rights, threat_24_whom_a_default_gives_something_is_told_of)
{
	static struct text t;
	CTX ctx = rig_open();
	SUB sub = NULL;
	DOMAIN work = rig_domain(ctx, "work");
	DOMAIN dvm = rig_domain(ctx, "dvm");
	DOMAIN net = make(ctx, "net", "AppVM", "deb");
	DOMAIN named = make(ctx, "named", "DispVM", "dvm");
	struct qube__host *h = qube__host_of(ctx);

	QT_INT(qube_domain_property_set(net, "netvm", ""), 0);
	QT_INT(qube_domain_property_set(net, "provides_network", "True"), 0);
	QT_INT(qube_domain_property_set(dvm, "netvm", ""), 0);
	QT_INT(qube_domain_start(work, NULL), 0);
	rig_drain(ctx);
	t = (struct text){ 0 };
	sub = rig_record(ctx, &t);
	QT_INT(qube__host_global_set(h, "default_netvm", "net"), 0);
	QT_INT(qube__host_global_set(h, "default_dispvm", "dvm"), 0);
	rig_drain(ctx);
	QT_TRUE(told(&t, "work property-reset:netvm name=netvm\n"));
	QT_TRUE(told(&t, "named property-reset:netvm name=netvm\n"));
	QT_TRUE(!told(&t, "dvm property-reset:netvm"));
	QT_TRUE(!told(&t, "net property-reset:netvm"));
	QT_TRUE(told(&t, "work property-reset:default_dispvm name=default_dispvm\n"));
	QT_TRUE(!told(&t, "named property-reset:default_dispvm"));
	t = (struct text){ 0 };
	QT_INT(qube__host_global_reset(h, "default_netvm"), 0);
	rig_drain(ctx);
	QT_TRUE(told(&t, "work property-reset:netvm name=netvm\n"));
	t = (struct text){ 0 };
	{
		DOMAIN deb = rig_domain(ctx, "deb");

		QT_INT(qube_domain_property_set(deb, "memory", "900"), 0);
	}
	rig_drain(ctx);
	QT_TRUE(told(&t, "work property-reset:memory name=memory\n"));
	QT_TRUE(told(&t, "named property-reset:memory name=memory\n"));
	QT_TRUE(told(&t, "named property-reset:maxmem name=maxmem\n"));
	t = (struct text){ 0 };
	QT_INT(qube_domain_property_set(work, "autostart", "True"), 0);
	QT_INT(qube_domain_property_set(net, "template_for_dispvms", "True"), 0);
	QT_INT(qube_domain_property_set(named, "template", "net"), 0);
	rig_drain(ctx);
	QT_TRUE(told(&t, "named property-reset:default_dispvm name=default_dispvm\n"));
	QT_TRUE(told(&t, "named property-reset:memory name=memory\n"));
	QT_TRUE(!told(&t, "dvm property-reset") && !told(&t, "deb property-reset"));
}

QTEST(rights, a_core_is_its_own_unless_that_is_turned_off)
{
	static const struct {
		const char *value;
		bool off;
	} rows[] = {
		{ NULL, false }, { "off", true }, { "", true }, { "1", false }, { "on", false }
	};
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	struct asked a;

	noted(ctx);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].value)
			QT_INT(qube_domain_feature_set(d, "local.core-sched", rows[i].value), 0);
		QT_INT(start_once(&a, d), 0);
		QT_INT((a.spec.flags & QUBE__MACHINE_ANY_CORE) != 0, rows[i].off);
	}
}
