/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The index of a folder of packages: what sha256sum writes, a line for each file. Pure. */
#ifndef QUBE_WORKER_SUMS_H
#define QUBE_WORKER_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WORKER_SUMS_TEXT_MAX = 1 << 20,
	WORKER_SUMS_FILES_MAX = 4096,
	WORKER_SUMS_NAME_MAX = 200,
	WORKER_SUMS_DIGEST = 32,
};

struct worker_sum {
	char name[WORKER_SUMS_NAME_MAX + 1];
	uint8_t digest[WORKER_SUMS_DIGEST];
};

struct worker_sums {
	struct worker_sum *list; /* owned; sorted by name, none twice; packages only */
	size_t n;
	size_t room;
};

/* A name that is one entry of a directory and looks like no option to anybody. */
bool worker_sums_name_ok(const char *name, size_t len);
/* By its end: .deb or .rpm. */
bool worker_sums_is_package(const char *name);
/* 0; QUBE_E_PROTO with *line at fault, QUBE_E_EXISTS for a name that is there twice, QUBE_E_LIMIT,
 * QUBE_E_NOMEM. Lines of files that are no packages are checked and left out. */
int worker_sums_parse(struct worker_sums *out, size_t *line, const char *untrusted, size_t len);
/* One more, without a digest; as above. Sorted by worker_sums_sort() alone. */
int worker_sums_add(struct worker_sums *s, const char *name, size_t len);
/* QUBE_E_EXISTS if a name is there twice. */
int worker_sums_sort(struct worker_sums *s);
struct worker_sum *worker_sums_find(const struct worker_sums *s, const char *name);
void worker_sums_fini(struct worker_sums *s);

#endif
