/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pools of disks, with the real, jailed worker. */
#include "qtest.h"
#include "rig.h"
#include "util.h"

#include "../disk.h"

#include "base/error.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

/* An image of one MiB that begins with the word. */
static int plant_image(const char *path, const char *word)
{
	return put_file(path, word, 0600) < 0 ? -1 : truncate(path, MIB);
}

static void plant_disk(const char *owner, const char *word)
{
	struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	const char *path = at("pools/main/volumes/%s/root.img", owner);

	plant_image(path, word);
	utimensat(AT_FDCWD, path, times, 0);
}

static int begins_with(const char *path, const char *word)
{
	char got[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pread(fd, got, strlen(word), 0);

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(word) && strcmp(got, word) == 0;
}

/* As its guest would. */
static int write_to(const char *path, const char *word)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pwrite(fd, word, strlen(word), 0);

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(word) ? 0 : -1;
}

/* The template starts, its guest writes the word, it stops. */
static int change(struct fixture *f, const char *owner, const char *word, int keep)
{
	struct qube__volume_spec v = disk_of(owner);
	char *path;
	int r = start_disk(&path, f, &v);

	v.revisions_to_keep = keep;
	if (r == 0)
		r = write_to(path, word);
	return r < 0 ? r : stop_volume(f, &v, QUBE__STOP_AS_STARTED);
}

static int committed_is(const char *owner, const char *word)
{
	return begins_with(at("pools/main/volumes/%s/root.img", owner), word);
}

/* Numbers of the states, the current one first: "2 1". */
static const char *states_of(struct fixture *f, const char *owner)
{
	static char text[256];
	struct qube__volume_spec v = disk_of(owner);
	struct qube__volume_info info;
	size_t at = 0;

	text[0] = '\0';
	if (qube__volume_info(&info, f->p, &v) < 0)
		return qube_error_last()->message;
	for (uint32_t i = 0; i < info.n_revisions; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, i ? " %llu" : "%llu",
				       (unsigned long long)info.revisions[i].number);
	return text;
}

QTEST(block, reflink_is_refused_where_files_share_no_data)
{
	struct fixture f = { .driver = "reflink" };
	const char *why;

	scratch_make();
	why = disk_mount(at("."), "tmpfs", 8);
	if (why) {
		scratch_remove();
		QT_SKIP(why);
	}
	QT_INT(qube__loop_init(&f.loop), 0);
	QT_INT(open_pool(&f), QUBE_E_NOTSUP);
	QT_TRUE(strstr(qube_error_last()->message, "tmpfs share no data; use driver file") != NULL);
	f.driver = "floppy";
	QT_INT(open_pool(&f), QUBE_E_NOTSUP);
	f.driver = "file";
	QT_INT(open_pool(&f), 0);
	QT_STR(qube__pool_driver(f.p), "file");
	QT_TRUE(qube__pool_is_block(f.p));
	teardown(&f);
}

QTEST(block, a_disk_is_only_for_what_takes_disks)
{
	struct qube__volume_spec specs[] = { disk_of("tpl"), app_disk("work", "tpl"),
					     private_disk("work") };
	struct qube__volume_run run;
	struct qube__pool_cb cb;
	struct waiter w;
	struct fixture f;

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	cb = waiter_cb(&w);
	for (int i = 0; i < 3; i++) {
		specs[i].block = false;
		QT_INT(qube__volume_prepare(NULL, f.p, &specs[i], &cb), QUBE_E_NOTSUP);
		QT_INT(qube__volume_start(&run, f.p, &specs[i]), QUBE_E_NOTSUP);
		QT_TRUE(strstr(qube_error_last()->message, "is a disk: only a virtual machine"));
		specs[i].kind = QUBE__VOLUME_TREE;
		QT_INT(qube__volume_start(&run, f.p, &specs[i]), QUBE_E_INVALID);
	}
	teardown(&f);
}

QTEST(block, hostile_names_are_refused)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "../tpl", "-x", "root.1@2" };
	struct qube__volume_spec v;
	struct qube__volume_run run;
	struct fixture f;

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		v = disk_of("tpl");
		v.name = bad[i];
		QT_INT(qube__volume_start(&run, f.p, &v), QUBE_E_INVALID);
		QT_INT(qube__volume_clear(f.p, &v), QUBE_E_INVALID);
		if (i == 6) /* an owner may have a dot */
			break;
		v = app_disk("work", bad[i]);
		QT_INT(qube__volume_start(&run, f.p, &v), QUBE_E_INVALID);
		v = disk_of(bad[i]);
		QT_INT(qube__volume_revert(f.p, &v, 1), QUBE_E_INVALID);
		QT_INT(qube__volumes_remove(f.p, bad[i]), QUBE_E_INVALID);
	}
	teardown(&f);
}

