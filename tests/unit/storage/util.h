/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Scratch directories and a loop that is driven with a deadline. */
#ifndef STORAGE_TEST_UTIL_H
#define STORAGE_TEST_UTIL_H

#include "event/loop.h"
#include "storage/pool.h"

#include <sys/types.h>

/* A fresh directory below /tmp, owner root, mode 0700; scratch_remove() undoes its mounts too. */
const char *scratch_make(void);
/* In memory: for trees of so many directories that a busy disk takes a minute for them. */
const char *scratch_make_in_memory(void);
void scratch_remove(void);
/* Formats a path below the scratch directory into one of eight static buffers. */
const char *at(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int put_file(const char *path, const char *text, mode_t mode);
int put_dir(const char *path, mode_t mode); /* with parents */
/* Content of a small file, static; "" if there is none. */
const char *get_file(const char *path);
int exists(const char *path);
int count_entries(const char *path);
/* How many entries (files' data, names, symlink targets) below path contain the text. */
int find_text(const char *path, const char *text);

struct waiter {
	int called;
	int code;
	char message[512];
	uint64_t done;
	uint64_t total;
	int notes;
	char note[8][256];
	uint64_t usage;
	uint64_t packages;
	uint64_t files;
	uint64_t bytes;
};
struct qube__pool_cb waiter_cb(struct waiter *w);
void waiter_usage(void *user, uint64_t bytes);
void waiter_plan(void *user, uint64_t packages, uint64_t files, uint64_t bytes);
/* Dispatches until called or a minute has passed; the code, or -100. */
int wait_for(struct qube__loop *l, struct waiter *w);
/* Dispatches until cond(arg) or ten seconds; 0 or -1. */
int wait_until(struct qube__loop *l, int (*cond)(void *arg), void *arg);

#endif
