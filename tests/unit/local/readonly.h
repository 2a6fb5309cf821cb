/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LOCAL_READONLY_H
#define LOCAL_READONLY_H

#include <stdio.h>

/* Tries to write to, and to remount, everything that is mounted read-only here. A line "ok PATH"
 * for each such mount, "BAD ..." for each attempt that succeeded and for each path that should be
 * one and is none: the fixed ones and those named, with a space between. */
void readonly_try(FILE *out, const char *more);
/* As root of a user and mount namespace of its own, which the kernel lets have mounts. */
void readonly_try_apart(FILE *out);
/* The program that runs cannot be written to in any way. */
void readonly_try_program(FILE *out);

#endif
