/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file domain.h
 * Qubes: their life, properties, tags and features.
 */
#ifndef QUBE_DOMAIN_H
#define QUBE_DOMAIN_H

#include <qube/error.h>
#include <qube/op.h>
#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Classes of qubes. */
enum {
	QUBE_CLASS_ADMIN = 1,	   /**< AdminVM: the host, "dom0" */
	QUBE_CLASS_TEMPLATE = 2,   /**< TemplateVM: its root is shared by others */
	QUBE_CLASS_APP = 3,	   /**< AppVM: a template's root, a private volume of its own */
	QUBE_CLASS_STANDALONE = 4, /**< StandaloneVM: a root of its own */
	QUBE_CLASS_DISP = 5,	   /**< DispVM: thrown away */
	QUBE_CLASS_REMOTE = 6	   /**< RemoteVM: elsewhere, behind a relay */
};

/** States of a qube. */
enum {
	QUBE_STATE_HALTED = 1,	  /**< not running */
	QUBE_STATE_TRANSIENT = 2, /**< starting */
	QUBE_STATE_RUNNING = 3,	  /**< its agent said hello */
	QUBE_STATE_PAUSED = 4,	  /**< frozen */
	QUBE_STATE_SUSPENDED = 5, /**< asleep */
	QUBE_STATE_HALTING = 6,	  /**< asked to stop */
	QUBE_STATE_DYING = 7,	  /**< being taken down */
	QUBE_STATE_CRASHED = 8	  /**< ended by itself, badly */
};

/** Flags of qube_domain_create(). */
enum {
	QUBE_DOMAIN_CREATE_DISPOSABLE = 1, /**< unnamed DispVM that is removed when it stops */
	QUBE_DOMAIN_CREATE_BOUND = 2 /**< with DISPOSABLE: it ends with the context that makes it,
					also when that dies or loses its connection */
};

/** Options of qube_domain_create(). */
struct qube_domain_create_opts {
	uint32_t size;		   /**< sizeof(struct qube_domain_create_opts) */
	uint32_t flags;		   /**< QUBE_DOMAIN_CREATE_* */
	const char *name;	   /**< must be NULL with QUBE_DOMAIN_CREATE_DISPOSABLE */
	const char *klass;	   /**< "AppVM", ...; NULL: AppVM, or DispVM for a disposable */
	const char *template_name; /**< NULL: the default template or disposable template; of a
				      StandaloneVM: whose root it begins with, NULL: an empty one */
	const char *label;	   /**< NULL: "red", or the template's for a disposable */
	const char *pool;	   /**< NULL: the default pool */
};

/** Flags of qube_domain_start_with(). */
enum {
	QUBE_DOMAIN_START_DISCARD = 1 /**< what is written to its root is thrown away at its end,
					 also if it is killed or the host crashes, unless
					 QUBE_DOMAIN_SHUTDOWN_KEEP ends it */
};

/** Options of qube_domain_start_with(). */
struct qube_domain_start_opts {
	uint32_t size;	/**< sizeof(struct qube_domain_start_opts) */
	uint32_t flags; /**< QUBE_DOMAIN_START_* */
};

/** Flags of qube_domain_shutdown(). */
enum {
	QUBE_DOMAIN_SHUTDOWN_FORCE = 1,	  /**< even if paused or serving others */
	QUBE_DOMAIN_SHUTDOWN_OR_KILL = 2, /**< kill it when the time is up */
	QUBE_DOMAIN_SHUTDOWN_KEEP = 4	  /**< what was written to its root is kept after all */
};

/** Options of qube_domain_shutdown(). */
struct qube_domain_shutdown_opts {
	uint32_t size;	    /**< sizeof(struct qube_domain_shutdown_opts) */
	uint32_t flags;	    /**< QUBE_DOMAIN_SHUTDOWN_* */
	int32_t timeout_ms; /**< 0: the qube's shutdown_timeout; -1: for ever */
	uint32_t reserved0; /**< must be 0 */
};

