/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-worker: started by the library with its end of the channel as descriptor 3; does one job at
 * a time until the channel closes. */
#include "unpack.h"
#include "worker.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/text.h"

#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CHANNEL = 3 };

static int run_job(struct worker_job *job, const struct qube__job_request *req, const int *fds)
{
	const char *name = req->n_args ? req->args[0] : NULL;

	switch (req->type) {
	case QUBE__JOB_COPY_TREE:
		if (qube__fault_fails(QUBE__FAULT_WORKER_COPY))
			return qube__fail_name("copy", name);
		worker_stage(job, QUBE__JOB_AT_COPY);
		return worker_copy_tree(job, fds[0], fds[1], name);
	case QUBE__JOB_EXPORT:
		return worker_export(job, fds[0], fds[1]);
	case QUBE__JOB_SEND:
		return worker_send(job, fds[0], fds[1], name);
	case QUBE__JOB_RECEIVE:
		return worker_receive(job, fds[0], fds[1], req->args, req->number);
	case QUBE__JOB_FLATTEN:
		if (qube__fault_fails(QUBE__FAULT_WORKER_FLATTEN))
			return qube__fail_name("merge", name);
		return worker_flatten(job, fds[0], fds[1], name, req->args + 1, req->n_args - 1);
	case QUBE__JOB_REMOVE_TREE:
		return worker_remove_tree(job, fds[0], name);
	case QUBE__JOB_USAGE:
		return worker_usage(job, fds[0]);
	case QUBE__JOB_IMPORT_HOST:
		return worker_import(job, fds[0], fds[1], name, req->args + 1, req->n_args - 1,
				     req->number);
	case QUBE__JOB_IMPORT_ARCHIVE:
		return worker_import_archive(job, fds[0], fds[1], req->args, req->number);
	case QUBE__JOB_COPY_IMAGE:
		worker_stage(job, QUBE__JOB_AT_COPY);
		return worker_copy_image(job, fds[0], fds[1], name);
	case QUBE__JOB_EXPORT_IMAGE:
		return worker_export_image(job, fds[0], fds[1]);
	case QUBE__JOB_IMPORT_IMAGE:
		return worker_import_image(job, fds[0], fds[1], name, req->number);
	case QUBE__JOB_MAKE_FS:
		return worker_make_fs(job, fds[0], fds[1], req->number);
	case QUBE__JOB_SYNC:
		worker_stage(job, QUBE__JOB_AT_FLUSH);
		if (req->flags & QUBE__JOB_ONE_FILE)
			return fsync(fds[0]) < 0 ? qube__fail_name("flush", "an image") : 0;
		return qube__fault_fails(QUBE__FAULT_WORKER_SYNC) || syncfs(fds[0]) < 0 ?
			       qube__fail_name("flush", "the pool") :
			       0;
	default:
		return qube__fail(QUBE_E_PROTO, "a request of type %u", req->type);
	}
}

static int serve_one(uint8_t *untrusted, size_t cap, int jail_code)
{
	struct worker_job job = { .sock = CHANNEL };
	struct qube__job_request req;
	int fds[QUBE__IO_FDS_MAX];
	size_t n_fds = QUBE__IO_FDS_MAX;
	ssize_t n = qube__io_recv_fds(CHANNEL, untrusted, cap, fds, &n_fds);
	int r;

	if (n == QUBE_E_AGAIN)
		return 0;
	if (n <= 0 || qube__job_request_parse(&req, untrusted, (size_t)n) < 0 ||
	    n_fds != (size_t)qube__job_type_fds(req.type))
		return QUBE_E_CLOSED;
	if (req.type == QUBE__JOB_CANCEL) /* of a job that ended meanwhile */
		return 0;
	job.id = req.id;
	job.flags = req.flags;
	/* The jail's record is still this thread's: nothing else ran. */
	r = jail_code < 0 ? jail_code : run_job(&job, &req, fds);
	for (size_t i = 0; i < n_fds; i++)
		close(fds[i]);
	/* symlinks' attributes are copied with the directory entered: hold none between jobs */
	if (chdir("/") < 0)
		return QUBE_E_SYSTEM;
	return worker_done(&job, r);
}

static int parse_role(struct worker_role *role, const char *arg)
{
	unsigned int uid;
	unsigned int gid;
	char rest;

	if (strcmp(arg, "--layers") == 0) {
		role->layers = true;
		return 0;
	}
	if (strcmp(arg, "--programs") == 0) {
		role->programs = true;
		return 0;
	}
	if (sscanf(arg, "--as=%u:%u%c", &uid, &gid, &rest) != 2)
		return -1;
	role->as = true;
	role->uid = uid;
	role->gid = gid;
	return 0;
}

int main(int argc, char **argv)
{
	static uint8_t untrusted[QUBE__JOB_MSG_MAX];
	struct worker_role role = { 0 };
	struct pollfd p = { .fd = CHANNEL, .events = POLLIN };
	int jail_code;

	if (argc > 1 && parse_role(&role, argv[1]) < 0)
		_exit(2);
	signal(SIGPIPE, SIG_IGN);
	/* Names in archives are bytes, most often UTF-8; the table is loaded while there is a root.
	 */
	setlocale(LC_CTYPE, "C.UTF-8");
	if (sodium_init() < 0)
		_exit(1);
	jail_code = worker_jail(CHANNEL, &role);
	for (;;) {
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			_exit(1);
		if (serve_one(untrusted, sizeof(untrusted), jail_code) < 0)
			_exit(0);
	}
}
