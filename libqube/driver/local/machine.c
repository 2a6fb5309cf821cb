/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Making a machine and unmaking it. Whatever a step made is undone by qube__local_free() or when
 * the machine ends (watch.c), so a failure at any step leaves nothing behind. */
#include "driver/local/facts.h"
#include "driver/local/local.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

_Static_assert((int)QUBE__BOX_VOLUME_LAYERED == (int)QUBE__VOLUME_LAYERED &&
		       (int)QUBE__BOX_VOLUME_TREE == (int)QUBE__VOLUME_TREE &&
		       (int)QUBE__BOX_VOLUME_TMPFS == (int)QUBE__VOLUME_TMPFS &&
		       (int)QUBE__BOX_LAYERS_MAX == (int)QUBE__LAYERS_MAX,
	       "volumes travel as they are");
_Static_assert((int)QUBE__BOX_ROLE_NET == (int)QUBE__ROLE_NET &&
		       (int)QUBE__BOX_USERNS == (int)QUBE__MACHINE_USERNS &&
		       (int)QUBE__BOX_NEW_PRIVS == (int)QUBE__MACHINE_NEW_PRIVS &&
		       (int)QUBE__BOX_WAIT == (int)QUBE__MACHINE_WAIT,
	       "roles and flags travel as they are");

enum { PIDS_DEFAULT = 4096, BACKLOG = 16, LAUNCHER_MS = 1000 };

static void put_volume(struct qube__box_volume *out, const struct qube__volume_run *v)
{
	*out = (struct qube__box_volume){
		.kind = v->kind,
		.n_layers = v->n_layers,
		.read_only = v->read_only,
		.discard = v->discard,
		.size_bytes = v->size_bytes,
		.upper = v->upper,
		.work = v->work,
	};
	for (uint32_t i = 0; i < v->n_layers && i < QUBE__LAYERS_MAX; i++)
		out->layers[i] = v->layers[i];
}

/* The bytes of the SPEC message; what qube-box would refuse is refused here already. */
static int encode_spec(struct qube__local_machine *m, uint8_t *bytes, size_t *len,
		       const struct qube__machine_spec *s)
{
	struct qube__box_spec spec = {
		.name = m->name,
		.user = s->default_user,
		.guest_dir = m->d->guest_dir,
		.services = s->services,
		.id_base = m->id_base,
		.role = s->role,
		.flags = s->flags & QUBE__BOX_FLAGS & ~(uint32_t)QUBE__BOX_CORES,
		.pids_max = s->pids_max ? s->pids_max : PIDS_DEFAULT,
	};
	struct qube__box_spec check;
	qube__autofree char *scratch = qube__text_format("%s/%s", m->d->run_dir, m->name);

	if (!scratch)
		return qube__fail_nomem();
	spec.scratch = scratch;
	if (qube__local_cores_of(s) == QUBE__CORES_APART)
		spec.flags |= QUBE__BOX_CORES;
	put_volume(&spec.root, &s->root);
	put_volume(&spec.private_volume, &s->private_volume);
	put_volume(&spec.volatile_volume, &s->volatile_volume);
	if (qube__box_spec_encode(bytes, QUBE__BOX_SPEC_MAX, len, &spec) < 0)
		return qube__fail(QUBE_E_LIMIT, "the paths of %s's volumes are too long", m->name);
	if (qube__box_spec_decode(&check, bytes, *len) < 0)
		return qube__fail(QUBE_E_INVALID, "%s: not a machine that can be made", m->name);
	return 0;
}

/* A UNIX socket's path has at most 107 bytes: it is named through the directory's descriptor. */
int qube__local_address(struct sockaddr_un *a, int dir_fd, const char *name)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/%s", dir_fd, name);
}

