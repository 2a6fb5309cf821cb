/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Sticky reader and writer of little-endian bytes: check `bad` once, at the end. */
#ifndef QUBE_BASE_RW_H
#define QUBE_BASE_RW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct qube__rd {
	const uint8_t *p;
	size_t left;
	bool bad;
};

static inline struct qube__rd qube__rd_init(const void *untrusted, size_t len)
{
	return (struct qube__rd){ .p = (const uint8_t *)untrusted, .left = len };
}

static inline const uint8_t *qube__rd_take(struct qube__rd *r, size_t n)
{
	const uint8_t *at = r->p;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	if (n) {
		r->p += n;
		r->left -= n;
	}
	return at;
}

static inline uint32_t qube__rd_le32(struct qube__rd *r)
{
	const uint8_t *b = qube__rd_take(r, 4);

	if (!b)
		return 0;
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t qube__rd_le64(struct qube__rd *r)
{
	uint64_t low = qube__rd_le32(r);

	return low | (uint64_t)qube__rd_le32(r) << 32;
}

/* True when everything was read and nothing was missing. */
static inline bool qube__rd_done(const struct qube__rd *r)
{
	return !r->bad && r->left == 0;
}

struct qube__wr {
	uint8_t *p;
	size_t left;
	size_t len; /* bytes written */
	bool bad;
};

static inline struct qube__wr qube__wr_init(void *buf, size_t cap)
{
	return (struct qube__wr){ .p = (uint8_t *)buf, .left = cap };
}

static inline void qube__wr_bytes(struct qube__wr *w, const void *src, size_t n)
{
	if (w->bad || n > w->left) {
		w->bad = true;
		return;
	}
	if (!n)
		return;
	memcpy(w->p, src, n);
	w->p += n;
	w->left -= n;
	w->len += n;
}

static inline void qube__wr_le32(struct qube__wr *w, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24) };

	qube__wr_bytes(w, b, sizeof(b));
}

static inline void qube__wr_le64(struct qube__wr *w, uint64_t v)
{
	qube__wr_le32(w, (uint32_t)v);
	qube__wr_le32(w, (uint32_t)(v >> 32));
}

/* n bytes: the string and zeros; bad unless it leaves at least one zero. */
static inline void qube__wr_padded(struct qube__wr *w, const char *s, size_t n)
{
	size_t len = strlen(s);

	if (w->bad || len >= n || n > w->left) {
		w->bad = true;
		return;
	}
	memcpy(w->p, s, len);
	memset(w->p + len, 0, n - len);
	w->p += n;
	w->left -= n;
	w->len += n;
}

#endif