QTEST(block, a_link_in_the_place_of_an_image_is_not_followed)
{
	struct qube__volume_spec v = disk_of("tpl");
	struct fixture f;
	char *path;

	QT_INT(setup_with(&f, "file"), 0);
	put_file(at("secret"), "x", 0600);
	put_dir(at("pools/main/volumes/tpl"), 0700);
	QT_INT(symlink(at("secret"), at("pools/main/volumes/tpl/root.img")), 0);
	QT_TRUE(start_disk(&path, &f, &v) < 0);
	QT_INT(mkfifo(at("pools/main/volumes/other"), 0600), 0);
	QT_INT(unlink(at("pools/main/volumes/tpl/root.img")), 0);
	QT_INT(mkfifo(at("pools/main/volumes/tpl/root.img"), 0600), 0);
	QT_INT(start_disk(&path, &f, &v), QUBE_E_STATE);
	teardown(&f);
}

static void keeps_states(const char *driver, const char *kind)
{
	struct fixture f = { .driver = driver };
	struct qube__volume_spec v = disk_of("tpl");
	struct stat st;

	scratch_make();
	if (kind) {
		const char *why = disk_mount(at("."), kind, 512);

		if (why) {
			scratch_remove();
			QT_SKIP(why);
		}
	}
	QT_INT(qube__loop_init(&f.loop), 0);
	QT_INT(open_pool(&f), 0);
	plant_disk("tpl", "one");
	QT_STR(states_of(&f, "tpl"), "1");
	QT_INT(change(&f, "tpl", "two", 2), 0);
	QT_INT(change(&f, "tpl", "three", 2), 0);
	QT_STR(states_of(&f, "tpl"), "3 2 1");
	QT_TRUE(committed_is("tpl", "three"));
	QT_INT(change(&f, "tpl", "four", 2), 0);
	QT_STR(states_of(&f, "tpl"), "4 3 2");
	QT_INT(count_entries(at("pools/main/volumes/tpl")), 3);
	QT_INT(stat(at("pools/main/volumes/tpl/root.img"), &st), 0);
	QT_INT(st.st_mode & 0777, 0600);
	QT_INT(st.st_size, MIB);
	QT_TRUE(!exists(at("pools/main/run/tpl")));

	v.revisions_to_keep = 2;
	QT_INT(qube__volume_revert(f.p, &v, 2), 0);
	QT_STR(states_of(&f, "tpl"), "5 4 3");
	QT_TRUE(committed_is("tpl", "two"));
	QT_INT(qube__volume_revert(f.p, &v, 9), QUBE_E_NOENT);
	QT_INT(qube__volume_revert(f.p, &v, 4), 0); /* it can be taken back */
	QT_TRUE(committed_is("tpl", "four"));

	QT_INT(change(&f, "tpl", "last", 0), 0);
	QT_STR(states_of(&f, "tpl"), "1");
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	teardown(&f);
}

QTEST(block, a_file_pool_keeps_old_states_and_goes_back_to_them)
{
	keeps_states("file", NULL);
}

QTEST(block, a_reflink_pool_on_xfs_keeps_old_states_and_goes_back_to_them)
{
	keeps_states("reflink", "xfs");
}

QTEST(block, a_reflink_pool_on_btrfs_keeps_old_states_and_goes_back_to_them)
{
	keeps_states("reflink", "btrfs");
}

