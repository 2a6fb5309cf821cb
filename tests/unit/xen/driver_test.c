/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The xen driver with a helper that only says that there are domains. */
#include "qtest.h"

#include "base/clock.h"
#include "base/io.h"
#include "driver/xen/xen.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAIT_MS = 10000, EVENTS = 16 };

static const char uuid[] = "12345678-1234-1234-1234-1234567890ab";

struct rig {
	struct qube__loop loop;
	struct qube__driver_env env;
	struct qube__driver *d;
	struct qube__machine *m;
	char dir[64];
	char boxes[96];
	int back; /* folder that the test was in */
	int events[EVENTS];
	size_t n_events;
	int status; /* of the last */
	char why[256];
	bool take;
	struct qube__machine *found;
	char found_name[64];
	bool found_paused;
};

static void on_machine(void *user, struct qube__machine *m, void *machine_user,
		       enum qube__machine_event event, int status)
{
	struct rig *r = user;

	r->status = status;
	QT_TRUE(machine_user == r && (!r->m || m == r->m));
	if (r->n_events < EVENTS)
		r->events[r->n_events++] = (int)event;
	if (event == QUBE__MACHINE_FAILED)
		snprintf(r->why, sizeof(r->why), "%s", qube_error_last()->message);
}

static void *take(void *user, struct qube__machine *m, const struct qube__machine_found *f)
{
	struct rig *r = user;

	if (!r->take)
		return NULL;
	r->found = m;
	r->found_paused = f->paused;
	snprintf(r->found_name, sizeof(r->found_name), "%s/%s", f->name,
		 f->n_layers ? f->layers[0] : "");
	return strcmp(f->uuid, uuid) ? NULL : r;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	QT_TRUE(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void link_program(const struct rig *r, const char *name, const char *to)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", r->dir, name);
	QT_INT(symlink(to, path), 0);
}

static int open_driver(struct rig *r)
{
	return qube__xen_start(&r->d, &r->env);
}

static void rig_open(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	snprintf(r->dir, sizeof(r->dir), "/tmp/xenrig.XXXXXX");
	QT_TRUE(mkdtemp(r->dir) != NULL);
	snprintf(r->boxes, sizeof(r->boxes), "%s/boxes", r->dir);
	r->back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	QT_INT(chdir(r->dir), 0);
	mkdir("boxes", 0700);
	mkdir("kernels", 0700);
	mkdir("kernels/k", 0700);
	put("kernels/k/vmlinuz", "k");
	put("kernels/k/initramfs", "i");
	link_program(r, "qube-xl", QUBE_FAKE_XL);
	link_program(r, "qube-vchan", QUBE_TEST_BIN_DIR "/qube-vchan");
	qube__loop_init(&r->loop);
	r->env = (struct qube__driver_env){ .loop = &r->loop,
					    .run_dir = r->boxes,
					    .state_dir = r->dir,
					    .libexec_dir = r->dir,
					    .user = r,
					    .on_machine = on_machine,
					    .take = take };
	QT_INT(open_driver(r), 0);
}

static void rig_close(struct rig *r)
{
	char command[128];

	qube__driver_xen.close(r->d);
	if (r->m)
		qube__driver_xen.release(r->m);
	qube__loop_fini(&r->loop);
	QT_INT(fchdir(r->back), 0);
	close(r->back);
	snprintf(command, sizeof(command), "rm -rf %s", r->dir);
	QT_INT(system(command), 0);
}

static int create(struct rig *r, const char *kernel, const char *mode)
{
	struct qube__machine_spec spec = {
		.name = "work",
		.uuid = uuid,
		.qid = 7,
		.memory_bytes = 256ull << 20,
		.kernel = kernel,
		.virt_mode = mode,
	};
	struct qube__volume_run root = { .kind = QUBE__VOLUME_BLOCK, .read_only = true };

	root.upper = "/images/abc.img";
	spec.root = root;
	return qube__driver_xen.create(r->d, &r->m, r, &spec);
}

/* The n-th thing that happened. */
static int event(struct rig *r, size_t n)
{
	uint64_t end = qube__now_ms() + WAIT_MS;

	while (r->n_events <= n && qube__now_ms() < end)
		qube__loop_dispatch(&r->loop, 100);
	return r->n_events > n ? r->events[n] : 0;
}

static int domains(void)
{
	int fd = open("domains", O_RDONLY | O_CLOEXEC);
	char there[16 * 8300];
	ssize_t n = fd < 0 ? 0 : read(fd, there, sizeof(there));
	int count = 0;

	close(fd);
	for (ssize_t i = 0; i + n / 16 <= n; i += n / 16)
		count += there[i];
	return count;
}

static bool is_marked(void)
{
	char path[96];

	snprintf(path, sizeof(path), "boxes/%s.domain", uuid);
	return access(path, F_OK) == 0;
}

static void start(struct rig *r)
{
	QT_INT(create(r, "k", "pvh"), 0);
	QT_INT(event(r, 0), QUBE__MACHINE_HELD);
	QT_INT(qube__driver_xen.run(r->m), 0);
	QT_INT(event(r, 1), QUBE__MACHINE_RUNNING);
}

QTEST(xen_driver, a_machine_is_held_runs_and_stops_when_its_guest_does)
{
	struct rig r;

	rig_open(&r);
	start(&r);
	QT_TRUE(is_marked());
	QT_INT((int)qube__driver_xen.domain(r.m), 10);
	QT_INT(qube__driver_xen.run(r.m), QUBE_E_STATE);
	QT_INT(qube__driver_xen.pause(r.m), 0);
	QT_INT(qube__driver_xen.pause(r.m), QUBE_E_STATE);
	QT_INT(qube__driver_xen.shutdown(r.m), QUBE_E_STATE);
	QT_INT(qube__driver_xen.unpause(r.m), 0);
	QT_INT(qube__driver_xen.shutdown(r.m), 0);
	QT_INT(event(&r, 2), QUBE__MACHINE_STOPPED);
	QT_STR(qube__driver_xen.end_text(r.status), "it was switched off from inside");
	QT_INT(domains(), 0);
	QT_TRUE(!is_marked());
	rig_close(&r);
}

/* The machine is gone, and nothing else would take it away. */
QTEST(xen_driver, threat_21_a_channel_that_does_not_end_with_its_machine_is_killed)
{
	struct qube__xen_driver *d;
	struct qube__xen_channel *c;
	struct rig r;
	uint64_t end;
	char word[8] = "";
	int fd;

	rig_open(&r);
	QT_INT(unlink("qube-vchan"), 0);
	put("qube-vchan", "#!/bin/sh\ntrap '' TERM\necho up >&4\nexec sleep 600\n");
	QT_INT(chmod("qube-vchan", 0700), 0);
	start(&r);
	d = ((struct qube__xen_machine *)(void *)r.m)->d;
	QT_INT(qube__driver_xen.control_connect(r.m, &fd), 0);
	QT_INT(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, WAIT_MS), 1);
	QT_INT(read(fd, word, sizeof(word) - 1), 3);
	QT_STR(word, "up\n");
	QT_INT(qube__driver_xen.shutdown(r.m), 0);
	QT_INT(event(&r, 2), QUBE__MACHINE_STOPPED);
	QT_TRUE(!qube__list_empty(&d->channels));
	c = qube__container_of(d->channels.next, struct qube__xen_channel, link);
	QT_TRUE(c->too_long.at_ms > qube__now_ms() + 1000 &&
		c->too_long.at_ms < qube__now_ms() + 60000);
	qube__timer_set(&r.loop, &c->too_long, qube__now_ms());
	end = qube__now_ms() + WAIT_MS;
	while (!qube__list_empty(&d->channels) && qube__now_ms() < end)
		qube__loop_dispatch(&r.loop, 100);
	QT_TRUE(qube__list_empty(&d->channels));
	close(fd);
	rig_close(&r);
}

