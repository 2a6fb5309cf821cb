/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which kernel modules to load, and in which order: from the texts modules.dep and modules.builtin
 * of /lib/modules/VERSION, which a package of a template may have written. Pure. */
#ifndef QUBE_WORKER_MODDEP_H
#define QUBE_WORKER_MODDEP_H

#include <stdbool.h>
#include <stddef.h>

enum {
	MODDEP_TEXT_MAX = 8 << 20,
	MODDEP_PATH_MAX = 255,
	MODDEP_LIST_MAX = 128,
	MODDEP_DEPTH_MAX = 32, /* of modules that need modules */
};

struct moddep_module {
	char path[MODDEP_PATH_MAX + 1]; /* relative, without "." or ".." */
};

struct moddep_list {
	struct moddep_module list[MODDEP_LIST_MAX]; /* each after those that it needs */
	size_t n;
};

struct moddep_texts {
	const char *untrusted_dep;
	size_t dep_len;
	const char *untrusted_builtin;
	size_t builtin_len;
};

enum moddep_is { MODDEP_MISSING, MODDEP_BUILTIN, MODDEP_MODULE };

/* A path of plain names that ends in .ko, perhaps compressed. */
bool moddep_path_ok(const char *path, size_t len);
/* Appends the module of that name with all that it needs and the list lacks: what it is, or
 * QUBE_E_PROTO for texts that make no sense, QUBE_E_LIMIT. '-' and '_' are one. */
int moddep_add(struct moddep_list *out, const struct moddep_texts *t, const char *name);
/* The file's name without its compression: "ext4.ko" of "kernel/fs/ext4/ext4.ko.xz". */
void moddep_file(char out[MODDEP_PATH_MAX + 1], const char *path);

#endif
