/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Settings, volumes and pools of another host, and the wait for a qube's state. */
#include "remote/settings.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "remote/request.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

static int fetch_property(struct qube_property *out, qube_ctx *ctx, const char *method,
			  const char *dest, const char *whose, const char *name)
{
	qube__autofree char *text = NULL;
	struct qube_property p = { .size = out->size };
	struct qube__wire_property w;
	size_t len;
	int r = qube__remote_ask(&text, &len, ctx, method, name, dest, NULL, 0);

	if (r < 0)
		return r;
	if (qube__wire_property_parse(&w, text, len) < 0)
		return qube__fail(QUBE_E_PROTO, "the host's answer is no property");
	if (!w.len &&
	    (w.type == QUBE__TYPE_INT || w.type == QUBE__TYPE_BOOL || w.type == QUBE__TYPE_LABEL))
		return qube__fail(QUBE_E_NOENT, "'%s' of '%s' has no value", name, whose);
	p.type = w.type + 1;
	p.flags = w.is_default ? QUBE_PROPERTY_IS_DEFAULT : 0;
	p.value = strndup(w.value, w.len);
	if (!p.value)
		return qube__fail_nomem();
	*out = p;
	return 0;
}

int qube__remote_label_of_template(char *out, size_t cap, qube_ctx *ctx, const char *name)
{
	struct qube_property base = { .size = sizeof(base) };
	struct qube_property label = { .size = sizeof(label) };
	int r = name ? 0 : qube__remote_global_fetch(&base, ctx, "default_dispvm");

	if (r == 0 && !name)
		name = base.value;
	out[0] = '\0';
	/* Without a default the creation itself says so. */
	if (r == 0 && *name)
		r = fetch_property(&label, ctx, "admin.vm.property.Get", name, name, "label");
	if (r == 0 && label.value && qube__text_copy(out, cap, label.value) < 0)
		r = qube__fail(QUBE_E_PROTO, "the host's answer is no label");
	free(base.value);
	free(label.value);
	return r;
}

int qube__remote_property_fetch(struct qube_property *out, qube_domain *d, const char *name)
{
	return fetch_property(out, d->ctx, "admin.vm.property.Get", d->name, d->name, name);
}

int qube__remote_global_fetch(struct qube_property *out, qube_ctx *ctx, const char *name)
{
	return fetch_property(out, ctx, "admin.property.Get", "dom0", "the system", name);
}

int qube__remote_global_set(qube_ctx *ctx, const char *name, const char *value)
{
	return qube__remote_tell(ctx, "admin.property.Set", name, "dom0", value);
}

int qube__remote_global_reset(qube_ctx *ctx, const char *name)
{
	return qube__remote_tell(ctx, "admin.property.Reset", name, "dom0", NULL);
}

int qube__remote_property_set(qube_domain *d, const char *name, const char *value)
{
	return qube__remote_tell(d->ctx, "admin.vm.property.Set", name, d->name, value);
}

int qube__remote_property_reset(qube_domain *d, const char *name)
{
	return qube__remote_tell(d->ctx, "admin.vm.property.Reset", name, d->name, NULL);
}

/* One item a line. */
static int lines(char ***out, qube_ctx *ctx, const char *method, const char *arg, const char *dest)
{
	qube__autofree char *text = NULL;
	qube__autostrings list = { 0 };
	char *save = NULL;
	int r = qube__remote_ask(&text, NULL, ctx, method, arg, dest, NULL, 0);

	for (char *l = r < 0 ? NULL : strtok_r(text, "\n", &save); r == 0 && l;
	     l = strtok_r(NULL, "\n", &save))
		r = qube__strings_add(&list, l);
	return r < 0 ? r : qube__strings_take(out, &list);
}

int qube__remote_property_list(char ***out, qube_domain *d)
{
	return lines(out, d->ctx, "admin.vm.property.List", NULL, d->name);
}