QTEST(xen_driver, the_kernels_image_of_modules_is_a_disk_that_is_only_read)
{
	struct rig r;
	char expected[160];
	char got[160] = "";
	int fd;

	rig_open(&r);
	put("kernels/k/modules.img", "m");
	start(&r);
	fd = open("disks", O_RDONLY | O_CLOEXEC);
	QT_TRUE(fd >= 0 && read(fd, got, sizeof(got) - 1) > 0);
	close(fd);
	snprintf(expected, sizeof(expected),
		 "0 ro /images/abc.img\n3 ro %s/kernels/k/modules.img\n", r.dir);
	QT_STR(got, expected);
	rig_close(&r);
}

QTEST(xen_driver, what_cannot_be_made_is_refused_with_the_reason)
{
	struct rig r;

	rig_open(&r);
	QT_INT(create(&r, "k", "hvm"), QUBE_E_NOTSUP);
	QT_TRUE(strstr(qube_error_last()->message, "stub domain") != NULL);
	QT_INT(create(&r, "", "pvh"), QUBE_E_STATE);
	QT_INT(create(&r, "../k", "pvh"), QUBE_E_INVALID);
	QT_INT(create(&r, "other", "pvh"), QUBE_E_NOENT);
	QT_TRUE(strstr(qube_error_last()->message, "kernels/other/vmlinuz") != NULL);
	put("behave", "fail 2");
	QT_INT(create(&r, "k", "pv"), 0);
	QT_INT(event(&r, 0), QUBE__MACHINE_FAILED);
	QT_STR(r.why, "Xen: it has \\x1b[1mno memory");
	QT_TRUE(!is_marked());
	rig_close(&r);
}

