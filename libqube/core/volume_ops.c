/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is done to a volume of a qube: revisions, settings, content out and in. */
#include "core/domain.h"
#include "core/host.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REVISIONS_KEPT_MAX = QUBE__REVISIONS_MAX - 1 };

int qube__host_volume_at(struct qube__volume_spec *spec, struct qube__pool **pool,
			 struct qube__host *h, struct qube__vm *vm, const char *name)
{
	for (int i = 0; i < QUBE__SLOT_COUNT; i++) {
		enum qube__slot slot = (enum qube__slot)i;

		if (strcmp(qube__slot_name(slot), name) || !qube__vm_volume(vm, name))
			continue;
		if (!h->n_pools)
			return qube__fail(QUBE_E_NOTSUP, "this host keeps no volumes");
		return qube__volumes_spec(spec, pool, h, vm, slot);
	}
	return qube__fail_detail(QUBE_E_NOENT, QUBE_D_PERMISSION, "no volume '%s'", name);
}

static int need_halted(struct qube__host *h, struct qube__vm *vm)
{
	if (vm->run)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_VM_NOT_HALTED,
					 "Domain is not powered off: '%s'", vm->name);
	return qube__host_not_cloning(h, vm);
}

/* "7-2026-11-23T08:17:42Z": a number for people, a time for programs. */
static void revision_id(char out[40], const struct qube__revision *r)
{
	time_t t = (time_t)r->time;
	struct tm tm;
	char when[24] = "";

	if (gmtime_r(&t, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(out, 40, "%" PRIu64 "-%s", r->number, when);
}

int qube__host_volume_revisions(struct qube__strings *out, struct qube__host *h,
				struct qube__vm *vm, const char *name)
{
	struct qube__volume_info info;
	struct qube__volume_spec spec;
	struct qube__pool *pool;
	int r = qube__host_volume_at(&spec, &pool, h, vm, name);

	if (r == 0)
		r = qube__volume_info(&info, pool, &spec);
	for (uint32_t i = r < 0 ? 0 : info.n_revisions; r == 0 && i > 1; i--) {
		char id[40];

		revision_id(id, &info.revisions[i - 1]);
		r = qube__strings_add(out, id);
	}
	return r;
}

int qube__host_volume_revert(struct qube__host *h, struct qube__vm *vm, const char *name,
			     const char *revision)
{
	struct qube__volume_info info;
	struct qube__volume_spec spec;
	struct qube__pool *pool;
	char text[64];
	int r = qube__host_volume_at(&spec, &pool, h, vm, name);

	if (r == 0)
		r = need_halted(h, vm);
	if (r == 0)
		r = qube__volume_info(&info, pool, &spec);
	if (r < 0)
		return r;
	if (info.dirty)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_STORAGE,
					 "volume %s of %s has writes of a session that crashed: "
					 "start and stop it first",
					 name, vm->name);
	for (uint32_t i = 1; i < info.n_revisions; i++) {
		char id[40];
		char number[24];

		revision_id(id, &info.revisions[i]);
		snprintf(number, sizeof(number), "%" PRIu64, info.revisions[i].number);
		if (!strcmp(id, revision) || !strcmp(number, revision))
			return qube__volume_revert(pool, &spec, info.revisions[i].number);
	}
	if (!spec.save_on_stop || spec.in_place || spec.kind == QUBE__VOLUME_TREE)
		return qube__volume_revert(pool, &spec, 0); /* says why not */
	return qube__fail_detail(QUBE_E_NOENT, QUBE_D_STORAGE, "volume %s of %s has no revision %s",
				 name, vm->name,
				 qube__text_escape(text, sizeof(text), revision, strlen(revision)));
}

static int bad_value(const char *key, const char *value, const char *what)
{
	char text[64];

	return qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE, "%s is %s, not '%s'", key, what,
				 qube__text_escape(text, sizeof(text), value, strlen(value)));
}

static int set_size(struct qube__vm_volume *v, const char *value)
{
	size_t n = strlen(value);
	uint64_t bytes;

	/* admin-api.md 4: digits, at most 19, none of them a leading zero. */
	if (n > 19 || (value[0] == '0' && n > 1) || qube__text_u64(&bytes, value, INT64_MAX) < 0 ||
	    !bytes)
		return bad_value("size", value, "a number of bytes");
	v->size_bytes = bytes;
	return 0;
}

