/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * This process as the host: opened, closed, and the answers that need nothing but the model. */
#include "core/host.h"
#include "core/domain.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"
#include "wire/json.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct qube__driver_ops *find_driver(const char *name)
{
	if (!strcmp(name, "fake"))
		return &qube__driver_fake;
#ifdef QUBE_DRIVER_LOCAL
	if (!strcmp(name, "local"))
		return &qube__driver_local;
#endif
	if (!strcmp(name, "xen"))
		return &qube__driver_xen;
	return NULL;
}

static void driver_log(void *user, int priority, const char *line)
{
	struct qube__host *h = user;

	qube__ctx_log(&h->ctx, priority, "%s", line);
}

/* A guest's line is kept in the qube's own file as well. */
static void guest_log(void *user, void *machine_user, const char *line)
{
	struct qube__host *h = user;
	struct qube__run *r = machine_user;

	qube__life_log(h, r->vm->name, line);
	qube__ctx_log(&h->ctx, 6, "%s: %s", r->vm->name, line);
}

static int open_driver(struct qube__host *h)
{
	struct qube__driver_env env = {
		.loop = &h->ctx.loop,
		.run_dir = h->run_boxes,
		.state_dir = h->state_dir,
		.libexec_dir = h->libexec_dir,
		.user = h,
		.on_machine = qube__life_on_machine,
		.on_stage = qube__life_on_stage,
		.guest_log = guest_log,
		.log = driver_log,
		.take = qube__adopt_take,
		.keep = h->keep,
		.own_cgroup = h->own_cgroup,
		.cgroup = h->cgroup,
	};

	return h->ops->open(&h->driver, &env);
}

static void host_close(qube_ctx *ctx)
{
	struct qube__host *h = qube__host_of(ctx);

	/* Keeps the count above zero: what ends now may hold and release the context. */
	ctx->refs = 1;
	if (h->close_conns)
		h->close_conns(h);
	if (h->model)
		qube__life_end_all(h);
	qube__copies_close(h);
	qube__memory_close(h);
	if (h->sock >= 0 || h->packet)
		qube__link_close(h);
	if (h->driver)
		h->ops->close(h->driver);
	qube__adopt_leave(h);
	qube__pools_close(h);
	qube__rules_close(h);
	qube__model_close(h->model);
	qube__ctx_fini(ctx);
	free(h->state_dir);
	free(h->cgroup);
	free(h->run_dir);
	free(h->run_boxes);
	free(h->run_store);
	free(h->policy_root);
	free(h->libexec_dir);
	free(h->broker_program);
	qube__close_fd(&h->broker_fd);
	free(h);
}

static int copy(char **out, const char *s)
{
	if (!s)
		return 0;
	*out = strdup(s);
	return *out ? 0 : qube__fail_nomem();
}

static int copy_paths(struct qube__host *h, const struct qube_ctx_opts *o)
{
	int fake = o->mode == QUBE_MODE_FAKE;

	if (copy(&h->state_dir, o->state_dir ? o->state_dir :
				fake	     ? NULL :
					       "/var/lib/qube") < 0 ||
	    copy(&h->cgroup, o->cgroup) < 0 ||
	    copy(&h->run_dir, o->run_dir ? o->run_dir :
			      fake	 ? NULL :
					   "/run/qube") < 0 ||
	    copy(&h->policy_root, o->policy_root) < 0 ||
	    copy(&h->libexec_dir, o->libexec_dir ? o->libexec_dir : QUBE_LIBEXECDIR) < 0 ||
	    copy(&h->broker_program, o->broker_program) < 0)
		return QUBE_E_NOMEM;
	if ((h->state_dir && h->state_dir[0] != '/') || (h->run_dir && h->run_dir[0] != '/') ||
	    (h->policy_root && h->policy_root[0] != '/') || h->libexec_dir[0] != '/' ||
	    (h->broker_program && h->broker_program[0] != '/'))
		return qube__fail(QUBE_E_INVALID, "paths of a context must be absolute");
	return 0;
}

