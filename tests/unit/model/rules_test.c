/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What may be set to what. */
#include "house.h"

static const struct row {
	const char *vm; /* NULL: global */
	const char *name;
	const char *value;
	int want;
	const char *becomes; /* NULL: value */
} rows[] = {
	{ "work", "name", "x", QUBE_E_INVALID, NULL },
	{ "work", "qid", "5", QUBE_E_INVALID, NULL },
	{ "work", "uuid", "x", QUBE_E_INVALID, NULL },
	{ "work", "klass", "AppVM", QUBE_E_INVALID, NULL },
	{ "work", "icon", "x", QUBE_E_INVALID, NULL },
	{ "dom0", "name", "x", QUBE_E_INVALID, NULL },
	{ "dom0", "maxmem", "5", QUBE_E_INVALID, NULL },
	{ "work", "nonesuch", "5", QUBE_E_NOENT, NULL },
	{ "work", "label", "green", 0, NULL },
	{ "work", "label", "4", 0, "green" },
	{ "work", "label", "label-8", 0, "black" },
	{ "work", "label", "mauve", QUBE_E_NOENT, NULL },
	{ "work", "label", "", QUBE_E_NOENT, NULL },
	{ "work", "template", "work", QUBE_E_INVALID, NULL },
	{ "work", "template", "alone", QUBE_E_INVALID, NULL },
	{ "work", "template", "", QUBE_E_INVALID, NULL },
	{ "work", "template", "nobody", QUBE_E_NOENT, NULL },
	{ "disp", "template", "work", QUBE_E_INVALID, NULL },
	{ "disp", "template", "dvm", 0, NULL },
	{ "work", "memory", "0", QUBE_E_INVALID, NULL },
	{ "work", "memory", "-4", QUBE_E_INVALID, NULL },
	{ "work", "memory", "4x", QUBE_E_INVALID, NULL },
	{ "work", "memory", "", QUBE_E_INVALID, NULL },
	{ "work", "memory", "700", 0, NULL },
	{ "work", "maxmem", "0", 0, NULL },
	{ "work", "maxmem", "-1", QUBE_E_INVALID, NULL },
	{ "work", "backup_timestamp", "0", 0, NULL },
	{ "work", "backup_timestamp", "-1", QUBE_E_INVALID, NULL },
	{ "work", "vcpus", "0", QUBE_E_INVALID, NULL },
	{ "work", "autostart", "YES", 0, "True" },
	{ "work", "autostart", "off", 0, "False" },
	{ "work", "autostart", "maybe", QUBE_E_INVALID, NULL },
	{ "work", "netvm", "", 0, "(none)" },
	{ "work", "netvm", "net", 0, NULL },
	{ "work", "netvm", "alone", QUBE_E_INVALID, NULL },
	{ "work", "netvm", "x y", QUBE_E_INVALID, NULL },
	{ "net", "netvm", "net", QUBE_E_INVALID, NULL },
	{ "work", "ip", "10.1.2.3", 0, NULL },
	{ "work", "ip", "10.1.2", QUBE_E_INVALID, NULL },
	{ "work", "ip", "10.1.2.03x", QUBE_E_INVALID, NULL },
	{ "work", "ip6", "FD00:0::1", 0, "fd00::1" },
	{ "work", "ip6", "10.1.2.3", QUBE_E_INVALID, NULL },
	{ "work", "mac", "00:16:3E:00:00:0f", 0, "00:16:3e:00:00:0f" },
	{ "work", "mac", "00:16:3e:00:00", QUBE_E_INVALID, NULL },
	{ "work", "mac", "00-16-3e-00-00-00", QUBE_E_INVALID, NULL },
	{ "work", "mac", "00:16:3e:00:00:0g", QUBE_E_INVALID, NULL },
	{ "work", "virt_mode", "hvm", 0, NULL },
	{ "work", "virt_mode", "kvm", QUBE_E_INVALID, NULL },
	{ "work", "kernel", "", 0, NULL },
	{ "work", "kernel", "6.1-2", 0, NULL },
	{ "work", "kernel", "../x", QUBE_E_INVALID, NULL },
	{ "work", "kernel", "..", QUBE_E_INVALID, NULL },
	{ "work", "kernelopts", "a=b c", 0, NULL },
	{ "work", "kernelopts", "a\nb", QUBE_E_INVALID, NULL },
	{ "work", "kernelopts", "a\xc3", QUBE_E_INVALID, NULL },
	{ "work", "default_user", "a_+,.-9", 0, NULL },
	{ "work", "default_user", "a b", QUBE_E_INVALID, NULL },
	{ "work", "default_user", "a:b", QUBE_E_INVALID, NULL },
	{ "work", "default_dispvm", "dvm", 0, NULL },
	{ "work", "default_dispvm", "", 0, "(none)" },
	{ "work", "default_dispvm", "alone", QUBE_E_INVALID, NULL },
	{ "work", "management_dispvm", "net", QUBE_E_INVALID, NULL },
	{ "work", "guivm", "", 0, "(none)" },
	{ "work", "keyboard_layout", "de+nodeadkeys+", 0, NULL },
	{ "work", "keyboard_layout", "de", QUBE_E_INVALID, NULL },
	{ "work", "keyboard_layout", "de+++", QUBE_E_INVALID, NULL },
	{ "work", "keyboard_layout", "de+$(x)+", QUBE_E_INVALID, NULL },
	{ "work", "devices_denied", "u03****p******u03****b******", 0, "b******p******u03****" },
	{ "work", "devices_denied", "", 0, NULL },
	{ "work", "devices_denied", "u03***", QUBE_E_INVALID, NULL },
	{ "work", "devices_denied", "x03****", QUBE_E_INVALID, NULL },
	{ "work", "devices_denied", "u03***g", QUBE_E_INVALID, NULL },
	{ "far", "relayvm", "work", 0, NULL },
	{ "far", "relayvm", "nobody", QUBE_E_NOENT, NULL },
	{ "far", "transport_rpc", "qubesair.SSHProxy", 0, NULL },
	{ NULL, "default_template", "deb", 0, NULL },
	{ NULL, "default_template", "work", QUBE_E_INVALID, NULL },
	{ NULL, "default_netvm", "work", QUBE_E_INVALID, NULL },
	{ NULL, "default_netvm", "net", 0, NULL },
	{ NULL, "default_dispvm", "work", QUBE_E_INVALID, NULL },
	{ NULL, "default_dispvm", "dvm", 0, NULL },
	{ NULL, "default_pool", "nowhere", QUBE_E_INVALID, NULL },
	{ NULL, "stats_interval", "0", QUBE_E_INVALID, NULL },
	{ NULL, "maxmem", "5", QUBE_E_INVALID, NULL },
	{ NULL, "no_cpus", "5", QUBE_E_INVALID, NULL },
	{ NULL, "memory", "5", QUBE_E_NOENT, NULL },
	{ NULL, "default_guivm", "", 0, "(none)" },
};