QTEST(block, reflink_copies_at_once_and_takes_no_space)
{
	struct fixture f = { .driver = "reflink" };
	struct qube__volume_spec v = disk_of("tpl");
	struct qube__volume_run run;
	struct qube__pool_cb cb;
	struct waiter w;
	const char *why;

	scratch_make();
	why = disk_mount(at("."), "xfs", 512);
	if (why) {
		scratch_remove();
		QT_SKIP(why);
	}
	QT_INT(qube__loop_init(&f.loop), 0);
	QT_INT(open_pool(&f), 0);
	plant_disk("tpl", "one");
	cb = waiter_cb(&w);
	QT_INT(qube__volume_prepare(NULL, f.p, &v, &cb), 0);
	QT_INT(qube__volume_start(&run, f.p, &v), 0);
	QT_TRUE(begins_with(run.upper, "one"));
	QT_INT(run.kind, QUBE__VOLUME_BLOCK);
	QT_INT(run.size_bytes, MIB);
	QT_TRUE(!run.read_only && !run.discard);
	qube__volume_run_fini(&run);
	QT_INT(stop_volume(&f, &v, QUBE__STOP_DISCARD), 0);
	QT_INT(qube__volume_start(&run, f.p, &v), 0); /* also without being told before */
	qube__volume_run_fini(&run);
	QT_INT(stop_volume(&f, &v, QUBE__STOP_AS_STARTED), 0);
	QT_STR(states_of(&f, "tpl"), "1");
	teardown(&f);
}

QTEST(block, a_session_that_wrote_nothing_is_no_new_state)
{
	struct qube__volume_spec v = disk_of("tpl");
	struct fixture f;
	char *path;

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	v.size_bytes = 2 * MIB; /* to have grown is no write */
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_INT(stop_volume(&f, &v, QUBE__STOP_AS_STARTED), 0);
	QT_STR(states_of(&f, "tpl"), "1");
	QT_TRUE(!exists(at("pools/main/run/tpl")));
	teardown(&f);
}

/* A kernel that needs no root may have one that nothing was ever imported into. */
QTEST(block, a_root_that_was_never_written_to_is_blank_for_who_needs_none)
{
	struct qube__volume_spec v = disk_of("new");
	struct fixture f;
	struct stat st;
	char *path;

	QT_INT(setup_with(&f, "file"), 0);
	v.size_bytes = MIB;
	QT_INT(start_disk(&path, &f, &v), QUBE_E_STATE);
	QT_TRUE(!exists(at("pools/main/volumes/new/root.img")));
	v.blank = true;
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_INT(stat(path, &st), 0);
	QT_INT(st.st_size, MIB);
	QT_INT(st.st_blocks, 0);
	QT_INT(write_to(path, "kept"), 0);
	QT_INT(stop_volume(&f, &v, QUBE__STOP_AS_STARTED), 0);
	QT_TRUE(committed_is("new", "kept"));
	/* It is made once. */
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_TRUE(begins_with(path, "kept"));
	teardown(&f);
}

QTEST(block, what_is_larger_than_its_image_grows_with_the_start)
{
	struct qube__volume_spec v = disk_of("tpl");
	struct fixture f;
	struct stat st;
	char *path;

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	v.size_bytes = 2 * MIB + 100;
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_INT(stat(path, &st), 0);
	QT_INT(st.st_size, 2 * MIB);
	QT_INT(write_to(path, "two"), 0);
	QT_INT(stop_volume(&f, &v, QUBE__STOP_AS_STARTED), 0);
	v.size_bytes = MIB; /* and never shrinks */
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_INT(stat(path, &st), 0);
	QT_INT(st.st_size, 2 * MIB);
	teardown(&f);
}

QTEST(block, the_writes_of_a_session_can_be_discarded)
{
	struct qube__volume_spec v = disk_of("tpl");
	struct fixture f;
	char *path;

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	v.discard = true;
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_INT(write_to(path, "two"), 0);
	QT_INT(stop_volume(&f, &v, QUBE__STOP_AS_STARTED), 0);
	QT_TRUE(committed_is("tpl", "one"));
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_INT(write_to(path, "two"), 0);
	QT_INT(reopen(&f), 0); /* as after a crash: nobody said that it is to be kept */
	QT_TRUE(!exists(at("pools/main/run/tpl")));
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_TRUE(begins_with(path, "one"));
	QT_INT(write_to(path, "two"), 0);
	QT_INT(stop_volume(&f, &v, QUBE__STOP_KEEP), 0);
	QT_TRUE(committed_is("tpl", "two"));
	teardown(&f);
}

