/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the agent's files share: agent.c (control channel), agent_run.c (what the host asks to run)
 * and agent_trigger.c (what this qube's programs ask for). */
#ifndef QUBE_RPC_AGENT_INT_H
#define QUBE_RPC_AGENT_INT_H

#include "base/buf.h"
#include "base/list.h"
#include "base/spawn.h"
#include "event/loop.h"
#include "rpc/agent.h"
#include "rpc/relay.h"
#include "rpc/service.h"
#include "transport/transport.h"
#include "wire/qrexec.h"

#include <stdbool.h>

enum {
	QUBE__AGENT_FDS = 64, /* descriptors received ahead of their messages */
	QUBE__AGENT_TRIGGERS = 256,
	QUBE__AGENT_HELLO_MS = 120000,
};

struct qube__agent {
	struct qube__loop *loop;
	struct qube__relay_pool pool;
	struct qube__agent_opts opts; /* its strings are owned */
	struct qube__source listener;
	struct qube__source trigger_listener;
	struct qube__source control;
	struct qube__transport *t; /* NULL: no host is connected */
	struct qube__buf rx;
	struct qube__buf tx;
	struct qube__list calls;
	struct qube__list triggers;
	struct qube__list channels;
	struct qube__timer grace;
	struct qube__posted notice;
	size_t n_triggers;
	size_t n_fds;
	int fds[QUBE__AGENT_FDS];
	int listen_fd; /* -1: the control channel was given connected */
	int trigger_fd;
	int null_fd; /* what programs get for a stream that nobody wants; or -1 */
	enum qube__qrexec_state state;
	uint32_t version;
	uint32_t next_ident;
	struct qube__user_cache user;
	pid_t pid;
	uid_t euid;
	sigset_t ignored;
	bool stopping;
	bool stopped;
	bool closed;
};

/* One call that this qube executes. */
struct acall {
	struct qube__list link;
	struct qube__agent *a;
	struct qube__relay *relay;
	struct qube__child child;
	struct qube__source exited;
	struct qube__source served; /* of a service that has the channel itself: its connection */
	uint32_t domain;
	uint32_t port;
	uint32_t unwanted; /* of its streams: QUBE__QREXEC_NO_* */
	bool has_child;
};

/* A channel to another domain, and who holds it. */
struct achannel {
	struct qube__list link;
	struct qube__agent *a;
	struct qube__child child;
	struct qube__source exited;
	struct qube__timer too_long;
	uint32_t domain;
	bool ending; /* its domain is gone, and it was told */
};

/* One program of this qube that calls another. */
struct atrigger {
	struct qube__list link;
	struct qube__agent *a;
	struct qube__source src;
	int fd;
	struct qube__buf rx;
	enum qube__qrexec_state state;
	bool connected;
	uint32_t domain;
	uint32_t port;
	char ident[QUBE__QREXEC_IDENT];
};

/* agent.c */
void qube__agent_log(struct qube__agent *a, int priority, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Queues a control message; one that does not fit ends the session. */
void qube__agent_send(struct qube__agent *a, const void *data, size_t len);
void qube__agent_terminated(struct qube__agent *a, uint32_t domain, uint32_t port);

/* agent_run.c; fds (to read from the caller, to write to it) are transferred. */
void qube__agent_exec(struct qube__agent *a, const struct qube__qrexec_params *p, uint32_t type,
		      uint32_t unwanted, int fds[2]);
void qube__agent_signal_all(struct qube__agent *a, int signal);
bool qube__agent_has_children(const struct qube__agent *a);
void qube__acall_free(struct acall *c);

/* agent_channel.c; fds: to read from the other domain, to write to it. */
int qube__agent_channel(struct qube__agent *a, uint32_t domain, uint32_t port, bool server,
			int fds[2]);
void qube__agent_domain_gone(struct qube__agent *a, uint32_t domain);
void qube__agent_channels_end(struct qube__agent *a);

/* agent_trigger.c */
int qube__agent_trigger_listen(struct qube__agent *a, const char *path);
void qube__agent_connect(struct qube__agent *a, const struct qube__qrexec_params *p, bool plain,
			 int fds[2]);
void qube__agent_refused(struct qube__agent *a, const uint8_t ident[QUBE__QREXEC_IDENT]);
/* The session ended: those without an answer get none. */
void qube__agent_refuse_waiting(struct qube__agent *a);
void qube__atrigger_free(struct atrigger *t);

#endif
