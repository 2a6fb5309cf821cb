/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Templates made of what is installed on the host, or out of an archive. */
#include "storage/tree.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

/* The worker's view of the host: read-only, whatever becomes of the worker. Where "/" cannot be
 * cloned (a chroot) it is the directory itself. */
static int open_host(const char *path)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (fd >= 0 &&
	    mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) == 0)
		return fd;
	qube__close_fd(&fd);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? qube__fail_os("cannot open %s", path) : fd;
}

int qube__tree_place_layer(struct qube__pool_op *op)
{
	struct qube__pool *p = op->p;

	/* A crash from here on leaves a layer that no volume lists: collected at open. */
	if (renameat2(p->tmp, op->temp, p->layers, op->temp, RENAME_NOREPLACE) < 0 ||
	    fsync(p->layers) < 0)
		return qube__pool_fail(p, "place a layer of", op->owner);
	return 0;
}

static int finish_import(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	qube__autofree struct qube__volume_file *f = calloc(1, sizeof(*f));
	struct qube__pool *p = op->p;
	int r;

	(void)result;
	if (!f)
		return qube__fail_nomem();
	if (qube__tree_has_file(p, op->owner, op->name))
		return qube__fail(QUBE_E_EXISTS, "%s has a volume %s meanwhile", op->owner,
				  op->name);
	r = qube__tree_place_layer(op);
	if (r < 0)
		return r;
	f->n_states = 1;
	f->states[0].number = 1;
	f->states[0].time = qube__wall_s();
	f->states[0].n_layers = 1;
	memcpy(f->states[0].layers[0], op->temp, sizeof(op->temp));
	r = qube__fault_fails(QUBE__FAULT_IMPORT_LAYER) ?
		    QUBE_E_SYSTEM :
		    qube__tree_write_file(p, f, op->owner, op->name);
	if (r < 0)
		qube__pool_trash(p, p->layers, op->temp);
	return r;
}

static int finish_plan(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	(void)op;
	(void)result;
	return 0;
}

static int start_unpack(struct qube__pool_op *op, const struct qube__import *req)
{
	struct qube__job_request job = {
		.type = QUBE__JOB_IMPORT_ARCHIVE,
		.number = QUBE__POOL_KEEP_FREE,
		.n_args = 4,
		.args = { op->temp, req->format, req->key ? req->key : "",
			  req->signature ? req->signature : "" },
	};
	int fds[2] = { req->source, op->p->tmp };
	int r = qube__pool_random_id(op->temp);

	if (r < 0)
		return r;
	if (req->flags & QUBE__IMPORT_KEEP_SETID)
		job.flags |= QUBE__JOB_KEEP_SETID;
	return qube__pool_op_job(op, &job, fds);
}

static int start_import(struct qube__pool_op *op, const struct qube__import *req)
{
	struct qube__job_request job = { .type = QUBE__JOB_IMPORT_HOST,
					 .number = QUBE__POOL_KEEP_FREE };
	qube__autofd host = open_host(req->host_root ? req->host_root : "/");
	int fds[2] = { host, op->p->tmp };
	int r = host < 0 ? host : qube__pool_random_id(op->temp);

	if (r < 0)
		return r;
	if (req->flags & QUBE__IMPORT_KEEP_SETID)
		job.flags |= QUBE__JOB_KEEP_SETID;
	if (req->flags & QUBE__IMPORT_NO_DEFAULTS)
		job.flags |= QUBE__JOB_NO_DEFAULTS;
	if (req->flags & QUBE__IMPORT_PLAN_ONLY)
		job.flags |= QUBE__JOB_PLAN_ONLY;
	job.args[job.n_args++] = op->temp;
	for (uint32_t i = 0; i < req->n_packages; i++)
		job.args[job.n_args++] = req->packages[i];
	return qube__pool_op_job(op, &job, fds);
}

int qube__tree_import_host(struct qube__pool_op **out_op, struct qube__pool *p,
			   const struct qube__import *req, const struct qube__pool_cb *cb)
{
	const uint32_t known =
		QUBE__IMPORT_KEEP_SETID | QUBE__IMPORT_NO_DEFAULTS | QUBE__IMPORT_PLAN_ONLY;
	bool plan_only = req->flags & QUBE__IMPORT_PLAN_ONLY;
	struct qube__pool_op *op;
	int r;

	if (!qube__pool_name_ok(req->owner) || (req->flags & ~known) ||
	    req->n_packages >= QUBE__JOB_ARGS_MAX)
		return qube__fail(QUBE_E_INVALID, "an import that cannot be");
	if (!plan_only && qube__tree_has_file(p, req->owner, "root"))
		return qube__fail(QUBE_E_EXISTS, "%s has a root volume", req->owner);
	r = qube__pool_op_new(&op, p, req->owner, "root", cb);
	if (r < 0)
		return r;
	op->plan = req->plan;
	op->finish = plan_only ? finish_plan : finish_import;
	r = req->format ? start_unpack(op, req) : start_import(op, req);
	if (r < 0) {
		qube__pool_op_free(op);
		return r;
	}
	if (out_op)
		*out_op = op;
	return r;
}
