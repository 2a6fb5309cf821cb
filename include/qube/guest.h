/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file guest.h
 * What programs inside a qube use: the agent, calls to other qubes, a terminal for a command.
 */
#ifndef QUBE_GUEST_H
#define QUBE_GUEST_H

#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Options of qube_guest_agent_run(). NULL or zero means the default. */
struct qube_guest_agent_opts {
	uint32_t size;		    /**< sizeof(struct qube_guest_agent_opts) */
	uint32_t grace_ms;	    /**< services' time to end at a stop; 5000 */
	int32_t control_fd;	    /**< listening or connected control socket; transferred */
	int32_t stop_fd;	    /**< stop when it becomes readable (a signalfd); -1: never */
	const char *default_user;   /**< "user" */
	const char *service_path;   /**< directories of services, ':' between them */
	const char *config_path;    /**< directories of their configuration */
	const char *trigger_socket; /**< where this qube's programs ask for calls; "": nowhere */
	const char *const *env;	    /**< environment of services, on top of what qrexec sets */
	/** One printable line for the log; priority as syslog's. */
	void (*log)(void *user, int32_t priority, const char *line);
	void *user; /**< handed to log */
	/** Program that holds a channel to another domain (qube-vchan), for an agent whose control
	    socket hands over no descriptors; NULL: it does. */
	const char *vchan;
};

/**
 * Be the agent of this qube, until stop_fd says so or a connected control channel ends.
 *
 * @param[in] opts  borrowed for the call
 * @return 0, or
 * @retval QUBE_E_SYSTEM  the control socket or the trigger socket is unusable
 * @par Thread  Any one.
 * @par Since   0.1
 */
QUBE_API int qube_guest_agent_run(const struct qube_guest_agent_opts *opts);

/** Flags of qube_guest_call(). */
enum {
	QUBE_GUEST_CALL_FILTER_STDOUT = 1, /**< what a terminal might obey becomes '_' */
	QUBE_GUEST_CALL_FILTER_STDERR = 2  /**< the same for diagnostics */
};

/** Options of qube_guest_call(). */
struct qube_guest_call_opts {
	uint32_t size;		    /**< sizeof(struct qube_guest_call_opts) */
	uint32_t flags;		    /**< QUBE_GUEST_CALL_* */
	const char *target;	    /**< a qube, "@default", "@dispvm", ..., or "" */
	const char *service;	    /**< "NAME" or "NAME+ARGUMENT" */
	const char *source;	    /**< for a relay: whom it speaks for; NULL */
	const char *agent_socket;   /**< NULL: the usual place */
	const void *prefix;	    /**< sent before any input, or NULL */
	size_t prefix_len;	    /**< its length */
	int32_t stdin_fd;	    /**< borrowed; -1: none */
	int32_t stdout_fd;	    /**< borrowed; -1: what comes is discarded */
	int32_t stderr_fd;	    /**< borrowed; -1: what comes is discarded */
	uint32_t reserved0;	    /**< must be 0 */
	const char *const *program; /**< local program that talks to the service; NULL */
	const char *const *env;	    /**< its environment */
};

/**
 * Call a service of another qube and wait for its end.
 *
 * The policy of the host decides. The descriptors are non-blocking meanwhile and put back after.
 *
 * @param[in]  opts       borrowed for the call
 * @param[out] exit_code  of the service, or of the program if the service's is 0; 125 qrexec
 *                        problem, 126 refused, 127 no such service, 128 + signal, 255 link lost,
 *                        1 the agent gave no usable channel
 * @return 0 when there is an exit code, or
 * @retval QUBE_E_INVALID  a name outside the alphabet or too long
 * @retval QUBE_E_SYSTEM   the agent cannot be reached
 * @par Thread  Any one.
 * @par Since   0.1
 */
QUBE_API int qube_guest_call(const struct qube_guest_call_opts *opts, int32_t *exit_code);

/**
 * Run a command on a terminal of its own and relay it to two descriptors.
 *
 * When in_fd ends the command is hung up.
 *
 * @param[in]  argv       the command; [0] is a path
 * @param[in]  env        its environment
 * @param[in]  rows       of the terminal; 0: 24
 * @param[in]  cols       of the terminal; 0: 80
 * @param[in]  id         by which qube_guest_pty_resize() finds it, 1 to 64 letters and digits;
 *                        NULL: it keeps its size
 * @param[in]  in_fd      borrowed
 * @param[in]  out_fd     borrowed
 * @param[out] exit_code  of the command, 128 + signal
 * @return 0, or
 * @retval QUBE_E_INVALID  no command, or an id that is none
 * @retval QUBE_E_EXISTS   there is a terminal of that id
 * @retval QUBE_E_SYSTEM   no terminal, or the command cannot be executed
 * @par Thread  Any one.
 * @par Since   0.1
 */
QUBE_API int qube_guest_pty(const char *const *argv, const char *const *env, uint16_t rows,
			    uint16_t cols, const char *id, int in_fd, int out_fd,
			    int32_t *exit_code);

/**
 * Give a terminal of qube_guest_pty() another size; what runs on it gets SIGWINCH. Terminals of the
 * same user only, or of any for root.
 *
 * @param[in] id    of the terminal
 * @param[in] rows  1 to 4096
 * @param[in] cols  1 to 4096
 * @return 0, or
 * @retval QUBE_E_INVALID  an id or a size that is none
 * @retval QUBE_E_NOENT    there is no terminal of that id
 * @par Thread  Any one.
 * @par Since   0.1
 */
QUBE_API int qube_guest_pty_resize(const char *id, uint16_t rows, uint16_t cols);

#ifdef __cplusplus
}
#endif

#endif
