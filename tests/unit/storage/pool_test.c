/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tree pool with the real, jailed worker. */
#include "qtest.h"
#include "rig.h"
#include "util.h"

#include "base/error.h"
#include "base/spawn.h"
#include "storage/volume_file.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

QTEST(pool, threat_32_is_mounted_nosuid_nodev_noexec_while_open)
{
	struct fixture f;
	struct statvfs fs;
	struct stat st;

	QT_INT(setup(&f), 0);
	QT_INT(statvfs(at("pools/main"), &fs), 0);
	QT_TRUE((fs.f_flag & (ST_NOSUID | ST_NODEV | ST_NOEXEC)) ==
		(ST_NOSUID | ST_NODEV | ST_NOEXEC));
	QT_INT(stat(at("pools/main"), &st), 0);
	QT_INT(st.st_mode & 07777, 0700);
	QT_INT(umount2(at("pools/main"), MNT_DETACH), 0); /* it was one mount, no stack */
	QT_INT(statvfs(at("pools/main"), &fs), 0);
	QT_TRUE(!(fs.f_flag & ST_NOSUID));
	QT_INT(reopen(&f), 0);
	qube__pool_close(f.p);
	f.p = NULL;
	QT_INT(statvfs(at("pools/main"), &fs), 0);
	QT_TRUE(!(fs.f_flag & ST_NOSUID));
	teardown(&f);
}

QTEST(pool, threat_34_a_mount_left_by_a_dead_host_is_taken_over)
{
	struct fixture f;
	struct fixture second = { .n_layers = 0 };
	struct statvfs fs;

	QT_INT(setup(&f), 0);
	QT_INT(qube__loop_init(&second.loop), 0);
	QT_INT(open_pool(&second), 0); /* as after kill -9: the first one's mount is there */
	qube__pool_close(second.p);
	qube__loop_fini(&second.loop);
	QT_INT(statvfs(at("pools/main"), &fs), 0);
	QT_TRUE(!(fs.f_flag & ST_NOSUID));
	teardown(&f);
}

QTEST(pool, refuses_a_directory_that_others_may_enter)
{
	struct fixture f = { .n_layers = 0 };

	scratch_make();
	QT_INT(qube__loop_init(&f.loop), 0);
	put_dir(at("pools/main"), 0755);
	QT_INT(open_pool(&f), QUBE_E_DENIED);
	QT_TRUE(!exists(at("pools/main/layers")));
	qube__loop_fini(&f.loop);
	scratch_remove();
}

QTEST(pool, a_new_qube_is_nothing_on_disk_and_starts_no_program)
{
	struct fixture f;
	struct qube__volume_spec root = app_root("work", "tpl");
	struct qube__volume_spec priv = private_of("work");

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(qube__volume_create(f.p, &root), 0);
	QT_INT(qube__volume_create(f.p, &priv), 0);
	QT_TRUE(!exists(at("pools/main/volumes/work")));
	QT_TRUE(!exists(at("pools/main/run/work")));
	teardown(&f);
}

QTEST(pool, a_started_qube_takes_less_than_64_kib)
{
	struct fixture f;
	struct qube__volume_spec root = app_root("work", "tpl");
	struct qube__volume_spec priv = private_of("work");
	struct qube__volume_run a;
	struct qube__volume_run b;
	struct qube__pool_cb cb;
	struct waiter w;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(qube__volume_start(&a, f.p, &root), 0);
	QT_INT(qube__volume_start(&b, f.p, &priv), 0);
	QT_INT(a.n_layers, 1);
	QT_STR(a.layers[0], at("pools/main/layers/base"));
	QT_STR(a.upper, at("pools/main/run/work/root/upper"));
	QT_TRUE(exists(a.upper) && exists(a.work) && a.discard);
	QT_STR(b.upper, at("pools/main/volumes/work/private"));
	QT_TRUE(!b.discard);
	cb = waiter_cb(&w);
	QT_INT(qube__volume_usage(f.p, &root, waiter_usage, &cb), 1);
	QT_INT(wait_for(&f.loop, &w), 0);
	QT_TRUE(w.usage <= 64 * 1024);
	qube__volume_run_fini(&a);
	qube__volume_run_fini(&b);
	teardown(&f);
}