static int set_revisions(struct qube__vm_volume *v, const char *value)
{
	uint64_t n;

	if (!strcmp(value, "-1"))
		return qube__fail_detail(QUBE_E_NOTSUP, QUBE_D_STORAGE,
					 "the pool always writes beside what was committed");
	if (qube__text_u64(&n, value, REVISIONS_KEPT_MAX) < 0)
		return bad_value("revisions_to_keep", value, "a number from 0 to 31");
	v->revisions_to_keep = (int32_t)n;
	return 0;
}

static int set_truth(bool *out, const char *key, const char *value)
{
	if (strcmp(value, "True") && strcmp(value, "False"))
		return bad_value(key, value, "True or False");
	*out = !strcmp(value, "True");
	return 0;
}

int qube__host_volume_set(struct qube__host *h, struct qube__vm *vm, const char *name,
			  const char *key, const char *value)
{
	struct qube__vm_volume *v = qube__vm_volume(vm, name);
	struct qube__vm_volume now;
	bool kept =
		qube__vm_volume_save_on_stop(vm, name) || qube__vm_volume_snap_on_start(vm, name);
	int r = 0;

	if (!v)
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_PERMISSION, "no volume '%s'", name);
	now = *v;
	if (!strcmp(key, "rw") || !strcmp(key, "ephemeral"))
		r = need_halted(h, vm);
	if (r < 0)
		return r;
	if (!strcmp(key, "size"))
		r = set_size(&now, value);
	else if (!strcmp(key, "revisions_to_keep"))
		r = set_revisions(&now, value);
	else if (!strcmp(key, "rw"))
		r = set_truth(&now.rw, key, value);
	else if (!strcmp(key, "ephemeral"))
		r = set_truth(&now.ephemeral, key, value);
	else
		r = qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE,
				      "a volume has size, revisions_to_keep, rw and ephemeral");
	if (r == 0 && now.ephemeral && (kept || !now.rw))
		r = qube__fail_detail(QUBE_E_INVALID, QUBE_D_VALUE,
				      "only a volume that is volatile and writable is ephemeral");
	return r < 0 ? r : qube__vm_volume_set(vm, &now);
}

int qube__host_volume_clear(struct qube__host *h, struct qube__vm *vm, const char *name)
{
	struct qube__volume_spec spec;
	struct qube__pool *pool;
	int r = qube__host_volume_at(&spec, &pool, h, vm, name);

	if (r == 0)
		r = need_halted(h, vm);
	return r < 0 ? r : qube__volume_clear(pool, &spec);
}

/* --- operations --- */

struct work {
	struct qube__host *host;
	qube_op *op;
	struct qube__pool_op *pool_op;
	bool import;
	char owner[QUBE__NAME_MAX + 1];
	char name[QUBE__OWNER_MAX];
};

static void on_progress(void *user, uint64_t done, uint64_t total)
{
	struct work *w = user;

	w->op->done_bytes = done;
	w->op->total_bytes = total;
}

static void on_note(void *user, const char *line)
{
	struct work *w = user;

	qube__ctx_log(&w->host->ctx, 6, "volume %s of '%s': %s", w->name, w->owner, line);
}

static void on_usage(void *user, uint64_t bytes)
{
	struct work *w = user;

	w->op->done_bytes = bytes;
}

static void on_stage(void *user, const char *name)
{
	struct work *w = user;

	qube__op_part(w->op, name);
}

static void on_done(void *user, int code)
{
	struct work *w = user;
	qube_op *op = w->op;

	if (w->import)
		qube__ctx_emit(&w->host->ctx, w->owner, "domain-volume-import-end", "volume",
			       w->name, "success", code < 0 ? "False" : "True", NULL);
	free(w);
	qube__op_finish(op, code);
}

static int cancel(qube_op *op)
{
	struct work *w = op->work;

	if (w->pool_op)
		qube__pool_op_cancel(w->pool_op);
	return 0;
}

static int new_work(struct work **out, struct qube__host *h, struct qube__vm *vm, const char *name,
		    qube_op *op)
{
	struct work *w = calloc(1, sizeof(*w));

	if (!w)
		return qube__fail_nomem();
	w->host = h;
	w->op = op;
	qube__text_copy(w->owner, sizeof(w->owner), vm->name);
	qube__text_copy(w->name, sizeof(w->name), name);
	*out = w;
	return 0;
}

