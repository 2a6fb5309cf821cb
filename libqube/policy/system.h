/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a policy decision has to know of the system: a table of qubes, looked up by name and by
 * uuid, filled by its owner (core, or from JSON by the command). Everything is copied in. */
#ifndef QUBE_POLICY_SYSTEM_H
#define QUBE_POLICY_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	QUBE__POLICY_NAME_MAX = 127, /* bytes of a name, tag or class; ours are shorter */
	QUBE__POLICY_TAGS_MAX = 256, /* of one qube */
	QUBE__POLICY_QUBES_MAX = 65536,
	QUBE__POLICY_SYSTEM_JSON_MAX = 32 << 20,
};

/* A text with its hash, so that a decision hashes only what the request brings. */
struct qube__policy_text {
	const char *s;
	uint32_t len;
	uint32_t hash;
};

/* One qube as the owner describes it. NULL is "none" for every member but name and type. */
struct qube__policy_qube {
	const char *name;
	const char *type;	 /* class: "AppVM" */
	const char *uuid;	 /* without prefix */
	const char *power_state; /* only "Running" matters */
	const char *default_dispvm;
	const char *guivm;
	const char *relayvm; /* of a RemoteVM, as transport_rpc */
	const char *transport_rpc;
	const char *const *tags;
	size_t n_tags;
	bool template_for_dispvms;
	bool internal; /* hidden from prompts */
};

/* The same in the table. Borrowed until the next change of the table. */
struct qube__policy_domain {
	struct qube__policy_domain *next_name;
	struct qube__policy_domain *next_uuid;
	size_t index; /* in qube__policy_system.list */
	struct qube__policy_text name;
	struct qube__policy_text uuid; /* s is NULL without one */
	struct qube__policy_text type;
	struct qube__policy_text default_dispvm; /* s is NULL without one */
	const char *guivm;
	const char *relayvm;
	const char *transport_rpc;
	struct qube__policy_text *tags;
	size_t n_tags;
	bool template_for_dispvms;
	bool internal;
	bool running;
	bool admin;  /* dom0, by name or by the all-zero uuid */
	bool remote; /* a RemoteVM */
};

/* All zero is an empty table. */
struct qube__policy_system {
	struct qube__policy_domain **list;
	size_t count;
	size_t cap;
	struct qube__policy_domain **by_name; /* buckets of chains */
	struct qube__policy_domain **by_uuid;
	size_t buckets; /* a power of two, or 0 */
};

void qube__policy_system_fini(struct qube__policy_system *sys); /* leaves an empty table */
/* Adds the qube, or replaces the one of that name. 0, QUBE_E_NOMEM, QUBE_E_LIMIT, QUBE_E_INVALID
 * (no name or type, an over-long text), QUBE_E_EXISTS (uuid of another qube); table untouched on
 * failure. Sets no record. */
int qube__policy_system_put(struct qube__policy_system *sys, const struct qube__policy_qube *q);
/* 0 or QUBE_E_NOENT. */
int qube__policy_system_remove(struct qube__policy_system *sys, const char *name);
int qube__policy_system_set_power(struct qube__policy_system *sys, const char *name,
				  const char *power_state);
/* NULL if there is none. */
const struct qube__policy_domain *qube__policy_system_name(const struct qube__policy_system *sys,
							   const char *name, size_t len);
const struct qube__policy_domain *qube__policy_system_uuid(const struct qube__policy_system *sys,
							   const char *uuid, size_t len);
/* As above for a name or "uuid:UUID". */
const struct qube__policy_domain *qube__policy_system_find(const struct qube__policy_system *sys,
							   const char *spelling, size_t len);

/* Reads {"domains": {NAME: {...}}}, the shape of internal.GetSystemInfo (policy.md 7), into a table
 * that replaces *sys. Unknown keys are ignored. Untouched on failure; sets the record. */
int qube__policy_system_from_json(struct qube__policy_system *sys, const void *untrusted,
				  size_t len);

/* FNV-1a over len bytes. */
static inline uint32_t qube__policy_hash(const char *s, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)s[i]) * 16777619u;
	return h;
}

#endif
