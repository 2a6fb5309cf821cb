/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pools and their volumes, as core uses them. A pool is the directory STATE/pools/NAME; its driver
 * says what is in it. Of the driver `tree`:
 *
 *   layers/ID/              immutable trees, shared by every volume that lists them
 *   images/KEY.img          what a list of layers shows, as a disk (for what takes block devices)
 *   volumes/OWNER/VOL.vol   revisions of a persistent layered volume (volume_file.h)
 *   volumes/OWNER/VOL/      a persistent tree, the guest's
 *   run/OWNER/VOL/          what a started volume writes into: {upper,work}, or a tree
 *   tmp/ trash/             made and deleted outside the caller's path
 *
 * and of `reflink` and `file`, which keep disks as raw images (block.h):
 *
 *   volumes/OWNER/VOL.img   the committed state; never written to, but replaced
 *   volumes/OWNER/VOL.N@SECONDS.img      an old one
 *   run/OWNER/VOL/          of a started volume: what it writes to, or another name of what it
 * reads
 *
 * Nothing here waits for a disk that holds a tree: what copies, deletes or flushes one is a job of
 * qube-worker. Such calls return 1 and report through `done` from the loop's dispatch; they return
 * 0 when nothing was left to do (then `done` is not called). Negative: failed, nothing changed.
 *
 * Open the machine drivers first: they find what outlived a dead host, and open() throws away what
 * others wrote into. A template's writes are kept: its next start goes on with them. */
#ifndef QUBE_STORAGE_POOL_H
#define QUBE_STORAGE_POOL_H

#include "event/loop.h"
#include "storage/storage.h"

enum {
	QUBE__POOL_NAME_MAX = 64, /* with its NUL */
	QUBE__OWNER_MAX = 32,
	QUBE__LAYER_ID_MAX = 16,
	QUBE__LAYERS_MERGE =
		12, /* a commit that makes more lets them be merged, behind the scenes */
	QUBE__LAYERS_FULL = 60, /* a template of so many layers does not start to be changed */
	QUBE__REVISIONS_MAX = 32,
};

struct qube__pool;
struct qube__pool_op;

struct qube__pool_env {
	struct qube__loop *loop;
	const char *state_dir;	 /* absolute, 0700, locked by the caller */
	const char *worker_path; /* absolute path of qube-worker */
	const char *driver;	 /* "tree", "reflink" or "file"; NULL: "tree" */
	void *user;
	/* Optional. Called once in open(), before what a dead host left is thrown away: the place
	 * for qube__volume_attach(). */
	int (*attach)(void *user, struct qube__pool *p);
	bool look_only; /* what a dead host left stays: its qubes may run */
	/* Optional. One harmless line; priority as syslog's. */
	void (*log)(void *user, int priority, const char *line);
};

/* One volume of a qube, as core's model has it. Borrowed for the call. */
struct qube__volume_spec {
	const char *owner; /* the qube */
	const char *name;  /* "root", "private", "volatile" */
	/* tree: LAYERED (root), TREE (private), TMPFS (volatile); reflink, file: BLOCK */
	uint32_t kind;
	bool block;	    /* the machine takes block devices, and nothing else */
	bool blank;	    /* BLOCK, kept: one that was never written to is a disk of zeroes */
	bool in_place;	    /* BLOCK: a file system is made in it, written to without a copy */
	bool snap_on_start; /* starts from source's committed state, is discarded at stop */
	bool save_on_stop;  /* persistent */
	bool read_only;
	const char *source; /* snap_on_start: owner of the source volume; NULL: empty */
	uint64_t size_bytes;
	int32_t revisions_to_keep; /* old states kept besides the current one */
	bool discard;		   /* save_on_stop: as if it were not, unless stop says KEEP */
};

struct qube__pool_cb {
	void *user;
	void (*progress)(void *user, uint64_t done, uint64_t total); /* optional */
	void (*note)(void *user, const char *line);		     /* optional */
	void (*stage)(void *user, const char *name); /* optional; a part, as core/op.c knows it */
	/* Once, from dispatch. code < 0: the thread's record says why. */
	void (*done)(void *user, int code);
};