static int listen_at(struct qube__local_machine *m, int type, const char *name)
{
	qube__autofd s = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a;

	if (s < 0)
		return qube__fail_os("cannot make the %s of %s", name, m->name);
	if (unlinkat(m->dir_fd, name, 0) < 0 && errno != ENOENT)
		return qube__fail_os("cannot remove an old %s of %s", name, m->name);
	qube__local_address(&a, m->dir_fd, name);
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, BACKLOG) < 0)
		return qube__fail_os("cannot listen at the %s of %s", name, m->name);
	return qube__steal_fd(&s);
}

static int make_dir(struct qube__local_machine *m)
{
	int r = qube__io_mkdir(m->d->run_fd, m->name, 0700);

	if (r < 0)
		return r;
	m->dir_fd = openat(m->d->run_fd, m->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (m->dir_fd < 0 || fchmod(m->dir_fd, 0700) < 0)
		return qube__fail_os("cannot open the run directory of %s", m->name);
	r = qube__local_claim(m);
	if (r == 0 && faccessat(m->dir_fd, "record", F_OK, 0) == 0)
		r = qube__fail(QUBE_E_BUSY,
			       "%s runs on from a host that died: the next one that "
			       "is opened adopts it",
			       m->name);
	if (r < 0) {
		/* Its files are not ours to remove. */
		qube__close_fd(&m->dir_fd);
		m->name[0] = '\0';
	}
	return r;
}

/* fds: the control socket, the driver's, the log, the socket for later drivers. */
static int spawn_box(struct qube__local_machine *m, int control, int sock, int log, int later)
{
	static const char *const argv[] = { "qube-box", NULL };
	/* The box is born inside its group: moving a process there can take 15 ms. */
	int fds[QUBE__BOX_FD_COUNT] = {
		-1, -1, log, control, sock, m->d->agent_fd, m->group_fd, later, m->log_fd,
	};
	struct qube__spawn s = {
		.path = m->d->box_path,
		.exec_fd = -1,
		.argv = argv,
		.fds = fds,
		.n_fds = QUBE__BOX_FD_COUNT,
		.flags = QUBE__SPAWN_SETSID,
		.cgroup_fd = -1,
	};

	return qube__spawn(&m->launcher, &s);
}

static int start(struct qube__local_machine *m, const uint8_t *bytes, size_t len)
{
	qube__autofd control = -1;
	qube__autofd theirs = -1;
	qube__autofd log = -1;
	qube__autofd later = -1;
	int pair[2];

	control = listen_at(m, SOCK_STREAM, "control.sock");
	if (control < 0)
		return control;
	later = listen_at(m, SOCK_SEQPACKET, "box.sock");
	if (later < 0)
		return later;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return qube__fail_os("cannot make a socket pair");
	m->sock = pair[0];
	theirs = pair[1];
	/* Nobody may read it for a while: a full pipe then loses lines, and holds up nobody. */
	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
		return qube__fail_os("cannot make a log pipe");
	m->log_fd = pair[0];
	log = pair[1];
	if (qube__io_send_fds(m->sock, bytes, len, NULL, 0) != (ssize_t)len)
		return qube__fail_os("cannot send the specification of %s", m->name);
	return spawn_box(m, control, theirs, log, later);
}

static int build(struct qube__local_machine *m, const struct qube__machine_spec *spec)
{
	qube__autofree uint8_t *bytes = malloc(QUBE__BOX_SPEC_MAX);
	struct qube__list *pos;
	size_t len;
	int r;

	if (!bytes)
		return qube__fail_nomem();
	if (!spec->name || qube__text_copy(m->name, sizeof(m->name), spec->name) < 0)
		return qube__fail(QUBE_E_INVALID, "a machine needs a name of at most 63 bytes");
	qube__list_foreach (pos, &m->d->machines) {
		struct qube__local_machine *other =
			qube__container_of(pos, struct qube__local_machine, link);

		if (other != m && other->state != QUBE__LOCAL_GONE &&
		    strcmp(other->name, m->name) == 0) {
			m->name[0] = '\0'; /* its files are not ours to remove */
			return qube__fail(QUBE_E_BUSY, "%s is already running", spec->name);
		}
	}
	r = qube__local_ids_take(&m->id_base, &m->d->ids, spec->id_base);
	if (r == 0)
		r = encode_spec(m, bytes, &len, spec);
	if (r < 0) {
		m->name[0] = '\0';
		return r;
	}
	r = make_dir(m);
	if (r == 0)
		r = qube__local_cgroup_make(m, spec);
	if (r == 0)
		r = qube__local_note_group(m);
	if (r == 0)
		r = qube__local_record_fill(m, spec);
	if (r == 0)
		r = start(m, bytes, len);
	m->waits = spec->flags & QUBE__MACHINE_WAIT;
	if (r == 0)
		r = qube__local_watch(m);
	return r;
}

int qube__local_new(struct qube__local_machine **out, struct qube__local_driver *d)
{
	struct qube__local_machine *m = calloc(1, sizeof(*m));

	if (!m)
		return qube__fail_nomem();
	m->base.ops = &qube__driver_local;
	m->d = d;
	m->group_fd = m->groups_fd = m->dir_fd = m->sock = m->log_fd = -1;
	m->launcher.pidfd = m->box.pidfd = -1;
	d->refs++;
	qube__list_append(&d->machines, &m->link);
	*out = m;
	return 0;
}

int qube__local_create(struct qube__driver *base, struct qube__machine **out, void *machine_user,
		       const struct qube__machine_spec *spec)
{
	struct qube__local_driver *d = qube__container_of(base, struct qube__local_driver, base);
	struct qube__local_machine *m;
	int r = qube__local_new(&m, d);

	if (r < 0)
		return r;
	m->user = machine_user;
	r = build(m, spec);
	if (r < 0) {
		struct qube__err err;

		qube__err_save(&err);
		qube__local_end_now(m, qube__now_ms() + 2000);
		qube__local_free(m);
		return qube__err_restore(&err);
	}
	*out = &m->base;
	return 0;
}

int qube__local_order(struct qube__local_machine *m, uint32_t type, uint32_t grace_ms)
{
	struct qube__box_order o = {
		.type = type,
		.grace_ms = grace_ms,
		.version = m->box_version,
	};
	uint8_t bytes[32];
	size_t len;

	if (o.version && !qube__box_version_ok(o.version))
		return qube__fail(QUBE_E_NOTSUP,
				  "the box of %s speaks protocol %u, this host %d to %d: it can "
				  "only be killed",
				  m->name, o.version, QUBE__BOX_VERSION_MIN, QUBE__BOX_VERSION);
	if (qube__box_order_encode(bytes, sizeof(bytes), &len, &o) < 0 ||
	    qube__io_send_fds(m->sock, bytes, len, NULL, 0) != (ssize_t)len)
		return qube__fail_os("cannot talk to the box of %s", m->name);
	return 0;
}

void qube__local_signal(const struct qube__child *c)
{
	if (c->pid && c->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
}

int qube__local_kill(struct qube__local_machine *m)
{
	qube__local_cgroup_kill(m);
	/* Between making the box and telling its pid the launcher must not be killed: the box is
	 * our child then, and nobody would know whom to reap. It takes milliseconds; BORN kills. */
	if (m->box.pidfd < 0)
		return 0;
	/* Also without a group: all in its pid namespace end with the box's PID 1. */
	qube__local_signal(&m->box);
	qube__local_signal(&m->launcher);
	return 0;
}

/* A box that was born while nobody read the socket. */
static void adopt_born(struct qube__local_machine *m)
{
	uint8_t bytes[QUBE__BOX_REPLY_MAX];
	struct qube__box_reply reply;
	int fd;

	for (;;) {
		size_t n = 1;
		ssize_t len;

		fd = -1;
		len = m->sock < 0 ? 0 : qube__io_recv_fds(m->sock, bytes, sizeof(bytes), &fd, &n);
		if (len <= 0)
			return;
		if (n && m->box.pidfd < 0 &&
		    qube__box_reply_decode(&reply, bytes, (size_t)len) == 0 &&
		    reply.type == QUBE__BOX_BORN) {
			m->box = (struct qube__child){ .pid = reply.status, .pidfd = fd };
			qube__local_signal(&m->box);
		} else if (n) {
			close(fd);
		}
	}
}

static void wait_child(struct qube__child *c, uint64_t until_ms)
{
	struct pollfd p = { .fd = c->pidfd, .events = POLLIN };

	while (c->pid) {
		uint64_t now = qube__now_ms();
		int left = now >= until_ms ? 0 : (int)(until_ms - now);
		int n = poll(&p, 1, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* somewhere in the kernel: it will go when it can */
		qube__child_reap(c);
		c->pid = 0;
	}
}

void qube__local_end_now(struct qube__local_machine *m, uint64_t until_ms)
{
	qube__local_unwatch(m);
	m->killed = true;
	qube__local_kill(m);
	wait_child(&m->launcher, until_ms);
	qube__local_signal(&m->launcher); /* if it hangs */
	wait_child(&m->launcher, until_ms + 100);
	adopt_born(m);
	wait_child(&m->box, until_ms);
	while (qube__local_cgroup_remove(m) == QUBE_E_BUSY && qube__now_ms() < until_ms)
		poll(NULL, 0, 2);
	m->state = QUBE__LOCAL_GONE;
}

/* Those of a box that hangs on its way out stay until it is gone. */
static void give_ids(struct qube__local_machine *m)
{
	struct pollfd p = { .fd = m->box.pidfd, .events = POLLIN };
	bool gone = p.fd < 0 || poll(&p, 1, 0) > 0;

	/* Not what a claim of ours says of late: another machine may have them by now. */
	if (m->id_base && (gone || !m->id_pid))
		qube__local_ids_give(&m->d->ids, m->id_base, m->id_pid ? m->id_pid : getpid());
	m->id_base = 0;
}

void qube__local_clean(struct qube__local_machine *m)
{
	struct qube__local_driver *d = m->d;

	qube__local_unwatch(m);
	give_ids(m);
	qube__close_fd(&m->sock);
	qube__close_fd(&m->log_fd);
	qube__close_fd(&m->launcher.pidfd);
	qube__close_fd(&m->box.pidfd);
	qube__local_cgroup_remove(m);
	qube__close_fd(&m->group_fd);
	qube__close_fd(&m->groups_fd);
	if (m->dir_fd >= 0) {
		unlinkat(m->dir_fd, "control.sock", 0);
		unlinkat(m->dir_fd, "box.sock", 0);
		unlinkat(m->dir_fd, "record", 0);
	}
	/* A group that stayed is noted for the next host. */
	if (!m->group[0])
		qube__local_forget_group(m);
	qube__close_fd(&m->dir_fd);
	if (m->name[0])
		unlinkat(d->run_fd, m->name, AT_REMOVEDIR); /* core may keep files there */
	m->name[0] = '\0';
	m->state = QUBE__LOCAL_GONE;
}

void qube__local_leave(struct qube__local_machine *m)
{
	qube__local_unwatch(m);
	/* Our child, and at its end since the box is held. */
	wait_child(&m->launcher, qube__now_ms() + LAUNCHER_MS);
	/* What has no name and no directory here is not cleaned. */
	m->name[0] = '\0';
	m->group[0] = '\0';
	m->id_base = 0;
	qube__close_fd(&m->dir_fd);
	m->box.pid = 0;
	qube__local_clean(m);
}

void qube__local_free(struct qube__local_machine *m)
{
	struct qube__local_driver *d = m->d;

	qube__local_clean(m);
	qube__list_remove(&m->link);
	free(m->record);
	free(m);
	qube__local_unref(d);
}
