/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "worker.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[64];

const char *scratch_make(void)
{
	snprintf(scratch, sizeof(scratch), "/tmp/qube-storage-XXXXXX");
	return mkdtemp(scratch);
}

const char *scratch_make_in_memory(void)
{
	if (!scratch_make() || mount("none", scratch, "tmpfs", 0, "mode=0700") < 0)
		return NULL;
	return scratch;
}

void scratch_remove(void)
{
	struct worker_job job = { .sock = -1 };
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (!scratch[0])
		return;
	umount2(at("pools/main"), MNT_DETACH);
	umount2(scratch, MNT_DETACH);
	worker_remove_tree(&job, fd, scratch + strlen("/tmp/"));
	close(fd);
	scratch[0] = '\0';
}

const char *at(const char *fmt, ...)
{
	static char ring[8][4096];
	static unsigned int next;
	char *out = ring[next++ % 8];
	int n = snprintf(out, 64, "%s/", scratch);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out + n, sizeof(ring[0]) - (size_t)n, fmt, ap);
	va_end(ap);
	return out;
}

int put_dir(const char *path, mode_t mode)
{
	char part[4096];

	for (const char *s = strchr(path + 1, '/'); s; s = strchr(s + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(s - path), path);
		mkdir(part, 0755);
	}
	if (mkdir(path, mode) < 0 && access(path, F_OK) < 0)
		return -1;
	return chmod(path, mode);
}

int put_file(const char *path, const char *text, mode_t mode)
{
	char dir[4096];
	int fd;
	int r;

	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	if (access(dir, F_OK) < 0 && put_dir(dir, 0755) < 0)
		return -1;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	r = qube__io_write_full(fd, text, strlen(text));
	if (r == 0)
		r = fchmod(fd, mode);
	close(fd);
	return r;
}

const char *get_file(const char *path)
{
	static char buf[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

int exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

int count_entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static int file_has(const char *path, const char *text)
{
	static char buf[4 * 1024 * 1024];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int found = 0;
	size_t keep = strlen(text) - 1;
	size_t have = 0;
	ssize_t n;

	if (fd < 0)
		return 0;
	while (!found && (n = read(fd, buf + have, sizeof(buf) - have)) > 0) {
		have += (size_t)n;
		found = memmem(buf, have, text, strlen(text)) != NULL;
		if (have > keep) {
			memmove(buf, buf + have - keep, keep);
			have = keep;
		}
	}
	close(fd);
	return found;
}

int find_text(const char *path, const char *text)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d))) {
		char sub[4096];
		char target[4096];
		struct stat st;
		ssize_t len;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		n += strstr(e->d_name, text) != NULL;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (lstat(sub, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			n += find_text(sub, text);
		if (S_ISREG(st.st_mode))
			n += file_has(sub, text);
		if (S_ISLNK(st.st_mode) && (len = readlink(sub, target, sizeof(target))) > 0)
			n += memmem(target, (size_t)len, text, strlen(text)) != NULL;
	}
	if (d)
		closedir(d);
	return n;
}

static void on_done(void *user, int code)
{
	struct waiter *w = user;

	w->called++;
	w->code = code;
	if (code < 0)
		snprintf(w->message, sizeof(w->message), "%s", qube_error_last()->message);
}

static void on_progress(void *user, uint64_t done, uint64_t total)
{
	struct waiter *w = user;

	w->done = done;
	w->total = total;
}

static void on_note(void *user, const char *line)
{
	struct waiter *w = user;

	if (w->notes < 8)
		snprintf(w->note[w->notes], sizeof(w->note[0]), "%s", line);
	w->notes++;
}

struct qube__pool_cb waiter_cb(struct waiter *w)
{
	memset(w, 0, sizeof(*w));
	return (struct qube__pool_cb){
		.user = w,
		.done = on_done,
		.progress = on_progress,
		.note = on_note,
	};
}

void waiter_usage(void *user, uint64_t bytes)
{
	((struct waiter *)user)->usage = bytes;
}

void waiter_plan(void *user, uint64_t packages, uint64_t files, uint64_t bytes)
{
	struct waiter *w = user;

	w->packages = packages;
	w->files = files;
	w->bytes = bytes;
}

int wait_for(struct qube__loop *l, struct waiter *w)
{
	uint64_t end = qube__now_ms() + 60000;

	while (!w->called && qube__now_ms() < end)
		qube__loop_dispatch(l, 100);
	return w->called ? w->code : -100;
}

int wait_until(struct qube__loop *l, int (*cond)(void *arg), void *arg)
{
	uint64_t end = qube__now_ms() + 10000;

	while (!cond(arg)) {
		if (qube__now_ms() > end)
			return -1;
		qube__loop_dispatch(l, 20);
	}
	return 0;
}
