/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "qtest.h"

#include "../disk.h"

#include "base/clock.h"
#include "base/error.h"
#include "driver/local/local.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

const char *world_missing(void)
{
	if (geteuid() != 0)
		return "needs root";
	if (access("/bin/busybox", X_OK) < 0)
		return "needs a static busybox";
	return NULL;
}

static bool run(const char *dir, const char *command)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (chdir(dir) < 0)
			_exit(125);
		execl("/bin/sh", "sh", "-ec", command, (char *)NULL);
		_exit(126);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

bool world_host(struct world *w, const char *command)
{
	return run(w->dir, command);
}

static void on_machine(void *user, struct qube__machine *m, void *machine_user,
		       enum qube__machine_event event, int status)
{
	struct world *w = user;

	(void)m;
	if (machine_user != w)
		qtest_fail(__FILE__, __LINE__, "event for a stranger");
	if (w->n_events < 8)
		w->events[w->n_events++] = (int)event;
	w->status = status;
	if (event == QUBE__MACHINE_FAILED) {
		snprintf(w->failure, sizeof(w->failure), "%s", qube_error_last()->message);
		w->os_errno = qube_error_last()->os_errno;
		w->code = qube_error_last()->code;
	}
}

static void on_log(void *user, int priority, const char *line)
{
	struct world *w = user;
	size_t n = strlen(w->log);

	(void)priority;
	w->log_lines++;
	snprintf(w->log + n, sizeof(w->log) - n, "%s\n", line);
}

static const char make_tree[] =
	"mkdir -m 700 run; mkdir libexec libexec/guest pool layer upper work kept empty\n"
	"ln -s " QUBE_TEST_BIN_DIR "/qube-box libexec/qube-box\n"
	"cp " QUBE_TEST_BIN_DIR "/../tests/local_probe libexec/qube-agent\n"
	"echo guest-program > libexec/guest/hello\n"
	"chmod 755 . upper kept; chmod 700 work\n"
	"cd layer; mkdir -p bin etc/skel dir/sub usr/bin root; cp /bin/busybox bin/busybox\n"
	"for a in sh cat ls mkdir rm mv cp chmod chown echo id stat touch ln df mount umount "
	"hostname ps kill sleep true false dd wc head grep sed find test ip env awk sort tr "
	"readlink mknod chroot su tail; do ln -s busybox bin/$a; done\n"
	"echo 'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh' > etc/passwd\n"
	"echo skel > etc/skel/.profile; echo original > dir/file; echo s > dir/sub/s\n";

static char *dup_path(const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		abort();
	return copy;
}

static void init_spec(struct world *w)
{
	static unsigned int worlds;

	snprintf(w->uuid, sizeof(w->uuid), "%08x-89ab-cdef-0123-456789abcdef",
		 ((unsigned int)getpid() << 10) + worlds++);
	w->spec = (struct qube__machine_spec){
		.name = "box-test",
		.uuid = w->uuid,
		.default_user = "user",
		.qid = 7,
		.id_base = WORLD_IDS,
		.pids_max = 64,
	};
	w->spec.root.kind = QUBE__VOLUME_LAYERED;
	w->spec.root.n_layers = 1;
	w->spec.root.layers[0] = dup_path(w->layer);
	w->spec.root.upper = dup_path(w->upper);
	w->spec.root.work = dup_path(w->work);
	w->spec.private_volume.kind = QUBE__VOLUME_TREE;
	w->spec.private_volume.upper = dup_path(w->kept);
	w->spec.volatile_volume.kind = QUBE__VOLUME_TMPFS;
	w->spec.volatile_volume.size_bytes = 4 << 20;
}

static void fini_volume(struct qube__volume_run *v)
{
	for (uint32_t i = 0; i < v->n_layers; i++)
		free(v->layers[i]);
	free(v->upper);
	free(v->work);
	*v = (struct qube__volume_run){ 0 };
}

static void forget(struct world *w)
{
	w->m->ops->release(w->m);
	w->m = NULL;
	w->n_events = 0;
}

