/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an import is going to copy: packages, then their files. */
#include "import.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	STATUS_MAX = 64 * 1024 * 1024,
	LIST_MAX = 32 * 1024 * 1024,
	ITEMS_MAX = 4 * 1000 * 1000,
	STATIC_IDS = 100, /* Debian Policy 9.2.2: below, ids are the same on every system */
};

/* Besides what is essential. Those that are not installed are left out. */
static const char *const defaults[] = {
	"base-files", "base-passwd", "bash",	     "coreutils",   "dash",	"debianutils",
	"diffutils",  "findutils",   "grep",	     "gzip",	    "hostname", "libc-bin",
	"login",      "mawk",	     "ncurses-base", "ncurses-bin", "passwd",	"procps",
	"sed",	      "tar",	     "util-linux",
};

static const char *const merged_dirs[6] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32" };

int worker_host_read(struct import *im, char **out, size_t *len, const char *path, size_t max)
{
	qube__autofd fd = worker_open(im->host, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	qube__autofree char *data = NULL;
	struct stat st;
	size_t got = 0;

	if (fd < 0 && errno == ENOENT)
		return qube__fail(QUBE_E_NOENT, "this host has no /%s", path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return qube__fail_name("open", path);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
		return qube__fail(QUBE_E_LIMIT, "/%s is no file of at most %zu bytes", path, max);
	data = malloc((size_t)st.st_size + 1);
	if (!data)
		return qube__fail_nomem();
	while (got < (size_t)st.st_size) {
		ssize_t n = read(fd, data + got, (size_t)st.st_size - got);

		if (n < 0)
			return qube__fail_name("read", path);
		if (n == 0)
			break;
		got += (size_t)n;
	}
	data[got] = '\0';
	*out = qube__steal(data);
	*len = got;
	return 0;
}

int worker_info_path(char *out, size_t cap, const struct dpkg_package *pkg, const char *suffix)
{
	int n;

	if (pkg->same)
		n = snprintf(out, cap, "var/lib/dpkg/info/%.*s:%.*s.%s", (int)pkg->name.len,
			     pkg->name.p, (int)pkg->arch.len, pkg->arch.p, suffix);
	else
		n = snprintf(out, cap, "var/lib/dpkg/info/%.*s.%s", (int)pkg->name.len, pkg->name.p,
			     suffix);
	return n > 0 && (size_t)n < cap ? 0 :
					  qube__fail(QUBE_E_LIMIT, "a package name is too long");
}

static void note_missing(void *user, struct slice package, struct slice wanted)
{
	worker_note(user, "%.*s: nothing installed satisfies \"%.*s\"", (int)package.len, package.p,
		    (int)wanted.len, wanted.p);
}

static int choose_packages(struct import *im, const char *const *packages, size_t n_packages)
{
	size_t n_defaults = sizeof(defaults) / sizeof(defaults[0]);
	bool use_defaults = !(im->job->flags & QUBE__JOB_NO_DEFAULTS);
	int r = 0;

	for (size_t i = 0; use_defaults && r == 0 && i < im->db.n_packages; i++)
		if (im->db.packages[i].essential)
			r = worker_dpkg_include(&im->db, &im->db.packages[i], note_missing,
						im->job);
	for (size_t i = 0; use_defaults && r == 0 && i < n_defaults; i++) {
		struct dpkg_package *p = worker_dpkg_find(
			&im->db, (struct slice){ defaults[i], strlen(defaults[i]) });

		if (p)
			r = worker_dpkg_include(&im->db, p, note_missing, im->job);
	}
	for (size_t i = 0; r == 0 && i < n_packages; i++) {
		struct dpkg_package *p = worker_dpkg_find(
			&im->db, (struct slice){ packages[i], strlen(packages[i]) });
		char safe[128];

		if (!p)
			return qube__fail(QUBE_E_NOENT, "package %s is not installed on this host",
					  qube__text_escape(safe, sizeof(safe), packages[i],
							    strlen(packages[i])));
		r = worker_dpkg_include(&im->db, p, note_missing, im->job);
	}
	if (r < 0)
		return qube__fail(r, "cannot resolve dependencies");
	for (size_t i = 0; i < im->db.n_packages; i++)
		im->job->packages += im->db.packages[i].included;
	return 0;
}

static void find_merged(struct import *im)
{
	for (size_t i = 0; i < 6; i++) {
		char target[32];
		char want[32];
		ssize_t n = readlinkat(im->host, merged_dirs[i], target, sizeof(target) - 1);

		if (n <= 0)
			continue;
		target[n] = '\0';
		snprintf(want, sizeof(want), "usr/%s", merged_dirs[i]);
		im->merged[i] = strcmp(target, want) == 0 ||
				(target[0] == '/' && strcmp(target + 1, want) == 0);
	}
}

/* Owned copy without the leading '/', with /bin as usr/bin where the host has it so. NULL: memory.
 */
static char *canonical(const struct import *im, struct slice path)
{
	struct slice first = { path.p + 1, path.len - 1 };
	const char *slash = memchr(first.p, '/', first.len);
	bool under_usr = false;

	if (slash) {
		first.len = (size_t)(slash - first.p);
		for (size_t i = 0; i < 6; i++)
			under_usr |= im->merged[i] && worker_slice_is(first, merged_dirs[i]);
	}
	return qube__text_format("%s%.*s", under_usr ? "usr/" : "", (int)path.len - 1, path.p + 1);
}

static bool below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* Where package files are what the package brought: everywhere else a regular file is the
 * machine's own state, whoever owns its name. */
static bool is_package_ground(const char *path)
{
	if (below(path, "usr"))
		return !below(path, "usr/local");
	for (size_t i = 0; i < 6; i++)
		if (below(path, merged_dirs[i]))
			return true;
	return below(path, "opt");
}

static bool is_dir_ground(const char *path)
{
	return !below(path, "root") && !below(path, "home") && !below(path, "boot");
}

/* 1: wanted, 0: not. */
static int classify(struct import *im, struct item *it, const struct dpkg_package *pkg,
		    struct slice listed, const struct stat *st)
{
	if (S_ISDIR(st->st_mode)) {
		it->kind = ITEM_DIR;
		return is_dir_ground(it->path);
	}
	if (S_ISLNK(st->st_mode)) {
		it->kind = ITEM_LINK;
		return is_package_ground(it->path) || below(it->path, "etc") ||
		       below(it->path, "var") || !strchr(it->path, '/');
	}
	if (!S_ISREG(st->st_mode))
		return 0;
	if (is_package_ground(it->path)) {
		it->kind = ITEM_FILE;
		return 1;
	}
	if (below(it->path, "etc")) {
		struct slice md5;

		if (!worker_dpkg_conffile(&md5, pkg, listed))
			return 0;
		it->kind = ITEM_CONF;
		it->md5 = strndup(md5.p, md5.len);
		return it->md5 ? 1 : qube__fail_nomem();
	}
	worker_note(im->job, "left out: /%s (state of this machine)", it->path);
	return 0;
}

static void free_item(struct item *it)
{
	free(it->path);
	free(it->source);
	free(it->md5);
}

/* The file of a diverted name is elsewhere; with the diverting package it stays there. */
static int apply_diversion(struct import *im, struct item *it, const struct dpkg_package *pkg,
			   struct slice listed)
{
	struct slice rest = { im->diversions, im->diversions_len };
	struct dpkg_diversion d;
	int r;

	while ((r = worker_dpkg_diversion_next(&d, &rest)) > 0) {
		struct dpkg_package *by;

		if (worker_slice_cmp(d.from, listed) != 0 ||
		    worker_slice_cmp(d.package, pkg->name) == 0)
			continue;
		it->source = canonical(im, d.to);
		if (!it->source)
			return qube__fail_nomem();
		by = worker_dpkg_find(&im->db, d.package);
		if (by && by->included) {
			free(it->path);
			it->path = strdup(it->source);
			if (!it->path)
				return qube__fail_nomem();
		}
		return 0;
	}
	return r < 0 ? qube__fail(r, "this host's /var/lib/dpkg/diversions cannot be read") : 0;
}

static int look_at(struct import *im, struct stat *st, const char *path)
{
	qube__autofd fd = worker_open(im->host, path, O_PATH, 0);

	if (fd < 0)
		return -1;
	return fstat(fd, st);
}

static int plan_path(struct import *im, struct item *it, const struct dpkg_package *pkg,
		     struct slice listed)
{
	struct stat st;
	int r;

	it->path = canonical(im, listed);
	if (!it->path)
		return qube__fail_nomem();
	r = apply_diversion(im, it, pkg, listed);
	if (r < 0)
		return r;
	if (look_at(im, &st, it->source ? it->source : it->path) < 0) {
		im->job->skipped++; /* dpkg's path-exclude, or a moved directory */
		return 0;
	}
	r = classify(im, it, pkg, listed, &st);
	if (r <= 0)
		return r;
	it->mode = st.st_mode & (im->job->flags & QUBE__JOB_KEEP_SETID ? 07777 : 01777);
	it->uid = st.st_uid < STATIC_IDS ? st.st_uid : 0;
	it->gid = st.st_gid < STATIC_IDS ? st.st_gid : 0;
	it->size = S_ISDIR(st.st_mode) ? 0 : st.st_size;
	it->mtime = st.st_mtim;
	return 1;
}

static int add_item(struct import *im, const struct item *it)
{
	size_t n = im->n_items;

	if (n >= ITEMS_MAX)
		return qube__fail(QUBE_E_LIMIT, "more than %d files", ITEMS_MAX);
	if (n % 4096 == 0) {
		struct item *grown = realloc(im->items, (n + 4096) * sizeof(*grown));

		if (!grown)
			return qube__fail_nomem();
		im->items = grown;
	}
	im->items[im->n_items++] = *it;
	return 0;
}

static int plan_package(struct import *im, const struct dpkg_package *pkg)
{
	qube__autofree char *text = NULL;
	struct slice rest;
	struct slice listed;
	char path[600];
	size_t len;
	int r = worker_info_path(path, sizeof(path), pkg, "list");

	if (r == 0)
		r = worker_host_read(im, &text, &len, path, LIST_MAX);
	if (r < 0)
		return r;
	rest = (struct slice){ text, len };
	while ((r = worker_dpkg_list_next(&listed, &rest)) > 0) {
		struct item it = { 0 };

		r = plan_path(im, &it, pkg, listed);
		if (r > 0) {
			r = add_item(im, &it);
			if (r == 0)
				continue;
		}
		free_item(&it);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return qube__fail(r, "/%s cannot be read", path);
	return worker_tick(im->job);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->path, ((const struct item *)b)->path);
}

static void sort_unique(struct import *im)
{
	size_t kept = 0;

	if (!im->n_items)
		return;
	qsort(im->items, im->n_items, sizeof(*im->items), by_path);
	for (size_t i = 0; i < im->n_items; i++) {
		if (kept && strcmp(im->items[kept - 1].path, im->items[i].path) == 0)
			free_item(&im->items[i]);
		else
			im->items[kept++] = im->items[i];
	}
	im->n_items = kept;
	for (size_t i = 0; i < kept; i++)
		im->job->total += (uint64_t)im->items[i].size;
	im->job->files = kept;
}

int worker_import_plan(struct import *im, const char *const *packages, size_t n_packages)
{
	size_t len;
	int r = worker_host_read(im, &im->status, &len, "var/lib/dpkg/status", STATUS_MAX);

	if (r == QUBE_E_NOENT)
		return qube__fail(QUBE_E_NOTSUP, "this host has no dpkg database");
	if (r < 0)
		return r;
	r = worker_dpkg_parse(&im->db, im->status, len);
	if (r < 0)
		return qube__fail(r, "this host's /var/lib/dpkg/status cannot be read");
	r = worker_host_read(im, &im->diversions, &im->diversions_len, "var/lib/dpkg/diversions",
			     STATUS_MAX);
	if (r < 0 && r != QUBE_E_NOENT)
		return r;
	find_merged(im);
	r = choose_packages(im, packages, n_packages);
	for (size_t i = 0; r == 0 && i < im->db.n_packages; i++)
		if (im->db.packages[i].included)
			r = plan_package(im, &im->db.packages[i]);
	if (r < 0)
		return r;
	sort_unique(im);
	return 0;
}
