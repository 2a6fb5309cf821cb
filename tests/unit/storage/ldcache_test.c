/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The dynamic linker's cache, cut down. */
#include "qtest.h"

#include "ldcache.h"

#include "base/rw.h"

#include <qube/error.h>

#include <string.h>

struct want {
	const char *name;
	const char *path;
	uint64_t hwcap;
};

/* As ldconfig writes it. */
static size_t make(uint8_t *out, size_t cap, const struct want *list, size_t n)
{
	static const uint8_t zeros[16];
	struct qube__wr w = qube__wr_init(out, cap);
	size_t at = 48 + n * 24;

	qube__wr_bytes(&w, "glibc-ld.so.cache1.1", 20);
	qube__wr_le32(&w, (uint32_t)n);
	qube__wr_le32(&w, 0);
	qube__wr_le32(&w, 2);
	qube__wr_bytes(&w, zeros, sizeof(zeros));
	for (size_t i = 0; i < n; i++) {
		qube__wr_le32(&w, 0x303);
		qube__wr_le32(&w, (uint32_t)at);
		at += strlen(list[i].name) + 1;
		qube__wr_le32(&w, (uint32_t)at);
		at += strlen(list[i].path) + 1;
		qube__wr_le32(&w, 7);
		qube__wr_le64(&w, list[i].hwcap);
	}
	for (size_t i = 0; i < n; i++) {
		qube__wr_bytes(&w, list[i].name, strlen(list[i].name) + 1);
		qube__wr_bytes(&w, list[i].path, strlen(list[i].path) + 1);
	}
	return w.len;
}

static bool has_b(void *user, const char *path)
{
	(void)user;
	return strstr(path, "/b") != NULL;
}

static bool has_all(void *user, const char *path)
{
	(void)user;
	(void)path;
	return true;
}

static const struct want list[] = {
	{ "libc.so.6", "/lib/c/libc.so.6", 0 },
	{ "libb.so.2", "/lib/b/libb.so.2", 0 },
	{ "libb.so.2", "/lib/b/fast/libb.so.2", 1ull << 62 },
	{ "liba.so.1", "/lib/b/liba.so.1", 0 },
};

QTEST(ldcache, keeps_what_is_there_in_its_order)
{
	static const struct want kept[] = { { "libb.so.2", "/lib/b/libb.so.2", 0 },
					    { "liba.so.1", "/lib/b/liba.so.1", 0 } };
	uint8_t in[1024];
	uint8_t want[1024];
	struct qube__buf out;
	size_t len = make(in, sizeof(in), list, 4);
	size_t n;

	qube__buf_init(&out, 4096);
	QT_INT(worker_ldcache_keep(&out, &n, in, len, has_b, NULL), 0);
	QT_INT(n, 2);
	len = make(want, sizeof(want), kept, 2);
	/* The length of the strings is in both, but our model has none. */
	memcpy(want + 24, qube__buf_data(&out) + 24, 4);
	QT_INT(out.len, len);
	QT_MEM(qube__buf_data(&out), want, len);
	qube__buf_fini(&out);
}

QTEST(ldcache, refuses_what_is_damaged)
{
	uint8_t in[1024];
	size_t len = make(in, sizeof(in), list, 4);
	struct qube__buf out;
	size_t n;

	/* The last string's NUL is part of it. */
	for (size_t cut = 0; cut < len; cut++) {
		qube__buf_init(&out, 4096);
		QT_INT(worker_ldcache_keep(&out, &n, in, cut, has_all, NULL), QUBE_E_PROTO);
		qube__buf_fini(&out);
	}
	in[0] = 'x';
	qube__buf_init(&out, 4096);
	QT_INT(worker_ldcache_keep(&out, &n, in, len, has_all, NULL), QUBE_E_PROTO);
	qube__buf_fini(&out);
}

QTEST(ldcache, says_that_there_is_no_room)
{
	uint8_t in[1024];
	size_t len = make(in, sizeof(in), list, 4);
	struct qube__buf out;
	size_t n;

	qube__buf_init(&out, 60);
	QT_INT(worker_ldcache_keep(&out, &n, in, len, has_all, NULL), QUBE_E_LIMIT);
	qube__buf_fini(&out);
}
