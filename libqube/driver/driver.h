/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What core asks of a driver. A machine is created *held* (everything is set up, no guest code
 * ran), then run; what happens to it is reported from the loop, never from inside a call. */
#ifndef QUBE_DRIVER_DRIVER_H
#define QUBE_DRIVER_DRIVER_H

#include <qube/domain.h>

#include "event/loop.h"
#include "storage/storage.h"

#include <stdbool.h>
#include <stdint.h>

struct qube__driver_ops;
struct qube__check;

/* First member of each driver's own. */
struct qube__driver {
	const struct qube__driver_ops *ops;
};
struct qube__machine {
	const struct qube__driver_ops *ops;
};

enum qube__isolation {
	QUBE__ISOLATION_NONE = 0, /* fake */
	QUBE__ISOLATION_KERNEL_SHARED = 1,
	QUBE__ISOLATION_HYPERVISOR = 2,
};

enum qube__machine_event {
	QUBE__MACHINE_HELD = 1,	   /* create finished: may be run */
	QUBE__MACHINE_RUNNING = 2, /* run: the agent was started, control_connect() may be called */
	QUBE__MACHINE_FAILED = 3,  /* create or run failed; the thread's record says why */
	QUBE__MACHINE_STOPPED = 4, /* the guest is gone and so is all that the driver made for it */
	QUBE__MACHINE_HALTING = 5, /* adopted, and it was told to stop by the host before */
};

/* The guest's role decides what capabilities it keeps. */
enum qube__machine_role {
	QUBE__ROLE_APP = 0,
	QUBE__ROLE_TEMPLATE = 1, /* TemplateVM and StandaloneVM: may run a package manager */
	QUBE__ROLE_NET = 2,
};

enum {
	QUBE__MACHINE_USERNS = 1,    /* feature local.userns: user namespaces inside */
	QUBE__MACHINE_NEW_PRIVS = 2, /* feature local.new-privs: setuid programs inside */
	QUBE__MACHINE_EPHEMERAL = 4, /* nothing of the volatile volume may come onto a disk */
	QUBE__MACHINE_WAIT = 8,	     /* private_volume is not there before volumes_ready() */
	/* 16 is the local driver's own */
	QUBE__MACHINE_ANY_CORE = 32, /* feature local.core-sched is off: no core of its own */
};

struct qube__machine_spec {
	const char *name;
	const char *uuid;	  /* 36 characters */
	const char *default_user; /* NULL: root only */
	const char *services;	  /* names of features service.NAME, ' ' between; or NULL */
	uint32_t qid;
	uint32_t id_base;	     /* first of 65,536 host ids that are the qube's own; if another
					host has them, the driver takes others */
	uint32_t role;		     /* enum qube__machine_role */
	uint32_t flags;		     /* QUBE__MACHINE_* */
	uint64_t memory_bytes;	     /* the most that it may ever have; 0: no limit */
	uint64_t memory_start_bytes; /* what it has at first, where memory is divided */
	uint32_t vcpus;		     /* 0: no limit */
	const char *kernel;	     /* of a virtual machine: name; or NULL */
	const char *kernel_opts;     /* or NULL */
	const char *virt_mode;	     /* "pvh", "pv", "hvm" */
	uint32_t pids_max;
	uint64_t io_read_max;  /* bytes a second from the disk of its volumes; 0: no limit */
	uint64_t io_write_max; /* to it */
	bool bound;	       /* made by a call and ends with it: remembered for the next host */
	struct qube__volume_run root; /* borrowed for the call */
	struct qube__volume_run
		private_volume; /* mounted at /rw; home and usr/local bound from it */
	struct qube__volume_run volatile_volume; /* mounted at /tmp */
};

/* A machine that a host before this one left running. Borrowed for the call. */
struct qube__machine_found {
	const char *name;
	const char *uuid;
	uint32_t qid;
	uint32_t id_base;
	uint64_t start_time_ms;
	bool paused;
	bool bound;
	const char *const *layers; /* names of its root's layers, newest first */
	uint32_t n_layers;
};

struct qube__driver_env {
	struct qube__loop *loop;
	const char *run_dir;	 /* /run/qube or as opened: 0700, ours */
	const char *state_dir;	 /* where kernels/ is */
	const char *libexec_dir; /* where qube-box, qube-agent, guest/ are */
	void *user;
	/* What happened to a machine. MACHINE_FAILED and MACHINE_STOPPED are each the last event.
	 */
	void (*on_machine)(void *user, struct qube__machine *m, void *machine_user,
			   enum qube__machine_event event, int status);
	/* What create() does now: a known part of a stage (core/op.c). Optional. */
	void (*on_stage)(void *user, void *machine_user, const char *name);
	/* One line that a guest's agent or programs wrote; harmless to print. NULL: to log. */
	void (*guest_log)(void *user, void *machine_user, const char *line);
	/* Called from open() for each machine that runs already and is certainly what it was:
	 * returns its machine_user, or NULL: it is ended. What cannot be verified is ended as well.
	 * Optional: without it all are ended. */
	void *(*take)(void *user, struct qube__machine *m, const struct qube__machine_found *f);
	bool keep; /* close() leaves running machines to the next host */
	/* One line for the context's log; text is already harmless. Priority as syslog's. */
	void (*log)(void *user, int priority, const char *line);
	bool own_cgroup;    /* the process' cgroup may be rearranged */
	const char *cgroup; /* group for the machines, from the root of the hierarchy; or NULL */
};

