/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The two files that say who a user is. A static program has no name service switch, and a qube's
 * users are in files. */
#include "rpc/service.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"

#include <fcntl.h>
#include <string.h>

enum { FILE_MAX = 4 << 20, FIELDS = 7, SETTLED_MS = 50, SETTLED_COARSE_MS = 2000 };

struct field {
	const char *p;
	size_t n;
};

/* Splits a line at ':'. The number of fields; more than max is max + 1. */
static size_t split(struct field *f, size_t max, const char *p, const char *end)
{
	size_t n = 0;

	for (;;) {
		const char *colon = memchr(p, ':', (size_t)(end - p));

		if (n == max)
			return max + 1;
		f[n++] = (struct field){ p, (size_t)((colon ? colon : end) - p) };
		if (!colon)
			return n;
		p = colon + 1;
	}
}

static bool number(uint32_t *out, const struct field *f)
{
	uint64_t v = 0;

	if (!f->n || f->n > 10)
		return false;
	for (size_t i = 0; i < f->n; i++) {
		if (f->p[i] < '0' || f->p[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(f->p[i] - '0');
	}
	/* The largest number means "no change" to the system calls. */
	if (v >= UINT32_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool text(char *out, size_t cap, const struct field *f, const char *otherwise)
{
	size_t n = f->n;
	const char *p = f->p;

	if (!n) {
		p = otherwise;
		n = strlen(otherwise);
	}
	if (n >= cap || p[0] != '/' || memchr(p, '\0', n))
		return false;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

static bool is(const struct field *f, const char *s)
{
	return f->n == strlen(s) && memcmp(f->p, s, f->n) == 0;
}

static int take_user(struct qube__user *out, const struct field *f, size_t n)
{
	struct qube__user u;

	memset(&u, 0, sizeof(u));
	if (n != FIELDS || f[0].n >= sizeof(u.name) || !number(&u.uid, &f[2]) ||
	    !number(&u.gid, &f[3]) || !text(u.home, sizeof(u.home), &f[5], "/") ||
	    !text(u.shell, sizeof(u.shell), &f[6], "/bin/sh"))
		return QUBE_E_PROTO;
	memcpy(u.name, f[0].p, f[0].n);
	u.groups[0] = u.gid;
	u.n_groups = 1;
	*out = u;
	return 0;
}

int qube__passwd_parse(struct qube__user *out, const char *name, const void *untrusted, size_t len)
{
	const char *p = untrusted;
	const char *end = p + len;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		struct field f[FIELDS];
		size_t n = split(f, FIELDS, p, nl ? nl : end);

		if (is(&f[0], name))
			return take_user(out, f, n);
		p = nl ? nl + 1 : end;
	}
	return QUBE_E_NOENT;
}

static bool lists(const struct field *members, const char *name)
{
	const char *p = members->p;
	const char *end = p + members->n;

	for (;;) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		struct field one = { p, (size_t)((comma ? comma : end) - p) };

		if (is(&one, name))
			return true;
		if (!comma)
			return false;
		p = comma + 1;
	}
}

int qube__group_parse(struct qube__user *u, const void *untrusted, size_t len)
{
	const char *p = untrusted;
	const char *end = p + len;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		struct field f[4];
		uint32_t gid;

		if (split(f, 4, p, nl ? nl : end) == 4 && lists(&f[3], u->name) &&
		    number(&gid, &f[2]) && gid != u->gid) {
			if (u->n_groups == QUBE__GROUPS_MAX)
				return QUBE_E_LIMIT;
			u->groups[u->n_groups++] = gid;
		}
		p = nl ? nl + 1 : end;
	}
	return 0;
}

int qube__user_load(struct qube__user *out, const char *name, const char *passwd_file,
		    const char *group_file)
{
	qube__autofree char *passwd = NULL;
	qube__autofree char *group = NULL;
	struct qube__user u;
	size_t len;
	int r = qube__io_read_file(&passwd, &len, AT_FDCWD, passwd_file, FILE_MAX);

	if (r < 0)
		return r;
	r = qube__passwd_parse(&u, name, passwd, len);
	if (r == QUBE_E_NOENT)
		return qube__fail(QUBE_E_NOENT, "there is no user %s", name);
	if (r < 0)
		return qube__fail(r, "the entry of user %s is malformed", name);
	r = qube__io_read_file(&group, &len, AT_FDCWD, group_file, FILE_MAX);
	if (r < 0 && r != QUBE_E_NOENT)
		return r;
	if (r == 0 && qube__group_parse(&u, group, len) < 0)
		return qube__fail(QUBE_E_LIMIT, "user %s is in too many groups", name);
	*out = u;
	return 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Longer than a tick of the clock that the file was stamped with: some have whole seconds. */
static uint64_t settled_ms(const struct stat *st)
{
	return st->st_ino && !st->st_ctim.tv_nsec ? SETTLED_COARSE_MS : SETTLED_MS;
}

int qube__user_find(struct qube__user *out, struct qube__user_cache *cache, const char *name,
		    const char *passwd_file, const char *group_file)
{
	struct qube__user_cache c = { .seen_ms = qube__now_ms() };
	bool same;
	int r;

	/* What is not there is all zero, as often as it is asked. */
	if (stat(passwd_file, &c.files[0]) < 0)
		memset(&c.files[0], 0, sizeof(c.files[0]));
	if (stat(group_file, &c.files[1]) < 0)
		memset(&c.files[1], 0, sizeof(c.files[1]));
	same = !strcmp(cache->user.name, name) && is_same(&c.files[0], &cache->files[0]) &&
	       is_same(&c.files[1], &cache->files[1]);
	if (same && cache->sure) {
		*out = cache->user;
		return 0;
	}
	r = qube__user_load(&c.user, name, passwd_file, group_file);
	if (r < 0)
		return r;
	if (same) {
		uint64_t seen_for = c.seen_ms - cache->seen_ms;

		c.sure = seen_for >= settled_ms(&c.files[0]) && seen_for >= settled_ms(&c.files[1]);
		c.seen_ms = cache->seen_ms;
	}
	*cache = c;
	*out = c.user;
	return 0;
}
