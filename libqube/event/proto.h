/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Messages between the library and a file helper (qube-worker): one message a SOCK_SEQPACKET
 * record, numbers little-endian. The library asks, one job at a time on a helper; the helper
 * answers with any number of progress records and one last DONE. Directories travel as descriptors:
 * a helper gets no path of the host. Pure code: codes only, no error record. */
#ifndef QUBE_EVENT_PROTO_H
#define QUBE_EVENT_PROTO_H

#include <stddef.h>
#include <stdint.h>

enum {
	QUBE__JOB_MSG_MAX = 64 * 1024, /* one record */
	QUBE__JOB_ARGS_MAX = 512,
	QUBE__JOB_FDS_MAX = 2,
	QUBE__JOB_TEXT_MAX = 700, /* with its NUL */
};

enum qube__job_type {
	/* fd 0: the root of the tree to copy; fd 1: directory in which args[0] is made. */
	QUBE__JOB_COPY_TREE = 1,
	/* fd 0: directory; args[0]: the entry that goes with all below it. No argument: all
	 * entries of fd 0 go, fd 0 stays. */
	QUBE__JOB_REMOVE_TREE = 2,
	/* fd 0: the tree; counts allocated bytes and entries. */
	QUBE__JOB_USAGE = 3,
	/* fd 0: the host's root (read-only); fd 1: directory in which args[0] is made; args[1...]:
	 * packages to include besides the default set. number: bytes that must stay free. */
	QUBE__JOB_IMPORT_HOST = 4,
	/* fd 0: a directory of the file system to flush, or a file. */
	QUBE__JOB_SYNC = 5,
	/* fd 0: a file, without a key also a stream, or the directory of an image; fd 1: directory
	 * in which args[0] is made; args[1]: "tar" or "oci"; args[2], args[3]: public key and
	 * signature of minisign as text, or "" for none. number: bytes that must stay free. */
	QUBE__JOB_IMPORT_ARCHIVE = 7,
	/* fd 0: the directory of layers; fd 1: directory in which args[0] is made; args[1...]:
	 * names of layers, newest first. One tree that shows what an overlay of them shows;
	 * flushed. */
	QUBE__JOB_FLATTEN = 8,
	/* fd 0: the root of a tree; fd 1: what a tar file of it is written to. */
	QUBE__JOB_EXPORT = 9,
	/* fd 0: a file or directory; fd 1: what it is written to as a stream of wire/copy.h, in
	 * which it is called args[0]. */
	QUBE__JOB_SEND = 10,
	/* fd 0: such a stream; fd 1: directory in which args[0] is made, called args[1] until all
	 * of it is there. number: bytes that are taken at most, 0: what fits. */
	QUBE__JOB_RECEIVE = 11,
	/* fd 0: an image; fd 1: directory in which args[0] is made as a copy of it, with its holes
	 * and its time. */
	QUBE__JOB_COPY_IMAGE = 12,
	/* fd 0: an image; fd 1: what its bytes are written to. */
	QUBE__JOB_EXPORT_IMAGE = 13,
	/* fd 0: a file or stream of an image's bytes; fd 1: directory in which args[0] is made of
	 * them, flushed. number: bytes that must stay free. */
	QUBE__JOB_IMPORT_IMAGE = 14,
	/* fd 0: a tree; fd 1: a detached mount of an empty file, which becomes an ext4 of the tree,
	 * flushed. number: bytes that must stay free; with EMPTY its size. For a helper with the
	 * option --programs, which does one such job. */
	QUBE__JOB_MAKE_FS = 15,
	/* Ends the running job; no descriptor. Answered by that job's DONE. */
	QUBE__JOB_CANCEL = 6,
};

enum {
	/* IMPORT_*: keep setuid and setgid bits, dropped by default, and capabilities. */
	QUBE__JOB_KEEP_SETID = 2,
	/* IMPORT_HOST: report the plan (packages, files, bytes) and write nothing. */
	QUBE__JOB_PLAN_ONLY = 4,
	/* IMPORT_HOST: nothing but the packages named (and what they depend on). */
	QUBE__JOB_NO_DEFAULTS = 8,
	/* RECEIVE: what has the name already is replaced; directories are joined. */
	QUBE__JOB_REPLACE = 16,
	/* COPY_IMAGE: it is on the disk before it is said to be done. */
	QUBE__JOB_FLUSH = 32,
	/* MAKE_FS: nothing is in it; fd 0 is any, as it is not looked at. */
	QUBE__JOB_EMPTY = 64,
	/* MAKE_FS: it has no journal, as what is thrown away or never written to needs none. */
	QUBE__JOB_NO_JOURNAL = 128,
	/* SYNC: fd 0 is a file, and nothing else is flushed. */
	QUBE__JOB_ONE_FILE = 256,
};

/* Where mke2fs is, on the machines that have it; the last is NULL. */
#define QUBE__JOB_MKE2FS                                                                           \
	"/usr/sbin/mke2fs", "/sbin/mke2fs", "/usr/bin/mke2fs", "/usr/local/sbin/mke2fs", NULL

struct qube__job_request {
	uint32_t type; /* enum qube__job_type */
	uint32_t flags;
	uint32_t id; /* set by the job room */
	uint32_t n_args;
	uint64_t number;
	const char *args[QUBE__JOB_ARGS_MAX]; /* parse: borrowed from the message */
};

enum qube__job_answer {
	QUBE__JOB_PROGRESS = 1, /* done, total */
	QUBE__JOB_NOTE = 2,	/* text: something left out, for the log */
	QUBE__JOB_DONE = 3,	/* code, os_errno, text; done (bytes), files ... */
	QUBE__JOB_STAGE = 5,	/* done: what it does now, QUBE__JOB_AT_* */
	QUBE__JOB_PLAN = 4,	/* IMPORT_*: packages, files, total (bytes) */
};

enum {
	QUBE__JOB_AT_COPY = 0,
	QUBE__JOB_AT_VERIFY = 1,
	QUBE__JOB_AT_UNPACK = 2,
	QUBE__JOB_AT_WRITE = 3,
	QUBE__JOB_AT_SETTINGS = 4,
	QUBE__JOB_AT_FLUSH = 5,
	QUBE__JOB_STAGES = 6,
};

struct qube__job_reply {
	uint32_t kind; /* enum qube__job_answer */
	uint32_t id;
	int32_t code; /* 0 or QUBE_E_* */
	int32_t os_errno;
	uint64_t done;	/* bytes so far; DONE: bytes */
	uint64_t total; /* bytes in all */
	uint64_t files;
	uint64_t packages;
	uint64_t skipped; /* entries left out: sockets, devices */
	char text[QUBE__JOB_TEXT_MAX];
};

/* The number of bytes written, or QUBE_E_LIMIT / QUBE_E_INVALID. */
int qube__job_request_encode(void *buf, size_t cap, const struct qube__job_request *req);
int qube__job_reply_encode(void *buf, size_t cap, const struct qube__job_reply *reply);
/* Whole record or QUBE_E_PROTO; out is untouched on failure. */
int qube__job_request_parse(struct qube__job_request *out, const void *untrusted, size_t len);
int qube__job_reply_parse(struct qube__job_reply *out, const void *untrusted, size_t len);
/* How many descriptors a request of that type carries, or -1 for an unknown type. */
int qube__job_type_fds(uint32_t type);

#endif
