/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The table: its counts, every default, flags. */
#include "house.h"

#include "base/text.h"

#include <stdio.h>

static size_t count(uint32_t classes)
{
	const struct qube__prop *rows[QUBE__PROP_COUNT];

	return qube__prop_list(rows, classes);
}

QTEST(properties, each_class_has_its_number)
{
	QT_INT(count(1 << QUBE__CLASS_APP), 48);
	QT_INT(count(1 << QUBE__CLASS_STANDALONE), 47);
	QT_INT(count(1 << QUBE__CLASS_TEMPLATE), 47);
	QT_INT(count(1 << QUBE__CLASS_DISP), 50);
	QT_INT(count(1 << QUBE__CLASS_ADMIN), 12);
	QT_INT(count(1 << QUBE__CLASS_REMOTE), 10);
	QT_INT(count(QUBE__CLASSES_GLOBAL), 20);
}

QTEST(properties, every_row_is_filled_and_unique_in_its_class)
{
	for (uint32_t i = 0; i < QUBE__PROP_COUNT; i++) {
		const struct qube__prop *p = &qube__props[i];

		if (!p->name || !p->help || !*p->help || !p->classes)
			QT_FAIL("row %u is incomplete", i);
		QT_TRUE(qube__name_is_property(p->name, strlen(p->name)));
		QT_INT((p->classes & QUBE__CLASSES_GLOBAL) != 0, i >= QUBE__PROP_G_FIRST);
		for (uint32_t k = i + 1; k < QUBE__PROP_COUNT; k++)
			if (strcmp(p->name, qube__props[k].name) == 0)
				QT_INT(p->classes & qube__props[k].classes, 0);
	}
}

QTEST(properties, are_listed_by_stage_and_name)
{
	const struct qube__prop *rows[QUBE__PROP_COUNT];
	size_t n = qube__prop_list(rows, 1 << QUBE__CLASS_APP);

	QT_STR(rows[0]->name, "autostart");
	for (size_t i = 1; i < n; i++) {
		bool a = rows[i - 1]->type == QUBE__TYPE_VM;
		bool b = rows[i]->type == QUBE__TYPE_VM;

		QT_TRUE(a == b ? strcmp(rows[i - 1]->name, rows[i]->name) < 0 : b);
	}
}

