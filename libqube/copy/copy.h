/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One file or directory as a stream (wire/copy.h), and back. Both ends of a copy are made of this:
 * the worker on the host, qube-copy in the qube. It blocks, so it is for programs that do nothing
 * else. */
#ifndef QUBE_COPY_COPY_H
#define QUBE_COPY_COPY_H

#include "wire/copy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QUBE__COPY_PIECE = 64 * 1024, QUBE__COPY_ENTRIES_MAX = 1000000 };

struct qube__copy {
	int fd; /* the stream; may be one that does not block */
	void *user;
	/* Optional; an error ends the copy. */
	int (*tick)(struct qube__copy *c);		 /* often */
	int (*wait)(struct qube__copy *c, short events); /* fd is not ready for poll's events */
	void (*left)(struct qube__copy *c, const char *name); /* an entry that is left out */
	uint64_t done;					      /* bytes of files so far */
	uint64_t total;					      /* to come, as the sender says */
	uint64_t entries;
	/* Receiving: */
	uint64_t max_bytes; /* of files; 0: no bound but the disk's */
	uint64_t keep_free; /* bytes that stay free on the disk */
	bool replace;	    /* what has the name already is replaced; directories are joined */
	char piece[QUBE__COPY_PIECE];
};

/* fd: of a regular file or a directory. Other entries than files, directories and symbolic links
 * that stay below it are left out, and told. */
int qube__copy_send(struct qube__copy *c, int fd, const char *name);
/* What comes becomes the entry `name` of the directory, when all of it is there; nothing of it is
 * left on failure. Until then it is called temp, or by a random name if that is NULL. Modes lose
 * what would let others write. QUBE_E_CLOSED: the stream ended early; QUBE_E_PROTO: it is none;
 * QUBE_E_EXISTS, QUBE_E_LIMIT. */
int qube__copy_receive(struct qube__copy *c, int dir, const char *name, const char *temp);

/* --- inside the room --- */
/* All of buf, or an error with the record set. */
int qube__copy_read(struct qube__copy *c, void *buf, size_t len);
int qube__copy_write(struct qube__copy *c, const void *buf, size_t len);
/* As qube__fail_name(), but what is not there is QUBE_E_NOENT. */
int qube__copy_fail(const char *what, const char *name);
/* place.c: QUBE_E_EXISTS if name is there and may not be replaced. */
int qube__copy_check_free(int dir, const char *name, bool replace);
/* temp of the same directory becomes name. */
int qube__copy_place(int dir, const char *temp, const char *name, bool replace);
/* What is named goes with all in it; best effort. */
void qube__copy_remove(int dir, const char *name);

#endif
