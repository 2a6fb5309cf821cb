/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Compiled rules, inside the room: interned texts, the rules in order, and the tree of hash nodes
 * (service, argument, source, target) that finds the first match without walking the rules. */
#ifndef QUBE_POLICY_RULES_H
#define QUBE_POLICY_RULES_H

#include "policy/policy.h"

#define QUBE__POLICY_NONE UINT32_MAX

/* What a text in a column means, policy.md 3. Those up to DISPVM have no value, and their number is
 * also their id among the interned texts. */
enum qube__policy_kind {
	QUBE__PK_STAR = 0,
	QUBE__PK_ADMIN, /* dom0, @adminvm, uuid:0... */
	QUBE__PK_ANYVM,
	QUBE__PK_DEFAULT,
	QUBE__PK_DISPVM,
	QUBE__PK_NAME,
	QUBE__PK_UUID,
	QUBE__PK_TYPE,
	QUBE__PK_TAG,
	QUBE__PK_DISPVM_NAME,
	QUBE__PK_DISPVM_UUID,
	QUBE__PK_DISPVM_TAG,
	QUBE__PK_SERVICE,
	QUBE__PK_ARGUMENT,
	QUBE__PK_TEXT, /* file names, users: interned, never looked up */
};

/* A designator taken apart; the value is what stands behind the prefix. */
struct qube__policy_spelled {
	enum qube__policy_kind kind;
	const char *value;
	size_t len;
};

/* Pure. 0, or QUBE_E_PROTO for an unknown keyword, an empty or a nested value. */
int qube__policy_spelled_parse(struct qube__policy_spelled *out, const char *untrusted, size_t len);

enum qube__policy_place {
	QUBE__PP_SOURCE = 1,
	QUBE__PP_TARGET = 2,
	QUBE__PP_REDIRECT = 4,
	QUBE__PP_REQUEST = 8,
};
bool qube__policy_kind_allowed(enum qube__policy_kind kind, enum qube__policy_place place);

enum qube__policy_action {
	QUBE__PA_ALLOW = 1,
	QUBE__PA_ASK,
	QUBE__PA_DENY,
};

struct qube__policy_token {
	const char *text;  /* as written; NULL: no such token */
	uint32_t id;	   /* of kind and value; the admin spellings share one */
	uint32_t value_at; /* offset of the value in text */
	enum qube__policy_kind kind;
};

struct qube__policy_rule {
	struct qube__policy_token service;  /* STAR or SERVICE */
	struct qube__policy_token argument; /* STAR or ARGUMENT */
	struct qube__policy_token source;
	struct qube__policy_token target;
	struct qube__policy_token redirect;
	struct qube__policy_token default_target;
	const char *user; /* NULL: none */
	const char *file;
	uint32_t line; /* 0: added behind an argument's file of the legacy directory */
	uint32_t next; /* rule with the same service, argument and source */
	enum qube__policy_action action;
	bool notify;
	bool autostart;
};

struct qube__policy_interned {
	const char *s;
	uint32_t len;
	uint32_t hash; /* of kind and text */
	enum qube__policy_kind kind;
};

/* Of a source: its rules as a list. Of a target: only `first`, as later ones can't decide. */
struct qube__policy_node {
	uint32_t first;
	uint32_t last;
};

struct qube__policy_edge {
	uint32_t parent;
	uint32_t token;
	uint32_t node; /* 0: free slot */
};

struct qube__policy_arena;

struct qube__policy_rules {
	unsigned int refs;
	enum qube__policy_state state;
	char *error;
	const char *error_file;
	uint32_t error_line;

	struct qube__policy_arena *arena;
	struct qube__policy_interned *interned;
	uint32_t n_interned, cap_interned;
	uint32_t *slots;  /* id + 1, or 0; open addressing */
	uint32_t n_slots; /* a power of two */

	struct qube__policy_rule *rules;
	uint32_t n_rules, cap_rules;

	struct qube__policy_node *nodes; /* 0 is the root */
	uint32_t n_nodes, cap_nodes;
	struct qube__policy_edge *edges; /* open addressing */
	uint32_t n_edges, cap_edges;	 /* cap: a power of two */

	const char **watched; /* folders and links that files came through */
	uint32_t n_watched, cap_watched;
};

/* --- index.c --- */
int qube__policy_rules_new(struct qube__policy_rules **out);
/* Id of the text, added if new; *text is the interned, NUL-terminated copy. 0 or QUBE_E_NOMEM. */
int qube__policy_intern(struct qube__policy_rules *r, uint32_t *id, const char **text,
			enum qube__policy_kind kind, const char *s, size_t len);
