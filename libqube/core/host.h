/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * This process as the host: the model, the pools, the driver, and the link to the broker. */
#ifndef QUBE_CORE_HOST_H
#define QUBE_CORE_HOST_H

#include "base/buf.h"
#include "base/spawn.h"
#include "core/backend.h"
#include "driver/driver.h"
#include "model/model.h"
#include "policy/policy.h"
#include "rpc/broker.h"
#include "rpc/proto.h"
#include "storage/pool.h"

enum {
	QUBE__HOST_POOLS_MAX = 16,
	QUBE__LOG_RING = 32 * 1024,  /* of a qube's log, kept in memory */
	QUBE__HOST_CALLS_MAX = 4096, /* calls and decisions under way */
};

/* The volumes a machine has, in the order of qube__vm_volume names. */
enum qube__slot { QUBE__SLOT_ROOT, QUBE__SLOT_PRIVATE, QUBE__SLOT_VOLATILE, QUBE__SLOT_COUNT };

/* Waits for a qube to be running (or to have failed), or to be gone. Called once from the loop or
 * from inside the call that ended it; code < 0: the thread's record says why. */
struct qube__waiter {
	struct qube__list link;
	void (*fn)(struct qube__waiter *w, int code);
};

struct qube__run;

/* What the host is asked by a qube: a call whose target is the host itself. */
struct qube__host_service {
	uint64_t request;
	const char *service; /* name+argument */
	const char *source;  /* checked name of a qube */
	const char *target;  /* as requested, normalised */
	const uint8_t *data;
	size_t len;
};

struct qube__host {
	qube_ctx ctx; /* first: a host is a context */
	struct qube__model *model;
	const struct qube__driver_ops *ops;
	struct qube__driver *driver;
	bool no_guests;
	bool keep;	    /* closing leaves what runs to the next host */
	bool own_cgroup;    /* QUBE_CTX_OWN_CGROUP */
	char *cgroup;	    /* for the qubes, or NULL */
	uint32_t log_short; /* lines that could not be written to qubes' logs */
	char *state_dir;
	char *run_dir;
	char *run_boxes; /* the driver's */
	char *run_store; /* the model's */
	char *policy_root;
	char *libexec_dir;
	char *broker_program;
	int broker_fd; /* of it as it was: a newer one may speak otherwise; or -1 */
	struct qube__pool *pools[QUBE__HOST_POOLS_MAX];
	size_t n_pools;
	struct qube__list runs;	  /* struct qube__run of every qube that is not halted */
	struct qube__list clones; /* under way: both qubes stay halted and stay */
	struct qube__list copies; /* of files, under way */
	uint32_t next_guest;

	/* broker */
	int sock;
	struct qube__source sock_source;
	struct qube__broker *broker; /* in this process, or NULL */
	struct qube__child broker_child;
	bool broker_spawned;
	uint64_t broker_ms;	/* when it was started */
	uint32_t broker_losses; /* in a row, each soon after its start */
	struct qube__timer broker_again;
	struct qube__list calls; /* struct qube__call: host calls under way */
	struct qube__list asks;	 /* struct qube__ask: decisions under way */
	size_t n_asks;
	uint64_t next_call;
	struct qube__list outbox; /* packets that wait for the socket */
	size_t n_outbox;
	uint8_t *packet; /* QUBE__RPC_MSG_MAX, for receiving */

	/* policy */
	struct qube__rules *rules;

	/* memory.c */
	struct qube__timer memory_round;
	struct qube__listener memory_listener;

	struct qube__list conns; /* of admin/ */
	size_t n_conns;
	struct qube__list doors; /* of admin/ */
	size_t n_doors;
	uint32_t conn_read_ms;	/* for a whole request */
	uint32_t conn_write_ms; /* without progress while an answer waits */
	void (*close_conns)(struct qube__host *h);

	/* Upward: answers a call to the host with qube__host_service_reply(). NULL: none are
	 * offered. */
	void (*service)(struct qube__host *h, const struct qube__host_service *s);
};

