/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The xen driver from inside: a client of qube-xl, which alone touches the hypervisor. Nothing here
 * waits: an order is given, and what comes of it is heard from the loop. */
#ifndef QUBE_DRIVER_XEN_XEN_H
#define QUBE_DRIVER_XEN_XEN_H

#include "base/error.h"
#include "driver/driver.h"
#include "driver/xen/helper.h"

enum {
	QUBE__XEN_NAME_MAX = 32,
	QUBE__XEN_KERNEL_MAX = 64,
	QUBE__XEN_LAYER_MAX = 64,
	QUBE__XEN_UUID_TEXT = 37
};

enum qube__xen_state {
	QUBE__XEN_PREPARING = 1, /* its kernel's first file system is being made */
	QUBE__XEN_CREATING = 2,
	QUBE__XEN_HELD = 3,
	QUBE__XEN_STARTING = 4,
	QUBE__XEN_RUNNING = 5,
	QUBE__XEN_ENDING = 6,
	QUBE__XEN_GONE = 7,
};

/* Of a machine's end, beside QUBE__XL_POWEROFF and so on: it did not end by itself. */
enum { QUBE__XEN_DESTROYED = QUBE__XL_OTHER + 1 };

/* What the next host must know; kept with the domain. */
struct qube__xen_record {
	char name[QUBE__XEN_NAME_MAX];
	uint32_t qid;
	uint32_t id_base;
	uint64_t start_ms;
	bool bound;
	char image[QUBE__XEN_LAYER_MAX]; /* file name of its root's; "" for none */
};

struct qube__xen_driver;
struct qube__xen_kernel;

struct qube__xen_machine {
	struct qube__machine base;
	struct qube__list link;
	struct qube__xen_driver *d;
	void *user;
	uint32_t state;			 /* enum qube__xen_state */
	struct qube__xen_kernel *kernel; /* while it is being made */
	bool killed;
	bool failed; /* why: told when the rest of it is gone */
	bool ran;
	bool paused;
	bool stopping;	  /* its guest was asked to */
	bool stuck;	  /* nobody can destroy it: the next host may try */
	uint32_t seen_in; /* number of the last list that had it */
	uint32_t newer;	  /* than lists up to this number */
	uint32_t kills;
	struct qube__err why;
	uint32_t domid;
	uint32_t reason;     /* of its end: QUBE__XL_*, QUBE__XEN_DESTROYED */
	uint32_t n_channels; /* qube-vchans under way */
	uint64_t target_kb;  /* that it was told; 0: nothing yet */
	uint64_t used_kb;    /* as the guest says; 0: it has not */
	uint64_t memory_kb;  /* that it has */
	uint64_t cpu_ns;
	uint8_t uuid[QUBE__XL_UUID];
	struct qube__xen_record record;
	uint8_t *order; /* CREATE, encoded, until it is given; owned */
	size_t order_len;
};

/* A folder of kernels/: its first file system is made once by each host. */
struct qube__xen_kernel {
	struct qube__list link;
	struct qube__xen_driver *d;
	struct qube__child child;
	struct qube__source made;
	bool making;
	bool ready;
	char name[QUBE__XEN_KERNEL_MAX];
	char *ramdisk; /* NULL: it has none */
	char *image;
	char *modules; /* an image of them, for guests to load what they like; or NULL */
};

struct qube__xen_channel {
	struct qube__list link;
	struct qube__xen_driver *d;
	struct qube__xen_machine *m; /* NULL: it is gone */
	struct qube__child child;
	struct qube__source ended;
	struct qube__timer too_long; /* since its machine is gone */
};

struct qube__xen_driver {
	struct qube__driver base;
	struct qube__driver_env env;
	struct qube__xen_helper keeper; /* all but creations */
	struct qube__xen_helper maker;
	struct qube__list machines;
	struct qube__list channels;
	struct qube__list kernels;
	struct qube__timer again;   /* after a helper was lost */
	struct qube__timer looking; /* at processors and memory, while somebody asks */
	uint64_t asked_ms;
	char *run_dir;
	char *state_dir;
	char *libexec_dir;
	char *xl_path;
	char *vchan_path;
	uint64_t total_kb;
	uint64_t free_kb;
	uint32_t has; /* QUBE__XL_HAS_* */
	uint32_t refs;
	char version[64];
	bool closed;
	bool listing;  /* in open(): domains are being looked for */
	int list_code; /* and what became of that */
};

/* xen.c: open(), on whatever machine it is. */
int qube__xen_start(struct qube__driver **out, const struct qube__driver_env *env);

/* machine.c */
int qube__xen_create(struct qube__driver *d, struct qube__machine **out, void *machine_user,
		     const struct qube__machine_spec *spec);
struct qube__xen_machine *qube__xen_machine_new(struct qube__xen_driver *d);
void qube__xen_machine_free(struct qube__xen_machine *m);
struct qube__xen_machine *qube__xen_find(struct qube__xen_driver *d,
					 const uint8_t uuid[QUBE__XL_UUID]);
/* Gives the order for which it was prepared. */
void qube__xen_make(struct qube__xen_machine *m);
/* Told to core at once: only from the loop. */
void qube__xen_fail(struct qube__xen_machine *m);
void qube__xen_over(struct qube__xen_machine *m);
void qube__xen_kill(struct qube__xen_machine *m);
/* A file by which the next host knows that the domain is ours, from before it is there; empty until
 * it has run. */
int qube__xen_mark(struct qube__xen_machine *m);
int qube__xen_mark_ran(struct qube__xen_machine *m);
void qube__xen_unmark(struct qube__xen_machine *m);
int qube__xen_uuid_parse(uint8_t out[QUBE__XL_UUID], const char *text);
void qube__xen_uuid_text(char out[QUBE__XEN_UUID_TEXT], const uint8_t uuid[QUBE__XL_UUID]);

/* orders.c: what the helpers say */
void qube__xen_orders_init(struct qube__xen_driver *d);
enum { QUBE__XEN_STOP_MS = 60000 };
int qube__xen_order(struct qube__xen_machine *m, uint32_t type, uint32_t deadline_ms);
int qube__xen_order_memory(struct qube__xen_machine *m); /* target_kb */
int qube__xen_adopt(struct qube__xen_driver *d);	 /* adopt.c */
void qube__xen_look(struct qube__xen_driver *d);

/* kernels.c; out is the kernel's; 0: there, 1: being made (qube__xen_make() follows for each
 * machine that prepares), or an error. */
int qube__xen_kernel(struct qube__xen_kernel **out, struct qube__xen_driver *d, const char *name);
void qube__xen_kernels_free(struct qube__xen_driver *d);

/* channels.c */
int qube__xen_channel(struct qube__xen_machine *m, uint32_t port, bool server, const int fds[2]);
int qube__xen_control(struct qube__xen_machine *m, int *out_fd);
void qube__xen_channels_end(struct qube__xen_machine *m);
void qube__xen_channels_free(struct qube__xen_driver *d);

/* record.c */
int qube__xen_record_put(char *out, size_t cap, const struct qube__xen_record *r);
int qube__xen_record_get(struct qube__xen_record *out, const char *text);

void qube__xen_unref(struct qube__xen_driver *d);

#endif
