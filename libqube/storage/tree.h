/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tree pool from inside. Directories of the pool are held open: what somebody does to the path
 * above them does not move our writes. */
#ifndef QUBE_STORAGE_TREE_H
#define QUBE_STORAGE_TREE_H

#include "base/list.h"
#include "event/job.h"
#include "storage/pool.h"
#include "storage/volume_file.h"

enum { QUBE__TREE_NAME_MAX = 64 }; /* of an entry of tmp/ or trash/ */
/* Beside upper: what is written there is thrown away by whoever finds it without a machine. */
#define QUBE__TREE_DISCARD "discard"

struct qube__pool {
	struct qube__pool_env env;
	char *state_dir;
	char *worker_path;
	char *path; /* STATE/pools/NAME */
	char name[QUBE__POOL_NAME_MAX];
	int dir, layers, volumes, run, tmp, trash;
	bool mounted; /* the bind mount is ours to undo */
	bool closing;
	struct qube__helper *front; /* somebody waits */
	struct qube__helper *back;  /* removal */
	struct qube__helper *merge; /* layers; it may read their marks */
	bool emptying;
	bool empty_again;
	struct qube__list ops;
	struct qube__list ended; /* ops whose helper is still calling them */
	struct qube__list started;
};

/* A volume between start and the end of its stop. */
struct qube__started {
	struct qube__list link;
	char owner[QUBE__OWNER_MAX];
	char name[QUBE__OWNER_MAX];
	uint32_t kind;
	bool persistent;
	bool discard; /* persistent, but not this session */
	bool stopping;
	char source[QUBE__OWNER_MAX];	  /* empty: none */
	struct qube__volume_state *state; /* LAYERED: what it runs on; owned */
};

/* An operation: one job after the other. finish runs after each successful one; 1: another runs. */
struct qube__pool_op {
	struct qube__list link;
	struct qube__pool *p;
	struct qube__pool_cb cb;
	struct qube__job *job;
	int (*finish)(struct qube__pool_op *op, const struct qube__job_reply *result);
	void (*failed)(struct qube__pool_op *op); /* optional; before done */
	void (*plan)(void *user, uint64_t packages, uint64_t files, uint64_t bytes);
	void (*usage)(void *user, uint64_t bytes);
	char owner[QUBE__OWNER_MAX];
	char name[QUBE__OWNER_MAX];
	char temp[QUBE__LAYER_ID_MAX];	   /* entry of tmp/ that goes to the trash on failure */
	struct qube__helper *own;	   /* what may wait for somebody has a helper of its own */
	struct qube__posted end;	   /* frees the op and its helper */
	int fd;				   /* of a stream: -1, or where from or to */
	bool quiet;			   /* nobody asked for it: it holds up nothing */
	struct qube__volume_state *merged; /* flatten: the list; owned */
	int32_t keep;
	uint64_t bytes;
	struct qube__volume_run parts; /* usage: the directories left to count */
	uint32_t next;
};

/* pool.c */
bool qube__tree_name_ok(const char *name);
int qube__tree_check_spec(const struct qube__volume_spec *v);
/* As qube__fail_os; a full disk is QUBE_E_LIMIT and says so. */
int qube__tree_fail(struct qube__pool *p, const char *what, const char *name);
void qube__tree_log(struct qube__pool *p, int priority, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int qube__tree_random_id(char out[QUBE__LAYER_ID_MAX]);
/* An entry goes out of sight now and is deleted later. Nothing there is success. */
int qube__tree_trash(struct qube__pool *p, int dir, const char *name);
void qube__tree_empty_trash(struct qube__pool *p);

/* layers.c */
/* QUBE_E_NOENT if the volume has no file. f is large: its memory is the caller's. */
int qube__tree_read_file(struct qube__pool *p, struct qube__volume_file *f, const char *owner,
			 const char *name);
int qube__tree_write_file(struct qube__pool *p, const struct qube__volume_file *f,
			  const char *owner, const char *name);
bool qube__tree_has_file(struct qube__pool *p, const char *owner, const char *name);
/* Layers that no volume lists and nothing runs on go to the trash. */
int qube__tree_collect(struct qube__pool *p);
/* Commits that a crash interrupted are completed or taken back. */
int qube__tree_recover(struct qube__pool *p);
/* Calls fn for each volume file of the pool, until it returns non-zero. */
int qube__tree_each_file(struct qube__pool *p,
			 int (*fn)(struct qube__pool *p, void *user, const char *owner,
				   const char *name),
			 void *user);
/* run/OWNER/VOL/upper becomes a layer of the volume. */
int qube__tree_commit(struct qube__pool *p, const char *owner, const char *name, int32_t keep);

/* merge.c: begins to merge the layers of a volume that has many. */
void qube__tree_merge(struct qube__pool *p, const char *owner, const char *name);
/* All volumes that have many. */
void qube__tree_merge_all(struct qube__pool *p);

/* op->merged is not read any more: what only it needed is collected. */
void qube__tree_let_layers_go(struct qube__pool_op *op);

/* stream.c: exports and imports end, and what is left of those that did. */
void qube__tree_drop_streams(struct qube__pool *p);

/* op.c */
enum { QUBE__TREE_KEEP_FREE = 64 * 1024 * 1024 }; /* what an import leaves for what runs */
/* tmp/TEMP goes among the layers, flushed. */
int qube__tree_place_layer(struct qube__pool_op *op);
int qube__tree_op_new(struct qube__pool_op **out, struct qube__pool *p, const char *owner,
		      const char *name, const struct qube__pool_cb *cb);
void qube__tree_op_free(struct qube__pool_op *op);
int qube__tree_op_job(struct qube__pool_op *op, const struct qube__job_request *req,
		      const int *fds);
int qube__tree_op_job_on(struct qube__pool_op *op, struct qube__helper *helper,
			 const struct qube__job_request *req, const int *fds);
/* A copy of directory src into tmp/; finish moves it. */
int qube__tree_op_copy(struct qube__pool_op *op, int src);

/* run.c */
struct qube__started *qube__tree_find_started(struct qube__pool *p, const char *owner,
					      const char *name);
/* A volume of the owner is started, copied, imported ... */
bool qube__tree_owner_busy(struct qube__pool *p, const char *owner);
bool qube__tree_owner_started(struct qube__pool *p, const char *owner);
/* Opens (and with make makes) OWNER below volumes/ or run/. -1 with errno. */
int qube__tree_owner_dir(int dir, const char *owner, bool make);
bool qube__tree_exists(int dir, const char *owner, const char *entry);

#endif
