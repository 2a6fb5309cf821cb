/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Disks of templates that are kept as trees: made by mke2fs, in the jail. */
#include "qtest.h"
#include "rig.h"
#include "util.h"

#include "../disk.h"

#include "base/error.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static struct qube__volume_spec block_root(const char *owner)
{
	struct qube__volume_spec v = app_root(owner, "tpl");

	v.block = true;
	return v;
}

/* What debugfs says to a request of an image. */
static const char *ask(const char *image, const char *request)
{
	static char out[65536];
	char command[1024];
	FILE *p;
	size_t n;

	snprintf(command, sizeof(command),
		 "PATH=$PATH:/usr/sbin:/sbin; DEBUGFS_PAGER=cat debugfs -R '%s' %s 2>&1", request,
		 image);
	p = popen(command, "r");
	n = p ? fread(out, 1, sizeof(out) - 1, p) : 0;
	if (p)
		pclose(p);
	out[n] = '\0';
	return out;
}

static int says(const char *image, const char *request, const char *text)
{
	const char *got = ask(image, request);

	if (strstr(got, text))
		return 1;
	fprintf(stderr, "%s: \"%s\" is not in:\n%s\n", request, text, got);
	return 0;
}

static int is_sound(const char *image)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "PATH=$PATH:/usr/sbin:/sbin; e2fsck -fn %s >/dev/null 2>&1", image);
	return system(command) == 0;
}

static int start_root(struct qube__volume_run *run, struct fixture *f,
		      const struct qube__volume_spec *v)
{
	int r = prepare_volume(f, v);

	return r < 0 ? r : qube__volume_start(run, f->p, v);
}

static void plant_oddities(void)
{
	const char *base = at("pools/main/layers/base");
	char path[512];

	put_file(at("pools/main/layers/base/bin/su"), "su", 04755);
	put_file(at("pools/main/layers/base/etc/shadow"), "secret", 0640);
	snprintf(path, sizeof(path), "%s/etc/shadow", base);
	QT_INT(chown(path, 1234, 70000), 0);
	put_dir(at("pools/main/layers/base/root"), 0700);
	QT_INT(chown(at("pools/main/layers/base/root"), 55, 0), 0);
	put_file(at("pools/main/layers/base/root/inner"), "deep", 0600);
	put_dir(at("pools/main/layers/base/tmp"), 01777);
	QT_INT(symlink("/etc/shadow", at("pools/main/layers/base/link")), 0);
	QT_INT(lchown(at("pools/main/layers/base/link"), 7, 8), 0);
	QT_INT(symlink("../../../../../../etc/passwd", at("pools/main/layers/base/out")), 0);
	QT_INT(link(at("pools/main/layers/base/bin/su"), at("pools/main/layers/base/bin/also")), 0);
	QT_INT(mkfifo(at("pools/main/layers/base/pipe"), 0622), 0);
	QT_INT(mknod(at("pools/main/layers/base/sock"), S_IFSOCK | 0600, 0), 0);
	put_file(at("pools/main/layers/base/-d\n$(x) \"y\""), "odd name", 0644);
	QT_INT(setxattr(at("pools/main/layers/base/bin/su"), "user.note", "hello", 5, 0), 0);
	put_file(at("pools/main/layers/base/big"), "x", 0644);
	QT_INT(truncate(at("pools/main/layers/base/big"), 200 << 20), 0);
}

