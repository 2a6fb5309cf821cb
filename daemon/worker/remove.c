/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Removal of trees that guests made: as deep and as wide as they like. A directory that is not
 * empty is moved up, beside the one that is being emptied, and its turn comes: so neither
 * descriptors, nor stack, nor path length grow with the depth. */
#include "worker.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct remover {
	struct worker_job *job;
	int parent;
	uint64_t next;	 /* number in the name of the next directory moved up */
	uint64_t oldest; /* all below are gone */
	char prefix[32];
};

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}
#define autodir __attribute__((cleanup(close_dir))) DIR

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int move_up(struct remover *rm, int dir, const char *name)
{
	char to[64];

	for (;;) {
		snprintf(to, sizeof(to), "%s%llx", rm->prefix, (unsigned long long)rm->next++);
		if (renameat2(dir, name, rm->parent, to, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			return qube__fail_name("move", name);
	}
}

static int remove_entry(struct remover *rm, int dir, const char *name)
{
	rm->job->files++;
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return worker_tick(rm->job);
	if (errno != EISDIR && errno != EPERM)
		return qube__fail_name("remove", name);
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return worker_tick(rm->job);
	if (errno != ENOTEMPTY && errno != EEXIST)
		return qube__fail_name("remove", name);
	rm->job->files--;
	return move_up(rm, dir, name);
}

static int empty_dir(struct remover *rm, int parent, const char *name)
{
	int fd = worker_open(parent, name, O_RDONLY | O_DIRECTORY, RESOLVE_NO_XDEV);
	autodir *d = NULL;
	struct dirent *e;
	bool again = true;
	int r;

	if (fd < 0)
		return qube__fail_name("open", name);
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return qube__fail_name("read", name);
	}
	/* A directory that changes while it is read may skip entries: until a pass finds none. */
	while (again) {
		again = false;
		rewinddir(d);
		while ((e = readdir(d))) {
			if (is_dot(e->d_name))
				continue;
			again = true;
			r = remove_entry(rm, fd, e->d_name);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int remove_one(struct remover *rm, const char *name)
{
	int r = remove_entry(rm, rm->parent, name);

	if (r < 0)
		return r;
	while (rm->oldest < rm->next) {
		char at[64];

		snprintf(at, sizeof(at), "%s%llx", rm->prefix, (unsigned long long)rm->oldest);
		r = empty_dir(rm, rm->parent, at);
		if (r < 0)
			return r;
		if (unlinkat(rm->parent, at, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return qube__fail_name("remove", at);
		rm->job->files++;
		rm->oldest++;
	}
	return 0;
}

int worker_remove_tree(struct worker_job *job, int parent, const char *name)
{
	struct remover rm = { .job = job, .parent = parent };
	autodir *d = NULL;
	struct dirent *e;
	int fd;
	int r;

	snprintf(rm.prefix, sizeof(rm.prefix), ".rm-%lx-%x-", (unsigned long)getpid(), job->id);
	if (name)
		return remove_one(&rm, name);
	fd = worker_open(parent, ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return qube__fail_name("open", "the directory");
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return qube__fail_name("read", "the directory");
	}
	for (bool again = true; again;) {
		again = false;
		rewinddir(d);
		while ((e = readdir(d))) {
			if (is_dot(e->d_name))
				continue;
			again = true;
			r = remove_one(&rm, e->d_name);
			if (r < 0)
				return r;
		}
	}
	return 0;
}
