/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a local qube cannot do, tried from inside. */
#include "qtest.h"

#include "world.h"

#include "base/error.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEED_WORLD(w)                                                                              \
	do {                                                                                       \
		if (world_missing())                                                               \
			QT_SKIP(world_missing());                                                  \
		QT_TRUE(world_open(w));                                                            \
	} while (0)

static int count(const char *text, const char *what)
{
	int n = 0;

	for (const char *p = text; p && (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

/* Every line begins with "ok", and there are enough of them. */
static void all_ok(struct world *w, const char *question, int at_least)
{
	char *said = world_ask(w, question);

	if (!said || strstr(said, "BAD") || count(said, "ok ") < at_least)
		qtest_fail(__FILE__, __LINE__, "%s: %s", question, said ? said : "nothing");
	free(said);
}

static bool fails(struct world *w, const char *text)
{
	w->n_events = 0;
	w->failure[0] = '\0';
	if (qube__driver_local.create(w->driver, &w->m, w, &w->spec) < 0) {
		qtest_fail(__FILE__, __LINE__, "create: %s", qube_error_last()->message);
		return false;
	}
	if (!world_wait(w, QUBE__MACHINE_FAILED, 20))
		return false;
	if (!strstr(w->failure, text))
		qtest_fail(__FILE__, __LINE__, "failed with '%s', not '%s'", w->failure, text);
	w->m->ops->release(w->m);
	w->m = NULL;
	w->n_events = 0;
	return true;
}

QTEST(local, threat_13_a_template_of_symlinks_fails_clean)
{
	static const char *const points[] = { "proc", "sys",  "dev", "run",	 "tmp",
					      "rw",   "home", "usr", "usr/local" };
	struct world w;
	char command[512];

	NEED_WORLD(&w);
	W_TRUE(world_host(&w, "mkdir target target/local; echo safe > target/file"));
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		snprintf(command, sizeof(command),
			 "rm -rf upper/* work/*; cp -a layer saved; rm -rf layer/%s; "
			 "ln -s $PWD/target layer/%s",
			 points[i], points[i]);
		W_TRUE(world_host(&w, command));
		W_TRUE(fails(&w, "is not a plain directory"));
		snprintf(command, sizeof(command),
			 "rm -rf layer; cp -a saved layer; rm layer/%s "
			 "2>/dev/null || rm -rf layer/%s; ln -s ../../../../../../etc layer/%s",
			 points[i], points[i], points[i]);
		W_TRUE(world_host(&w, command));
		W_TRUE(fails(&w, "is not a plain directory"));
		W_TRUE(world_host(&w, "rm -rf layer; mv saved layer"));
	}
	W_TRUE(world_host(&w, "test \"$(find target | sort)\" = 'target\ntarget/file\n"
			      "target/local'"));
	W_TRUE(world_close(&w));
}

QTEST(local, threat_13_a_private_volume_of_symlinks_fails_clean)
{
	struct world w;

	NEED_WORLD(&w);
	W_TRUE(world_host(&w, "mkdir target; ln -s $PWD/target kept/home"));
	W_TRUE(fails(&w, "home in the private volume is not a plain directory"));
	W_TRUE(world_host(&w, "rm -r kept/home kept/usrlocal; ln -s $PWD/target kept/usrlocal"));
	W_TRUE(fails(&w, "usrlocal in the private volume is not a plain directory"));
	W_TRUE(world_host(&w, "rm -r kept/usrlocal; ln -s /etc kept/home/user"));
	if (world_start(&w))
		world_stop(&w);
	W_TRUE(world_host(&w, "test -z \"$(ls -A target)\" -a -L kept/home/user"));
	W_TRUE(world_close(&w));
}

/* Root of a qube could make one that the host's root cannot remove, or cannot tell from others. */
QTEST(local, threat_32_no_subvolume_is_made_from_inside)
{
	struct world w;
	const char *why = world_missing() ? world_missing() : world_open_on(&w, "btrfs");

	if (why)
		QT_SKIP(why);
	if (world_start(&w)) {
		all_ok(&w, "subvolumes /rw", 9);
		all_ok(&w, "subvolumes /home/user", 9);
		world_stop(&w);
	}
	W_TRUE(world_host(&w, "test -z \"$(find kept -inum 256)\" && rm -r kept"));
	W_TRUE(world_close(&w));
}

/* A root that is one directory, in which somebody keeps turning mount points into links. */
QTEST(local, threat_13_components_that_change_during_setup_lead_nowhere)
{
	struct world w;
	pid_t swapper;
	int held = 0;

	NEED_WORLD(&w);
	W_TRUE(world_host(&w, "mkdir target layer/proc layer/dev layer/tmp; touch target/file; "
			      "for d in proc dev tmp; do ln -s $PWD/target layer/$d.link; done"));
	w.spec.root.kind = QUBE__VOLUME_TREE;
	w.spec.root.n_layers = 0;
	free(w.spec.root.layers[0]);
	free(w.spec.root.work);
	free(w.spec.root.upper);
	w.spec.root.work = NULL;
	w.spec.root.upper = strdup(w.layer);
	swapper = fork();
	if (swapper == 0) {
		static const char *const names[][2] = { { "proc", "proc.link" },
							{ "dev", "dev.link" },
							{ "tmp", "tmp.link" } };
		int dir = open(w.layer, O_PATH | O_DIRECTORY);

		for (unsigned int i = 0;; i++) {
			renameat2(dir, names[i % 3][0], dir, names[i % 3][1], RENAME_EXCHANGE);
			/* Slow enough that some starts get through. */
			if (i % 5 == 4)
				usleep(700);
		}
	}
	for (int i = 0; i < 30; i++) {
		w.n_events = 0;
		w.failure[0] = '\0';
		W_INT(qube__driver_local.create(w.driver, &w.m, &w, &w.spec), 0);
		while (!w.n_events)
			qube__loop_dispatch(&w.loop, 100);
		if (w.events[0] == QUBE__MACHINE_HELD) {
			held++;
			w.m->ops->kill(w.m);
			W_TRUE(world_wait(&w, QUBE__MACHINE_STOPPED, 10));
		}
		w.m->ops->release(w.m);
		w.m = NULL;
	}
	kill(swapper, SIGKILL);
	waitpid(swapper, NULL, 0);
	printf("held %d of 30 times, else %s\n", held, w.failure);
	W_TRUE(world_host(&w, "test \"$(ls -A target)\" = file"));
	W_TRUE(world_close(&w));
}

QTEST(local, threat_13_files_and_pipes_where_directories_should_be_fail_clean)
{
	struct world w;

	NEED_WORLD(&w);
	W_TRUE(world_host(&w, "echo x > layer/proc"));
	W_TRUE(fails(&w, "/proc in the root volume is not a plain directory"));
	W_TRUE(world_host(&w, "rm -rf layer/proc upper/* work/*; mkfifo layer/dev"));
	W_TRUE(fails(&w, "/dev in the root volume is not a plain directory"));
	/* Names that a start once made in the root, and the form of those that it makes. */
	W_TRUE(world_host(&w, "rm layer/dev; mkdir -p layer/.qube-probe/x layer/.qube-0/x"));
	if (world_start(&w))
		world_stop(&w);
	/* A passwd that would never end, or never begin. */
	W_TRUE(world_host(&w, "rm layer/etc/passwd; mkfifo layer/etc/passwd"));
	if (world_start(&w))
		world_stop(&w);
	W_TRUE(world_host(&w, "rm layer/etc/passwd; ln -s /dev/zero layer/etc/passwd"));
	if (world_start(&w))
		world_stop(&w);
	W_TRUE(world_close(&w));
}

QTEST(local, threat_13_proc_is_covered_and_read_only)
{
	struct world w;

	NEED_WORLD(&w);
	if (world_start(&w)) {
		world_sh_says(&w,
			      "for f in sysrq-trigger kcore keys timer_list kallsyms interrupts "
			      "softirqs cmdline; do "
			      "test -e /proc/$f && cat /proc/$f; done 2>&1 | wc -c",
			      "0\n");
		world_sh_says(&w, "test -e /proc/pressure/memory || echo none", "none\n");
		world_sh_says(&w, "echo 1 2>/dev/null > /proc/sys/kernel/panic || echo refused",
			      "refused\n");
		world_sh_says(&w,
			      "cat /proc/sys/user/max_user_namespaces; echo 9 2>/dev/null > "
			      "/proc/sys/user/max_user_namespaces || echo refused",
			      "0\nrefused\n");
		world_sh_says(&w,
			      "test $(ls -d /proc/[0-9]* | wc -l) -lt 10 && echo few; "
			      "mount -o remount,rw /proc/sys 2>/dev/null || echo refused",
			      "few\nrefused\n");
	}
	W_TRUE(world_close(&w));
}

/* Everything that is mounted on has to be there already. */
static bool read_only_volumes(struct world *w)
{
	w->spec.root.read_only = true;
	w->spec.private_volume.read_only = true;
	return world_host(w,
			  "cd layer; mkdir -p sys dev proc run tmp rw home usr/local; cd ../kept; "
			  "mkdir -p home/user usrlocal; touch home/user/f usrlocal/f");
}

QTEST(local, threat_19_what_is_mounted_read_only_stays_so_for_root_inside)
{
	struct world w;

	NEED_WORLD(&w);
	if (world_start(&w)) {
		all_ok(&w, "readonly ", 20);
		all_ok(&w, "readonly-program", 2);
		world_stop(&w);
	}
	W_TRUE(read_only_volumes(&w));
	if (world_start(&w)) {
		all_ok(&w, "readonly / /rw /home /usr/local", 24);
		world_stop(&w);
	}
	/* One layer and nothing to write into is no overlay. */
	free(w.spec.root.upper);
	free(w.spec.root.work);
	w.spec.root.upper = NULL;
	w.spec.root.work = NULL;
	if (world_start(&w)) {
		all_ok(&w, "readonly / /rw /home /usr/local", 24);
		world_stop(&w);
	}
	W_TRUE(world_close(&w));
}

QTEST(local, threat_19_user_namespaces_of_a_qube_do_not_lift_a_read_only_flag)
{
	struct world w;

	NEED_WORLD(&w);
	w.spec.flags = QUBE__MACHINE_USERNS;
	W_TRUE(read_only_volumes(&w));
	if (world_start(&w)) {
		all_ok(&w, "readonly-apart", 30);
		world_stop(&w);
	}
	W_TRUE(world_close(&w));
}

/* Two layers below an overlay that root writes all over. */
QTEST(local, threat_19_a_layer_is_never_written_to_through_its_overlay)
{
	static const char look[] =
		"find layer layer2 -printf '%p %y %m %U:%G %T@ %C@ %s %n %i\\n' | "
		"sort >$PWD/saw; find layer layer2 -type f -exec sha256sum {} + | "
		"sort >>saw; cmp -s saw saw.before || mv saw saw.before";
	struct world w;

	NEED_WORLD(&w);
	W_TRUE(world_host(&w, "mkdir layer2; echo two >layer2/two; ln layer2/two layer2/link"));
	w.spec.root.layers[w.spec.root.n_layers] = malloc(sizeof(w.layer) + 8);
	snprintf(w.spec.root.layers[w.spec.root.n_layers++], sizeof(w.layer) + 8, "%s2", w.layer);
	W_TRUE(world_host(&w, look));
	if (world_start(&w)) {
		/* A descriptor of the file below, opened again to write. */
		world_sh_says(&w, "exec 8</two; echo x >/proc/self/fd/8; cat /two", "x\n");
		world_sh_says(&w, "echo y >>/link; chmod 777 /two /link; cat /link", "two\ny\n");
		world_sh_says(&w,
			      "find / -xdev -type f -size -100 -exec sh -c "
			      "'echo z >>\"$0\"; chmod 4777 \"$0\"; chown 5:5 \"$0\"; "
			      "touch -d @7 \"$0\"' {} \\; 2>/dev/null; cat /dir/sub/s",
			      "s\nz\n");
		world_sh_says(&w, "mv /dir /moved; rm -r /moved /two /link /etc; ls -d /etc /two",
			      "ls: /etc: No such file or directory\n"
			      "ls: /two: No such file or directory\n");
		world_stop(&w);
	}
	W_TRUE(world_host(&w, "cp saw.before was"));
	W_TRUE(world_host(&w, look));
	W_TRUE(world_host(&w, "cmp saw.before was"));
	W_TRUE(world_close(&w));
}

/* Through a shared inode a box sees when the host or another qube uses it, and locks reach across.
 */
QTEST(local, threat_31_device_nodes_are_the_boxs_own)
{
	struct world w;
	struct stat host;
	char command[80];

	NEED_WORLD(&w);
	if (stat("/dev/null", &host) == 0 && world_start(&w)) {
		snprintf(command, sizeof(command),
			 "stat -c %%d /dev/null /dev/urandom /dev/tty | grep -c '^%lu$'",
			 (unsigned long)host.st_dev);
		world_sh_says(&w, command, "0\n");
		world_sh_says(&w, "stat -c '%F %t,%T %a' /dev/null /dev/zero",
			      "character special file 1,3 666\n"
			      "character special file 1,5 666\n");
		world_sh_says(&w, "head -c 3 /dev/zero | wc -c; echo x > /dev/null && echo ok",
			      "3\nok\n");
		world_sh_says(&w, "chmod 0 /dev/null 2>/dev/null || echo refused", "refused\n");
	}
	W_TRUE(world_close(&w));
}

QTEST(local, threat_33_a_qube_goes_before_the_host_when_memory_runs_out)
{
	struct world w;

	NEED_WORLD(&w);
	if (world_start(&w)) {
		world_sh_says(&w, "cat /proc/self/oom_score_adj /proc/1/oom_score_adj",
			      "500\n500\n");
		if (prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) == 1)
			world_sh_says(&w,
				      "echo 0 2>/dev/null > /proc/self/oom_score_adj || "
				      "echo refused",
				      "refused\n");
	}
	W_TRUE(world_close(&w));
}

QTEST(local, threat_14_no_descriptor_of_the_host_is_inside)
{
	struct world w;
	char *said;

	NEED_WORLD(&w);
	if (world_start(&w)) {
		said = world_ask(&w, "fds /proc/self/fd");
		W_STR(said, "0 /dev/null\n1 /dev/null\n2 pipe\n3 socket\n");
		free(said);
		world_sh_says(&w, "ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 4 ");
		/* The agent's program cannot be changed through its own link. */
		world_sh_says(&w, "echo x 2>/dev/null > /proc/2/exe || echo refused", "refused\n");
		world_sh_says(&w, "stat -c %N /proc/2/exe | grep -c memfd", "1\n");
	}
	W_TRUE(world_close(&w));
}

QTEST(local, threat_15_16_30_system_calls_are_refused)
{
	struct world w;

	NEED_WORLD(&w);
	if (world_start(&w)) {
		all_ok(&w, "calls", 70);
		all_ok(&w, "init", 10);
		world_sh_says(&w,
			      "grep -E '^(CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' "
			      "/proc/self/status | tr '\\t\\n' '  '",
			      "CapEff: 00000000000005fb CapBnd: 00000000000005fb "
			      "CapAmb: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 ");
		world_sh_says(&w, "ps -o pid,sid,tty 2>/dev/null | grep -c pts", "0\n");
		world_sh_says(&w, "echo x 2>/dev/null > /dev/tty || echo none", "none\n");
	}
	W_TRUE(world_close(&w));
}

QTEST(local, threat_30_roles_and_features_give_what_they_say_and_no_more)
{
	struct world w;
	char *said;

	NEED_WORLD(&w);
	w.spec.role = QUBE__ROLE_NET;
	if (world_start(&w)) {
		world_sh_says(&w, "grep CapBnd /proc/self/status | tail -c 17",
			      "00000000000035fb\n");
		world_sh_says(&w, "ip link set lo down && echo ok", "ok\n");
		world_stop(&w);
	}
	w.spec.role = QUBE__ROLE_TEMPLATE;
	w.spec.flags = QUBE__MACHINE_USERNS | QUBE__MACHINE_NEW_PRIVS;
	if (world_start(&w)) {
		world_sh_says(&w, "grep -E 'CapBnd|NoNew' /proc/self/status | tr '\\t\\n' '  '",
			      "CapBnd: 00000000800405fb NoNewPrivs: 0 ");
		said = world_ask(&w, "calls");
		W_TRUE(strstr(said, "ok bpf:"));
		W_TRUE(strstr(said, "ok io_uring_setup:"));
		W_TRUE(strstr(said, "BAD unshare user: 0,"));
		free(said);
	}
	W_TRUE(world_close(&w));
}

QTEST(local, threat_32_a_setuid_file_of_a_box_is_useless_outside)
{
	struct world w;

	NEED_WORLD(&w);
	W_TRUE(world_host(&w, "mount --bind . . ; mount -o remount,bind,nosuid,nodev,noexec ."));
	if (world_start(&w)) {
		world_sh_says(&w,
			      "mkdir /made /rw/made; for d in /made /rw/made; do "
			      "cp /bin/busybox $d; chmod 4755 $d/busybox; "
			      "$d/busybox echo runs; done",
			      "runs\nruns\n");
		world_stop(&w);
	}
	W_TRUE(world_host(&w, "test -u upper/made/busybox -a -u kept/made/busybox"));
	W_TRUE(world_host(&w, "! upper/made/busybox true 2>/dev/null"));
	W_TRUE(world_host(&w, "! kept/made/busybox true 2>/dev/null"));
	W_TRUE(world_host(&w, "d=$PWD; cd /; umount $d"));
	W_TRUE(world_close(&w));
}

QTEST(local, threat_33_each_shared_quantity_has_an_end)
{
	struct world w;
	char *said;
	int forks = 0;

	NEED_WORLD(&w);
	if (world_start(&w)) {
		said = world_ask(&w, "pids");
		W_TRUE(said && strstr(said, "raise refused") && strstr(said, "errno 11"));
		W_INT(sscanf(strstr(said, "forks"), "forks %d", &forks), 1);
		W_INT(forks > 50 && forks <= 64 ? 0 : forks, 0);
		free(said);
		world_sh_says(&w,
			      "dd if=/dev/zero of=/tmp/x bs=1M count=64 2>/dev/null; "
			      "stat -c %s /tmp/x; rm /tmp/x",
			      "4194304\n");
		world_sh_says(&w,
			      "dd if=/dev/zero of=/dev/x bs=1M count=64 2>/dev/null; "
			      "test $(stat -c %s /dev/x) -le 1048576 && echo bounded; rm /dev/x",
			      "bounded\n");
		world_sh_says(&w,
			      "i=0; while echo 2>/dev/null > /tmp/$i; do i=$((i+1)); done; "
			      "test $i -lt 1100 && echo bounded",
			      "bounded\n");
	}
	W_TRUE(world_close(&w));
}

/* One bad thing at a time, along the way of a start; world_close() looks for what is left. */
QTEST(local, threat_20_34_a_failure_at_any_step_leaves_nothing)
{
	static const struct {
		const char *damage;
		const char *repair;
		const char *text;
	} steps[] = {
		{ "mv layer gone", "mv gone layer", "cannot open the directory" },
		{ "mv upper gone", "mv gone upper", "upper is not a directory" },
		{ "mv work gone", "mv gone work", "work is not a directory" },
		{ "mv kept gone", "mv gone kept", "cannot open the directory" },
		{ "mv layer gone; ln -s gone layer", "rm layer; mv gone layer",
		  "cannot open the directory" },
		{ "mv upper gone; ln -s gone upper", "rm upper; mv gone upper",
		  "upper is not a directory" },
		{ "mv kept gone; touch kept", "rm kept; mv gone kept", "cannot open" },
		{ "touch layer/dev", "rm layer/dev", "/dev in the root volume" },
		{ "touch layer/proc", "rm layer/proc", "/proc in the root volume" },
		{ "touch layer/home", "rm layer/home", "/home in the root volume" },
	};
	struct world w;

	NEED_WORLD(&w);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		W_TRUE(world_host(&w, steps[i].damage));
		fails(&w, steps[i].text);
		W_TRUE(world_host(&w, "test -z \"$(ls -A run)\""));
		W_TRUE(world_host(&w, steps[i].repair));
	}
	W_TRUE(world_start(&w));
	W_TRUE(world_close(&w));
}

