/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A host whose machines take disks: real pools and the real worker, and machines that are only
 * remembered. */
#include "qtest.h"
#include "rig.h"

#include "base/error.h"
#include "core/host.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static struct qube__driver_ops ops;
static struct qube__volume_run root;
static struct qube__volume_run private_volume;
static struct qube__volume_run volatile_volume;
static char path_of[3][512];
static char dir[64];

static void look_at(struct qube__volume_run *out, const struct qube__volume_run *v, int i)
{
	*out = *v;
	snprintf(path_of[i], sizeof(path_of[i]), "%s", v->upper ? v->upper : "");
	out->upper = path_of[i];
}

static int create(struct qube__driver *d, struct qube__machine **out, void *user,
		  const struct qube__machine_spec *spec)
{
	look_at(&root, &spec->root, 0);
	look_at(&private_volume, &spec->private_volume, 1);
	look_at(&volatile_volume, &spec->volatile_volume, 2);
	return qube__driver_fake.create(d, out, user, spec);
}

static qube_ctx *open_host(void)
{
	struct qube_ctx_opts o = QUBE_CTX_OPTS_INIT;
	qube_ctx *ctx = NULL;
	char state[96];
	char run[96];

	snprintf(state, sizeof(state), "%s/state", dir);
	snprintf(run, sizeof(run), "%s/run", dir);
	o.mode = QUBE_MODE_EMBEDDED;
	o.driver = "fake";
	o.state_dir = state;
	o.run_dir = run;
	o.libexec_dir = QUBE_TEST_BIN_DIR;
	return qube_ctx_open(&ctx, &o) == 0 ? ctx : NULL;
}

/* The same host, with a driver that takes disks. */
static int take_blocks(qube_ctx *ctx, bool takes)
{
	struct qube__host *h = qube__host_of(ctx);

	ops = qube__driver_fake;
	ops.create = create;
	ops.takes_blocks = takes;
	h->ops = &ops;
	qube__pools_close(h);
	return qube__pools_open(h);
}

static void close_host(qube_ctx **ctx)
{
	char command[128];

	qube_ctx_unref(*ctx);
	*ctx = NULL;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		perror("rm");
}

static int make_in(qube_ctx *ctx, const char *name, const char *klass, const char *template_name,
		   const char *pool)
{
	struct qube_domain_create_opts o = {
		.size = sizeof(o),
		.name = name,
		.klass = klass,
		.template_name = template_name,
		.pool = pool,
	};
	qube_domain *d;
	int r = qube_domain_create(&d, ctx, &o);

	if (r == 0)
		qube_domain_unref(d);
	return r;
}

static int make(qube_ctx *ctx, const char *name, const char *klass, const char *template_name)
{
	return make_in(ctx, name, klass, template_name, NULL);
}

/* A template of one layer, as an import leaves it. */
static int plant_root(const char *name)
{
	char command[512];

	snprintf(
		command, sizeof(command),
		"cd %s/state/pools/default && mkdir -p layers/base/etc && echo 1 >layers/base/v && "
		"printf 'qube-volume 1\\nrevision 1 1 base\\n' >volumes/%s/root.vol",
		dir, name);
	return system(command) == 0 ? 0 : -1;
}

#define NEED_HOST(ctx)                                                                             \
	do {                                                                                       \
		if (geteuid() != 0)                                                                \
			QT_SKIP("needs root");                                                     \
		snprintf(dir, sizeof(dir), "/tmp/qube-disks-XXXXXX");                              \
		QT_TRUE(mkdtemp(dir) != NULL);                                                     \
		ctx = open_host();                                                                 \
		QT_TRUE(ctx != NULL);                                                              \
	} while (0)

static const char *global(qube_ctx *ctx, const char *name)
{
	static struct qube__prop_value v;

	return qube__global_get(&v, qube__host_of(ctx)->model, name) < 0 || !v.text ? "" : v.text;
}

