/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file rpc.h
 * Calls from the host into a qube. Calls between qubes are made by the qubes; the policy decides.
 */
#ifndef QUBE_RPC_H
#define QUBE_RPC_H

#include <qube/domain.h>
#include <qube/op.h>
#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Flags of qube_domain_call(). */
enum {
	QUBE_CALL_NO_START = 1, /**< fail if it does not run, instead of starting it */
	QUBE_CALL_JUST_EXEC = 2 /**< start the program and leave it alone: no input, no output */
};

/**
 * Options of qube_domain_call(). The descriptors are borrowed and duplicated; -1 is /dev/null. They
 * should be pipes or sockets: the library makes them non-blocking.
 */
struct qube_call_opts {
	uint32_t size;	     /**< sizeof(struct qube_call_opts) */
	uint32_t flags;	     /**< QUBE_CALL_* */
	const char *service; /**< "NAME" or "NAME+ARGUMENT"; NULL with command */
	const char *command; /**< shell command; NULL with service */
	const char *user;    /**< NULL: the qube's default_user */
	int32_t stdin_fd;    /**< what the service reads */
	int32_t stdout_fd;   /**< what it writes */
	int32_t stderr_fd;   /**< its diagnostics */
	uint32_t reserved0;  /**< must be 0 */
};

/**
 * Run a service or a command in a qube. Starts the qube if it is halted.
 *
 * What comes out is the guest's: a program that shows it on a terminal must filter it.
 *
 * The call lasts until the program has ended and what it left running has closed its output;
 * output that nobody wants is not waited for. A call that is canceled closes them: who goes on
 * writing gets SIGPIPE, and if there is no output or no errors to break the whole session does.
 *
 * @param[in]  d     the qube
 * @param[in]  opts  borrowed for the call
 * @param[out] op    NULL: block; else the operation. Owned: qube_op_unref(). Its exit code is
 *                   qube_op_get_exit_code(); a service that fails is an operation that is done.
 * @return 0, or
 * @retval QUBE_E_INVALID  neither or both of service and command, or a name outside the alphabet
 * @retval QUBE_E_STATE    it does not run and may not be started
 * @retval QUBE_E_CLOSED   the qube ended before the service did
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_call(qube_domain *d, const struct qube_call_opts *opts, qube_op **op);

#ifdef __cplusplus
}
#endif

#endif
