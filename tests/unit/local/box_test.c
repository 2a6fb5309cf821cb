/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a local qube is when it runs. */
#include "qtest.h"

#include "world.h"

#include "base/clock.h"
#include "base/error.h"
#include "driver/local/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEED_WORLD(w)                                                                              \
	do {                                                                                       \
		if (world_missing())                                                               \
			QT_SKIP(world_missing());                                                  \
		QT_TRUE(world_open(w));                                                            \
	} while (0)

QTEST(local, runs_a_box_over_a_template_and_ends_it)
{
	struct world w;
	struct qube__machine_stats stats = { 0 };

	NEED_WORLD(&w);
	if (world_start(&w)) {
		world_sh_says(&w, "hostname; id -u; echo $$ | grep -c .", "box-test\n0\n1\n");
		world_sh_says(&w, "cat /run/qube/guest/hello", "guest-program\n");
		world_sh_says(&w, "cat /proc/1/comm; ls /sys; ls -d /run/qubes /dev/shm",
			      "qube-box\n/dev/shm\n/run/qubes\n");
		world_sh_says(&w, "echo x > /dev/null; head -c 3 /dev/zero | wc -c", "3\n");
		world_sh_says(&w, "ip link show lo | grep -c LOWER_UP; ip link | grep -c mtu",
			      "1\n1\n");
		world_sh_says(&w, "cat /home/user/.profile; stat -c %u:%g:%a /home/user",
			      "skel\n1000:1000:700\n");
		world_sh_says(&w, "mv /dir /moved && cat /moved/file /moved/sub/s",
			      "original\ns\n");
		world_sh_says(&w, "echo changed > /moved/file; echo mine > /made; cat /made",
			      "mine\n");
		world_sh_says(&w, "grep -E ' (/|/rw|/tmp|/proc/sys) ' /proc/mounts | wc -l", "4\n");
		world_sh_says(&w, "touch /usr/local/bin/x /rw/y && ls /rw", "home\nusrlocal\ny\n");
		W_INT(w.m->ops->stats(w.m, &stats), 0);
		W_TRUE(stats.start_time_ms > 0);
		W_TRUE(w.m->ops->pid(w.m) > 0);
		world_stop(&w);
	}
	/* What root of the box made is its id 0 on the disk; the template is as it was. */
	W_TRUE(world_host(&w, "test \"$(stat -c %u upper/made kept/home)\" = '0\n0'"));
	W_TRUE(world_host(&w, "test $(stat -c %u kept/home/user) = 1000"));
	W_TRUE(world_host(&w, "test \"$(cat layer/dir/file)\" = original -a ! -e layer/made"));
	W_TRUE(world_host(&w, "test -e kept/usrlocal/bin/x && ! ls -A upper | grep qube-"));
	W_TRUE(world_close(&w));
}

QTEST(local, processes_of_a_box_have_ids_of_its_range_on_the_host)
{
	struct world w;
	char path[64];
	struct stat st;

	NEED_WORLD(&w);
	if (world_start(&w)) {
		snprintf(path, sizeof(path), "grep -q '^Uid:.%u' /proc/%d/status", w.ids,
			 (int)w.m->ops->pid(w.m));
		W_TRUE(world_host(&w, path));
		snprintf(path, sizeof(path), "/proc/%d/root", (int)w.m->ops->pid(w.m));
		W_INT(stat(path, &st), 0);
	}
	W_TRUE(world_close(&w));
}

QTEST(local, every_namespace_is_the_boxs_own)
{
	static const char *const names[] = { "user", "mnt", "pid",    "net",
					     "ipc",  "uts", "cgroup", "time" };
	struct world w;
	char command[128];
	char host[64];

	NEED_WORLD(&w);
	if (world_start(&w)) {
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			ssize_t n;

			snprintf(command, sizeof(command), "/proc/self/ns/%s", names[i]);
			n = readlink(command, host, sizeof(host) - 1);
			host[n > 0 ? n : 0] = '\0';
			snprintf(command, sizeof(command),
				 "test $(readlink /proc/self/ns/%s) != '%s' && echo own", names[i],
				 host);
			world_sh_says(&w, command, "own\n");
		}
		world_sh_says(&w, "grep ^0:: /proc/self/cgroup || echo 0::/", "0::/\n");
	}
	W_TRUE(world_close(&w));
}

QTEST(local, a_root_that_is_thrown_away_and_a_root_that_is_one_directory_work)
{
	struct world w;

	NEED_WORLD(&w);
	w.spec.root.discard = true;
	w.spec.private_volume.kind = QUBE__VOLUME_TMPFS;
	free(w.spec.private_volume.upper);
	w.spec.private_volume.upper = NULL;
	w.spec.private_volume.size_bytes = 1 << 20;
	if (world_start(&w)) {
		world_sh_says(&w, "touch /x && grep -c volatile /proc/mounts", "1\n");
		world_stop(&w);
	}
	w.spec.root.kind = QUBE__VOLUME_TREE;
	w.spec.root.n_layers = 0;
	free(w.spec.root.layers[0]);
	free(w.spec.root.work);
	w.spec.root.work = NULL;
	free(w.spec.root.upper);
	w.spec.root.upper = strdup(w.layer);
	if (world_start(&w)) {
		world_sh_says(&w, "touch /y && stat -c %u /y", "0\n");
		world_stop(&w);
	}
	W_TRUE(world_host(&w, "test -e layer/y"));
	W_TRUE(world_close(&w));
}