/** Flags of qube_domain_property_fetch(). */
enum {
	QUBE_PROPERTY_IS_DEFAULT = 1 /**< nobody set it */
};

/** Types of properties. */
enum {
	QUBE_PROPERTY_STR = 1,	/**< text */
	QUBE_PROPERTY_INT = 2,	/**< decimal number */
	QUBE_PROPERTY_BOOL = 3, /**< "True" or "False" */
	QUBE_PROPERTY_VM = 4,	/**< name of a qube, "" for none */
	QUBE_PROPERTY_LABEL = 5 /**< name of a label */
};

/** One property. Filled by the library. */
struct qube_property {
	uint32_t size;	    /**< sizeof(struct qube_property), set by the caller */
	uint32_t flags;	    /**< QUBE_PROPERTY_IS_DEFAULT */
	uint32_t type;	    /**< QUBE_PROPERTY_STR, ... */
	uint32_t reserved0; /**< 0 */
	char *value;	    /**< owned: qube_free() */
};

/**
 * Create a qube. Takes no time that depends on its template's size, and starts nothing.
 *
 * @param[out] out   the new qube; untouched on failure. Owned: qube_domain_unref().
 * @param[in]  ctx   the context
 * @param[in]  opts  borrowed for the call
 * @return 0, or
 * @retval QUBE_E_INVALID  bad name, class, label or combination
 * @retval QUBE_E_EXISTS   the name is taken
 * @retval QUBE_E_NOENT    no such template, label or pool
 * @retval QUBE_E_LIMIT    no free qube id, or no space
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_create(qube_domain **out, qube_ctx *ctx,
				const struct qube_domain_create_opts *opts);

/**
 * Find a qube by name or "uuid:UUID".
 *
 * @param[out] out   the qube; untouched on failure. Owned: qube_domain_unref().
 * @param[in]  ctx   the context
 * @param[in]  name  its name
 * @return 0, or
 * @retval QUBE_E_NOENT  no such qube
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_open(qube_domain **out, qube_ctx *ctx, const char *name);

/**
 * All qubes: the host first, then by name.
 *
 * @param[out] out    owned list: qube_domain_list_free()
 * @param[out] count  how many
 * @param[in]  ctx    the context
 * @return 0, or
 * @retval QUBE_E_NOMEM   out of memory
 * @retval QUBE_E_CLOSED  connected: the host is gone
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_list(qube_domain ***out, size_t *count, qube_ctx *ctx);

/**
 * Release a list and the references in it.
 *
 * @param[in] list   from qube_domain_list(), or NULL
 * @param[in] count  its length
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API void qube_domain_list_free(qube_domain **list, size_t count);

/**
 * Take another reference.
 *
 * @param[in] d  the qube
 * @return d
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API qube_domain *qube_domain_ref(qube_domain *d);

/**
 * Release a reference. The qube itself stays.
 *
 * @param[in] d  the qube, or NULL
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API void qube_domain_unref(qube_domain *d);

/**
 * Its name.
 *
 * @param[in] d  the qube
 * @return borrowed from d
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API const char *qube_domain_get_name(qube_domain *d);

/**
 * Its uuid, 36 characters.
 *
 * @param[in] d  the qube
 * @return borrowed from d
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API const char *qube_domain_get_uuid(qube_domain *d);

/**
 * Its class.
 *
 * @param[in] d  the qube
 * @return QUBE_CLASS_*
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API uint32_t qube_domain_get_class(qube_domain *d);

/**
 * The state it is in. Of a removed qube: QUBE_STATE_HALTED.
 *
 * @param[in] d  the qube
 * @return QUBE_STATE_*
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API uint32_t qube_domain_get_state(qube_domain *d);

/**
 * Its label: the name of a colour.
 *
 * @param[in] d  the qube
 * @return borrowed until the next call with d
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API const char *qube_domain_get_label(qube_domain *d);

/**
 * The qube whose root it shares.
 *
 * @param[in] d  the qube
 * @return borrowed until the next call with d; "" if it has none
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API const char *qube_domain_get_template(qube_domain *d);

/**
 * The name of a class: "AppVM".
 *
 * @param[in] klass  QUBE_CLASS_*
 * @return static storage; "unknown" for an unknown value
 * @par Thread  Any.
 * @par Since   0.1
 */