QTEST(image, a_tree_comes_out_as_it_is)
{
	struct qube__volume_spec v = block_root("work");
	struct qube__volume_run run;
	struct fixture f;
	struct stat st;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	plant_oddities();
	QT_INT(start_root(&run, &f, &v), 0);
	QT_INT(run.kind, QUBE__VOLUME_BLOCK);
	QT_TRUE(run.read_only && run.discard && run.n_layers == 0);
	QT_STR(run.upper, at("pools/main/run/work/root/base.img"));
	QT_INT(stat(run.upper, &st), 0);
	QT_INT(st.st_mode & 0777, 0600);
	QT_INT(st.st_size, run.size_bytes);
	QT_TRUE(run.size_bytes >= 64 * MIB && run.size_bytes < 128 * MIB);
	QT_TRUE(st.st_blocks * 512 < 16 * MIB);
	QT_TRUE(is_sound(run.upper));
	QT_TRUE(says(run.upper, "stat /", "Mode:  0755"));
	QT_TRUE(says(run.upper, "stat /bin/su", "Mode:  04755"));
	QT_TRUE(says(run.upper, "stat /bin/su", "Links: 2"));
	QT_TRUE(says(run.upper, "stat /bin/su", "user.note (5) = \"hello\""));
	QT_TRUE(says(run.upper, "stat /etc/shadow", "User:  1234   Group: 70000"));
	QT_TRUE(says(run.upper, "stat /etc/shadow", "Mode:  0640"));
	QT_TRUE(says(run.upper, "cat /etc/shadow", "secret"));
	QT_TRUE(says(run.upper, "stat /root", "Mode:  0700"));
	QT_TRUE(says(run.upper, "stat /root", "User:    55"));
	QT_TRUE(says(run.upper, "cat /root/inner", "deep"));
	QT_TRUE(says(run.upper, "stat /tmp", "Mode:  01777"));
	QT_TRUE(says(run.upper, "stat /link", "Fast link dest: \"/etc/shadow\""));
	QT_TRUE(says(run.upper, "stat /link", "User:     7   Group:     8"));
	QT_TRUE(says(run.upper, "stat /out", "Type: symlink"));
	QT_TRUE(says(run.upper, "stat /pipe", "Type: FIFO"));
	QT_TRUE(says(run.upper, "stat /sock", "Type: socket"));
	QT_TRUE(says(run.upper, "stat /big", "Size: 209715200"));
	QT_TRUE(says(run.upper, "ls -p /", "$(x)"));
	QT_TRUE(says(run.upper, "stats", "Reserved block count:     0"));
	QT_TRUE(!strstr(ask(run.upper, "stats"), "has_journal"));
	QT_INT(find_text(at("pools/main/tmp"), "x"), 0);
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	qube__volume_run_fini(&run);
	QT_INT(stop_volume(&f, &v, QUBE__STOP_AS_STARTED), 0);
	QT_TRUE(!exists(at("pools/main/run/work")));
	QT_TRUE(exists(at("pools/main/images/base.img"))); /* for the next one */
	teardown(&f);
}

QTEST(image, the_root_directory_is_as_it_is_too)
{
	struct qube__volume_spec v = block_root("work");
	struct qube__volume_run run;
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(chmod(at("pools/main/layers/base"), 01550), 0);
	QT_INT(chown(at("pools/main/layers/base"), 9, 10), 0);
	QT_INT(start_root(&run, &f, &v), 0);
	QT_TRUE(is_sound(run.upper));
	QT_TRUE(says(run.upper, "stat /", "Type: directory    Mode:  01550"));
	QT_TRUE(says(run.upper, "stat /", "User:     9   Group:    10"));
	qube__volume_run_fini(&run);
	teardown(&f);
}

/* The first child of a process; 0: none. */
static int child_of(int pid)
{
	char path[64];
	int child = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	sscanf(get_file(path), "%d", &child);
	return child;
}

static int has_grandchild(void *arg)
{
	int worker = child_of(getpid());

	*(int *)arg = worker ? child_of(worker) : 0;
	return *(int *)arg != 0;
}

static int is_gone(void *arg)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", *(int *)arg);
	return count_entries(path) <= 0;
}

