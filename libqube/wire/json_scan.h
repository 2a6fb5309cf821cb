/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The strict reading of JSON that stands in front of the parser; private to json.c. */
#ifndef QUBE_WIRE_JSON_SCAN_H
#define QUBE_WIRE_JSON_SCAN_H

#include "wire/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qube__json_scan {
	const uint8_t *p;
	const uint8_t *end;
	uint32_t line;
	uint64_t sum; /* of all keys and values in their order */
};

/* RFC 8259 and no more: one object or array, at most QUBE__JSON_DEPTH_MAX deep, well-formed UTF-8,
 * no NUL in a key, numbers of at most 63 characters. */
bool qube__json_scan_document(struct qube__json_scan *s);
bool qube__json_utf8_ok(const char *s);
void qube__json_mix(uint64_t *sum, const void *bytes, size_t n);
/* Ends a text in the sum: no UTF-8 has this byte. */
void qube__json_mix_end(uint64_t *sum);

#endif
