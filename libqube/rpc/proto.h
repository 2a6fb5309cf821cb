/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Between core and the broker: one message a packet over a SOCK_SEQPACKET pair. Core parses what
 * the broker says as untrusted (the broker reads guests' bytes and may have been taken over): names
 * are checked again here, ids only name what core itself knows. Strings in a parsed message are
 * views into the packet and NUL-terminated. */
#ifndef QUBE_RPC_PROTO_H
#define QUBE_RPC_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	QUBE__RPC_MSG_MAX = 160 * 1024,	 /* a whole packet */
	QUBE__RPC_CHUNK_MAX = 64 * 1024, /* data of one HOST_SERVICE or HOST_SERVICE_REPLY */
	QUBE__RPC_NAME_MAX = 64,	 /* qube names, users, targets; with NUL */
	QUBE__RPC_REASON_MAX = 256,	 /* with NUL */
	QUBE__RPC_FDS_MAX = 3,
};

enum qube__rpc_type {
	/* core to broker */
	QUBE__RPC_GUEST_ADD = 1, /* one fd: the connected control stream */
	QUBE__RPC_GUEST_DEL = 2, /* no GUEST_DOWN follows; CALL_END for its calls does */
	QUBE__RPC_DECISION = 3,
	QUBE__RPC_HOST_CALL = 4, /* an fd for each of its streams, in their order */
	QUBE__RPC_CALL_CANCEL = 5,
	QUBE__RPC_HOST_SERVICE_REPLY = 6,
	QUBE__RPC_DOMAIN_GONE = 7, /* guests with vchans are told: no channel tells them */
	/* broker to core */
	QUBE__RPC_GUEST_UP = 65,     /* hello passed: the guest can be called */
	QUBE__RPC_GUEST_DOWN = 66,   /* the session is over and the id forgotten */
	QUBE__RPC_DECIDE = 67,	     /* answer with DECISION, however late */
	QUBE__RPC_CALL_END = 69,     /* the last message about this call */
	QUBE__RPC_HOST_SERVICE = 70, /* answer with HOST_SERVICE_REPLY */
	QUBE__RPC_CHANNEL = 71,	     /* two fds: what the guest gets, what comes from it */
};

enum qube__rpc_verdict {
	QUBE__RPC_ALLOW = 1,
	QUBE__RPC_DENY = 2, /* policy said no */
	QUBE__RPC_FAIL = 3, /* allowed, but it cannot be done (the target did not start) */
};

enum {
	QUBE__RPC_GUEST_HOST = 0, /* target guest id that means the host itself */
	QUBE__RPC_DISPOSE = 1,	  /* DECISION flag, handed back in CALL_END */
};

/* Which numbering an id belongs to. */
enum qube__rpc_origin {
	QUBE__RPC_BY_REQUEST = 1, /* broker's request id, of DECIDE */
	QUBE__RPC_BY_CALL = 2,	  /* core's call id, of HOST_CALL */
	QUBE__RPC_BY_GUEST = 3,	  /* guest id: the last call that it served when it came */
};

struct qube__rpc_guest_add {
	uint32_t guest; /* core's number, never 0, never reused while it lives */
	uint32_t qid;	/* what peers are told as domain id; never 0 */
	const char *name;
	const char *user; /* stands for DEFAULT in commands */
	bool tells_calls; /* its agent may be ours: it is then asked which calls it has */
	/* Its control channel hands over no descriptors: it connects to other guests itself, and of
	 * its calls with the host core is asked to make the channel. */
	bool vchan;
};

struct qube__rpc_guest_del {
	uint32_t guest;
};

struct qube__rpc_domain_gone {
	uint32_t qid; /* as in GUEST_ADD */
};

struct qube__rpc_decision {
	uint64_t request;
	uint32_t verdict;      /* enum qube__rpc_verdict */
	uint32_t target;       /* guest id or QUBE__RPC_GUEST_HOST; 0 unless allowed */
	uint32_t flags;	       /* QUBE__RPC_DISPOSE */
	const char *user;      /* "" or "DEFAULT": the target's default user */
	const char *service;   /* replaces name and argument; "": as requested */
	const char *source;    /* presented as the caller; "": the guest's name */
	const char *requested; /* for the host as target: the normalised request */
};