struct qube__pool_info {
	uint64_t size_bytes; /* of the file system */
	uint64_t used_bytes;
	uint64_t free_bytes; /* what we may still write */
};

/* What its file system can do. */
struct qube__pool_look {
	char type[24];
	bool shares; /* copies share their data until one is written to */
	bool no_ids; /* it is known to shift no ids: qubes cannot start from it */
};

struct qube__revision {
	uint64_t number;
	int64_t time;	   /* seconds since the epoch */
	uint32_t n_layers; /* LAYERED */
	bool current;
};

struct qube__volume_info {
	bool exists; /* something of it is on disk */
	bool started;
	bool dirty;	      /* a crashed session left writes that the next start continues */
	bool outdated;	      /* started snapshot whose source has a newer state */
	uint32_t n_revisions; /* current first */
	struct qube__revision revisions[QUBE__REVISIONS_MAX];
};

/* QUBE_E_NOTSUP if its driver is unknown, or reflink and its file system shares no data. Creates
 * the pool's directory if there is none. The pool is bind-mounted on itself nosuid, nodev,
 * noexec until close (threat 32). name: letters, digits, '-', '_'. */
int qube__pool_open(struct qube__pool **out, const struct qube__pool_env *env, const char *name);
/* Running operations end with QUBE_E_CANCELED. Started volumes stay as they are on disk. */
void qube__pool_close(struct qube__pool *p);
/* Deletes a closed pool. QUBE_E_BUSY unless it holds no volume. */
int qube__pool_destroy(const struct qube__pool_env *env, const char *name);
const char *qube__pool_name(const struct qube__pool *p);
const char *qube__pool_driver(const struct qube__pool *p);
bool qube__pool_is_block(const struct qube__pool *p); /* its volumes are of kind BLOCK */
int qube__pool_info(struct qube__pool_info *out, struct qube__pool *p);
int qube__pool_look(struct qube__pool_look *out, struct qube__pool *p);
/* mke2fs is there: private disks and the images of layers can be made. */
bool qube__pool_makes_disks(void);
/* Calls fn for every owner that has something on disk, until it returns non-zero. */
int qube__pool_each_owner(struct qube__pool *p, int (*fn)(void *user, const char *owner),
			  void *user);

/* Makes nothing of a size: a layered volume gets an empty revision list, the others appear with
 * their first start. QUBE_E_EXISTS if the owner has this volume on disk; a qube that is not in the
 * model has leftovers only: qube__volumes_remove() first. */
int qube__volume_create(struct qube__pool *p, const struct qube__volume_spec *v);
/* All volumes of an owner at once, at the cost of a rename; deleted later. QUBE_E_BUSY while one is
 * started. Nothing there is success. */
int qube__volumes_remove(struct qube__pool *p, const char *owner);
/* The qube got another name. QUBE_E_BUSY while started, QUBE_E_EXISTS if `to` has something. */
int qube__volumes_rename(struct qube__pool *p, const char *from, const char *to);
/* dst's volume becomes a copy of src_owner's committed one of the same name: layers are shared, a
 * tree is copied (reflinks where the file system has them). src must not be started if it is a
 * tree. 0, 1 (see above) or an error. out_op may be NULL. */
int qube__volume_clone(struct qube__pool_op **out_op, struct qube__pool *p,
		       const struct qube__volume_spec *dst, const char *src_owner,
		       const struct qube__pool_cb *cb);
int qube__volume_info(struct qube__volume_info *out, struct qube__pool *p,
		      const struct qube__volume_spec *v);
/* Allocated bytes of a volume; reported through usage, then done. Shared layers count in full. */
int qube__volume_usage(struct qube__pool *p, const struct qube__volume_spec *v,
		       void (*usage)(void *user, uint64_t bytes), const struct qube__pool_cb *cb);
/* The revision becomes the current state (as a new revision). QUBE_E_BUSY while started. */
int qube__volume_revert(struct qube__pool *p, const struct qube__volume_spec *v, uint64_t revision);

/* The volume is empty, as when it was new; a layered one can be reverted. QUBE_E_BUSY while in use.
 */
