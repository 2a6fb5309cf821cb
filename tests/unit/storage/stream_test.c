/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Volumes out of the pool, and in again. */
#include "qtest.h"
#include "rig.h"
#include "util.h"

#include "base/error.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static int out_to(struct fixture *f, const struct qube__volume_spec *v, const char *file)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct waiter w;
	struct qube__pool_cb cb = waiter_cb(&w);
	int r = qube__volume_export(NULL, f->p, v, fd, &cb);

	close(fd);
	return r < 0 ? r : wait_for(&f->loop, &w);
}

static int in_from(struct fixture *f, const struct qube__volume_spec *v, int fd)
{
	struct waiter w;
	struct qube__pool_cb cb = waiter_cb(&w);
	int r = qube__volume_import(NULL, f->p, v, fd, &cb);

	close(fd);
	return r < 0 ? r : wait_for(&f->loop, &w);
}

static int in_from_file(struct fixture *f, const struct qube__volume_spec *v, const char *file)
{
	return in_from(f, v, open(file, O_RDONLY | O_CLOEXEC));
}

static int idle(void *arg)
{
	(void)arg;
	return no_trash(NULL) && count_entries(at("pools/main/tmp")) == 0;
}

/* A home with all that a tree can have. */
static void plant_private(const char *owner)
{
	char deep[600] = "";
	int fd;

	put_file(at("pools/main/volumes/%s/private/home/user/file", owner), "content", 04755);
	QT_INT(chown(at("pools/main/volumes/%s/private/home/user/file", owner), 1000, 1001), 0);
	QT_INT(chmod(at("pools/main/volumes/%s/private/home/user/file", owner), 04755), 0);
	setxattr(at("pools/main/volumes/%s/private/home/user/file", owner), "user.note", "abc", 3,
		 0);
	QT_INT(link(at("pools/main/volumes/%s/private/home/user/file", owner),
		    at("pools/main/volumes/%s/private/other", owner)),
	       0);
	QT_INT(symlink("/etc/shadow", at("pools/main/volumes/%s/private/link", owner)), 0);
	QT_INT(mkfifo(at("pools/main/volumes/%s/private/pipe", owner), 0600), 0);
	for (int i = 0; i < 20; i++)
		strcat(deep, "/a-directory-with-a-long-name");
	put_file(at("pools/main/volumes/%s/private%s/end\x80", owner, deep), "deep", 0600);
	fd = open(at("pools/main/volumes/%s/private/sparse", owner), O_WRONLY | O_CREAT, 0600);
	QT_INT(pwrite(fd, "one", 3, 1 << 20), 3);
	QT_INT(pwrite(fd, "two", 3, 64 << 20), 3);
	QT_INT(ftruncate(fd, 100 << 20), 0);
	close(fd);
}

QTEST(stream, what_goes_out_comes_in_again)
{
	struct fixture f;
	struct qube__volume_spec from = private_of("work");
	struct qube__volume_spec to = private_of("other");
	struct stat a;
	struct stat b;
	char command[512];
	char value[8];

	QT_INT(setup(&f), 0);
	plant_private("work");
	QT_INT(out_to(&f, &from, at("out.tar")), 0);
	QT_INT(stat(at("out.tar"), &a), 0);
	QT_TRUE(a.st_size < 1 << 20); /* holes are none of it */
	put_file(at("pools/main/volumes/other/private/old"), "old", 0600);
	QT_INT(in_from_file(&f, &to, at("out.tar")), 0);
	QT_TRUE(!exists(at("pools/main/volumes/other/private/old")));
	QT_INT(stat(at("pools/main/volumes/other/private/home/user/file"), &a), 0);
	QT_INT(a.st_mode & 07777, 04755);
	QT_INT(a.st_uid, 1000);
	QT_INT(a.st_gid, 1001);
	QT_INT(stat(at("pools/main/volumes/other/private/other"), &b), 0);
	QT_INT(a.st_ino, b.st_ino);
	QT_STR(get_file(at("pools/main/volumes/other/private/home/user/file")), "content");
	QT_INT(getxattr(at("pools/main/volumes/other/private/other"), "user.note", value, 8), 3);
	QT_INT(find_text(at("pools/main/volumes/other/private"), "deep"), 1);
	QT_INT(stat(at("pools/main/volumes/other/private/sparse"), &a), 0);
	QT_INT(a.st_size, 100 << 20);
	QT_TRUE(a.st_blocks * 512 < 1 << 20);
	snprintf(command, sizeof(command), "cmp %s %s",
		 at("pools/main/volumes/work/private/sparse"),
		 at("pools/main/volumes/other/private/sparse"));
	QT_INT(system(command), 0);
	QT_TRUE(!exists(at("pools/main/volumes/other/private/pipe")));
	QT_INT(wait_until(&f.loop, idle, NULL), 0);
	teardown(&f);
}