/* vm NULL: global. */
static const struct {
	const char *vm;
	const char *name;
	const char *want;
} defaults[] = {
	{ "dom0", "name", "dom0" },
	{ "dom0", "qid", "0" },
	{ "dom0", "uuid", "00000000-0000-0000-0000-000000000000" },
	{ "dom0", "klass", "AdminVM" },
	{ "dom0", "icon", "adminvm-black" },
	{ "dom0", "label", "black" },
	{ "dom0", "include_in_backups", "True" },
	{ "dom0", "updateable", "True" },
	{ "dom0", "maxmem", "8192" },
	{ "dom0", "keyboard_layout", "us++" },
	{ "dom0", "devices_denied", "" },
	{ "dom0", "default_dispvm", "(none)" },
	{ "dom0", "xid", "(error)" },
	{ "dom0", "netvm", "(error)" },
	{ "deb", "name", "deb" },
	{ "deb", "qid", "1" },
	{ "deb", "klass", "TemplateVM" },
	{ "deb", "icon", "templatevm-red" },
	{ "deb", "template", "(error)" },
	{ "deb", "template_for_dispvms", "(error)" },
	{ "deb", "appvm_default_bootmode", "default" },
	{ "deb", "netvm", "(none)" },
	{ "deb", "ip", "(none)" },
	{ "deb", "dns", "" },
	{ "deb", "updateable", "True" },
	{ "work", "klass", "AppVM" },
	{ "work", "icon", "appvm-red" },
	{ "work", "label", "red" },
	{ "work", "template", "deb" },
	{ "work", "template_for_dispvms", "False" },
	{ "work", "netvm", "net" },
	{ "work", "provides_network", "False" },
	{ "work", "ip", "10.137.0.2" },
	{ "work", "ip6", "(none)" },
	{ "work", "mac", "00:16:3e:5e:6c:00" },
	{ "work", "dns", "10.139.1.1 10.139.1.2" },
	{ "work", "gateway", "(none)" },
	{ "work", "gateway6", "(none)" },
	{ "work", "visible_ip", "10.137.0.2" },
	{ "work", "visible_ip6", "(none)" },
	{ "work", "visible_gateway", "10.137.0.4" },
	{ "work", "visible_gateway6", "(none)" },
	{ "work", "visible_netmask", "255.255.255.255" },
	{ "work", "virt_mode", "pvh" },
	{ "work", "memory", "400" },
	{ "work", "maxmem", "4000" },
	{ "work", "stubdom_mem", "(none)" },
	{ "work", "vcpus", "2" },
	{ "work", "kernel", "(none)" },
	{ "work", "kernelopts", "swiotlb=2048" },
	{ "work", "bootmode", "default" },
	{ "work", "debug", "False" },
	{ "work", "default_user", "user" },
	{ "work", "qrexec_timeout", "60" },
	{ "work", "shutdown_timeout", "60" },
	{ "work", "autostart", "False" },
	{ "work", "include_in_backups", "True" },
	{ "work", "backup_timestamp", "(none)" },
	{ "work", "installed_by_rpm", "False" },
	{ "work", "updateable", "False" },
	{ "work", "default_dispvm", "(none)" },
	{ "work", "management_dispvm", "(none)" },
	{ "work", "guivm", "dom0" },
	{ "work", "audiovm", "dom0" },
	{ "work", "keyboard_layout", "us++" },
	{ "work", "devices_denied", "" },
	{ "work", "xid", "-1" },
	{ "work", "stubdom_xid", "-1" },
	{ "work", "stubdom_uuid", "" },
	{ "work", "start_time", "(none)" },
	{ "work", "auto_cleanup", "(error)" },
	{ "work", "dispid", "(error)" },
	{ "net", "gateway", "10.137.0.4" },
	{ "net", "netvm", "(none)" },
	{ "net", "ip", "10.137.0.4" },
	{ "dvm", "icon", "templatevm-red" },
	{ "alone", "klass", "StandaloneVM" },
	{ "alone", "icon", "standalonevm-red" },
	{ "alone", "template", "(error)" },
	{ "alone", "updateable", "True" },
	{ "disp", "klass", "DispVM" },
	{ "disp", "icon", "dispvm-red" },
	{ "disp", "template", "dvm" },
	{ "disp", "template_for_dispvms", "(error)" },
	{ "disp", "auto_cleanup", "False" },
	{ "disp", "is_preload", "False" },
	{ "disp", "default_dispvm", "dvm" },
	{ "disp", "include_in_backups", "True" },
	{ "disp", "updateable", "False" },
	{ "far", "klass", "RemoteVM" },
	{ "far", "icon", "remotevm-red" },
	{ "far", "include_in_backups", "False" },
	{ "far", "relayvm", "(none)" },
	{ "far", "transport_rpc", "(none)" },
	{ "far", "remote_name", "(none)" },
	{ "far", "netvm", "(error)" },
	{ NULL, "default_netvm", "net" },
	{ NULL, "updatevm", "(none)" },
	{ NULL, "clockvm", "(none)" },
	{ NULL, "default_dispvm", "(none)" },
	{ NULL, "management_dispvm", "(none)" },
	{ NULL, "default_guivm", "dom0" },
	{ NULL, "default_audiovm", "dom0" },
	{ NULL, "default_template", "(none)" },
	{ NULL, "default_kernel", "(none)" },
	{ NULL, "default_pool", "(none)" },
	{ NULL, "default_pool_private", "(none)" },
	{ NULL, "default_pool_root", "(none)" },
	{ NULL, "default_pool_volatile", "(none)" },
	{ NULL, "default_pool_kernel", "(none)" },
	{ NULL, "default_qrexec_timeout", "60" },
	{ NULL, "default_shutdown_timeout", "60" },
	{ NULL, "stats_interval", "3" },
	{ NULL, "check_updates_vm", "True" },
	{ NULL, "maxmem", "8192" },
	{ NULL, "no_cpus", "4" },
};
enum { DEFAULTS = sizeof(defaults) / sizeof(defaults[0]) };