QUBE_API const char *qube_class_name(uint32_t klass);

/**
 * The name of a state: "Running".
 *
 * @param[in] state  QUBE_STATE_*
 * @return static storage; "NA" for an unknown value
 * @par Thread  Any.
 * @par Since   0.1
 */
QUBE_API const char *qube_state_name(uint32_t state);

/**
 * Start it; done when its agent answers. Starting a running qube succeeds at once.
 *
 * @param[in]  d   the qube
 * @param[out] op  NULL: block; else the operation. Owned: qube_op_unref().
 * @return 0, or
 * @retval QUBE_E_STATE    it is stopping, or cannot be started
 * @retval QUBE_E_NOTSUP   this machine cannot
 * @retval QUBE_E_TIMEOUT  its agent did not answer in qrexec_timeout seconds
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_start(qube_domain *d, qube_op **op);

/**
 * The same with options.
 *
 * @param[in]  d     the qube
 * @param[in]  opts  NULL: as qube_domain_start()
 * @param[out] op    NULL: block; else the operation. Owned: qube_op_unref().
 * @return 0, or what qube_domain_start() returns, and with QUBE_DOMAIN_START_DISCARD
 * @retval QUBE_E_INVALID  its root is not kept anyway: it is no TemplateVM or StandaloneVM
 * @retval QUBE_E_STATE    it runs, or an earlier run's writes were not saved yet
 * @retval QUBE_E_NOTSUP   connected: the host cannot
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_start_with(qube_domain *d, const struct qube_domain_start_opts *opts,
				    qube_op **op);

/**
 * Ask it to stop; done when it is gone and its volumes are settled.
 *
 * @param[in]  d     the qube
 * @param[in]  opts  NULL: defaults
 * @param[out] op    NULL: block; else the operation. Owned: qube_op_unref().
 * @return 0, or
 * @retval QUBE_E_STATE    it is not running
 * @retval QUBE_E_TIMEOUT  it did not stop in time and still runs
 * @retval QUBE_E_LIMIT    it stopped, and what it wrote was not saved, as the disk is full: a
 * template or standalone goes on with it at its next start, unless this session began with
 *                         QUBE_DOMAIN_START_DISCARD
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_shutdown(qube_domain *d, const struct qube_domain_shutdown_opts *opts,
				  qube_op **op);

/**
 * Stop it without asking; done when it is gone.
 *
 * @param[in]  d   the qube
 * @param[out] op  NULL: block; else the operation. Owned: qube_op_unref().
 * @return 0, or
 * @retval QUBE_E_STATE  it is not running
 * @retval QUBE_E_LIMIT  as qube_domain_shutdown()
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_kill(qube_domain *d, qube_op **op);

/**
 * Freeze it.
 *
 * @param[in] d  the qube
 * @return 0, or
 * @retval QUBE_E_STATE   it is not running
 * @retval QUBE_E_NOTSUP  this machine cannot
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_pause(qube_domain *d);

/**
 * Let a frozen qube go on.
 *
 * @param[in] d  the qube
 * @return 0, or
 * @retval QUBE_E_STATE  it is not paused
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_unpause(qube_domain *d);

/**
 * Wait until it is in a state.
 *
 * @param[in]  d      the qube
 * @param[in]  state  QUBE_STATE_*
 * @param[out] op     NULL: block; else the operation. Owned: qube_op_unref().
 * @return 0, or
 * @retval QUBE_E_NOENT  it was removed meanwhile
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_wait(qube_domain *d, uint32_t state, qube_op **op);

/**
 * Remove it and its volumes for good. The handle stays valid until it is released.
 *
 * @param[in] d  the qube
 * @return 0, or
 * @retval QUBE_E_STATE  it is running
 * @retval QUBE_E_BUSY   another qube or a default refers to it; the message names it
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_destroy(qube_domain *d);

/**
 * Make another qube with the same settings and a copy of its volumes.
 *
 * @param[in]  d     the qube, halted
 * @param[in]  name  of the new one
 * @param[out] op    NULL: block; else the operation. Owned: qube_op_unref().
 * @return 0, or
 * @retval QUBE_E_STATE   it is running
 * @retval QUBE_E_EXISTS  the name is taken
 * @retval QUBE_E_LIMIT   no space
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_clone(qube_domain *d, const char *name, qube_op **op);

/**
 * One property's value.
 *
 * @param[in,out] out   size set by the caller; untouched on failure
 * @param[in]     d     the qube
 * @param[in]     name  of the property
 * @return 0, or
 * @retval QUBE_E_NOENT  no such property, or it has no value
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_property_fetch(struct qube_property *out, qube_domain *d,
					const char *name);

/**
 * Set a property.
 *
 * @param[in] d      the qube
 * @param[in] name   of the property
 * @param[in] value  its text; "" is none for a property that names a qube
 * @return 0, or
 * @retval QUBE_E_NOENT    no such property, or the value names nothing
 * @retval QUBE_E_INVALID  a value that is not allowed, or a property that cannot be set
 * @retval QUBE_E_STATE    only while it is halted
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_property_set(qube_domain *d, const char *name, const char *value);

/**
 * Give a property its default again.
 *
 * @param[in] d     the qube
 * @param[in] name  of the property
 * @return 0, or
 * @retval QUBE_E_NOENT    no such property
 * @retval QUBE_E_INVALID  it has no default to go back to
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_property_reset(qube_domain *d, const char *name);

/**
 * The names of its properties.
 *
 * @param[out] out  NULL-terminated. Owned: qube_strings_free().
 * @param[in]  d    the qube
 * @return 0, or
 * @retval QUBE_E_NOMEM  out of memory
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_property_list(char ***out, qube_domain *d);

/**
 * Its tags, sorted.
 *
 * @param[out] out  NULL-terminated. Owned: qube_strings_free().
 * @param[in]  d    the qube
 * @return 0, or
 * @retval QUBE_E_NOMEM  out of memory
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_tag_list(char ***out, qube_domain *d);

/**
 * Add a tag; one that is there already is no error.
 *
 * @param[in] d    the qube
 * @param[in] tag  letters, digits, '_' and '-'
 * @return 0, or
 * @retval QUBE_E_INVALID  bad characters
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_tag_add(qube_domain *d, const char *tag);

/**
 * Remove a tag.
 *
 * @param[in] d    the qube
 * @param[in] tag  the tag
 * @return 0, or
 * @retval QUBE_E_NOENT  it has no such tag
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_tag_remove(qube_domain *d, const char *tag);

/**
 * The names of its features.
 *
 * @param[out] out  NULL-terminated. Owned: qube_strings_free().
 * @param[in]  d    the qube
 * @return 0, or
 * @retval QUBE_E_NOMEM  out of memory
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_feature_list(char ***out, qube_domain *d);

/**
 * A feature's value.
 *
 * @param[out] out   owned: qube_free(); untouched on failure
 * @param[in]  d     the qube
 * @param[in]  name  of the feature
 * @return 0, or
 * @retval QUBE_E_NOENT  not set
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_feature_fetch(char **out, qube_domain *d, const char *name);

/**
 * Set a feature.
 *
 * @param[in] d      the qube
 * @param[in] name   of the feature
 * @param[in] value  printable ASCII; "" is false, all else true
 * @return 0, or
 * @retval QUBE_E_INVALID  bad characters
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_feature_set(qube_domain *d, const char *name, const char *value);

/**
 * Remove a feature.
 *
 * @param[in] d     the qube
 * @param[in] name  of the feature
 * @return 0, or
 * @retval QUBE_E_NOENT  not set
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_feature_remove(qube_domain *d, const char *name);

/**
 * What its agent and its init told while it ran, the last part of it, harmless to print. What its
 * services write goes to their callers.
 *
 * @param[out] out  owned: qube_free(); untouched on failure
 * @param[in]  d    the qube
 * @return 0, or
 * @retval QUBE_E_NOMEM  out of memory
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_log_fetch(char **out, qube_domain *d);

/**
 * What it should have and has not on this machine: words of "memory vcpus disk io ephemeral
 * core-sched".
 *
 * @param[in] d  the qube
 * @return borrowed until the next call with d; "" if all is enforced or it does not run
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API const char *qube_domain_get_unenforced(qube_domain *d);

/** Which numbers of struct qube_domain_stats were measured. */
enum {
	QUBE_STATS_MEMORY = 1,		/**< memory_bytes */
	QUBE_STATS_CPU = 2,		/**< cpu_ns */
	QUBE_STATS_PIDS = 4,		/**< pids */
	QUBE_STATS_IO = 8,		/**< read_bytes and write_bytes */
	QUBE_STATS_START = 16,		/**< start_time_ms */
	QUBE_STATS_MEMORY_GUESSED = 32, /**< memory_bytes is what its processes have of their own:
					    the machine does not account memory */
	QUBE_STATS_TARGET = 64		/**< target_bytes */
};