static void *take(void *user, struct qube__machine *m, const struct qube__machine_found *f)
{
	struct world *w = user;

	if (strcmp(f->name, "box-test") || strcmp(f->uuid, w->spec.uuid) || f->qid != w->spec.qid ||
	    f->n_layers != 1 || strcmp(f->layers[0], "layer"))
		return NULL;
	w->m = m;
	w->found_paused = f->paused;
	w->found_bound = f->bound;
	return w;
}

static bool open_driver(struct world *w, bool adopt)
{
	char run_dir[128];
	char libexec[128];
	struct qube__driver_env env = { .loop = &w->loop,
					.run_dir = run_dir,
					.libexec_dir = libexec,
					.user = w,
					.on_machine = on_machine,
					.take = adopt ? take : NULL,
					.keep = w->keep,
					.log = on_log };

	snprintf(run_dir, sizeof(run_dir), "%s/run", w->dir);
	snprintf(libexec, sizeof(libexec), "%s/libexec", w->dir);
	if (qube__driver_local.open(&w->driver, &env) == 0)
		return true;
	qtest_fail(__FILE__, __LINE__, "open: %s", qube_error_last()->message);
	return false;
}

static bool make_dir(struct world *w)
{
	memset(w, 0, sizeof(*w));
	snprintf(w->dir, sizeof(w->dir), "/var/tmp/qube-box-test.XXXXXX");
	return mkdtemp(w->dir) != NULL;
}

static bool fill_dir(struct world *w)
{
	if (!run(w->dir, make_tree)) {
		qtest_fail(__FILE__, __LINE__, "cannot make a template in %s", w->dir);
		return false;
	}
	snprintf(w->layer, sizeof(w->layer), "%s/layer", w->dir);
	snprintf(w->upper, sizeof(w->upper), "%s/upper", w->dir);
	snprintf(w->work, sizeof(w->work), "%s/work", w->dir);
	snprintf(w->kept, sizeof(w->kept), "%s/kept", w->dir);
	init_spec(w);
	if (qube__loop_init(&w->loop) < 0)
		return false;
	return open_driver(w, false);
}

bool world_open(struct world *w)
{
	return make_dir(w) && fill_dir(w);
}

const char *world_open_on(struct world *w, const char *kind)
{
	const char *why;

	if (!make_dir(w))
		return "no temporary directory";
	why = disk_mount(w->dir, kind, 512);
	w->mounted = !why;
	if (!why && !fill_dir(w))
		why = "cannot open a driver there";
	if (why && !w->mounted)
		rmdir(w->dir);
	return why;
}

bool world_reopen(struct world *w, bool adopt)
{
	if (w->driver)
		w->driver->ops->close(w->driver);
	if (w->m)
		forget(w);
	return open_driver(w, adopt);
}

bool world_wait(struct world *w, int event, int seconds)
{
	uint64_t until = qube__now_ms() + (uint64_t)seconds * 1000;

	for (;;) {
		for (int i = 0; i < w->n_events; i++)
			if (w->events[i] == event)
				return true;
		if (w->n_events && w->events[w->n_events - 1] >= QUBE__MACHINE_FAILED)
			break;
		if (qube__now_ms() > until || qube__loop_dispatch(&w->loop, 50) < 0)
			break;
	}
	qtest_fail(__FILE__, __LINE__, "event %d did not come: failure '%s', status %d, log: %s",
		   event, w->failure, w->status, w->log);
	return false;
}

bool world_start(struct world *w)
{
	if (qube__driver_local.create(w->driver, &w->m, w, &w->spec) < 0) {
		qtest_fail(__FILE__, __LINE__, "create: %s", qube_error_last()->message);
		return false;
	}
	if (!world_wait(w, QUBE__MACHINE_HELD, 20))
		return false;
	if (w->m->ops->run(w->m) < 0) {
		qtest_fail(__FILE__, __LINE__, "run: %s", qube_error_last()->message);
		return false;
	}
	w->ids = qube__container_of(w->m, struct qube__local_machine, base)->id_base;
	return world_wait(w, QUBE__MACHINE_RUNNING, 20);
}

bool world_stop(struct world *w)
{
	if (w->m->ops->kill(w->m) < 0 || !world_wait(w, QUBE__MACHINE_STOPPED, 20))
		return false;
	forget(w);
	return true;
}