QTEST(properties, every_default_is_as_documented)
{
	AUTO_MODEL *m = house();
	char text[256];

	m->host_memory_mib = 8192;
	m->host_cpus = 4;
	QT_INT(qube__global_set(m, "default_netvm", "net"), 0);
	for (size_t i = 0; i < DEFAULTS; i++) {
		house_get(text, m, defaults[i].vm, defaults[i].name);
		if (strcmp(text, defaults[i].want) != 0)
			QT_FAIL("%s.%s is '%s', expected '%s'",
				defaults[i].vm ? defaults[i].vm : "(global)", defaults[i].name,
				text, defaults[i].want);
	}
}

QTEST(properties, every_row_has_its_default_tested)
{
	for (uint32_t id = 0; id < QUBE__PROP_COUNT; id++) {
		const struct qube__prop *p = &qube__props[id];
		bool tested = p->set == QUBE__SET_ONCE;

		for (size_t i = 0; i < DEFAULTS && !tested; i++)
			tested = strcmp(defaults[i].name, p->name) == 0 &&
				 !defaults[i].vm == (id >= QUBE__PROP_G_FIRST);
		if (!tested)
			QT_FAIL("no test of the default of %s", p->name);
	}
}

QTEST(properties, runtime_state_shows)
{
	AUTO_MODEL *m = house();
	struct qube__vm *vm = qube__model_vm(m, "work");
	char text[256];

	vm->xid = 12;
	vm->start_time_ms = 1700000000042u;
	vm->has_pci = true;
	QT_STR(house_get(text, m, "work", "xid"), "12");
	QT_STR(house_get(text, m, "work", "start_time"), "1700000000.042");
	QT_STR(house_get(text, m, "work", "virt_mode"), "hvm");
	QT_STR(house_get(text, m, "work", "maxmem"), "0");
	QT_STR(house_get(text, m, "work", "kernelopts"), "");
}

QTEST(properties, defaults_come_down_from_the_template_and_the_host)
{
	AUTO_MODEL *m = house();
	struct qube__vm *deb = qube__model_vm(m, "deb");
	char text[256];

	m->host_memory_mib = 6000;
	QT_INT(qube__vm_prop_set(deb, "memory", "300"), 0);
	QT_INT(qube__vm_prop_set(deb, "default_user", "me"), 0);
	QT_INT(qube__vm_prop_set(deb, "appvm_default_bootmode", "m1"), 0);
	QT_INT(qube__global_set(m, "default_kernel", "6.1"), 0);
	QT_INT(qube__global_set(m, "default_qrexec_timeout", "90"), 0);
	QT_STR(house_get(text, m, "work", "memory"), "300");
	QT_STR(house_get(text, m, "disp", "default_user"), "me");
	QT_STR(house_get(text, m, "work", "bootmode"), "m1");
	QT_STR(house_get(text, m, "disp", "kernel"), "6.1");
	QT_STR(house_get(text, m, "work", "qrexec_timeout"), "90");
	QT_STR(house_get(text, m, "work", "maxmem"), "3000");
	QT_INT(qube__vm_feature_set(deb, "os", "Linux"), 0);
	QT_INT(qube__vm_prop_set(deb, "memory", "100"), 0);
	QT_STR(house_get(text, m, "work", "maxmem"), "1000");
}

