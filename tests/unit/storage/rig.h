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
	/* n_layers: the volume that is in use when the pool is opened */
	struct qube__volume_spec spec;
	uint32_t n_layers;
	const char *layers[QUBE__LAYERS_MAX];
};

int open_pool(struct fixture *f);
int setup(struct fixture *f);
int reopen(struct fixture *f);
void teardown(struct fixture *f);
struct qube__volume_spec root_of(const char *owner);
struct qube__volume_spec app_root(const char *owner, const char *template_name);
struct qube__volume_spec private_of(const char *owner);
struct qube__volume_spec disposable_private(const char *owner, const char *source);
void plant_template(const char *owner);
int no_trash(void *arg);
int change_template(struct fixture *f, const char *file, int keep);

#endif
