/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A tree out of archives: root file systems as tar, and images in the layout of the OCI. Whatever
 * an archive says is hostile; what is not understood is refused, and names the entry. */
#ifndef QUBE_WORKER_UNPACK_H
#define QUBE_WORKER_UNPACK_H

#include "import.h"

enum {
	UNPACK_ENTRIES_MAX = 4000000,
	UNPACK_DEPTH_MAX = 128,
	UNPACK_PATH_MAX = 4095,
	UNPACK_IDS = 65536, /* users and groups that a qube has */
};
/* All sizes that entries claim; a hole counts. */
#define UNPACK_BYTES_MAX ((uint64_t)1 << 40)

struct archive_entry;
struct archive;

struct unpack {
	struct import im;   /* the destination, and the directory of the last entry */
	uint64_t keep_free; /* bytes of the pool's disk */
	uint64_t bytes;
	uint64_t entries;
	bool image; /* layers: ".wh." is a mark, and a file may replace a directory */
};

/* unpack.c */
/* The path without "./" in front and "/" behind, "" for the root of the tree. QUBE_E_PROTO for what
 * could leave the tree, or is too long; pure. */
int worker_unpack_path(char out[UNPACK_PATH_MAX + 1], const char *untrusted);
int worker_unpack_entry(struct unpack *u, struct archive *a, struct archive_entry *e);
/* A mark of an image's layer: what lies below goes. 0: it was none. 1: done. */
int worker_unpack_whiteout(struct unpack *u, const char *untrusted);

/* archive.c: all entries of a tar file, packed or not. size: its bytes. */
int worker_unpack_tar(struct unpack *u, int fd, uint64_t size);
/* oci.c: the layers of the image of this machine, in order. layout: the directory; index: its
 * index.json. */
int worker_unpack_oci(struct unpack *u, int layout, int index);

/* source.c */
enum worker_digest { WORKER_DIGEST_NONE, WORKER_DIGEST_BLAKE2B, WORKER_DIGEST_SHA256 };
/* A copy that nobody else can change, in a nameless file of directory dir; *size and the digest of
 * exactly those bytes. The descriptor, or < 0. */
int worker_private_copy(struct worker_job *job, int src, int dir, enum worker_digest kind,
			uint8_t digest[64], uint64_t *size);

/* The job: args are name, format ("tar" or "oci"), key and signature (both texts, or ""). */
int worker_import_archive(struct worker_job *job, int source, int parent, const char *const *args,
			  uint64_t keep_free);

#endif
