/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The backend of a connected context: each member is one request. What a qubesd does not know (the
 * qube.* methods) it refuses, and so do we. */
#include "remote/request.h"
#include "remote/settings.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "wire/json.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void remote_close(qube_ctx *ctx)
{
	struct qube__remote *r = qube__remote_of(ctx);

	ctx->refs = 1;
	qube__remote_drop_ops(r);
	qube__remote_let_go(r);
	qube__op_cancel_all(ctx);
	qube__remote_stop_events(r);
	qube__close_fd(&r->door);
	qube__ctx_fini(ctx);
	free(r->socket_path);
	free(r);
}

static uint32_t remote_isolation(qube_ctx *ctx)
{
	struct qube__remote *r = qube__remote_of(ctx);
	qube__autofree char *text = NULL;
	const char *at;
	unsigned int level;

	if (r->knows_isolation)
		return r->isolation;
	/* A qubesd has no such method, and virtual machines. */
	r->isolation = QUBE_ISOLATION_HYPERVISOR;
	if (qube__remote_ask(&text, NULL, ctx, "qube.HostInfo", NULL, "dom0", NULL, 0) == 0) {
		at = strstr(text, "isolation=");
		if (at && sscanf(at, "isolation=%u", &level) == 1)
			r->isolation = level;
	}
	r->knows_isolation = true;
	return r->isolation;
}

static int remote_system_info(char **out, qube_ctx *ctx)
{
	return qube__remote_ask(out, NULL, ctx, "internal.GetSystemInfo", NULL, "dom0", NULL, 0);
}

/* --- handles --- */

static uint32_t number_of(const char *(*name)(uint32_t), uint32_t count, const char *text)
{
	for (uint32_t i = 1; i <= count; i++)
		if (!strcmp(name(i), text))
			return i;
	return 0;
}

/* "NAME class=C state=S uuid=U" */
static int parse_line(qube_domain **out, qube_ctx *ctx, char *line)
{
	char *save = NULL;
	const char *name = strtok_r(line, " ", &save);
	const char *klass = "";
	const char *state = "";
	const char *uuid = "";
	uint32_t k;
	int r;

	for (char *p = strtok_r(NULL, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
		if (!strncmp(p, "class=", 6))
			klass = p + 6;
		else if (!strncmp(p, "state=", 6))
			state = p + 6;
		else if (!strncmp(p, "uuid=", 5))
			uuid = p + 5;
	}
	k = number_of(qube_class_name, QUBE_CLASS_REMOTE, klass);
	if (!name || !k)
		return qube__fail(QUBE_E_PROTO, "the host listed a qube of an unknown kind");
	r = qube__domain_handle(out, ctx, name, uuid, k);
	if (r < 0)
		return r;
	(*out)->state = number_of(qube_state_name, QUBE_STATE_CRASHED, state);
	qube__list_append(&qube__remote_of(ctx)->handles, &(*out)->link);
	return 0;
}

static int remote_list(qube_domain ***out, size_t *count, qube_ctx *ctx, const char *dest)
{
	qube__autofree char *text = NULL;
	qube_domain **list = NULL;
	size_t n = 0;
	char *save = NULL;
	int r = qube__remote_ask(&text, NULL, ctx, "admin.vm.List", NULL, dest, NULL, 0);

	if (r < 0)
		return r;
	for (char *l = strtok_r(text, "\n", &save); r == 0 && l; l = strtok_r(NULL, "\n", &save)) {
		qube_domain **grown = realloc(list, (n + 1) * sizeof(*list));

		if (!grown) {
			r = qube__fail_nomem();
			break;
		}
		list = grown;
		r = parse_line(&list[n], ctx, l);
		if (r == 0)
			n++;
	}
	if (r == 0 && !list) {
		list = calloc(1, sizeof(*list));
		if (!list)
			r = qube__fail_nomem();
	}
	if (r < 0) {
		qube_domain_list_free(list, n);
		return r;
	}
	*out = list;
	*count = n;
	return 0;
}

static int domain_list(qube_domain ***out, size_t *count, qube_ctx *ctx)
{
	return remote_list(out, count, ctx, "dom0");
}

static int domain_open(qube_domain **out, qube_ctx *ctx, const char *name)
{
	qube_domain **list;
	const char *uuid;
	char text[80];
	size_t n;
	int r;

	if (qube__wire_admin_peer(&uuid, name))
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_VM_NOT_FOUND, "No such domain: '%s'",
					 qube__text_escape(text, sizeof(text), name, strlen(name)));
	if (!strcmp(name, "dom0")) {
		r = remote_list(&list, &n, ctx, "dom0");
		if (r < 0)
			return r;
		for (size_t i = 0; i < n; i++)
			if (!strcmp(list[i]->name, "dom0")) {
				*out = qube_domain_ref(list[i]);
				qube_domain_list_free(list, n);
				return 0;
			}
		qube_domain_list_free(list, n);
		return qube__fail(QUBE_E_PROTO, "the host does not list itself");
	}
	r = remote_list(&list, &n, ctx, name);
	if (r < 0)
		return r;
	if (n != 1) {
		qube_domain_list_free(list, n);
		return qube__fail(QUBE_E_PROTO, "the host answered with %zu qubes for one", n);
	}
	*out = list[0];
	free(list);
	return 0;
}