QTEST(xen_driver, threat_34_nothing_is_left_of_a_creation_whose_helper_dies)
{
	static const char *const ways[] = { "die 2", "half 2", "after 2" };

	for (int i = 0; i < 3; i++) {
		struct rig r;

		rig_open(&r);
		put("behave", ways[i]);
		QT_INT(create(&r, "k", "pvh"), 0);
		QT_INT(event(&r, 0), QUBE__MACHINE_FAILED);
		QT_TRUE(strstr(r.why, "qube-xl") != NULL);
		QT_INT(domains(), 0);
		QT_TRUE(!is_marked());
		rig_close(&r);
	}
}

QTEST(xen_driver, threat_34_what_was_ordered_is_done_though_the_helper_dies)
{
	static const char *const ways[] = { "die 3", "after 3", "die 6", "after 6" };

	for (int i = 0; i < 4; i++) {
		struct rig r;

		rig_open(&r);
		put("behave", ways[i]);
		start(&r);
		QT_INT(qube__driver_xen.kill(r.m), 0);
		QT_INT(qube__driver_xen.kill(r.m), 0);
		QT_INT(event(&r, 2), QUBE__MACHINE_STOPPED);
		QT_INT(domains(), 0);
		rig_close(&r);
	}
}

QTEST(xen_driver, threat_34_a_domain_that_vanished_with_the_helper_is_missed)
{
	struct rig r;

	rig_open(&r);
	start(&r);
	unlink("domains");
	kill(qube__container_of(r.d, struct qube__xen_driver, base)->keeper.child.pid, SIGKILL);
	QT_INT(event(&r, 2), QUBE__MACHINE_STOPPED);
	QT_STR(qube__driver_xen.end_text(r.status), "its domain was destroyed");
	rig_close(&r);
}

QTEST(xen_driver, a_machine_is_killed_while_it_is_created)
{
	struct rig r;

	rig_open(&r);
	QT_INT(create(&r, "k", "pvh"), 0);
	QT_INT(qube__driver_xen.kill(r.m), 0);
	QT_INT(event(&r, 0), QUBE__MACHINE_STOPPED);
	QT_INT(domains(), 0);
	rig_close(&r);
}

QTEST(xen_driver, a_list_from_before_a_machine_was_made_does_not_end_it)
{
	struct qube__machine_stats stats;
	uint64_t end;
	uint64_t total;
	uint64_t unused;
	struct rig r;

	rig_open(&r);
	put("behave", "slow 1");
	QT_INT(qube__driver_xen.host_memory(r.d, &total, &unused), 0);
	QT_INT((int)total, 4000);
	qube__loop_dispatch(&r.loop, 100);
	start(&r);
	QT_TRUE(access("behave", F_OK) < 0);
	end = qube__now_ms() + 600;
	while (qube__now_ms() < end)
		qube__loop_dispatch(&r.loop, 50);
	QT_INT((int)r.n_events, 2);
	QT_INT(qube__driver_xen.stats(r.m, &stats), 0);
	rig_close(&r);
}

