/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the local driver and qube-box say to each other over a SOCK_SEQPACKET pair: one packet, one
 * message. The driver sends SPEC before it spawns, perhaps VOLUMES, later RUN and STOP; qube-box
 * answers. A box
 * outlives its driver: the next one connects to the box's socket and is greeted with HELLO, and may
 * be of a newer release. The codec believes nothing, because PID 1 of a box lives among hostile
 * processes. Pure: no I/O, no allocation, QUBE_E_PROTO for every refusal. */
#ifndef QUBE_DRIVER_LOCAL_PROTO_H
#define QUBE_DRIVER_LOCAL_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/* A box of the older number is spoken to in its own; see qube__box_order. */
	QUBE__BOX_VERSION = 2,
	QUBE__BOX_VERSION_MIN = 2,
	QUBE__BOX_SPEC_MAX = 96 * 1024, /* fits a socket buffer of the default size */
	QUBE__BOX_REPLY_MAX = 1024,
	QUBE__BOX_TEXT_MAX = 512,
	QUBE__BOX_LAYERS_MAX = 64,
	QUBE__BOX_SERVICE_MAX = 48, /* bytes of one name */
	QUBE__BOX_IDS = 65536,
};

/* The descriptors that qube-box is started with; 0 and 1 are /dev/null, all others are closed.
 * The agent inherits 0, 1, LOG as its standard error and CONTROL, nothing else. */
enum {
	QUBE__BOX_FD_LOG = 2,
	QUBE__BOX_FD_CONTROL = 3, /* listening stream socket */
	QUBE__BOX_FD_DRIVER = 4,  /* this protocol */
	QUBE__BOX_FD_AGENT = 5,	  /* sealed memfd with the static agent */
	QUBE__BOX_FD_CGROUP = 6,  /* directory of the group for the box; /dev/null: none */
	QUBE__BOX_FD_LISTEN = 7,  /* listening, SOCK_SEQPACKET: for the driver of a later host */
	QUBE__BOX_FD_TAIL = 8,	  /* the reading end of LOG: handed to that driver */
	QUBE__BOX_FD_COUNT = 9,
};

enum qube__box_type {
	QUBE__BOX_SPEC = 1,
	QUBE__BOX_RUN = 2,
	QUBE__BOX_STOP = 3,
	QUBE__BOX_VOLUMES = 4,	/* to the launcher: what SPEC told it to wait for is there */
	QUBE__BOX_BORN = 16,	/* PID 1 exists: its pidfd is in this message */
	QUBE__BOX_HELD = 17,	/* everything is set up */
	QUBE__BOX_RUNNING = 18, /* the agent was started */
	QUBE__BOX_FAILED = 19,	/* text says at what, os_errno why; the sender ends */
	QUBE__BOX_EXITED = 20,	/* the box is empty but for PID 1, which ends; status */
	QUBE__BOX_LOG = 21,	/* a line of PID 1's own for the log; status is the priority */
	QUBE__BOX_STAGE = 23,	/* before HELD; status is one of the stages below */
	QUBE__BOX_HELLO = 22,	/* to a later driver; with TAIL. text: "RELEASE NAME" of the box */
};

/* Status of a STAGE. */
enum {
	QUBE__BOX_AT_MOUNTS = 0, /* the launcher makes what it works in */
	QUBE__BOX_AT_CLONE = 1,	 /* the box and its namespaces */
	QUBE__BOX_AT_TREES = 2,	 /* overlays and shifted ids */
	QUBE__BOX_AT_ROOT = 3,	 /* the box assembles its root */
	QUBE__BOX_AT_JAIL = 4,	 /* and drops its rights */
	QUBE__BOX_STAGES = 5,
};

/* Status of a HELLO. */
enum {
	QUBE__BOX_IS_RUNNING = 1,
	QUBE__BOX_IS_STOPPING = 2,
};

/* Values as in storage.h and driver.h; local.c asserts it. */
enum {
	QUBE__BOX_VOLUME_NONE = 0,
	QUBE__BOX_VOLUME_LAYERED = 1,
	QUBE__BOX_VOLUME_TREE = 2,
	QUBE__BOX_VOLUME_TMPFS = 3,
};
enum {
	QUBE__BOX_ROLE_APP = 0,
	QUBE__BOX_ROLE_TEMPLATE = 1,
	QUBE__BOX_ROLE_NET = 2,
};
enum {
	QUBE__BOX_USERNS = 1,
	QUBE__BOX_NEW_PRIVS = 2,
	QUBE__BOX_WAIT = 8,   /* for VOLUMES, before the private volume is looked at */
	QUBE__BOX_CORES = 16, /* what shares a core with it at the same time is its own */
	QUBE__BOX_FLAGS = 27, /* all known */
};

/* Strings point into the decoded bytes. Paths are absolute or "" for none. */
struct qube__box_volume {
	uint32_t kind;
	uint32_t n_layers;
	bool read_only;
	bool discard;
	uint64_t size_bytes;			  /* TMPFS */
	const char *layers[QUBE__BOX_LAYERS_MAX]; /* newest first */
	const char *upper;			  /* LAYERED, beside work; TREE: the directory */
	const char *work;
};

struct qube__box_spec {
	const char *name;      /* host name */
	const char *user;      /* default user or "" */
	const char *scratch;   /* a directory of the driver's to mount things on, privately */
	const char *guest_dir; /* programs for the guest, or "" */
	const char *services;  /* names of files in /run/qubes-service, ' ' between, or "" */
	uint32_t id_base;
	uint32_t role;
	uint32_t flags;
	uint32_t pids_max;
	struct qube__box_volume root;
	struct qube__box_volume private_volume;
	struct qube__box_volume volatile_volume;
};

struct qube__box_order {
	uint32_t type;	   /* RUN, STOP or VOLUMES */
	uint32_t grace_ms; /* STOP: then everything is killed */
	uint32_t version;  /* of the box, as its HELLO says; 0: ours */
};

struct qube__box_reply {
	uint32_t type;
	int32_t status;
	int32_t os_errno; /* of a HELLO: how often the agent was started again */
	uint32_t version; /* 0 when encoding: ours. A HELLO of any version is understood */
	char text[QUBE__BOX_TEXT_MAX]; /* untrusted until escaped */
};

/* Can a peer of this version be spoken to? */
bool qube__box_version_ok(uint32_t version);
/* The length in *len; QUBE_E_LIMIT when it does not fit. NULL strings are written as "". */
int qube__box_spec_encode(void *buf, size_t cap, size_t *len, const struct qube__box_spec *spec);
int qube__box_spec_decode(struct qube__box_spec *out, const void *untrusted, size_t len);
int qube__box_order_encode(void *buf, size_t cap, size_t *len, const struct qube__box_order *o);
int qube__box_order_decode(struct qube__box_order *out, const void *untrusted, size_t len);
/* Cuts an over-long text. */
int qube__box_reply_encode(void *buf, size_t cap, size_t *len, const struct qube__box_reply *r);
int qube__box_reply_decode(struct qube__box_reply *out, const void *untrusted, size_t len);

#endif