/* A process of its own starts the box and is killed. */
static void die_with_a_box(struct world *w)
{
	int ready[2];
	pid_t host;
	char byte = 0;

	W_INT(pipe(ready), 0);
	host = fork();
	if (host == 0) {
		/* Its own: the box keeps a descriptor that would stay in ours. */
		if (qube__loop_init(&w->loop) == 0 && world_start(w) &&
		    write(ready[1], "r", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	W_INT(read(ready[0], &byte, 1), 1);
	kill(host, SIGKILL);
	waitpid(host, NULL, 0);
	close(ready[0]);
	W_TRUE(world_host(w, "test -S run/box-test/box.sock -a -f run/box-test/record"));
}

QTEST(local, threat_34_a_box_outlives_its_host_and_the_next_one_may_end_it)
{
	struct world w;

	NEED_WORLD(&w);
	die_with_a_box(&w);
	W_INT(qube__driver_local.create(w.driver, &w.m, &w, &w.spec), QUBE_E_BUSY);
	W_TRUE(world_reopen(&w, false));
	W_TRUE(world_host(&w, "test -z \"$(ls -A run)\""));
	if (world_start(&w))
		world_sh_says(&w, "echo again", "again\n");
	W_TRUE(world_close(&w));
}

QTEST(local, threat_34_a_box_of_a_dead_host_is_adopted_as_it_is)
{
	struct world w;

	NEED_WORLD(&w);
	w.spec.bound = true;
	die_with_a_box(&w);
	W_TRUE(world_reopen(&w, true));
	W_TRUE(w.m != NULL);
	if (w.m) {
		W_TRUE(w.found_bound && !w.found_paused);
		world_sh_says(&w, "echo adopted", "adopted\n");
		W_TRUE(w.m->ops->pid(w.m) > 0);
		W_INT(w.m->ops->pause(w.m), 0);
		W_INT(w.m->ops->unpause(w.m), 0);
		W_INT(w.m->ops->shutdown(w.m), 0);
		W_TRUE(world_wait(&w, QUBE__MACHINE_STOPPED, 10));
	}
	W_TRUE(world_close(&w));
}

QTEST(local, threat_34_a_driver_leaves_what_runs_to_the_next_one)
{
	struct world w;

	NEED_WORLD(&w);
	w.keep = true;
	W_TRUE(world_reopen(&w, false));
	if (world_start(&w)) {
		W_INT(w.m->ops->pause(w.m), 0);
		W_TRUE(world_reopen(&w, true));
		W_TRUE(w.m != NULL && w.found_paused);
	}
	if (w.m) {
		W_INT(w.m->ops->unpause(w.m), 0);
		world_sh_says(&w, "echo awake", "awake\n");
		W_TRUE(world_stop(&w));
	}
	W_TRUE(world_close(&w));
}

/* What the kernel counts for a user id it counts for all that have it. */
QTEST(local, threat_33_qubes_of_two_hosts_have_no_ceiling_in_common)
{
	static struct world other;
	struct world w;

	NEED_WORLD(&w);
	W_TRUE(world_open(&other));
	if (world_start(&w) && world_start(&other)) {
		W_TRUE(w.ids / QUBE__IDS_RANGE != other.ids / QUBE__IDS_RANGE);
		world_sh_says(&w,
			      "for i in $(seq 50); do sleep 30 >/dev/null 2>&1 & done; echo full",
			      "full\n");
		world_sh_says(&other,
			      "for i in $(seq 40); do sleep 1 >/dev/null & done; wait; echo free",
			      "free\n");
	}
	if (other.m)
		world_stop(&other);
	if (w.m)
		world_stop(&w);
	/* Both look for what is left of either. */
	W_TRUE(world_close(&other));
	W_TRUE(world_close(&w));
}

/* Of a host that died between writing a record and giving it its name. */
QTEST(local, threat_34_half_a_record_does_not_keep_its_directory)
{
	struct world w;

	NEED_WORLD(&w);
	W_TRUE(world_host(&w, "mkdir -m 700 run/box-half; echo half >run/box-half/.record.new"));
	W_TRUE(world_reopen(&w, false));
	W_TRUE(world_host(&w, "test -z \"$(ls run)\""));
	W_TRUE(world_close(&w));
}

/* A second box beside the world's own, to which something happens. */
static struct qube__machine *start_other(struct world *w)
{
	struct qube__machine_spec spec = w->spec;
	struct qube__machine *m = NULL;
	char path[4][160];

	W_TRUE(world_host(w, "mkdir upper2 kept2; mkdir -m 700 work2"));
	snprintf(path[0], sizeof(path[0]), "%s2", w->upper);
	snprintf(path[1], sizeof(path[1]), "%s2", w->work);
	snprintf(path[2], sizeof(path[2]), "%s2", w->kept);
	spec.name = "box-other";
	spec.qid = w->spec.qid + 1;
	spec.id_base = w->spec.id_base + (1 << 16);
	spec.root.upper = path[0];
	spec.root.work = path[1];
	spec.private_volume.upper = path[2];
	w->n_events = 0;
	if (qube__driver_local.create(w->driver, &m, w, &spec) < 0 ||
	    !world_wait(w, QUBE__MACHINE_HELD, 20) || m->ops->run(m) < 0 ||
	    !world_wait(w, QUBE__MACHINE_RUNNING, 20))
		qtest_fail(__FILE__, __LINE__, "no second box: %s", qube_error_last()->message);
	w->n_events = 0;
	return m;
}

/* What another format or a bad disk made of one record does not touch the other's machine. */
static void record_of_other(const char *edit, const char *why)
{
	struct qube__machine *other;
	struct world w;

	NEED_WORLD(&w);
	w.keep = true;
	W_TRUE(world_reopen(&w, false));
	if (world_start(&w)) {
		other = start_other(&w);
		W_TRUE(world_host(&w, edit));
		w.driver->ops->close(w.driver);
		if (other)
			other->ops->release(other);
		w.driver = NULL;
		W_TRUE(world_reopen(&w, true));
		W_TRUE(w.m != NULL);
		W_TRUE(strstr(w.log, "'box-other', which a host before this one left, is ended: "));
		W_TRUE(strstr(w.log, why));
		W_TRUE(world_host(&w, "test \"$(ls run)\" = box-test"));
	}
	if (w.m) {
		world_sh_says(&w, "echo lives", "lives\n");
		W_TRUE(world_stop(&w));
	}
	W_TRUE(world_close(&w));
}

QTEST(local, threat_34_a_damaged_record_ends_its_machine_alone)
{
	record_of_other("truncate -s 40 run/box-other/record", "its record is damaged");
}

QTEST(local, threat_34_a_newer_record_ends_its_machine_alone)
{
	record_of_other("sed -i 's/^qube-run 1$/qube-run 2/' run/box-other/record",
			"its record was written by a newer libqube");
}

QTEST(local, threat_20_a_spec_that_makes_no_sense_is_refused_at_once)
{
	struct world w;

	NEED_WORLD(&w);
	w.spec.id_base = 0;
	W_INT(qube__driver_local.create(w.driver, &w.m, &w, &w.spec), QUBE_E_INVALID);
	w.spec.id_base = WORLD_IDS;
	w.spec.name = "../escape";
	W_INT(qube__driver_local.create(w.driver, &w.m, &w, &w.spec), QUBE_E_INVALID);
	w.spec.name = "box-test";
	W_TRUE(world_host(&w, "rm libexec/qube-box"));
	W_INT(qube__driver_local.create(w.driver, &w.m, &w, &w.spec), QUBE_E_SYSTEM);
	W_TRUE(strstr(qube_error_last()->message, "qube-box"));
	W_TRUE(w.m == NULL);
	W_TRUE(world_close(&w));
}
