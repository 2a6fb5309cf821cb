/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Who can reach whom by a policy: all calls that could be made, decided one by one. */
#ifndef QUBE_CLI_POLICY_REACH_H
#define QUBE_CLI_POLICY_REACH_H

#include <qube/policy.h>

#include <stdbool.h>
#include <stddef.h>

/* One kind of call that goes through. Texts are owned by the edge. */
struct policy_edge {
	char *source;
	char *target;  /* who is reached in the end; "@dispvm:NAME": a new disposable */
	char *service; /* "app.Do+arg", "app.Do+*": any other argument, "*": any other service */
	char *file;    /* of the deciding rule */
	uint32_t line;
	bool ask;
};

struct policy_reach {
	struct policy_edge *edges; /* sorted by source, target, service */
	size_t n_edges;
	size_t room;
	char **qubes; /* sorted names */
	size_t n_qubes;
	char **services; /* as of an edge, sorted */
	size_t n_services;
};

/* Only edges of this source, target, service (its name without argument); NULL: of every. */
struct policy_wanted {
	const char *source;
	const char *target;
	const char *service;
};

/* 0, or < 0 with the thread's record set. Release it in both cases. */
int policy_reach_find(struct policy_reach *out, qube_policy *p, const struct policy_wanted *wanted);
void policy_reach_fini(struct policy_reach *r);

#endif
