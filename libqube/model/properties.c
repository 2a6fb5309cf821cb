/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The one table of properties, admin-api.md 5.1 to 5.4. What a default computes and what a Set
 * checks is in defaults.c and checks.c. */
#include "model/properties.h"

#include "model/model.h"
#include "model/rules.h"

#include <string.h>

enum {
	T = 1 << QUBE__CLASS_TEMPLATE,
	A = 1 << QUBE__CLASS_APP,
	S = 1 << QUBE__CLASS_STANDALONE,
	D = 1 << QUBE__CLASS_DISP,
	R = 1 << QUBE__CLASS_REMOTE,
	O = 1 << QUBE__CLASS_ADMIN,
	Q = T | A | S | D,
	G = QUBE__CLASSES_GLOBAL,
};

#define ROW(id_, name_, type_, classes_, set_, help_, ...)                                         \
	[QUBE__PROP_##id_] = { .name = name_,                                                      \
			       .name_len = sizeof(name_) - 1,                                      \
			       .type = QUBE__TYPE_##type_,                                         \
			       .classes = classes_,                                                \
			       .set = QUBE__SET_##set_,                                            \
			       .help = help_,                                                      \
			       __VA_ARGS__ }
#define DEF(f_)	   .compute = qube__default_##f_
#define FIX(text_) .fixed = text_
#define CHK(f_)	   .check = qube__check_##f_
#define RST(f_)	   .check_reset = qube__reset_##f_
#define NOCLONE	   .no_clone = true
#define NONE_OK	   .none_ok = true