QTEST(block, who_runs_on_a_state_keeps_it_whatever_becomes_of_its_template)
{
	struct qube__volume_spec tpl = disk_of("tpl");
	struct qube__volume_spec a = app_disk("a", "tpl");
	struct qube__volume_spec b = app_disk("b", "tpl");
	struct qube__volume_info info;
	struct stat sa;
	struct stat sb;
	struct fixture f;
	char *pa;
	char *pb;

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	QT_INT(start_disk(&pa, &f, &a), 0);
	QT_INT(start_disk(&pb, &f, &b), 0);
	QT_INT(stat(pa, &sa), 0);
	QT_INT(stat(pb, &sb), 0);
	QT_INT(sa.st_ino, sb.st_ino); /* no copy at all */
	QT_INT(qube__volume_info(&info, f.p, &a), 0);
	QT_TRUE(info.started && !info.outdated);
	QT_INT(change(&f, "tpl", "two", 0), 0);
	QT_TRUE(begins_with(pa, "one") && begins_with(pb, "one"));
	QT_INT(qube__volume_info(&info, f.p, &a), 0);
	QT_TRUE(info.outdated);
	QT_INT(stop_volume(&f, &b, QUBE__STOP_AS_STARTED), 0);
	QT_INT(start_disk(&pb, &f, &b), 0);
	QT_TRUE(begins_with(pb, "two"));
	QT_INT(qube__volume_clear(f.p, &tpl), 0);
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	QT_TRUE(begins_with(pa, "one") && begins_with(pb, "two"));
	QT_INT(qube__volumes_remove(f.p, "tpl"), 0);
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	QT_TRUE(begins_with(pa, "one"));
	QT_INT(qube__volume_info(&info, f.p, &a), 0);
	QT_TRUE(info.outdated);
	QT_INT(stop_volume(&f, &a, QUBE__STOP_AS_STARTED), 0);
	QT_TRUE(!exists(at("pools/main/run/a")));
	teardown(&f);
}

QTEST(block, a_shared_disk_is_read_only_whatever_is_asked)
{
	struct qube__volume_spec a = app_disk("a", "tpl");
	struct qube__volume_run run;
	struct fixture f;

	QT_INT(setup_with(&f, "file"), 0);
	QT_INT(qube__volume_start(&run, f.p, &a), QUBE_E_STATE);
	plant_disk("tpl", "one");
	a.size_bytes = 8 * MIB;
	QT_INT(qube__volume_start(&run, f.p, &a), 0);
	QT_TRUE(run.read_only);
	QT_INT(run.kind, QUBE__VOLUME_BLOCK);
	QT_INT(run.size_bytes, MIB);
	QT_INT(qube__volume_start(&run, f.p, &a), QUBE_E_BUSY);
	qube__volume_run_fini(&run);
	teardown(&f);
}

QTEST(block, who_outlived_the_host_keeps_its_disk)
{
	struct fixture f;
	char *path;

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	f.spec = app_disk("a", "tpl");
	f.attached = true;
	QT_INT(start_disk(&path, &f, &f.spec), 0);
	QT_INT(reopen(&f), 0);
	QT_INT(change(&f, "tpl", "two", 0), 0);
	QT_TRUE(begins_with(path, "one"));
	QT_INT(stop_volume(&f, &f.spec, QUBE__STOP_AS_STARTED), 0);
	QT_TRUE(!exists(path));
	f.attached = false;
	QT_INT(start_disk(&path, &f, &f.spec), 0);
	QT_INT(reopen(&f), 0); /* this one did not outlive it */
	QT_TRUE(!exists(at("pools/main/run/a")));
	teardown(&f);
}

QTEST(block, a_template_that_outlived_the_host_is_committed_at_its_stop)
{
	struct fixture f;
	char *path;

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	f.spec = disk_of("tpl");
	f.attached = true;
	QT_INT(start_disk(&path, &f, &f.spec), 0);
	QT_INT(write_to(path, "two"), 0);
	QT_INT(reopen(&f), 0);
	QT_TRUE(begins_with(path, "two"));
	QT_INT(stop_volume(&f, &f.spec, QUBE__STOP_AS_STARTED), 0);
	QT_TRUE(committed_is("tpl", "two"));
	QT_STR(states_of(&f, "tpl"), "2 1");
	teardown(&f);
}

