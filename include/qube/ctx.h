/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file ctx.h
 * Contexts: this process as the host of qubes, a connection to a host, or a host in memory.
 */
#ifndef QUBE_CTX_H
#define QUBE_CTX_H

#include <qube/error.h>
#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How a context reaches its qubes. */
enum {
	QUBE_MODE_EMBEDDED = 0,	 /**< this process is the host */
	QUBE_MODE_CONNECTED = 1, /**< a running qubed (or qubesd) is */
	QUBE_MODE_FAKE = 2 /**< in memory, nothing is run: for tests of programs that link us */
};

/** Flags of qube_ctx_open(). */
enum {
	QUBE_CTX_NO_GUESTS = 1, /**< embedded: look at and change the store, start nothing */
	/** Embedded: closing leaves the running qubes, for the next host that opens these folders.
	 */
	QUBE_CTX_KEEP_QUBES = 2,
	/** Embedded: this process' cgroup is for the host alone. If no other process is in it, ours
	    moves to a group "libqube-host" below, so that the kernel lets the qubes beside it have
	    limits. Without it nothing is moved, and what cannot be limited is listed. */
	QUBE_CTX_OWN_CGROUP = 4
};

/** How isolated a qube is; shown wherever qubes are listed. */
enum {
	QUBE_ISOLATION_NONE = 0,	  /**< fake: nothing runs */
	QUBE_ISOLATION_KERNEL_SHARED = 1, /**< namespaces of one Linux kernel */
	QUBE_ISOLATION_HYPERVISOR = 2	  /**< a virtual machine */
};

/** Options of qube_ctx_open(). Zero and NULL always mean the default. */
struct qube_ctx_opts {
	uint32_t size;	       /**< sizeof(struct qube_ctx_opts) */
	uint32_t flags;	       /**< QUBE_CTX_* */
	uint32_t mode;	       /**< QUBE_MODE_* */
	int32_t log_priority;  /**< least urgent syslog priority that is logged; 0: 6 (info) */
	const char *driver;    /**< embedded: "local" (the default) or "xen" */
	const char *state_dir; /**< embedded: "/var/lib/qube"; must be root's alone */
	const char *run_dir;   /**< embedded: "/run/qube" */
	const char
		*policy_root; /**< folder with policy.d, run.d and legacy; default: the system's */
	const char *libexec_dir;    /**< where qube-box, qube-worker and qube-agent are */
	const char *broker_program; /**< program run as PROGRAM --broker; NULL: in this process */
	const char *socket_path;    /**< connected: "/run/qube/qubed.sock" */
	/** Receives one line without newline, harmless to print; runs in any call. May be NULL. */
	void (*log)(void *user, int32_t priority, const char *line);
	void *log_user; /**< handed to log */
	/** Embedded: group for the qubes, from the root of cgroup v2, "/system.slice/x.service": it
	   is there, and nothing else is. NULL: below that of this process. */
	const char *cgroup;
};

/** Static initialiser with the size filled in. */
#define QUBE_CTX_OPTS_INIT                                                                         \
	{                                                                                          \
		(uint32_t)sizeof(struct qube_ctx_opts), 0, 0, 0, NULL, NULL, NULL, NULL, NULL,     \
			NULL, NULL, NULL, NULL, NULL                                               \
	}

/**
 * Open a context.
 *
 * @param[out] out   the new context; untouched on failure. Owned: qube_ctx_unref().
 * @param[in]  opts  borrowed for the call; NULL means all defaults.
 * @return 0, or
 * @retval QUBE_E_INVALID  unknown flag or mode, implausible size, or a state directory that others
 *                         can enter
 * @retval QUBE_E_NOTSUP   this machine or user cannot be a host (the message says why), or opts
 *                         uses a field this library does not know
 * @retval QUBE_E_NOENT    no driver of that name, or nobody listens at socket_path
 * @retval QUBE_E_BUSY     another host uses the state directory
 * @par Thread  Any. The context then belongs to one thread at a time.
 * @par Since   0.1
 */
QUBE_API int qube_ctx_open(qube_ctx **out, const struct qube_ctx_opts *opts);

/**
 * Take another reference.
 *
 * @param[in] ctx  the context
 * @return ctx
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API qube_ctx *qube_ctx_ref(qube_ctx *ctx);

/**
 * Release a reference. The last one closes: an embedded host's running qubes are killed and cleaned
 * up before it returns, unless it was opened with QUBE_CTX_KEEP_QUBES.
 *
 * @param[in] ctx  the context, or NULL
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API void qube_ctx_unref(qube_ctx *ctx);

/**
 * The one descriptor to wait on. It never changes. Readable (level-triggered) means work is due,
 * timers included: call qube_ctx_dispatch(ctx, 0).
 *
 * @param[in] ctx  the context
 * @return the descriptor, borrowed
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_ctx_get_fd(qube_ctx *ctx);

/**
 * Do a bounded round of work. Callbacks run here and nowhere else.
 *
 * @param[in] ctx         the context
 * @param[in] timeout_ms  how long to wait for work: 0 not at all, -1 for ever
 * @return 1 while more work waits, 0 when drained, or
 * @retval QUBE_E_INVALID  called from inside a callback
 * @retval QUBE_E_CLOSED   connected: the host is gone
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_ctx_dispatch(qube_ctx *ctx, int32_t timeout_ms);

/**
 * Make the descriptor readable, so that a waiting dispatch returns.
 *
 * @param[in] ctx  the context
 * @par Thread  Any.
 * @par Since   0.1
 */
QUBE_API void qube_ctx_wakeup(qube_ctx *ctx);

/**
 * How isolated the qubes of this context are.
 *
 * @param[in] ctx  the context
 * @return QUBE_ISOLATION_*
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API uint32_t qube_ctx_get_isolation(qube_ctx *ctx);

/**
 * The name of an isolation level: "kernel-shared".
 *
 * @param[in] isolation  QUBE_ISOLATION_*
 * @return static storage; "unknown" for an unknown value
 * @par Thread  Any.
 * @par Since   0.1
 */
QUBE_API const char *qube_isolation_name(uint32_t isolation);

/**
 * What the policy sees of the system, as JSON (the shape of internal.GetSystemInfo).
 *
 * @param[out] out  the text; untouched on failure. Owned: qube_free().
 * @param[in]  ctx  the context
 * @return 0, or
 * @retval QUBE_E_NOMEM   out of memory
 * @retval QUBE_E_CLOSED  connected: the host is gone
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_ctx_system_info_fetch(char **out, qube_ctx *ctx);

/**
 * Release a list of strings that the library returned as owned.
 *
 * @param[in] list  NULL-terminated list, or NULL
 * @par Thread  Any.
 * @par Since   0.1
 */
QUBE_API void qube_strings_free(char **list);

#ifdef __cplusplus
}
#endif

#endif