const struct qube__prop qube__props[QUBE__PROP_COUNT] = {
	ROW(NAME, "name", STR, Q | R, ONCE, "Name of the qube", DEF(name), NOCLONE),
	ROW(QID, "qid", INT, Q | R, ONCE, "Number of the qube on this host", DEF(qid), NOCLONE),
	ROW(UUID, "uuid", STR, Q | R, ONCE, "Universally unique id", DEF(uuid), NOCLONE),
	ROW(KLASS, "klass", STR, Q | R | O, NEVER, "Class of the qube", DEF(klass), NOCLONE),
	ROW(ICON, "icon", STR, Q | R | O, NEVER, "Name of the icon", DEF(icon), NOCLONE),
	ROW(LABEL, "label", LABEL, Q | R | O, ALWAYS, "Colour label: how far the qube is trusted",
	    RST(never)),
	ROW(TEMPLATE, "template", VM, A | D, HALTED, "Qube whose root volume this one starts from",
	    CHK(template), RST(never)),
	ROW(TEMPLATE_FOR_DISPVMS, "template_for_dispvms", BOOL, A | S, ALWAYS,
	    "May disposables be made from this qube", FIX("False"), CHK(template_for_dispvms),
	    RST(template_for_dispvms)),
	ROW(APPVM_DEFAULT_BOOTMODE, "appvm_default_bootmode", STR, T, ALWAYS,
	    "Boot mode of the qubes that use this template", DEF(appvm_bootmode)),
	ROW(AUTO_CLEANUP, "auto_cleanup", BOOL, D, ALWAYS, "Remove the qube when it stops",
	    FIX("False"), NOCLONE),
	ROW(DISPID, "dispid", INT, D, ONCE, "Number of the disposable", DEF(dispid), NOCLONE),
	ROW(IS_PRELOAD, "is_preload", BOOL, D, NEVER, "Started ahead and not yet handed out",
	    DEF(is_preload), NOCLONE),
	ROW(NETVM, "netvm", VM, Q, ALWAYS, "Qube that gives it network", DEF(netvm), CHK(netvm),
	    RST(netvm), NONE_OK),
	ROW(PROVIDES_NETWORK, "provides_network", BOOL, Q, ALWAYS,
	    "May other qubes use it as their netvm", FIX("False"), CHK(provides_network),
	    RST(provides_network)),
	ROW(IP, "ip", STR, Q, ALWAYS, "IPv4 address", DEF(ip), CHK(ip), NOCLONE),
	ROW(IP6, "ip6", STR, Q, ALWAYS, "IPv6 address", DEF(ip6), CHK(ip6), NOCLONE),
	ROW(MAC, "mac", STR, Q, ALWAYS, "Hardware address", FIX("00:16:3e:5e:6c:00"), CHK(mac)),
	ROW(DNS, "dns", STR, Q, NEVER, "Addresses of name servers", DEF(dns)),
	ROW(GATEWAY, "gateway", STR, Q, NEVER, "IPv4 gateway for its clients", DEF(gateway)),
	ROW(GATEWAY6, "gateway6", STR, Q, NEVER, "IPv6 gateway for its clients", DEF(gateway6)),
	ROW(VISIBLE_IP, "visible_ip", STR, Q, NEVER, "IPv4 address that the qube itself sees",
	    DEF(visible_ip)),
	ROW(VISIBLE_IP6, "visible_ip6", STR, Q, NEVER, "IPv6 address that the qube itself sees",
	    DEF(visible_ip6)),
	ROW(VISIBLE_GATEWAY, "visible_gateway", STR, Q, NEVER, "IPv4 gateway that the qube sees",
	    DEF(visible_gateway)),
	ROW(VISIBLE_GATEWAY6, "visible_gateway6", STR, Q, NEVER, "IPv6 gateway that the qube sees",
	    DEF(visible_gateway6)),
	ROW(VISIBLE_NETMASK, "visible_netmask", STR, Q, NEVER, "IPv4 netmask that the qube sees",
	    DEF(visible_netmask)),
	ROW(VIRT_MODE, "virt_mode", STR, Q, HALTED, "Kind of virtual machine: pvh, hvm or pv",
	    DEF(virt_mode), CHK(virt_mode)),
	ROW(MEMORY, "memory", INT, Q, ALWAYS, "Memory at start in MiB", DEF(memory), CHK(positive)),
	ROW(MAXMEM, "maxmem", INT, Q, ALWAYS, "Most memory in MiB; 0: no balancing", DEF(maxmem),
	    CHK(maxmem)),
	ROW(STUBDOM_MEM, "stubdom_mem", INT, Q, ALWAYS, "Memory of the device model in MiB",
	    CHK(positive)),
	ROW(VCPUS, "vcpus", INT, Q, ALWAYS, "Number of virtual processors", DEF(vcpus),
	    CHK(positive)),
	ROW(KERNEL, "kernel", STR, Q, ALWAYS, "Kernel; empty: the qube's own", DEF(kernel),
	    CHK(kernel)),
	ROW(KERNELOPTS, "kernelopts", STR, Q, ALWAYS, "Kernel command line", DEF(kernelopts),
	    CHK(kernelopts)),
	ROW(BOOTMODE, "bootmode", STR, Q, ALWAYS, "Boot mode", DEF(bootmode)),
	ROW(DEBUG, "debug", BOOL, Q, ALWAYS, "Start with debugging aids", FIX("False")),
	ROW(DEFAULT_USER, "default_user", STR, Q, ALWAYS, "User that calls run as",
	    DEF(default_user), CHK(default_user)),
	ROW(QREXEC_TIMEOUT, "qrexec_timeout", INT, Q, ALWAYS, "Seconds until the agent must answer",
	    DEF(qrexec_timeout), CHK(positive)),
	ROW(SHUTDOWN_TIMEOUT, "shutdown_timeout", INT, Q, ALWAYS,
	    "Seconds that a shutdown may take", DEF(shutdown_timeout), CHK(positive)),
	ROW(AUTOSTART, "autostart", BOOL, Q, ALWAYS, "Start when the host starts", FIX("False")),
	ROW(INCLUDE_IN_BACKUPS, "include_in_backups", BOOL, Q | R | O, ALWAYS,
	    "Part of a backup if nothing else is said", DEF(include_in_backups)),
	ROW(BACKUP_TIMESTAMP, "backup_timestamp", INT, Q, ALWAYS, "Time of the last backup",
	    CHK(not_negative), NOCLONE),
	ROW(INSTALLED_BY_RPM, "installed_by_rpm", BOOL, Q, ALWAYS,
	    "Belongs to the host's package manager, which alone removes it", FIX("False"), NOCLONE),
	ROW(UPDATEABLE, "updateable", BOOL, Q | O, NEVER, "May packages be updated inside",
	    DEF(updateable)),
	ROW(DEFAULT_DISPVM, "default_dispvm", VM, Q | O, ALWAYS,
	    "What its disposables are made from", DEF(default_dispvm), CHK(dispvm), NONE_OK),
	ROW(MANAGEMENT_DISPVM, "management_dispvm", VM, Q, ALWAYS,
	    "What disposables that manage this qube are made from", DEF(management_dispvm),
	    CHK(dispvm), NONE_OK),
	ROW(GUIVM, "guivm", VM, Q, ALWAYS, "Qube that shows its windows", DEF(guivm), NONE_OK),
	ROW(AUDIOVM, "audiovm", VM, Q, ALWAYS, "Qube that plays its sound", DEF(audiovm), NONE_OK),
	ROW(KEYBOARD_LAYOUT, "keyboard_layout", STR, Q | O, ALWAYS,
	    "Keyboard: layout+variant+options", DEF(keyboard_layout), CHK(keyboard_layout)),
	ROW(DEVICES_DENIED, "devices_denied", STR, Q | O, ALWAYS,
	    "Device interfaces that may not be attached", FIX(""), CHK(devices_denied)),
	ROW(XID, "xid", INT, Q, NEVER, "Id of the running domain, -1: off", DEF(xid)),
	ROW(STUBDOM_XID, "stubdom_xid", INT, Q, NEVER, "Id of the device model's domain",
	    DEF(stubdom_xid)),
	ROW(STUBDOM_UUID, "stubdom_uuid", STR, Q, NEVER, "Uuid of the device model's domain",
	    FIX("")),
	ROW(START_TIME, "start_time", STR, Q, NEVER, "When it was started, seconds of the epoch",
	    DEF(start_time)),
	ROW(RELAYVM, "relayvm", VM, R, ALWAYS, "Qube that relays calls to it", NONE_OK),
	ROW(TRANSPORT_RPC, "transport_rpc", STR, R, ALWAYS, "Service of the relay that reaches it"),
	ROW(REMOTE_NAME, "remote_name", STR, R, ALWAYS, "Its name on the other host"),
	ROW(ADMIN_NAME, "name", STR, O, NEVER, "Name of the qube", DEF(name), NOCLONE),
	ROW(ADMIN_QID, "qid", INT, O, NEVER, "Number of the qube on this host", DEF(qid), NOCLONE),
	ROW(ADMIN_UUID, "uuid", STR, O, NEVER, "Universally unique id", DEF(uuid), NOCLONE),
	ROW(ADMIN_MAXMEM, "maxmem", INT, O, NEVER, "Memory of the host in MiB", DEF(host_memory)),

	ROW(G_DEFAULT_NETVM, "default_netvm", VM, G, ALWAYS, "netvm of qubes that name none",
	    CHK(default_netvm), NONE_OK),
	ROW(G_UPDATEVM, "updatevm", VM, G, ALWAYS, "Qube that fetches the host's updates", NONE_OK),
	ROW(G_CLOCKVM, "clockvm", VM, G, ALWAYS, "Qube that knows the time", NONE_OK),
	ROW(G_DEFAULT_DISPVM, "default_dispvm", VM, G, ALWAYS,
	    "What disposables are made from where nothing else is said", CHK(dispvm), NONE_OK),
	ROW(G_MANAGEMENT_DISPVM, "management_dispvm", VM, G, ALWAYS,
	    "What managing disposables are made from where nothing else is said", CHK(dispvm),
	    NONE_OK),
	ROW(G_DEFAULT_GUIVM, "default_guivm", VM, G, ALWAYS, "guivm of qubes that name none",
	    FIX("dom0"), NONE_OK),
	ROW(G_DEFAULT_AUDIOVM, "default_audiovm", VM, G, ALWAYS, "audiovm of qubes that name none",
	    FIX("dom0"), NONE_OK),
	ROW(G_DEFAULT_TEMPLATE, "default_template", VM, G, ALWAYS,
	    "Template of new qubes that name none", CHK(default_template), NONE_OK),
	ROW(G_DEFAULT_KERNEL, "default_kernel", STR, G, ALWAYS, "Kernel of qubes that name none",
	    CHK(kernel)),
	ROW(G_DEFAULT_POOL, "default_pool", STR, G, ALWAYS, "Pool of volumes that name none",
	    DEF(default_pool), CHK(pool)),
	ROW(G_DEFAULT_POOL_PRIVATE, "default_pool_private", STR, G, ALWAYS,
	    "Pool of private volumes", DEF(default_pool_any), CHK(pool)),
	ROW(G_DEFAULT_POOL_ROOT, "default_pool_root", STR, G, ALWAYS, "Pool of root volumes",
	    DEF(default_pool_any), CHK(pool)),
	ROW(G_DEFAULT_POOL_VOLATILE, "default_pool_volatile", STR, G, ALWAYS,
	    "Pool of volatile volumes", DEF(default_pool_any), CHK(pool)),
	ROW(G_DEFAULT_POOL_KERNEL, "default_pool_kernel", STR, G, ALWAYS, "Pool of kernels",
	    DEF(default_pool_any), CHK(pool)),
	ROW(G_DEFAULT_QREXEC_TIMEOUT, "default_qrexec_timeout", INT, G, ALWAYS,
	    "qrexec_timeout of qubes that name none", FIX("60"), CHK(positive)),
	ROW(G_DEFAULT_SHUTDOWN_TIMEOUT, "default_shutdown_timeout", INT, G, ALWAYS,
	    "shutdown_timeout of qubes that name none", FIX("60"), CHK(positive)),
	ROW(G_STATS_INTERVAL, "stats_interval", INT, G, ALWAYS, "Seconds between statistics",
	    FIX("3"), CHK(positive)),
	ROW(G_CHECK_UPDATES_VM, "check_updates_vm", BOOL, G, ALWAYS,
	    "Do new qubes look for updates", FIX("True")),
	ROW(G_MAXMEM, "maxmem", INT, G, NEVER, "Memory of the host in MiB", DEF(host_memory)),
	ROW(G_NO_CPUS, "no_cpus", INT, G, NEVER, "Processors of the host", DEF(host_cpus)),
};

const struct qube__prop *qube__prop_find(uint32_t classes, const char *name)
{
	size_t n = strlen(name);

	for (uint32_t i = 0; i < QUBE__PROP_COUNT; i++) {
		const struct qube__prop *p = &qube__props[i];

		if (p->name_len == n && (p->classes & classes) && memcmp(p->name, name, n) == 0)
			return p;
	}
	return NULL;
}

static bool goes_before(const struct qube__prop *a, const struct qube__prop *b)
{
	bool a_vm = a->type == QUBE__TYPE_VM;
	bool b_vm = b->type == QUBE__TYPE_VM;

	return a_vm != b_vm ? b_vm : strcmp(a->name, b->name) < 0;
}

size_t qube__prop_list(const struct qube__prop **out, uint32_t classes)
{
	size_t n = 0;

	for (uint32_t i = 0; i < QUBE__PROP_COUNT; i++) {
		const struct qube__prop *p = &qube__props[i];
		size_t at = n;

		if (!(p->classes & classes))
			continue;
		for (; at && goes_before(p, out[at - 1]); at--)
			out[at] = out[at - 1];
		out[at] = p;
		n++;
	}
	return n;
}
