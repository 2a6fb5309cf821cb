/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file template.h
 * Templates: where shared roots come from.
 */
#ifndef QUBE_TEMPLATE_H
#define QUBE_TEMPLATE_H

#include <qube/op.h>
#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Flags of qube_template_import(). */
enum {
	QUBE_TEMPLATE_IMPORT_HOST = 1,	    /**< from the Debian packages installed on this host */
	QUBE_TEMPLATE_IMPORT_PLAN_ONLY = 2, /**< compute what would be copied, and copy nothing */
	QUBE_TEMPLATE_IMPORT_UNSIGNED = 4   /**< source: whoever made it is trusted; no key */
};

/** Options of qube_template_import(). */
struct qube_template_import_opts {
	uint32_t size;	     /**< sizeof(struct qube_template_import_opts) */
	uint32_t flags;	     /**< QUBE_TEMPLATE_IMPORT_*; a source is required */
	const char *name;    /**< of the new TemplateVM */
	const char *include; /**< more packages, separated by commas; NULL: the base set */
	const char *label;   /**< NULL: "black" */
	const char *pool;    /**< NULL: the default pool */
	const char *source;  /**< absolute path: a tar file (plain, gzip, bzip2, xz, zstd) or the
				directory of an image in the layout of the OCI; NULL: none */
	const char *key; /**< text of a public key of minisign, by which source must be signed; for
			    an image it is index.json that is signed; NULL: none */
	const char *signature; /**< text of the detached signature */
};

/**
 * Make a template. Nothing of the host's configuration, homes, keys or state comes along.
 *
 * The first stage ("plan") fills total_bytes and total_files of qube_op_progress_fetch() before
 * anything is written; too little space is refused there.
 *
 * @param[in]  ctx   the context
 * @param[in]  opts  borrowed for the call
 * @param[out] op    NULL: block; else the operation. Owned: qube_op_unref().
 * An archive is unpacked by a helper program without rights. With a key its signature is verified
 * before anything else of it is read, and of the very bytes that are then unpacked. Entries that
 * are absolute, have "..", lie below a link, or link out of the tree are refused, and with them the
 * import; devices, pipes and sockets are left out; setuid bits are dropped. What an image says
 * beside its files (commands, variables) has no meaning.
 *
 * @return 0, or
 * @retval QUBE_E_INVALID a source needs a key, or the flag that says that there is none
 * @retval QUBE_E_DENIED  the signature is missing, of another key, or of other bytes
 * @retval QUBE_E_PROTO   the archive is damaged or has an entry that is refused
 * @retval QUBE_E_NOTSUP  the host is no Debian, or there is no helper program
 * @retval QUBE_E_NOENT   a package is not installed; the message names it
 * @retval QUBE_E_LIMIT   not enough space
 * @retval QUBE_E_EXISTS  the name is taken
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_template_import(qube_ctx *ctx, const struct qube_template_import_opts *opts,
				  qube_op **op);

#ifdef __cplusplus
}
#endif

#endif
