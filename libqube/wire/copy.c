/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Codec of the stream of files. What a qube sends is hostile. */
#include "wire/copy.h"

#include "base/rw.h"

#include <qube/error.h>

void qube__wire_copy_encode(uint8_t out[QUBE__COPY_HEAD], const struct qube__wire_copy *in)
{
	struct qube__wr w = qube__wr_init(out, QUBE__COPY_HEAD);

	qube__wr_le32(&w, in->type);
	qube__wr_le32(&w, in->mode);
	qube__wr_le32(&w, in->name_len);
	qube__wr_le64(&w, in->size);
}

/* Which fields a type uses: the others are zero. */
static int check(const struct qube__wire_copy *h)
{
	bool named = h->name_len > 0 && h->name_len <= QUBE__COPY_NAME_MAX;

	switch (h->type) {
	case QUBE__COPY_BEGIN:
		return !h->mode && !h->name_len;
	case QUBE__COPY_FILE:
		return named && h->mode <= 0777 && h->size <= INT64_MAX;
	case QUBE__COPY_DIR:
		return named && h->mode <= 0777 && !h->size;
	case QUBE__COPY_LINK:
		return named && !h->mode && h->size > 0 && h->size <= QUBE__COPY_LINK_MAX;
	case QUBE__COPY_LEFT:
		return named && !h->mode && !h->size;
	case QUBE__COPY_LEAVE:
	case QUBE__COPY_END:
		return !h->mode && !h->name_len && !h->size;
	default:
		return 0;
	}
}

int qube__wire_copy_parse(struct qube__wire_copy *out, const uint8_t untrusted[QUBE__COPY_HEAD])
{
	struct qube__rd r = qube__rd_init(untrusted, QUBE__COPY_HEAD);
	struct qube__wire_copy h = { 0 };

	h.type = qube__rd_le32(&r);
	h.mode = qube__rd_le32(&r);
	h.name_len = qube__rd_le32(&r);
	h.size = qube__rd_le64(&r);
	if (!qube__rd_done(&r) || !check(&h))
		return QUBE_E_PROTO;
	*out = h;
	return 0;
}

static bool is_up(const char *s, size_t len)
{
	return len == 2 && s[0] == '.' && s[1] == '.';
}

int qube__wire_copy_name(const char *untrusted, size_t len)
{
	if (!len || len > QUBE__COPY_NAME_MAX || memchr(untrusted, '/', len) ||
	    memchr(untrusted, '\0', len) || is_up(untrusted, len) ||
	    (len == 1 && untrusted[0] == '.'))
		return QUBE_E_PROTO;
	return 0;
}

int qube__wire_copy_link(const char *untrusted, size_t len, uint32_t depth)
{
	bool down = false;

	if (!len || len > QUBE__COPY_LINK_MAX || untrusted[0] == '/' ||
	    memchr(untrusted, '\0', len))
		return QUBE_E_PROTO;
	for (size_t at = 0; at < len;) {
		const char *slash = memchr(untrusted + at, '/', len - at);
		size_t n = slash ? (size_t)(slash - untrusted) - at : len - at;

		if (is_up(untrusted + at, n)) {
			/* Behind a name it could be that of another link. */
			if (down || !depth)
				return QUBE_E_PROTO;
			depth--;
		} else if (n && !(n == 1 && untrusted[at] == '.')) {
			down = true;
		}
		at += n + 1;
	}
	return 0;
}
