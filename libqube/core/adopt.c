/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Qubes that a host before this one left running, killed or closed to keep them. The driver says
 * which are certainly theirs; here they become runs again, before anything on disk is swept. One
 * whose definition is gone, or another's by now, is ended. */
#include "core/host.h"
#include "core/life.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static int keep_layers(struct qube__run *r, const struct qube__machine_found *f)
{
	r->layers = calloc(f->n_layers ? f->n_layers : 1, sizeof(*r->layers));
	if (!r->layers)
		return qube__fail_nomem();
	for (uint32_t i = 0; i < f->n_layers; i++)
		if (qube__text_copy(r->layers[r->n_layers++], QUBE__LAYER_ID_MAX, f->layers[i]) < 0)
			return qube__fail(QUBE_E_PROTO, "no layer has such a name");
	return 0;
}

static void forget(struct qube__run *r)
{
	struct qube__host *h = r->host;

	qube__timer_stop(&h->ctx.loop, &r->deadline);
	qube__posted_cancel(&r->step);
	qube__list_remove(&r->link);
	r->vm->run = NULL;
	r->vm->state = QUBE__STATE_HALTED;
	free(r->layers);
	free(r);
}

void *qube__adopt_take(void *user, struct qube__machine *m, const struct qube__machine_found *f)
{
	struct qube__host *h = user;
	struct qube__vm *vm = qube__model_vm(h->model, f->name);
	struct qube__run *r;

	if (!vm || strcmp(vm->uuid, f->uuid) || vm->qid != f->qid || vm->run) {
		qube__ctx_log(&h->ctx, 4, "'%s' runs and is not defined any more: it is ended",
			      f->name);
		return NULL;
	}
	r = qube__life_new(h, vm, f->paused ? QUBE__STATE_PAUSED : QUBE__STATE_RUNNING);
	if (!r)
		return NULL;
	if (keep_layers(r, f) < 0) {
		qube__ctx_log(&h->ctx, 4, "'%s' cannot go on: %s", f->name,
			      qube_error_last()->message);
		forget(r);
		return NULL;
	}
	r->machine = m;
	r->adopted = true;
	r->up = true;
	r->relink = true;
	vm->bound = f->bound;
	vm->start_time_ms = f->start_time_ms;
	vm->xid = (int64_t)(h->ops->domain ? h->ops->domain(m) : vm->qid);
	qube__ctx_log(&h->ctx, 6, "'%s' runs on", vm->name);
	return r;
}

static int attach_slot(struct qube__run *r, struct qube__pool *p, enum qube__slot slot)
{
	const char *layers[QUBE__LAYERS_MAX];
	struct qube__volume_spec spec;
	struct qube__pool *pool = NULL;
	int ret;

	/* The pool that is being opened is not among the host's yet: it is known by its name. */
	ret = qube__volumes_spec_in(&spec, &pool, r->host, r->vm, slot, p);
	if (ret < 0 || pool != p)
		return ret;
	for (uint32_t i = 0; i < r->n_layers; i++)
		layers[i] = r->layers[i];
	ret = qube__volume_attach(p, &spec, layers, r->n_layers);
	if (ret == 0)
		r->started |= 1u << slot;
	return ret;
}

int qube__adopt_attach(void *user, struct qube__pool *p)
{
	struct qube__host *h = user;
	struct qube__list *pos;

	qube__list_foreach (pos, &h->runs) {
		struct qube__run *r = qube__container_of(pos, struct qube__run, link);

		for (int slot = 0; slot < QUBE__SLOT_COUNT; slot++)
			if (attach_slot(r, p, (enum qube__slot)slot) == QUBE_E_NOMEM)
				return QUBE_E_NOMEM;
	}
	return 0;
}

/* Killed: the driver reports its end, and the volumes that were found are settled. */
static void give_up(struct qube__run *r)
{
	qube__ctx_log(&r->host->ctx, 3, "'%s' cannot go on: its volumes are not all there",
		      r->vm->name);
	qube__life_kill(r->host, r->vm, NULL);
}

void qube__adopt_begin(struct qube__host *h)
{
	struct qube__list *pos;
	struct qube__list *tmp;

	qube__list_foreach_safe (pos, tmp, &h->runs) {
		struct qube__run *r = qube__container_of(pos, struct qube__run, link);

		if (!r->adopted)
			continue;
		free(r->layers);
		r->layers = NULL;
		r->relink = false;
		if (r->started != (1u << QUBE__SLOT_COUNT) - 1)
			give_up(r);
		else if (r->vm->state == QUBE__STATE_RUNNING)
			qube__life_reconnect(r); /* a paused one when it goes on */
	}
}

void qube__adopt_leave(struct qube__host *h)
{
	struct qube__list *pos;
	struct qube__list *tmp;

	qube__list_foreach_safe (pos, tmp, &h->runs) {
		struct qube__run *r = qube__container_of(pos, struct qube__run, link);

		if (r->machine)
			h->ops->release(r->machine);
		for (int i = 0; i < QUBE__SLOT_COUNT; i++)
			qube__volume_run_fini(&r->volumes[i]);
		forget(r);
	}
}