/* QUBE__POLICY_NONE if the policy never names it. hash is qube__policy_hash() of the text. */
uint32_t qube__policy_interned_id(const struct qube__policy_rules *r, enum qube__policy_kind kind,
				  const char *s, size_t len, uint32_t hash);
/* Appends a complete rule and indexes it. 0, QUBE_E_NOMEM or QUBE_E_LIMIT. */
int qube__policy_rules_add(struct qube__policy_rules *r, const struct qube__policy_rule *rule);
/* Node below parent, or 0. */
uint32_t qube__policy_node_find(const struct qube__policy_rules *r, uint32_t parent,
				uint32_t token);
int qube__policy_rules_watched(struct qube__policy_rules *r, const char *path, size_t len);

/* --- line.c: one rule --- */
struct qube__policy_word {
	const char *s;
	size_t len;
};

enum { QUBE__POLICY_WORDS_MAX = 16 };

/* A rule from words[0..n): the first five columns, or, when service and argument are given, source,
 * target and action. 0, QUBE_E_NOMEM, QUBE_E_LIMIT or QUBE_E_PROTO with *why set (and *word, which
 * may be NULL, to the offending word). */
struct qube__policy_line {
	const char *file; /* interned */
	uint32_t line;
	const struct qube__policy_word *words;
	size_t n;
	const struct qube__policy_token *service; /* old layout, else NULL */
	const struct qube__policy_token *argument;
};
int qube__policy_line_rule(struct qube__policy_rules *r, const struct qube__policy_line *line,
			   const char **why, const struct qube__policy_word **word);
/* The two columns of !include-service and of every rule. */
int qube__policy_line_service(struct qube__policy_rules *r, struct qube__policy_token *service,
			      const struct qube__policy_word *w, const char **why);
int qube__policy_line_argument(struct qube__policy_rules *r, struct qube__policy_token *argument,
			       const struct qube__policy_token *service,
			       const struct qube__policy_word *w, const char **why);
int qube__policy_token_make(struct qube__policy_rules *r, struct qube__policy_token *out,
			    const char *s, size_t len, enum qube__policy_place place,
			    const char **why);

/* --- match.c: the request, typed once --- */

/* A qube, or a keyword, that takes part in a call. */
struct qube__policy_who {
	enum qube__policy_kind kind; /* NAME, UUID, ADMIN, DEFAULT, DISPVM, DISPVM_NAME, _UUID */
	bool keyword;		     /* ADMIN spelled @adminvm: has neither class nor tags */
	const struct qube__policy_domain *d; /* NULL if unknown, or a keyword */
	const char *text;		     /* whole spelling */
	size_t len;
	const char *value; /* what stands behind the prefix */
	size_t value_len;
};

struct qube__policy_call {
	const struct qube__policy_rules *rules;
	const struct qube__policy_system *sys;
	const char *service;
	size_t service_len;
	const char *argument; /* with its '+' */
	size_t argument_len;
	struct qube__policy_who caller;
	struct qube__policy_who source; /* the caller, or whom it relays for */
	struct qube__policy_who target;
	bool relayed;
};

/* Steps 1 to 6 of policy.md 5. 0 or the cause of the refusal, what was understood left in *call. */
enum qube__policy_cause qube__policy_call_init(struct qube__policy_call *call,
					       const struct qube__policy_rules *rules,
					       const struct qube__policy_system *sys,
					       const struct qube__policy_request *req);
/* Steps 2 to 5 for a target or a redirect. */
enum qube__policy_cause qube__policy_who_target(struct qube__policy_who *out,
						const struct qube__policy_system *sys,
						const char *text, size_t len);
enum qube__policy_cause qube__policy_who_source(struct qube__policy_who *out,
						const struct qube__policy_system *sys,
						const char *text);
bool qube__policy_same(const struct qube__policy_who *a, const struct qube__policy_who *b);
/* The slow road, for explanations and as the index's check: the first column that differs. */
enum qube__policy_column qube__policy_rule_mismatch(const struct qube__policy_rule *rule,
						    const struct qube__policy_call *call);
bool qube__policy_domain_tagged(const struct qube__policy_domain *d, const char *tag);

/* --- find.c: the fast road --- */
uint32_t qube__policy_find(const struct qube__policy_call *call);
/* All rules of service, argument and source, in order, into an owned array. */
int qube__policy_find_all(uint32_t **out, size_t *n, const struct qube__policy_call *call);

/* --- ask.c --- */
/* Fills targets and default_target. 0, QUBE_E_NOMEM; none offered is *cause. */
int qube__policy_offer(struct qube__policy_result *res, const struct qube__policy_call *call,
		       const struct qube__policy_rule *rule, enum qube__policy_cause *cause);

#endif