/* A qube that is not halted. */
struct qube__run {
	struct qube__list link;
	struct qube__host *host;
	struct qube__vm *vm;
	struct qube__machine *machine;
	uint32_t guest; /* 0 until the broker knows it */
	bool up;	/* its agent said hello */
	bool answers;	/* and does to this broker */
	bool relink;	/* the broker that had it is gone */
	bool adopted;	/* a host before this one started it */
	uint32_t n_layers;
	char (*layers)[QUBE__LAYER_ID_MAX]; /* adopted: of its root, until the pools are open */
	bool gone;			    /* the machine is; volumes are being settled */
	const char *end;		    /* what was said of its end; static, or NULL */
	bool failed;			    /* the start failed: err says why */
	bool discard;	 /* what is written to its root goes at the end, unless keep */
	bool keep;	 /* who asked it to stop says so, and hears if that failed */
	int settle_code; /* of the volumes: the last failure, told in settle_err */
	struct qube__err settle_err;
	struct qube__err err;
	uint32_t pending; /* volumes whose preparing or stopping is under way */
	uint32_t started; /* bit per slot: qube__volume_start() was called */
	uint32_t slot;	  /* being prepared, or settled */
	bool early;	  /* the machine is made while its private volume is still being copied */
	struct qube__volume_run volumes[QUBE__SLOT_COUNT];
	struct qube__timer deadline; /* start or shutdown */
	struct qube__posted step;    /* goes on from the loop: never from inside a driver's call */
	void (*next)(struct qube__run *r);
	struct qube__list start_waiters;
	struct qube__list agent_waiters; /* calls, while it runs and does not answer yet */
	struct qube__timer agent_late;
	struct qube__list stop_waiters;
	qube_op *trace; /* the op that began the start, for its stages; or NULL */
	bool kill_when_late;
	bool killing;	 /* the driver was told: STOPPED follows */
	bool ending;	 /* the host closes and told it */
	uint32_t losses; /* of its agent, one soon after the other */
	uint64_t lost_ms;
	uint64_t told_ms;   /* when the second of `told` began */
	uint32_t told;	    /* lines of the log about its calls */
	uint32_t untold;    /* and what was left out */
	uint64_t looked_ms; /* when seen_cpu_ns was read for the share of a processor */
	uint64_t seen_cpu_ns;
	uint32_t percent;

	/* memory.c; in KiB */
	uint64_t memory_target; /* 0: not known yet */
	uint64_t memory_seen;
	uint32_t memory_late;
	bool memory_set;       /* the driver took a target */
	bool memory_fixed;     /* the driver cannot change it */
	bool memory_refused;   /* or did not the last time: said once */
	uint64_t room;	       /* claimed for its machine, which is not made yet */
	uint64_t room_late_ms; /* it is waited for until then */
	struct qube__timer room_timer;
};

static inline struct qube__host *qube__host_of(qube_ctx *ctx)
{
	return (struct qube__host *)ctx;
}

int qube__host_open(qube_ctx **out, const struct qube_ctx_opts *opts);

/* --- adopt.c: qubes that a host before this one left running --- */
/* The driver found a machine. The run that it becomes, or NULL: nobody wants it. */
void *qube__adopt_take(void *user, struct qube__machine *m, const struct qube__machine_found *f);
/* Their volumes in this pool are in use. */
int qube__adopt_attach(void *user, struct qube__pool *p);
/* The broker is there: connects to their agents, and ends those that cannot go on. */
void qube__adopt_begin(struct qube__host *h);
/* Closing: forgets the runs that the driver leaves alone. */
void qube__adopt_leave(struct qube__host *h);

/* --- life.c --- */
/* A run in state, or NULL with the record set. */
struct qube__run *qube__life_new(struct qube__host *h, struct qube__vm *vm, uint32_t state);
void qube__life_halting(struct qube__run *r);
/* flags: QUBE_DOMAIN_START_*. */
int qube__life_start(struct qube__host *h, struct qube__vm *vm, struct qube__waiter *w,
		     uint32_t flags, qube_op *trace);
/* timeout_ms: 0: the qube's own; -1: for ever. */
int qube__life_shutdown(struct qube__host *h, struct qube__vm *vm, struct qube__waiter *w,
			uint32_t flags, int32_t timeout_ms);
int qube__life_kill(struct qube__host *h, struct qube__vm *vm, struct qube__waiter *w);
int qube__life_pause(struct qube__host *h, struct qube__vm *vm, bool pause);
/* Tells its waiters, at once if it is over. */
void qube__waiter_drop(struct qube__waiter *w);
/* A part of what the driver does for a run. */
void qube__life_on_stage(void *user, void *machine_user, const char *name);
/* op is told the parts of what r does from now on, unless a start is. */
void qube__life_trace(struct qube__run *r, qube_op *op);
void qube__life_on_machine(void *user, struct qube__machine *m, void *machine_user,
			   enum qube__machine_event event, int status);
