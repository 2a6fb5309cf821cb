/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rig.h"

#include "qtest.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

static int attach(void *user, struct qube__pool *p)
{
	struct fixture *f = user;

	return qube__volume_attach(p, &f->spec, (const char *const *)f->layers, f->n_layers);
}

int open_pool(struct fixture *f)
{
	struct qube__pool_env env = {
		.loop = &f->loop,
		.state_dir = at("."),
		.worker_path = QUBE_TEST_WORKER,
		.driver = f->driver,
		.user = f,
		.attach = f->n_layers || f->attached ? attach : NULL,
	};
	char dir[64];

	snprintf(dir, sizeof(dir), "%.40s", at("."));
	dir[strlen(dir) - 2] = '\0';
	env.state_dir = dir;
	return qube__pool_open(&f->p, &env, "main");
}

int setup(struct fixture *f)
{
	int r;

	scratch_make();
	f->n_layers = 0;
	f->attached = false;
	f->driver = NULL;
	r = qube__loop_init(&f->loop);
	return r < 0 ? r : open_pool(f);
}

int reopen(struct fixture *f)
{
	qube__pool_close(f->p);
	return open_pool(f);
}

void teardown(struct fixture *f)
{
	qube__pool_close(f->p);
	qube__loop_fini(&f->loop);
	scratch_remove();
}

struct qube__volume_spec root_of(const char *owner)
{
	return (struct qube__volume_spec){
		.owner = owner,
		.name = "root",
		.kind = QUBE__VOLUME_LAYERED,
		.save_on_stop = true,
		.revisions_to_keep = 1,
	};
}

struct qube__volume_spec app_root(const char *owner, const char *template_name)
{
	return (struct qube__volume_spec){
		.owner = owner,
		.name = "root",
		.kind = QUBE__VOLUME_LAYERED,
		.snap_on_start = true,
		.source = template_name,
	};
}

struct qube__volume_spec private_of(const char *owner)
{
	return (struct qube__volume_spec){
		.owner = owner,
		.name = "private",
		.kind = QUBE__VOLUME_TREE,
		.save_on_stop = true,
	};
}

struct qube__volume_spec disposable_private(const char *owner, const char *source)
{
	return (struct qube__volume_spec){
		.owner = owner,
		.name = "private",
		.kind = QUBE__VOLUME_TREE,
		.snap_on_start = true,
		.source = source,
	};
}

int setup_with(struct fixture *f, const char *driver)
{
	int r;

	scratch_make();
	*f = (struct fixture){ .driver = driver };
	r = qube__loop_init(&f->loop);
	return r < 0 ? r : open_pool(f);
}

struct qube__volume_spec disk_of(const char *owner)
{
	return (struct qube__volume_spec){
		.owner = owner,
		.name = "root",
		.kind = QUBE__VOLUME_BLOCK,
		.block = true,
		.save_on_stop = true,
		.revisions_to_keep = 1,
	};
}

struct qube__volume_spec app_disk(const char *owner, const char *template_name)
{
	return (struct qube__volume_spec){
		.owner = owner,
		.name = "root",
		.kind = QUBE__VOLUME_BLOCK,
		.block = true,
		.snap_on_start = true,
		.source = template_name,
	};
}

struct qube__volume_spec private_disk(const char *owner)
{
	return (struct qube__volume_spec){
		.owner = owner,
		.name = "private",
		.kind = QUBE__VOLUME_BLOCK,
		.block = true,
		.in_place = true,
		.save_on_stop = true,
		.size_bytes = 32 << 20,
	};
}

struct qube__volume_spec disposable_disk(const char *owner, const char *source)
{
	struct qube__volume_spec v = private_disk(owner);

	v.save_on_stop = false;
	v.snap_on_start = true;
	v.source = source;
	return v;
}

int prepare_volume(struct fixture *f, const struct qube__volume_spec *v)
{
	struct waiter w;
	struct qube__pool_cb cb = waiter_cb(&w);
	int r = qube__volume_prepare(NULL, f->p, v, &cb);

	return r == 1 ? wait_for(&f->loop, &w) : r;
}

static char *copy_of(const char *path)
{
	static char ring[4][4096];
	static unsigned int next;

	return strcpy(ring[next++ % 4], path);
}

int start_disk(char **path, struct fixture *f, const struct qube__volume_spec *v)
{
	struct qube__volume_run run;
	int r = prepare_volume(f, v);

	if (r == 0)
		r = qube__volume_start(&run, f->p, v);
	if (r < 0)
		return r;
	*path = copy_of(run.upper);
	qube__volume_run_fini(&run);
	return 0;
}

int stop_volume(struct fixture *f, const struct qube__volume_spec *v, uint32_t how)
{
	struct waiter w;
	struct qube__pool_cb cb = waiter_cb(&w);
	int r = qube__volume_stop(NULL, f->p, v, how, &cb);

	return r == 1 ? wait_for(&f->loop, &w) : r;
}

/* A template of one layer, as an import leaves it. */
void plant_template(const char *owner)
{
	put_file(at("pools/main/layers/base/etc/version"), "1\n", 0644);
	put_file(at("pools/main/volumes/%s/root.vol", owner), "qube-volume 1\nrevision 1 1 base\n",
		 0600);
}

int no_trash(void *arg)
{
	(void)arg;
	return count_entries(at("pools/main/trash")) == 0;
}

/* Starts the template, writes a file, stops it. */
int change_template(struct fixture *f, const char *file, int keep)
{
	struct qube__volume_spec v = root_of("tpl");
	struct qube__volume_run run;
	struct waiter w;
	struct qube__pool_cb cb = waiter_cb(&w);
	int r = qube__volume_start(&run, f->p, &v);

	v.revisions_to_keep = keep;
	if (r < 0)
		return r;
	put_file(at("pools/main/run/tpl/root/upper/%s", file), "x\n", 0644);
	qube__volume_run_fini(&run);
	r = qube__volume_stop(NULL, f->p, &v, false, &cb);
	return r <= 0 ? r : wait_for(&f->loop, &w);
}
