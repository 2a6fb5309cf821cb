/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * In dom0: creations that fail, for each reason there is, and at each step that libxenlight takes;
 * and a helper that is killed at each of these. Nothing may be left of any.
 *
 *     xl-failures QUBE_XL STEPS KERNEL DISK
 *
 * STEPS is made of steps.c, KERNEL of tiny.S: no domain of these ever runs. With a file "all" in
 * its folder each step fails and is died at, else every other step fails and the rest is died at.
 */
#include "client.h"

#include <qube/error.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PICTURE_MAX = 64 << 10, SETTLE_MS = 20000, MEMORY_KB = 24 << 10 };

static const char steps_file[] = "/tmp/steps";
static const char hit_file[] = "/tmp/steps.hit";
static const char *disk;
static int stride;

/* What is there of domains, by witnesses that are not ours. */
static const char look[] = "xenstore-ls -fp 2>&1; losetup -a; cat /proc/mounts;"
			   "ls /var/lib/xen /var/run/xen /run /tmp";
static char before[PICTURE_MAX];
static char after[PICTURE_MAX];
static uint64_t free_before;

static void picture(char *to)
{
	FILE *f = popen(look, "re");
	size_t n = f ? fread(to, 1, PICTURE_MAX - 1, f) : 0;

	to[n] = '\0';
	if (!f || pclose(f) < 0 || !n || n == PICTURE_MAX - 1)
		need(false, "the witnesses speak");
}

static uint64_t free_kb(void)
{
	struct qube__xl_msg m = ask((struct qube__xl_msg){ .type = QUBE__XL_LIST });

	return m.code == 0 ? m.memory_kb : 0;
}

static void remember(void)
{
	picture(before);
	free_before = free_kb();
}

static void show_difference(void)
{
	FILE *f = fopen("/tmp/before", "we");

	if (f) {
		fputs(before, f);
		fclose(f);
	}
	f = popen("diff /tmp/before -", "we");
	if (f) {
		fputs(after, f);
		pclose(f);
	}
	printf("%d domains; free: %llu KiB, before: %llu KiB\n", client.n_domains,
	       (unsigned long long)free_kb(), (unsigned long long)free_before);
}

/* A domain's last pages are given back in the background. */
static void nothing_is_left(const char *of)
{
	uint64_t end = now_ms() + SETTLE_MS;

	for (;;) {
		bool free = free_kb() == free_before && !client.n_domains;

		if (free) {
			picture(after);
			if (!strcmp(before, after))
				return;
		}
		if (now_ms() > end)
			break;
		usleep(20000);
	}
	picture(after);
	show_difference();
	need(false, of);
}

static int count_fds(void)
{
	char path[32];
	DIR *d;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)client.helper);
	d = opendir(path);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static struct qube__xl_msg tiny(uint8_t number, const char *name, uint32_t kind)
{
	struct qube__xl_msg m = creation(number, name, kind);

	m.memory_kb = m.max_kb = MEMORY_KB;
	m.cmdline = "";
	m.n_disks = 1;
	m.disks[0] = (struct qube__xl_disk){ .slot = 0, .writable = true, .path = disk };
	return m;
}

/* --- reasons --- */

static void refused(struct qube__xl_msg m, const char *what)
{
	m = ask(m);
	printf("%s: %d, %s\n", what, m.code, m.code ? m.text : "");
	must(m.code < 0 && m.code != -1000 && *m.text, what);
	nothing_is_left(what);
}

/* A program for disks that does so, beside a helper of its own. */
static void with_program(const char *text, const char *what)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "cd /var/tmp/other && rm -f qube-block && if [ -n '%s' ]; then "
		 "printf '#!/bin/sh\\n%s\\n' >qube-block; chmod 755 qube-block; fi",
		 text, text);
	if (system(command) != 0)
		exit(1);
	refused(tiny(1, "one", QUBE__XL_PV), what);
}

