/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Import of the host's installed packages as a template. What comes along is what packages own and
 * packages made: programs and data by dpkg's lists; of /etc only files whose content is still the
 * package's default; everything else there is generated. */
#ifndef QUBE_WORKER_IMPORT_H
#define QUBE_WORKER_IMPORT_H

#include "dpkg.h"
#include "worker.h"

#include <time.h>

enum item_kind {
	ITEM_DIR,
	ITEM_LINK,
	ITEM_FILE,
	ITEM_CONF, /* a file of which the content must have a digest */
};

struct item {
	char *path;   /* in the template, without the leading '/' */
	char *source; /* on the host; NULL: the same */
	char *md5;    /* ITEM_CONF */
	enum item_kind kind;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	off_t size;
	struct timespec mtime;
};

struct import {
	struct worker_job *job;
	int host;
	int dest;
	char *status;
	struct dpkg_db db;
	char *diversions;
	size_t diversions_len;
	bool merged[6];	    /* /bin, /sbin, /lib ... is a symlink into /usr */
	struct item *items; /* by path */
	size_t n_items;
	int parent; /* directory of the last item in dest, and its path */
	char parent_path[4096];
};

/* plan.c */
int worker_import_plan(struct import *im, const char *const *packages, size_t n_packages);
/* Whole regular file of the host, NUL behind it. QUBE_E_NOENT if there is none. */
int worker_host_read(struct import *im, char **out, size_t *len, const char *path, size_t max);
/* Path of a package's file in info/, with its architecture where dpkg writes it. */
int worker_info_path(char *out, size_t cap, const struct dpkg_package *pkg, const char *suffix);

/* write.c: makes an entry of the template; parents are made as needed, never followed. */
int worker_import_item(struct import *im, const struct item *it);
int worker_import_dir(struct import *im, const char *path, mode_t mode, uid_t uid, gid_t gid);
int worker_import_text(struct import *im, const char *path, const char *data, size_t len,
		       mode_t mode, gid_t gid);
int worker_import_link(struct import *im, const char *path, const char *target);
/* The directory of path becomes im->parent, made where it is missing. */
int worker_import_parent(struct import *im, const char *path, const char **name);
bool worker_import_has(struct import *im, const char *path);

/* settings.c */
int worker_import_settings(struct import *im);
int worker_import_ldcache(struct import *im);
/* database.c: dpkg's database of the included packages, and their alternatives. */
int worker_import_database(struct import *im);
int worker_import_alternatives(struct import *im);

#endif