/** What a running qube uses. Filled by the library; what is not in known is 0. */
struct qube_domain_stats {
	uint32_t size;		/**< sizeof(struct qube_domain_stats), set by the caller */
	uint32_t known;		/**< QUBE_STATS_* */
	uint64_t memory_bytes;	/**< in use now */
	uint64_t cpu_ns;	/**< processor time since it started */
	uint64_t pids;		/**< processes now */
	uint64_t read_bytes;	/**< from disks since it started */
	uint64_t write_bytes;	/**< to disks since it started */
	uint64_t start_time_ms; /**< realtime clock, milliseconds since 1970 */
	uint64_t target_bytes;	/**< memory that it may use now: between its properties memory and
				     maxmem, as it and others need it */
};

/**
 * What a running qube uses. For the share of a processor ask twice and divide the difference of
 * cpu_ns by the time between.
 *
 * @param[in,out] out  size set by the caller; the library writes no more than that
 * @param[in]     d    the qube
 * @return 0, or
 * @retval QUBE_E_INVALID  implausible size
 * @retval QUBE_E_STATE    it does not run
 * @retval QUBE_E_NOTSUP   the driver, or the host that we are connected to, does not measure
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_stats_fetch(struct qube_domain_stats *out, qube_domain *d);

/**
 * What people noted about it.
 *
 * @param[out] out  UTF-8, "" if there is nothing; untouched on failure. Owned: qube_free().
 * @param[in]  d    the qube, not the host
 * @return 0, or
 * @retval QUBE_E_INVALID  the host itself has no notes
 * @retval QUBE_E_NOTSUP   connected: the host keeps none
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_notes_fetch(char **out, qube_domain *d);

/**
 * Note something about it. A clone takes it over, a disposable does not.
 *
 * @param[in] d     the qube, not the host
 * @param[in] text  UTF-8, at most 256000 bytes; "" for none. A character that could act on a
 *                  terminal, or hide or reorder text, is replaced by '_'; TAB and LF stay.
 * @return 0, or
 * @retval QUBE_E_INVALID  not UTF-8, or the host itself
 * @retval QUBE_E_LIMIT    too long; connected: longer than a request, about 65000 bytes
 * @retval QUBE_E_NOTSUP   connected: the host keeps none
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_notes_set(qube_domain *d, const char *text);

#ifdef __cplusplus
}
#endif

#endif