static void domain_forget(qube_domain *d)
{
	qube__list_remove(&d->link);
}

/* The value of one property into room that the handle owns; left alone on failure. */
static void fetch_into(char *out, size_t cap, qube_domain *d, const char *property)
{
	qube__autofree char *text = NULL;
	struct qube__wire_property p;
	size_t len;

	if (qube__remote_ask(&text, &len, d->ctx, "admin.vm.property.Get", property, d->name, NULL,
			     0) < 0)
		return;
	if (qube__wire_property_parse(&p, text, len) < 0 || p.len >= cap)
		return;
	memcpy(out, p.value, p.len);
	out[p.len] = '\0';
}

static void domain_view(struct qube__domain_view *out, qube_domain *d)
{
	struct qube__remote *r = qube__remote_of(d->ctx);
	bool live = r->events_fd >= 0;

	/* Without a stream nobody tells us of changes: what is remembered is asked for again. */
	if (!live || !*d->label) {
		qube__autofree char *text = NULL;
		const char *at;
		char state[32];

		fetch_into(d->label, sizeof(d->label), d, "label");
		if (d->klass == QUBE_CLASS_APP || d->klass == QUBE_CLASS_DISP)
			fetch_into(d->template_name, sizeof(d->template_name), d, "template");
		if (qube__remote_ask(&text, NULL, d->ctx, "admin.vm.CurrentState", NULL, d->name,
				     NULL, 0) == 0) {
			at = strstr(text, "power_state=");
			if (at && sscanf(at, "power_state=%31s", state) == 1)
				d->state = number_of(qube_state_name, QUBE_STATE_CRASHED, state);
		} else if (d->klass != QUBE_CLASS_ADMIN) {
			d->state = QUBE_STATE_HALTED;
			if (qube_error_last()->detail == QUBE_D_VM_NOT_FOUND)
				d->label[0] = d->template_name[0] = '\0';
		}
	}
	*out = (struct qube__domain_view){ d->state, d->label, d->template_name };
}

static int domain_create(qube_domain **out, qube_ctx *ctx, const struct qube_domain_create_opts *o)
{
	qube__autofree char *text = NULL;
	char method[64];
	char params[256];
	char label[64] = "";
	int n;
	int r;

	if (o->flags & QUBE_DOMAIN_CREATE_DISPOSABLE) {
		if (o->name || o->klass || o->label || o->pool)
			return qube__fail(QUBE_E_NOTSUP,
					  "over a connection a disposable takes a template only");
		if (o->flags & QUBE_DOMAIN_CREATE_BOUND)
			r = qube__remote_hold(&text, ctx, o->template_name);
		else
			r = qube__remote_ask(&text, NULL, ctx, "admin.vm.CreateDisposable", NULL,
					     o->template_name ? o->template_name : "dom0", NULL, 0);
		return r < 0 ? r : domain_open(out, ctx, text);
	}
	if (!o->name)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE, "a qube needs a name");
	snprintf(method, sizeof(method), "admin.vm.%s.%s", o->pool ? "CreateInPool" : "Create",
		 o->klass ? o->klass : "AppVM");
	/* The Admin API wants to be told one: a disposable looks like its template. */
	if (!o->label && o->klass && !strcmp(o->klass, "DispVM")) {
		r = qube__remote_label_of_template(label, sizeof(label), ctx, o->template_name);
		if (r < 0)
			return r;
	}
	n = snprintf(params, sizeof(params), "name=%s label=%s%s%s", o->name,
		     o->label ? o->label :
		     *label   ? label :
				"red",
		     o->pool ? " pool=" : "", o->pool ? o->pool : "");
	if (n < 0 || (size_t)n >= sizeof(params) || strpbrk(o->name, " \n") ||
	    (o->label && strpbrk(o->label, " \n")))
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE, "a bad name or label");
	r = qube__remote_tell(ctx, method, o->template_name, "dom0", params);
	return r < 0 ? r : domain_open(out, ctx, o->name);
}

