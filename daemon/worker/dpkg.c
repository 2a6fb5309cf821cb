/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Parser of dpkg's database, and which packages belong together. */
#include "dpkg.h"

#include <qube/error.h>

#include <stdlib.h>
#include <string.h>

enum { PACKAGES_MAX = 100000, PROVIDES_MAX = 400000 };

bool worker_slice_is(struct slice s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

int worker_slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int r = n ? memcmp(a.p, b.p, n) : 0;

	if (r)
		return r;
	return a.len < b.len ? -1 : a.len > b.len;
}

bool worker_slice_next(struct slice *out, struct slice *rest, char sep)
{
	const char *end;

	if (!rest->len)
		return false;
	end = memchr(rest->p, sep, rest->len);
	out->p = rest->p;
	out->len = end ? (size_t)(end - rest->p) : rest->len;
	rest->p += out->len + (end ? 1 : 0);
	rest->len -= out->len + (end ? 1 : 0);
	return true;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct slice worker_slice_trim(struct slice s)
{
	while (s.len && is_space(s.p[0])) {
		s.p++;
		s.len--;
	}
	while (s.len && is_space(s.p[s.len - 1]))
		s.len--;
	return s;
}

static bool is_package_name(struct slice s)
{
	if (s.len < 2 || s.len > 200)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      (i && (c == '+' || c == '-' || c == '.'))))
			return false;
	}
	return true;
}

struct field {
	const char *name;
	size_t at; /* offset of a struct slice in struct dpkg_package */
};

static const struct field fields[] = {
	{ "Package", offsetof(struct dpkg_package, name) },
	{ "Architecture", offsetof(struct dpkg_package, arch) },
	{ "Depends", offsetof(struct dpkg_package, depends) },
	{ "Pre-Depends", offsetof(struct dpkg_package, pre_depends) },
	{ "Provides", offsetof(struct dpkg_package, provides) },
	{ "Conffiles", offsetof(struct dpkg_package, conffiles) },
};

/* A field with its continuation lines, which begin with a blank. */
static bool next_field(struct slice *name, struct slice *value, struct slice *rest)
{
	struct slice line;
	const char *colon;

	if (!worker_slice_next(&line, rest, '\n'))
		return false;
	colon = line.len ? memchr(line.p, ':', line.len) : NULL;
	name->p = line.p;
	name->len = colon ? (size_t)(colon - line.p) : 0;
	value->p = colon ? colon + 1 : line.p;
	value->len = (size_t)(line.p + line.len - value->p);
	while (rest->len && (rest->p[0] == ' ' || rest->p[0] == '\t')) {
		worker_slice_next(&line, rest, '\n');
		value->len = (size_t)(line.p + line.len - value->p);
	}
	*value = worker_slice_trim(*value);
	return true;
}

/* 1 for an installed package, 0 for another, QUBE_E_PROTO. */
static int parse_stanza(struct dpkg_package *out, struct slice stanza)
{
	struct dpkg_package pkg = { .stanza = stanza };
	struct slice rest = stanza;
	struct slice name;
	struct slice value;
	bool installed = false;

	while (next_field(&name, &value, &rest)) {
		if (slice_empty(name))
			return QUBE_E_PROTO;
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			if (worker_slice_is(name, fields[i].name))
				memcpy((char *)&pkg + fields[i].at, &value, sizeof(value));
		if (worker_slice_is(name, "Essential"))
			pkg.essential = worker_slice_is(value, "yes");
		else if (worker_slice_is(name, "Multi-Arch"))
			pkg.same = worker_slice_is(value, "same");
		else if (worker_slice_is(name, "Status"))
			installed = value.len > 10 &&
				    memcmp(value.p + value.len - 10, " installed", 10) == 0;
	}
	if (!is_package_name(pkg.name) || (pkg.arch.len && !is_package_name(pkg.arch)))
		return QUBE_E_PROTO;
	*out = pkg;
	return installed;
}

static int by_package(const void *a, const void *b)
{
	const struct dpkg_package *pa = a;
	const struct dpkg_package *pb = b;
	int r = worker_slice_cmp(pa->name, pb->name);

	return r ? r : worker_slice_cmp(pa->arch, pb->arch);
}

