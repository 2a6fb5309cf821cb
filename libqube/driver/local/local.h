/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The local driver's own structs: one helper process (qube-box) for each machine. */
#ifndef QUBE_DRIVER_LOCAL_LOCAL_H
#define QUBE_DRIVER_LOCAL_LOCAL_H

#include "base/error.h"
#include "base/list.h"
#include "base/spawn.h"
#include "driver/driver.h"
#include "driver/local/proto.h"

#include <sys/un.h>

enum {
	QUBE__LOCAL_LINE_MAX = 1024, /* of a guest's log line, in the guest's bytes */
	QUBE__LOCAL_LINES_PER_S = 50,
	QUBE__LOCAL_LAYER_MAX = 64,
	QUBE__LOCAL_RECORD_MAX = 16384,
};

/* RUN_DIR/NAME/record: what a running machine is, for the host after this one. */
struct qube__local_record {
	char name[64];
	char uuid[40];
	char group[512]; /* "" or its path */
	uint32_t qid;
	uint32_t id_base;
	uint32_t unenforced; /* memory 1, vcpus 2, disk 4 */
	bool bound;
	uint64_t pid;
	uint64_t pid_start; /* in ticks since boot, as /proc tells it */
	uint64_t started_ms;
	uint32_t n_layers;
	char layers[QUBE__LAYERS_MAX][QUBE__LOCAL_LAYER_MAX];
};

/* ids.c: ranges of user ids, agreed upon with the other hosts of this machine. */
struct qube__local_ids {
	int dir;	/* -1 before open */
	uint32_t first; /* of the ids that are handed out */
	uint32_t count; /* how many ranges from there */
	const char *subuid;
	const char *subgid;
};

struct qube__local_driver {
	struct qube__driver base;
	struct qube__driver_env env;
	char *run_dir;
	char *box_path;
	char *guest_dir; /* "" if there is none */
	int run_fd;
	int agent_fd;  /* sealed memfd */
	int cgroup_fd; /* directory for the machines' groups, or -1 */
	char cgroup_path[1024];
	struct qube__local_ids ids;
	bool has_memory;
	bool has_cpu;
	bool has_pids;
	bool has_io;
	struct qube__list machines;
	unsigned int refs; /* ours and the machines' */
	bool closed;
};

enum qube__local_state {
	QUBE__LOCAL_CREATING,
	QUBE__LOCAL_HELD,
	QUBE__LOCAL_STARTING,
	QUBE__LOCAL_RUNNING,
	QUBE__LOCAL_ENDING, /* its processes are gone, its group not yet */
	QUBE__LOCAL_GONE,
};

struct qube__local_machine {
	struct qube__machine base;
	struct qube__local_driver *d;
	void *user;
	struct qube__list link;
	uint32_t state;
	bool killed; /* by us: its end is STOPPED, not FAILED */
	bool failed; /* err holds why */
	bool frozen;
	bool waits;	     /* for its volumes, however long they take */
	uint32_t unenforced; /* QUBE__LOCAL_NO_*: asked for and not enforced */
	char unenforced_text[48];
	int status;
	struct qube__err err;
	char name[64];
	char group[128]; /* "" if there is none */
	int group_fd;
	int groups_fd; /* where the group is; not always the driver's: the host may have moved */
	int dir_fd;    /* RUN_DIR/NAME */
	int sock;      /* to qube-box */
	int log_fd;
	struct qube__child launcher; /* pid 0: gone */
	struct qube__child box;
	uint64_t start_ms;
	uint32_t id_base;		   /* 0: none is held */
	pid_t id_pid;			   /* its box's, once they are passed on */
	struct qube__local_record *record; /* what the next host has to know */
	uint32_t box_version;		   /* of its protocol; 0: ours */
	struct qube__source sock_source;
	struct qube__source log_source;
	struct qube__source launcher_source;
	struct qube__source box_source;
	struct qube__timer deadline; /* of creating; of removing the group */
	uint32_t removals;
	char line[QUBE__LOCAL_LINE_MAX];
	size_t line_len;
	uint64_t log_window_ms;
	unsigned int log_lines;
	unsigned int log_dropped;
};

/* machine.c */
int qube__local_create(struct qube__driver *d, struct qube__machine **out, void *machine_user,
		       const struct qube__machine_spec *spec);
int qube__local_order(struct qube__local_machine *m, uint32_t type, uint32_t grace_ms);
int qube__local_kill(struct qube__local_machine *m);
void qube__local_signal(const struct qube__child *c); /* SIGKILL */
/* Kills and waits, at most until the time, without the loop and without events. */
void qube__local_end_now(struct qube__local_machine *m, uint64_t until_ms);
/* Gives back all that the ended machine held; it can only be released after. */
void qube__local_clean(struct qube__local_machine *m);
/* Closes all that this process has of it, and leaves it running. */
void qube__local_leave(struct qube__local_machine *m);
void qube__local_free(struct qube__local_machine *m);

