/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Each thing that a pool does, on a disk that is full: it is said, nothing is lost, and when there
 * is room it goes on. */
#include "qtest.h"
#include "rig.h"
#include "util.h"

#include "../disk.h"

#include "base/error.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { PAGE = 4096 };

#define NEED_DISK(f, kind)                                                                         \
	do {                                                                                       \
		const char *why_;                                                                  \
                                                                                                   \
		scratch_make();                                                                    \
		why_ = disk_mount(at("."), kind, strcmp(kind, "tmpfs") == 0 ? 8 : 64);             \
		if (why_) {                                                                        \
			scratch_remove();                                                          \
			QT_SKIP(why_);                                                             \
		}                                                                                  \
		*(f) = (struct fixture){ 0 };                                                      \
		QT_INT(qube__loop_init(&(f)->loop), 0);                                            \
		QT_INT(open_pool(f), 0);                                                           \
		plant_template("tpl");                                                             \
	} while (0)

/* Takes all of the disk but so many blocks. */
static void fill(unsigned long blocks_left)
{
	static char block[PAGE];
	int fd = open(at("fill"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct statvfs fs;

	memset(block, 'x', sizeof(block));
	/* What was set aside for later is given back when it is written. */
	for (size_t size = sizeof(block); size >= 512; size /= 2) {
		while (fstatvfs(fd, &fs) == 0 && fs.f_bfree > blocks_left &&
		       write(fd, block, size) > 0)
			;
		fsync(fd);
	}
	close(fd);
}

static void make_room(void)
{
	unlink(at("fill"));
}

static int start(struct fixture *f, const struct qube__volume_spec *v)
{
	struct qube__volume_run run;
	int r = qube__volume_start(&run, f->p, v);

	if (r == 0)
		qube__volume_run_fini(&run);
	return r;
}

static int stop(struct fixture *f, const struct qube__volume_spec *v)
{
	struct waiter w;
	struct qube__pool_cb cb = waiter_cb(&w);
	int r = qube__volume_stop(NULL, f->p, v, QUBE__STOP_AS_STARTED, &cb);

	return r == 1 ? wait_for(&f->loop, &w) : r;
}

static bool says_space(void)
{
	return strstr(qube_error_last()->message, "no space left") != NULL;
}

/* The volume's file needs one block to say that a commit begins, and two to say that it is done. */
static void plant_long_history(void)
{
	char *text = calloc(1, 64 * 1024);
	size_t n = (size_t)sprintf(text, "qube-volume 1\n");

	for (int i = 10; i > 0; i--) {
		n += (size_t)sprintf(text + n, "revision %d 1 base", i);
		for (int k = 0; k < 25; k++)
			n += (size_t)sprintf(text + n, " longlayer%05d", k);
		n += (size_t)sprintf(text + n, "\n");
	}
	QT_TRUE(n < PAGE - 32 && n > PAGE - 400);
	put_file(at("pools/main/volumes/tpl/root.vol"), text, 0600);
	free(text);
}

QTEST(full_disk, threat_33_a_commit_that_gets_half_way_loses_no_writes)
{
	struct qube__volume_spec v = root_of("tpl");
	struct qube__volume_info info;
	struct fixture f;
	char before[PAGE];

	NEED_DISK(&f, "tmpfs");
	plant_long_history();
	snprintf(before, sizeof(before), "%s",
		 strchr(get_file(at("pools/main/volumes/tpl/root.vol")), '\n'));
	v.revisions_to_keep = 20;
	QT_INT(start(&f, &v), 0);
	put_file(at("pools/main/run/tpl/root/upper/new"), "new\n", 0644);
	fill(1);
	QT_INT(stop(&f, &v), QUBE_E_LIMIT);
	QT_TRUE(exists(at("pools/main/run/tpl/root/upper/new")));
	QT_TRUE(strstr(get_file(at("pools/main/volumes/tpl/root.vol")), before + 1) != NULL);
	QT_INT(qube__volume_info(&info, f.p, &v), 0);
	QT_TRUE(info.dirty);
	QT_INT(info.revisions[0].number, 10);
	/* It goes on, and what was written then comes besides. */
	make_room();
	QT_INT(start(&f, &v), 0);
	put_file(at("pools/main/run/tpl/root/upper/more"), "more\n", 0644);
	QT_INT(stop(&f, &v), 0);
	QT_INT(qube__volume_info(&info, f.p, &v), 0);
	QT_INT(info.revisions[0].number, 11);
	QT_INT(info.revisions[0].n_layers, 27);
	QT_TRUE(!info.dirty);
	QT_INT(find_text(at("pools/main/layers"), "new\n") > 0, 1);
	QT_INT(find_text(at("pools/main/layers"), "more\n") > 0, 1);
	teardown(&f);
}

/* The same with the host ending before there is room. */
QTEST(full_disk, threat_33_the_next_host_finds_the_writes_of_a_commit_that_failed)
{
	struct qube__volume_spec v = root_of("tpl");
	struct qube__volume_info info;
	struct fixture f;

	NEED_DISK(&f, "tmpfs");
	plant_long_history();
	v.revisions_to_keep = 20;
	QT_INT(start(&f, &v), 0);
	put_file(at("pools/main/run/tpl/root/upper/new"), "new\n", 0644);
	fill(1);
	QT_INT(stop(&f, &v), QUBE_E_LIMIT);
	fill(0); /* not even room to say that nothing is pending */
	QT_INT(reopen(&f), 0);
	make_room();
	QT_INT(qube__volume_info(&info, f.p, &v), 0);
	QT_TRUE(info.dirty);
	QT_INT(start(&f, &v), 0);
	QT_TRUE(exists(at("pools/main/run/tpl/root/upper/new")));
	QT_INT(stop(&f, &v), 0);
	QT_INT(find_text(at("pools/main/layers"), "new\n") > 0, 1);
	teardown(&f);
}

/* ext4, whose directories take blocks. */
QTEST(full_disk, threat_33_nothing_is_made_by_halves)
{
	struct qube__volume_spec root = root_of("alone");
	struct qube__volume_spec copy = private_of("copy");
	struct qube__volume_spec app = app_root("app", "tpl");
	struct waiter w;
	struct qube__pool_cb cb = waiter_cb(&w);
	struct fixture f;

	NEED_DISK(&f, "ext4");
	put_file(at("pools/main/volumes/tpl/private/file"), "kept", 0600);
	fill(0);
	QT_INT(qube__volume_create(f.p, &root), QUBE_E_LIMIT);
	QT_TRUE(says_space());
	QT_INT(qube__volume_clone(NULL, f.p, &root, "tpl", &cb), QUBE_E_LIMIT);
	QT_TRUE(says_space());
	QT_TRUE(!exists(at("pools/main/volumes/alone/root.vol")));
	QT_INT(qube__volume_clone(NULL, f.p, &copy, "tpl", &cb), 1);
	QT_INT(wait_for(&f.loop, &w), QUBE_E_LIMIT);
	QT_TRUE(strstr(w.message, "no space left") != NULL);
	QT_TRUE(!exists(at("pools/main/volumes/copy/private")));
	QT_INT(start(&f, &app), QUBE_E_LIMIT);
	QT_TRUE(says_space());
	make_room();
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	QT_INT(qube__volume_create(f.p, &root), 0);
	cb = waiter_cb(&w);
	QT_INT(qube__volume_clone(NULL, f.p, &copy, "tpl", &cb), 1);
	QT_INT(wait_for(&f.loop, &w), 0);
	QT_STR(get_file(at("pools/main/volumes/copy/private/file")), "kept");
	QT_INT(start(&f, &app), 0);
	QT_INT(stop(&f, &app), 0);
	teardown(&f);
}

/* What makes room has to work when there is none. */
QTEST(full_disk, threat_33_a_qube_can_be_removed)
{
	struct fixture f;

	NEED_DISK(&f, "ext4");
	put_file(at("pools/main/volumes/old/private/file"), "old", 0600);
	fill(0);
	QT_INT(qube__volumes_remove(f.p, "old"), 0);
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	QT_TRUE(!exists(at("pools/main/volumes/old")));
	teardown(&f);
}

/* A template whose layers would be merged keeps them all. */
QTEST(full_disk, threat_33_a_merge_that_does_not_fit_changes_nothing)
{
	struct qube__volume_spec v = root_of("tpl");
	struct qube__volume_info info;
	struct fixture f;
	char name[16];

	NEED_DISK(&f, "tmpfs");
	for (int i = 0; i < QUBE__LAYERS_MERGE - 1; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		QT_INT(change_template(&f, name, 1), 0);
	}
	QT_INT(start(&f, &v), 0);
	put_file(at("pools/main/run/tpl/root/upper/last"), "last\n", 0644);
	/* Room for the list, and not for a tree. */
	fill(3);
	QT_INT(stop(&f, &v), 0);
	QT_INT(reopen(&f), 0);
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	QT_INT(qube__volume_info(&info, f.p, &v), 0);
	QT_INT(info.revisions[0].n_layers, QUBE__LAYERS_MERGE + 1);
	make_room();
	QT_INT(change_template(&f, "again", 1), 0);
	teardown(&f);
}
