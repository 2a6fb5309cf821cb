/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the xen driver and qube-xl, its helper that holds libxenlight, say to each other over a
 * SOCK_SEQPACKET pair: one packet, one message. The helper begins with HOST. Each order is answered
 * by one DONE with its id, LIST by a DOMAIN for each domain before that. While a
 * domain is created it takes no other order (QUBE_E_BUSY). A domain is named by its uuid: numbers
 * are used again. A helper reads nothing while libxenlight loads a kernel, seconds for a large
 * guest: so the driver has one that creates and one for all else, which is told to WATCH what the
 * other made. Pure: no I/O, no allocation, QUBE_E_PROTO for every refusal. */
#ifndef QUBE_DRIVER_XEN_PROTO_H
#define QUBE_DRIVER_XEN_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	QUBE__XL_VERSION = 1,
	QUBE__XL_FD = 3, /* the helper's end */
	QUBE__XL_UUID = 16,
	QUBE__XL_NAME_MAX = 64,	  /* with the NUL */
	QUBE__XL_PATH_MAX = 4096, /* with the NUL */
	QUBE__XL_CMDLINE_MAX = 1024,
	QUBE__XL_TEXT_MAX = 512,
	QUBE__XL_RECORD_MAX = 8192, /* with the NUL */
	QUBE__XL_DISKS_MAX = 4,
	QUBE__XL_PACKET_MAX = 40 * 1024,
	QUBE__XL_KB_MIN = 16 * 1024, /* of a domain's memory */
	QUBE__XL_VCPUS_MAX = 128,
};

enum qube__xl_type {
	/* to the helper */
	QUBE__XL_LIST = 1,
	QUBE__XL_CREATE = 2, /* built and paused: nothing of the guest has run */
	QUBE__XL_RUN = 3,    /* also a paused one */
	QUBE__XL_PAUSE = 4,
	QUBE__XL_STOP = 5, /* asks the guest to power off */
	QUBE__XL_KILL = 6, /* and what was made for it */
	QUBE__XL_MEMORY = 7,
	QUBE__XL_WATCH = 8, /* its end and its memory are told of */
	/* from it */
	QUBE__XL_HOST = 32, /* text: Xen's version */
	QUBE__XL_DOMAIN = 33,
	QUBE__XL_DONE = 34,
	QUBE__XL_SHUT = 35, /* the guest has ended; its domain waits for KILL */
	QUBE__XL_GONE = 36, /* the domain is no more */
	QUBE__XL_USED = 37, /* memory that the guest says it uses: untrusted */
};

enum { QUBE__XL_PV = 1, QUBE__XL_PVH = 2 };

/* What the host of a HOST has. */
enum {
	QUBE__XL_HAS_HVM = 1, /* virtualisation by the processor, which PVH needs */
	QUBE__XL_HAS_HAP = 2, /* nested paging */
	QUBE__XL_HAS_IOMMU = 4,
	QUBE__XL_HAS_SMT = 8,	      /* more than one thread a core */
	QUBE__XL_HAS_CORE_SCHED = 16, /* threads of a core are scheduled together */
	QUBE__XL_HAS_ANY = 31,
};

struct qube__xl_disk {
	uint32_t slot; /* 0: xvda */
	bool writable;
	const char *path; /* absolute; of a raw image or a block device */
};

/* State of a DOMAIN, which may be several. */
enum {
	QUBE__XL_IS_PAUSED = 1,
	QUBE__XL_IS_SHUT = 2,
	QUBE__XL_IS_DYING = 4, /* no GONE is to come for it */
	/* Made to its end by a helper, and not half taken away: anything else is to be killed. */
	QUBE__XL_IS_WHOLE = 8,
	QUBE__XL_IS_ANY = 15,
};

/* Reason of a SHUT, and of a DOMAIN that is shut. */
enum {
	QUBE__XL_POWEROFF = 0,
	QUBE__XL_REBOOT = 1,
	QUBE__XL_SUSPEND = 2,
	QUBE__XL_CRASH = 3,
	QUBE__XL_OTHER = 4,
};

/* What a type does not use is 0, and "" or NULL. Strings point into what was decoded. */
struct qube__xl_msg {
	uint32_t type;
	uint32_t version;     /* HOST */
	uint32_t id;	      /* orders, DOMAIN, DONE; not 0 */
	uint32_t deadline_ms; /* orders but LIST, MEMORY and WATCH: then DONE says QUBE_E_TIMEOUT;
				 not 0 */
	uint32_t domid;	      /* DOMAIN, DONE of CREATE, SHUT, GONE, USED */
	uint32_t kind;	      /* CREATE: QUBE__XL_PV or PVH */
	uint32_t vcpus;	      /* CREATE */
	uint32_t state;	      /* DOMAIN: QUBE__XL_IS_*; HOST: QUBE__XL_HAS_* */
	uint32_t reason;      /* SHUT, DOMAIN */
	int32_t code;	      /* DONE: 0 or QUBE_E_* */
	uint64_t
		memory_kb; /* CREATE, MEMORY: target; DOMAIN: now; HOST, DONE of LIST: free; USED */
	uint64_t max_kb;   /* CREATE, DOMAIN; HOST: all there is */
	uint64_t cpu_ns;   /* DOMAIN */
	uint8_t uuid[QUBE__XL_UUID]; /* of the domain: all but LIST, HOST, DONE */
	const char *name;	     /* CREATE, DOMAIN (untrusted until escaped) */
	const char *kernel;	     /* CREATE: absolute */
	const char *ramdisk;	     /* CREATE: absolute, or "" */
	const char *cmdline;	     /* CREATE */
	const char *text;	     /* HOST, DONE: printable or not */
	const char *record; /* CREATE: kept with the domain, and told of it by DOMAIN; not "" */
	uint32_t n_disks;   /* CREATE */
	struct qube__xl_disk disks[QUBE__XL_DISKS_MAX];
};

/* Bytes written, QUBE_E_LIMIT when it does not fit, QUBE_E_INVALID. */
int qube__xl_encode(void *out, size_t cap, const struct qube__xl_msg *m);
int qube__xl_decode(struct qube__xl_msg *out, const void *untrusted, size_t len);

#endif
