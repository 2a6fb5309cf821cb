/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Notes about qubes: text of people, in UTF-8 (admin-api.md 4). */
#ifndef QUBE_WIRE_NOTE_H
#define QUBE_WIRE_NOTE_H

#include <stdbool.h>
#include <stddef.h>

enum { QUBE__NOTE_MAX = 256000 }; /* bytes */

/* Copies a note into out, which has room for len + 1 bytes, with '_' for each character that could
 * act on a terminal, or hide or reorder text; TAB and LF stay. out NULL: only checks.
 * 0; QUBE_E_LIMIT: too long; QUBE_E_INVALID: not UTF-8. */
int qube__wire_note_clean(char *out, const void *untrusted, size_t len);
/* Is there nothing to clean, and no NUL? */
bool qube__wire_note_is_clean(const void *untrusted, size_t len);

#endif
