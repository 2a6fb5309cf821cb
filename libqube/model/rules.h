/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The functions that rows of the property table name: defaults (defaults.c) and checks (checks.c).
 */
#ifndef QUBE_MODEL_RULES_H
#define QUBE_MODEL_RULES_H

#include "model/properties.h"

#define DEFAULT_(f_)                                                                               \
	void qube__default_##f_(const struct qube__prop_of *of, struct qube__prop_value *out)
#define CHECK_(f_)                                                                                 \
	int qube__check_##f_(const struct qube__prop_of *of, const struct qube__prop *p,           \
			     char *canon)
#define RESET_(f_) int qube__reset_##f_(const struct qube__prop_of *of, const struct qube__prop *p)

DEFAULT_(name);
DEFAULT_(qid);
DEFAULT_(uuid);
DEFAULT_(klass);
DEFAULT_(icon);
DEFAULT_(appvm_bootmode);
DEFAULT_(dispid);
DEFAULT_(is_preload);
DEFAULT_(netvm);
DEFAULT_(ip);
DEFAULT_(ip6);
DEFAULT_(dns);
DEFAULT_(gateway);
DEFAULT_(gateway6);
DEFAULT_(visible_ip);
DEFAULT_(visible_ip6);
DEFAULT_(visible_gateway);
DEFAULT_(visible_gateway6);
DEFAULT_(visible_netmask);
DEFAULT_(virt_mode);
DEFAULT_(memory);
DEFAULT_(maxmem);
DEFAULT_(vcpus);
DEFAULT_(kernel);
DEFAULT_(kernelopts);
DEFAULT_(bootmode);
DEFAULT_(default_user);
DEFAULT_(qrexec_timeout);
DEFAULT_(shutdown_timeout);
DEFAULT_(include_in_backups);
DEFAULT_(updateable);
DEFAULT_(default_dispvm);
DEFAULT_(management_dispvm);
DEFAULT_(guivm);
DEFAULT_(audiovm);
DEFAULT_(keyboard_layout);
DEFAULT_(xid);
DEFAULT_(stubdom_xid);
DEFAULT_(start_time);
DEFAULT_(host_memory);
DEFAULT_(host_cpus);
DEFAULT_(default_pool);
DEFAULT_(default_pool_any);

CHECK_(template);
CHECK_(template_for_dispvms);
CHECK_(netvm);
CHECK_(provides_network);
CHECK_(ip);
CHECK_(ip6);
CHECK_(mac);
CHECK_(virt_mode);
CHECK_(positive);
CHECK_(not_negative);
CHECK_(maxmem);
CHECK_(kernel);
CHECK_(kernelopts);
CHECK_(default_user);
CHECK_(dispvm);
CHECK_(keyboard_layout);
CHECK_(devices_denied);
CHECK_(default_netvm);
CHECK_(default_template);
CHECK_(pool);

RESET_(never);
RESET_(template_for_dispvms);
RESET_(netvm);
RESET_(provides_network);

#endif