/* From link.c: the agent answers, or the control channel ended. */
void qube__life_guest_up(struct qube__run *r);
/* Nobody can be called in the fake driver's, and in one whose feature qrexec is off, as a
 * unikernel's is. */
bool qube__life_has_agent(const struct qube__run *r);
bool qube__vm_has_agent(const struct qube__vm *vm);
/* Of one that runs: w is told when its agent answers, or not in time. False: it does now. */
bool qube__life_wait_for_agent(struct qube__run *r, struct qube__waiter *w);
void qube__life_guest_down(struct qube__run *r, const char *reason);
struct qube__run *qube__life_find_guest(struct qube__host *h, uint32_t guest);
static inline struct qube__run *qube__life_run(const struct qube__vm *vm)
{
	return vm->run;
}
/* Kills what runs and waits, bounded. */
void qube__life_end_all(struct qube__host *h);
/* A line of a qube's own log, already harmless. */
void qube__life_log(struct qube__host *h, const char *name, const char *line);
void qube__host_log_drop(struct qube__host *h, const char *name);
int qube__host_log_read(char **out, struct qube__host *h, const char *name);

/* --- memory.c: who may have how much --- */
void qube__memory_open(struct qube__host *h);
void qube__memory_close(struct qube__host *h);
/* What a machine begins with, and what it may ever have; KiB. */
uint64_t qube__memory_start_kb(const struct qube__vm *vm);
uint64_t qube__memory_max_kb(const struct qube__vm *vm);
/* Where a driver divides memory it must be there before a machine is made. */
bool qube__memory_needs_room(const struct qube__host *h);
/* 0: it is, and is kept for r. 1: others are giving it back, ask again. QUBE_E_LIMIT. */
int qube__memory_room(struct qube__run *r);
/* What it may use now; 0: nobody tells it. */
uint64_t qube__memory_target_kb(const struct qube__run *r);
/* The machine is made: what it has the driver knows. */
void qube__memory_made(struct qube__run *r);

/* --- link.c: the broker --- */
int qube__link_open(struct qube__host *h);
void qube__link_close(struct qube__host *h);
int qube__link_send(struct qube__host *h, const struct qube__rpc_msg *msg, const int *fds);
int qube__link_guest_add(struct qube__host *h, struct qube__run *r, int control_fd);
void qube__link_guest_del(struct qube__host *h, struct qube__run *r);
/* Where machines connect to each other: this one is no more. */
void qube__link_domain_gone(struct qube__host *h, const struct qube__run *r);
int qube__link_call(struct qube__host *h, struct qube__vm *vm, const struct qube_call_opts *o,
		    qube_op *op);
void qube__host_service_reply(struct qube__host *h, uint64_t request, const void *data, size_t len,
			      int exit_code);

/* --- ask.c: decisions --- */
void qube__ask_decide(struct qube__host *h, const struct qube__rpc_decide *d);
void qube__ask_ended(struct qube__host *h, const struct qube__rpc_call_end *e);
/* Was a call of this guest, of this service, with this target, allowed and not made yet? Once. */
bool qube__ask_claim(struct qube__host *h, const struct qube__rpc_host_service *s);
/* keep: disposables of calls that stand between qubes stay; bound ones end with their call. */
void qube__ask_close(struct qube__host *h, bool keep);
/* The agent of a bound disposable tells how many calls of others it serves. */
void qube__ask_bound(struct qube__run *r, uint32_t calls);

/* --- rules.c: the policy with the host's own view of the system --- */
int qube__rules_open(struct qube__host *h);
void qube__rules_close(struct qube__host *h);

/* --- volumes.c --- */
/* Pools of the volumes of a new qube, where the default ones are not for this host's driver. */
size_t qube__volumes_not_disks(struct qube__vm_pair out[2], struct qube__host *h,
			       uint32_t vm_class);
/* And of a root that no template begins: on a host of disks it is one. */
size_t qube__volumes_own_disk(struct qube__vm_pair out[1], const struct qube__host *h);
int qube__volumes_spec(struct qube__volume_spec *out, struct qube__pool **pool,
		       struct qube__host *h, struct qube__vm *vm, enum qube__slot slot);
