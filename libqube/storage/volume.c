/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Volumes as core sees them: whose they are and which are in use; the rest is the pool's driver. */
#include "storage/inside.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct qube__started *qube__pool_find_started(struct qube__pool *p, const char *owner,
					      const char *name)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &p->started) {
		struct qube__started *s = qube__container_of(pos, struct qube__started, link);

		if (strcmp(s->owner, owner) == 0 && strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

bool qube__pool_owner_started(struct qube__pool *p, const char *owner)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &p->started)
		if (strcmp(qube__container_of(pos, struct qube__started, link)->owner, owner) == 0)
			return true;
	return false;
}

int qube__pool_owner_dir(int dir, const char *owner, bool make)
{
	if (make && mkdirat(dir, owner, 0700) < 0 && errno != EEXIST)
		return -1;
	return openat(dir, owner, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

bool qube__pool_exists(int dir, const char *owner, const char *entry)
{
	qube__autofd fd = qube__pool_owner_dir(dir, owner, false);
	struct stat st;

	return fd >= 0 && fstatat(fd, entry, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

void qube__pool_forget(struct qube__started *s)
{
	qube__list_remove(&s->link);
	free(s->state);
	free(s);
}

int qube__pool_remember(struct qube__pool *p, const struct qube__volume_spec *v,
			struct qube__volume_state *state)
{
	struct qube__started *s = calloc(1, sizeof(*s));

	if (!s)
		return qube__fail_nomem();
	qube__text_copy(s->owner, sizeof(s->owner), v->owner);
	qube__text_copy(s->name, sizeof(s->name), v->name);
	if (v->source)
		qube__text_copy(s->source, sizeof(s->source), v->source);
	s->kind = v->kind;
	s->persistent = v->save_on_stop;
	s->discard = v->discard;
	s->in_place = v->in_place;
	s->state = state;
	qube__list_append(&p->started, &s->link);
	return 0;
}

bool qube__pool_is_worked_on(struct qube__pool *p, const char *owner, const char *name)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &p->ops) {
		struct qube__pool_op *op = qube__container_of(pos, struct qube__pool_op, link);

		if (op->own && strcmp(op->owner, owner) == 0 && strcmp(op->name, name) == 0)
			return true;
	}
	return false;
}

bool qube__pool_owner_busy(struct qube__pool *p, const char *owner)
{
	struct qube__list *pos;

	if (qube__pool_owner_started(p, owner))
		return true;
	qube__list_foreach (pos, &p->ops) {
		struct qube__pool_op *op = qube__container_of(pos, struct qube__pool_op, link);

		if (!op->quiet && strcmp(op->owner, owner) == 0)
			return true;
	}
	return false;
}

int qube__pool_check_leftovers(struct qube__pool *p, int owner, const struct qube__volume_spec *v,
			       const char *content)
{
	if (!v->save_on_stop || qube__pool_exists(owner, v->name, QUBE__POOL_DISCARD))
		return qube__pool_trash(p, owner, v->name);
	if (v->discard && qube__pool_exists(owner, v->name, content))
		return qube__fail(QUBE_E_STATE,
				  "volume %s of %s has writes that were not saved: start and stop "
				  "it once to keep them",
				  v->name, v->owner);
	return 0;
}

int qube__pool_mark_discard(struct qube__pool *p, int owner, int dir, const char *name)
{
	qube__autofd fd =
		openat(dir, QUBE__POOL_DISCARD, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || fsync(fd) < 0 || fsync(dir) < 0 || fsync(owner) < 0 || fsync(p->run) < 0)
		return qube__pool_fail(p, "make room for the writes of", name);
	return 0;
}

int qube__pool_throw_away(struct qube__pool *p, const char *owner_name, const char *name)
{
	qube__autofd owner = qube__pool_owner_dir(p->run, owner_name, false);
	int r;

	if (owner < 0)
		return errno == ENOENT ? 0 : qube__pool_fail(p, "open the writes of", owner_name);
	r = qube__pool_trash(p, owner, name);
	if (r == 0)
		unlinkat(p->run, owner_name, AT_REMOVEDIR); /* fails while it has others */
	return r;
}

void qube__pool_stop_failed(struct qube__pool_op *op)
{
	struct qube__started *s = qube__pool_find_started(op->p, op->owner, op->name);

	if (s)
		qube__pool_forget(s);
}

bool qube__pool_marked_discard(struct qube__pool *p, const char *owner, const char *name)
{
	qube__autofd dir = qube__pool_owner_dir(p->run, owner, false);

	return dir >= 0 && qube__pool_exists(dir, name, QUBE__POOL_DISCARD);
}

int qube__pool_remove_owner(struct qube__pool *p, const char *owner)
{
	struct stat st;
	bool there = fstatat(p->volumes, owner, &st, AT_SYMLINK_NOFOLLOW) == 0;
	int r = qube__pool_trash(p, p->volumes, owner);

	/* A new name has nothing to remove, and a flush costs what a start costs. */
	if (r == 0 &&
	    (qube__fault_fails(QUBE__FAULT_REMOVE_TRASHED) || (there && fsync(p->volumes) < 0)))
		r = qube__pool_fail(p, "remove the volumes of", owner);
	return r == 0 ? qube__pool_trash(p, p->run, owner) : r;
}

int qube__volumes_remove(struct qube__pool *p, const char *owner)
{
	if (!qube__pool_name_ok(owner))
		return qube__fail(QUBE_E_INVALID, "unusable name of a qube");
	if (qube__pool_owner_busy(p, owner))
		return qube__fail(QUBE_E_BUSY, "a volume of %s is in use", owner);
	return p->driver->remove(p, owner);
}

int qube__volumes_rename(struct qube__pool *p, const char *from, const char *to)
{
	struct stat st;

	if (!qube__pool_name_ok(from) || !qube__pool_name_ok(to))
		return qube__fail(QUBE_E_INVALID, "unusable name of a qube");
	if (qube__pool_owner_busy(p, from))
		return qube__fail(QUBE_E_BUSY, "a volume of %s is in use", from);
	if (fstatat(p->volumes, to, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
	    fstatat(p->run, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return qube__fail(QUBE_E_EXISTS, "%s has volumes in pool %s", to, p->name);
	/* Writes of a crashed session first: without their volume they would be thrown away. */
	if (renameat2(p->run, from, p->run, to, RENAME_NOREPLACE) < 0 && errno != ENOENT)
		return qube__pool_fail(p, "rename the writes of", from);
	if (renameat2(p->volumes, from, p->volumes, to, RENAME_NOREPLACE) < 0 && errno != ENOENT) {
		int r = qube__pool_fail(p, "rename the volumes of", from);

		renameat2(p->run, to, p->run, from, RENAME_NOREPLACE);
		return r;
	}
	return fsync(p->volumes) < 0 ? qube__pool_fail(p, "flush", "volumes") : 0;
}

int qube__volume_create(struct qube__pool *p, const struct qube__volume_spec *v)
{
	int r = qube__pool_check_spec(p, v);

	return r < 0 ? r : p->driver->create(p, v);
}

int qube__volume_clone(struct qube__pool_op **out_op, struct qube__pool *p,
		       const struct qube__volume_spec *dst, const char *src_owner,
		       const struct qube__pool_cb *cb)
{
	int r = qube__pool_check_spec(p, dst);

	if (r == 0 && !qube__pool_name_ok(src_owner))
		r = qube__fail(QUBE_E_INVALID, "unusable name of a qube");
	return r < 0 ? r : p->driver->clone(out_op, p, dst, src_owner, cb);
}

int qube__volume_info(struct qube__volume_info *out, struct qube__pool *p,
		      const struct qube__volume_spec *v)
{
	int r = qube__pool_check_spec(p, v);

	return r < 0 ? r : p->driver->info(out, p, v);
}

int qube__volume_usage(struct qube__pool *p, const struct qube__volume_spec *v,
		       void (*usage)(void *user, uint64_t bytes), const struct qube__pool_cb *cb)
{
	int r = qube__pool_check_spec(p, v);

	return r < 0 ? r : p->driver->usage(p, v, usage, cb);
}

int qube__volume_revert(struct qube__pool *p, const struct qube__volume_spec *v, uint64_t revision)
{
	int r = qube__pool_check_spec(p, v);

	return r < 0 ? r : p->driver->revert(p, v, revision);
}

int qube__volume_clear(struct qube__pool *p, const struct qube__volume_spec *v)
{
	int r = qube__pool_check_spec(p, v);

	return r < 0 ? r : p->driver->clear(p, v);
}

int qube__volume_export(struct qube__pool_op **out_op, struct qube__pool *p,
			const struct qube__volume_spec *v, int fd, const struct qube__pool_cb *cb)
{
	int r = qube__pool_check_spec(p, v);

	return r < 0 ? r : p->driver->export(out_op, p, v, fd, cb);
}

int qube__volume_import(struct qube__pool_op **out_op, struct qube__pool *p,
			const struct qube__volume_spec *v, int fd, const struct qube__pool_cb *cb)
{
	int r = qube__pool_check_spec(p, v);

	return r < 0 ? r : p->driver->import(out_op, p, v, fd, cb);
}

int qube__volume_prepare(struct qube__pool_op **out_op, struct qube__pool *p,
			 const struct qube__volume_spec *v, const struct qube__pool_cb *cb)
{
	int r = qube__pool_check_spec(p, v);

	return r < 0 ? r : p->driver->prepare(out_op, p, v, cb);
}

int qube__volume_expect(struct qube__volume_run *out, struct qube__pool *p,
			const struct qube__volume_spec *v)
{
	int r = qube__pool_check_spec(p, v);

	return r < 0 ? r : p->driver->expect(out, p, v);
}

static int not_started(struct qube__pool *p, const struct qube__volume_spec *v)
{
	return qube__pool_find_started(p, v->owner, v->name) ?
		       qube__fail(QUBE_E_BUSY, "volume %s of %s is started", v->name, v->owner) :
		       0;
}

int qube__volume_start(struct qube__volume_run *out, struct qube__pool *p,
		       const struct qube__volume_spec *v)
{
	int r = qube__pool_check_spec(p, v);

	if (r == 0)
		r = not_started(p, v);
	if (r == 0 && qube__pool_is_worked_on(p, v->owner, v->name))
		r = qube__fail(QUBE_E_BUSY, "volume %s of %s is being copied", v->name, v->owner);
	return r < 0 ? r : p->driver->start(out, p, v);
}

int qube__volume_attach(struct qube__pool *p, const struct qube__volume_spec *v,
			const char *const *layers, uint32_t n_layers)
{
	int r = qube__pool_check_spec(p, v);

	if (r == 0)
		r = not_started(p, v);
	return r < 0 ? r : p->driver->attach(p, v, layers, n_layers);
}

int qube__volume_stop(struct qube__pool_op **out_op, struct qube__pool *p,
		      const struct qube__volume_spec *v, uint32_t how,
		      const struct qube__pool_cb *cb)
{
	int r = qube__pool_check_spec(p, v);

	return r < 0 ? r : p->driver->stop(out_op, p, v, how, cb);
}

int qube__import_host(struct qube__pool_op **out_op, struct qube__pool *p,
		      const struct qube__import *req, const struct qube__pool_cb *cb)
{
	return p->driver->import_host(out_op, p, req, cb);
}
