/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A pool in a scratch directory, with the real, jailed worker, and a template in it. */
#ifndef STORAGE_TEST_RIG_H
#define STORAGE_TEST_RIG_H

#include "event/loop.h"
#include "storage/pool.h"

struct fixture {
	struct qube__loop loop;
	struct qube__pool *p;
	const char *driver; /* NULL: tree */
	/* attached, or n_layers: the volume that is in use when the pool is opened */
	struct qube__volume_spec spec;
	bool attached;
	uint32_t n_layers;
	const char *layers[QUBE__LAYERS_MAX];
};

int open_pool(struct fixture *f);
int setup(struct fixture *f);
int setup_with(struct fixture *f, const char *driver);
int reopen(struct fixture *f);
void teardown(struct fixture *f);
struct qube__volume_spec root_of(const char *owner);
struct qube__volume_spec app_root(const char *owner, const char *template_name);
struct qube__volume_spec private_of(const char *owner);
struct qube__volume_spec disposable_private(const char *owner, const char *source);
/* The same as disks, for the drivers file and reflink. */
struct qube__volume_spec disk_of(const char *owner);
struct qube__volume_spec app_disk(const char *owner, const char *template_name);
struct qube__volume_spec private_disk(const char *owner);
struct qube__volume_spec disposable_disk(const char *owner, const char *source);
/* The call, and its end if it has one. */
int prepare_volume(struct fixture *f, const struct qube__volume_spec *v);
/* Where its image is; the path stays for some more calls. */
int start_disk(char **path, struct fixture *f, const struct qube__volume_spec *v);
int stop_volume(struct fixture *f, const struct qube__volume_spec *v, uint32_t how);
void plant_template(const char *owner);
int no_trash(void *arg);
int change_template(struct fixture *f, const char *file, int keep);

#endif