struct qube__machine_stats {
	uint32_t known;	       /* QUBE_STATS_* of domain.h: which of these were measured */
	uint64_t memory_bytes; /* 0: not known here */
	uint64_t cpu_ns;
	uint64_t pids;
	uint64_t read_bytes;
	uint64_t write_bytes;
	uint64_t start_time_ms;	 /* of the realtime clock */
	uint64_t cache_bytes;	 /* of memory_bytes: could be given up at once; 0 where not known */
	uint64_t assigned_bytes; /* of the host's memory, as the host knows it; 0: as it was told */
	uint64_t target_bytes;	 /* what it was told last, for an adopted machine; 0: not known */
};

/* All members are mandatory but those marked optional. */
struct qube__driver_ops {
	const char *name;
	uint32_t isolation;
	bool takes_blocks;   /* its machines take disks (QUBE__VOLUME_BLOCK), and nothing else */
	bool divides_memory; /* what one machine has no other can have, used or not */
	bool tells_calls;    /* its guests' agent may be ours, and tells a new broker what runs */
	/* QUBE_E_NOTSUP with the reason if this machine cannot. */
	int (*open)(struct qube__driver **out, const struct qube__driver_env *env);
	/* Machines that run are killed, or left to the next host (env.keep). */
	void (*close)(struct qube__driver *d);
	/* Starts creating; reports HELD or FAILED. spec is borrowed for the call. */
	int (*create)(struct qube__driver *d, struct qube__machine **out, void *machine_user,
		      const struct qube__machine_spec *spec);
	/* Of a machine that was created with QUBE__MACHINE_WAIT: go on. Optional: without it no
	 * machine is. */
	int (*volumes_ready)(struct qube__machine *m);
	/* Lets a held machine go; reports RUNNING or FAILED. */
	int (*run)(struct qube__machine *m);
	/* A connected stream to the guest's agent; transferred to the caller. */
	int (*control_connect)(struct qube__machine *m, int *out_fd);
	/* Connects what is read from and written to (borrowed) with a port of the guest; server:
	 * the guest comes to it. Optional: with it no descriptors go over the control stream. */
	int (*channel)(struct qube__machine *m, uint32_t port, bool server, const int fds[2]);
	/* By which number other machines know it, not 0; optional: the qube's own id. */
	uint32_t (*domain)(struct qube__machine *m);
	/* Asks the guest to stop (the agent's init signal); STOPPED follows, or not. */
	int (*shutdown)(struct qube__machine *m);
	int (*kill)(struct qube__machine *m);	 /* STOPPED follows */
	int (*pause)(struct qube__machine *m);	 /* optional */
	int (*unpause)(struct qube__machine *m); /* optional */
	int (*stats)(struct qube__machine *m, struct qube__machine_stats *out); /* optional */
	/* May have that much memory from now on, and gives back what it has beyond it. Optional;
	 * QUBE_E_NOTSUP: not of this machine, ever. */
	int (*set_memory)(struct qube__machine *m, uint64_t target_kb);
	/* Of the host; free is what machines may be given now. Optional, as above. */
	int (*host_memory)(struct qube__driver *d, uint64_t *total_kb, uint64_t *free_kb);
	/* What the spec asked for and this machine does not enforce: "memory vcpus"; static. */
	const char *(*unenforced)(struct qube__machine *m); /* optional */
	/* What the status of STOPPED says: "it crashed"; static. Optional: it is an exit status. */
	const char *(*end_text)(int status);
	/* Forgets the machine; only after FAILED or STOPPED, never from inside on_machine. After
	 * close() any machine may, and must, still be released. */
	void (*release)(struct qube__machine *m);
	/* What it knows of its host and what that forbids; returns the count. Optional. */
	size_t (*report)(struct qube__driver *d, struct qube__check *out);
	/* Host's pid of the guest's PID 1 while held or running, else 0: for its namespaces. */
	int32_t (*pid)(struct qube__machine *m); /* optional */
};

extern const struct qube__driver_ops qube__driver_fake;
extern const struct qube__driver_ops qube__driver_local; /* with QUBE_DRIVER_LOCAL */
extern const struct qube__driver_ops qube__driver_xen;

/* What the local driver needs of this machine, one line each, for `qube doctor`. */
/* Ranges of ids for qubes: from the first id on, as many as fit below those that mean nobody. */
enum { QUBE__IDS_RANGE = 65536, QUBE__IDS_FIRST = 0x10000000, QUBE__IDS_RANGES = 61438 };

struct qube__check {
	const char *name; /* static */
	bool ok;
	bool optional; /* works without, with less */
	char detail[160];
};
enum { QUBE__CHECKS_MAX = 24 };
/* Fills up to QUBE__CHECKS_MAX and returns the count. */
size_t qube__local_check(struct qube__check out[QUBE__CHECKS_MAX], const char *libexec_dir);
size_t qube__xen_check(struct qube__check out[QUBE__CHECKS_MAX], const char *libexec_dir);

#endif