int qube__remote_global_list(char ***out, qube_ctx *ctx)
{
	return lines(out, ctx, "admin.property.List", NULL, "dom0");
}

int qube__remote_tag_list(char ***out, qube_domain *d)
{
	return lines(out, d->ctx, "admin.vm.tag.List", NULL, d->name);
}

static int tag_ok(const char *tag)
{
	char text[80];

	if (qube__name_is_tag(tag, strlen(tag)))
		return 0;
	return qube__fail_detail(QUBE_E_INVALID, QUBE_D_INVALID_TAG, "Invalid tag: '%s'",
				 qube__text_escape(text, sizeof(text), tag, strlen(tag)));
}

int qube__remote_tag_add(qube_domain *d, const char *tag)
{
	if (tag_ok(tag) < 0)
		return QUBE_E_INVALID;
	return qube__remote_tell(d->ctx, "admin.vm.tag.Set", tag, d->name, NULL);
}

int qube__remote_tag_remove(qube_domain *d, const char *tag)
{
	return qube__remote_tell(d->ctx, "admin.vm.tag.Remove", tag, d->name, NULL);
}

int qube__remote_feature_list(char ***out, qube_domain *d)
{
	return lines(out, d->ctx, "admin.vm.feature.List", NULL, d->name);
}

int qube__remote_feature_fetch(char **out, qube_domain *d, const char *name)
{
	return qube__remote_ask(out, NULL, d->ctx, "admin.vm.feature.Get", name, d->name, NULL, 0);
}

int qube__remote_feature_set(qube_domain *d, const char *name, const char *value)
{
	return qube__remote_tell(d->ctx, "admin.vm.feature.Set", name, d->name, value);
}

int qube__remote_feature_remove(qube_domain *d, const char *name)
{
	return qube__remote_tell(d->ctx, "admin.vm.feature.Remove", name, d->name, NULL);
}

int qube__remote_log_fetch(char **out, qube_domain *d)
{
	return qube__remote_ask(out, NULL, d->ctx, "qube.Log", NULL, d->name, NULL, 0);
}

const char *qube__remote_unenforced(qube_domain *d)
{
	qube__autofree char *text = NULL;

	if (qube__remote_ask(&text, NULL, d->ctx, "qube.Unenforced", NULL, d->name, NULL, 0) < 0 ||
	    qube__text_copy(d->unenforced, sizeof(d->unenforced), text) < 0)
		d->unenforced[0] = '\0';
	return d->unenforced;
}

int qube__remote_volume_list(char ***out, qube_domain *d)
{
	return lines(out, d->ctx, "admin.vm.volume.List", NULL, d->name);
}

/* The value of "key=value" in lines; cut to the room there is. */
static void value_of(char *out, size_t cap, const char *text, const char *key)
{
	size_t n = strlen(key);

	out[0] = '\0';
	for (const char *l = text; l && *l; l = strchr(l, '\n') ? strchr(l, '\n') + 1 : NULL) {
		size_t len = strcspn(l, "\n");

		if (len > n && !strncmp(l, key, n) && l[n] == '=') {
			len -= n + 1;
			if (len >= cap)
				len = cap - 1;
			memcpy(out, l + n + 1, len);
			out[len] = '\0';
			return;
		}
	}
}

static uint64_t number_of(const char *text, const char *key)
{
	char value[32];
	uint64_t v = 0;

	value_of(value, sizeof(value), text, key);
	if (qube__text_u64(&v, value, UINT64_MAX) < 0)
		return 0;
	return v;
}

static bool truth_of(const char *text, const char *key)
{
	char value[8];

	value_of(value, sizeof(value), text, key);
	return !strcmp(value, "True");
}

/* For a name that is not there the Admin API says PermissionDenied (admin-api.md 3). */
static int not_there(int r, const char *what, const char *name)
{
	char text[80];

	if (r != QUBE_E_DENIED)
		return r;
	return qube__fail_detail(QUBE_E_NOENT, QUBE_D_PERMISSION, "no %s '%s'", what,
				 qube__text_escape(text, sizeof(text), name, strlen(name)));
}

