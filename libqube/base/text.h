/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Text for people: untrusted bytes made harmless, numbers checked. */
#ifndef QUBE_BASE_TEXT_H
#define QUBE_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Writes untrusted bytes into out as printable ASCII, others as \xNN, cut with "..." to fit.
 * Returns out, NUL-terminated; cap must be at least 8. */
char *qube__text_escape(char *out, size_t cap, const void *untrusted, size_t len);

/* As qube__fail_os() about a file; a full disk is QUBE_E_LIMIT. The untrusted name is escaped. */
int qube__fail_name(const char *what, const char *name);
/* Decimal digits only, whole string, at most max. 0 or QUBE_E_INVALID. */
int qube__text_u64(uint64_t *out, const char *s, uint64_t max);
/* "1.5 MiB" */
char *qube__text_bytes(char *out, size_t cap, uint64_t bytes);
/* asprintf that returns NULL for no memory. */
char *qube__text_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Copies s when it fits with its NUL; 0 or QUBE_E_LIMIT with out untouched. */
int qube__text_copy(char *out, size_t cap, const char *s);
/* FNV-1a, for tables keyed by our own or bounded strings. */
uint32_t qube__text_hash(const char *s);

#endif
