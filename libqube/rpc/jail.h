/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a broker process gives up before it reads a guest's byte. */
#ifndef QUBE_RPC_JAIL_H
#define QUBE_RPC_JAIL_H

#include <stdint.h>

/* Ids (0: keep), groups, capabilities, dumping, new privileges. For good. Sets the record. */
int qube__jail_drop(uint32_t uid, uint32_t gid);
/* System calls outside the list kill the process; of ioctl() one request passes, 0: none. No signal
 * leaves it, also none of the kernel's in its name. It cannot fork, and is called by who will not.
 * QUBE_E_NOTSUP on a machine that the list was not written for. */
int qube__jail_filter(uint32_t request);

#endif
