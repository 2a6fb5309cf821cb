/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a name may be made of: one pure check a field. The bytes are untrusted and need no NUL
 * behind them; a byte outside a field's alphabet refuses the whole name, nothing is ever repaired.
 */
#ifndef QUBE_WIRE_NAMES_H
#define QUBE_WIRE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	QUBE__NAME_MAX = 31, /* a qube's name */
	QUBE__UUID_LEN = 36,
	QUBE__LABEL_MAX = 63,
	QUBE__TAG_MAX = 127,
	QUBE__FEATURE_MAX = 127, /* a feature's name */
	QUBE__FEATURE_VALUE_MAX = 16384,
	QUBE__PROPERTY_MAX = 63, /* a property's name */
	QUBE__POOL_MAX = 63,
	QUBE__VOLUME_MAX = 31,
	QUBE__SERVICE_MAX = 255,    /* NAME_MAX: a service is a file */
	QUBE__ARGUMENT_MAX = 65000, /* name and argument together, qrexec.md 1 */
};

/* "work", never "none", "default", "Domain-0" or "x-dm"; admin-api.md 11. */
bool qube__name_is_qube(const void *untrusted, size_t len);
/* The rule that a bad name breaks, static text; NULL for a good one. */
const char *qube__name_qube_fault(const void *untrusted, size_t len);
/* 8-4-4-4-12 lower-case hex digits. */
bool qube__name_is_uuid(const void *untrusted, size_t len);
bool qube__name_is_label(const void *untrusted, size_t len);  /* not all digits */
bool qube__name_is_colour(const void *untrusted, size_t len); /* 0xRRGGBB */
bool qube__name_is_tag(const void *untrusted, size_t len);
bool qube__name_is_feature(const void *untrusted, size_t len);
bool qube__name_is_feature_value(const void *untrusted, size_t len); /* printable ASCII */
bool qube__name_is_property(const void *untrusted, size_t len);
bool qube__name_is_pool(const void *untrusted, size_t len); /* also a pool driver's name */
bool qube__name_is_volume(const void *untrusted, size_t len);
/* A service's name without its argument: no '+', not "." or "..". */
bool qube__name_is_service(const void *untrusted, size_t len);
/* What stands behind the first '+'; may be empty and may contain '+'. */
bool qube__name_is_argument(const void *untrusted, size_t len);
/* Service, '+' and argument as one text, qrexec.md 3.1. */
bool qube__name_is_descriptor(const void *untrusted, size_t len);
/* Printable ASCII, may be empty: the value of a property or an option. */
bool qube__name_is_printable(const void *untrusted, size_t len);

/* The boolean literals of the Admin API, in any case: 0 no false off, 1 yes true on.
 * 0, or QUBE_E_INVALID with *out untouched. */
int qube__name_bool(bool *out, const void *untrusted, size_t len);
/* 0xRRGGBB as a number. 0, or QUBE_E_INVALID with *out untouched. */
int qube__name_colour(uint32_t *out, const void *untrusted, size_t len);
/* A decimal number with an optional '-', no other sign, space or leading zero.
 * 0, or QUBE_E_INVALID with *out untouched. */
int qube__name_int(int64_t *out, const void *untrusted, size_t len);

#endif
