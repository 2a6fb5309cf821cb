/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Volumes and pools over the Admin API (admin-api.md 9). */
#include "admin/call.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int qube__m_volume_list(struct qube__admin_call *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->dest->n_volumes; i++)
		r = qube__reply(c, "%s\n", c->dest->volumes[i].name);
	return r;
}

static int reply_info(struct qube__admin_call *c, const char *name, uint64_t usage)
{
	struct qube_volume_info info = { .size = sizeof(info) };
	int r = qube__host_volume_info(&info, c->host, c->dest, name);

	if (r == 0)
		r = qube__reply(c,
				"pool=%s\nvid=%s\nsize=%llu\nusage=%llu\nrw=%s\nsource=%s\n"
				"path=\nsave_on_stop=%s\nsnap_on_start=%s\n"
				"revisions_to_keep=%d\nephemeral=%s\n",
				info.pool, info.vid, (unsigned long long)info.max_bytes,
				(unsigned long long)usage, qube__truth(info.flags & QUBE_VOLUME_RW),
				info.source, qube__truth(info.flags & QUBE_VOLUME_SAVE_ON_STOP),
				qube__truth(info.flags & QUBE_VOLUME_SNAP_ON_START),
				info.revisions_to_keep,
				qube__truth(info.flags & QUBE_VOLUME_EPHEMERAL));
	if (r == 0 && info.flags & QUBE_VOLUME_SNAP_ON_START)
		r = qube__reply(c, "is_outdated=%s\n",
				qube__truth(info.flags & QUBE_VOLUME_OUTDATED));
	return r;
}

/* The qube may have gone while its volume was measured. */
static void on_measured(void *user, qube_op *op)
{
	struct qube__admin_call *c = user;
	int r = qube__host_vm(&c->dest, c->host, c->req.dest);

	if (r == 0 && op->state != QUBE_OP_DONE)
		r = qube__err_restore(&op->err);
	if (r == 0)
		r = reply_info(c, c->req.arg, op->done_bytes);
	qube__admin_done(c, r);
}

int qube__m_volume_info(struct qube__admin_call *c)
{
	int r;

	if (!qube__vm_volume(c->dest, c->req.arg) || !c->host->n_pools)
		return reply_info(c, c->req.arg, 0);
	snprintf(c->req.dest, sizeof(c->req.dest), "%s", c->dest->name);
	r = qube__admin_make_op(c);
	if (r < 0)
		return r;
	return qube__admin_run_op(c, qube__host_volume_measure(c->host, c->dest, c->req.arg, c->op),
				  on_measured);
}

/* The same at once, with what the Admin API has no line for; what is not counted is 0. */
int qube__m_volume_info_now(struct qube__admin_call *c)
{
	struct qube_volume_info info = { .size = sizeof(info) };
	int r = reply_info(c, c->req.arg, 0);

	if (r == 0)
		r = qube__host_volume_info(&info, c->host, c->dest, c->req.arg);
	return r < 0 ? r :
		       qube__reply(c, "dirty=%s\nn_revisions=%u\n",
				   qube__truth(info.flags & QUBE_VOLUME_DIRTY), info.n_revisions);
}

int qube__m_volume_snapshots(struct qube__admin_call *c)
{
	qube__autostrings list = { 0 };
	int r = qube__host_volume_revisions(&list, c->host, c->dest, c->req.arg);

	for (size_t i = 0; r == 0 && i < list.n; i++)
		r = qube__reply(c, "%s\n", list.items[i]);
	return r;
}

int qube__m_volume_revert(struct qube__admin_call *c)
{
	char revision[128];
	int r = qube__payload_text(revision, sizeof(revision), c);

	if (r == 0 &&
	    revision[strspn(revision, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789:_.-")])
		r = qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL, "no name of a revision");
	return r < 0 ? r : qube__host_volume_revert(c->host, c->dest, c->req.arg, revision);
}

int qube__m_volume_clear(struct qube__admin_call *c)
{
	return qube__host_volume_clear(c->host, c->dest, c->req.arg);
}

static int set(struct qube__admin_call *c, const char *key)
{
	char value[64];
	int r = qube__payload_text(value, sizeof(value), c);

	return r < 0 ? r : qube__host_volume_set(c->host, c->dest, c->req.arg, key, value);
}

int qube__m_volume_resize(struct qube__admin_call *c)
{
	return set(c, "size");
}

int qube__m_volume_set_revisions(struct qube__admin_call *c)
{
	return set(c, "revisions_to_keep");
}

int qube__m_volume_set_rw(struct qube__admin_call *c)
{
	return set(c, "rw");
}

int qube__m_volume_set_ephemeral(struct qube__admin_call *c)
{
	return set(c, "ephemeral");
}

/* The descriptor came with the request, as the first of three. */
static int stream(struct qube__admin_call *c, bool in)
{
	int r;

	if (c->fds[0] < 0)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL,
					 "%s needs a descriptor: it is for sockets",
					 c->method->name);
	r = qube__admin_make_op(c);
	if (r < 0)
		return r;
	r = qube__host_volume_stream(c->host, c->dest, c->req.arg, c->fds[0], in, c->op);
	return qube__admin_stream_op(c, r);
}

int qube__m_volume_export(struct qube__admin_call *c)
{
	return stream(c, false);
}

int qube__m_volume_import(struct qube__admin_call *c)
{
	return stream(c, true);
}

int qube__m_pool_list(struct qube__admin_call *c)
{
	struct qube__model *m = c->host->model;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n_pools; i++)
		r = qube__reply(c, "%s\n", m->pools[i].name);
	return r;
}

int qube__m_pool_drivers(struct qube__admin_call *c)
{
	return qube__reply(c, "tree revisions_to_keep\nreflink revisions_to_keep\n"
			      "file revisions_to_keep\n");
}

int qube__m_pool_info(struct qube__admin_call *c)
{
	struct qube_pool_info info = { .size = sizeof(info) };
	int r = c->host->ctx.be->pool_info(&info, &c->host->ctx, c->req.arg);

	if (r < 0)
		return r;
	return qube__reply(c, "driver=%s\nname=%s\nsize=%llu\nusage=%llu\n", info.driver,
			   c->req.arg, (unsigned long long)info.total_bytes,
			   (unsigned long long)(info.total_bytes - info.free_bytes));
}
