/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file volume.h
 * Volumes of a qube: root, private, volatile.
 */
#ifndef QUBE_VOLUME_H
#define QUBE_VOLUME_H

#include <qube/domain.h>
#include <qube/op.h>
#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Flags of a volume. */
enum {
	QUBE_VOLUME_SNAP_ON_START = 1, /**< a fresh view of its source at each start */
	QUBE_VOLUME_SAVE_ON_STOP = 2,  /**< what was written is kept */
	QUBE_VOLUME_RW = 4,	       /**< writable inside */
	QUBE_VOLUME_OUTDATED = 8,   /**< its source changed since the start: a restart shows that */
	QUBE_VOLUME_EPHEMERAL = 16, /**< nothing of it is left on a disk, in a readable form */
	QUBE_VOLUME_DIRTY = 32	    /**< a session that crashed wrote to it; the next goes on */
};

/** What a volume says of itself. Filled by the library. */
struct qube_volume_info {
	uint32_t size;		   /**< sizeof(struct qube_volume_info), set by the caller */
	uint32_t flags;		   /**< QUBE_VOLUME_* */
	uint64_t max_bytes;	   /**< nominal size */
	char pool[64];		   /**< name of its pool */
	char vid[128];		   /**< its name in the pool */
	char source[128];	   /**< vid that it is a snapshot of, or "" */
	int32_t revisions_to_keep; /**< old states kept besides the current one */
	uint32_t n_revisions;	   /**< old states that there are; 0 where that is not known */
};

/**
 * The names of a qube's volumes.
 *
 * @param[out] out  NULL-terminated. Owned: qube_strings_free().
 * @param[in]  d    the qube
 * @return 0, or
 * @retval QUBE_E_NOMEM  out of memory
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_volume_list(char ***out, qube_domain *d);

/**
 * What a volume says of itself.
 *
 * @param[in,out] out   size set by the caller; the library writes no more than that
 * @param[in]     d     the qube
 * @param[in]     name  "root", "private" or "volatile"
 * @return 0, or
 * @retval QUBE_E_NOENT  no such volume
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_volume_info_fetch(struct qube_volume_info *out, qube_domain *d,
					   const char *name);

/**
 * The old states of a volume, oldest first: "NUMBER-YYYY-MM-DDThh:mm:ssZ", in UTC. Other hosts
 * have names of their own.
 *
 * @param[out] out   NULL-terminated, empty for volumes without. Owned: qube_strings_free().
 * @param[in]  d     the qube
 * @param[in]  name  of the volume
 * @return 0, or
 * @retval QUBE_E_NOENT  no such volume
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_volume_revisions(char ***out, qube_domain *d, const char *name);

/**
 * Make an old state the current one. The state that is left becomes an old one, so that this can be
 * undone. Qubes that run on the volume keep what they have until they are started again.
 *
 * @param[in] d         the qube; halted
 * @param[in] name      of the volume
 * @param[in] revision  as of qube_domain_volume_revisions(), or its number alone
 * @return 0, or
 * @retval QUBE_E_NOENT   no such volume or revision
 * @retval QUBE_E_STATE   the qube is not halted
 * @retval QUBE_E_NOTSUP  the volume has no revisions: the pool keeps them of roots
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_volume_revert(qube_domain *d, const char *name, const char *revision);

/**
 * Change a setting of a volume.
 *
 * "size": bytes, as a decimal number. "revisions_to_keep": a number. "rw", "ephemeral": "True" or
 * "False"; the qube must be halted. A size that the pool cannot enforce is kept, and listed by
 * qube_domain_unenforced() while the qube runs.
 *
 * @param[in] d      the qube
 * @param[in] name   of the volume
 * @param[in] key    one of the above
 * @param[in] value  its new value
 * @return 0, or
 * @retval QUBE_E_NOENT    no such volume
 * @retval QUBE_E_INVALID  no such key, or not a value of it
 * @retval QUBE_E_STATE    the qube is not halted
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_volume_set(qube_domain *d, const char *name, const char *key,
				    const char *value);

/**
 * Make a volume empty. The old state of a root becomes a revision; other content is gone for good.
 *
 * @param[in] d     the qube; halted
 * @param[in] name  of the volume
 * @return 0, or
 * @retval QUBE_E_NOENT  no such volume
 * @retval QUBE_E_STATE  the qube is not halted
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_volume_clear(qube_domain *d, const char *name);

/**
 * Count what a volume takes on disk. The bytes are done_bytes of qube_op_progress_fetch() when the
 * operation is done. What a volume shares with others counts in full.
 *
 * @param[in]  d     the qube
 * @param[in]  name  of the volume
 * @param[out] op    NULL: block; else the operation. Owned: qube_op_unref().
 * @return 0, or
 * @retval QUBE_E_NOENT  no such volume
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_volume_measure(qube_domain *d, const char *name, qube_op **op);

/**
 * Write the content of a volume as a stream: of a pool with the driver `tree` a tar file, with
 * numbers as owners and without sockets, pipes and devices; of one with `reflink` or `file` the raw
 * image. What goes out is the state that was last committed; a private volume is read while its
 * qube is halted.
 *
 * @param[in]  d     the qube
 * @param[in]  name  of the volume
 * @param[in]  fd    a file, pipe or socket, written to by another process; borrowed for the call
 * @param[out] op    NULL: block; else the operation. Owned: qube_op_unref().
 * @return 0, or
 * @retval QUBE_E_NOENT   no such volume
 * @retval QUBE_E_STATE   the volume is empty
 * @retval QUBE_E_BUSY    the qube runs
 * @retval QUBE_E_NOTSUP  the volume is not kept, or the host does not offer this
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_volume_export(qube_domain *d, const char *name, int fd, qube_op **op);

/**
 * Replace the content of a volume by a stream as qube_domain_volume_export() writes it. A tar file
 * may be packed as those of qube_template_import() are, and is refused for the same reasons; an
 * image is of whole sectors of 512 bytes, of which no format is looked for. What is refused leaves
 * the volume as it was.
 *
 * @param[in]  d     the qube; halted
 * @param[in]  name  of the volume
 * @param[in]  fd    a file, pipe or socket, read by another process; borrowed for the call
 * @param[out] op    NULL: block; else the operation. Owned: qube_op_unref().
 * @return 0, or
 * @retval QUBE_E_NOENT   no such volume
 * @retval QUBE_E_STATE   the qube is not halted
 * @retval QUBE_E_PROTO   the stream is damaged, cut off, or has an entry that is refused
 * @retval QUBE_E_INVALID it is no image of a disk
 * @retval QUBE_E_LIMIT   not enough space
 * @retval QUBE_E_NOTSUP  the volume is not kept, or the host does not offer this
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_volume_import(qube_domain *d, const char *name, int fd, qube_op **op);

#ifdef __cplusplus
}
#endif

#endif