QTEST(block, after_a_crash_the_writes_go_on_and_nothing_else_is_done_to_them)
{
	struct qube__volume_spec v = disk_of("tpl");
	struct qube__volume_spec copy = disk_of("copy");
	struct qube__volume_info info;
	struct qube__pool_cb cb;
	struct waiter w;
	struct fixture f;
	char *path;

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	QT_INT(change(&f, "tpl", "two", 1), 0);
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_INT(write_to(path, "three"), 0);
	QT_INT(reopen(&f), 0);
	QT_TRUE(committed_is("tpl", "two"));
	QT_INT(qube__volume_info(&info, f.p, &v), 0);
	QT_TRUE(info.dirty && !info.started);
	cb = waiter_cb(&w);
	QT_INT(qube__volume_revert(f.p, &v, 1), QUBE_E_STATE);
	QT_INT(qube__volume_import(NULL, f.p, &v, 0, &cb), QUBE_E_STATE);
	QT_INT(qube__volume_clone(NULL, f.p, &copy, "tpl", &cb), QUBE_E_STATE);
	v.discard = true;
	QT_INT(start_disk(&path, &f, &v), QUBE_E_STATE);
	v.discard = false;
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_TRUE(begins_with(path, "three"));
	QT_INT(stop_volume(&f, &v, QUBE__STOP_AS_STARTED), 0); /* kept, though nothing was added */
	QT_TRUE(committed_is("tpl", "three"));
	QT_INT(qube__volume_info(&info, f.p, &v), 0);
	QT_TRUE(!info.dirty);
	teardown(&f);
}

/* What a kill leaves at each step of a start and of a commit. */
QTEST(block, a_kill_between_the_steps_leaves_the_old_state_or_the_new_one)
{
	struct qube__volume_spec v = disk_of("tpl");
	struct qube__volume_info info;
	struct fixture f;
	char *path;

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	/* a copy that was being made; one that was made and not used; a mark without writes */
	plant_image(at("pools/main/tmp/half"), "on");
	plant_image(at("pools/main/run/tpl/root/fresh.img"), "one");
	put_file(at("pools/main/run/tpl/root/discard"), "", 0600);
	QT_INT(reopen(&f), 0);
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	QT_TRUE(!exists(at("pools/main/run/tpl")));
	QT_INT(qube__volume_info(&info, f.p, &v), 0);
	QT_TRUE(!info.dirty);
	/* the commit kept the old state, and did not place the new one */
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_INT(write_to(path, "two"), 0);
	QT_INT(link(at("pools/main/volumes/tpl/root.img"),
		    at("pools/main/volumes/tpl/root.1@1000.img")),
	       0);
	QT_INT(reopen(&f), 0);
	QT_STR(states_of(&f, "tpl"), "1");
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_TRUE(begins_with(path, "two"));
	QT_INT(stop_volume(&f, &v, QUBE__STOP_AS_STARTED), 0);
	QT_STR(states_of(&f, "tpl"), "2 1");
	QT_TRUE(begins_with(at("pools/main/volumes/tpl/root.1@1000.img"), "one"));
	/* the new one is in its place, and the rest of the session still there */
	put_dir(at("pools/main/run/tpl/root"), 0700);
	QT_INT(reopen(&f), 0);
	QT_TRUE(committed_is("tpl", "two"));
	QT_TRUE(!exists(at("pools/main/run/tpl")));
	QT_INT(qube__volume_info(&info, f.p, &v), 0);
	QT_TRUE(!info.dirty);
	teardown(&f);
}

QTEST(block, names_that_are_nearly_those_of_old_states_are_none)
{
	static const char *const odd[] = {
		"root.01@1.img",  "root.1@1",	   "root.1@.img",
		"root.@1.img",	  "root.1@1.img~", "root.-1@1.img",
		"root.1@1.qcow2", "roots.1@1.img", "root.99999999999999999999999@1.img"
	};
	struct fixture f;

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		put_file(at("pools/main/volumes/tpl/%s", odd[i]), "x", 0600);
	QT_STR(states_of(&f, "tpl"), "1");
	QT_INT(change(&f, "tpl", "two", 0), 0);
	QT_INT(count_entries(at("pools/main/volumes/tpl")),
	       1 + (int)(sizeof(odd) / sizeof(odd[0])));
	teardown(&f);
}

/* --- private and volatile --- */

static int is_sound(const char *path)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "PATH=$PATH:/usr/sbin:/sbin; e2fsck -fn %s >/dev/null 2>&1", path);
	return system(command) == 0;
}

static int has_journal(const char *path)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "PATH=$PATH:/usr/sbin:/sbin; dumpe2fs -h %s 2>/dev/null | grep -qw has_journal",
		 path);
	return system(command) == 0;
}