QTEST(rules, values_are_taken_made_canonical_or_refused)
{
	AUTO_MODEL *m = house();
	char before[256];
	char text[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct qube__vm *vm = row->vm ? qube__model_vm(m, row->vm) : NULL;
		const char *want = row->becomes ? row->becomes : row->value;
		int r;

		house_get(before, m, row->vm, row->name);
		r = vm ? qube__vm_prop_set(vm, row->name, row->value) :
			 qube__global_set(m, row->name, row->value);
		if (r != row->want)
			QT_FAIL("%s = '%s' gave %d: %s", row->name, row->value, r,
				qube_error_last()->message);
		house_get(text, m, row->vm, row->name);
		QT_STR(text, r < 0 ? before : want);
	}
}

QTEST(rules, the_answer_has_the_admin_apis_detail)
{
	AUTO_MODEL *m = house();
	struct qube__vm *vm = qube__model_vm(m, "work");

	QT_TRUE(qube__vm_prop_set(vm, "klass", "x") < 0);
	QT_INT(house_detail(), QUBE_D_PROPERTY_VALUE);
	QT_STR(qube_error_last()->message, "property 'klass' on AppVM instance cannot be set");
	QT_TRUE(qube__vm_prop_set(vm, "memory", "x") < 0);
	QT_INT(house_detail(), QUBE_D_VALUE);
	QT_TRUE(qube__vm_prop_set(vm, "netvm", "ghost") < 0);
	QT_INT(house_detail(), QUBE_D_VM_NOT_FOUND);
	QT_STR(qube_error_last()->message, "No such domain: 'ghost'");
	QT_TRUE(qube__vm_prop_set(vm, "label", "ghost") < 0);
	QT_INT(house_detail(), QUBE_D_LABEL_NOT_FOUND);
	QT_TRUE(qube__vm_prop_reset(vm, "label") < 0);
	QT_INT(house_detail(), QUBE_D_VALUE);
	QT_TRUE(qube__vm_prop_reset(vm, "template") < 0);
	QT_INT(qube__vm_prop_reset(vm, "klass"), 0);
	QT_INT(qube__vm_prop_reset(vm, "nonesuch"), QUBE_E_NOENT);
}