int qube__remote_volume_info(struct qube_volume_info *out, qube_domain *d, const char *name)
{
	struct qube_volume_info info = { .size = out->size };
	qube__autofree char *text = NULL;
	/* Ours first, which counts nothing. */
	int r = qube__remote_ask(&text, NULL, d->ctx, "qube.volume.Info", name, d->name, NULL, 0);

	if (r == QUBE_E_NOTSUP)
		r = qube__remote_ask(&text, NULL, d->ctx, "admin.vm.volume.Info", name, d->name,
				     NULL, 0);
	if (r < 0)
		return not_there(r, "volume", name);
	info.flags = (truth_of(text, "snap_on_start") ? QUBE_VOLUME_SNAP_ON_START : 0u) |
		     (truth_of(text, "save_on_stop") ? QUBE_VOLUME_SAVE_ON_STOP : 0u) |
		     (truth_of(text, "rw") ? QUBE_VOLUME_RW : 0u) |
		     (truth_of(text, "is_outdated") ? QUBE_VOLUME_OUTDATED : 0u);
	info.max_bytes = number_of(text, "size");
	value_of(info.pool, sizeof(info.pool), text, "pool");
	value_of(info.vid, sizeof(info.vid), text, "vid");
	value_of(info.source, sizeof(info.source), text, "source");
	info.flags |= (truth_of(text, "ephemeral") ? QUBE_VOLUME_EPHEMERAL : 0u) |
		      (truth_of(text, "dirty") ? QUBE_VOLUME_DIRTY : 0u);
	info.n_revisions = (uint32_t)number_of(text, "n_revisions");
	info.revisions_to_keep = (int32_t)number_of(text, "revisions_to_keep");
	*out = info;
	return 0;
}

int qube__remote_volume_revisions(char ***out, qube_domain *d, const char *name)
{
	int r = lines(out, d->ctx, "admin.vm.volume.ListSnapshots", name, d->name);

	return r < 0 ? not_there(r, "volume", name) : 0;
}

static int tell_volume(qube_domain *d, const char *method, const char *name, const char *payload)
{
	int r = qube__remote_tell(d->ctx, method, name, d->name, payload);

	return r < 0 ? not_there(r, "volume", name) : 0;
}

int qube__remote_volume_revert(qube_domain *d, const char *name, const char *revision)
{
	return tell_volume(d, "admin.vm.volume.Revert", name, revision);
}

int qube__remote_volume_set(qube_domain *d, const char *name, const char *key, const char *value)
{
	char method[64];

	if (!strcmp(key, "size"))
		return tell_volume(d, "admin.vm.volume.Resize", name, value);
	if (strcmp(key, "rw") && strcmp(key, "ephemeral") && strcmp(key, "revisions_to_keep"))
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE,
					 "a volume has size, revisions_to_keep, rw and ephemeral");
	snprintf(method, sizeof(method), "admin.vm.volume.Set.%s", key);
	return tell_volume(d, method, name, value);
}

int qube__remote_volume_clear(qube_domain *d, const char *name)
{
	return tell_volume(d, "admin.vm.volume.Clear", name, NULL);
}

int qube__remote_volume_measure(qube_domain *d, const char *name, qube_op *op)
{
	const struct qube__remote_req req = {
		.method = "admin.vm.volume.Info",
		.arg = name,
		.dest = d->name,
		.cancelable = true,
	};

	return qube__remote_op(d->ctx, op, &req);
}

static int stream(qube_domain *d, const char *method, const char *name, int fd, qube_op *op)
{
	const int fds[3] = { fd, fd, fd }; /* as many as a call has */
	const struct qube__remote_req req = {
		.method = method,
		.arg = name,
		.dest = d->name,
		.fds = fds,
		.n_fds = 3,
		.cancelable = true,
	};

	return qube__remote_op(d->ctx, op, &req);
}

