/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file copy.h
 * Files and directories into a qube and out of it.
 */
#ifndef QUBE_COPY_H
#define QUBE_COPY_H

#include <qube/domain.h>
#include <qube/op.h>
#include <qube/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Flags of a copy. */
enum {
	QUBE_COPY_NO_START = 1, /**< fail if the qube does not run, instead of starting it */
	/** What is there already is replaced: files by files; directories are joined. */
	QUBE_COPY_REPLACE = 2
};

/** Options of qube_domain_copy_in() and qube_domain_copy_out(). */
struct qube_copy_opts {
	uint32_t size;	    /**< sizeof(struct qube_copy_opts) */
	uint32_t flags;	    /**< QUBE_COPY_* */
	const char *path;   /**< inside; a relative one begins at the user's home, "" is that */
	const char *name;   /**< of one entry of a directory, on the host */
	const char *user;   /**< whose rights count inside; NULL: the qube's default_user */
	uint64_t max_bytes; /**< out: more than this is refused; 0: what the disk has room for */
	int32_t fd;	    /**< on the host; see the calls. Borrowed for the call */
	uint32_t reserved0; /**< must be 0 */
};

/**
 * Copy a file or directory of the host into a qube. The qube is started if it is halted.
 *
 * It becomes opts->path, or opts->name in it where that is a directory of the qube. Owner is the
 * user inside. Of modes what lets others write, and the setuid bits, do not come along; symbolic
 * links do when they lead to a place below what is copied. What else there is, sockets, pipes,
 * devices and other links, is left out, and told in the log. It is read with the rights of this
 * process.
 *
 * @param[in]  d     the qube
 * @param[in]  opts  borrowed for the call; fd: the file or directory, open for reading
 * @param[out] op    NULL: block; else the operation. Owned: qube_op_unref(). When it is done
 *                   qube_op_get_exit_code() is 0, or 1 if something was left out.
 * @return 0, or
 * @retval QUBE_E_INVALID  no name, or one with "/"; not a file or directory
 * @retval QUBE_E_EXISTS   there is something of that name, or a directory in the place of a file
 * @retval QUBE_E_NOENT    no such directory in the qube
 * @retval QUBE_E_LIMIT    no space, too many files, or too deep
 * @retval QUBE_E_STATE    it does not run and may not be started; or a file became shorter
 * @retval QUBE_E_CLOSED   the qube ended before the copy did
 * @retval QUBE_E_NOTSUP   the host does not offer this
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_copy_in(qube_domain *d, const struct qube_copy_opts *opts, qube_op **op);

/**
 * Copy a file or directory out of a qube. The qube is started if it is halted.
 *
 * What is at opts->path becomes the entry opts->name of a directory of the host when all of it is
 * there; nothing of it stays on failure. It is written by a process in a jail, which has that
 * directory and the rights of this process alone, so it belongs to this process' user. What is
 * copied, and what is left out, is as of qube_domain_copy_in(). A stream that a hostile qube makes
 * up is refused.
 *
 * @param[in]  d     the qube
 * @param[in]  opts  borrowed for the call; fd: a directory
 * @param[out] op    NULL: block; else the operation. Owned: qube_op_unref(). When it is done
 *                   qube_op_get_exit_code() is 0, or 1 if something was left out.
 * @return 0, or
 * @retval QUBE_E_INVALID  no name, or one with "/"
 * @retval QUBE_E_EXISTS   there is something of that name, or a directory in the place of a file
 * @retval QUBE_E_NOENT    there is nothing at the path
 * @retval QUBE_E_LIMIT    no space, too many files, more than max_bytes, or too deep
 * @retval QUBE_E_PROTO    what the qube sent is refused
 * @retval QUBE_E_STATE    it does not run and may not be started; or a file became shorter
 * @retval QUBE_E_CLOSED   the qube ended before the copy did
 * @retval QUBE_E_NOTSUP   the host does not offer this
 * @par Thread  The context's.
 * @par Since   0.1
 */
QUBE_API int qube_domain_copy_out(qube_domain *d, const struct qube_copy_opts *opts, qube_op **op);

#ifdef __cplusplus
}
#endif

#endif
