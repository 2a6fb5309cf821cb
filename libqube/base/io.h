/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Files and sockets: whole reads and writes, replacement that survives a crash, fds in messages. */
#ifndef QUBE_BASE_IO_H
#define QUBE_BASE_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define QUBE__IO_FDS_MAX 8

/* Blocking; 0, QUBE_E_CLOSED when nobody reads any more, QUBE_E_SYSTEM. */
int qube__io_write_full(int fd, const void *buf, size_t len);
/* Reads a whole regular file of at most max bytes into owned memory with a NUL behind it.
 * QUBE_E_NOENT if it is not there, QUBE_E_LIMIT if it is larger. Sets the record. */
int qube__io_read_file(char **out, size_t *out_len, int dirfd, const char *path, size_t max);
/* Old or new content after a crash at any instant: temporary name, fsync, rename, fsync of the
 * directory; without `durable` no fsync. name has no '/'. Sets the record. */
int qube__io_replace_file(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
			  int durable);
/* One message with up to QUBE__IO_FDS_MAX fds (borrowed). Count, QUBE_E_AGAIN, QUBE_E_CLOSED or
 * QUBE_E_SYSTEM; no record. */
ssize_t qube__io_send_fds(int sock, const void *buf, size_t len, const int *fds, size_t n);
/* As above; received fds (close-on-exec) are owned by the caller, *n in: room, out: count.
 * A truncated message or too many fds is QUBE_E_PROTO and every fd is closed. */
ssize_t qube__io_recv_fds(int sock, void *buf, size_t cap, int *fds, size_t *n);
/* Plain reads and writes on a non-blocking fd with the library's codes. End of file reads 0. */
ssize_t qube__io_read(int fd, void *buf, size_t cap);
ssize_t qube__io_write(int fd, const void *buf, size_t len);
int qube__io_nonblock(int fd);
/* mkdir -p of one level that may exist; checks that it is a directory. Sets the record. */
int qube__io_mkdir(int dirfd, const char *name, mode_t mode);

#endif