/* What died a moment ago may still hold it; an overlay lies on another mount at the same place. */
static bool unmount(const char *dir)
{
	uint64_t until = qube__now_ms() + 5000;

	for (;;) {
		if (umount2(dir, 0) == 0)
			continue;
		if (errno == EINVAL)
			return true;
		if (qube__now_ms() > until || poll(NULL, 0, 20) < 0)
			return false;
	}
}

/* What a machine may leave behind on this host. */
static bool left_behind(struct world *w)
{
	char command[256];
	bool clean;

	clean = run(w->dir, "test -z \"$(ls -A run)\"");
	if (!clean)
		qtest_fail(__FILE__, __LINE__, "the run directory is not empty");
	if (w->mounted && !unmount(w->dir)) {
		qtest_fail(__FILE__, __LINE__, "the file system at %s is in use", w->dir);
		clean = false;
	}
	if (!run(w->dir, "! grep -qF $PWD /proc/self/mountinfo")) {
		qtest_fail(__FILE__, __LINE__, "a mount is left");
		clean = false;
	}
	/* A box whose host was killed is reaped by the machine's init, in its own time. */
	snprintf(command, sizeof(command),
		 "for i in $(seq 100); do if grep -lqs '^Uid:.*\\b%u\\b' "
		 "/proc/[0-9]*/status; then sleep 0.1; else exit 0; fi; done; exit 1",
		 w->ids);
	if (w->ids && !run("/", command)) {
		qtest_fail(__FILE__, __LINE__, "a process is left");
		clean = false;
	}
	snprintf(command, sizeof(command),
		 "p=$(awk '/ - cgroup2 /{print $5; exit}' /proc/self/mountinfo); "
		 "test -z \"$p\" || test -z \"$(find $p -name 'qube-box-*-%.8s*')\"",
		 w->uuid);
	if (!run("/", command)) {
		qtest_fail(__FILE__, __LINE__, "a cgroup is left");
		clean = false;
	}
	return !clean;
}

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

bool world_close(struct world *w)
{
	int before = count_fds();
	bool left;

	if (w->driver)
		w->driver->ops->close(w->driver);
	if (w->m)
		w->m->ops->release(w->m);
	qube__loop_fini(&w->loop);
	fini_volume(&w->spec.root);
	fini_volume(&w->spec.private_volume);
	if (count_fds() >= before)
		qtest_fail(__FILE__, __LINE__, "closing closed nothing");
	left = left_behind(w);
	run("/", "true");
	if (!run(w->dir, "chmod -R u+rwx . ; d=$PWD; cd /; rm -rf \"$d\"")) {
		qtest_fail(__FILE__, __LINE__, "cannot remove %s", w->dir);
		left = true;
	}
	return !left;
}

static int connect_agent(struct world *w)
{
	uint64_t until = qube__now_ms() + 10000;
	int fd = -1;

	while (w->m->ops->control_connect(w->m, &fd) == QUBE_E_AGAIN && qube__now_ms() < until)
		qube__loop_dispatch(&w->loop, 10);
	return fd;
}

char *world_ask(struct world *w, const char *line)
{
	enum { MAX = 1 << 18 };
	uint64_t until = qube__now_ms() + 20000;
	char *out = calloc(1, MAX);
	size_t len = 0;
	int fd = connect_agent(w);

	if (!out || fd < 0 || write(fd, line, strlen(line)) < 0 || write(fd, "\n", 1) < 0) {
		qtest_fail(__FILE__, __LINE__, "cannot ask: %s", qube_error_last()->message);
		len = MAX;
	}
	while (len < MAX - 1 && qube__now_ms() < until) {
		ssize_t n = read(fd, out + len, MAX - 1 - len);

		if (n < 0 && errno == EAGAIN) {
			qube__loop_dispatch(&w->loop, 2);
			continue;
		}
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	return out;
}

bool world_sh_says(struct world *w, const char *command, const char *want)
{
	char line[4096];
	char *got;
	bool same;

	snprintf(line, sizeof(line), "sh %s", command);
	got = world_ask(w, line);
	same = got && strcmp(got, want) == 0;
	if (!same)
		qtest_fail(__FILE__, __LINE__, "'%s' says '%s', not '%s'", command, got, want);
	free(got);
	return same;
}