/* Shifted layers and an overlay over them, on each kind of file system that a state may lie on. */
static void lives_on(const char *kind)
{
	static struct world w;
	const char *why = world_missing() ? world_missing() : world_open_on(&w, kind);

	if (why)
		QT_SKIP(why);
	if (world_start(&w)) {
		world_sh_says(&w, "mv /dir /moved && cat /moved/file /moved/sub/s",
			      "original\ns\n");
		world_sh_says(&w, "rm -r /moved && mkdir /moved && echo a >/moved/b && ls /moved",
			      "b\n");
		world_sh_says(&w, "chown 1000 /bin/busybox && stat -c %u:%g /bin/busybox",
			      "1000:0\n");
		world_sh_says(&w,
			      "echo own >/home/user/f; ln /home/user/f /home/user/g; "
			      "chown 1000:7 /home/user/f; stat -c %u:%g:%h /home/user/g",
			      "1000:7:2\n");
		world_stop(&w);
	}
	W_TRUE(world_host(&w, "test \"$(stat -c %u:%g kept/home/user/f)\" = 1000:7"));
	W_TRUE(world_host(&w, "test \"$(cat layer/dir/file)\" = original -a -e upper/moved/b"));
	w.spec.root.discard = true;
	if (world_start(&w)) {
		world_sh_says(&w, "cat /moved/b && echo c >/moved/b && cat /moved/b", "a\nc\n");
		world_stop(&w);
	}
	W_TRUE(world_close(&w));
}

QTEST(local, a_box_lives_on_btrfs)
{
	lives_on("btrfs");
}

QTEST(local, a_box_lives_on_xfs)
{
	lives_on("xfs");
}

QTEST(local, a_box_lives_on_ext4)
{
	lives_on("ext4");
}

QTEST(local, a_box_lives_in_memory)
{
	lives_on("tmpfs");
}

/* As in a container whose own root is an overlay. */
QTEST(local, a_file_system_that_shifts_no_ids_is_said)
{
	static struct world w;
	const char *why = world_missing() ? world_missing() : world_open_on(&w, "overlay");

	if (why)
		QT_SKIP(why);
	W_INT(qube__driver_local.create(w.driver, &w.m, &w, &w.spec), 0);
	W_TRUE(world_wait(&w, QUBE__MACHINE_FAILED, 20));
	W_INT(w.code, QUBE_E_NOTSUP);
	W_TRUE(strstr(w.failure, "has no idmapped mounts"));
	w.m->ops->release(w.m);
	w.m = NULL;
	W_TRUE(world_close(&w));
}

QTEST(local, the_agent_is_started_again_and_its_clean_end_is_the_guests_halt)
{
	struct world w;

	NEED_WORLD(&w);
	if (world_start(&w)) {
		free(world_ask(&w, "exit 9"));
		world_sh_says(&w, "echo back", "back\n");
		W_TRUE(strstr(w.log, "started again"));
		free(world_ask(&w, "exit 0"));
		W_TRUE(world_wait(&w, QUBE__MACHINE_STOPPED, 10));
		W_INT(w.status, 0);
	}
	W_TRUE(world_close(&w));
}

QTEST(local, an_agent_that_keeps_dying_ends_the_box)
{
	struct world w;

	NEED_WORLD(&w);
	if (world_start(&w)) {
		for (int i = 0; i < 6; i++)
			free(world_ask(&w, "exit 9"));
		W_TRUE(world_wait(&w, QUBE__MACHINE_STOPPED, 10));
		W_INT(w.status, 9);
	}
	W_TRUE(world_close(&w));
}

QTEST(local, shutdown_asks_and_kill_does_not)
{
	struct world w;

	NEED_WORLD(&w);
	if (world_start(&w)) {
		W_INT(w.m->ops->shutdown(w.m), 0);
		W_TRUE(world_wait(&w, QUBE__MACHINE_STOPPED, 10));
		W_INT(w.status, 0);
		W_INT(w.m->ops->kill(w.m), QUBE_E_STATE);
	}
	W_TRUE(world_close(&w));
}

QTEST(local, a_paused_box_does_nothing_and_can_be_killed)
{
	struct world w;
	int r;

	NEED_WORLD(&w);
	if (world_start(&w)) {
		r = w.m->ops->pause(w.m);
		if (r == QUBE_E_NOTSUP) {
			world_close(&w);
			QT_SKIP("no cgroup v2 here");
		}
		W_INT(r, 0);
		W_INT(w.m->ops->pause(w.m), QUBE_E_STATE);
		W_INT(w.m->ops->unpause(w.m), 0);
		world_sh_says(&w, "echo awake", "awake\n");
		W_INT(w.m->ops->pause(w.m), 0);
		W_TRUE(world_stop(&w));
	}
	W_TRUE(world_close(&w));
}