int qube__remote_volume_export(qube_domain *d, const char *name, int fd, qube_op *op)
{
	return stream(d, "qube.volume.Export", name, fd, op);
}

int qube__remote_volume_import(qube_domain *d, const char *name, int fd, qube_op *op)
{
	return stream(d, "qube.volume.Import", name, fd, op);
}

int qube__remote_notes_fetch(char **out, qube_domain *d)
{
	return qube__remote_ask(out, NULL, d->ctx, "admin.vm.notes.Get", NULL, d->name, NULL, 0);
}

int qube__remote_notes_set(qube_domain *d, const char *text, size_t len)
{
	enum { HEAD = 256 };

	if (len > QUBE__ADMIN_REQUEST_MAX - HEAD)
		return qube__fail_detail(QUBE_E_LIMIT, QUBE_D_PROTOCOL,
					 "a note that is sent to a host has at most %d bytes",
					 QUBE__ADMIN_REQUEST_MAX - HEAD);
	return qube__remote_tell(d->ctx, "admin.vm.notes.Set", NULL, d->name, text);
}

int qube__remote_label_list(char ***out, qube_ctx *ctx)
{
	return lines(out, ctx, "admin.label.List", NULL, "dom0");
}

/* Checked before it is sent: it may have characters that a request cannot carry. */
static int label_ok(const char *name)
{
	char text[80];

	if (qube__name_is_label(name, strlen(name)))
		return 0;
	return qube__fail_detail(QUBE_E_INVALID, QUBE_D_INVALID_LABEL, "Invalid label name: '%s'",
				 qube__text_escape(text, sizeof(text), name, strlen(name)));
}

static int no_label(const char *name)
{
	char text[80];

	return qube__fail_detail(QUBE_E_NOENT, QUBE_D_LABEL_NOT_FOUND, "Label does not exist: %s",
				 qube__text_escape(text, sizeof(text), name, strlen(name)));
}

int qube__remote_label_info(struct qube_label_info *out, qube_ctx *ctx, const char *name)
{
	struct qube_label_info info = { .size = out->size };
	qube__autofree char *colour = NULL;
	qube__autofree char *index = NULL;
	uint64_t v;
	int r;

	if (label_ok(name) < 0)
		return no_label(name);
	r = qube__remote_ask(&colour, NULL, ctx, "admin.label.Get", name, "dom0", NULL, 0);
	if (r == 0)
		r = qube__remote_ask(&index, NULL, ctx, "admin.label.Index", name, "dom0", NULL, 0);
	if (r < 0)
		return r;
	if (qube__name_colour(&info.rgb, colour, strlen(colour)) < 0 ||
	    qube__text_u64(&v, index, UINT32_MAX) < 0)
		return qube__fail(QUBE_E_PROTO, "the host's answer is no label");
	info.index = (uint32_t)v;
	*out = info;
	return 0;
}

int qube__remote_label_create(qube_ctx *ctx, const char *name, uint32_t rgb)
{
	char colour[16];
	int r = label_ok(name);

	if (r < 0)
		return r;
	snprintf(colour, sizeof(colour), "0x%06x", rgb);
	r = qube__remote_tell(ctx, "admin.label.Create", name, "dom0", colour);
	/* The Admin API has one exception for a name that is taken and a label that is used. */
	if (r == QUBE_E_BUSY)
		return qube__fail_detail(QUBE_E_EXISTS, QUBE_D_LABEL_IN_USE,
					 "Label already exists: %s", name);
	return r;
}

int qube__remote_label_destroy(qube_ctx *ctx, const char *name)
{
	int r;

	if (label_ok(name) < 0)
		return no_label(name);
	r = qube__remote_tell(ctx, "admin.label.Remove", name, "dom0", NULL);
	/* What Qubes OS calls an error of the protocol (admin-api.md 4). */
	if (r == QUBE_E_PROTO && qube_error_last()->detail == QUBE_D_PROTOCOL)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL,
					 "label %s is built in and stays", name);
	return r;
}

