/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file policy.h
 * The qrexec policy: load it, ask it for decisions, have them explained. Needs no context.
 */
#ifndef QUBE_POLICY_H
#define QUBE_POLICY_H

#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Flags of qube_policy_open(). */
enum {
	QUBE_POLICY_WATCH = 1 /**< load again at the next call after a file changed */
};

/** What a decision says; values never change. */
enum {
	QUBE_POLICY_ALLOW = 1, /**< the call may go on */
	QUBE_POLICY_ASK = 2,   /**< somebody has to be asked: qube_policy_answer() */
	QUBE_POLICY_DENY = 3,  /**< refused */
	QUBE_POLICY_ERROR = 4  /**< refused, because the policy does not load */
};

/** Columns of a rule; values never change. */
enum {
	QUBE_POLICY_COLUMN_NONE = 0,	 /**< all columns match */
	QUBE_POLICY_COLUMN_SERVICE = 1,	 /**< another service */
	QUBE_POLICY_COLUMN_ARGUMENT = 2, /**< another argument */
	QUBE_POLICY_COLUMN_SOURCE = 3,	 /**< another calling qube */
	QUBE_POLICY_COLUMN_TARGET = 4	 /**< another target */
};

/** Where the policy is. */
struct qube_policy_opts {
	uint32_t size;	     /**< sizeof(struct qube_policy_opts) */
	uint32_t flags;	     /**< QUBE_POLICY_WATCH or 0 */
	const char *etc_dir; /**< NULL: /etc/qubes/policy.d */
	const char *run_dir; /**< NULL: /run/qubes/policy.d; hides files of that name in etc_dir */
	const char *legacy_dir; /**< NULL: /etc/qubes-rpc/policy; only for !compat-4.0 */
};

/** A call to decide about. */
struct qube_policy_request {
	uint32_t size;		      /**< sizeof(struct qube_policy_request) */
	uint32_t flags;		      /**< must be 0 */
	const char *source;	      /**< the calling qube */
	const char *target;	      /**< as the caller spelled it; NULL or "": none */
	const char *service;	      /**< name; with "+ARGUMENT" if argument is NULL */
	const char *argument;	      /**< with its '+'; NULL: what service says, or "+" */
	const char *requested_source; /**< a relay speaks for this one; NULL or "": nobody */
};

/**
 * A decision. Filled by the library; all strings are borrowed from the policy until its next
 * evaluate, explain, answer or last unref. A string that does not apply is "" (text and file:
 * NULL).
 */
struct qube_policy_result {
	uint32_t size;	    /**< sizeof(struct qube_policy_result), set by the caller */
	uint32_t result;    /**< QUBE_POLICY_ALLOW, _ASK, _DENY or _ERROR */
	uint32_t notify;    /**< 1: tell notify_guivm */
	uint32_t autostart; /**< 1: the target may be started for it */
	const char *cause; /**< "rule", "no-match", "no-target", "no-dispvm", "bad-dispvm-template",
			     "bad-target-token", "autostart", "loopback", "no-ask-targets", "user",
			     "answer-not-offered", "relay", "config", "policy-error",
			     "bad-request"; "" for allow and ask */
	const char *explanation;      /**< the cause in one sentence; "" for allow and ask */
	const char *user;	      /**< allow, ask: "DEFAULT" or a name */
	const char *target;	      /**< allow: whom to call */
	const char *target_uuid;      /**< allow: the same by uuid; "" for dom0 */
	const char *requested_target; /**< the target that was asked for, normalised */
	const char *service;	      /**< allow for a RemoteVM: call this instead */
	const char *policy_source;    /**< allow of a relayed call: the source to show */
	const char *default_target;   /**< ask: what to select at first */
	const char *guivm;	  /**< ask: where to ask; "": nobody can be asked, answer "deny" */
	const char *notify_guivm; /**< whom to notify; "": nobody */
	const char *file;	  /**< file of the deciding rule, or of the error */
	const char *text;	  /**< error: what is wrong with the policy */
	const char *const *targets; /**< ask: sorted names, n_targets of them */
	uint32_t n_targets;	    /**< how many targets */
	uint32_t line;		    /**< line in file, from 1; 0: none */
};

