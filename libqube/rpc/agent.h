/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The agent engine: the guest's end of the control channel. Runs services and commands that the
 * host asks for and forwards the requests of this qube's own programs. The host is trusted by its
 * guest but its bytes are parsed with the same care; programs in the qube are not trusted. */
#ifndef QUBE_RPC_AGENT_H
#define QUBE_RPC_AGENT_H

#include "event/loop.h"

#include <stddef.h>
#include <stdint.h>

#define QUBE__AGENT_SERVICE_PATH "/run/qubes-rpc:/usr/local/etc/qubes-rpc:/etc/qubes-rpc"
#define QUBE__AGENT_CONFIG_PATH                                                                    \
	"/run/qubes/rpc-config:/usr/local/etc/qubes/rpc-config:/etc/qubes/rpc-config"
#define QUBE__AGENT_TRIGGER_SOCKET "/run/qubes/qrexec-agent"

struct qube__agent;

/* Strings are copied. NULL or zero: the default. What the process ignores when the agent is made it
 * should ignore for as long as the agent is there. */
struct qube__agent_opts {
	int control_fd;		  /* listening or connected stream socket; transferred */
	const char *default_user; /* stands for DEFAULT; "user" */
	const char *service_path; /* directories, ':' between them */
	const char *config_path;
	const char *trigger_socket; /* "": none */
	const char *passwd_file;    /* /etc/passwd */
	const char *group_file;	    /* /etc/group */
	const char *vchan;	/* program that holds the channels; "": descriptors come along */
	const char *const *env; /* further environment of services: NAME=VALUE ... NULL */
	void *user;
	void (*log)(void *user, int priority, const char *line); /* printable; may be NULL */
	/* A connected (not listening) control channel ended; from the loop. May be NULL. */
	void (*on_closed)(void *user);
	/* After qube__agent_stop(): every service ended. May be NULL. */
	void (*on_stopped)(void *user);
};

int qube__agent_create(struct qube__agent **out, struct qube__loop *loop,
		       const struct qube__agent_opts *opts);
/* Takes no more requests, ends the running services (SIGTERM, SIGKILL after grace_ms). */
void qube__agent_stop(struct qube__agent *a, uint32_t grace_ms);
/* Kills what still runs. Not from inside its callbacks. */
void qube__agent_destroy(struct qube__agent *a);

#endif