int qube__remote_pool_list(char ***out, qube_ctx *ctx)
{
	return lines(out, ctx, "admin.pool.List", NULL, "dom0");
}

int qube__remote_pool_info(struct qube_pool_info *out, qube_ctx *ctx, const char *name)
{
	struct qube_pool_info info = { .size = out->size };
	qube__autofree char *text = NULL;
	int r = qube__remote_ask(&text, NULL, ctx, "admin.pool.Info", name, "dom0", NULL, 0);

	if (r < 0)
		return not_there(r, "pool", name);
	value_of(info.driver, sizeof(info.driver), text, "driver");
	info.total_bytes = number_of(text, "size");
	info.free_bytes = info.total_bytes - number_of(text, "usage");
	*out = info;
	return 0;
}

/* --- wait --- */

struct state_wait {
	struct qube__listener listener;
	struct qube__posted check;
	qube_op *op;
	/* Fed by the stream like the application's handles, but no reference to the context: a
	 * wait that nobody holds any more must not keep it open. */
	qube_domain shadow;
	uint32_t state;
	bool seen;
};

static void wait_end(struct state_wait *w, int code)
{
	qube_op *op = w->op;

	qube__list_remove(&w->shadow.link);
	qube__ctx_unlisten(&w->listener);
	qube__posted_cancel(&w->check);
	free(w);
	qube__op_finish(op, code);
}

static void wait_check(struct qube__posted *p)
{
	struct state_wait *w = qube__container_of(p, struct state_wait, check);

	if (w->seen || w->shadow.state == w->state)
		wait_end(w, 0);
}

static void wait_event(struct qube__listener *l, const struct qube_event *ev)
{
	struct state_wait *w = qube__container_of(l, struct state_wait, listener);

	if (!strcmp(ev->name, "connection-lost")) {
		qube__fail(QUBE_E_CLOSED, "the host is gone");
		wait_end(w, QUBE_E_CLOSED);
	} else if (!strcmp(ev->name, "domain-delete") && ev->n_fields &&
		   !strcmp(ev->values[0], w->shadow.name)) {
		if (!w->seen)
			qube__fail_detail(QUBE_E_NOENT, QUBE_D_VM_NOT_FOUND, "'%s' was removed",
					  w->shadow.name);
		wait_end(w, w->seen ? 0 : QUBE_E_NOENT);
	} else if (!strcmp(ev->subject, w->shadow.name)) {
		w->seen = w->seen || w->shadow.state == w->state;
		qube__post(&w->op->ctx->loop, &w->check);
	}
}

static int wait_cancel(qube_op *op)
{
	qube__fail(QUBE_E_CANCELED, "no longer waited for");
	wait_end(op->work, QUBE_E_CANCELED);
	return 0;
}

int qube__remote_wait(qube_domain *d, uint32_t state, qube_op *op)
{
	struct qube__domain_view v;
	struct state_wait *w;
	int r = qube__remote_subscribed(d->ctx);

	if (r < 0)
		return r;
	w = calloc(1, sizeof(*w));
	if (!w)
		return qube__fail_nomem();
	/* Asked for once more: it may have changed before the stream began. */
	d->label[0] = '\0';
	d->ctx->be->domain_view(&v, d);
	w->op = op;
	w->shadow = *d;
	w->shadow.state = v.state;
	qube__list_init(&w->shadow.link);
	qube__list_append(&qube__remote_of(d->ctx)->handles, &w->shadow.link);
	w->state = state;
	op->work = w;
	op->cancel = wait_cancel;
	qube__posted_init(&w->check, wait_check);
	qube__ctx_listen(d->ctx, &w->listener, wait_event);
	qube__post(&d->ctx->loop, &w->check);
	return 0;
}
