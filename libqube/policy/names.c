/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Names of policy files. */
#include "policy/names.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

enum { NAMES_MAX = 16384 };

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

void qube__policy_names_fini(struct qube__policy_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i].name);
	free(names->list);
	*names = (struct qube__policy_names){ 0 };
}

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int names_add(struct qube__policy_names *names, const char *dir, const char *name)
{
	struct qube__policy_name *at;

	if (names->n >= NAMES_MAX)
		return qube__fail(QUBE_E_LIMIT, "too many files in %s", dir);
	if (names->n == names->cap) {
		size_t cap = names->cap ? names->cap * 2 : 32;

		at = reallocarray(names->list, cap, sizeof(*at));
		if (!at)
			return qube__fail_nomem();
		names->list = at;
		names->cap = cap;
	}
	at = &names->list[names->n];
	at->name = strdup(name);
	if (!at->name)
		return qube__fail_nomem();
	at->dir = dir;
	at->order = names->n++;
	return 0;
}

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s);
	size_t m = strlen(suffix);

	return n >= m && !strcmp(s + n - m, suffix);
}

/* 1 if it counts, 0 if it is skipped; QUBE_E_INVALID for a name that is refused. */
static int current_considers(const char *name)
{
	if (name[0] == '.' || !ends_with(name, ".policy"))
		return 0;
	return name[strspn(name, LOWER DIGITS "_-.")] ? QUBE_E_INVALID : 1;
}

static int legacy_considers(const char *name)
{
	if (name[0] == '.' || ends_with(name, ".rpmsave") || ends_with(name, ".rpmnew") ||
	    ends_with(name, ".swp") || name[strspn(name, LOWER UPPER DIGITS "+-._")])
		return 0;
	return name[0] == '+' ? QUBE_E_INVALID : 1;
}

static int names_scan(struct qube__policy_names *names, const char *dir,
		      int (*considers)(const char *name), char **wrong)
{
	__attribute__((cleanup(close_dir))) DIR *d = opendir(dir);
	const struct dirent *e;

	if (!d)
		return qube__fail_os("cannot read the directory %s", dir);
	for (;;) {
		struct stat st;
		int r;

		errno = 0;
		e = readdir(d);
		if (!e && errno)
			return qube__fail_os("cannot read the directory %s", dir);
		if (!e)
			return 0;
		r = considers(e->d_name);
		if (r == 0)
			continue;
		/* A link that leads nowhere might have been meant to deny: not skipped. */
		if (fstatat(dirfd(d), e->d_name, &st, 0) < 0) {
			if (errno == ENOENT &&
			    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
				continue;
			return qube__fail_os("cannot look at %s/%s", dir, e->d_name);
		}
		if (!S_ISREG(st.st_mode))
			continue;
		if (r < 0) {
			*wrong = qube__text_format("%s/%s", dir, e->d_name);
			return *wrong ? qube__fail(QUBE_E_INVALID,
						   "a file name with a forbidden character") :
					qube__fail_nomem();
		}
		r = names_add(names, dir, e->d_name);
		if (r < 0)
			return r;
	}
}

int qube__policy_names_read(struct qube__policy_names *names, const char *dir, char **wrong)
{
	return names_scan(names, dir, current_considers, wrong);
}

static int by_name(const void *a, const void *b)
{
	const struct qube__policy_name *x = a;
	const struct qube__policy_name *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : x->order < y->order ? -1 : 1;
}

void qube__policy_names_sort(struct qube__policy_names *names)
{
	if (names->n)
		qsort(names->list, names->n, sizeof(*names->list), by_name);
}

static int by_service(const void *a, const void *b)
{
	const struct qube__policy_name *x = a;
	const struct qube__policy_name *y = b;
	size_t n = strcspn(x->name, "+");
	size_t m = strcspn(y->name, "+");
	int r = memcmp(x->name, y->name, n < m ? n : m);

	if (r || n != m)
		return r ? r : n < m ? -1 : 1;
	if (!x->name[n] || !y->name[m])
		return x->name[n] ? -1 : 1;
	return strcmp(x->name, y->name);
}

int qube__policy_names_read_legacy(struct qube__policy_names *names, const char *dir, char **wrong)
{
	int r = names_scan(names, dir, legacy_considers, wrong);

	if (r == 0 && names->n)
		qsort(names->list, names->n, sizeof(*names->list), by_service);
	return r;
}
