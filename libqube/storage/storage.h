/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pools and volumes. A pool driver keeps volumes in a directory of the state directory; core says
 * which volume a qube starts with and what becomes of it at stop. All paths handed out are absolute
 * and below a directory that only root can enter; what is *inside* a volume is the guest's and is
 * never followed, parsed or executed by the host. */
#ifndef QUBE_STORAGE_STORAGE_H
#define QUBE_STORAGE_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUBE__LAYERS_MAX 64

/* How a running qube sees one volume: what a driver mounts. */
enum qube__volume_kind {
	QUBE__VOLUME_NONE = 0,
	QUBE__VOLUME_LAYERED = 1, /* overlay: layers below, upper on top */
	QUBE__VOLUME_TREE = 2,	  /* one directory, bind-mounted */
	QUBE__VOLUME_TMPFS = 3,	  /* sized tmpfs */
	QUBE__VOLUME_BLOCK = 4,	  /* a disk: a raw image, of which no format is ever looked for */
};

struct qube__volume_run {
	uint32_t kind;
	uint32_t n_layers;
	char *layers[QUBE__LAYERS_MAX]; /* newest first; read-only; ids on disk are those inside */
	char *upper; /* LAYERED: the writable directory; TREE: the directory; BLOCK: the image */
	char *work;  /* LAYERED: overlayfs's work directory, beside upper */
	uint64_t size_bytes; /* TMPFS, BLOCK: its size; else the volume's nominal size */
	bool read_only;
	bool discard; /* thrown away at stop: needs no syncing */
};

void qube__volume_run_fini(struct qube__volume_run *r);

#endif
