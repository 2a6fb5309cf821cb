/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-worker: file jobs in a jail. It holds no path of the host, only the directories that came
 * with the job; each entry is reached by one descriptor and one name, never through a symlink. */
#ifndef QUBE_WORKER_H
#define QUBE_WORKER_H

#include "event/proto.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* The running job: where its reports go, and its counters. */
struct worker_job {
	int sock; /* -1: in a test, nothing is sent and nothing can cancel */
	uint32_t id;
	uint32_t flags;
	uint64_t done;
	uint64_t total;
	uint64_t files;
	uint64_t packages;
	uint64_t skipped;
	uint32_t ticks;
	uint64_t reported_ms;
	uint32_t notes;
	bool no_clone;			   /* FICLONE does not work here */
	void (*on_note)(const char *line); /* in a test */
};

/* report.c: 0, QUBE_E_CANCELED when the library asked to stop, QUBE_E_CLOSED when it is gone. */
int worker_tick(struct worker_job *job);
/* The same, at once. */
int worker_report(struct worker_job *job);
/* Waits until fd is ready for poll's events, or for a moment. As worker_tick. */
int worker_wait(struct worker_job *job, int fd, short events);
void worker_plan(struct worker_job *job);
void worker_stage(struct worker_job *job, uint32_t stage); /* QUBE__JOB_AT_* */
void worker_note(struct worker_job *job, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int worker_done(struct worker_job *job, int code);

/* files.c */
/* openat2 below dir: one entry or a path, no symlink, no magic link, not above dir. */
int worker_open(int dir, const char *path, int flags, uint64_t extra_resolve);
int worker_copy_data(struct worker_job *job, int src, int dst, const struct stat *st,
		     const char *name);

/* copy.c: entries of one tree become entries of another; sockets and devices are left out. */
struct worker_copy {
	struct worker_job *job;
	int links; /* directory of first copies of files with several names, by inode number */
	char links_name[32];
	char *names; /* of attributes */
	char *value;
	bool sockets;	      /* they come along */
	uint64_t share_bytes; /* not 0: files of so many become one more name of the same file where
				 they cannot be cloned; for trees that nobody changes */
};

/* What is kept of the attributes of a file; the rest belongs to the host. */
bool worker_keep_xattr(const char *name);
int worker_copy_begin(struct worker_copy *w, struct worker_job *job, int parent);
/* Anything but a directory. */
int worker_copy_entry(struct worker_copy *w, int from, int to, const struct stat *st,
		      const char *name);
/* Descriptors of two files or directories. */
int worker_copy_attributes(struct worker_copy *w, int src, int dst, const struct stat *st,
			   const char *name);
/* r, or what went wrong now. */
int worker_copy_end(struct worker_copy *w, int parent, int r);

/* flatten.c: layers (names in directory layers, newest first) as overlayfs shows them become one
 * tree: parent/name. Big files are shared with them. */
int worker_flatten(struct worker_job *job, int layers, int parent, const char *name,
		   const char *const *list, size_t n);

/* transfer.c: a file or directory into and out of a qube, as the user who asked. */
int worker_send(struct worker_job *job, int what, int out, const char *name);
/* args: its name, and what it is called until it is whole. */
int worker_receive(struct worker_job *job, int in, int dir, const char *const *args,
		   uint64_t max_bytes);

/* export.c: a tree as a tar file. */
int worker_export(struct worker_job *job, int root, int out);

/* image.c: what a guest has as a disk; bytes, of which nothing is looked at. */
int worker_copy_image(struct worker_job *job, int src, int parent, const char *name);
int worker_export_image(struct worker_job *job, int src, int out);
int worker_import_image(struct worker_job *job, int in, int parent, const char *name,
			uint64_t keep_free);

/* walk.c: a tree that may mean harm, entry by entry and by descriptors. */
struct worker_level {
	DIR *src;
	int dst; /* -1: only looked at */
	struct stat st;
};

struct worker_walk {
	struct worker_job *job;
	struct worker_level *levels;
	size_t depth;
	size_t room;
	struct worker_copy copy;
	void *user;
	/* An entry: 0 or an error; directories are entered by worker_walk_enter(). */
	int (*entry)(struct worker_walk *w, struct worker_level *l, const char *name);
	/* Optional: all of a directory was seen. */
	int (*left)(struct worker_walk *w, struct worker_level *l);
};

void worker_walk_fini(struct worker_walk *w);
#define worker_autowalk __attribute__((cleanup(worker_walk_fini))) struct worker_walk
/* src and dst become the walk's, also on failure. */
int worker_walk_push(struct worker_walk *w, int src, int dst, const char *name);
/* l may have moved behind it. */
int worker_walk_enter(struct worker_walk *w, struct worker_level *l, const char *name);
int worker_walk_all(struct worker_walk *w);
/* No path of a program is longer than 4096 bytes, so no honest tree is deeper. */
enum { WORKER_DEPTH_MAX = 4000 };

/* tree.c */
int worker_copy_tree(struct worker_job *job, int src, int parent, const char *name);
int worker_usage(struct worker_job *job, int root);
/* remove.c: name NULL: everything in parent, but not parent. */
int worker_remove_tree(struct worker_job *job, int parent, const char *name);
/* import.c */
int worker_import(struct worker_job *job, int host, int parent, const char *name,
		  const char *const *packages, size_t n_packages, uint64_t keep_free);

/* What a worker is for. */
struct worker_role {
	bool layers;   /* it makes and removes layers */
	bool programs; /* it does one MAKE_FS, for which it runs a program */
	bool reader;   /* nothing but reading, of whatever is there */
	bool as;       /* it copies files for uid and gid, with their rights alone */
	uid_t uid;
	gid_t gid;
};

/* jail.c: gives up everything that a job does not need. */
int worker_jail(int channel, const struct worker_role *role);

/* Before the program: no right is left but to read whatever is there. */
int worker_jail_program(void);

/* programs.c: a root with what the machine's programs are, and nothing else; read-only. */
int worker_program_root(void);
/* mkfs.c */
int worker_make_fs(struct worker_job *job, int tree, int image_mount, uint64_t number);

#endif