QTEST(pool, an_app_qubes_root_is_fresh_at_each_start_and_its_private_stays)
{
	struct fixture f;
	struct qube__volume_spec root = app_root("work", "tpl");
	struct qube__volume_spec priv = private_of("work");
	struct qube__pool_cb cb;
	struct waiter w;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	cb = waiter_cb(&w);
	for (int i = 0; i < 2; i++) {
		struct qube__volume_run a;
		struct qube__volume_run b;

		QT_INT(qube__volume_start(&a, f.p, &root), 0);
		QT_INT(qube__volume_start(&b, f.p, &priv), 0);
		QT_INT(qube__volume_start(&b, f.p, &priv), QUBE_E_BUSY);
		QT_INT(count_entries(a.upper), 0);
		QT_INT(exists(at("pools/main/volumes/work/private/mine")), i);
		put_file(at("pools/main/run/work/root/upper/evil"), "x", 0644);
		put_file(at("pools/main/volumes/work/private/mine"), "x", 0644);
		qube__volume_run_fini(&a);
		qube__volume_run_fini(&b);
		QT_INT(qube__volume_stop(NULL, f.p, &root, false, &cb), 0);
		QT_INT(qube__volume_stop(NULL, f.p, &priv, false, &cb), 0);
		QT_TRUE(!exists(at("pools/main/run/work")));
	}
	QT_INT(qube__volume_stop(NULL, f.p, &priv, false, &cb), QUBE_E_STATE);
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	teardown(&f);
}

QTEST(pool, a_templates_writes_become_a_layer_at_stop)
{
	struct fixture f;
	struct qube__volume_spec tpl = root_of("tpl");
	struct qube__volume_spec app = app_root("work", "tpl");
	struct qube__volume_info info;
	struct qube__volume_run before;
	struct qube__volume_run after;
	struct qube__pool_cb cb;
	struct waiter w;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	cb = waiter_cb(&w);
	QT_INT(qube__volume_start(&before, f.p, &app), 0);
	QT_INT(change_template(&f, "new", 1), 0);
	QT_INT(qube__volume_info(&info, f.p, &app), 0);
	QT_TRUE(info.started && info.outdated);
	QT_INT(qube__volume_stop(NULL, f.p, &app, false, &cb), 0);
	QT_INT(qube__volume_start(&after, f.p, &app), 0);
	QT_INT(before.n_layers, 1);
	QT_INT(after.n_layers, 2);
	QT_STR(after.layers[1], before.layers[0]);
	QT_INT(count_entries(after.layers[0]), 1);
	QT_INT(qube__volume_info(&info, f.p, &tpl), 0);
	QT_INT(info.n_revisions, 2);
	QT_TRUE(info.revisions[0].current && !info.dirty && !info.started);
	qube__volume_run_fini(&before);
	qube__volume_run_fini(&after);
	teardown(&f);
}

QTEST(pool, a_template_that_wrote_nothing_keeps_its_state)
{
	struct fixture f;
	struct qube__volume_spec tpl = root_of("tpl");
	struct qube__volume_run run;
	struct qube__volume_info info;
	struct qube__pool_cb cb;
	struct waiter w;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	cb = waiter_cb(&w);
	QT_INT(qube__volume_start(&run, f.p, &tpl), 0);
	qube__volume_run_fini(&run);
	QT_INT(qube__volume_stop(NULL, f.p, &tpl, false, &cb), 0);
	QT_INT(qube__volume_info(&info, f.p, &tpl), 0);
	QT_INT(info.n_revisions, 1);
	teardown(&f);
}

QTEST(pool, layers_live_as_long_as_something_needs_them)
{
	struct fixture f;
	struct qube__volume_spec app = app_root("work", "tpl");
	struct qube__volume_run run;
	struct qube__pool_cb cb;
	struct waiter w;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	cb = waiter_cb(&w);
	QT_INT(change_template(&f, "one", 0), 0);
	QT_INT(qube__volume_start(&run, f.p, &app), 0);
	QT_INT(qube__volumes_remove(f.p, "tpl"), 0);
	QT_TRUE(exists(run.layers[0]) && exists(run.layers[1]));
	QT_INT(qube__volume_stop(NULL, f.p, &app, false, &cb), 0);
	QT_TRUE(!exists(run.layers[0]) && !exists(run.layers[1]));
	qube__volume_run_fini(&run);
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	teardown(&f);
}