QTEST(stream, a_root_goes_out_as_its_qubes_see_it_and_in_as_a_new_revision)
{
	struct fixture f;
	struct qube__volume_spec tpl = root_of("tpl");
	struct qube__volume_spec app = app_root("work", "tpl");
	struct qube__volume_info info;
	struct qube__volume_run run;
	char command[512];

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(change_template(&f, "first", 2), 0);
	QT_INT(change_template(&f, "second", 2), 0);
	/* A template's state is what was committed: it goes out while its qubes run. */
	QT_INT(qube__volume_start(&run, f.p, &app), 0);
	QT_INT(out_to(&f, &tpl, at("out.tar")), 0);
	QT_INT(out_to(&f, &app, at("app.tar")), 0);
	snprintf(command, sizeof(command), "tar tf %s | sort | tr '\\n' ' ' >%s", at("out.tar"),
		 at("list"));
	QT_INT(system(command), 0);
	QT_STR(get_file(at("list")), "./ ./etc/ ./etc/version ./first ./second ");
	tpl.revisions_to_keep = 2;
	QT_INT(in_from_file(&f, &tpl, at("out.tar")), 0);
	QT_INT(qube__volume_info(&info, f.p, &tpl), 0);
	QT_INT(info.n_revisions, 3);
	QT_INT(info.revisions[0].n_layers, 1);
	QT_INT(info.revisions[1].n_layers, 3);
	qube__volume_run_fini(&run);
	QT_INT(wait_until(&f.loop, idle, NULL), 0);
	teardown(&f);
}

QTEST(stream, what_is_damaged_changes_nothing)
{
	struct fixture f;
	struct qube__volume_spec v = private_of("work");
	int pipe_fds[2];

	QT_INT(setup(&f), 0);
	put_file(at("pools/main/volumes/work/private/mine"), "mine", 0600);
	put_file(at("bad.tar"), "this is no tar file", 0600);
	QT_INT(in_from_file(&f, &v, at("bad.tar")), QUBE_E_PROTO);
	plant_private("big");
	QT_INT(out_to(&f,
		      &(struct qube__volume_spec){ .owner = "big",
						   .name = "private",
						   .kind = QUBE__VOLUME_TREE,
						   .save_on_stop = true },
		      at("cut.tar")),
	       0);
	QT_INT(truncate(at("cut.tar"), 3000), 0);
	QT_INT(in_from_file(&f, &v, at("cut.tar")), QUBE_E_PROTO);
	QT_INT(pipe2(pipe_fds, O_CLOEXEC), 0);
	close(pipe_fds[1]);
	QT_INT(in_from(&f, &v, pipe_fds[0]), QUBE_E_PROTO); /* empty */
	QT_STR(get_file(at("pools/main/volumes/work/private/mine")), "mine");
	QT_INT(wait_until(&f.loop, idle, NULL), 0);
	teardown(&f);
}

QTEST(stream, is_refused_while_the_volume_is_in_use)
{
	struct fixture f;
	struct qube__volume_spec v = private_of("work");
	struct qube__volume_run run;
	struct qube__pool_cb cb;
	struct waiter w;

	QT_INT(setup(&f), 0);
	put_file(at("x.tar"), "x", 0600);
	QT_INT(out_to(&f, &v, at("out.tar")), QUBE_E_STATE); /* it never ran */
	QT_INT(qube__volume_start(&run, f.p, &v), 0);
	QT_INT(out_to(&f, &v, at("out.tar")), QUBE_E_BUSY);
	QT_INT(in_from_file(&f, &v, at("x.tar")), QUBE_E_BUSY);
	QT_INT(qube__volume_clear(f.p, &v), QUBE_E_BUSY);
	cb = waiter_cb(&w);
	qube__volume_run_fini(&run);
	QT_INT(qube__volume_stop(NULL, f.p, &v, false, &cb), 0);
	QT_INT(qube__volume_clear(f.p, &v), 0);
	QT_TRUE(!exists(at("pools/main/volumes/work/private")));
	teardown(&f);
}

/* Also: the volume cannot be started under it, and closing the pool ends it. */
QTEST(stream, a_reader_that_stalls_holds_up_nobody_else)
{
	struct fixture f;
	struct qube__volume_spec v = private_of("work");
	struct qube__volume_spec other = private_of("copy");
	struct qube__volume_run run;
	char big[400000];
	struct waiter stalled;
	struct waiter w;
	struct qube__pool_cb cb;
	int fds[2];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	QT_INT(setup(&f), 0);
	put_file(at("pools/main/volumes/work/private/big"), big, 0600);
	QT_INT(pipe2(fds, O_CLOEXEC), 0);
	cb = waiter_cb(&stalled);
	QT_INT(qube__volume_export(NULL, f.p, &v, fds[1], &cb), 1);
	close(fds[1]);
	cb = waiter_cb(&w);
	QT_INT(qube__volume_clone(NULL, f.p, &other, "work", &cb), 1);
	QT_INT(wait_for(&f.loop, &w), 0);
	QT_INT(stalled.called, 0);
	QT_INT(qube__volume_start(&run, f.p, &v), QUBE_E_BUSY);
	qube__pool_close(f.p);
	f.p = NULL;
	QT_INT(stalled.called, 1);
	QT_INT(stalled.code, QUBE_E_CANCELED);
	close(fds[0]);
	teardown(&f);
}

QTEST(stream, a_cleared_root_can_be_reverted)
{
	struct fixture f;
	struct qube__volume_spec tpl = root_of("tpl");
	struct qube__volume_run run;
	struct qube__volume_info info;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(qube__volume_clear(f.p, &tpl), 0);
	QT_INT(qube__volume_start(&run, f.p, &tpl), QUBE_E_STATE);
	QT_INT(qube__volume_info(&info, f.p, &tpl), 0);
	QT_INT(info.n_revisions, 2);
	QT_INT(qube__volume_revert(f.p, &tpl, info.revisions[1].number), 0);
	QT_INT(qube__volume_start(&run, f.p, &tpl), 0);
	QT_INT(run.n_layers, 1);
	qube__volume_run_fini(&run);
	teardown(&f);
}
