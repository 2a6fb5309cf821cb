/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * IMPORT_HOST: plan, check the room, copy, generate what the host's own settings would be. */
#include "import.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <unistd.h>

enum { BLOCK = 4096, SPARE_FILES = 1000 };

static void import_fini(struct import *im)
{
	for (size_t i = 0; i < im->n_items; i++) {
		free(im->items[i].path);
		free(im->items[i].source);
		free(im->items[i].md5);
	}
	free(im->items);
	worker_dpkg_fini(&im->db);
	free(im->status);
	free(im->diversions);
	qube__close_fd(&im->parent);
	qube__close_fd(&im->dest);
}
#define autoimport __attribute__((cleanup(import_fini))) struct import

/* Each file is rounded up to a block, and a directory takes one. */
static int check_room(const struct import *im, int parent, uint64_t keep_free)
{
	uint64_t need = keep_free;
	struct statfs fs;
	uint64_t have;
	char need_text[32];
	char have_text[32];

	if (fstatfs(parent, &fs) < 0)
		return qube__fail_os("cannot look at the pool's disk");
	for (size_t i = 0; i < im->n_items; i++)
		need += ((uint64_t)im->items[i].size + BLOCK) / BLOCK * BLOCK;
	have = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	if (need > have)
		return qube__fail(QUBE_E_LIMIT, "the import needs %s, the pool's disk has %s free",
				  qube__text_bytes(need_text, sizeof(need_text), need),
				  qube__text_bytes(have_text, sizeof(have_text), have));
	if (fs.f_files && (uint64_t)fs.f_ffree < im->n_items + SPARE_FILES)
		return qube__fail(QUBE_E_LIMIT,
				  "the import makes %zu files, the pool's disk has room for %llu",
				  im->n_items, (unsigned long long)fs.f_ffree);
	return 0;
}

static int make_merged_links(struct import *im)
{
	static const char *const names[6] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32" };

	for (size_t i = 0; i < 6; i++) {
		char target[32] = "usr/";
		int r;

		if (!im->merged[i])
			continue;
		if (qube__text_copy(target + 4, sizeof(target) - 4, names[i]) < 0)
			return qube__fail(QUBE_E_LIMIT, "a name is too long");
		r = worker_import_dir(im, target, 0755, 0, 0);
		if (r == 0)
			r = worker_import_link(im, names[i], target);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_template(struct import *im)
{
	int r;

	worker_stage(im->job, QUBE__JOB_AT_WRITE);
	r = make_merged_links(im);
	for (size_t i = 0; r == 0 && i < im->n_items; i++)
		r = worker_import_item(im, &im->items[i]);
	worker_stage(im->job, QUBE__JOB_AT_SETTINGS);
	if (r == 0)
		r = worker_import_settings(im);
	if (r == 0)
		r = worker_import_database(im);
	if (r == 0)
		r = worker_import_alternatives(im);
	if (r == 0)
		r = worker_import_ldcache(im);
	worker_stage(im->job, QUBE__JOB_AT_FLUSH);
	if (r == 0 && syncfs(im->dest) < 0)
		r = qube__fail_name("flush", "the template");
	return r;
}

int worker_import(struct worker_job *job, int host, int parent, const char *name,
		  const char *const *packages, size_t n_packages, uint64_t keep_free)
{
	autoimport im = { .job = job, .host = host, .dest = -1, .parent = -1 };
	int r = worker_import_plan(&im, packages, n_packages);

	if (r < 0)
		return r;
	worker_plan(job);
	r = check_room(&im, parent, keep_free);
	if (r < 0 || (job->flags & QUBE__JOB_PLAN_ONLY))
		return r;
	if (mkdirat(parent, name, 0700) == 0)
		im.dest = worker_open(parent, name, O_RDONLY | O_DIRECTORY, 0);
	if (im.dest < 0 || fchmod(im.dest, 0755) < 0)
		return qube__fail_name("make", name);
	return write_template(&im);
}