QTEST(pool, clone_shares_layers_and_copies_private)
{
	struct fixture f;
	struct qube__volume_spec root = root_of("copy");
	struct qube__volume_spec priv = private_of("copy");
	struct qube__volume_info info;
	struct qube__pool_cb cb;
	struct waiter w;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	put_file(at("pools/main/volumes/tpl/private/home/user/file"), "mine\n", 0600);
	cb = waiter_cb(&w);
	QT_INT(qube__volume_clone(NULL, f.p, &root, "tpl", &cb), 0);
	QT_INT(qube__volume_clone(NULL, f.p, &priv, "tpl", &cb), 1);
	QT_INT(wait_for(&f.loop, &w), 0);
	QT_STR(get_file(at("pools/main/volumes/copy/private/home/user/file")), "mine\n");
	QT_INT(qube__volume_clone(NULL, f.p, &priv, "tpl", &cb), QUBE_E_EXISTS);
	QT_INT(count_entries(at("pools/main/layers")), 1);
	QT_INT(qube__volumes_remove(f.p, "tpl"), 0);
	QT_INT(qube__volume_info(&info, f.p, &root), 0);
	QT_TRUE(info.exists && exists(at("pools/main/layers/base")));
	QT_INT(qube__volumes_remove(f.p, "copy"), 0);
	QT_TRUE(!exists(at("pools/main/layers/base")));
	teardown(&f);
}

QTEST(pool, a_disposables_private_is_a_copy_or_empty)
{
	struct fixture f;
	struct qube__volume_spec v = disposable_private("disp1", "dvm");
	struct qube__volume_spec own = private_of("dvm");
	struct qube__volume_run run;
	struct qube__pool_cb cb;
	struct waiter w;

	QT_INT(setup(&f), 0);
	cb = waiter_cb(&w);
	QT_INT(qube__volume_prepare(NULL, f.p, &v, &cb), 0);
	QT_INT(qube__volume_start(&run, f.p, &v), 0);
	QT_INT(count_entries(run.upper), 0);
	qube__volume_run_fini(&run);
	QT_INT(qube__volume_stop(NULL, f.p, &v, false, &cb), 0);
	put_file(at("pools/main/volumes/dvm/private/skel"), "x", 0644);
	QT_INT(qube__volume_start(&run, f.p, &v), QUBE_E_STATE);
	QT_INT(qube__volume_prepare(NULL, f.p, &v, &cb), 1);
	QT_INT(wait_for(&f.loop, &w), 0);
	QT_INT(qube__volume_start(&run, f.p, &v), 0);
	QT_INT(count_entries(run.upper), 1);
	QT_TRUE(run.discard);
	qube__volume_run_fini(&run);
	QT_INT(qube__volume_stop(NULL, f.p, &v, false, &cb), 0);
	QT_TRUE(!exists(at("pools/main/run/disp1")));
	QT_TRUE(exists(at("pools/main/volumes/dvm/private/skel")));
	QT_INT(qube__volume_start(&run, f.p, &own), 0);
	qube__volume_run_fini(&run);
	QT_INT(qube__volume_prepare(NULL, f.p, &v, &cb), QUBE_E_BUSY);
	teardown(&f);
}

QTEST(pool, revert_brings_an_old_state_back)
{
	struct fixture f;
	struct qube__volume_spec v = root_of("tpl");
	struct qube__volume_info info;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(change_template(&f, "new", 1), 0);
	QT_INT(qube__volume_revert(f.p, &v, 99), QUBE_E_NOENT);
	QT_INT(qube__volume_revert(f.p, &v, 1), 0);
	QT_INT(qube__volume_info(&info, f.p, &v), 0);
	QT_INT(info.revisions[0].number, 3);
	QT_INT(info.revisions[0].n_layers, 1);
	QT_INT(info.revisions[1].number, 2);
	teardown(&f);
}

