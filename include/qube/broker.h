/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file broker.h
 * The broker as a process of its own: the half of a host that reads guests' bytes.
 */
#ifndef QUBE_BROKER_H
#define QUBE_BROKER_H

#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Flags of qube_broker_serve(). */
enum {
	QUBE_BROKER_NO_JAIL = 1,	  /**< no system call filter (debugging) */
	QUBE_BROKER_JAIL_IF_SUPPORTED = 2 /**< go on where this machine has no filter */
};

/** Options of qube_broker_serve(). */
struct qube_broker_opts {
	uint32_t size;	    /**< sizeof(struct qube_broker_opts) */
	uint32_t flags;	    /**< QUBE_BROKER_* */
	uint32_t uid;	    /**< user to become; 0: keep */
	uint32_t gid;	    /**< group to become; 0: keep */
	uint32_t reserved0; /**< must be 0 */
	uint32_t reserved1; /**< must be 0 */
};

/** All defaults. */
#define QUBE_BROKER_OPTS_INIT                                                                      \
	{                                                                                          \
		(uint32_t)sizeof(struct qube_broker_opts), 0, 0, 0, 0, 0                           \
	}

/**
 * Be the broker of the host at the other end of a socket, until that end is closed.
 *
 * The calling process gives up its privileges for good before the first guest's byte is read: it is
 * meant to do nothing else, before or after. It must have one thread.
 *
 * @param[in] fd    the socket that the host handed over. Transferred.
 * @param[in] opts  borrowed for the call; NULL means all defaults
 * @return 0 when the host closed its end, or
 * @retval QUBE_E_INVALID  unknown flag bit, or opts->size too small
 * @retval QUBE_E_NOTSUP   no system call filter for this machine
 * @retval QUBE_E_SYSTEM   a privilege could not be given up, or the loop failed
 * @par Thread  The process's only one.
 * @par Since   0.1
 */
QUBE_API int qube_broker_serve(int fd, const struct qube_broker_opts *opts);

#ifdef __cplusplus
}
#endif

#endif
