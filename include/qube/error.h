/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file error.h
 * Error codes and the per-thread error record.
 */
#ifndef QUBE_ERROR_H
#define QUBE_ERROR_H

#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Results of calls that can fail; values never change. */
enum {
	QUBE_OK = 0,	      /**< success */
	QUBE_E_SYSTEM = -1,   /**< a system call failed, see qube_error.os_errno */
	QUBE_E_NOMEM = -2,    /**< out of memory */
	QUBE_E_INVALID = -3,  /**< the caller's bug: argument, flag, wrong thread */
	QUBE_E_NOTSUP = -4,   /**< this driver, machine or build cannot */
	QUBE_E_PROTO = -5,    /**< the peer broke the protocol */
	QUBE_E_LIMIT = -6,    /**< a quota or ceiling was reached */
	QUBE_E_DENIED = -7,   /**< policy said no */
	QUBE_E_NOENT = -8,    /**< no such thing */
	QUBE_E_STATE = -9,    /**< not in the current state of the machine */
	QUBE_E_AGAIN = -10,   /**< nothing yet, try later */
	QUBE_E_CLOSED = -11,  /**< the peer is gone */
	QUBE_E_EXISTS = -12,  /**< already there */
	QUBE_E_BUSY = -13,    /**< in use by another qube, call or host */
	QUBE_E_TIMEOUT = -14, /**< a deadline passed */
	QUBE_E_CANCELED = -15 /**< canceled by the caller */
};

/** Sub-codes: one for each exception of the Admin API; values never change. */
enum {
	QUBE_D_NONE = 0,		 /**< no detail */
	QUBE_D_VM_NOT_FOUND = 1,	 /**< QubesVMNotFoundError */
	QUBE_D_VM_IN_USE = 2,		 /**< QubesVMInUseError */
	QUBE_D_VM_NOT_STARTED = 3,	 /**< QubesVMNotStartedError */
	QUBE_D_VM_NOT_RUNNING = 4,	 /**< QubesVMNotRunningError */
	QUBE_D_VM_NOT_PAUSED = 5,	 /**< QubesVMNotPausedError */
	QUBE_D_VM_NOT_HALTED = 6,	 /**< QubesVMNotHaltedError */
	QUBE_D_VM_SHUTDOWN_TIMEOUT = 7,	 /**< QubesVMShutdownTimeoutError */
	QUBE_D_VM_ALREADY_EXISTS = 8,	 /**< QubesVMAlreadyExistsError */
	QUBE_D_VM_ERROR = 9,		 /**< QubesVMError */
	QUBE_D_NO_TEMPLATE = 10,	 /**< QubesNoTemplateError */
	QUBE_D_POOL_IN_USE = 11,	 /**< QubesPoolInUseError */
	QUBE_D_VALUE = 12,		 /**< QubesValueError */
	QUBE_D_PROPERTY_VALUE = 13,	 /**< QubesPropertyValueError */
	QUBE_D_NO_SUCH_PROPERTY = 14,	 /**< QubesNoSuchPropertyError */
	QUBE_D_FEATURE_NOT_FOUND = 15,	 /**< QubesFeatureNotFoundError */
	QUBE_D_TAG_NOT_FOUND = 16,	 /**< QubesTagNotFoundError */
	QUBE_D_LABEL_NOT_FOUND = 17,	 /**< QubesLabelNotFoundError */
	QUBE_D_LABEL_IN_USE = 18,	 /**< QubesLabelInUseError */
	QUBE_D_INVALID_TAG = 19,	 /**< QubesInvalidTagError */
	QUBE_D_STORAGE = 20,		 /**< StoragePoolException */
	QUBE_D_PROTOCOL = 21,		 /**< ProtocolError */
	QUBE_D_PERMISSION = 22,		 /**< PermissionDenied */
	QUBE_D_NOT_IMPLEMENTED = 23,	 /**< QubesNotImplementedError */
	QUBE_D_MEMORY = 24,		 /**< QubesMemoryError */
	QUBE_D_INVALID_UUID = 25,	 /**< QubesVMInvalidUUIDError */
	QUBE_D_INVALID_LABEL = 26,	 /**< QubesInvalidLabelError */
	QUBE_D_INVALID_LABEL_VALUE = 27, /**< QubesInvalidLabelValueError */
	QUBE_D_GENERIC = 28		 /**< QubesException */
};

/** What went wrong. Allocated by the library only, so fields may be appended. */
struct qube_error {
	int32_t code;	       /**< one of QUBE_E_* */
	int32_t os_errno;      /**< errno, 0 if no system call failed */
	const char *where;     /**< public function that failed; static storage */
	const char *message;   /**< one line of English without newline; never NULL */
	const char *rule_file; /**< policy or configuration file that decided, or NULL */
	uint32_t rule_line;    /**< its line, from 1; 0 if none */
	int32_t detail;	       /**< one of QUBE_D_* */
};

/**
 * The record of this thread's last failure.
 *
 * Read it only after a failure: success does not clear it.
 *
 * @return borrowed, never NULL; valid until this thread's next call
 * @par Thread  Any; each thread has its own.
 * @par Since   0.1
 */
QUBE_API const struct qube_error *qube_error_last(void);

/**
 * The name of a code: "QUBE_E_NOENT".
 *
 * @param[in] code  one of QUBE_E_*
 * @return static storage; "QUBE_E_?" for an unknown code
 * @par Thread  Any.
 * @par Since   0.1
 */
QUBE_API const char *qube_error_name(int32_t code);

#ifdef __cplusplus
}
#endif

#endif