/* Begins to make an image that takes a while; *program is mke2fs. */
static int begin_big(struct fixture *f, struct waiter *w, int *program)
{
	struct qube__volume_spec v = block_root("work");
	struct qube__pool_cb cb = waiter_cb(w);
	static char data[1 << 20];
	int fd;

	plant_template("tpl");
	memset(data, 'x', sizeof(data));
	fd = open(at("pools/main/layers/base/big"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	for (int i = 0; i < 200; i++)
		if (write(fd, data, sizeof(data)) != sizeof(data))
			return -1;
	close(fd);
	if (qube__volume_prepare(NULL, f->p, &v, &cb) != 1)
		return -1;
	return wait_until(&f->loop, has_grandchild, program);
}

QTEST(image, a_worker_that_is_killed_leaves_nothing_and_takes_mke2fs_along)
{
	struct qube__volume_spec v = block_root("work");
	struct waiter w;
	struct fixture f;
	int program;

	QT_INT(setup(&f), 0);
	QT_INT(begin_big(&f, &w, &program), 0);
	QT_INT(kill(child_of(getpid()), SIGKILL), 0);
	QT_INT(wait_for(&f.loop, &w), QUBE_E_CLOSED);
	QT_INT(wait_until(&f.loop, is_gone, &program), 0);
	QT_INT(count_entries(at("pools/main/images")), 0);
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	QT_INT(prepare_volume(&f, &v), 0);
	QT_TRUE(is_sound(at("pools/main/images/base.img")));
	teardown(&f);
}

static int has_field(int pid, const char *line)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return strstr(get_file(path), line) != NULL;
}

static int is_mke2fs(void *arg)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", *(int *)arg);
	return strcmp(get_file(path), "mke2fs\n") == 0;
}

static int shares_namespace(int pid, const char *which)
{
	char path[64];
	struct stat ours;
	struct stat theirs;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", which);
	if (stat(path, &ours) < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, which);
	return stat(path, &theirs) < 0 ? -1 : ours.st_ino == theirs.st_ino;
}

QTEST(image, threat_17_mke2fs_may_read_and_write_to_one_file)
{
	struct stat here;
	struct stat up;
	struct waiter w;
	struct fixture f;
	char path[64];
	int program;

	QT_INT(setup(&f), 0);
	QT_INT(begin_big(&f, &w, &program), 0);
	QT_INT(wait_until(&f.loop, is_mke2fs, &program), 0);
	QT_INT(kill(program, SIGSTOP), 0);
#ifndef __SANITIZE_ADDRESS__
	QT_TRUE(has_field(program, "Seccomp:\t2\n"));
#endif
	QT_TRUE(has_field(program, "NoNewPrivs:\t1\n"));
	QT_TRUE(has_field(program, "CapEff:\t0000000000000004\n")); /* dac_read_search */
	QT_TRUE(has_field(program, "CapPrm:\t0000000000000004\n"));
	QT_TRUE(has_field(program, "CapBnd:\t0000000000000004\n"));
	QT_INT(shares_namespace(program, "net"), 0);
	QT_INT(shares_namespace(program, "mnt"), 0);
	QT_INT(shares_namespace(program, "ipc"), 0);
	snprintf(path, sizeof(path), "/proc/%d/root/etc", program);
	QT_TRUE(!exists(path));
	snprintf(path, sizeof(path), "/proc/%d/root/proc", program);
	QT_TRUE(!exists(path));
	snprintf(path, sizeof(path), "/proc/%d/root/usr/x", program);
	QT_TRUE(put_file(path, "x", 0600) < 0);
	/* nor is there a way up from the tree, which is where it is */
	snprintf(path, sizeof(path), "/proc/%d/cwd", program);
	QT_INT(stat(path, &here), 0);
	snprintf(path, sizeof(path), "/proc/%d/cwd/..", program);
	QT_INT(stat(path, &up), 0);
	QT_TRUE(here.st_dev == up.st_dev && here.st_ino == up.st_ino);
	snprintf(path, sizeof(path), "/proc/%d/cwd/x", program);
	QT_TRUE(put_file(path, "x", 0600) < 0);
	QT_INT(kill(program, SIGCONT), 0);
	QT_INT(wait_for(&f.loop, &w), 0);
	teardown(&f);
}

