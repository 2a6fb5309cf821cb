/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The dynamic linker's cache, cut down to the libraries that a template has. */
#include "ldcache.h"

#include "base/rw.h"

#include <qube/error.h>

#include <string.h>

enum {
	HEADER = 48,
	ENTRY = 24,
	ENTRIES_MAX = 65536,
	LITTLE_ENDIAN_MARK = 2, /* in a byte that is 0 where nobody said */
};

static const char magic[] = "glibc-ld.so.cache1.1";

struct entry {
	uint32_t flags;
	uint32_t os_version;
	const char *name;
	const char *path;
};

static const char *string_at(const uint8_t *data, size_t len, uint32_t at)
{
	if (at >= len || !memchr(data + at, 0, len - at))
		return NULL;
	return (const char *)data + at;
}

/* 1: one for every processor, 0: not, or QUBE_E_PROTO. */
static int take_entry(struct entry *e, struct qube__rd *r, const uint8_t *data, size_t len)
{
	uint32_t name;
	uint32_t path;
	uint64_t hwcap;

	e->flags = qube__rd_le32(r);
	name = qube__rd_le32(r);
	path = qube__rd_le32(r);
	e->os_version = qube__rd_le32(r);
	hwcap = qube__rd_le64(r);
	e->name = string_at(data, len, name);
	e->path = string_at(data, len, path);
	if (r->bad || !e->name || !e->path)
		return QUBE_E_PROTO;
	return hwcap == 0;
}

static void put_entry(uint8_t *at, const struct entry *e, size_t name, size_t path)
{
	struct qube__wr w = qube__wr_init(at, ENTRY);

	qube__wr_le32(&w, e->flags);
	qube__wr_le32(&w, (uint32_t)name);
	qube__wr_le32(&w, (uint32_t)path);
	qube__wr_le32(&w, e->os_version);
	qube__wr_le64(&w, 0);
}

static void put_header(uint8_t *at, size_t n, size_t strings)
{
	struct qube__wr w = qube__wr_init(at, HEADER);

	qube__wr_bytes(&w, magic, sizeof(magic) - 1);
	qube__wr_le32(&w, (uint32_t)n);
	qube__wr_le32(&w, (uint32_t)strings);
	qube__wr_le32(&w, LITTLE_ENDIAN_MARK);
}

/* Entries first, then their strings, which are looked up again: the room is known only then. */
static int write_kept(struct qube__buf *out, const uint8_t *keep, size_t n_kept, size_t n,
		      const uint8_t *data, size_t len)
{
	struct qube__rd r = qube__rd_init(data + HEADER, n * ENTRY);
	size_t at = HEADER + n_kept * ENTRY;
	size_t first = at;
	uint8_t head[HEADER] = { 0 };
	size_t entry = HEADER;
	int ret = qube__buf_append(out, head, sizeof(head));

	for (size_t i = 0; ret == 0 && i < n_kept; i++)
		ret = qube__buf_append(out, head, ENTRY);
	for (size_t i = 0; ret == 0 && i < n; i++) {
		struct entry e;

		take_entry(&e, &r, data, len);
		if (!keep[i])
			continue;
		ret = qube__buf_append(out, e.name, strlen(e.name) + 1);
		if (ret == 0)
			ret = qube__buf_append(out, e.path, strlen(e.path) + 1);
		if (ret < 0)
			break;
		put_entry(qube__buf_data(out) + entry, &e, at, at + strlen(e.name) + 1);
		entry += ENTRY;
		at = out->len;
	}
	if (ret == 0)
		put_header(qube__buf_data(out), n_kept, at - first);
	return ret;
}

int worker_ldcache_keep(struct qube__buf *out, size_t *kept, const void *untrusted, size_t len,
			bool (*has)(void *user, const char *path), void *user)
{
	static uint8_t keep[ENTRIES_MAX];
	struct qube__rd r = qube__rd_init(untrusted, len);
	const uint8_t *head = qube__rd_take(&r, sizeof(magic) - 1);
	uint32_t n = qube__rd_le32(&r);

	qube__rd_take(&r, HEADER - (sizeof(magic) - 1) - 4);
	if (r.bad || memcmp(head, magic, sizeof(magic) - 1) || n > ENTRIES_MAX ||
	    n > r.left / ENTRY)
		return QUBE_E_PROTO;
	*kept = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct entry e;
		int usable = take_entry(&e, &r, untrusted, len);

		if (usable < 0)
			return usable;
		keep[i] = usable && has(user, e.path);
		*kept += keep[i];
	}
	return write_kept(out, keep, *kept, n, untrusted, len);
}
