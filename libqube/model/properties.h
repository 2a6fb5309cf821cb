/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The one table of properties (admin-api.md 5): what the C API, the Admin API, the command line and
 * the manual know of them. A row is (name, classes); some names have more than one row. */
#ifndef QUBE_MODEL_PROPERTIES_H
#define QUBE_MODEL_PROPERTIES_H

#include "wire/admin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qube__model;
struct qube__vm;
struct qube__prop_value;

enum qube__prop_id {
	/* qubes but dom0 */
	QUBE__PROP_NAME,
	QUBE__PROP_QID,
	QUBE__PROP_UUID,
	QUBE__PROP_KLASS,
	QUBE__PROP_ICON,
	QUBE__PROP_LABEL,
	QUBE__PROP_TEMPLATE,
	QUBE__PROP_TEMPLATE_FOR_DISPVMS,
	QUBE__PROP_APPVM_DEFAULT_BOOTMODE,
	QUBE__PROP_AUTO_CLEANUP,
	QUBE__PROP_DISPID,
	QUBE__PROP_IS_PRELOAD,
	QUBE__PROP_NETVM,
	QUBE__PROP_PROVIDES_NETWORK,
	QUBE__PROP_IP,
	QUBE__PROP_IP6,
	QUBE__PROP_MAC,
	QUBE__PROP_DNS,
	QUBE__PROP_GATEWAY,
	QUBE__PROP_GATEWAY6,
	QUBE__PROP_VISIBLE_IP,
	QUBE__PROP_VISIBLE_IP6,
	QUBE__PROP_VISIBLE_GATEWAY,
	QUBE__PROP_VISIBLE_GATEWAY6,
	QUBE__PROP_VISIBLE_NETMASK,
	QUBE__PROP_VIRT_MODE,
	QUBE__PROP_MEMORY,
	QUBE__PROP_MAXMEM,
	QUBE__PROP_STUBDOM_MEM,
	QUBE__PROP_VCPUS,
	QUBE__PROP_KERNEL,
	QUBE__PROP_KERNELOPTS,
	QUBE__PROP_BOOTMODE,
	QUBE__PROP_DEBUG,
	QUBE__PROP_DEFAULT_USER,
	QUBE__PROP_QREXEC_TIMEOUT,
	QUBE__PROP_SHUTDOWN_TIMEOUT,
	QUBE__PROP_AUTOSTART,
	QUBE__PROP_INCLUDE_IN_BACKUPS,
	QUBE__PROP_BACKUP_TIMESTAMP,
	QUBE__PROP_INSTALLED_BY_RPM,
	QUBE__PROP_UPDATEABLE,
	QUBE__PROP_DEFAULT_DISPVM,
	QUBE__PROP_MANAGEMENT_DISPVM,
	QUBE__PROP_GUIVM,
	QUBE__PROP_AUDIOVM,
	QUBE__PROP_KEYBOARD_LAYOUT,
	QUBE__PROP_DEVICES_DENIED,
	QUBE__PROP_XID,
	QUBE__PROP_STUBDOM_XID,
	QUBE__PROP_STUBDOM_UUID,
	QUBE__PROP_START_TIME,
	/* RemoteVM's own */
	QUBE__PROP_RELAYVM,
	QUBE__PROP_TRANSPORT_RPC,
	QUBE__PROP_REMOTE_NAME,
	/* dom0's rows that differ */
	QUBE__PROP_ADMIN_NAME,
	QUBE__PROP_ADMIN_QID,
	QUBE__PROP_ADMIN_UUID,
	QUBE__PROP_ADMIN_MAXMEM,
	QUBE__PROP_VM_COUNT, /* a qube has a slot for each row above */
	/* global */
	QUBE__PROP_G_DEFAULT_NETVM = QUBE__PROP_VM_COUNT,
	QUBE__PROP_G_UPDATEVM,
	QUBE__PROP_G_CLOCKVM,
	QUBE__PROP_G_DEFAULT_DISPVM,
	QUBE__PROP_G_MANAGEMENT_DISPVM,
	QUBE__PROP_G_DEFAULT_GUIVM,
	QUBE__PROP_G_DEFAULT_AUDIOVM,
	QUBE__PROP_G_DEFAULT_TEMPLATE,
	QUBE__PROP_G_DEFAULT_KERNEL,
	QUBE__PROP_G_DEFAULT_POOL,
	QUBE__PROP_G_DEFAULT_POOL_PRIVATE,
	QUBE__PROP_G_DEFAULT_POOL_ROOT,
	QUBE__PROP_G_DEFAULT_POOL_VOLATILE,
	QUBE__PROP_G_DEFAULT_POOL_KERNEL,
	QUBE__PROP_G_DEFAULT_QREXEC_TIMEOUT,
	QUBE__PROP_G_DEFAULT_SHUTDOWN_TIMEOUT,
	QUBE__PROP_G_STATS_INTERVAL,
	QUBE__PROP_G_CHECK_UPDATES_VM,
	QUBE__PROP_G_MAXMEM,
	QUBE__PROP_G_NO_CPUS,
	QUBE__PROP_COUNT,
};
#define QUBE__PROP_G_FIRST QUBE__PROP_VM_COUNT

/* When it may be set. */
enum qube__prop_set {
	QUBE__SET_NEVER, /* read-only */
	QUBE__SET_ONCE,	 /* at creation */
	QUBE__SET_ALWAYS,
	QUBE__SET_HALTED,
};

/* Whom a property belongs to; vm is NULL for the global ones. */
struct qube__prop_of {
	const struct qube__model *model;
	const struct qube__vm *vm;
};

struct qube__prop {
	const char *name;
	uint8_t name_len;
	uint8_t type;	   /* enum qube__prop_type */
	uint8_t classes;   /* 1 << enum qube__vm_class; QUBE__CLASSES_GLOBAL */
	uint8_t set;	   /* enum qube__prop_set */
	bool no_clone;	   /* a clone or disposable does not inherit it */
	bool none_ok;	   /* vm: may be set to none */
	const char *fixed; /* constant default, or NULL */
	/* Computed default; leaves out as it is (no value) or fills text. May be NULL. */
	void (*compute)(const struct qube__prop_of *of, struct qube__prop_value *out);
	/* Checks the text of a Set beyond its type; may write a canonical form (cap
	 * QUBE__PROP_CANON_MAX) over canon, which holds the text. Sets the record. */
	int (*check)(const struct qube__prop_of *of, const struct qube__prop *p, char *canon);
	/* May the explicit value go? Sets the record. May be NULL. */
	int (*check_reset)(const struct qube__prop_of *of, const struct qube__prop *p);
	const char *help; /* one line */
};

enum { QUBE__PROP_CANON_MAX = 4096 };

#define QUBE__CLASSES_GLOBAL 64u

extern const struct qube__prop qube__props[QUBE__PROP_COUNT];

/* The row, or NULL. classes: 1 << class or QUBE__CLASSES_GLOBAL. */
const struct qube__prop *qube__prop_find(uint32_t classes, const char *name);
static inline uint32_t qube__prop_id(const struct qube__prop *p)
{
	return (uint32_t)(p - qube__props);
}
/* The rows of one class in the Admin API's order: those that do not name a qube, then those that
 * do, each by name. out has room for QUBE__PROP_COUNT. */
size_t qube__prop_list(const struct qube__prop **out, uint32_t classes);

#endif