QTEST(disks, a_root_that_no_template_begins_is_a_disk_there)
{
	__attribute__((cleanup(close_host))) qube_ctx *ctx = NULL;
	struct qube__model *m;

	NEED_HOST(ctx);
	m = qube__host_of(ctx)->model;
	QT_INT(make(ctx, "local", "StandaloneVM", NULL), 0);
	QT_INT(take_blocks(ctx, true), 0);
	QT_INT(make(ctx, "bare", "StandaloneVM", NULL), 0);
	QT_INT(make(ctx, "tpl", "TemplateVM", NULL), 0);
	QT_STR(qube__vm_volume(qube__model_vm(m, "local"), "root")->pool, "default");
	QT_STR(qube__vm_volume(qube__model_vm(m, "bare"), "root")->pool, "block");
	QT_STR(qube__vm_volume(qube__model_vm(m, "tpl"), "root")->pool, "default");
}

QTEST(disks, a_host_that_takes_disks_gets_a_pool_of_them_once)
{
	__attribute__((cleanup(close_host))) qube_ctx *ctx = NULL;
	struct qube_pool_info info = { .size = sizeof(info) };
	struct qube__host *h;

	NEED_HOST(ctx);
	h = qube__host_of(ctx);
	QT_INT(h->model->n_pools, 1);
	QT_INT(take_blocks(ctx, false), 0);
	QT_INT(h->model->n_pools, 1);
	QT_STR(global(ctx, "default_pool_private"), "default");
	QT_INT(qube__global_set(h->model, "default_pool_volatile", "default"), 0);
	for (int i = 0; i < 2; i++) {
		QT_INT(take_blocks(ctx, true), 0);
		QT_INT(h->model->n_pools, 2);
		QT_INT(h->n_pools, 2);
		QT_STR(global(ctx, "default_pool"), "default");
		QT_STR(global(ctx, "default_pool_root"), "default");
		QT_STR(global(ctx, "default_pool_private"), "block");
		QT_STR(global(ctx, "default_pool_volatile"), "default"); /* it was set */
	}
	QT_INT(ctx->be->pool_info(&info, ctx, "block"), 0);
	QT_STR(info.driver, qube__pool_driver(qube__host_pool(h, "block")));
	QT_TRUE(!strcmp(info.driver, "file") || !strcmp(info.driver, "reflink"));
	QT_TRUE(info.total_bytes > 0);
}

QTEST(disks, a_machine_gets_a_disk_of_its_templates_tree_and_two_others)
{
	__attribute__((cleanup(close_host))) qube_ctx *ctx = NULL;
	DOMAIN deb = NULL;
	DOMAIN work = NULL;
	struct stat st;

	NEED_HOST(ctx);
	QT_INT(take_blocks(ctx, true), 0);
	QT_INT(make(ctx, "deb", "TemplateVM", NULL), 0);
	QT_INT(plant_root("deb"), 0);
	QT_INT(make(ctx, "work", "AppVM", "deb"), 0);
	work = rig_domain(ctx, "work");
	deb = rig_domain(ctx, "deb");
	QT_INT(qube_domain_start(work, NULL), 0);
	QT_INT(root.kind, QUBE__VOLUME_BLOCK);
	QT_TRUE(root.read_only);
	QT_TRUE(strstr(path_of[0], "/pools/default/run/work/root/base.img") != NULL);
	QT_INT(private_volume.kind, QUBE__VOLUME_BLOCK);
	QT_TRUE(!private_volume.read_only);
	QT_TRUE(strstr(path_of[1], "/pools/block/volumes/work/private.img") != NULL);
	QT_INT(stat(path_of[1], &st), 0);
	QT_INT(st.st_size, 2147483648);
	QT_INT(volatile_volume.kind, QUBE__VOLUME_BLOCK);
	QT_INT(stat(path_of[2], &st), 0);
	QT_INT(st.st_size, 10737418240); /* no part of the host's memory */
	QT_INT(stat(path_of[0], &st), 0);
	QT_INT(qube_domain_kill(work, NULL), 0);
	rig_drain(ctx);
	QT_INT(qube_domain_wait(work, QUBE_STATE_HALTED, NULL), 0);
	QT_TRUE(stat(path_of[0], &st) < 0 && stat(path_of[2], &st) < 0);
	QT_INT(stat(path_of[1], &st), 0);
	/* the template itself cannot be changed by a virtual machine */
	QT_INT(qube_domain_start(deb, NULL), QUBE_E_NOTSUP);
	QT_TRUE(strstr(qube_error_last()->message, "with the driver local only") != NULL);
	QT_INT(qube_domain_destroy(work), 0);
	QT_TRUE(stat(path_of[1], &st) < 0);
}

