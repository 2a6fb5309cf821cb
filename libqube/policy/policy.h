/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The policy as its users see it: load the directories into compiled rules, ask for a decision,
 * answer a prompt, learn that a file changed. A policy that does not load refuses every call.
 *
 *	struct qube__policy_rules *rules;	qube__policy_load(&rules, &dirs);
 *	struct qube__policy_result res;		qube__policy_evaluate(&res, rules, &system,
 *&request); if (res.verdict == QUBE__POLICY_ASK)	qube__policy_answer(&res, &system,
 *"allow:work"); qube__policy_result_fini(&res);
 *
 * Only qube__policy_load(), the watch and system_json.c touch files or set the error record. */
#ifndef QUBE_POLICY_POLICY_H
#define QUBE_POLICY_POLICY_H

#include "policy/system.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	QUBE__POLICY_FILE_MAX = 1 << 20,   /* bytes of one file */
	QUBE__POLICY_BYTES_MAX = 64 << 20, /* of all files */
	QUBE__POLICY_FILES_MAX = 4096,
	QUBE__POLICY_LINE_MAX = 8192,
	QUBE__POLICY_DEPTH_MAX = 8, /* files that include each other */
	QUBE__POLICY_RULES_MAX = 200000,
	QUBE__POLICY_TOKEN_MAX = 191, /* a qube designator */
	QUBE__POLICY_SERVICE_MAX = 255,
	QUBE__POLICY_ARGUMENT_MAX = 65000,
	QUBE__POLICY_NEAR_MAX = 32, /* rules that an explanation lists */
};

/* --- load --- */

struct qube__policy_rules; /* immutable once loaded; reference counted, one thread */

struct qube__policy_dirs {
	const char *etc_dir;	/* /etc/qubes/policy.d */
	const char *run_dir;	/* /run/qubes/policy.d; shadows files of the same name in etc_dir */
	const char *legacy_dir; /* /etc/qubes-rpc/policy, only for !compat-4.0 */
};

enum qube__policy_state {
	QUBE__POLICY_USABLE = 0,
	QUBE__POLICY_BAD_SYNTAX = 1, /* refuses with an error, without notification */
	QUBE__POLICY_BAD_CONFIG = 2, /* bad directory or file name; refuses with notification */
};

/* Always gives rules, unusable ones if the files are bad; only QUBE_E_NOMEM fails. */
int qube__policy_load(struct qube__policy_rules **out, const struct qube__policy_dirs *dirs);
/* Rules from one text instead of directories; includes resolve against dir (NULL: are errors). */
int qube__policy_load_text(struct qube__policy_rules **out, const char *file, const char *dir,
			   const void *text, size_t len);
struct qube__policy_rules *qube__policy_rules_ref(struct qube__policy_rules *r);
void qube__policy_rules_unref(struct qube__policy_rules *r); /* NULL is fine */

enum qube__policy_state qube__policy_rules_state(const struct qube__policy_rules *r);
size_t qube__policy_rules_count(const struct qube__policy_rules *r);
/* What is wrong with unusable rules, borrowed from r. file may be NULL, line 0 if not a line's. */
const char *qube__policy_rules_error(const struct qube__policy_rules *r, const char **file,
				     uint32_t *line);

/* --- decide --- */

enum qube__policy_verdict {
	QUBE__POLICY_ALLOW = 1,
	QUBE__POLICY_ASK = 2,
	QUBE__POLICY_DENY = 3,
	QUBE__POLICY_ERROR = 4, /* the policy does not load: a refusal too */
};

enum qube__policy_cause {
	QUBE__POLICY_CAUSE_NONE = 0, /* allow, ask */
	QUBE__POLICY_CAUSE_RULE = 1,
	QUBE__POLICY_CAUSE_NO_MATCH = 2,
	QUBE__POLICY_CAUSE_NO_TARGET = 3,
	QUBE__POLICY_CAUSE_NO_DISPVM = 4,
	QUBE__POLICY_CAUSE_BAD_DISPVM = 5,
	QUBE__POLICY_CAUSE_BAD_TARGET = 6,
	QUBE__POLICY_CAUSE_AUTOSTART = 7,
	QUBE__POLICY_CAUSE_LOOPBACK = 8,
	QUBE__POLICY_CAUSE_NO_ASK_TARGETS = 9,
	QUBE__POLICY_CAUSE_USER = 10,
	QUBE__POLICY_CAUSE_NOT_OFFERED = 11,
	QUBE__POLICY_CAUSE_RELAY = 12,
	QUBE__POLICY_CAUSE_CONFIG = 13,
	QUBE__POLICY_CAUSE_SYNTAX = 14,
	QUBE__POLICY_CAUSE_BAD_REQUEST = 15, /* a byte that no field of a request may hold */
};
/* "no-match"; "" for QUBE__POLICY_CAUSE_NONE. */
const char *qube__policy_cause_name(enum qube__policy_cause cause);
/* One sentence for people. */
const char *qube__policy_cause_text(enum qube__policy_cause cause);

