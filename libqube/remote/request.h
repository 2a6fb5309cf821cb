/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One request over the Admin API's socket: sent at once, its answer awaited or watched for. */
#ifndef QUBE_REMOTE_REQUEST_H
#define QUBE_REMOTE_REQUEST_H

#include "base/buf.h"
#include "remote/remote.h"
#include "wire/admin.h"

struct qube__remote {
	qube_ctx ctx; /* first: it is a context */
	char *socket_path;
	int door;	/* requests go in here, door.c; -1: each connects */
	uint32_t asked; /* since there was one */
	bool no_door;	/* the host has none to give */
	uint32_t isolation;
	bool knows_isolation;
	struct qube__list handles;  /* qube_domain.link; not all are the application's */
	struct qube__list requests; /* under way: struct watched */
	struct qube__list held;	    /* connections that hold a disposable each */
	struct qube__source events;
	int events_fd; /* -1: no stream */
	struct qube__buf events_buf;
};

static inline struct qube__remote *qube__remote_of(qube_ctx *ctx)
{
	return (struct qube__remote *)ctx;
}

/* Connects and sends; *out_fd is the connection to read the answer from. */
int qube__remote_send(int *out_fd, qube_ctx *ctx, const char *method, const char *arg,
		      const char *dest, const void *payload, size_t len, const int *fds, size_t n);
/* As above and waits. The content is owned, with a NUL behind it. out_len may be NULL. */
int qube__remote_ask(char **out, size_t *out_len, qube_ctx *ctx, const char *method,
		     const char *arg, const char *dest, const void *payload, size_t len);
/* As above for requests without content in their answer. */
int qube__remote_tell(qube_ctx *ctx, const char *method, const char *arg, const char *dest,
		      const char *payload);
/* The code of an answer that is no OK; sets the record. */
int qube__remote_refusal(const struct qube__wire_admin_response *r, const char *method);

/* --- door.c --- */
/* 1: sent, *out_fd as above. 0: not possible now, a connection is. */
int qube__remote_enter(int *out_fd, struct qube__remote *r, struct qube__buf *request,
		       const int *fds, size_t n);
/* After requests that had to connect: asks for a door. What fails costs nothing but speed. */
void qube__remote_find_door(qube_ctx *ctx);

/* --- ops.c --- */
/* One request that is an operation. */
struct qube__remote_req {
	const char *method;
	const char *fallback; /* asked instead of a host that does not know method; or NULL */
	const char *arg;
	const char *dest;
	const void *payload;
	size_t len;
	const int *fds;
	size_t n_fds;
	bool cancelable; /* closing the connection ends it there */
	/* Or NULL. At its end once the host has undone what was canceled: the op waits for that.
	 * Taken when the request was sent. */
	int *undone_fd;
};
/* Finishes op when the answer to the request is there. */
int qube__remote_op(qube_ctx *ctx, qube_op *op, const struct qube__remote_req *req);
void qube__remote_drop_ops(struct qube__remote *r);

/* --- held.c: disposables that end with this context --- */
/* *name is owned. */
int qube__remote_hold(char **name, qube_ctx *ctx, const char *template_name);
void qube__remote_let_go(struct qube__remote *r);

/* --- events.c --- */
int qube__remote_subscribed(qube_ctx *ctx);
void qube__remote_stop_events(struct qube__remote *r);

#endif