QTEST(image, several_layers_are_merged_first)
{
	struct qube__volume_spec v = block_root("work");
	struct qube__volume_run run;
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(change_template(&f, "first", 1), 0);
	QT_INT(change_template(&f, "second", 1), 0);
	QT_INT(start_root(&run, &f, &v), 0);
	QT_TRUE(is_sound(run.upper));
	QT_TRUE(says(run.upper, "cat /etc/version", "1\n"));
	QT_TRUE(says(run.upper, "cat /first", "x\n"));
	QT_TRUE(says(run.upper, "cat /second", "x\n"));
	QT_INT(count_entries(at("pools/main/images")), 1);
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	qube__volume_run_fini(&run);
	teardown(&f);
}

QTEST(image, what_has_trees_refuses_to_give_them_as_disks)
{
	struct qube__volume_spec specs[] = {
		root_of("tpl"),
		private_of("work"),
		disposable_private("disp", "work"),
		{ .owner = "work", .name = "volatile", .kind = QUBE__VOLUME_TMPFS }
	};
	struct qube__volume_run run;
	struct qube__pool_cb cb;
	struct waiter w;
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	cb = waiter_cb(&w);
	for (int i = 0; i < 4; i++) {
		specs[i].block = true;
		QT_INT(qube__volume_prepare(NULL, f.p, &specs[i], &cb), QUBE_E_NOTSUP);
		QT_INT(qube__volume_start(&run, f.p, &specs[i]), QUBE_E_NOTSUP);
		QT_TRUE(strstr(qube_error_last()->message,
			       i == 0 ? "with the driver local only" : "in a pool of disks"));
		specs[i].kind = QUBE__VOLUME_BLOCK;
		QT_INT(qube__volume_start(&run, f.p, &specs[i]), QUBE_E_INVALID);
	}
	QT_TRUE(!exists(at("pools/main/run/tpl")));
	teardown(&f);
}

QTEST(image, those_who_start_together_wait_for_one_making)
{
	struct qube__volume_spec v[4];
	static const char *const names[] = { "a", "b", "c", "d" };
	struct qube__pool_op *ops[4];
	struct qube__pool_cb cb;
	struct waiter w[4];
	struct fixture f;
	struct stat first;
	struct stat st;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	for (int i = 0; i < 4; i++) {
		v[i] = block_root(names[i]);
		cb = waiter_cb(&w[i]);
		QT_INT(qube__volume_prepare(&ops[i], f.p, &v[i], &cb), 1);
	}
	QT_INT(qube__volumes_remove(f.p, "b"), QUBE_E_BUSY);
	qube__pool_op_cancel(ops[3]);
	for (int i = 0; i < 3; i++)
		QT_INT(wait_for(&f.loop, &w[i]), 0);
	QT_INT(wait_for(&f.loop, &w[3]), QUBE_E_CANCELED);
	QT_INT(stat(at("pools/main/images/base.img"), &first), 0);
	for (int i = 0; i < 3; i++) {
		QT_INT(stat(at("pools/main/run/%s/root/base.img", names[i]), &st), 0);
		QT_INT(st.st_ino, first.st_ino);
		QT_INT(w[i].called, 1);
	}
	QT_TRUE(!exists(at("pools/main/run/d")));
	cb = waiter_cb(&w[3]);
	QT_INT(qube__volume_prepare(NULL, f.p, &v[3], &cb), 0); /* it is there */
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	teardown(&f);
}

static int no_temp(void *arg)
{
	(void)arg;
	return count_entries(at("pools/main/tmp")) == 0;
}

