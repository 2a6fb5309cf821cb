/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The policy of this host: files that are watched, and the model as the policy sees it. */
#ifndef QUBE_CORE_RULES_H
#define QUBE_CORE_RULES_H

#include "core/host.h"
#include "policy/policy.h"

struct qube__rules {
	struct qube__host *host;
	char *etc_dir;
	char *run_dir;
	char *legacy_dir;
	struct qube__policy_dirs dirs;
	struct qube__policy_rules *rules;
	struct qube__policy_watch watch;
	struct qube__source source;
	struct qube__policy_system system;
	uint64_t generation; /* of the model that system shows */
	bool fresh;	     /* system was filled */
};

/* A decision with the files and the system as they are now. out: qube__policy_result_fini(). */
int qube__rules_evaluate(struct qube__policy_result *out, struct qube__host *h,
			 const struct qube__policy_request *req);

#endif
