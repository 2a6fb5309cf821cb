/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Copy and removal of trees that mean harm. */
#include "qtest.h"
#include "util.h"
#include "worker.h"

#include "base/error.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static int open_at(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Copies scratch/src to scratch/dst. */
static int copy(struct worker_job *job)
{
	int src = open_at(at("src"));
	int parent = open_at(at("."));
	int r;

	memset(job, 0, sizeof(*job));
	job->sock = -1;
	umask(0);
	r = worker_copy_tree(job, src, parent, "dst");
	umask(022);
	close(src);
	close(parent);
	return r;
}

QTEST(copy, keeps_content_owner_mode_time_and_attributes)
{
	struct timespec times[2] = { { 1000, 5 }, { 2000, 7 } };
	struct worker_job job;
	struct stat st;
	char value[16];

	scratch_make();
	put_file(at("src/d/file"), "content", 04751);
	QT_INT(chown(at("src/d/file"), 1000, 1001), 0);
	QT_INT(chmod(at("src/d/file"), 04751), 0);
	QT_INT(setxattr(at("src/d/file"), "user.note", "abc", 3, 0), 0);
	QT_INT(utimensat(AT_FDCWD, at("src/d/file"), times, 0), 0);
	QT_INT(chmod(at("src/d"), 01750), 0);
	QT_INT(utimensat(AT_FDCWD, at("src/d"), times, 0), 0);
	QT_INT(copy(&job), 0);
	QT_STR(get_file(at("dst/d/file")), "content");
	QT_INT(stat(at("dst/d/file"), &st), 0);
	QT_INT(st.st_mode & 07777, 04751);
	QT_INT(st.st_uid, 1000);
	QT_INT(st.st_gid, 1001);
	QT_INT(st.st_mtim.tv_sec, 2000);
	QT_INT(st.st_mtim.tv_nsec, 7);
	QT_INT(getxattr(at("dst/d/file"), "user.note", value, sizeof(value)), 3);
	QT_MEM(value, "abc", 3);
	QT_INT(stat(at("dst/d"), &st), 0);
	QT_INT(st.st_mode & 07777, 01750);
	QT_INT(st.st_mtim.tv_sec, 2000);
	scratch_remove();
}

QTEST(copy, keeps_hard_links_and_holes)
{
	struct worker_job job;
	struct stat a;
	struct stat b;
	int fd;

	scratch_make();
	put_file(at("src/a"), "x", 0644);
	put_dir(at("src/deep/er"), 0755);
	QT_INT(link(at("src/a"), at("src/deep/er/b")), 0);
	fd = open(at("src/sparse"), O_WRONLY | O_CREAT, 0600);
	QT_INT(pwrite(fd, "end", 3, 64 * 1024 * 1024), 3);
	close(fd);
	QT_INT(copy(&job), 0);
	QT_INT(stat(at("dst/a"), &a), 0);
	QT_INT(stat(at("dst/deep/er/b"), &b), 0);
	QT_INT(a.st_ino, b.st_ino);
	QT_INT(a.st_nlink, 2);
	QT_INT(stat(at("dst/sparse"), &a), 0);
	QT_INT(a.st_size, 64 * 1024 * 1024 + 3);
	QT_TRUE(a.st_blocks * 512 < 1024 * 1024);
	QT_INT(count_entries(at(".")), 2); /* no directory of links is left */
	scratch_remove();
}

QTEST(copy, threat_13_symlinks_are_copied_and_never_followed)
{
	struct worker_job job;
	char target[64] = "";

	scratch_make();
	put_dir(at("src"), 0755);
	put_file(at("outside/secret"), "canary-outside", 0600);
	QT_INT(symlink(at("outside"), at("src/dir")), 0);
	QT_INT(symlink("/etc/shadow", at("src/shadow")), 0);
	QT_INT(symlink("../outside/secret", at("src/up")), 0);
	QT_INT(copy(&job), 0);
	QT_INT(readlink(at("dst/shadow"), target, sizeof(target)), 11);
	QT_STR(target, "/etc/shadow");
	QT_INT(find_text(at("dst"), "canary-outside"), 0);
	QT_TRUE(exists(at("dst/dir")));
	QT_TRUE(!exists(at("dst/dir/../dst/secret")));
	scratch_remove();
}