/* --- operations --- */

static int domain_start(qube_domain *d, uint32_t flags, qube_op *op)
{
	bool discard = flags & QUBE_DOMAIN_START_DISCARD;
	const struct qube__remote_req req = {
		.method = "qube.Start",
		.arg = discard ? "discard" : NULL,
		.fallback = discard ? NULL : "admin.vm.Start",
		.dest = d->name,
	};

	return qube__remote_op(d->ctx, op, &req);
}

static int domain_shutdown(qube_domain *d, const struct qube_domain_shutdown_opts *o, qube_op *op)
{
	struct qube__remote_req req = {
		.method = "qube.Shutdown",
		.fallback = "admin.vm.Shutdown",
		.dest = d->name,
	};
	char arg[64];
	char time[32] = "";

	/* kill, keep and timeout are words of ours, which another daemon refuses. */
	if (o->timeout_ms < 0)
		snprintf(time, sizeof(time), "+timeout-none");
	else if (o->timeout_ms)
		snprintf(time, sizeof(time), "+timeout-%d", o->timeout_ms);
	snprintf(arg, sizeof(arg), "wait%s%s%s%s",
		 o->flags & QUBE_DOMAIN_SHUTDOWN_FORCE ? "+force" : "",
		 o->flags & QUBE_DOMAIN_SHUTDOWN_OR_KILL ? "+kill" : "",
		 o->flags & QUBE_DOMAIN_SHUTDOWN_KEEP ? "+keep" : "", time);
	req.arg = arg;
	return qube__remote_op(d->ctx, op, &req);
}

static int domain_kill(qube_domain *d, qube_op *op)
{
	const struct qube__remote_req req = {
		.method = "qube.Kill",
		.fallback = "admin.vm.Kill",
		.dest = d->name,
	};

	return qube__remote_op(d->ctx, op, &req);
}

static int domain_clone(qube_domain *d, const char *name, qube_op *op)
{
	const struct qube__remote_req req = {
		.method = "qube.Clone",
		.dest = d->name,
		.payload = name,
		.len = strlen(name),
		.cancelable = true,
	};

	return qube__remote_op(d->ctx, op, &req);
}

static int put(struct qube__json *j, const char *key, const char *value)
{
	return value ? qube__json_set_string(j, key, value) : 0;
}

static int json_op(qube_ctx *ctx, qube_op *op, const char *method, const char *dest,
		   struct qube__json *j, const int *fds, size_t n)
{
	qube__autofree char *text = NULL;
	struct qube__remote_req req = {
		.method = method,
		.dest = dest,
		.fds = fds,
		.n_fds = n,
		.cancelable = true,
	};
	int r = qube__json_dump(&text, &req.len, j, 0);

	if (r < 0)
		return qube__fail_nomem();
	req.payload = text;
	return qube__remote_op(ctx, op, &req);
}

static int domain_call(qube_domain *d, const struct qube_call_opts *o, qube_op *op)
{
	const int fds[3] = { o->stdin_fd, o->stdout_fd, o->stderr_fd };
	qube__autojson *j = NULL;
	int64_t streams = 0;
	size_t n = 0;
	int given[3];
	int r = qube__json_new_object(&j);

	for (int i = 0; i < 3; i++) {
		if (fds[i] < 0)
			continue;
		given[n++] = fds[i];
		streams |= 1 << i;
	}
	if (r == 0)
		r = put(j, "service", o->service);
	if (r == 0)
		r = put(j, "command", o->command);
	if (r == 0)
		r = put(j, "user", o->user);
	if (r == 0)
		r = qube__json_set_int(j, "flags", o->flags);
	if (r == 0)
		r = qube__json_set_int(j, "streams", streams);
	if (r == QUBE_E_INVALID)
		return qube__fail(QUBE_E_INVALID, "a command that is not UTF-8");
	if (r < 0)
		return qube__fail_nomem();
	return json_op(d->ctx, op, "qube.Call", d->name, j, given, n);
}

static int template_import(qube_ctx *ctx, const struct qube_template_import_opts *o, qube_op *op)
{
	qube__autojson *j = NULL;
	int r = qube__json_new_object(&j);

	if (r == 0)
		r = put(j, "name", o->name);
	if (r == 0)
		r = put(j, "include", o->include);
	if (r == 0)
		r = put(j, "label", o->label);
	if (r == 0)
		r = put(j, "pool", o->pool);
	if (r == 0)
		r = put(j, "source", o->source);
	if (r == 0)
		r = put(j, "key", o->key);
	if (r == 0)
		r = put(j, "signature", o->signature);
	if (r == 0)
		r = qube__json_set_int(j, "flags", o->flags);
	if (r < 0)
		return qube__fail(r, "an import that cannot be asked for");
	return json_op(ctx, op, "qube.template.Import", "dom0", j, NULL, 0);
}