static int by_provide(const void *a, const void *b)
{
	const struct dpkg_provide *pa = a;
	const struct dpkg_provide *pb = b;
	int r = worker_slice_cmp(pa->name, pb->name);

	if (r)
		return r;
	return pa->package < pb->package ? -1 : pa->package > pb->package;
}

/* Makes room for one more element; capacity doubles at powers of two. */
static void *grow(void *array, size_t n, size_t size)
{
	if (n & (n - 1) || (n && n < 64))
		return array;
	return realloc(array, (n < 64 ? 64 : n * 2) * size);
}

static int add_provides(struct dpkg_db *db, size_t package)
{
	struct slice rest = db->packages[package].provides;
	struct slice one;

	while (worker_slice_next(&one, &rest, ',')) {
		struct dpkg_provide *grown;
		struct slice name;

		one = worker_slice_trim(one);
		if (!worker_slice_next(&name, &one, ' '))
			continue;
		if (db->n_provides >= PROVIDES_MAX)
			return QUBE_E_LIMIT;
		grown = grow(db->provides, db->n_provides, sizeof(*grown));
		if (!grown)
			return QUBE_E_NOMEM;
		db->provides = grown;
		db->provides[db->n_provides++] = (struct dpkg_provide){ name, package };
	}
	return 0;
}

/* A stanza ends at an empty line. */
static bool next_stanza(struct slice *out, struct slice *rest)
{
	const char *end;

	while (rest->len && rest->p[0] == '\n') {
		rest->p++;
		rest->len--;
	}
	if (!rest->len)
		return false;
	end = memmem(rest->p, rest->len, "\n\n", 2);
	out->p = rest->p;
	out->len = end ? (size_t)(end + 1 - rest->p) : rest->len;
	rest->p += out->len;
	rest->len -= out->len;
	return true;
}

static int fill_db(struct dpkg_db *db, struct slice rest)
{
	struct slice stanza;
	int r;

	while (next_stanza(&stanza, &rest)) {
		struct dpkg_package pkg;
		struct dpkg_package *grown;

		r = parse_stanza(&pkg, stanza);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		if (db->n_packages >= PACKAGES_MAX)
			return QUBE_E_LIMIT;
		grown = grow(db->packages, db->n_packages, sizeof(*grown));
		if (!grown)
			return QUBE_E_NOMEM;
		db->packages = grown;
		db->packages[db->n_packages++] = pkg;
	}
	if (!db->n_packages)
		return 0;
	qsort(db->packages, db->n_packages, sizeof(*db->packages), by_package);
	for (size_t i = 0; i < db->n_packages; i++) {
		r = add_provides(db, i);
		if (r < 0)
			return r;
	}
	if (db->n_provides)
		qsort(db->provides, db->n_provides, sizeof(*db->provides), by_provide);
	return 0;
}

int worker_dpkg_parse(struct dpkg_db *db, const char *text, size_t len)
{
	struct dpkg_db fresh = { 0 };
	int r;

	if (len && memchr(text, 0, len))
		return QUBE_E_PROTO;
	r = fill_db(&fresh, (struct slice){ text, len });
	if (r < 0) {
		worker_dpkg_fini(&fresh);
		return r;
	}
	*db = fresh;
	return 0;
}

void worker_dpkg_fini(struct dpkg_db *db)
{
	free(db->packages);
	free(db->provides);
	memset(db, 0, sizeof(*db));
}