QTEST(block, a_private_disk_is_made_once_and_written_to_where_it_is)
{
	struct qube__volume_spec v = private_disk("work");
	struct qube__volume_run run;
	struct fixture f;
	struct stat st;
	char *path;

	QT_INT(setup_with(&f, "file"), 0);
	QT_INT(qube__volume_create(f.p, &v), 0);
	QT_INT(qube__volume_start(&run, f.p, &v), QUBE_E_STATE);
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_STR(path, at("pools/main/volumes/work/private.img"));
	QT_INT(stat(path, &st), 0);
	QT_INT(st.st_size, 32 * MIB);
	QT_INT(st.st_mode & 0777, 0600);
	QT_TRUE(st.st_blocks * 512 < 8 * MIB);
	QT_TRUE(is_sound(path));
	QT_TRUE(has_journal(path));
	QT_INT(write_to(path, "mine"), 0);
	QT_INT(stop_volume(&f, &v, QUBE__STOP_AS_STARTED), 0);
	QT_INT(reopen(&f), 0);
	v.size_bytes = 64 << 20;
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_TRUE(begins_with(path, "mine"));
	QT_INT(stat(path, &st), 0);
	QT_INT(st.st_size, 64 * MIB);
	QT_INT(qube__volume_clear(f.p, &v), QUBE_E_BUSY);
	QT_INT(stop_volume(&f, &v, QUBE__STOP_DISCARD), 0);
	QT_TRUE(begins_with(path, "mine"));
	QT_INT(qube__volume_clear(f.p, &v), 0);
	QT_TRUE(!exists(path));
	teardown(&f);
}

QTEST(block, a_disposables_private_disk_is_a_copy_of_its_templates)
{
	struct qube__volume_spec v = disposable_disk("disp1", "work");
	struct qube__volume_spec work = private_disk("work");
	struct fixture f;
	char *path;
	char *mine;

	QT_INT(setup_with(&f, "file"), 0);
	QT_INT(start_disk(&path, &f, &v), 0); /* there is nothing to copy */
	QT_TRUE(is_sound(path) && !has_journal(path));
	QT_INT(stop_volume(&f, &v, QUBE__STOP_AS_STARTED), 0);
	QT_TRUE(!exists(path));
	QT_INT(start_disk(&mine, &f, &work), 0);
	QT_INT(write_to(mine, "mine"), 0);
	QT_INT(prepare_volume(&f, &v), QUBE_E_BUSY);
	QT_INT(stop_volume(&f, &work, QUBE__STOP_AS_STARTED), 0);
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_STR(path, at("pools/main/run/disp1/private/work.img"));
	QT_TRUE(begins_with(path, "mine"));
	QT_INT(write_to(path, "evil"), 0);
	QT_TRUE(begins_with(mine, "mine"));
	QT_INT(reopen(&f), 0);
	QT_TRUE(!exists(at("pools/main/run/disp1")));
	teardown(&f);
}

QTEST(block, a_volatile_disk_is_new_at_each_start)
{
	struct qube__volume_spec v = { .owner = "work",
				       .name = "volatile",
				       .kind = QUBE__VOLUME_BLOCK,
				       .block = true,
				       .size_bytes = 10 << 20 };
	struct fixture f;
	struct stat st;
	char *path;

	QT_INT(setup_with(&f, "file"), 0);
	for (int i = 0; i < 2; i++) {
		QT_INT(start_disk(&path, &f, &v), 0);
		QT_INT(stat(path, &st), 0);
		QT_INT(st.st_size, 10 * MIB);
		QT_INT(st.st_blocks, 0);
		QT_INT(st.st_mode & 0777, 0600);
		QT_INT(write_to(path, "swap"), 0);
		if (i == 0) /* a crash */
			QT_INT(reopen(&f), 0);
	}
	QT_INT(stop_volume(&f, &v, QUBE__STOP_AS_STARTED), 0);
	QT_TRUE(!exists(at("pools/main/run/work")));
	teardown(&f);
}

/* --- at rest --- */

