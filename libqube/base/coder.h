/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One list of fields for a message serves both directions: a coder either writes a field or reads
 * it, so the two cannot disagree. Read strings and bytes point into what is read. Check bad, r.bad
 * or w.bad once, at the end. */
#ifndef QUBE_BASE_CODER_H
#define QUBE_BASE_CODER_H

#include "base/rw.h"

struct qube__coder {
	bool writing;
	struct qube__wr w;
	struct qube__rd r;
	bool bad; /* a field is not allowed */
};

void qube__coder_u32(struct qube__coder *c, uint32_t *v);
void qube__coder_u64(struct qube__coder *c, uint64_t *v);
void qube__coder_i32(struct qube__coder *c, int32_t *v);
void qube__coder_flag(struct qube__coder *c, bool *v);
void qube__coder_choice(struct qube__coder *c, uint32_t *v, uint32_t min, uint32_t max);
/* At most max bytes with the NUL; NULL is written as "". */
void qube__coder_text(struct qube__coder *c, const char **s, size_t max);
void qube__coder_bytes(struct qube__coder *c, const uint8_t **data, size_t *len, size_t max);

#endif