static int domain_pause(qube_domain *d)
{
	return qube__remote_tell(d->ctx, "admin.vm.Pause", NULL, d->name, NULL);
}

static int domain_unpause(qube_domain *d)
{
	return qube__remote_tell(d->ctx, "admin.vm.Unpause", NULL, d->name, NULL);
}

static int domain_destroy(qube_domain *d)
{
	return qube__remote_tell(d->ctx, "admin.vm.Remove", NULL, d->name, NULL);
}

static const struct qube__backend backend = {
	.name = "remote",
	.close = remote_close,
	.isolation = remote_isolation,
	.system_info = remote_system_info,
	.subscribed = qube__remote_subscribed,
	.domain_open = domain_open,
	.domain_list = domain_list,
	.domain_forget = domain_forget,
	.domain_view = domain_view,
	.domain_create = domain_create,
	.domain_start = domain_start,
	.domain_shutdown = domain_shutdown,
	.domain_kill = domain_kill,
	.domain_wait = qube__remote_wait,
	.domain_clone = domain_clone,
	.domain_call = domain_call,
	.domain_copy = qube__remote_domain_copy,
	.template_import = template_import,
	.domain_pause = domain_pause,
	.domain_unpause = domain_unpause,
	.domain_destroy = domain_destroy,
	.global_fetch = qube__remote_global_fetch,
	.global_set = qube__remote_global_set,
	.global_reset = qube__remote_global_reset,
	.global_list = qube__remote_global_list,
	.property_fetch = qube__remote_property_fetch,
	.property_set = qube__remote_property_set,
	.property_reset = qube__remote_property_reset,
	.property_list = qube__remote_property_list,
	.tag_list = qube__remote_tag_list,
	.tag_add = qube__remote_tag_add,
	.tag_remove = qube__remote_tag_remove,
	.feature_list = qube__remote_feature_list,
	.feature_fetch = qube__remote_feature_fetch,
	.feature_set = qube__remote_feature_set,
	.feature_remove = qube__remote_feature_remove,
	.notes_fetch = qube__remote_notes_fetch,
	.notes_set = qube__remote_notes_set,
	.log_fetch = qube__remote_log_fetch,
	.unenforced = qube__remote_unenforced,
	.stats = qube__remote_stats,
	.host_check = qube__remote_check,
	.volume_list = qube__remote_volume_list,
	.volume_info = qube__remote_volume_info,
	.volume_revisions = qube__remote_volume_revisions,
	.volume_revert = qube__remote_volume_revert,
	.volume_set = qube__remote_volume_set,
	.volume_clear = qube__remote_volume_clear,
	.volume_measure = qube__remote_volume_measure,
	.volume_export = qube__remote_volume_export,
	.volume_import = qube__remote_volume_import,
	.label_list = qube__remote_label_list,
	.label_info = qube__remote_label_info,
	.label_create = qube__remote_label_create,
	.label_destroy = qube__remote_label_destroy,
	.pool_list = qube__remote_pool_list,
	.pool_info = qube__remote_pool_info,
};

int qube__remote_open(qube_ctx **out, const struct qube_ctx_opts *opts)
{
	struct qube__remote *r = calloc(1, sizeof(*r));
	char *text;
	int ret;

	if (!r)
		return qube__fail_nomem();
	r->events_fd = -1;
	r->door = -1;
	qube__list_init(&r->handles);
	qube__list_init(&r->requests);
	qube__list_init(&r->held);
	qube__buf_init(&r->events_buf, 1 << 20);
	r->socket_path = strdup(opts->socket_path ? opts->socket_path : "/run/qube/qubed.sock");
	if (!r->socket_path) {
		free(r);
		return qube__fail_nomem();
	}
	ret = qube__ctx_init(&r->ctx, &backend, opts);
	if (ret < 0) {
		free(r->socket_path);
		free(r);
		return ret;
	}
	/* Somebody must listen; what it speaks is seen at the first request. */
	ret = qube__remote_ask(&text, NULL, &r->ctx, "admin.vmclass.List", NULL, "dom0", NULL, 0);
	if (ret < 0) {
		struct qube__err err;

		qube__err_save(&err);
		remote_close(&r->ctx);
		return qube__err_restore(&err);
	}
	free(text);
	*out = &r->ctx;
	return 0;
}