QTEST(block, a_clone_shares_what_is_committed_and_copies_what_is_private)
{
	struct qube__volume_spec root = disk_of("two");
	struct qube__volume_spec priv = private_disk("two");
	struct qube__volume_spec mine = private_disk("tpl");
	struct qube__pool_cb cb;
	struct waiter w;
	struct fixture f;
	char *path;

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	cb = waiter_cb(&w);
	QT_INT(start_disk(&path, &f, &mine), 0);
	QT_INT(write_to(path, "mine"), 0);
	QT_INT(qube__volume_clone(NULL, f.p, &priv, "tpl", &cb), QUBE_E_BUSY);
	QT_INT(stop_volume(&f, &mine, QUBE__STOP_AS_STARTED), 0);
	QT_INT(qube__volume_clone(NULL, f.p, &root, "tpl", &cb), 0);
	QT_INT(qube__volume_clone(NULL, f.p, &root, "tpl", &cb), QUBE_E_EXISTS);
	QT_INT(qube__volume_clone(NULL, f.p, &priv, "tpl", &cb), 1);
	QT_INT(wait_for(&f.loop, &w), 0);
	QT_TRUE(begins_with(at("pools/main/volumes/two/private.img"), "mine"));
	QT_INT(change(&f, "two", "other", 1), 0);
	QT_TRUE(committed_is("tpl", "one"));
	QT_TRUE(committed_is("two", "other"));
	QT_INT(qube__volumes_rename(f.p, "two", "three"), 0);
	QT_TRUE(committed_is("three", "other"));
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	teardown(&f);
}

QTEST(block, usage_is_what_is_allocated)
{
	struct qube__volume_spec v = disk_of("tpl");
	struct qube__pool_cb cb;
	struct waiter w;
	struct fixture f;

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	cb = waiter_cb(&w);
	QT_INT(qube__volume_usage(f.p, &v, waiter_usage, &cb), 0);
	QT_INT(w.usage, 4096);
	teardown(&f);
}

static int import_from(struct fixture *f, const struct qube__volume_spec *v, int fd)
{
	struct waiter w;
	struct qube__pool_cb cb = waiter_cb(&w);
	int r = qube__volume_import(NULL, f->p, v, fd, &cb);

	return r == 1 ? wait_for(&f->loop, &w) : r;
}

QTEST(block, an_image_is_imported_at_once_or_not_at_all)
{
	static const off_t bad[] = { 0, 1, 511, 513, MIB - 1 };
	struct qube__volume_spec v = disk_of("tpl");
	struct fixture f;
	struct stat st;
	char *path;
	int fd;

	QT_INT(setup_with(&f, "file"), 0);
	QT_INT(qube__volume_create(f.p, &v), 0);
	QT_INT(start_disk(&path, &f, &v), QUBE_E_STATE); /* empty */
	plant_image(at("image"), "one");
	fd = open(at("image"), O_RDWR | O_CLOEXEC);
	QT_INT(import_from(&f, &v, fd), 0);
	QT_TRUE(committed_is("tpl", "one"));
	QT_INT(stat(at("pools/main/volumes/tpl/root.img"), &st), 0);
	QT_INT(st.st_size, MIB);
	QT_TRUE(st.st_blocks * 512 <= 8192); /* zeros take no space */
	QT_INT(st.st_mode & 0777, 0600);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		QT_INT(ftruncate(fd, bad[i]), 0);
		QT_INT(import_from(&f, &v, fd), QUBE_E_INVALID);
	}
	QT_TRUE(committed_is("tpl", "one"));
	QT_STR(states_of(&f, "tpl"), "1");
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	QT_INT(start_disk(&path, &f, &v), 0);
	QT_INT(ftruncate(fd, 512), 0);
	QT_INT(import_from(&f, &v, fd), QUBE_E_BUSY);
	close(fd);
	teardown(&f);
}

QTEST(block, an_image_comes_through_a_pipe_that_stalls_and_delays_nobody)
{
	static char block[512] = "pipe";
	struct qube__volume_spec v = private_disk("work");
	struct qube__volume_spec other = disk_of("tpl");
	struct qube__pool_op *op;
	struct qube__pool_cb cb;
	struct waiter w;
	struct fixture f;
	char *path;
	int ends[2];

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	cb = waiter_cb(&w);
	QT_INT(pipe2(ends, O_CLOEXEC), 0);
	QT_INT(write(ends[1], block, sizeof(block)), sizeof(block));
	QT_INT(qube__volume_import(&op, f.p, &v, ends[0], &cb), 1);
	QT_INT(start_disk(&path, &f, &other), 0); /* meanwhile */
	QT_INT(w.called, 0);
	close(ends[1]);
	QT_INT(wait_for(&f.loop, &w), 0);
	QT_TRUE(begins_with(at("pools/main/volumes/work/private.img"), "pipe"));
	close(ends[0]);

	QT_INT(pipe2(ends, O_CLOEXEC), 0);
	cb = waiter_cb(&w);
	QT_INT(qube__volume_import(&op, f.p, &v, ends[0], &cb), 1);
	qube__pool_op_cancel(op);
	QT_INT(wait_for(&f.loop, &w), QUBE_E_CANCELED);
	QT_TRUE(begins_with(at("pools/main/volumes/work/private.img"), "pipe"));
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	close(ends[0]);
	close(ends[1]);
	teardown(&f);
}