QTEST(properties, fake_addresses_and_ipv6_come_from_features)
{
	AUTO_MODEL *m = house();
	char text[256];

	QT_INT(qube__global_set(m, "default_netvm", "net"), 0);
	QT_INT(qube__vm_feature_set(qube__model_vm(m, "deb"), "net.fake-ip", "192.168.1.2"), 0);
	QT_INT(qube__vm_feature_set(qube__model_vm(m, "work"), "net.fake-gateway", "192.168.1.1"),
	       0);
	QT_STR(house_get(text, m, "work", "visible_ip"), "192.168.1.2");
	QT_STR(house_get(text, m, "work", "visible_gateway"), "192.168.1.1");
	QT_STR(house_get(text, m, "work", "ip"), "10.137.0.2");
	QT_INT(qube__vm_feature_set(qube__model_vm(m, "net"), "ipv6", "1"), 0);
	QT_STR(house_get(text, m, "work", "ip6"), "fd09:24ef:4179::a89:2");
	QT_STR(house_get(text, m, "work", "visible_gateway6"), "fd09:24ef:4179::a89:4");
	QT_INT(qube__vm_feature_set(qube__model_vm(m, "work"), "ipv6", ""), 0);
	QT_STR(house_get(text, m, "work", "ip6"), "(none)");
}

QTEST(properties, addresses_follow_the_numbers)
{
	static const struct {
		uint32_t n;
		bool disp;
		const char *ip;
		const char *ip6;
	} rows[] = {
		{ 4, false, "10.137.0.4", "fd09:24ef:4179::a89:4" },
		{ 254, false, "10.137.0.254", "fd09:24ef:4179::a89:fe" },
		{ 255, false, "10.137.1.1", "fd09:24ef:4179::a89:ff" },
		{ 508, false, "10.137.1.254", "fd09:24ef:4179::a89:1fc" },
		{ 509, false, "10.137.2.1", "fd09:24ef:4179::a89:1fd" },
		{ 1000, false, "10.137.3.238", "fd09:24ef:4179::a89:3e8" },
		{ 0, true, "10.138.0.0", "fd09:24ef:4179::a8a:0" },
		{ 9999, true, "10.138.39.93", "fd09:24ef:4179::a8a:270f" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct qube__vm vm = { .vm_class =
					       rows[i].disp ? QUBE__CLASS_DISP : QUBE__CLASS_APP,
				       .qid = rows[i].disp ? 77 : rows[i].n,
				       .dispid = rows[i].disp ? (int32_t)rows[i].n : -1 };
		char ip[16];
		char ip6[40];

		qube__vm_default_ip(ip, &vm);
		qube__vm_default_ip6(ip6, &vm);
		QT_STR(ip, rows[i].ip);
		QT_STR(ip6, rows[i].ip6);
	}
}

QTEST(properties, a_value_says_whether_it_was_set)
{
	AUTO_MODEL *m = house();
	struct qube__vm *vm = qube__model_vm(m, "work");
	struct qube__prop_value v;
	bool has;

	QT_INT(qube__vm_prop_get(&v, vm, "memory"), 0);
	QT_TRUE(v.is_default);
	/* Set to the same text, it is no default any more. */
	QT_INT(qube__vm_prop_set(vm, "memory", "400"), 0);
	QT_INT(qube__vm_prop_get(&v, vm, "memory"), 0);
	QT_TRUE(!v.is_default);
	QT_INT(qube__vm_prop_reset(vm, "memory"), 0);
	QT_INT(qube__vm_prop_get(&v, vm, "memory"), 0);
	QT_TRUE(v.is_default);
	QT_INT(qube__vm_prop_get(&v, vm, "name"), 0);
	QT_TRUE(!v.is_default);
	QT_INT(qube__vm_prop_get(&v, vm, "klass"), 0);
	QT_TRUE(v.is_default);
	QT_INT(qube__vm_prop_default(&v, &has, vm, "memory"), 0);
	QT_TRUE(has && strcmp(v.text, "400") == 0);
	QT_INT(qube__vm_prop_default(&v, &has, vm, "stubdom_mem"), 0);
	QT_TRUE(!has && !v.text);
	QT_INT(qube__vm_prop_default(&v, &has, vm, "name"), 0);
	QT_TRUE(!has);
	QT_INT(qube__vm_prop_default(&v, &has, vm, "x\x1b"), QUBE_E_NOENT);
	QT_INT(house_detail(), QUBE_D_NO_SUCH_PROPERTY);
	QT_STR(qube_error_last()->message, "Invalid property 'x\\x1b' of work");
}
