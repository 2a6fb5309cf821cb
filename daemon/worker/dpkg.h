/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * dpkg's database, read without dpkg (formats: deb-control(5), dpkg(1), deb-conffiles(5),
 * dpkg-divert(1), update-alternatives(1)). Slices point into the text that was parsed; the text is
 * never changed. Pure but for memory; codes only. */
#ifndef QUBE_WORKER_DPKG_H
#define QUBE_WORKER_DPKG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
	const char *p;
	size_t len;
};

static inline bool slice_empty(struct slice s)
{
	return s.len == 0;
}
bool worker_slice_is(struct slice s, const char *text);
int worker_slice_cmp(struct slice a, struct slice b);
/* Takes up to sep from *rest; false at the end. */
bool worker_slice_next(struct slice *out, struct slice *rest, char sep);
struct slice worker_slice_trim(struct slice s);

/* An installed package; others are left out by the parser. */
struct dpkg_package {
	struct slice stanza; /* with its newlines, without the blank line */
	struct slice name;
	struct slice arch;
	struct slice depends;
	struct slice pre_depends;
	struct slice provides;
	struct slice conffiles; /* lines " /path md5[ obsolete]" */
	bool essential;
	bool same; /* Multi-Arch: same, its files are info/NAME:ARCH.* */
	bool included;
};

struct dpkg_provide {
	struct slice name;
	size_t package;
};

struct dpkg_db {
	struct dpkg_package *packages; /* by name */
	size_t n_packages;
	struct dpkg_provide *provides; /* by name */
	size_t n_provides;
};

/* QUBE_E_PROTO for what is no status file, QUBE_E_LIMIT, QUBE_E_NOMEM. */
int worker_dpkg_parse(struct dpkg_db *db, const char *text, size_t len);
void worker_dpkg_fini(struct dpkg_db *db);
/* First package of that name (there may be one for each architecture), or NULL. */
struct dpkg_package *worker_dpkg_find(const struct dpkg_db *db, struct slice name);
/* Marks the package and all that it needs. missing is called for what is not installed. */
int worker_dpkg_include(struct dpkg_db *db, struct dpkg_package *pkg,
			void (*missing)(void *user, struct slice package, struct slice wanted),
			void *user);
/* The package's default content of that conffile, as 32 hex digits; false if it is none. */
bool worker_dpkg_conffile(struct slice *md5, const struct dpkg_package *pkg, struct slice path);

/* One absolute path of a .list: 1, 0 at the end, QUBE_E_PROTO (not absolute, "..", "//", too
 * long). "/." is left out. */
int worker_dpkg_list_next(struct slice *path, struct slice *rest);

struct dpkg_diversion {
	struct slice from;
	struct slice to;
	struct slice package; /* ":" is the administrator's */
};
/* As above. */
int worker_dpkg_diversion_next(struct dpkg_diversion *d, struct slice *rest);
/* True for an absolute path without "//", "." and ".." parts, of at most 4095 bytes. */
bool worker_path_ok(struct slice path);

#endif
