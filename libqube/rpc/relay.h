/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One end of a call's data channel: frames on one side, plain descriptors (or memory) on the other.
 * The agent uses it as executor, qube-rpc as caller, the broker as either for the host's calls.
 * Of a plain call (QUBE__RELAY_PLAIN) only what the executor sends is framed.
 * Nothing is queued beyond one frame each way: a slow end stops the reading of the other. */
#ifndef QUBE_RPC_RELAY_H
#define QUBE_RPC_RELAY_H

#include "base/buf.h"
#include "base/quota.h"
#include "event/loop.h"
#include "transport/transport.h"
#include "wire/qrexec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QUBE__RELAY_BUF = QUBE__QREXEC_HEADER + QUBE__QREXEC_CHUNK };

/* Shared by the relays of one engine; buffers go back when a relay is idle. */
struct qube__relay_pool {
	struct qube__loop *loop;
	uint32_t budget;    /* frames a relay moves in one turn */
	bool guard_sigpipe; /* mask it around writes: the process may not ignore it */
	bool splice;	    /* input of plain calls may pass without being copied */
	void *spare[4];
	size_t n_spare;
};

void qube__relay_pool_fini(struct qube__relay_pool *p);

enum {
	QUBE__RELAY_IN,	     /* local, read from: the main stream */
	QUBE__RELAY_IN_ERR,  /* local, read from: stderr (executor) */
	QUBE__RELAY_OUT,     /* local, written to: the main stream */
	QUBE__RELAY_OUT_ERR, /* local, written to: stderr (caller) */
	QUBE__RELAY_ENDS,
};

enum {
	QUBE__RELAY_RESTORE = 1,    /* put the descriptors' flags back before closing them */
	QUBE__RELAY_QUIET = 2,	    /* executor of JUST_EXEC: nothing but the exit code */
	QUBE__RELAY_PUSH = 4,	    /* the main stream comes by qube__relay_push() first */
	QUBE__RELAY_FILTER_OUT = 8, /* what a terminal might obey becomes '_' */
	QUBE__RELAY_FILTER_ERR = 16,
	QUBE__RELAY_END_ON_CLIENT_EOF = 32,
	QUBE__RELAY_END_ON_SERVICE_EOF = 64,
	QUBE__RELAY_SOCKET = 128, /* executor without a process: exit code 0 when both ways ended */
	QUBE__RELAY_PLAIN = 256,  /* both sides agreed on it: wire/qrexec.h */
	QUBE__RELAY_PROGRAM = 512, /* executor of one: qube__relay_exit() follows its end */
};

struct qube__relay;

struct qube__relay_opts {
	enum qube__qrexec_role role; /* CALLER or EXECUTOR */
	uint32_t flags;
	struct qube__transport *chan; /* transferred, also on failure */
	int fd[QUBE__RELAY_ENDS];     /* transferred, also on failure; -1: not there */
	uint32_t hello_ms;	      /* for the peer's hello */
	size_t push_max;	      /* with PUSH: what may wait */
	struct qube__quota *quota;    /* charged for buffers; may be NULL */
	void *user;
	/* Received main stream instead of a descriptor; len 0 is its end. False ends the link.
	 * Must not release the relay. */
	bool (*sink)(struct qube__relay *r, const void *data, size_t len);
	/* The link is over before its end, and with it what is relayed; optional. Must not release
	 * the relay: an executor's goes on until the exit code is known. */
	void (*broken)(struct qube__relay *r);
	/* Called once, as the last thing; may release the relay. */
	void (*done)(struct qube__relay *r);
};

struct qube__relay_end {
	struct qube__relay *r;
	struct qube__source src;
	int fd;	     /* -1: closed */
	int flags;   /* to be put back, or -1 */
	bool always; /* epoll refuses it (a file): always ready */
	bool ready;
};

struct qube__relay_half {
	uint8_t *buf;
	size_t start;
	size_t end;
};

struct qube__relay {
	struct qube__relay_pool *pool;
	struct qube__transport *chan;
	struct qube__relay_end end[QUBE__RELAY_ENDS];
	struct qube__relay_end chan_in;
	struct qube__relay_end chan_out;
	struct qube__relay_half tx;
	struct qube__relay_half rx;
	struct qube__buf push;
	struct qube__timer hello;
	struct qube__timer ends; /* of output, which are told with the exit code */
	struct qube__posted again;
	struct qube__quota *quota;
	void *user;
	bool (*sink)(struct qube__relay *r, const void *data, size_t len);
	void (*broken)(struct qube__relay *r);
	void (*done)(struct qube__relay *r);
	int over[2]; /* streams that have ended, or -1: closed behind the last word */
	int own_fd;  /* a second descriptor of a socket, or -1 */
	uint32_t flags;
	uint32_t version; /* of the data link; 0 before hello */
	uint32_t frame_type;
	uint32_t frame_left;
	int32_t exit_code;
	enum qube__qrexec_role role;
	enum qube__qrexec_state state;
	bool have_exit; /* executor: known. caller: received */
	bool lost;	/* no more can be exchanged */
	bool mute;	/* nothing more can be sent */
	bool push_open;
	bool eof_sent; /* of the main stream */
	bool eof_err_sent;
	bool out_open; /* somebody still takes the received main stream */
	bool grown;    /* the channel was full once */
	bool out_full; /* plain: the channel took nothing more of what was to be spliced */
	bool no_splice;
	bool framed;   /* caller: a frame came, so no DATA_PLAIN may */
	bool plain_in; /* what is received has no frames */
	bool exit_sent;
	bool ends_due; /* the program goes on without its output */
	bool finished;
	bool err_turn;
};

int qube__relay_open(struct qube__relay **out, struct qube__relay_pool *pool,
		     const struct qube__relay_opts *opts);
/* done() is not called. */
void qube__relay_free(struct qube__relay *r);
/* Executor: the program ended. done() follows when its output was passed on. */
void qube__relay_exit(struct qube__relay *r, int32_t code);
/* With PUSH: no more follows; goes on with the descriptor, if there is one. */
void qube__relay_push_end(struct qube__relay *r);
/* With PUSH: 0, or QUBE_E_LIMIT, QUBE_E_NOMEM with nothing queued. */
int qube__relay_push(struct qube__relay *r, const void *data, size_t len);

#endif