struct qube__rpc_host_call {
	uint64_t call;
	uint32_t guest;
	bool just_exec;
	uint32_t streams;    /* 1 << 0, 1, 2: it has an input, output, errors */
	const char *command; /* "USER:shell command" or "USER:QUBESRPC svc+arg dom0" */
};

struct qube__rpc_call_cancel {
	uint32_t origin;
	uint64_t id;
};

struct qube__rpc_host_service_reply {
	uint64_t request;
	bool more; /* further chunks follow; else the stream ends with exit_code */
	int32_t exit_code;
	const uint8_t *data;
	size_t len; /* at most QUBE__RPC_CHUNK_MAX */
};

struct qube__rpc_guest_up {
	uint32_t guest;
	uint32_t version; /* of qrexec, negotiated */
	uint32_t calls;	  /* of other qubes that it served already */
};

struct qube__rpc_guest_down {
	uint32_t guest;
	const char *reason; /* printable */
};

struct qube__rpc_decide {
	uint64_t request;
	uint32_t guest;
	const char *target;   /* as written by the caller, alphabet checked; may be "" */
	const char *source;   /* requested source of a relay, or "" */
	const char *service;  /* name */
	const char *argument; /* behind the '+', may be "" */
	bool has_argument;    /* there was a '+' */
};

struct qube__rpc_call_end {
	uint32_t origin;
	uint64_t id;
	uint32_t flags;	    /* of the DECISION */
	int32_t exit_code;  /* -1: unknown to the host (between qubes) or the link was lost */
	const char *reason; /* printable; "" for a plain end */
};

struct qube__rpc_host_service {
	uint64_t request;
	uint32_t guest;	     /* caller */
	const char *service; /* name+argument, always with a '+' */
	const char *source;  /* name to present */
	const char *target;  /* what was requested, normalised by core's DECISION */
	const uint8_t *data;
	size_t len;
};

/* The host's end of a call's channel: core connects it. The fds are the broker's, untrusted. */
struct qube__rpc_channel {
	uint32_t guest;
	uint32_t port;
	bool server; /* the host calls */
};

struct qube__rpc_msg {
	uint32_t type;
	union {
		struct qube__rpc_guest_add guest_add;
		struct qube__rpc_guest_del guest_del;
		struct qube__rpc_decision decision;
		struct qube__rpc_host_call host_call;
		struct qube__rpc_call_cancel call_cancel;
		struct qube__rpc_host_service_reply host_service_reply;
		struct qube__rpc_guest_up guest_up;
		struct qube__rpc_guest_down guest_down;
		struct qube__rpc_decide decide;
		struct qube__rpc_call_end call_end;
		struct qube__rpc_host_service host_service;
		struct qube__rpc_channel channel;
		struct qube__rpc_domain_gone domain_gone;
	};
};

/* Parses a whole packet that arrived with n_fds descriptors. QUBE_E_PROTO for every refusal. */
int qube__rpc_parse(struct qube__rpc_msg *out, const void *untrusted, size_t len, size_t n_fds);
/* Bytes written, or QUBE_E_LIMIT (does not fit, or a field is too long), QUBE_E_INVALID. NULL
 * strings count as "". */
int qube__rpc_encode(void *out, size_t cap, const struct qube__rpc_msg *msg);
/* Number of descriptors that belong to a message. */
size_t qube__rpc_fds(const struct qube__rpc_msg *msg);

/* Encodes and sends on a socket that may block or not: 0, QUBE_E_AGAIN (not sent, wait for
 * writable), QUBE_E_CLOSED, QUBE_E_SYSTEM or as encode. fds are borrowed. */
int qube__rpc_send(int sock, const struct qube__rpc_msg *msg, const int *fds);
/* Reads one packet into buf (at least QUBE__RPC_MSG_MAX) and parses it. fds[] gets the descriptors
 * (owned by the caller, close-on-exec), unused places -1. 0, QUBE_E_AGAIN, QUBE_E_CLOSED,
 * QUBE_E_PROTO, QUBE_E_SYSTEM; on failure no descriptor is left. */
int qube__rpc_recv(int sock, struct qube__rpc_msg *out, void *buf, size_t cap,
		   int fds[QUBE__RPC_FDS_MAX]);
/* A connected, non-blocking, close-on-exec pair with room for the largest packet. */
int qube__rpc_pair(int sv[2]);

#endif