QTEST(pool, a_template_of_sixty_layers_is_not_started_but_its_qubes_are)
{
	struct fixture f;
	struct qube__volume_spec v = root_of("tpl");
	struct qube__volume_spec app = app_root("work", "tpl");
	struct qube__volume_run run;
	char text[2000] = "qube-volume 1\nrevision 1 1";

	QT_INT(setup(&f), 0);
	for (int i = 0; i < 60; i++) {
		snprintf(text + strlen(text), 16, " l%d", i);
		put_dir(at("pools/main/layers/l%d", i), 0755);
	}
	strncat(text, "\n", 2);
	put_file(at("pools/main/volumes/tpl/root.vol"), text, 0600);
	QT_INT(qube__volume_start(&run, f.p, &v), QUBE_E_LIMIT);
	QT_TRUE(strstr(qube_error_last()->message, "60 layers") != NULL);
	QT_INT(qube__volume_start(&run, f.p, &app), 0);
	QT_INT(run.n_layers, 60);
	qube__volume_run_fini(&run);
	teardown(&f);
}

QTEST(pool, threat_34_writes_of_a_crashed_template_session_are_continued)
{
	struct fixture f;
	struct qube__volume_spec v = root_of("tpl");
	struct qube__volume_spec app = app_root("work", "tpl");
	struct qube__volume_info info;
	struct qube__volume_run run;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(qube__volume_start(&run, f.p, &v), 0);
	qube__volume_run_fini(&run);
	QT_INT(qube__volume_start(&run, f.p, &app), 0);
	qube__volume_run_fini(&run);
	put_file(at("pools/main/run/tpl/root/upper/half"), "x", 0644);
	put_file(at("pools/main/run/work/root/upper/half"), "x", 0644);
	put_file(at("pools/main/tmp/abc/half"), "x", 0644);
	put_file(at("pools/main/layers/orphan/half"), "x", 0644);
	QT_INT(reopen(&f), 0);
	QT_INT(qube__volume_info(&info, f.p, &v), 0);
	QT_TRUE(info.dirty && !info.started);
	QT_TRUE(!exists(at("pools/main/run/work")));
	QT_TRUE(!exists(at("pools/main/layers/orphan")));
	QT_TRUE(exists(at("pools/main/layers/base")));
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	QT_INT(qube__volume_start(&run, f.p, &v), 0);
	QT_TRUE(exists(at("pools/main/run/tpl/root/upper/half")));
	qube__volume_run_fini(&run);
	teardown(&f);
}

/* The instants of a commit, as a crash leaves them on disk. */
QTEST(pool, threat_34_a_commit_cut_at_any_instant_loses_nothing)
{
	struct qube__volume_spec v = root_of("tpl");

	for (int instant = 0; instant < 3; instant++) {
		struct qube__volume_info info;
		struct fixture f;

		QT_INT(setup(&f), 0);
		plant_template("tpl");
		put_file(at("pools/main/run/tpl/root/upper/half"), "x", 0644);
		if (instant >= 1) /* announced */
			put_file(at("pools/main/volumes/tpl/root.vol"),
				 "qube-volume 1\npending next\nrevision 1 1 base\n", 0600);
		if (instant >= 2) /* renamed */
			QT_INT(rename(at("pools/main/run/tpl/root/upper"),
				      at("pools/main/layers/next")),
			       0);
		QT_INT(reopen(&f), 0);
		QT_INT(qube__volume_info(&info, f.p, &v), 0);
		QT_INT(info.dirty, instant < 2);
		QT_INT(info.revisions[0].n_layers, instant < 2 ? 1 : 2);
		QT_TRUE(exists(at(instant < 2 ? "pools/main/run/tpl/root/upper/half" :
						"pools/main/layers/next/half")));
		QT_TRUE(strstr(get_file(at("pools/main/volumes/tpl/root.vol")), "pending") == NULL);
		teardown(&f);
	}
}

QTEST(pool, a_damaged_volume_file_loses_no_layer)
{
	struct fixture f;
	struct qube__volume_spec v = root_of("tpl");
	struct qube__volume_run run;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	put_file(at("pools/main/volumes/tpl/root.vol"), "rubbish", 0600);
	QT_INT(reopen(&f), 0);
	QT_TRUE(exists(at("pools/main/layers/base")));
	QT_INT(qube__volume_start(&run, f.p, &v), QUBE_E_PROTO);
	QT_TRUE(strstr(qube_error_last()->message, "root.vol") != NULL);
	teardown(&f);
}