QTEST(rules, a_running_qube_keeps_its_template)
{
	AUTO_MODEL *m = house();
	struct qube__vm *vm = qube__model_vm(m, "work");

	house_vm(m, QUBE__CLASS_TEMPLATE, "deb2", NULL);
	vm->state = QUBE__STATE_RUNNING;
	QT_INT(qube__vm_prop_set(vm, "template", "deb2"), QUBE_E_STATE);
	QT_INT(house_detail(), QUBE_D_VM_NOT_HALTED);
	QT_INT(qube__vm_prop_set(vm, "maxmem", "1000"), QUBE_E_STATE);
	QT_INT(qube__vm_feature_set(vm, "memory-hotplug", "1"), 0);
	QT_INT(qube__vm_prop_set(vm, "maxmem", "1000"), 0);
	vm->state = QUBE__STATE_HALTED;
	QT_INT(qube__vm_prop_set(vm, "template", "deb2"), 0);
}

QTEST(rules, a_running_qube_needs_a_running_netvm)
{
	AUTO_MODEL *m = house();
	struct qube__vm *vm = qube__model_vm(m, "work");

	vm->state = QUBE__STATE_RUNNING;
	QT_INT(qube__vm_prop_set(vm, "netvm", "net"), QUBE_E_STATE);
	QT_INT(house_detail(), QUBE_D_VM_NOT_STARTED);
	qube__model_vm(m, "net")->state = QUBE__STATE_RUNNING;
	QT_INT(qube__vm_prop_set(vm, "netvm", "net"), 0);
}

QTEST(rules, netvms_make_no_loop)
{
	AUTO_MODEL *m = house();
	struct qube__vm *fw = house_vm(m, QUBE__CLASS_APP, "fw", "deb");
	struct qube__vm *net = qube__model_vm(m, "net");

	QT_INT(qube__vm_prop_set(fw, "provides_network", "True"), 0);
	QT_INT(qube__vm_prop_set(fw, "netvm", "net"), 0);
	QT_INT(qube__vm_prop_set(net, "netvm", "fw"), QUBE_E_INVALID);
	QT_INT(qube__global_set(m, "default_netvm", "fw"), 0);
	QT_INT(qube__vm_prop_reset(net, "netvm"), QUBE_E_INVALID);
	QT_INT(qube__vm_prop_reset(fw, "netvm"), 0); /* itself by default: none */
	QT_INT(qube__global_reset(m, "default_netvm"), 0);
	/* net would follow the default, which is fw, which leads to net. */
	QT_INT(qube__vm_prop_set(fw, "netvm", "net"), 0);
	QT_INT(qube__vm_prop_reset(net, "netvm"), 0);
	QT_INT(qube__global_set(m, "default_netvm", "fw"), QUBE_E_INVALID);
	QT_INT(qube__global_set(m, "default_netvm", "net"), 0);
}