/* The same while a pool is being opened, and not among the host's yet. */
int qube__volumes_spec_in(struct qube__volume_spec *out, struct qube__pool **pool,
			  struct qube__host *h, struct qube__vm *vm, enum qube__slot slot,
			  struct qube__pool *opening);
const char *qube__slot_name(enum qube__slot slot);
struct qube__pool *qube__host_pool(struct qube__host *h, const char *name);
int qube__pools_open(struct qube__host *h);
void qube__pools_close(struct qube__host *h);
/* Creates, or removes, the volumes of a qube on disk. */
int qube__volumes_create(struct qube__host *h, struct qube__vm *vm);
int qube__volumes_drop(struct qube__host *h, const char *owner);

/* --- domain.c, also for admin/ --- */
int qube__host_vm(struct qube__vm **out, struct qube__host *h, const char *name);
/* stats.c; percent: of one processor since the last look, 0 at the first; may be NULL. */
int qube__host_stats(struct qube__machine_stats *out, uint32_t *percent, struct qube__host *h,
		     const struct qube__vm *vm);
/* The state that everybody is told: dom0 and remote qubes always run. */
uint32_t qube__host_state(const struct qube__vm *vm);
/* QUBE_E_BUSY while the qube is cloned or is a clone that is being made. */
int qube__host_not_cloning(struct qube__host *h, const struct qube__vm *vm);
int qube__host_create(struct qube__vm **out, struct qube__host *h,
		      const struct qube_domain_create_opts *o, const char *creator);
int qube__host_destroy(struct qube__host *h, struct qube__vm *vm);
/* Who made it is gone: it stops, and goes with that. */
void qube__host_let_go(struct qube__host *h, const char *name, const char *uuid);
int qube__host_clone(struct qube__host *h, struct qube__vm *vm, const char *name, qube_op *op);
int qube__host_import(struct qube__host *h, const struct qube_template_import_opts *o, qube_op *op);
int qube__host_system_info(char **out, struct qube__host *h);
/* With their events. */
int qube__host_property_set(struct qube__host *h, struct qube__vm *vm, const char *name,
			    const char *value);
int qube__host_property_reset(struct qube__host *h, struct qube__vm *vm, const char *name);
int qube__host_global_set(struct qube__host *h, const char *name, const char *value);
int qube__host_global_reset(struct qube__host *h, const char *name);
int qube__host_tag(struct qube__host *h, struct qube__vm *vm, const char *tag, bool add);
int qube__host_feature(struct qube__host *h, struct qube__vm *vm, const char *name,
		       const char *value);
/* Tells of a change of that row of `of` (NULL: of the global row) what it changes for others that
 * set nothing of their own: by events, and of those that run in the log too. */
void qube__host_tell_followers(struct qube__host *h, const struct qube__vm *of, uint32_t row);
int qube__host_volume_info(struct qube_volume_info *out, struct qube__host *h, struct qube__vm *vm,
			   const char *name);
/* --- copy.c: files into and out of a qube, for a user of the host --- */
struct qube__host_copy {
	const struct qube_copy_opts *opts; /* checked by api/, or as api/ does */
	bool in;
	int works_fd; /* kept open, in a copy, until all is done or undone; -1: none */
	uid_t uid;
	gid_t gid;
};
int qube__host_copy(struct qube__host *h, struct qube__vm *vm, const struct qube__host_copy *req,
		    qube_op *op);
void qube__copies_close(struct qube__host *h);
/* --- volume_ops.c --- */
/* A volume by its name; QUBE_E_NOENT, or QUBE_E_NOTSUP where none are kept. */
int qube__host_volume_at(struct qube__volume_spec *spec, struct qube__pool **pool,
			 struct qube__host *h, struct qube__vm *vm, const char *name);
/* The rest as volume.h says; operations as of backend.h. */
int qube__host_volume_revisions(struct qube__strings *out, struct qube__host *h,
				struct qube__vm *vm, const char *name);
int qube__host_volume_revert(struct qube__host *h, struct qube__vm *vm, const char *name,
			     const char *revision);
int qube__host_volume_set(struct qube__host *h, struct qube__vm *vm, const char *name,
			  const char *key, const char *value);
int qube__host_volume_clear(struct qube__host *h, struct qube__vm *vm, const char *name);
int qube__host_volume_measure(struct qube__host *h, struct qube__vm *vm, const char *name,
			      qube_op *op);
int qube__host_volume_stream(struct qube__host *h, struct qube__vm *vm, const char *name, int fd,
			     bool in, qube_op *op);

#endif