QTEST(pool, rename_takes_volumes_and_refuses_a_name_in_use)
{
	struct fixture f;
	struct qube__volume_spec v = root_of("other");
	struct qube__volume_info info;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	put_dir(at("pools/main/volumes/taken"), 0700);
	QT_INT(qube__volumes_rename(f.p, "tpl", "taken"), QUBE_E_EXISTS);
	QT_INT(qube__volumes_rename(f.p, "tpl", "../x"), QUBE_E_INVALID);
	QT_INT(qube__volumes_rename(f.p, "tpl", "other"), 0);
	QT_INT(qube__volume_info(&info, f.p, &v), 0);
	QT_INT(info.n_revisions, 1);
	teardown(&f);
}

/* A disk of 4 MiB that is full: the write is refused in words and the old state is there. */
QTEST(pool, threat_33_a_full_disk_is_said_and_loses_nothing)
{
	struct qube__volume_spec copy = private_of("copy");
	struct qube__pool_cb cb;
	struct waiter w;
	struct fixture f = { 0 };
	char *big = calloc(1, 6 * 1024 * 1024);

	scratch_make();
	QT_INT(qube__loop_init(&f.loop), 0);
	put_dir(at("pools"), 0700);
	QT_INT(mount("none", at("pools"), "tmpfs", 0, "size=4m,mode=0700"), 0);
	QT_INT(open_pool(&f), 0);
	plant_template("tpl");
	memset(big, 'x', 2 * 1024 * 1024 + 512 * 1024);
	put_file(at("pools/main/volumes/tpl/private/big"), big, 0600);
	cb = waiter_cb(&w);
	QT_INT(qube__volume_clone(NULL, f.p, &copy, "tpl", &cb), 1);
	QT_INT(wait_for(&f.loop, &w), QUBE_E_LIMIT);
	QT_TRUE(strstr(w.message, "no space left") != NULL);
	QT_TRUE(!exists(at("pools/main/volumes/copy/private")));
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	memset(big, 'x', 6 * 1024 * 1024 - 1);
	put_file(at("pools/main/fill"), big, 0600); /* takes all that is left */
	QT_INT(change_template(&f, "x", 1), QUBE_E_LIMIT);
	QT_STR(get_file(at("pools/main/volumes/tpl/root.vol")),
	       "qube-volume 1\nrevision 1 1 base\n");
	QT_INT(unlink(at("pools/main/fill")), 0);
	QT_INT(change_template(&f, "x", 1), 0);
	free(big);
	qube__pool_close(f.p);
	qube__loop_fini(&f.loop);
	umount2(at("pools"), MNT_DETACH);
	scratch_remove();
}

QTEST(pool, close_cancels_what_runs)
{
	struct fixture f;
	struct qube__volume_spec copy = private_of("copy");
	struct qube__pool_cb cb;
	struct waiter w;

	QT_INT(setup(&f), 0);
	put_file(at("pools/main/volumes/tpl/private/file"), "x", 0600);
	cb = waiter_cb(&w);
	QT_INT(qube__volume_clone(NULL, f.p, &copy, "tpl", &cb), 1);
	QT_INT(qube__volumes_remove(f.p, "copy"), QUBE_E_BUSY);
	teardown(&f);
	QT_INT(w.called, 1);
	QT_INT(w.code, QUBE_E_CANCELED);
}

QTEST(pool, destroy_refuses_a_pool_with_volumes)
{
	struct fixture f;
	struct qube__pool_env env = { .worker_path = QUBE_TEST_WORKER };
	char state_dir[4096];

	QT_INT(setup(&f), 0);
	env.loop = &f.loop;
	/* at() has a few buffers that take turns, and waiting takes many. */
	snprintf(state_dir, sizeof(state_dir), "%s", at("."));
	env.state_dir = state_dir;
	plant_template("tpl");
	qube__pool_close(f.p);
	f.p = NULL;
	QT_INT(qube__pool_destroy(&env, "main"), QUBE_E_BUSY);
	QT_INT(open_pool(&f), 0);
	QT_INT(qube__volumes_remove(f.p, "tpl"), 0);
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	qube__pool_close(f.p);
	f.p = NULL;
	QT_INT(qube__pool_destroy(&env, "main"), 0);
	QT_INT(qube__pool_destroy(&env, "main"), QUBE_E_NOENT);
	teardown(&f);
}