QTEST(block, an_export_is_the_image_byte_by_byte)
{
	struct qube__volume_spec v = disk_of("tpl");
	struct qube__volume_spec priv = private_disk("tpl");
	struct qube__pool_cb cb;
	struct waiter w;
	struct fixture f;
	struct stat st;
	char command[512];
	char *path;
	int fd;

	QT_INT(setup_with(&f, "file"), 0);
	plant_disk("tpl", "one");
	QT_INT(start_disk(&path, &f, &v), 0); /* what is committed can be read while it runs */
	QT_INT(write_to(path, "two"), 0);
	fd = open(at("out"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cb = waiter_cb(&w);
	QT_INT(qube__volume_export(NULL, f.p, &v, fd, &cb), 1);
	QT_INT(wait_for(&f.loop, &w), 0);
	QT_INT(fstat(fd, &st), 0);
	QT_INT(st.st_size, MIB);
	QT_TRUE(st.st_blocks * 512 <= 8192);
	close(fd);
	snprintf(command, sizeof(command), "cmp -s %s %s", at("out"),
		 at("pools/main/volumes/tpl/root.img"));
	QT_INT(system(command), 0);
	/* to what has no holes, their zeros */
	plant_image(at("out"), "previous");
	fd = open(at("out"), O_RDWR | O_CLOEXEC);
	QT_INT(write(fd, "x", 1), 1);
	QT_INT(lseek(fd, 0, SEEK_SET), 0);
	cb = waiter_cb(&w);
	QT_INT(qube__volume_export(NULL, f.p, &v, fd, &cb), 1);
	QT_INT(wait_for(&f.loop, &w), 0);
	close(fd);
	QT_INT(system(command), 0);
	QT_INT(qube__volume_export(NULL, f.p, &priv, 1, &cb), QUBE_E_STATE);
	QT_INT(start_disk(&path, &f, &priv), 0);
	QT_INT(qube__volume_export(NULL, f.p, &priv, 1, &cb), QUBE_E_BUSY);
	teardown(&f);
}

/* --- a full disk --- */

static void fill_disk(void)
{
	static char block[64 * 1024];
	int fd = open(at("fill"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	memset(block, 'x', sizeof(block));
	while (write(fd, block, sizeof(block)) > 0 || write(fd, block, 4096) > 0)
		;
	close(fd);
}

QTEST(block, a_full_disk_is_said_and_nothing_is_lost)
{
	struct fixture f = { .driver = "file" };
	struct qube__volume_spec v = disk_of("tpl");
	struct qube__volume_spec priv = private_disk("work");
	const char *why;
	char *path;
	int fd;

	scratch_make();
	why = disk_mount(at("."), "tmpfs", 160);
	if (why) {
		scratch_remove();
		QT_SKIP(why);
	}
	QT_INT(qube__loop_init(&f.loop), 0);
	QT_INT(open_pool(&f), 0);
	plant_disk("tpl", "one");
	fill_disk();
	QT_INT(start_disk(&path, &f, &v), QUBE_E_LIMIT);
	QT_INT(start_disk(&path, &f, &priv), QUBE_E_LIMIT);
	fd = open(at("pools/main/volumes/tpl/root.img"), O_RDONLY | O_CLOEXEC);
	QT_INT(import_from(&f, &v, fd), QUBE_E_LIMIT);
	close(fd);
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	QT_TRUE(committed_is("tpl", "one"));
	QT_STR(states_of(&f, "tpl"), "1");
	QT_INT(unlink(at("fill")), 0);
	QT_INT(change(&f, "tpl", "two", 1), 0);
	QT_INT(start_disk(&path, &f, &priv), 0);
	QT_TRUE(is_sound(path));
	teardown(&f);
}
