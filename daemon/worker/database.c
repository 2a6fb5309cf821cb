/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * dpkg's database in the template: the packages that are in it, as they are on the host, so that
 * tools see them and apt can add others. */
#include "import.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DATABASE_MAX = 96 * 1024 * 1024, INFO_MAX = 32 * 1024 * 1024 };

static const struct {
	const char *suffix;
	mode_t mode;
} infos[] = {
	{ "list", 0644 },     { "md5sums", 0644 },  { "conffiles", 0644 }, { "shlibs", 0644 },
	{ "symbols", 0644 },  { "triggers", 0644 }, { "templates", 0644 }, { "preinst", 0755 },
	{ "postinst", 0755 }, { "prerm", 0755 },    { "postrm", 0755 },	   { "config", 0755 },
};

static const char *const empty_files[] = {
	"var/lib/dpkg/available",
	"var/lib/dpkg/statoverride",
	"var/lib/dpkg/triggers/Unincorp",
	"var/lib/dpkg/triggers/File",
};

static int write_buf(struct import *im, const char *path, struct qube__buf *b)
{
	return worker_import_text(im, path, (const char *)qube__buf_data(b), b->len, 0644, 0);
}

static int copy_info(struct import *im, const struct dpkg_package *pkg)
{
	for (size_t i = 0; i < sizeof(infos) / sizeof(infos[0]); i++) {
		qube__autofree char *text = NULL;
		char path[600];
		size_t len;
		int r = worker_info_path(path, sizeof(path), pkg, infos[i].suffix);

		if (r == 0)
			r = worker_host_read(im, &text, &len, path, INFO_MAX);
		if (r == QUBE_E_NOENT)
			continue;
		if (r == 0)
			r = worker_import_text(im, path, text, len, infos[i].mode, 0);
		if (r < 0)
			return r;
	}
	return worker_tick(im->job);
}

static int write_status(struct import *im)
{
	qube__autobuf b;
	int r = 0;

	qube__buf_init(&b, DATABASE_MAX);
	for (size_t i = 0; r == 0 && i < im->db.n_packages; i++) {
		const struct dpkg_package *p = &im->db.packages[i];

		if (!p->included)
			continue;
		r = qube__buf_append(&b, p->stanza.p, p->stanza.len);
		if (r == 0)
			r = qube__buf_append(&b, "\n", 1);
	}
	if (r < 0)
		return qube__fail(r, "the package database is too large");
	return write_buf(im, "var/lib/dpkg/status", &b);
}

static int write_diversions(struct import *im)
{
	struct slice rest = { im->diversions, im->diversions_len };
	struct dpkg_diversion d;
	qube__autobuf b;
	int r = 0;

	qube__buf_init(&b, DATABASE_MAX);
	while (r == 0 && worker_dpkg_diversion_next(&d, &rest) > 0) {
		struct dpkg_package *by = worker_dpkg_find(&im->db, d.package);

		if (by && by->included)
			r = qube__buf_printf(&b, "%.*s\n%.*s\n%.*s\n", (int)d.from.len, d.from.p,
					     (int)d.to.len, d.to.p, (int)d.package.len,
					     d.package.p);
	}
	if (r < 0)
		return qube__fail(r, "the diversions are too many");
	return write_buf(im, "var/lib/dpkg/diversions", &b);
}

int worker_import_database(struct import *im)
{
	int r = worker_import_dir(im, "var/lib/dpkg/updates", 0755, 0, 0);

	if (r == 0)
		r = worker_import_dir(im, "var/lib/dpkg/alternatives", 0755, 0, 0);
	if (r == 0)
		r = write_status(im);
	if (r == 0)
		r = write_diversions(im);
	for (size_t i = 0; r == 0 && i < sizeof(empty_files) / sizeof(empty_files[0]); i++)
		r = worker_import_text(im, empty_files[i], "", 0, 0644, 0);
	if (r == 0)
		r = worker_import_text(im, "var/lib/dpkg/info/format", "1\n", 2, 0644, 0);
	for (size_t i = 0; r == 0 && i < im->db.n_packages; i++)
		if (im->db.packages[i].included)
			r = copy_info(im, &im->db.packages[i]);
	return r;
}