/** A rule that was passed over, and why. Filled by the library; strings as in a result. */
struct qube_policy_near {
	uint32_t size;	      /**< sizeof(struct qube_policy_near), set by the caller */
	uint32_t column;      /**< QUBE_POLICY_COLUMN_*: the first column that did not match */
	const char *file;     /**< where the rule is */
	const char *service;  /**< its columns */
	const char *argument; /**< its columns */
	const char *source;   /**< its columns */
	const char *target;   /**< its columns */
	const char *action;   /**< "allow", "ask" or "deny" */
	uint32_t line;	      /**< its line, from 1 */
	uint32_t reserved0;   /**< 0 */
};

/**
 * Load a policy.
 *
 * Files with errors make a policy that refuses every call; qube_policy_check() says what is wrong.
 *
 * @param[out] out   the policy; untouched on failure. Owned: qube_policy_unref().
 * @param[in]  opts  borrowed for the call; NULL means all defaults
 * @return 0, or
 * @retval QUBE_E_INVALID  out is NULL, unknown flag bit, or opts->size too small
 * @retval QUBE_E_NOTSUP   opts uses a field this library does not know
 * @retval QUBE_E_SYSTEM   the files cannot be watched
 * @retval QUBE_E_NOMEM    out of memory
 * @par Thread  Any. The policy then belongs to one thread at a time.
 * @par Since   0.1
 */
QUBE_API int qube_policy_open(qube_policy **out, const struct qube_policy_opts *opts);

/**
 * Take another reference.
 *
 * @param[in] policy  the policy
 * @return policy
 * @par Thread  The policy's.
 * @par Since   0.1
 */
QUBE_API qube_policy *qube_policy_ref(qube_policy *policy);

/**
 * Release a reference.
 *
 * @param[in] policy  the policy, or NULL
 * @par Thread  The policy's.
 * @par Since   0.1
 */
QUBE_API void qube_policy_unref(qube_policy *policy);

/**
 * A descriptor that becomes readable when a file changed.
 *
 * Polling it is not needed: the calls below look at it themselves.
 *
 * @param[in] policy  the policy
 * @return the descriptor, borrowed; -1 without QUBE_POLICY_WATCH. The next call that loads the
 *         policy again may change it.
 * @par Thread  The policy's.
 * @par Since   0.1
 */
QUBE_API int qube_policy_get_fd(qube_policy *policy);

/**
 * Load the files again.
 *
 * @param[in] policy  the policy
 * @return 0, also for files with errors (see qube_policy_check()), or
 * @retval QUBE_E_SYSTEM  the files cannot be watched
 * @retval QUBE_E_NOMEM   out of memory; the policy is as before
 * @par Thread  The policy's.
 * @par Since   0.1
 */
QUBE_API int qube_policy_reload(qube_policy *policy);

/**
 * Whether the policy is usable.
 *
 * @param[in] policy  the policy
 * @return how many rules it has, or
 * @retval QUBE_E_INVALID  a file is wrong; the error names rule_file and rule_line
 * @retval QUBE_E_STATE    a directory or the name of a file is wrong
 * @par Thread  The policy's.
 * @par Since   0.1
 */
QUBE_API int qube_policy_check(qube_policy *policy);

/**
 * Tell the policy what qubes there are; without it, it knows none.
 *
 * @param[in] policy  the policy
 * @param[in] text    JSON: {"domains": {NAME: {"type": ..., "tags": [...], ...}}}, as
 *                    qube_ctx_system_info_fetch() gives it; borrowed for the call
 * @param[in] len     its bytes
 * @return 0, or
 * @retval QUBE_E_PROTO  not such a JSON; what the policy knew before is kept
 * @retval QUBE_E_LIMIT  too large, or too many qubes
 * @retval QUBE_E_NOMEM  out of memory
 * @par Thread  The policy's.
 * @par Since   0.1
 */
QUBE_API int qube_policy_load_system_json(qube_policy *policy, const char *text, size_t len);

