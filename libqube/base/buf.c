/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A growing byte queue that is born with its maximum. */
#include "base/buf.h"

#include <qube/error.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void qube__buf_init(struct qube__buf *b, size_t max)
{
	*b = (struct qube__buf){ .max = max };
}

void qube__buf_fini(struct qube__buf *b)
{
	free(b->mem);
	*b = (struct qube__buf){ .max = b->max };
}

int qube__buf_reserve(struct qube__buf *b, size_t n, uint8_t **at)
{
	size_t need;
	size_t cap;
	uint8_t *grown;

	if (__builtin_add_overflow(b->len, n, &need) || need > b->max)
		return QUBE_E_LIMIT;
	if (b->start && b->cap - b->start < need) {
		memmove(b->mem, b->mem + b->start, b->len);
		b->start = 0;
	}
	if (b->cap < need || !b->mem) {
		cap = b->cap ? b->cap : 256;
		while (cap < need)
			cap *= 2;
		grown = realloc(b->mem, cap);
		if (!grown)
			return QUBE_E_NOMEM;
		b->mem = grown;
		b->cap = cap;
	}
	*at = b->mem + b->start + b->len;
	return 0;
}

void qube__buf_commit(struct qube__buf *b, size_t n)
{
	assert(n <= b->cap - b->start - b->len);
	b->len += n;
}

int qube__buf_append(struct qube__buf *b, const void *data, size_t n)
{
	uint8_t *at;
	int r;

	if (!n)
		return 0;
	r = qube__buf_reserve(b, n, &at);
	if (r < 0)
		return r;
	memcpy(at, data, n);
	b->len += n;
	return 0;
}

int qube__buf_printf(struct qube__buf *b, const char *fmt, ...)
{
	char small[512];
	char *text = small;
	va_list ap;
	int n;
	int r;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0)
		return QUBE_E_INVALID;
	if ((size_t)n >= sizeof(small)) {
		text = malloc((size_t)n + 1);
		if (!text)
			return QUBE_E_NOMEM;
		va_start(ap, fmt);
		vsnprintf(text, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	r = qube__buf_append(b, text, (size_t)n);
	if (text != small)
		free(text);
	return r;
}

void qube__buf_consume(struct qube__buf *b, size_t n)
{
	assert(n <= b->len);
	b->start += n;
	b->len -= n;
	if (!b->len)
		b->start = 0;
}

char *qube__buf_take_string(struct qube__buf *b)
{
	char *s = malloc(b->len + 1);

	if (!s)
		return NULL;
	if (b->len)
		memcpy(s, b->mem + b->start, b->len);
	s[b->len] = '\0';
	qube__buf_fini(b);
	return s;
}