static int run_in(const char *root, const char *program, const char *arg)
{
	const char *argv[] = { "chroot", root, program, arg, NULL };
	static const int fds[3] = { -1, -1, -1 };
	struct qube__spawn s = {
		.path = "/usr/sbin/chroot",
		.exec_fd = -1,
		.argv = argv,
		.fds = fds,
		.n_fds = 3,
	};
	struct qube__child child;
	struct pollfd p;

	if (qube__spawn(&child, &s) < 0)
		return -1;
	p = (struct pollfd){ .fd = child.pidfd, .events = POLLIN };
	poll(&p, 1, 30000);
	return qube__child_reap(&child);
}

/* Files of this machine that nobody owns but it; each is removed before the test ends. */
static const char *const canaries[] = {
	"/root/.qube-test-canary", "/usr/local/qube-test-canary", "/etc/qube-test-canary",
	"/home/qube-test-canary",  "/var/lib/qube-test-canary",	  "/usr/share/qube-test-canary",
};

QTEST(pool, imports_a_working_template_from_this_host)
{
	static const char *const packages[] = { "poppler-utils" };
	struct qube__import req = {
		.owner = "tpl",
		.packages = packages,
		.n_packages = 1,
		.plan = waiter_plan,
	};
	struct qube__volume_spec v = root_of("tpl");
	struct qube__volume_run run;
	struct qube__pool_cb cb;
	struct waiter w;
	struct fixture f;

	if (access("/var/lib/dpkg/info/poppler-utils.list", F_OK) < 0)
		QT_SKIP("poppler-utils is not installed by dpkg here");
	QT_INT(setup(&f), 0);
	cb = waiter_cb(&w);
	for (size_t i = 0; i < sizeof(canaries) / sizeof(canaries[0]); i++)
		put_file(canaries[i], "qube-test-canary\n", 0600);
	QT_INT(qube__import_host(NULL, f.p, &req, &cb), 1);
	QT_TRUE(!exists(at("pools/main/volumes/tpl")));
	wait_for(&f.loop, &w);
	for (size_t i = 0; i < sizeof(canaries) / sizeof(canaries[0]); i++)
		unlink(canaries[i]);
	if (w.code < 0 || !w.called)
		QT_FAIL("import: %s", w.message);
	QT_INT(find_text(at("pools/main/layers"), "qube-test-canary"), 0);
	QT_TRUE(w.packages > 30 && w.files > 1000 && w.bytes < 200u * 1024 * 1024);
	QT_INT(qube__volume_start(&run, f.p, &v), 0);
	umount2(at("pools/main"), MNT_DETACH); /* it is noexec */
	QT_INT(run_in(run.layers[0], "/usr/bin/pdftoppm", "-v"), 0);
	QT_INT(run_in(run.layers[0], "/bin/bash", "--version"), 0);
	QT_INT(run_in(run.layers[0], "/usr/bin/dpkg-query", "-l"), 0);
	qube__volume_run_fini(&run);
	cb = waiter_cb(&w);
	QT_INT(qube__import_host(NULL, f.p, &req, &cb), QUBE_E_EXISTS);
	teardown(&f);
}

QTEST(pool, a_canceled_import_leaves_nothing)
{
	struct qube__import req = { .owner = "tpl" };
	struct qube__pool_op *op;
	struct qube__pool_cb cb;
	struct waiter w;
	struct fixture f;

	QT_INT(setup(&f), 0);
	cb = waiter_cb(&w);
	QT_INT(qube__import_host(&op, f.p, &req, &cb), 1);
	for (int i = 0; i < 5; i++)
		qube__loop_dispatch(&f.loop, 20);
	if (!w.called)
		qube__pool_op_cancel(op);
	QT_INT(wait_for(&f.loop, &w), QUBE_E_CANCELED);
	QT_TRUE(!exists(at("pools/main/volumes/tpl")));
	QT_INT(count_entries(at("pools/main/layers")), 0);
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	teardown(&f);
}
