/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fields of messages, written or read. */
#include "base/coder.h"

void qube__coder_u32(struct qube__coder *c, uint32_t *v)
{
	if (c->writing)
		qube__wr_le32(&c->w, *v);
	else
		*v = qube__rd_le32(&c->r);
}

void qube__coder_u64(struct qube__coder *c, uint64_t *v)
{
	if (c->writing)
		qube__wr_le64(&c->w, *v);
	else
		*v = qube__rd_le64(&c->r);
}

void qube__coder_i32(struct qube__coder *c, int32_t *v)
{
	uint32_t bits = (uint32_t)*v;

	qube__coder_u32(c, &bits);
	*v = (int32_t)bits;
}

void qube__coder_flag(struct qube__coder *c, bool *v)
{
	uint32_t bits = *v;

	qube__coder_u32(c, &bits);
	if (bits > 1)
		c->bad = true;
	*v = bits == 1;
}

void qube__coder_choice(struct qube__coder *c, uint32_t *v, uint32_t min, uint32_t max)
{
	qube__coder_u32(c, v);
	if (*v < min || *v > max)
		c->bad = true;
}

void qube__coder_text(struct qube__coder *c, const char **s, size_t max)
{
	uint32_t size;
	const char *got;

	if (c->writing) {
		const char *from = *s ? *s : "";
		size_t n = strlen(from) + 1;

		if (n > max)
			c->w.bad = true;
		qube__wr_le32(&c->w, (uint32_t)n);
		qube__wr_bytes(&c->w, from, n);
		return;
	}
	*s = "";
	size = qube__rd_le32(&c->r);
	got = (const char *)qube__rd_take(&c->r, size);
	if (!got)
		return;
	if (!size || size > max || strnlen(got, size) != size - 1)
		c->bad = true;
	else
		*s = got;
}

void qube__coder_bytes(struct qube__coder *c, const uint8_t **data, size_t *len, size_t max)
{
	uint32_t n;

	if (c->writing) {
		if (*len > max)
			c->w.bad = true;
		qube__wr_le32(&c->w, (uint32_t)*len);
		qube__wr_bytes(&c->w, *data, *len);
		return;
	}
	n = qube__rd_le32(&c->r);
	if (n > max)
		c->bad = true;
	*data = qube__rd_take(&c->r, n);
	*len = *data ? n : 0;
}