QTEST(image, a_making_that_nobody_waits_for_any_more_ends)
{
	struct qube__volume_spec v = block_root("a");
	struct qube__pool_op *op;
	struct qube__pool_cb cb;
	struct waiter w;
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	cb = waiter_cb(&w);
	QT_INT(qube__volume_prepare(&op, f.p, &v, &cb), 1);
	qube__pool_op_cancel(op);
	QT_INT(wait_for(&f.loop, &w), QUBE_E_CANCELED);
	QT_INT(prepare_volume(&f, &v), 0); /* whoever comes meanwhile is not canceled too */
	QT_TRUE(exists(at("pools/main/run/a/root/base.img")));
	QT_INT(wait_until(&f.loop, no_temp, NULL), 0);
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	cb = waiter_cb(&w);
	QT_INT(change_template(&f, "new", 1), 0);
	QT_INT(qube__volume_prepare(&op, f.p, &v, &cb), 1);
	qube__pool_close(f.p); /* and the pool may close meanwhile */
	QT_INT(w.called, 1);
	QT_INT(w.code, QUBE_E_CANCELED);
	QT_INT(open_pool(&f), 0);
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	teardown(&f);
}

QTEST(image, a_commit_takes_nothing_from_who_runs_and_the_next_start_sees_it)
{
	struct qube__volume_spec a = block_root("a");
	struct qube__volume_spec b = block_root("b");
	struct qube__volume_info info;
	struct qube__volume_run ra;
	struct qube__volume_run rb;
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(start_root(&ra, &f, &a), 0);
	QT_INT(prepare_volume(&f, &b), 0);
	QT_INT(change_template(&f, "new", 0), 0);
	QT_TRUE(!exists(at("pools/main/images/base.img")));
	QT_TRUE(is_sound(ra.upper));
	QT_TRUE(says(ra.upper, "stat /new", "File not found"));
	QT_INT(qube__volume_info(&info, f.p, &a), 0);
	QT_TRUE(info.started && info.outdated);
	QT_INT(qube__volume_start(&rb, f.p, &b), 0); /* what was prepared is what it gets */
	QT_TRUE(strstr(rb.upper, "/base.img") != NULL);
	qube__volume_run_fini(&rb);
	QT_INT(stop_volume(&f, &b, QUBE__STOP_AS_STARTED), 0);
	QT_INT(start_root(&rb, &f, &b), 0);
	QT_TRUE(says(rb.upper, "cat /new", "x\n"));
	QT_INT(qube__volume_info(&info, f.p, &b), 0);
	QT_TRUE(info.started && !info.outdated);
	QT_INT(qube__volumes_remove(f.p, "tpl"), 0);
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	QT_INT(count_entries(at("pools/main/images")), 0);
	QT_TRUE(is_sound(ra.upper) && is_sound(rb.upper));
	qube__volume_run_fini(&ra);
	qube__volume_run_fini(&rb);
	teardown(&f);
}

QTEST(image, a_commit_while_the_image_is_made_costs_it_nothing)
{
	struct qube__volume_spec a = block_root("a");
	struct qube__volume_run run;
	struct qube__pool_cb cb;
	struct waiter w;
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(change_template(&f, "old", 0), 0);
	cb = waiter_cb(&w);
	QT_INT(qube__volume_prepare(NULL, f.p, &a, &cb), 1);
	QT_INT(change_template(&f, "new", 0), 0);
	QT_INT(w.called ? w.code : wait_for(&f.loop, &w), 0);
	QT_INT(qube__volume_start(&run, f.p, &a), 0);
	QT_TRUE(is_sound(run.upper));
	QT_TRUE(says(run.upper, "cat /old", "x\n"));
	qube__volume_run_fini(&run);
	QT_INT(count_entries(at("pools/main/images")), 0); /* nobody will want it again */
	teardown(&f);
}

QTEST(image, who_outlived_the_host_keeps_its_disk)
{
	struct qube__volume_info info;
	struct qube__volume_run run;
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	f.spec = block_root("a");
	f.attached = true;
	QT_INT(start_root(&run, &f, &f.spec), 0);
	QT_INT(reopen(&f), 0);
	QT_TRUE(exists(run.upper));
	QT_INT(qube__volume_info(&info, f.p, &f.spec), 0);
	QT_TRUE(info.started && !info.outdated);
	QT_INT(change_template(&f, "new", 0), 0);
	QT_INT(qube__volume_info(&info, f.p, &f.spec), 0);
	QT_TRUE(info.outdated);
	QT_TRUE(is_sound(run.upper));
	QT_INT(stop_volume(&f, &f.spec, QUBE__STOP_AS_STARTED), 0);
	QT_TRUE(!exists(run.upper));
	qube__volume_run_fini(&run);
	teardown(&f);
}

