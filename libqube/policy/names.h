/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Names of policy files in their directories: which count, which are refused, in what order. */
#ifndef QUBE_POLICY_NAMES_H
#define QUBE_POLICY_NAMES_H

#include <stddef.h>

struct qube__policy_name {
	char *name;
	const char *dir; /* borrowed */
	size_t order;	 /* as read: a directory read earlier hides later ones */
};

struct qube__policy_names {
	struct qube__policy_name *list;
	size_t n;
	size_t cap;
};

void qube__policy_names_fini(struct qube__policy_names *names);
/* Adds the considered files of dir (policy.md 1). 0, QUBE_E_NOMEM, QUBE_E_SYSTEM, QUBE_E_LIMIT, or
 * QUBE_E_INVALID for a name that disables the policy, with its path in *wrong, owned. Sets the
 * record. */
int qube__policy_names_read(struct qube__policy_names *names, const char *dir, char **wrong);
void qube__policy_names_sort(struct qube__policy_names *names); /* by name, then as read */
/* The same for the legacy directory, whose files are named SERVICE or SERVICE+ARGUMENT: sorted by
 * service, a service's own file behind those of its arguments (policy.md 8). */
int qube__policy_names_read_legacy(struct qube__policy_names *names, const char *dir, char **wrong);

#endif