/**
 * Decide about a call.
 *
 * @param[in,out] out     size set by the caller; the library writes no more than that
 * @param[in]     policy  the policy
 * @param[in]     req     borrowed for the call
 * @return 0 for every decision, refusals too, or
 * @retval QUBE_E_INVALID  an argument is NULL or a size is wrong
 * @retval QUBE_E_NOTSUP   req uses a field this library does not know
 * @retval QUBE_E_NOMEM    out of memory: treat as a refusal
 * @par Thread  The policy's.
 * @par Since   0.1
 */
QUBE_API int qube_policy_evaluate(struct qube_policy_result *out, qube_policy *policy,
				  const struct qube_policy_request *req);

/**
 * Answer the prompt of the last decision.
 *
 * @param[in,out] out     size set by the caller; the decision after the answer
 * @param[in]     policy  its last decision must be QUBE_POLICY_ASK
 * @param[in]     answer  "allow:TARGET" or "deny"; anything else refuses
 * @return 0, or
 * @retval QUBE_E_INVALID  an argument is NULL or a size is wrong
 * @retval QUBE_E_STATE    nothing was asked
 * @retval QUBE_E_NOMEM    out of memory: treat as a refusal
 * @par Thread  The policy's.
 * @par Since   0.1
 */
QUBE_API int qube_policy_answer(struct qube_policy_result *out, qube_policy *policy,
				const char *answer);

/**
 * Decide about a call and find out which rules were passed over on the way.
 *
 * @param[in,out] out     size set by the caller; the decision
 * @param[in]     policy  the policy
 * @param[in]     req     borrowed for the call
 * @return how many rules qube_policy_near_get() gives, at most 32, or
 * @retval QUBE_E_INVALID  an argument is NULL or a size is wrong
 * @retval QUBE_E_NOTSUP   req uses a field this library does not know
 * @retval QUBE_E_NOMEM    out of memory
 * @par Thread  The policy's.
 * @par Since   0.1
 */
QUBE_API int qube_policy_explain(struct qube_policy_result *out, qube_policy *policy,
				 const struct qube_policy_request *req);

/**
 * One of the rules that the last qube_policy_explain() found.
 *
 * @param[in,out] out     size set by the caller
 * @param[in]     policy  the policy
 * @param[in]     index   from 0, in the order of the policy
 * @return 0, or
 * @retval QUBE_E_INVALID  an argument is NULL or a size is wrong
 * @retval QUBE_E_NOENT    no such index
 * @par Thread  The policy's.
 * @par Since   0.1
 */
QUBE_API int qube_policy_near_get(struct qube_policy_near *out, qube_policy *policy,
				  uint32_t index);

/**
 * One of the policy's rules.
 *
 * @param[in,out] out     size set by the caller; column is QUBE_POLICY_COLUMN_NONE. Its strings are
 *                        borrowed until the policy is loaded again or released.
 * @param[in]     policy  the policy
 * @param[in]     index   from 0, in the order in which rules are looked at
 * @return 0, or
 * @retval QUBE_E_INVALID  an argument is NULL or a size is wrong
 * @retval QUBE_E_NOENT    no such index
 * @par Thread  The policy's.
 * @par Since   0.1
 */
QUBE_API int qube_policy_rule_get(struct qube_policy_near *out, qube_policy *policy,
				  uint32_t index);

/**
 * The name of one of the qubes that the policy was told of.
 *
 * @param[out] out     the name, borrowed until the next qube_policy_load_system_json()
 * @param[in]  policy  the policy
 * @param[in]  index   from 0, in no order that means something
 * @return 0, or
 * @retval QUBE_E_INVALID  an argument is NULL
 * @retval QUBE_E_NOENT    no such index
 * @par Thread  The policy's.
 * @par Since   0.1
 */
QUBE_API int qube_policy_qube_get(const char **out, qube_policy *policy, uint32_t index);

/**
 * The last decision, and the rules that an explain found, as one JSON object on one line.
 *
 * @param[out] out     the text. Owned: qube_free().
 * @param[in]  policy  the policy
 * @return 0, or
 * @retval QUBE_E_INVALID  an argument is NULL
 * @retval QUBE_E_STATE    nothing was decided yet
 * @retval QUBE_E_NOMEM    out of memory
 * @par Thread  The policy's.
 * @par Since   0.1
 */
QUBE_API int qube_policy_result_json(char **out, qube_policy *policy);

#ifdef __cplusplus
}
#endif

#endif