QTEST(xen_driver, who_closes_hears_nothing_and_leaves_nothing)
{
	struct rig r;

	rig_open(&r);
	start(&r);
	qube__driver_xen.close(r.d);
	QT_INT((int)r.n_events, 2);
	QT_INT(domains(), 0);
	QT_TRUE(!is_marked());
	qube__driver_xen.release(r.m);
	r.m = NULL;
	r.n_events = 0;
	QT_INT(open_driver(&r), 0);
	rig_close(&r);
}

/* Leaves r without a driver. */
static void close_kept(struct rig *r)
{
	qube__container_of(r->d, struct qube__xen_driver, base)->env.keep = true;
	qube__driver_xen.close(r->d);
	qube__driver_xen.release(r->m);
	r->m = NULL;
	r->n_events = 0;
}

QTEST(xen_driver, the_next_host_has_a_machine_back)
{
	struct rig r;

	rig_open(&r);
	start(&r);
	QT_INT(qube__driver_xen.pause(r.m), 0);
	qube__loop_dispatch(&r.loop, 200);
	close_kept(&r);
	r.take = true;
	QT_INT(open_driver(&r), 0);
	QT_STR(r.found_name, "work/abc.img");
	QT_TRUE(r.found_paused);
	r.m = r.found;
	QT_INT(qube__driver_xen.unpause(r.m), 0);
	QT_INT(qube__driver_xen.shutdown(r.m), 0);
	QT_INT(event(&r, 0), QUBE__MACHINE_STOPPED);
	rig_close(&r);
}

QTEST(xen_driver, the_next_host_ends_what_nobody_wants_and_what_never_ran)
{
	for (int ran = 0; ran < 2; ran++) {
		uint64_t end = qube__now_ms() + WAIT_MS;
		struct rig r;

		rig_open(&r);
		if (ran)
			start(&r);
		else
			QT_INT(create(&r, "k", "pvh"), 0);
		QT_INT(event(&r, 0), QUBE__MACHINE_HELD);
		/* As if the host had died. */
		qube__container_of(r.m, struct qube__xen_machine, base)->state = QUBE__XEN_RUNNING;
		close_kept(&r);
		QT_INT(domains(), 1);
		r.take = !ran;
		QT_INT(open_driver(&r), 0);
		while (is_marked() && qube__now_ms() < end)
			qube__loop_dispatch(&r.loop, 100);
		QT_INT(domains(), 0);
		QT_TRUE(!is_marked());
		QT_TRUE(r.found == NULL);
		rig_close(&r);
	}
}

/* What is not known of them is no reason to forget them. */
QTEST(xen_driver, threat_34_a_host_that_is_not_told_its_domains_does_not_open)
{
	static const char *const ways[] = { "die 1", "fail 1" };

	for (int i = 0; i < 2; i++) {
		struct rig r;

		rig_open(&r);
		start(&r);
		close_kept(&r);
		put("behave", ways[i]);
		r.take = true;
		QT_TRUE(open_driver(&r) < 0);
		QT_TRUE(strstr(qube_error_last()->message, "which domains there are") != NULL);
		QT_TRUE(is_marked());
		QT_INT(open_driver(&r), 0);
		QT_TRUE(r.found != NULL);
		r.m = r.found;
		rig_close(&r);
	}
}

QTEST(xen_driver, another_host_s_domains_are_left_alone)
{
	struct rig r;
	char mark[96];

	rig_open(&r);
	start(&r);
	close_kept(&r);
	snprintf(mark, sizeof(mark), "boxes/%s.domain", uuid);
	unlink(mark);
	r.take = true;
	QT_INT(open_driver(&r), 0);
	QT_TRUE(r.found == NULL);
	QT_INT(domains(), 1);
	rig_close(&r);
}
