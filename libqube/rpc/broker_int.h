/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the broker's files share: broker.c (core's messages, the table of guests), broker_guest.c
 * (one guest's control channel) and broker_call.c (calls). */
#ifndef QUBE_RPC_BROKER_INT_H
#define QUBE_RPC_BROKER_INT_H

#include "base/buf.h"
#include "base/list.h"
#include "base/quota.h"
#include "event/loop.h"
#include "rpc/broker.h"
#include "rpc/proto.h"
#include "rpc/relay.h"
#include "transport/transport.h"
#include "wire/qrexec.h"

#include <stdbool.h>

struct qube__broker {
	struct qube__loop *loop;
	struct qube__relay_pool pool;
	struct qube__broker_limits limits;
	struct qube__source src;
	struct qube__list guests;
	struct qube__list dead; /* freed at the next turn: a callback may still be inside */
	struct qube__list calls;
	struct qube__list backlog; /* packets that core has not taken */
	struct qube__posted reap;
	void (*on_closed)(void *user);
	void *user;
	uint8_t *packet; /* QUBE__RPC_MSG_MAX bytes for receiving */
	uint32_t next_request;
	int sock;
	bool closed;
};

struct bguest {
	struct qube__list link;
	struct qube__list calls; /* bend.link */
	struct qube__list requests;
	struct qube__list tx;
	struct qube__broker *b;
	struct qube__transport *t;
	struct qube__source src;
	struct qube__timer deadline; /* hello, then the message that is coming in */
	struct qube__timer retry;    /* of a send that no event announces */
	struct qube__buf rx;
	struct qube__quota quota;
	uint32_t id;
	uint32_t qid;
	uint32_t version;
	uint32_t n_requests;
	uint32_t next_port; /* where the search for a free one begins */
	size_t tx_bytes;
	enum qube__qrexec_state state;
	bool dead;
	bool tells_calls;
	bool vchan;
	bool plain;	     /* its agent takes plain calls */
	bool takes_unwanted; /* and is told which of their streams nobody wants */
	bool waiting;	     /* asked which calls it has: it is not called before it tells */
	bool tx_retrying;
	char name[QUBE__RPC_NAME_MAX];
	char user[QUBE__RPC_NAME_MAX];
};

/* A request that core has not decided. */
struct brequest {
	struct qube__list link;
	uint64_t id; /* guest id << 32 | number */
	size_t cost;
	uint8_t ident[QUBE__QREXEC_IDENT];
	char target[QUBE__QREXEC_TARGET];
	char service[];
};

struct bcall;

/* One side of a call: a guest, or the host (guest NULL). */
struct bend {
	struct qube__list link;
	struct bguest *guest;
	struct bcall *call;
	bool open; /* CONNECTION_TERMINATED has not come */
};

struct bcall {
	struct qube__list link;
	struct qube__broker *b;
	struct bend caller;
	struct bend executor;
	struct qube__relay *relay; /* the host's side */
	struct qube__buf input;	   /* of a host service, until its end */
	uint64_t id;
	uint32_t origin;
	uint32_t flags;
	uint32_t port;
	bool reported;	/* CALL_END was sent */
	bool refused;	/* host service: input too large */
	bool asked;	/* HOST_SERVICE was sent */
	uint32_t guest; /* id of the caller, also when it is gone; 0: the host */
	char *service;
	char source[QUBE__RPC_NAME_MAX];
	char target[QUBE__RPC_NAME_MAX];
};

/* broker.c */
void qube__broker_tell(struct qube__broker *b, const struct qube__rpc_msg *msg);
/* With descriptors, which are borrowed. */
void qube__broker_hand(struct qube__broker *b, const struct qube__rpc_msg *msg, const int *fds);
bool qube__broker_is_backed_up(const struct qube__broker *b);

/* broker_guest.c */
int qube__bguest_create(struct qube__broker *b, const struct qube__rpc_guest_add *add, int fd);
/* Ends the session; reason NULL: core asked for it and hears no GUEST_DOWN. */
void qube__bguest_end(struct bguest *g, const char *reason);
void qube__bguest_free(struct bguest *g);
/* Queues a whole message. fds are transferred, also on failure: QUBE_E_LIMIT, QUBE_E_NOMEM. */
int qube__bguest_send(struct bguest *g, const void *data, size_t len, const int *fds, size_t n);
void qube__bguest_refuse(struct bguest *g, const uint8_t ident[QUBE__QREXEC_IDENT]);
void qube__bguest_watch(struct bguest *g);
/* A domain is no more: an agent of ours is told what its vchans do not tell. */
void qube__bguest_tell_gone(struct bguest *g, uint32_t qid);
struct bguest *qube__bguest_find(struct qube__broker *b, uint32_t id);
void qube__brequest_free(struct bguest *g, struct brequest *q);

/* broker_call.c */
void qube__bcall_decide(struct qube__broker *b, const struct qube__rpc_decision *d);
/* fds transferred. */
void qube__bcall_host(struct qube__broker *b, const struct qube__rpc_host_call *h, int fds[3]);
void qube__bcall_reply(struct qube__broker *b, const struct qube__rpc_host_service_reply *s);
void qube__bcall_cancel(struct qube__broker *b, uint32_t origin, uint64_t id);
/* A call that the guest had before this broker. QUBE_E_LIMIT, QUBE_E_NOMEM. */
int qube__bcall_resume(struct bguest *g, uint32_t domain, uint32_t port, bool caller);
void qube__bcall_terminated(struct bguest *g, uint32_t domain, uint32_t port);
void qube__bcall_guest_gone(struct bguest *g);
void qube__bcall_free(struct bcall *c);

#endif