QTEST(rules, what_is_used_cannot_be_cleared)
{
	AUTO_MODEL *m = house();
	struct qube__vm *dvm = qube__model_vm(m, "dvm");
	struct qube__vm *net = qube__model_vm(m, "net");

	QT_INT(qube__vm_prop_set(dvm, "template_for_dispvms", "False"), QUBE_E_BUSY);
	QT_INT(house_detail(), QUBE_D_VM_IN_USE);
	QT_INT(qube__vm_prop_reset(dvm, "template_for_dispvms"), QUBE_E_BUSY);
	QT_INT(qube__vm_remove(qube__model_vm(m, "disp")), 0);
	QT_INT(qube__global_set(m, "default_dispvm", "dvm"), 0);
	QT_INT(qube__vm_prop_set(dvm, "template_for_dispvms", "False"), QUBE_E_BUSY);
	QT_INT(qube__global_reset(m, "default_dispvm"), 0);
	QT_INT(qube__vm_prop_set(dvm, "template_for_dispvms", "False"), 0);
	QT_INT(qube__vm_prop_set(qube__model_vm(m, "work"), "netvm", "net"), 0);
	QT_INT(qube__vm_prop_set(net, "provides_network", "False"), QUBE_E_BUSY);
	QT_TRUE(strstr(qube_error_last()->message, "'work'"));
	QT_INT(qube__vm_prop_set(qube__model_vm(m, "work"), "netvm", ""), 0);
	QT_INT(qube__vm_prop_set(net, "provides_network", "False"), 0);
}

static bool only_61(void *user, const char *name)
{
	(void)user;
	return strcmp(name, "6.1") == 0;
}

QTEST(rules, a_kernel_must_be_installed_where_the_host_can_tell)
{
	AUTO_MODEL *m = house();

	m->kernel_installed = only_61;
	QT_INT(qube__global_set(m, "default_kernel", "6.2"), QUBE_E_INVALID);
	QT_INT(qube__global_set(m, "default_kernel", "6.1"), 0);
}

QTEST(rules, the_clock_moves_its_feature)
{
	AUTO_MODEL *m = house();
	struct qube__vm *net = qube__model_vm(m, "net");
	struct qube__vm *work = qube__model_vm(m, "work");

	QT_INT(qube__global_set(m, "clockvm", "net"), 0);
	QT_STR(qube__vm_feature_find(net, "service.clocksync"), "1");
	QT_INT(qube__global_set(m, "clockvm", "work"), 0);
	QT_TRUE(!qube__vm_feature_find(net, "service.clocksync"));
	QT_STR(qube__vm_feature_find(work, "service.clocksync"), "1");
	QT_INT(qube__global_reset(m, "clockvm"), 0);
	QT_TRUE(!qube__vm_feature_find(work, "service.clocksync"));
}

QTEST(rules, the_keyboard_follows_the_guivm_and_a_loop_of_guivms_ends)
{
	AUTO_MODEL *m = house();
	char text[256];

	QT_INT(qube__vm_prop_set(m->dom0, "keyboard_layout", "de++"), 0);
	QT_STR(house_get(text, m, "work", "keyboard_layout"), "de++");
	QT_INT(qube__vm_prop_set(qube__model_vm(m, "work"), "guivm", "alone"), 0);
	QT_INT(qube__vm_prop_set(qube__model_vm(m, "alone"), "guivm", "work"), 0);
	QT_STR(house_get(text, m, "work", "keyboard_layout"), "us++");
}
