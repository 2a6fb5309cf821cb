/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file label.h
 * Labels: named colours that tell people how far a qube is trusted.
 */
#ifndef QUBE_LABEL_H
#define QUBE_LABEL_H

#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Labels that every host has. */
enum {
	QUBE_LABEL_BUILT_IN = 8 /**< indexes up to this are built in: red to black */
};

/** One label. Filled by the library. */
struct qube_label_info {
	uint32_t size;	    /**< sizeof(struct qube_label_info), set by the caller */
	uint32_t index;	    /**< from 1; never given to another label while this one is there */
	uint32_t rgb;	    /**< its colour, 0xRRGGBB */
	uint32_t reserved0; /**< 0 */
};

/**
 * The names of the labels, by index.
 *
 * @param[out] out  NULL-terminated. Owned: qube_strings_free().
 * @param[in]  ctx  the context
 * @return 0, or
 * @retval QUBE_E_NOMEM  out of memory
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_label_list(char ***out, qube_ctx *ctx);

/**
 * Index and colour of a label.
 *
 * @param[in,out] out   size set by the caller; untouched on failure
 * @param[in]     ctx   the context
 * @param[in]     name  of the label
 * @return 0, or
 * @retval QUBE_E_NOENT  no such label
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_label_info_fetch(struct qube_label_info *out, qube_ctx *ctx, const char *name);

/**
 * Make a label. Its index is above every other one's.
 *
 * @param[in] ctx   the context
 * @param[in] name  letters, digits, '_', '-' and '.', not all of them digits
 * @param[in] rgb   its colour, 0xRRGGBB
 * @return 0, or
 * @retval QUBE_E_INVALID  a bad name, or more than 24 bits of colour
 * @retval QUBE_E_EXISTS   there is such a label
 * @retval QUBE_E_LIMIT    there are as many labels as there may be
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_label_create(qube_ctx *ctx, const char *name, uint32_t rgb);

/**
 * Remove a label that nobody has.
 *
 * @param[in] ctx   the context
 * @param[in] name  of the label
 * @return 0, or
 * @retval QUBE_E_NOENT    no such label
 * @retval QUBE_E_INVALID  it is built in
 * @retval QUBE_E_BUSY     a qube has it; the message names it
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_label_destroy(qube_ctx *ctx, const char *name);

#ifdef __cplusplus
}
#endif

#endif
