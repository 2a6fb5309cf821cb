/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A growing byte queue that is born with its maximum. */
#ifndef QUBE_BASE_BUF_H
#define QUBE_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct qube__buf {
	uint8_t *mem;
	size_t start; /* first byte that is not consumed */
	size_t len;   /* bytes queued */
	size_t cap;
	size_t max;
};

void qube__buf_init(struct qube__buf *b, size_t max);
void qube__buf_fini(struct qube__buf *b); /* may be called twice */
static inline uint8_t *qube__buf_data(struct qube__buf *b)
{
	return b->mem ? b->mem + b->start : (uint8_t *)b;
}
/* Each returns 0, QUBE_E_LIMIT past the maximum or QUBE_E_NOMEM, and sets no record. */
int qube__buf_append(struct qube__buf *b, const void *data, size_t n);
int qube__buf_printf(struct qube__buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Room for n bytes at the end; qube__buf_commit() says how many were filled. */
int qube__buf_reserve(struct qube__buf *b, size_t n, uint8_t **at);
void qube__buf_commit(struct qube__buf *b, size_t n);
void qube__buf_consume(struct qube__buf *b, size_t n);
/* Takes the content as an owned, NUL-terminated string and leaves b empty. NULL: no memory. */
char *qube__buf_take_string(struct qube__buf *b);

#define qube__autobuf __attribute__((cleanup(qube__buf_fini))) struct qube__buf

#endif