struct dpkg_package *worker_dpkg_find(const struct dpkg_db *db, struct slice name)
{
	size_t low = 0;
	size_t high = db->n_packages;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (worker_slice_cmp(db->packages[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < db->n_packages && worker_slice_cmp(db->packages[low].name, name) == 0)
		return &db->packages[low];
	return NULL;
}

static size_t first_provide(const struct dpkg_db *db, struct slice name)
{
	size_t low = 0;
	size_t high = db->n_provides;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (worker_slice_cmp(db->provides[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* "libfoo:any (>= 1.2) [linux-any]" -> "libfoo" */
static struct slice bare_name(struct slice s)
{
	size_t n = 0;

	s = worker_slice_trim(s);
	while (n < s.len && !is_space(s.p[n]) && s.p[n] != ':' && s.p[n] != '(' && s.p[n] != '[')
		n++;
	s.len = n;
	return s;
}

/* The package to take for one name: one that is included already, the package itself, or the
 * first that provides it. The installed system is consistent, so versions need no look. Of a
 * foreign architecture only what shares the wanting package's, or "all". */
static struct dpkg_package *resolve_name(struct dpkg_db *db, const struct dpkg_package *from,
					 struct slice name)
{
	struct dpkg_package *pkg = worker_dpkg_find(db, name);
	struct dpkg_package *best = pkg;
	struct dpkg_package *end = db->packages + db->n_packages;

	for (; pkg && pkg < end && worker_slice_cmp(pkg->name, name) == 0; pkg++)
		if (worker_slice_cmp(pkg->arch, from->arch) == 0)
			best = pkg;
	if (best)
		return best;
	for (size_t i = first_provide(db, name);
	     i < db->n_provides && worker_slice_cmp(db->provides[i].name, name) == 0; i++) {
		pkg = &db->packages[db->provides[i].package];
		if (!best || (pkg->included && !best->included))
			best = pkg;
	}
	return best;
}

static struct dpkg_package *resolve_group(struct dpkg_db *db, const struct dpkg_package *from,
					  struct slice group)
{
	struct dpkg_package *first = NULL;
	struct slice one;

	while (worker_slice_next(&one, &group, '|')) {
		struct dpkg_package *pkg = resolve_name(db, from, bare_name(one));

		if (pkg && pkg->included)
			return pkg;
		if (!first)
			first = pkg;
	}
	return first;
}

int worker_dpkg_include(struct dpkg_db *db, struct dpkg_package *pkg,
			void (*missing)(void *user, struct slice package, struct slice wanted),
			void *user)
{
	size_t *todo;
	size_t n = 0;

	if (pkg->included)
		return 0;
	todo = calloc(db->n_packages, sizeof(*todo)); /* each is included once */
	if (!todo)
		return QUBE_E_NOMEM;
	pkg->included = true;
	todo[n++] = (size_t)(pkg - db->packages);
	while (n) {
		struct dpkg_package *from = &db->packages[todo[--n]];
		struct slice lists[2] = { from->pre_depends, from->depends };

		for (int i = 0; i < 2; i++) {
			struct slice group;

			while (worker_slice_next(&group, &lists[i], ',')) {
				struct dpkg_package *to = resolve_group(db, from, group);

				if (!to && missing)
					missing(user, from->name, worker_slice_trim(group));
				if (!to || to->included)
					continue;
				to->included = true;
				todo[n++] = (size_t)(to - db->packages);
			}
		}
	}
	free(todo);
	return 0;
}

bool worker_dpkg_conffile(struct slice *md5, const struct dpkg_package *pkg, struct slice path)
{
	struct slice rest = pkg->conffiles;
	struct slice line;

	while (worker_slice_next(&line, &rest, '\n')) {
		struct slice name;
		struct slice sum;

		line = worker_slice_trim(line);
		if (!worker_slice_next(&name, &line, ' ') || worker_slice_cmp(name, path) != 0)
			continue;
		if (!worker_slice_next(&sum, &line, ' '))
			return false;
		*md5 = sum;
		return true;
	}
	return false;
}

bool worker_path_ok(struct slice path)
{
	struct slice part;

	if (path.len < 2 || path.len > 4095 || path.p[0] != '/' || memchr(path.p, 0, path.len))
		return false;
	path.p++;
	path.len--;
	if (path.p[path.len - 1] == '/')
		return false;
	while (worker_slice_next(&part, &path, '/'))
		if (!part.len || part.len > 255 || worker_slice_is(part, ".") ||
		    worker_slice_is(part, ".."))
			return false;
	return true;
}

int worker_dpkg_list_next(struct slice *path, struct slice *rest)
{
	struct slice line;

	while (worker_slice_next(&line, rest, '\n')) {
		if (worker_slice_is(line, "/."))
			continue;
		if (!worker_path_ok(line))
			return QUBE_E_PROTO;
		*path = line;
		return 1;
	}
	return 0;
}

int worker_dpkg_diversion_next(struct dpkg_diversion *d, struct slice *rest)
{
	struct dpkg_diversion got;

	if (!worker_slice_next(&got.from, rest, '\n'))
		return 0;
	if (!worker_slice_next(&got.to, rest, '\n') ||
	    !worker_slice_next(&got.package, rest, '\n') || !worker_path_ok(got.from) ||
	    !worker_path_ok(got.to))
		return QUBE_E_PROTO;
	*d = got;
	return 1;
}