QTEST(disks, who_takes_no_disks_is_told_so_by_name_and_makes_none)
{
	__attribute__((cleanup(close_host))) qube_ctx *ctx = NULL;
	DOMAIN work = NULL;
	DOMAIN local = NULL;

	NEED_HOST(ctx);
	QT_INT(take_blocks(ctx, true), 0);
	QT_INT(make(ctx, "deb", "TemplateVM", NULL), 0);
	QT_INT(plant_root("deb"), 0);
	QT_INT(make(ctx, "work", "AppVM", "deb"), 0);
	QT_INT(take_blocks(ctx, false), 0);
	work = rig_domain(ctx, "work");
	QT_INT(qube_domain_start(work, NULL), QUBE_E_NOTSUP);
	QT_TRUE(strstr(qube_error_last()->message, "is a disk: only a virtual machine") != NULL);
	QT_INT(make(ctx, "local", "AppVM", "deb"), 0);
	local = rig_domain(ctx, "local");
	QT_INT(qube_domain_start(local, NULL), 0);
	QT_INT(root.kind, QUBE__VOLUME_LAYERED);
	QT_INT(private_volume.kind, QUBE__VOLUME_TREE);
	QT_INT(volatile_volume.kind, QUBE__VOLUME_TMPFS);
	QT_INT(qube_domain_kill(local, NULL), 0);
	QT_INT(qube_domain_wait(local, QUBE_STATE_HALTED, NULL), 0);
	QT_INT(qube_domain_destroy(work), 0);
}

/* A template that is a disk itself: an image comes in, is changed by a machine, and goes back. */
QTEST(disks, a_template_may_be_an_image_that_was_imported)
{
	__attribute__((cleanup(close_host))) qube_ctx *ctx = NULL;
	struct qube_volume_info info = { .size = sizeof(info) };
	DOMAIN hvm = NULL;
	DOMAIN work = NULL;
	char **list = NULL;
	struct stat st;
	int fd;

	NEED_HOST(ctx);
	QT_INT(take_blocks(ctx, true), 0);
	QT_INT(make_in(ctx, "hvm", "TemplateVM", NULL, "block"), 0);
	QT_INT(make(ctx, "work", "AppVM", "hvm"), 0);
	hvm = rig_domain(ctx, "hvm");
	work = rig_domain(ctx, "work");
	QT_INT(qube_domain_start(hvm, NULL), QUBE_E_STATE); /* it is empty */
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	QT_INT(ftruncate(fd, 1 << 20), 0);
	QT_INT(pwrite(fd, "one", 3, 0), 3);
	QT_INT(qube_domain_volume_import(hvm, "root", fd, NULL), 0);
	close(fd);
	QT_INT(qube_domain_start(work, NULL), 0);
	QT_TRUE(root.read_only);
	QT_INT(root.size_bytes, 1 << 20);
	QT_INT(qube_domain_start(hvm, NULL), 0);
	QT_TRUE(!root.read_only);
	fd = open(path_of[0], O_WRONLY | O_CLOEXEC);
	QT_INT(pwrite(fd, "two", 3, 0), 3);
	close(fd);
	QT_INT(qube_domain_kill(hvm, NULL), 0);
	QT_INT(qube_domain_wait(hvm, QUBE_STATE_HALTED, NULL), 0);
	QT_INT(qube_domain_volume_info_fetch(&info, hvm, "root"), 0);
	QT_INT(info.n_revisions, 1);
	QT_INT(qube_domain_volume_info_fetch(&info, work, "root"), 0);
	QT_TRUE(info.flags & QUBE_VOLUME_OUTDATED);
	QT_INT(qube_domain_volume_revisions(&list, hvm, "root"), 0);
	QT_INT(qube_domain_volume_revert(hvm, "root", list[0]), 0);
	qube_strings_free(list);
	QT_INT(qube_domain_kill(work, NULL), 0);
	QT_INT(qube_domain_wait(work, QUBE_STATE_HALTED, NULL), 0);
	QT_INT(qube_domain_volume_revert(work, "private", "1"), QUBE_E_NOTSUP);
	QT_INT(stat(path_of[0], &st), -1);
}
