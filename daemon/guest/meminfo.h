/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What of its memory a guest uses, read from the text of /proc/meminfo. Pure. */
#ifndef QUBE_GUEST_MEMINFO_H
#define QUBE_GUEST_MEMINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GUEST_MEMINFO_MAX = 16384 };

/* Memory that cannot be taken away without loss, in KiB: neither free nor a cache of files, and
 * what is swapped out. 0, or QUBE_E_PROTO with *out untouched. */
int guest_meminfo_parse(uint64_t *out, const char *text, size_t len);
/* Whether now is worth telling after told: by 2 %, and by 1 MiB. */
bool guest_meminfo_differs(uint64_t told, uint64_t now);

#endif