static void reasons(void)
{
	const char *own = client.program;
	struct qube__xl_msg m;

	if (system("head -c 3000 /job/tiny >/var/tmp/short; head -c 65536 /dev/urandom "
		   ">/var/tmp/noise; : >/var/tmp/empty") != 0)
		exit(1);
	for (uint32_t kind = QUBE__XL_PV; kind <= QUBE__XL_PVH; kind++) {
		static const char *const kernels[] = { "/var/tmp/none", "/var/tmp/short",
						       "/var/tmp/noise", "/var/tmp/empty", "/tmp" };

		for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
			m = tiny(1, "one", kind);
			m.kernel = kernels[i];
			refused(m, kernels[i]);
		}
		m = tiny(1, "one", kind);
		m.ramdisk = "/var/tmp/none";
		refused(m, "threat_20 a ramdisk that is not there");
		m = tiny(1, "one", kind);
		m.memory_kb = m.max_kb = 64 << 20;
		refused(m, "threat_20 more memory than there is");
		m = tiny(1, "one", kind);
		m.memory_kb = m.max_kb = QUBE__XL_KB_MIN;
		m.kernel = "/lab/vmlinux";
		refused(m, "threat_20 less memory than its kernel needs");
	}
	m = tiny(1, "one", QUBE__XL_PV);
	m.disks[0].path = "/var/tmp/none";
	refused(m, "threat_20 a disk that is not there");
	m = tiny(1, "Domain-0", QUBE__XL_PV);
	refused(m, "threat_20 a name that another domain has");
	end_helper(SIGTERM);
	client.program = "/var/tmp/other/qube-xl";
	if (system("mkdir -p /var/tmp/other && cp /job/qube-xl /var/tmp/other/") != 0)
		exit(1);
	start_helper();
	with_program("", "threat_20 no program for disks");
	with_program("exit 1", "threat_20 a program for disks that fails");
	with_program("kill -9 $$", "threat_20 a program for disks that dies");
	end_helper(SIGTERM);
	client.program = own;
	start_helper();
}

/* --- steps --- */

static void order_step(const char *mode, int n)
{
	FILE *f = fopen(steps_file, "we");

	unlink(hit_file);
	if (!f || fprintf(f, "%s %d\n", mode, n) < 0 || fclose(f) != 0)
		exit(1);
}

/* "": none was. */
static void which_step(char *step, size_t cap)
{
	FILE *f = fopen(hit_file, "re");

	if (!f || !fgets(step, (int)cap, f))
		*step = '\0';
	if (f)
		fclose(f);
	unlink(hit_file);
}

/* Some are opened with the first domain, for all. */
static int fds_of_one_that_worked(uint32_t kind)
{
	order_step("none", 0);
	must(ask(tiny(1, "one", kind)).code == 0 && ask(of(QUBE__XL_KILL, 1)).code == 0,
	     "a domain comes and goes");
	nothing_is_left("a domain that came and went");
	return count_fds();
}

/* At step n; false: there is no such step, and the domain was created. */
static bool at_step(const char *mode, int n, uint32_t kind, struct qube__xl_msg *answer)
{
	char step[256];
	bool dead;

	order_step(mode, n);
	*answer = ask(tiny(1, "one", kind));
	which_step(step, sizeof(step));
	dead = answer->code == -1000;
	need(*step || answer->code == 0, "and with no failure it is created");
	if (*step)
		printf("%s %d %s: %d %s\n", mode, n, step, answer->code,
		       answer->code && !dead ? answer->text : "");
	need(answer->code == 0 || dead || *answer->text, "a reason is told");
	if (dead) {
		need(waitpid(client.helper, NULL, 0) == client.helper, step);
		start_helper();
	}
	if (free_kb() && client.n_domains)
		ask(of(QUBE__XL_KILL, 1));
	nothing_is_left(step);
	return *step;
}

/* A mkdir of what is there already, and such, fail nobody; and libxenlight does not bear that it
 * cannot fork. */
static int fail_at_each(uint32_t kind)
{
	int fds = fds_of_one_that_worked(kind);
	struct qube__xl_msg m;
	int borne = 0;
	int n;

	for (n = 1; at_step("fail", n, kind, &m); n += stride) {
		borne += m.code == 0;
		if (m.code == -1000)
			fds = fds_of_one_that_worked(kind);
		need(count_fds() == fds, "threat_20 no descriptor is left");
	}
	printf("of %d steps every %d. failed, %d of them mattered to nobody\n", n - 1, stride,
	       borne);
	return n - 1;
}

static int die_at_each(uint32_t kind)
{
	struct qube__xl_msg m;
	int n;

	for (n = stride; at_step("die", n, kind, &m); n += stride)
		need(m.code == -1000, "it was killed");
	printf("the helper was killed at every %d. of %d steps\n", stride, n - 1);
	return n - 1;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: xl-failures QUBE_XL STEPS KERNEL DISK\n");
		return 2;
	}
	client.program = argv[1];
	client.kernel = argv[3];
	client.ramdisk = "";
	disk = argv[4];
	stride = access("all", F_OK) == 0 ? 1 : 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	order_step("none", 0);
	start_helper();
	/* The first domain leaves empty folders that stay for the others. */
	must(ask(tiny(1, "one", QUBE__XL_PV)).code == 0 && ask(of(QUBE__XL_KILL, 1)).code == 0,
	     "a domain comes and goes");
	remember();
	reasons();
	end_helper(SIGTERM);
	setenv("STEPS_FILE", steps_file, 1);
	client.preload = argv[2];
	start_helper();
	must(fail_at_each(QUBE__XL_PVH) > 50,
	     "threat_20 nothing is left of what failed at any step");
	must(die_at_each(QUBE__XL_PV) > 50,
	     "threat_20 threat_34 nor of what a helper began that was killed at any step");
	end_helper(SIGTERM);
	return 0;
}