static int make_dir(const char *path, mode_t mode, mode_t forbidden)
{
	qube__autofd fd = -1;
	struct stat st;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return qube__fail_os("cannot make %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return qube__fail_os("cannot open %s", path);
	if (st.st_uid != geteuid() || (st.st_mode & forbidden))
		return qube__fail(QUBE_E_INVALID, "%s can be changed by others", path);
	return 0;
}

/* Others may pass through the run directory, to a daemon's socket that its owner puts there; what
 * is ours is in folders that nobody else can enter. */
static int make_run_dirs(struct qube__host *h)
{
	int r = make_dir(h->run_dir, 0711, 022);

	if (r < 0)
		return r;
	h->run_boxes = qube__text_format("%s/boxes", h->run_dir);
	h->run_store = qube__text_format("%s/store", h->run_dir);
	if (!h->run_boxes || !h->run_store)
		return qube__fail_nomem();
	r = make_dir(h->run_boxes, 0700, 077);
	return r < 0 ? r : make_dir(h->run_store, 0700, 077);
}

static int open_parts(struct qube__host *h)
{
	struct qube__model_opts mo = { .state_dir = h->state_dir };
	bool fake = h->ctx.mode == QUBE_MODE_FAKE;
	int r;

	if (!fake) {
		r = make_run_dirs(h);
		if (r < 0)
			return r;
		mo.run_dir = h->run_store;
	}
	r = qube__model_open(&h->model, &mo);
	if (r < 0)
		return r;
	for (size_t i = 0; i < h->model->n_damaged; i++)
		qube__ctx_log(&h->ctx, 3,
			      "the definition of '%s' is damaged and was left alone: %s",
			      h->model->damaged[i].name, h->model->damaged[i].reason);
	r = qube__rules_open(h);
	if (r < 0)
		return r;
	if (h->no_guests)
		return fake ? 0 : qube__pools_open(h);
	r = open_driver(h);
	if (r < 0 || fake)
		return r;
	r = qube__pools_open(h);
	if (r < 0)
		return r;
	r = qube__link_open(h);
	if (r == 0)
		qube__adopt_begin(h);
	return r;
}

/* Disposables whose machines went with their host, or that never had one. */
static void drop_old_disposables(struct qube__host *h)
{
	struct qube__vm *vm = NULL;
	struct qube__vm *next;

	for (vm = qube__model_next(h->model, NULL); vm; vm = next) {
		next = qube__model_next(h->model, vm);
		if (vm->vm_class == QUBE__CLASS_DISP && !vm->run &&
		    qube__vm_bool(vm, QUBE__PROP_AUTO_CLEANUP))
			qube__host_destroy(h, vm);
	}
}

int qube__host_open(qube_ctx **out, const struct qube_ctx_opts *opts)
{
	struct qube__host *h = calloc(1, sizeof(*h));
	const char *driver = opts->mode == QUBE_MODE_FAKE ? "fake" :
			     opts->driver		  ? opts->driver :
							    "local";
	int r;

	if (!h)
		return qube__fail_nomem();
	h->sock = -1;
	h->broker_fd = -1;
	qube__list_init(&h->runs);
	qube__list_init(&h->clones);
	qube__list_init(&h->copies);
	qube__list_init(&h->calls);
	qube__list_init(&h->asks);
	qube__list_init(&h->outbox);
	qube__list_init(&h->conns);
	qube__list_init(&h->doors);
	r = qube__ctx_init(&h->ctx, &qube__host_backend, opts);
	if (r < 0) {
		free(h);
		return r;
	}
	h->no_guests = opts->flags & QUBE_CTX_NO_GUESTS;
	h->keep = opts->flags & QUBE_CTX_KEEP_QUBES;
	h->own_cgroup = opts->flags & QUBE_CTX_OWN_CGROUP;
	h->conn_read_ms = 10000;
	h->conn_write_ms = 30000;
	if (opts->mode == QUBE_MODE_EMBEDDED && geteuid() != 0)
		r = qube__fail(QUBE_E_NOTSUP, "only root can be a host of qubes; connect to qubed");
	h->ops = find_driver(driver);
	if (r == 0 && !h->ops)
		r = qube__fail(QUBE_E_NOENT, "no driver named '%s'", driver);
	if (r == 0)
		r = copy_paths(h, opts);
	if (r == 0)
		r = open_parts(h);
	if (r < 0) {
		struct qube__err err;

		qube__err_save(&err);
		host_close(&h->ctx);
		return qube__err_restore(&err);
	}
	if (!h->no_guests)
		drop_old_disposables(h);
	qube__memory_open(h);
	*out = &h->ctx;
	return 0;
}

/* --- answers --- */

static uint32_t host_isolation(qube_ctx *ctx)
{
	return qube__host_of(ctx)->ops->isolation;
}

static int set_or_null(struct qube__json *o, const char *key, const char *value)
{
	if (!value)
		return qube__json_set_null(o, key);
	return qube__json_set_string(o, key, value);
}

static int one_system_info(struct qube__json *domains, const struct qube__vm_view *v)
{
	struct qube__json *o;
	struct qube__json *tags;
	int r = qube__json_new_object(&o);

	if (r < 0)
		return r;
	r = qube__json_new_array(&tags);
	for (size_t i = 0; r == 0 && i < v->n_tags; i++) {
		r = qube__json_append_string(tags, v->tags[i]);
		if (r < 0)
			qube__json_free(tags);
	}
	if (r == 0)
		r = qube__json_set(o, "tags", tags);
	if (r == 0)
		r = qube__json_set_string(o, "type", v->type);
	if (r == 0)
		r = qube__json_set_bool(o, "template_for_dispvms", v->template_for_dispvms);
	if (r == 0)
		r = set_or_null(o, "default_dispvm", v->default_dispvm);
	if (r == 0)
		r = qube__json_set_string(o, "icon", v->icon);
	if (r == 0)
		r = qube__json_set_string(o, "label", v->label);
	if (r == 0)
		r = set_or_null(o, "guivm", v->guivm);
	if (r == 0)
		r = set_or_null(o, "relayvm", v->relayvm);
	if (r == 0)
		r = set_or_null(o, "transport_rpc", v->transport_rpc);
	if (r == 0)
		r = qube__json_set_string(o, "power_state", v->power_state);
	if (r == 0)
		r = qube__json_set_string(o, "uuid", v->uuid);
	if (r == 0)
		r = set_or_null(o, "internal", v->internal ? "1" : NULL);
	if (r < 0) {
		qube__json_free(o);
		return r;
	}
	return qube__json_set(domains, v->name, o);
}

int qube__host_system_info(char **out, struct qube__host *h)
{
	qube__autojson *root = NULL;
	struct qube__json *domains;
	struct qube__vm *vm;
	int r = qube__json_new_object(&root);

	if (r == 0)
		r = qube__json_new_object(&domains);
	if (r < 0)
		return qube__fail_nomem();
	for (vm = NULL; r == 0 && (vm = qube__model_next(h->model, vm));) {
		struct qube__vm_view v;

		r = qube__vm_view(&v, vm);
		if (r == 0) {
			r = one_system_info(domains, &v);
			qube__vm_view_fini(&v);
		}
	}
	if (r < 0) {
		qube__json_free(domains);
		return qube__fail_nomem();
	}
	r = qube__json_set(root, "domains", domains);
	if (r == 0)
		r = qube__json_dump(out, NULL, root, QUBE__JSON_SORTED);
	return r < 0 ? qube__fail_nomem() : 0;
}

static int host_system_info(char **out, qube_ctx *ctx)
{
	return qube__host_system_info(out, qube__host_of(ctx));
}

static int host_subscribed(qube_ctx *ctx)
{
	(void)ctx;
	return 0;
}

static int host_pool_list(char ***out, qube_ctx *ctx)
{
	struct qube__host *h = qube__host_of(ctx);
	qube__autostrings list = { 0 };

	for (size_t i = 0; i < h->model->n_pools; i++)
		if (qube__strings_add(&list, h->model->pools[i].name) < 0)
			return QUBE_E_NOMEM;
	if (!list.items) {
		list.items = calloc(1, sizeof(char *));
		if (!list.items)
			return qube__fail_nomem();
	}
	*out = qube__steal(list.items);
	return 0;
}

static int host_pool_info(struct qube_pool_info *out, qube_ctx *ctx, const char *name)
{
	struct qube__host *h = qube__host_of(ctx);
	struct qube__pool_conf *conf = qube__model_pool(h->model, name);
	struct qube__pool *pool = qube__host_pool(h, name);
	struct qube_pool_info info = { .size = out->size };
	struct qube__pool_info space;
	int r;

	if (!conf)
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_PERMISSION, "no pool '%s'", name);
	qube__text_copy(info.driver, sizeof(info.driver), conf->driver);
	if (pool) {
		r = qube__pool_info(&space, pool);
		if (r < 0)
			return r;
		info.total_bytes = space.size_bytes;
		info.free_bytes = space.free_bytes;
	}
	*out = info;
	return 0;
}

