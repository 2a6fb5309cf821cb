/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A command on a terminal of its own, relayed to two descriptors. */
#ifndef QUBE_RPC_PTY_H
#define QUBE_RPC_PTY_H

#include <stdint.h>

/* Blocks until the command ended. 0 with its exit code, or QUBE_E_SYSTEM with the record set. */
int qube__pty_run(const char *const *argv, const char *const *env, uint16_t rows, uint16_t cols,
		  const char *id, int in_fd, int out_fd, int32_t *exit_code);
/* The terminal of that id, which another process runs, gets another size. */
int qube__pty_resize(const char *id, uint16_t rows, uint16_t cols);

#endif
