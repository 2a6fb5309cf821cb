/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A pool from inside: what its drivers share. Directories of the pool are held open: what somebody
 * does to the path above them does not move our writes. */
#ifndef QUBE_STORAGE_INSIDE_H
#define QUBE_STORAGE_INSIDE_H

#include "base/list.h"
#include "event/job.h"
#include "storage/pool.h"
#include "storage/volume_file.h"

/* In the directory of a session: what it writes is thrown away by whoever finds it without a
 * machine. */
#define QUBE__POOL_DISCARD "discard"

/* A driver: how a pool keeps its volumes. Members are what pool.h says of qube__volume_X(). */
struct qube__pool_driver {
	const char *name;
	uint32_t kinds; /* of volumes: a bit each */
	/* The driver's own directories and helpers. */
	int (*open)(struct qube__pool *p);
	/* What a dead host left. */
	int (*clean_up)(struct qube__pool *p);
	int (*remove)(struct qube__pool *p, const char *owner);
	int (*create)(struct qube__pool *p, const struct qube__volume_spec *v);
	int (*clone)(struct qube__pool_op **out_op, struct qube__pool *p,
		     const struct qube__volume_spec *dst, const char *src_owner,
		     const struct qube__pool_cb *cb);
	int (*info)(struct qube__volume_info *out, struct qube__pool *p,
		    const struct qube__volume_spec *v);
	int (*usage)(struct qube__pool *p, const struct qube__volume_spec *v,
		     void (*usage)(void *user, uint64_t bytes), const struct qube__pool_cb *cb);
	int (*revert)(struct qube__pool *p, const struct qube__volume_spec *v, uint64_t revision);
	int (*clear)(struct qube__pool *p, const struct qube__volume_spec *v);
	int (*export)(struct qube__pool_op **out_op, struct qube__pool *p,
		      const struct qube__volume_spec *v, int fd, const struct qube__pool_cb *cb);
	int (*import)(struct qube__pool_op **out_op, struct qube__pool *p,
		      const struct qube__volume_spec *v, int fd, const struct qube__pool_cb *cb);
	int (*prepare)(struct qube__pool_op **out_op, struct qube__pool *p,
		       const struct qube__volume_spec *v, const struct qube__pool_cb *cb);
	int (*expect)(struct qube__volume_run *out, struct qube__pool *p,
		      const struct qube__volume_spec *v);
	int (*start)(struct qube__volume_run *out, struct qube__pool *p,
		     const struct qube__volume_spec *v);
	int (*attach)(struct qube__pool *p, const struct qube__volume_spec *v,
		      const char *const *layers, uint32_t n_layers);
	int (*stop)(struct qube__pool_op **out_op, struct qube__pool *p,
		    const struct qube__volume_spec *v, uint32_t how,
		    const struct qube__pool_cb *cb);
	int (*import_host)(struct qube__pool_op **out_op, struct qube__pool *p,
			   const struct qube__import *req, const struct qube__pool_cb *cb);
};

extern const struct qube__pool_driver qube__tree_driver;
extern const struct qube__pool_driver qube__reflink_driver;
extern const struct qube__pool_driver qube__file_driver;