int qube__local_new(struct qube__local_machine **out, struct qube__local_driver *d);
int qube__local_address(struct sockaddr_un *a, int dir_fd, const char *name);

/* record.c; pure but for the last two. The length, or QUBE_E_LIMIT. */
int qube__local_record_encode(char *buf, size_t cap, const struct qube__local_record *r);
/* 0, QUBE_E_NOTSUP (of a newer format), or QUBE_E_PROTO. out is filled in place. */
int qube__local_record_parse(struct qube__local_record *out, const char *untrusted, size_t len);
int qube__local_record_fill(struct qube__local_machine *m, const struct qube__machine_spec *spec);
int qube__local_record_write(struct qube__local_machine *m);
/* When a process began; QUBE_E_NOENT. */
/* How old a process is that began then: of the clock that runs from the boot on. */
uint64_t qube__local_age_ms(uint64_t pid_start);
int qube__local_pid_start(uint64_t *out, pid_t pid);

/* adopt.c */
/* Machines that a host before left: taken over, or ended. Ending takes two seconds at most. */
void qube__local_adopt(struct qube__local_driver *d);

/* ids.c */
int qube__local_ids_open(struct qube__local_ids *ids, const char *path);
/* The wanted range, or the next one that neither another host nor /etc/subuid has. It is this
 * process' until it is passed on, or given back. QUBE_E_LIMIT: there is none. */
int qube__local_ids_take(uint32_t *out, const struct qube__local_ids *ids, uint32_t wanted);
/* From now on it is in use as long as that process lives. QUBE_E_BUSY: it is another's. */
int qube__local_ids_pass(const struct qube__local_ids *ids, uint32_t base, pid_t pid);
/* What that process holds: ours, or one that is gone. */
void qube__local_ids_give(const struct qube__local_ids *ids, uint32_t base, pid_t pid);

/* local.c */
void qube__local_unref(struct qube__local_driver *d);

/* watch.c: what a machine says and when it ends */
int qube__local_watch(struct qube__local_machine *m);
/* It has to be set up within a minute from now. */
void qube__local_expect(struct qube__local_machine *m);
void qube__local_unwatch(struct qube__local_machine *m);

/* reclaim.c: what a dead host left */
/* QUBE_E_BUSY when another host has a machine of this name. Held until dir_fd is closed. */
int qube__local_claim(struct qube__local_machine *m);
/* Before the group is made, and after: whoever dies in between leaves a name. */
int qube__local_plan_group(struct qube__local_machine *m);
int qube__local_note_group(struct qube__local_machine *m);
void qube__local_forget_group(struct qube__local_machine *m);
/* Ends what a dead host left under this name, and removes its traces. False: it was not possible.
 */
bool qube__local_reclaim(struct qube__local_driver *d, const char *name, uint64_t until_ms);

/* cgroup.c */
/* The directory where groups may be made: *fd -1 and 0 when this machine has no cgroup v2. */
/* What the kernel can limit, from the root of the hierarchy. QUBE_E_NOTSUP: it is not mounted. */
int qube__local_cgroup_probe(bool *memory, bool *processors);
int qube__local_cgroup_open(struct qube__local_driver *d);
int qube__local_cgroup_make(struct qube__local_machine *m, const struct qube__machine_spec *spec);
/* limits.c: sets what it can and lists the rest. */
enum {
	QUBE__LOCAL_NO_MEMORY = 1,
	QUBE__LOCAL_NO_VCPUS = 2,
	QUBE__LOCAL_NO_DISK = 4,
	QUBE__LOCAL_NO_IO = 8,
	QUBE__LOCAL_NO_EPHEMERAL = 16,
	QUBE__LOCAL_NO_CORES = 32,
	QUBE__LOCAL_NO_ALL = 63,
};
/* Their names, ' ' between. */
const char *qube__local_limits_list(struct qube__local_machine *m);
int qube__local_group_put(struct qube__local_machine *m, const char *file, const char *value);
int qube__local_limits_set(struct qube__local_machine *m, const struct qube__machine_spec *spec);
/* memory.c */
/* Of the text of /proc/meminfo; QUBE_E_PROTO. */
int qube__local_meminfo_parse(uint64_t *total_kb, uint64_t *free_kb, const char *text);
int qube__local_host_memory(struct qube__driver *d, uint64_t *total_kb, uint64_t *free_kb);
/* False: the group has no account of it. */
bool qube__local_memory_stats(struct qube__machine_stats *out, int group);
uint64_t qube__local_memory_high(uint64_t target, uint64_t max);
int qube__local_memory_set(struct qube__local_machine *m, uint64_t target_kb);

int qube__local_cgroup_freeze(struct qube__local_machine *m, bool freeze);
/* True if every process of the group was killed. */
bool qube__local_cgroup_kill(struct qube__local_machine *m);
/* 0, or QUBE_E_BUSY while dying processes are in it. */
int qube__local_cgroup_remove(struct qube__local_machine *m);
void qube__local_cgroup_stats(struct qube__local_machine *m, struct qube__machine_stats *out);

#endif