QTEST(image, what_a_kill_left_is_collected_at_the_next_open)
{
	struct qube__volume_spec a = block_root("a");
	struct fixture f;

	QT_INT(setup(&f), 0);
	plant_template("tpl");
	QT_INT(prepare_volume(&f, &a), 0);
	put_file(at("pools/main/tmp/half"), "x", 0600);
	put_file(at("pools/main/images/gone.img"), "x", 0600);
	put_file(at("pools/main/images/notours"), "x", 0600);
	QT_INT(reopen(&f), 0);
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	QT_TRUE(!exists(at("pools/main/run/a")));
	QT_TRUE(!exists(at("pools/main/images/gone.img")));
	QT_TRUE(exists(at("pools/main/images/notours")));
	QT_TRUE(exists(at("pools/main/images/base.img")));
	teardown(&f);
}

QTEST(image, a_full_disk_is_said_and_everything_goes_on_with_room)
{
	struct qube__volume_spec v = block_root("work");
	struct fixture f = { 0 };
	const char *why;
	char block[4096];
	int fd;

	scratch_make();
	why = disk_mount(at("."), "tmpfs", 100);
	if (why) {
		scratch_remove();
		QT_SKIP(why);
	}
	QT_INT(qube__loop_init(&f.loop), 0);
	QT_INT(open_pool(&f), 0);
	plant_template("tpl");
	memset(block, 'x', sizeof(block));
	fd = open(at("fill"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		;
	close(fd);
	QT_INT(prepare_volume(&f, &v), QUBE_E_LIMIT);
	QT_INT(count_entries(at("pools/main/images")), 0);
	QT_INT(truncate(at("fill"), 0), 0);
	QT_INT(wait_until(&f.loop, no_trash, NULL), 0);
	QT_INT(prepare_volume(&f, &v), 0);
	QT_TRUE(is_sound(at("pools/main/images/base.img")));
	teardown(&f);
}

static int shell_there(const char *command)
{
	char all[1024];

	snprintf(all, sizeof(all), "cd %s && %s", at("."), command);
	return system(all) == 0;
}

QTEST(image, where_there_is_no_mke2fs_that_is_said)
{
	struct qube__volume_spec v = block_root("work");
	struct fixture f = { 0 };
	const char *why;

	scratch_make();
	why = disk_mount(at("."), "tmpfs", 200);
	if (!why && !shell_there("mkdir u w m && mount -t overlay -o lowerdir=/usr,upperdir=u,"
				 "workdir=w none m && rm -f m/*/mke2fs m/local/sbin/mke2fs && "
				 "mount --bind m /usr"))
		why = "cannot hide a program here";
	if (why) {
		scratch_remove();
		QT_SKIP(why);
	}
	QT_TRUE(!qube__pool_makes_disks());
	QT_INT(qube__loop_init(&f.loop), 0);
	QT_INT(open_pool(&f), 0);
	plant_template("tpl");
	{
		struct waiter w;
		struct qube__pool_cb cb = waiter_cb(&w);

		QT_INT(qube__volume_prepare(NULL, f.p, &v, &cb), 1);
		QT_INT(wait_for(&f.loop, &w), QUBE_E_NOTSUP);
		QT_TRUE(strstr(w.message, "e2fsprogs") != NULL);
	}
	QT_INT(count_entries(at("pools/main/tmp")), 0);
	QT_TRUE(shell_there("umount -l /usr && umount -l m"));
	QT_TRUE(qube__pool_makes_disks());
	QT_INT(prepare_volume(&f, &v), 0);
	teardown(&f);
}
