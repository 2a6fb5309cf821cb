/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A file that a kernel unpacks at its start (newc), the same for the same content: all belongs to
 * root, is of 1970, and is numbered as it comes. It has its name when it is whole. */
#ifndef QUBE_WORKER_CPIO_H
#define QUBE_WORKER_CPIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cpio;

/* NULL with the record set. */
struct cpio *cpio_open(const char *path);
/* Path has no '/' at its begin. data is a file's content, or where a link points to. */
int cpio_add(struct cpio *c, const char *path, mode_t mode, const void *data, size_t len);
int cpio_add_device(struct cpio *c, const char *path, mode_t mode, unsigned int major,
		    unsigned int minor);
/* Flushes and renames. */
int cpio_close(struct cpio *c);
/* What was not closed is thrown away. NULL is nothing. */
void cpio_free(struct cpio *c);

#endif