/* Most members are in domain.c. */
const struct qube__backend qube__host_backend = {
	.name = "host",
	.close = host_close,
	.isolation = host_isolation,
	.system_info = host_system_info,
	.subscribed = host_subscribed,
	.domain_open = qube__host_domain_open,
	.domain_list = qube__host_domain_list,
	.domain_forget = qube__host_domain_forget,
	.domain_view = qube__host_domain_view,
	.domain_create = qube__host_domain_create,
	.domain_start = qube__host_domain_start,
	.domain_shutdown = qube__host_domain_shutdown,
	.domain_kill = qube__host_domain_kill,
	.domain_wait = qube__host_domain_wait,
	.domain_clone = qube__host_domain_clone,
	.domain_call = qube__host_domain_call,
	.domain_copy = qube__host_domain_copy,
	.template_import = qube__host_template_import,
	.domain_pause = qube__host_domain_pause,
	.domain_unpause = qube__host_domain_unpause,
	.domain_destroy = qube__host_domain_destroy,
	.global_fetch = qube__host_ctx_property_fetch,
	.global_set = qube__host_ctx_property_set,
	.global_reset = qube__host_ctx_property_reset,
	.global_list = qube__host_ctx_property_list,
	.property_fetch = qube__host_property_fetch,
	.property_set = qube__host_domain_property_set,
	.property_reset = qube__host_domain_property_reset,
	.property_list = qube__host_property_list,
	.tag_list = qube__host_tag_list,
	.tag_add = qube__host_tag_add,
	.tag_remove = qube__host_tag_remove,
	.feature_list = qube__host_feature_list,
	.feature_fetch = qube__host_feature_fetch,
	.feature_set = qube__host_feature_set,
	.feature_remove = qube__host_feature_remove,
	.notes_fetch = qube__host_notes_fetch,
	.notes_set = qube__host_notes_set,
	.log_fetch = qube__host_log_fetch,
	.unenforced = qube__host_unenforced,
	.stats = qube__host_domain_stats,
	.host_check = qube__host_check,
	.volume_list = qube__host_domain_volume_list,
	.volume_info = qube__host_domain_volume_info,
	.volume_revisions = qube__host_domain_volume_revisions,
	.volume_revert = qube__host_domain_volume_revert,
	.volume_set = qube__host_domain_volume_set,
	.volume_clear = qube__host_domain_volume_clear,
	.volume_measure = qube__host_domain_volume_measure,
	.volume_export = qube__host_domain_volume_export,
	.volume_import = qube__host_domain_volume_import,
	.label_list = qube__host_label_list,
	.label_info = qube__host_label_info,
	.label_create = qube__host_label_create,
	.label_destroy = qube__host_label_destroy,
	.pool_list = host_pool_list,
	.pool_info = host_pool_info,
};