int qube__volume_clear(struct qube__pool *p, const struct qube__volume_spec *v);
/* Its committed content as a tar file (BLOCK: the raw image) to fd (borrowed); a tree's only while
 * it is not started. A reader that stalls delays nobody. Always 1 or an error. */
int qube__volume_export(struct qube__pool_op **out_op, struct qube__pool *p,
			const struct qube__volume_spec *v, int fd, const struct qube__pool_cb *cb);
/* A tar file (BLOCK: a raw image) from fd (borrowed; a file or a stream) takes the place of its
 * content, at once or not at all. QUBE_E_BUSY while in use. Always 1 or an error. */
int qube__volume_import(struct qube__pool_op **out_op, struct qube__pool *p,
			const struct qube__volume_spec *v, int fd, const struct qube__pool_cb *cb);

/* What must be copied or made before start: a disposable's private volume, the work copy of an
 * image, a private disk, the image of layers. 0, 1 or an error. */
int qube__volume_prepare(struct qube__pool_op **out_op, struct qube__pool *p,
			 const struct qube__volume_spec *v, const struct qube__pool_cb *cb);
/* What starting a volume gives that is still being prepared; there is nothing yet. out is owned. */
int qube__volume_expect(struct qube__volume_run *out, struct qube__pool *p,
			const struct qube__volume_spec *v);
/* Fills out for the driver; the volume is started until stop. out is owned:
 * qube__volume_run_fini(). */
int qube__volume_start(struct qube__volume_run *out, struct qube__pool *p,
		       const struct qube__volume_spec *v);
/* The volume is in use by a machine that runs on from a host before: as after start, and nothing
 * on disk is touched. layers: what it runs on (LAYERED). */
int qube__volume_attach(struct qube__pool *p, const struct qube__volume_spec *v,
			const char *const *layers, uint32_t n_layers);
/* The machine is gone. A persistent layered volume's writes become its new current layer (1: `done`
 * follows); a snapshot's are discarded, and so are those of a session that began with discard,
 * also by whoever opens the pool after a crash. On failure a persistent volume's writes are kept
 * for the next start. */
enum {
	QUBE__STOP_AS_STARTED = 0,
	QUBE__STOP_DISCARD = 1, /* a persistent layered volume's writes of this session go */
	QUBE__STOP_KEEP = 2	/* they are committed though the session began with discard */
};
int qube__volume_stop(struct qube__pool_op **out_op, struct qube__pool *p,
		      const struct qube__volume_spec *v, uint32_t how,
		      const struct qube__pool_cb *cb);

struct qube__import {
	const char *owner;	     /* whose layered volume "root" is made */
	const char *host_root;	     /* NULL: "/" */
	const char *const *packages; /* besides the default set */
	uint32_t n_packages;
	uint32_t flags;	       /* QUBE__IMPORT_* */
	const char *format;    /* "tar" or "oci": out of source; NULL: from the host */
	int source;	       /* with format: the file or directory */
	const char *key;       /* with format: public key as text, or NULL */
	const char *signature; /* with a key: as text */
	/* Optional: called once, before anything is written, with cb's user. */
	void (*plan)(void *user, uint64_t packages, uint64_t files, uint64_t bytes);
};

enum {
	QUBE__IMPORT_KEEP_SETID = 1,  /* keep setuid and setgid bits; dropped by default */
	QUBE__IMPORT_NO_DEFAULTS = 2, /* only the named packages and what they depend on */
	QUBE__IMPORT_PLAN_ONLY = 4,   /* report the plan, make nothing */
};

/* Copies the files of installed packages, or unpacks, into a new template. Always 1 or an error;
 * the volume appears at once or not at all. Files and settings that no package owns do not come
 * along. */
int qube__import_host(struct qube__pool_op **out_op, struct qube__pool *p,
		      const struct qube__import *req, const struct qube__pool_cb *cb);

/* done follows with QUBE_E_CANCELED, or with success if that was faster. An op is valid until its
 * done was called. */
void qube__pool_op_cancel(struct qube__pool_op *op);

#endif
