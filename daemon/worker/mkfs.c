/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * MAKE_FS: mke2fs writes a tree into an image that nothing mounts. What the tree is made of is
 * known before, as an image does not grow. */
#include "worker.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/spawn.h"
#include "base/text.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	BLOCK = 4096,
	INODE = 256,
	MEBIBYTE = 1024 * 1024,
	SLACK = 64 * MEBIBYTE,
	SPARE_INODES = 16384, /* what is written to the tree later has names of its own */
	SAID_MAX = 400,
};

#define PROGRAM_MEMORY (4ull << 30)

static const char image_path[] = "/image";

struct content {
	uint64_t bytes;
	uint64_t entries;
};

static const char *find_program(void)
{
	static const char *const places[] = { QUBE__JOB_MKE2FS };

	for (size_t i = 0; places[i]; i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static uint64_t whole_blocks(uint64_t bytes)
{
	return (bytes + BLOCK - 1) / BLOCK * BLOCK;
}

/* A file with several names counts at each: too large is only a hole. */
static int weigh_entry(struct worker_walk *w, struct worker_level *l, const char *name)
{
	struct content *c = w->user;
	uint64_t taken;
	struct stat st;
	int r;

	if (fstatat(dirfd(l->src), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return qube__fail_name("look at", name);
	taken = (uint64_t)st.st_blocks * 512;
	/* Small ones may be kept where they take no block. */
	if (st.st_size > 0 && st.st_size <= 16 * BLOCK && taken < (uint64_t)st.st_size)
		taken = (uint64_t)st.st_size;
	c->bytes += S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ? whole_blocks(taken) :
		    S_ISDIR(st.st_mode) ? whole_blocks((uint64_t)st.st_size) + BLOCK :
					  0;
	c->entries++;
	r = worker_tick(w->job);
	return r < 0 || !S_ISDIR(st.st_mode) ? r : worker_walk_enter(w, l, name);
}

static int weigh(struct content *out, struct worker_job *job, int tree)
{
	worker_autowalk w = { .job = job, .entry = weigh_entry, .user = out };
	int from = worker_open(tree, ".", O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (from < 0)
		return qube__fail_name("open", "the tree");
	r = worker_walk_push(&w, from, -1, "the tree");
	return r < 0 ? r : worker_walk_all(&w);
}

/* The tree and as much again as its guest may want to add; the inodes that *inodes says. */
static uint64_t size_of(const struct content *c, uint64_t *inodes)
{
	uint64_t size;

	*inodes = c->entries + c->entries / 4 + SPARE_INODES;
	size = c->bytes + *inodes * INODE;
	size += size / 10 + SLACK;
	return (size + MEBIBYTE - 1) / MEBIBYTE * MEBIBYTE;
}

static int check_room(int image, uint64_t bytes, uint64_t keep_free)
{
	struct statfs fs;

	if (fstatfs(image, &fs) == 0 &&
	    (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize < bytes + keep_free)
		return qube__fail(QUBE_E_LIMIT, "no space left for an image of %llu bytes",
				  (unsigned long long)bytes);
	return 0;
}

static int start_program(struct qube__child *child, const char *const *argv, int tree, int said)
{
	static const char *const env[] = { "LC_ALL=C", NULL };
	int fds[3] = { tree, said, said };
	struct qube__spawn s = {
		.exec_fd = -1,
		.path = argv[0],
		.argv = argv,
		.envp = env,
		.fds = fds,
		.n_fds = 3,
		.flags = QUBE__SPAWN_PDEATHSIG,
	};
	struct rlimit memory = { PROGRAM_MEMORY, PROGRAM_MEMORY };
	int r = qube__spawn(child, &s);

	if (r == 0)
		prlimit(child->pid, RLIMIT_AS, &memory, NULL);
	return r;
}

/* Its last words; until it closes its end. */
static int listen_to(struct worker_job *job, int said, int image, char text[SAID_MAX])
{
	size_t have = 0;

	for (;;) {
		char more[128];
		ssize_t n = read(said, more, sizeof(more));
		struct stat st;
		int r;

		if (n == 0)
			return 0;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return qube__fail_os("cannot listen to mke2fs");
		for (ssize_t i = 0; i < n; i++)
			if (have < SAID_MAX - 1)
				text[have++] = more[i] == '\n' ? ' ' : more[i];
		text[have] = '\0';
		if (fstat(image, &st) == 0)
			job->done = (uint64_t)st.st_blocks * 512;
		if (job->total && job->done > job->total)
			job->done = job->total;
		r = n < 0 ? worker_wait(job, said, POLLIN) : 0;
		if (r == 0)
			r = worker_report(job);
		if (r < 0)
			return r;
	}
}

static int judge(int status, const char *text)
{
	if (status == 0)
		return 0;
	if (strstr(text, "No space left on device")) {
		errno = ENOSPC;
		return qube__fail_name("make", "a file system");
	}
	if (status > 128)
		return qube__fail(QUBE_E_SYSTEM, "mke2fs died of signal %d", status - 128);
	return qube__fail(QUBE_E_SYSTEM, "mke2fs failed: %s",
			  text[0] ? text : "it does not say why");
}

static int run_program(struct worker_job *job, const char *const *argv, int tree, int image)
{
	qube__autofd ours = -1;
	qube__autofd theirs = -1;
	struct qube__child child;
	char text[SAID_MAX] = "";
	int ends[2];
	int status;
	int r;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return qube__fail_os("cannot make a pipe");
	ours = ends[0];
	theirs = ends[1];
	r = start_program(&child, argv, tree, theirs);
	if (r < 0)
		return r;
	qube__close_fd(&theirs);
	r = listen_to(job, ours, image, text);
	if (r < 0)
		syscall(SYS_pidfd_send_signal, child.pidfd, SIGKILL, NULL, 0);
	status = qube__child_reap(&child);
	return r < 0 ? r : judge(status, text);
}

static int make(struct worker_job *job, const char *program, int tree, int image, uint64_t inodes,
		const struct stat *root)
{
	const char *argv[24] = { program, "-F", "-q",  "-t", "ext4", "-b",
				 "4096",  "-I", "256", "-m", "0",    "-E" };
	char options[96];
	char count[24];
	size_t n = 12;

	snprintf(options, sizeof(options), "lazy_itable_init=0,nodiscard,root_owner=%u:%u",
		 root->st_uid, root->st_gid);
	argv[n++] = options;
	if (job->flags & QUBE__JOB_NO_JOURNAL) {
		argv[n++] = "-O";
		argv[n++] = "^has_journal";
	}
	if (!(job->flags & QUBE__JOB_EMPTY)) {
		snprintf(count, sizeof(count), "%llu", (unsigned long long)inodes);
		argv[n++] = "-N";
		argv[n++] = count;
		argv[n++] = "-d";
		argv[n++] = "."; /* of the tree, which it has as its directory, not as a path */
	}
	argv[n] = image_path;
	return run_program(job, argv, tree, image);
}

/* mke2fs gives its root 0755, whatever the tree's has; debugfs, of the same package, can change it.
 */
static int set_root_mode(struct worker_job *job, const char *program, int tree, int image,
			 const struct stat *root)
{
	const char *slash = strrchr(program, '/');
	char debugfs[64];
	char request[64];
	const char *argv[] = { debugfs, "-w", "-R", request, image_path, NULL };

	if ((root->st_mode & 07777) == 0755)
		return 0;
	snprintf(debugfs, sizeof(debugfs), "%.*s/debugfs", (int)(slash - program), program);
	snprintf(request, sizeof(request), "set_inode_field / mode 0%o", root->st_mode);
	if (access(debugfs, X_OK) < 0) {
		worker_note(job, "the root directory has mode 0755, not 0%o: no debugfs here",
			    root->st_mode & 07777);
		return 0;
	}
	return run_program(job, argv, tree, image);
}

/* From here on nothing is left to this process but to read, and to write this one file. */
static int place_image(int image_mount)
{
	int r;
	int fd;

	if (move_mount(image_mount, "", AT_FDCWD, image_path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return qube__fail_os("cannot place the image");
	r = worker_jail_program();
	if (r < 0)
		return r;
	fd = open(image_path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? qube__fail_os("cannot open the image") : fd;
}

static int set_size(int image, uint64_t size)
{
	struct rlimit limit = { size, size };

	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		return qube__fail_os("cannot limit the image");
	return ftruncate(image, (off_t)size) < 0 ? qube__fail_name("make", "the image") : 0;
}

/* The tree becomes the directory that this process is in. */
static int plan_tree(struct worker_job *job, struct stat *root, uint64_t *size, uint64_t *inodes,
		     int tree, int image, uint64_t keep_free)
{
	struct content content = { 0 };
	int r;

	if (fchdir(tree) < 0 || fstat(tree, root) < 0)
		return qube__fail_name("enter", "the tree");
	r = weigh(&content, job, tree);
	if (r < 0)
		return r;
	*size = size_of(&content, inodes);
	job->total = content.bytes;
	return check_room(image, content.bytes, keep_free);
}

int worker_make_fs(struct worker_job *job, int tree, int image_mount, uint64_t number)
{
	const char *program = find_program();
	struct stat root = { .st_mode = 0755 };
	qube__autofd image = -1;
	uint64_t size = number;
	uint64_t inodes = 0;
	int r = 0;

	if (!program)
		return qube__fail(QUBE_E_NOTSUP, "no file system can be made: mke2fs (of the "
						 "package e2fsprogs) is not on this machine");
	image = place_image(image_mount);
	if (image < 0)
		return image;
	if (!(job->flags & QUBE__JOB_EMPTY))
		r = plan_tree(job, &root, &size, &inodes, tree, image, number);
	if (r == 0)
		r = set_size(image, size);
	worker_stage(job, QUBE__JOB_AT_WRITE);
	if (r == 0)
		r = make(job, program, tree, image, inodes, &root);
	if (r == 0)
		r = set_root_mode(job, program, tree, image, &root);
	if (r < 0)
		return r;
	worker_stage(job, QUBE__JOB_AT_FLUSH);
	return fsync(image) < 0 ? qube__fail_name("flush", "the image") : 0;
}