QTEST(copy, threat_17_devices_and_sockets_are_left_out)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct worker_job job;
	struct stat st;
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	scratch_make();
	put_dir(at("src"), 0755);
	snprintf(name.sun_path, sizeof(name.sun_path), "%.100s", at("src/socket"));
	QT_INT(bind(s, (struct sockaddr *)&name, sizeof(name)), 0);
	close(s);
	QT_INT(mknod(at("src/null"), S_IFCHR | 0666, makedev(1, 3)), 0);
	QT_INT(mknod(at("src/disk"), S_IFBLK | 0666, makedev(8, 0)), 0);
	QT_INT(mknod(at("src/whiteout"), S_IFCHR, makedev(0, 0)), 0);
	QT_INT(mkfifo(at("src/fifo"), 0640), 0);
	QT_INT(copy(&job), 0);
	QT_INT(job.skipped, 4);
	QT_INT(count_entries(at("dst")), 1);
	QT_INT(lstat(at("dst/fifo"), &st), 0);
	QT_TRUE(S_ISFIFO(st.st_mode));
	scratch_remove();
}

/* n directories, one in the other, made by descriptors: their path is longer than any call takes.
 */
static int make_deep(const char *root, int n)
{
	int fd;

	put_dir(root, 0755);
	fd = open_at(root);
	for (int i = 0; i < n && fd >= 0; i++) {
		int next = -1;

		if (mkdirat(fd, "directory-with-a-name", 0755) == 0)
			next = openat(fd, "directory-with-a-name", O_RDONLY | O_DIRECTORY);
		close(fd);
		fd = next;
	}
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int remove_all(const char *path)
{
	struct worker_job job = { .sock = -1 };
	int fd = open_at(path);
	int r = worker_remove_tree(&job, fd, NULL);

	close(fd);
	return r;
}

QTEST(copy, copies_and_removes_two_thousand_levels)
{
	struct worker_job job;

	QT_TRUE(scratch_make_in_memory() != NULL);
	QT_INT(make_deep(at("src"), 2000), 0);
	QT_INT(copy(&job), 0);
	QT_INT(job.files, 2000);
	job.done = 0;
	job.files = 0;
	{
		int fd = open_at(at("dst"));

		QT_INT(worker_usage(&job, fd), 0);
		close(fd);
	}
	QT_INT(job.files, 2000);
	QT_INT(remove_all(at(".")), 0);
	QT_INT(count_entries(at(".")), 0);
	scratch_remove();
}

QTEST(copy, refuses_a_tree_deeper_than_any_program_can_use)
{
	struct worker_job job;

	QT_TRUE(scratch_make_in_memory() != NULL);
	QT_INT(make_deep(at("src"), 4100), 0);
	QT_INT(copy(&job), QUBE_E_LIMIT);
	scratch_remove();
}

QTEST(copy, names_of_any_bytes_are_only_names)
{
	struct worker_job job;

	scratch_make();
	put_file(at("src/new\nline"), "1", 0644);
	put_file(at("src/-rf"), "2", 0644);
	put_file(at("src/\xff\x1b[31m"), "3", 0644);
	QT_INT(copy(&job), 0);
	QT_STR(get_file(at("dst/new\nline")), "1");
	QT_STR(get_file(at("dst/-rf")), "2");
	QT_STR(get_file(at("dst/\xff\x1b[31m")), "3");
	scratch_remove();
}

QTEST(removal, threat_13_takes_links_not_what_they_point_to)
{
	scratch_make();
	put_file(at("keep/file"), "kept", 0644);
	put_dir(at("trash/x/y"), 0755);
	QT_INT(symlink(at("keep"), at("trash/link")), 0);
	QT_INT(symlink(at("keep"), at("trash/x/y/link")), 0);
	QT_INT(symlink("/", at("trash/x/root")), 0);
	QT_INT(link(at("keep/file"), at("trash/x/hard")), 0);
	QT_INT(remove_all(at("trash")), 0);
	QT_INT(count_entries(at("trash")), 0);
	QT_STR(get_file(at("keep/file")), "kept");
	scratch_remove();
}

QTEST(removal, takes_directories_that_nobody_may_enter)
{
	scratch_make();
	put_file(at("trash/a/b/file"), "", 0);
	put_dir(at("trash/a/empty"), 0);
	QT_INT(mkfifo(at("trash/a/b/fifo"), 0), 0);
	QT_INT(mknod(at("trash/a/b/null"), S_IFCHR, makedev(1, 3)), 0);
	QT_INT(chmod(at("trash/a/b"), 0), 0);
	QT_INT(chmod(at("trash/a"), 0), 0);
	QT_INT(remove_all(at("trash")), 0);
	QT_INT(count_entries(at("trash")), 0);
	scratch_remove();
}

QTEST(removal, takes_ten_thousand_levels_and_wide_directories)
{
	QT_TRUE(scratch_make_in_memory() != NULL);
	QT_INT(make_deep(at("trash/deep"), 10000), 0);
	for (int i = 0; i < 3000; i++)
		put_file(at("trash/wide/%d", i), "", 0644);
	QT_INT(remove_all(at("trash")), 0);
	QT_INT(count_entries(at("trash")), 0);
	scratch_remove();
}
