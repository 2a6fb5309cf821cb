/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One end of a copy between the host and a qube. What comes from the qube is hostile; this process
 * has the rights of the user who copies, and of his files the one directory. */
#include "worker.h"

#include "base/error.h"
#include "copy/copy.h"

#include <string.h>
#include <sys/statfs.h>

/* The host itself needs room to go on. */
#define KEEP_FREE ((uint64_t)64 << 20)
enum { KEEP_PARTS = 20 };

static int on_tick(struct qube__copy *c)
{
	struct worker_job *job = c->user;

	job->done = c->done;
	job->total = c->total;
	return worker_tick(job);
}

static int on_wait(struct qube__copy *c, short events)
{
	return worker_wait(c->user, c->fd, events);
}

static void on_left(struct qube__copy *c, const char *name)
{
	struct worker_job *job = c->user;

	job->skipped++;
	worker_note(job, "left out: %s (no file, directory or link to what is copied with it)",
		    name);
}

static struct qube__copy *begin(struct worker_job *job, int fd)
{
	static struct qube__copy c;

	memset(&c, 0, sizeof(c));
	c.fd = fd;
	c.user = job;
	c.tick = on_tick;
	c.wait = on_wait;
	c.left = on_left;
	return &c;
}

static int end(struct worker_job *job, const struct qube__copy *c, int r)
{
	job->done = c->done;
	job->total = c->total;
	job->files = c->entries;
	return r;
}

int worker_send(struct worker_job *job, int what, int out, const char *name)
{
	struct qube__copy *c = begin(job, out);

	return end(job, c, qube__copy_send(c, what, name));
}

/* What stays free of the disk that `dir` is on: of a small one, less. */
static uint64_t keep_free(int dir)
{
	struct statfs fs;
	uint64_t part = KEEP_FREE;

	if (fstatfs(dir, &fs) == 0)
		part = (uint64_t)fs.f_blocks * (uint64_t)fs.f_frsize / KEEP_PARTS;
	return part < KEEP_FREE ? part : KEEP_FREE;
}

int worker_receive(struct worker_job *job, int in, int dir, const char *const *args,
		   uint64_t max_bytes)
{
	struct qube__copy *c = begin(job, in);

	c->max_bytes = max_bytes;
	c->keep_free = keep_free(dir);
	c->replace = job->flags & QUBE__JOB_REPLACE;
	return end(job, c, qube__copy_receive(c, dir, args[0], args[1]));
}