QTEST(local, a_machine_may_be_killed_at_any_moment)
{
	struct world w;

	NEED_WORLD(&w);
	for (int rounds = 0; rounds < 12; rounds++) {
		W_INT(qube__driver_local.create(w.driver, &w.m, &w, &w.spec), 0);
		for (int i = 0; i < rounds / 2; i++)
			qube__loop_dispatch(&w.loop, 2);
		if (!world_stop(&w))
			break;
	}
	W_TRUE(world_close(&w));
}

QTEST(local, closing_the_driver_ends_what_runs)
{
	struct world w;

	NEED_WORLD(&w);
	W_TRUE(world_start(&w));
	W_TRUE(world_close(&w));
}

QTEST(local, a_name_runs_once_and_limits_not_enforced_are_said)
{
	struct world w;
	struct qube__machine *other = NULL;
	const char *un;

	NEED_WORLD(&w);
	w.spec.memory_bytes = 64 << 20;
	w.spec.vcpus = 1;
	if (world_start(&w)) {
		W_INT(qube__driver_local.create(w.driver, &other, &w, &w.spec), QUBE_E_BUSY);
		W_TRUE(other == NULL);
		un = w.m->ops->unenforced(w.m);
		W_TRUE(strstr(un, "disk"));
		/* Either it is said, or the kernel has the number. */
		W_TRUE(strstr(un, "memory") ||
		       world_host(&w, "grep -qx 67108864 $(find $(awk '/ - cgroup2 /{print $5; "
				      "exit}' /proc/self/mountinfo) -path '*qube-box-test-*/"
				      "memory.max')"));
		world_sh_says(&w, "echo here", "here\n");
	}
	W_TRUE(world_close(&w));
}

static unsigned long long cookie_of(pid_t pid)
{
	unsigned long long cookie = 0;

	W_INT(prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, pid, PR_SCHED_CORE_SCOPE_THREAD, &cookie), 0);
	return cookie;
}

/* On most machines for tests the kernel has none, or the cores one thread. */
QTEST(local, a_box_shares_cores_with_no_other_or_says_so)
{
	struct world w;
	bool shared;
	bool can = qube__local_core_sched() == 0;

	NEED_WORLD(&w);
	shared = qube__local_cores_of(&w.spec) == QUBE__CORES_SHARED;
	if (world_start(&w)) {
		W_INT(strstr(w.m->ops->unenforced(w.m), "core-sched") != NULL, shared);
		if (can)
			W_TRUE(cookie_of(w.m->ops->pid(w.m)) != 0 &&
			       cookie_of(w.m->ops->pid(w.m)) != cookie_of(getpid()));
		world_stop(&w);
	}
	/* Not asked for: nothing is said, and it has none. */
	w.spec.flags |= QUBE__MACHINE_ANY_CORE;
	if (world_start(&w)) {
		W_TRUE(strstr(w.m->ops->unenforced(w.m), "core-sched") == NULL);
		if (can)
			W_INT(cookie_of(w.m->ops->pid(w.m)), 0);
	}
	W_TRUE(world_close(&w));
}

QTEST(local, log_lines_are_harmless_and_few)
{
	struct world w;

	NEED_WORLD(&w);
	if (world_start(&w)) {
		free(world_ask(&w, "log"));
		W_TRUE(world_stop(&w));
		W_TRUE(strstr(w.log, "box-test: line 0 \\x1b[31m"));
		W_TRUE(w.log_lines <= 102);
	}
	W_TRUE(world_close(&w));
}

QTEST(local, doctor_lists_what_is_needed)
{
	struct qube__check c[QUBE__CHECKS_MAX];
	size_t n = qube__local_check(c, "/nonexistent");
	int missing = 0;

	QT_TRUE(n >= 8 && n <= QUBE__CHECKS_MAX);
	for (size_t i = 0; i < n; i++) {
		QT_TRUE(c[i].detail[0]);
		if (strcmp(c[i].name, "qube-box") == 0 || strcmp(c[i].name, "qube-agent") == 0)
			missing += !c[i].ok;
	}
	QT_INT(missing, 2);
}

/* Not a promise: a number to look at. */
QTEST(local, prints_how_long_a_start_takes)
{
	struct world w;
	uint64_t best = UINT64_MAX;
	uint64_t sum = 0;

	NEED_WORLD(&w);
	for (int i = 0; i < 20; i++) {
		uint64_t start = qube__now_ns();
		uint64_t took;

		if (!world_start(&w))
			break;
		took = qube__now_ns() - start;
		sum += took;
		if (took < best)
			best = took;
		if (!world_stop(&w))
			break;
	}
	printf("start: best %.1f ms, mean %.1f ms\n", (double)best / 1e6, (double)sum / 20e6);
	W_TRUE(world_close(&w));
}
