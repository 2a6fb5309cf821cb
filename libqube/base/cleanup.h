/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Scope-bound cleanup. Errno survives it. */
#ifndef QUBE_BASE_CLEANUP_H
#define QUBE_BASE_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void qube__close_fd(int *fd)
{
	int err = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = err;
}

static inline void qube__free_ptr(void *pp)
{
	void **p = pp;
	int err = errno;

	free(*p);
	*p = NULL;
	errno = err;
}

static inline int qube__steal_fd(int *fd)
{
	int got = *fd;

	*fd = -1;
	return got;
}

#define qube__autofd   __attribute__((cleanup(qube__close_fd))) int
#define qube__autofree __attribute__((cleanup(qube__free_ptr)))
/* Takes the pointer out of a variable with cleanup. */
#define qube__steal(p)                                                                             \
	__extension__({                                                                            \
		__typeof__(p) stolen_ = (p);                                                       \
		(p) = NULL;                                                                        \
		stolen_;                                                                           \
	})

#endif
