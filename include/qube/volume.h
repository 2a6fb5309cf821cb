/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file volume.h
 * Volumes of a qube: root, private, volatile.
 */
#ifndef QUBE_VOLUME_H
#define QUBE_VOLUME_H

#include <qube/domain.h>
#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Flags of a volume. */
enum {
	QUBE_VOLUME_SNAP_ON_START = 1, /**< a fresh view of its source at each start */
	QUBE_VOLUME_SAVE_ON_STOP = 2,  /**< what was written is kept */
	QUBE_VOLUME_RW = 4,	       /**< writable inside */
	QUBE_VOLUME_OUTDATED = 8 /**< its source changed since the start: a restart shows that */
};

/** What a volume says of itself. Filled by the library. */
struct qube_volume_info {
	uint32_t size;	    /**< sizeof(struct qube_volume_info), set by the caller */
	uint32_t flags;	    /**< QUBE_VOLUME_* */
	uint64_t max_bytes; /**< nominal size */
	char pool[64];	    /**< name of its pool */
	char vid[128];	    /**< its name in the pool */
	char source[128];   /**< vid that it is a snapshot of, or "" */
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

#ifdef __cplusplus
}
#endif

#endif