struct qube__pool {
	const struct qube__pool_driver *driver;
	struct qube__pool_env env;
	char *state_dir;
	char *worker_path;
	char *path; /* STATE/pools/NAME */
	char name[QUBE__POOL_NAME_MAX];
	int dir, volumes, run, tmp, trash;
	int layers, images; /* tree */
	bool mounted;	    /* the bind mount is ours to undo */
	bool closing;
	struct qube__helper *front; /* somebody waits */
	struct qube__helper *back;  /* removal */
	struct qube__helper *merge; /* tree: layers; it may read their marks */
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
	bool in_place;
	bool fresh; /* BLOCK, persistent: what it writes to was made for this session */
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
	char from[QUBE__LAYER_ID_MAX];	   /* as temp: what temp is made of */
	bool makes;			   /* tree: the image called name, for all that wait */
	void *waits;			   /* tree: for what another op makes; that one's user */
	struct qube__helper *second;	   /* of its second job */
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

/* filesystem.c: a copy of a file shares its data. */
bool qube__pool_shares(const struct qube__pool *p);

/* pool.c */
bool qube__pool_name_ok(const char *name);
int qube__pool_check_spec(const struct qube__pool *p, const struct qube__volume_spec *v);
/* As qube__fail_os; a full disk is QUBE_E_LIMIT and says so. */
int qube__pool_fail(struct qube__pool *p, const char *what, const char *name);
void qube__pool_log(struct qube__pool *p, int priority, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int qube__pool_random_id(char out[QUBE__LAYER_ID_MAX]);
/* An entry goes out of sight now and is deleted later. Nothing there is success. */
int qube__pool_trash(struct qube__pool *p, int dir, const char *name);
void qube__pool_empty_trash(struct qube__pool *p);
int qube__pool_open_part(struct qube__pool *p, int *out, const char *name);

/* volume.c */
struct qube__started *qube__pool_find_started(struct qube__pool *p, const char *owner,
					      const char *name);
/* A volume of the owner is started, copied, imported ... */
bool qube__pool_owner_busy(struct qube__pool *p, const char *owner);
bool qube__pool_owner_started(struct qube__pool *p, const char *owner);
/* Opens (and with make makes) OWNER below volumes/ or run/. -1 with errno. */
int qube__pool_owner_dir(int dir, const char *owner, bool make);
bool qube__pool_exists(int dir, const char *owner, const char *entry);
/* Of a session that ended badly, in run/OWNER: what was to be discarded goes now; what it wrote
 * (content) is gone on with, unless the next one were to discard that too. */
int qube__pool_check_leftovers(struct qube__pool *p, int owner, const struct qube__volume_spec *v,
			       const char *content);
/* Said on the disk, before there is anything to discard: it holds after a crash too. */
int qube__pool_mark_discard(struct qube__pool *p, int owner, int dir, const char *name);
bool qube__pool_marked_discard(struct qube__pool *p, const char *owner, const char *name);
/* All that a session wrote, out of sight. */
int qube__pool_throw_away(struct qube__pool *p, const char *owner, const char *name);
/* An op's failed: a commit that failed leaves the writes to the next start. */
void qube__pool_stop_failed(struct qube__pool_op *op);
/* Its volumes/OWNER and run/OWNER, out of sight. */
int qube__pool_remove_owner(struct qube__pool *p, const char *owner);
/* An export or import of it is under way. */
bool qube__pool_is_worked_on(struct qube__pool *p, const char *owner, const char *name);
int qube__pool_remember(struct qube__pool *p, const struct qube__volume_spec *v,
			struct qube__volume_state *state);
void qube__pool_forget(struct qube__started *s);

/* op.c */
enum { QUBE__POOL_KEEP_FREE = 64 * 1024 * 1024 }; /* what an import leaves for what runs */
int qube__pool_op_new(struct qube__pool_op **out, struct qube__pool *p, const char *owner,
		      const char *name, const struct qube__pool_cb *cb);
void qube__pool_op_free(struct qube__pool_op *op);
int qube__pool_op_job(struct qube__pool_op *op, const struct qube__job_request *req,
		      const int *fds);
int qube__pool_op_job_on(struct qube__pool_op *op, struct qube__helper *helper,
			 const struct qube__job_request *req, const int *fds);
/* A copy of directory src into tmp/; finish moves it. */
int qube__pool_op_copy(struct qube__pool_op *op, int src);
/* Makes tmp/TEMP a file system of the tree, or, of so many bytes, with nothing in it (-1; flags:
 * QUBE__JOB_EMPTY, QUBE__JOB_NO_JOURNAL), with a helper of its own. */
int qube__pool_op_make_fs(struct qube__pool_op *op, int tree, uint32_t flags, uint64_t number);
/* An operation that waits for somebody at fd, with a helper of its own. */
int qube__pool_new_stream(struct qube__pool_op **out, struct qube__pool *p,
			  const struct qube__volume_spec *v, int fd, const struct qube__pool_cb *cb,
			  const char *option);
/* Those end, and what is left of those that did. */
void qube__pool_drop_streams(struct qube__pool *p);

#endif