/* The pool's answer: 1, it works and done follows; 0, it was done; or an error. */
static int began(struct work *w, int r)
{
	qube_op *op = w->op;

	if (r < 0) {
		free(w);
		return r;
	}
	if (r == 0) {
		on_done(w, 0);
		return 0;
	}
	op->work = w;
	op->cancel = cancel;
	return 0;
}

int qube__host_volume_measure(struct qube__host *h, struct qube__vm *vm, const char *name,
			      qube_op *op)
{
	struct qube__pool_cb cb = { .done = on_done };
	struct qube__volume_spec spec;
	struct qube__pool *pool;
	struct work *w = NULL;
	int r = qube__host_volume_at(&spec, &pool, h, vm, name);

	if (r == 0)
		r = new_work(&w, h, vm, name, op);
	if (r < 0)
		return r;
	cb.user = w;
	qube__op_stage(op, "measure");
	return began(w, qube__volume_usage(pool, &spec, on_usage, &cb));
}

int qube__host_volume_stream(struct qube__host *h, struct qube__vm *vm, const char *name, int fd,
			     bool in, qube_op *op)
{
	struct qube__pool_cb cb = {
		.progress = on_progress, .note = on_note, .stage = on_stage, .done = on_done
	};
	struct qube__volume_spec spec;
	struct qube__pool *pool;
	struct work *w = NULL;
	int r = qube__host_volume_at(&spec, &pool, h, vm, name);

	if (r == 0 && in)
		r = need_halted(h, vm);
	if (r == 0)
		r = new_work(&w, h, vm, name, op);
	if (r < 0)
		return r;
	cb.user = w;
	qube__op_stage(op, in ? "import" : "export");
	if (!in)
		return began(w, qube__volume_export(&w->pool_op, pool, &spec, fd, &cb));
	r = qube__volume_import(&w->pool_op, pool, &spec, fd, &cb);
	if (r > 0) {
		w->import = true;
		qube__ctx_emit(&h->ctx, vm->name, "domain-volume-import-begin", "volume", name,
			       "size", "", NULL);
	}
	return began(w, r);
}

/* --- the backend's members --- */

int qube__host_domain_volume_list(char ***out, qube_domain *d)
{
	qube__autostrings list = { 0 };
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	if (r < 0)
		return r;
	for (size_t i = 0; i < vm->n_volumes; i++)
		if (qube__strings_add(&list, vm->volumes[i].name) < 0)
			return QUBE_E_NOMEM;
	return qube__strings_take(out, &list);
}

int qube__host_domain_volume_info(struct qube_volume_info *out, qube_domain *d, const char *name)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_volume_info(out, qube__host_of(d->ctx), vm, name);
}

int qube__host_domain_volume_revisions(char ***out, qube_domain *d, const char *name)
{
	qube__autostrings list = { 0 };
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	if (r == 0)
		r = qube__host_volume_revisions(&list, qube__host_of(d->ctx), vm, name);
	return r < 0 ? r : qube__strings_take(out, &list);
}

int qube__host_domain_volume_revert(qube_domain *d, const char *name, const char *revision)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_volume_revert(qube__host_of(d->ctx), vm, name, revision);
}

int qube__host_domain_volume_set(qube_domain *d, const char *name, const char *key,
				 const char *value)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_volume_set(qube__host_of(d->ctx), vm, name, key, value);
}

int qube__host_domain_volume_clear(qube_domain *d, const char *name)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_volume_clear(qube__host_of(d->ctx), vm, name);
}

int qube__host_domain_volume_measure(qube_domain *d, const char *name, qube_op *op)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_volume_measure(qube__host_of(d->ctx), vm, name, op);
}

static int stream(qube_domain *d, const char *name, int fd, bool in, qube_op *op)
{
	struct qube__vm *vm;
	int r = qube__host_vm_of(&vm, d);

	return r < 0 ? r : qube__host_volume_stream(qube__host_of(d->ctx), vm, name, fd, in, op);
}

int qube__host_domain_volume_export(qube_domain *d, const char *name, int fd, qube_op *op)
{
	return stream(d, name, fd, false, op);
}

int qube__host_domain_volume_import(qube_domain *d, const char *name, int fd, qube_op *op)
{
	return stream(d, name, fd, true, op);
}
