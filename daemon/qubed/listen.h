/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The socket that qubed listens on. Who may connect to it is the host itself: 0660 and the group
 * qube where there is one, else root alone. */
#ifndef QUBED_LISTEN_H
#define QUBED_LISTEN_H

#include <stddef.h>
#include <sys/types.h>

/* A non-blocking listening descriptor, or -1 after the failure was logged. A socket that nobody
 * answers is replaced; one that somebody answers is not. */
int qubed_listen(const char *path, ino_t *made);
/* sd_listen_fds(3): the socket that a service manager listens with on our behalf, as 3. The
 * descriptor, with where it listens; -1: there is none; -2: it is unusable, which was logged. */
int qubed_listen_inherited(char *path, size_t cap);
/* Removes the socket if it is the one that qubed_listen() made. */
void qubed_unlink(const char *path, ino_t made);

#endif
