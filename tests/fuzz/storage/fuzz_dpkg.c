/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The same bytes as a status file, a list of files and diversions. Accepted paths stay below "/".
 */
#include "dpkg.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(struct slice path)
{
	assert(path.len > 1 && path.p[0] == '/');
	assert(!memmem(path.p, path.len, "//", 2));
	assert(!memmem(path.p, path.len, "/../", 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct slice all = { (const char *)data, size };
	struct slice rest = all;
	struct dpkg_diversion d;
	struct dpkg_db db;
	struct slice path;

	if (worker_dpkg_parse(&db, all.p, all.len) == 0) {
		for (size_t i = 0; i < db.n_packages; i++) {
			struct slice md5;

			assert(worker_dpkg_find(&db, db.packages[i].name) != NULL);
			worker_dpkg_conffile(&md5, &db.packages[i], (struct slice){ "/etc/x", 6 });
			worker_dpkg_include(&db, &db.packages[i], NULL, NULL);
			assert(db.packages[i].included);
		}
		worker_dpkg_fini(&db);
	}
	while (worker_dpkg_list_next(&path, &rest) > 0)
		check_path(path);
	rest = all;
	while (worker_dpkg_diversion_next(&d, &rest) > 0)
		check_path(d.to);
	return 0;
}