/* All borrowed for the call. Unchecked: whatever is not printable ASCII is refused. */
struct qube__policy_request {
	const char *source;	      /* the calling qube, already known to be who it is */
	const char *target;	      /* "" or NULL: @default */
	const char *service;	      /* without argument, or "name+arg" with argument NULL */
	const char *argument;	      /* with its '+'; NULL: "+" or what service holds */
	const char *requested_source; /* relayed call; "" or NULL: none */
};

/* A designator after its prefix is known: "@dispvm:uuid:..." is the longest that is kept. */
enum { QUBE__POLICY_SPELLING = QUBE__POLICY_NAME_MAX + 16 };

struct qube__policy_result {
	enum qube__policy_verdict verdict;
	enum qube__policy_cause cause;
	bool notify;
	bool autostart;
	const char *user;			      /* "DEFAULT" or the rule's; allow and ask */
	char target[QUBE__POLICY_SPELLING];	      /* allow */
	char target_uuid[QUBE__POLICY_SPELLING];      /* allow; "" for dom0 */
	char requested_target[QUBE__POLICY_SPELLING]; /* after normalisation; "" if refused there */
	char policy_source[QUBE__POLICY_SPELLING];    /* allow of a relayed call, else "" */
	char *service;	/* allow for a RemoteVM: "TRANSPORT+REMOTE+SERVICE+ARG" */
	char **targets; /* ask: sorted, n_targets of them */
	size_t n_targets;
	char default_target[QUBE__POLICY_SPELLING]; /* ask; "" if none */
	char guivm[QUBE__POLICY_SPELLING];	  /* ask: where to prompt; "" means answer "deny" */
	char notify_guivm[QUBE__POLICY_SPELLING]; /* with notify: whom; "" if nobody */
	const char *file;			  /* of the rule or of the error; NULL if none */
	uint32_t line;				  /* from 1; 0 if none */
	const char *text; /* error, config: what is wrong with the policy, else NULL */
	/* What an answer needs; private. */
	struct qube__policy_rules *rules;
	uint32_t rule;
	char *call; /* "SERVICE+ARG" */
	char source[QUBE__POLICY_SPELLING];
	char caller[QUBE__POLICY_SPELLING];
};

/* Fills *out (uninitialised before) with a decision that stays valid, its strings included, when
 * rules and system change; release it with qube__policy_result_fini(). 0 or QUBE_E_NOMEM. */
int qube__policy_evaluate(struct qube__policy_result *out, struct qube__policy_rules *rules,
			  const struct qube__policy_system *sys,
			  const struct qube__policy_request *req);
/* The prompt's answer, "allow:TARGET" or "deny" (anything else is a refusal), turns an ASK into an
 * ALLOW or a DENY. 0, QUBE_E_NOMEM (res is a DENY then), QUBE_E_STATE if res is not an ASK. */
int qube__policy_answer(struct qube__policy_result *res, const struct qube__policy_system *sys,
			const char *untrusted_answer);
void qube__policy_result_fini(struct qube__policy_result *res); /* twice is fine */

/* --- explain --- */

enum qube__policy_column {
	QUBE__POLICY_COLUMN_NONE = 0,
	QUBE__POLICY_COLUMN_SERVICE = 1,
	QUBE__POLICY_COLUMN_ARGUMENT = 2,
	QUBE__POLICY_COLUMN_SOURCE = 3,
	QUBE__POLICY_COLUMN_TARGET = 4,
};

/* A rule about this service that was passed over. Borrowed from the rules. */
struct qube__policy_near {
	const char *file;
	uint32_t line;
	enum qube__policy_column column; /* the first that did not match */
	const char *service;
	const char *argument;
	const char *source;
	const char *target;
	const char *action;
};

/* One rule, in the order in which they are looked at. QUBE_E_NOENT: there is none, or the rules are
 * unusable. */
int qube__policy_rules_get(struct qube__policy_near *out, const struct qube__policy_rules *rules,
			   size_t index);

struct qube__policy_explanation {
	struct qube__policy_near near[QUBE__POLICY_NEAR_MAX];
	size_t n_near;
	size_t omitted; /* further ones */
};

/* The rules in front of the deciding one (all, if none decides) that are about the service. */
void qube__policy_explain(struct qube__policy_explanation *out,
			  const struct qube__policy_rules *rules,
			  const struct qube__policy_system *sys,
			  const struct qube__policy_request *req);

/* --- watch --- */

struct qube__policy_watch {
	int fd;	      /* readable when something may have changed; -1: not watching */
	bool changed; /* load again at the next call */
};

/* Watches the directories and every folder that rules (may be NULL) included a file from. Sets the
 * record. A directory that is missing is watched for by its parent. */
int qube__policy_watch_init(struct qube__policy_watch *w, const struct qube__policy_dirs *dirs,
			    const struct qube__policy_rules *rules);
/* Loads, watches and loads again, so that no change falls between. *w is replaced on success; start
 * with { .fd = -1 }. */
int qube__policy_load_watched(struct qube__policy_rules **out, struct qube__policy_watch *w,
			      const struct qube__policy_dirs *dirs);
void qube__policy_watch_fini(struct qube__policy_watch *w);
/* Reads what the fd has, never blocks; true once something changed. */
bool qube__policy_watch_check(struct qube__policy_watch *w);

#endif
