/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the loop hears of a machine: messages of qube-box, the ends of its two processes, the log
 * pipe. The log's bytes are the guest's. */
#include "driver/local/local.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	CREATE_MS = 60000,
	MESSAGES = 16, /* a round */
	REMOVE_MS = 5,
	REMOVALS = 400,
	TAIL_BYTES = 65536, /* of the log, at the end */
};

static void report(struct qube__local_machine *m, enum qube__machine_event event)
{
	m->d->env.on_machine(m->d->env.user, &m->base, m->user, event, m->status);
}

/* ---- log ---- */

static void log_text(struct qube__local_machine *m, int priority, const char *untrusted, size_t len)
{
	char text[QUBE__LOCAL_LINE_MAX];
	char line[QUBE__LOCAL_LINE_MAX + 80];

	qube__text_escape(text, sizeof(text), untrusted, len);
	if (m->d->env.guest_log) {
		m->d->env.guest_log(m->d->env.user, m->user, text);
		return;
	}
	snprintf(line, sizeof(line), "%s: %s", m->name, text);
	m->d->env.log(m->d->env.user, priority, line);
}

static void log_line(struct qube__local_machine *m)
{
	uint64_t now = qube__now_ms();
	char dropped[64];

	if (now - m->log_window_ms >= 1000) {
		if (m->log_dropped) {
			int n = snprintf(dropped, sizeof(dropped), "%u lines were dropped",
					 m->log_dropped);

			log_text(m, 4, dropped, (size_t)n);
		}
		m->log_window_ms = now;
		m->log_lines = m->log_dropped = 0;
	}
	if (m->log_lines >= QUBE__LOCAL_LINES_PER_S) {
		m->log_dropped++;
		return;
	}
	m->log_lines++;
	log_text(m, 6, m->line, m->line_len);
}

/* A line longer than the buffer is cut, its rest skipped. */
static void log_bytes(struct qube__local_machine *m, const char *untrusted, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (untrusted[i] == '\n') {
			log_line(m);
			m->line_len = 0;
		} else if (m->line_len < sizeof(m->line)) {
			m->line[m->line_len++] = untrusted[i];
		}
	}
}

/* True while there may be more. */
static bool read_log(struct qube__local_machine *m)
{
	char untrusted[4096];
	ssize_t n = qube__io_read(m->log_fd, untrusted, sizeof(untrusted));

	if (n > 0)
		log_bytes(m, untrusted, (size_t)n);
	else if (n != QUBE_E_AGAIN)
		qube__source_remove(m->d->env.loop, &m->log_source);
	return n > 0;
}

static void on_log(struct qube__source *s, uint32_t revents)
{
	struct qube__local_machine *m =
		qube__container_of(s, struct qube__local_machine, log_source);

	(void)revents;
	for (int i = 0; i < 4 && read_log(m); i++)
		;
}

/* ---- the end ---- */

static void finish(struct qube__local_machine *m)
{
	bool ran = m->start_ms != 0;

	for (size_t n = 0; m->log_source.added && n < TAIL_BYTES && read_log(m); n += 4096)
		;
	if (m->line_len)
		log_line(m);
	if (m->group[0])
		m->d->env.log(m->d->env.user, 4, "a cgroup could not be removed");
	qube__local_clean(m);
	if (ran || m->killed) {
		report(m, QUBE__MACHINE_STOPPED);
		return;
	}
	if (!m->failed)
		qube__fail(QUBE_E_SYSTEM, "the box ended early, with status %d", m->status);
	else
		qube__err_restore(&m->err);
	report(m, QUBE__MACHINE_FAILED);
}

static void try_finish(struct qube__local_machine *m)
{
	if (qube__local_cgroup_remove(m) == QUBE_E_BUSY && m->removals++ < REMOVALS) {
		qube__local_cgroup_kill(m);
		qube__timer_set(m->d->env.loop, &m->deadline, qube__now_ms() + REMOVE_MS);
		return;
	}
	finish(m);
}

static void check_end(struct qube__local_machine *m)
{
	if (m->launcher.pid || m->box.pid || m->state >= QUBE__LOCAL_ENDING)
		return;
	m->state = QUBE__LOCAL_ENDING;
	qube__timer_stop(m->d->env.loop, &m->deadline);
	try_finish(m);
}

static void on_deadline(struct qube__timer *t)
{
	struct qube__local_machine *m = qube__container_of(t, struct qube__local_machine, deadline);

	if (m->state == QUBE__LOCAL_ENDING) {
		try_finish(m);
		return;
	}
	if (!m->failed) {
		qube__fail(QUBE_E_TIMEOUT, "%s was not set up within %d s", m->name,
			   CREATE_MS / 1000);
		qube__err_save(&m->err);
		m->failed = true;
	}
	qube__local_kill(m);
	qube__local_signal(&m->launcher);
}

/* ---- messages ---- */

static void on_box(struct qube__source *s, uint32_t revents);

/* For the reason that this thread has. */
static void fail(struct qube__local_machine *m)
{
	if (!m->failed)
		qube__err_save(&m->err);
	m->failed = true;
}

static void born(struct qube__local_machine *m, const struct qube__box_reply *r, int *fd)
{
	if (*fd < 0 || m->box.pidfd >= 0 || r->status <= 0)
		return;
	m->box = (struct qube__child){ .pid = r->status, .pidfd = qube__steal_fd(fd) };
	/* While the box sets itself up: from here on the ids are in use for as long as it lives,
	 * whatever becomes of us. */
	if (qube__local_ids_pass(&m->d->ids, m->id_base, m->box.pid) == 0)
		m->id_pid = m->box.pid;
	else
		fail(m);
	if (qube__source_add(m->d->env.loop, &m->box_source, m->box.pidfd, EPOLLIN, on_box) < 0)
		fail(m);
	if (m->failed || m->killed)
		qube__local_kill(m);
}

static void box_failed(struct qube__local_machine *m, const struct qube__box_reply *r)
{
	char text[QUBE__BOX_TEXT_MAX];

	if (m->failed)
		return;
	qube__text_escape(text, sizeof(text), r->text, strlen(r->text));
	errno = r->os_errno;
	if (r->os_errno == EOPNOTSUPP)
		qube__fail(QUBE_E_NOTSUP, "%s: %s", m->name, text);
	else if (r->os_errno)
		qube__fail_os("%s: %s", m->name, text);
	else
		qube__fail(QUBE_E_INVALID, "%s: %s", m->name, text);
	qube__err_save(&m->err);
	m->failed = true;
}

/* The box of an adopted machine knows its new driver, and hands over its log. A frozen one does so
 * when it goes on. */
static void greeted(struct qube__local_machine *m, const struct qube__box_reply *r, int *fd)
{
	char text[QUBE__BOX_TEXT_MAX];
	char line[QUBE__BOX_TEXT_MAX + 160];

	if (m->log_fd >= 0 || *fd < 0 || m->state != QUBE__LOCAL_RUNNING)
		return;
	m->box_version = r->version;
	m->log_fd = qube__steal_fd(fd);
	if (qube__source_add(m->d->env.loop, &m->log_source, m->log_fd, EPOLLIN, on_log) < 0)
		qube__close_fd(&m->log_fd);
	qube__text_escape(text, sizeof(text), r->text, strcspn(r->text, " "));
	if (strcmp(text, QUBE_RELEASE) || !qube__box_version_ok(r->version)) {
		snprintf(line, sizeof(line),
			 "'%s' was started by release %s (protocol %u) and needs a restart%s",
			 m->name, text, r->version,
			 qube__box_version_ok(r->version) ? "" :
							    "; until then it can only be killed");
		m->d->env.log(m->d->env.user, 4, line);
	}
	if (r->status == QUBE__BOX_IS_STOPPING)
		report(m, QUBE__MACHINE_HALTING);
}

static void tell_stage(struct qube__local_machine *m, int32_t stage)
{
	static const char *const names[QUBE__BOX_STAGES] = { "/mounts", "/clone", "/trees", "/root",
							     "/jail" };

	if (m->state == QUBE__LOCAL_CREATING && stage >= 0 && stage < QUBE__BOX_STAGES &&
	    m->d->env.on_stage)
		m->d->env.on_stage(m->d->env.user, m->user, names[stage]);
}

static void take_reply(struct qube__local_machine *m, const struct qube__box_reply *r, int *fd)
{
	switch (r->type) {
	case QUBE__BOX_BORN:
		born(m, r, fd);
		break;
	case QUBE__BOX_HELD:
		if (m->state != QUBE__LOCAL_CREATING || m->failed || m->killed)
			break;
		m->state = QUBE__LOCAL_HELD;
		qube__timer_stop(m->d->env.loop, &m->deadline);
		report(m, QUBE__MACHINE_HELD);
		break;
	case QUBE__BOX_RUNNING:
		if (m->state != QUBE__LOCAL_STARTING)
			break;
		m->state = QUBE__LOCAL_RUNNING;
		m->start_ms = m->record->started_ms;
		if (!m->killed)
			report(m, QUBE__MACHINE_RUNNING);
		break;
	case QUBE__BOX_FAILED:
		box_failed(m, r);
		break;
	case QUBE__BOX_EXITED:
		m->status = r->status;
		break;
	case QUBE__BOX_STAGE:
		tell_stage(m, r->status);
		break;
	case QUBE__BOX_HELLO:
		greeted(m, r, fd);
		break;
	default:
		log_text(m, r->status >= 0 && r->status <= 7 ? r->status : 6, r->text,
			 strlen(r->text));
		break;
	}
}

/* True while there may be more. */
static bool read_message(struct qube__local_machine *m)
{
	uint8_t bytes[QUBE__BOX_REPLY_MAX];
	struct qube__box_reply r;
	int fds[1] = { -1 };
	size_t n = 1;
	ssize_t len = qube__io_recv_fds(m->sock, bytes, sizeof(bytes), fds, &n);

	if (len == QUBE_E_AGAIN)
		return false;
	if (len <= 0) {
		qube__source_remove(m->d->env.loop, &m->sock_source);
		return false;
	}
	if (qube__box_reply_decode(&r, bytes, (size_t)len) == 0)
		take_reply(m, &r, &fds[0]);
	qube__close_fd(&fds[0]);
	return m->sock_source.added;
}

static void on_sock(struct qube__source *s, uint32_t revents)
{
	struct qube__local_machine *m =
		qube__container_of(s, struct qube__local_machine, sock_source);

	(void)revents;
	for (int i = 0; i < MESSAGES && read_message(m); i++)
		;
}

/* Before an end is believed, what was said before it is heard. */
static void drain(struct qube__local_machine *m)
{
	for (int i = 0; i < 1024 && m->sock_source.added && read_message(m); i++)
		;
}

static void on_launcher(struct qube__source *s, uint32_t revents)
{
	struct qube__local_machine *m =
		qube__container_of(s, struct qube__local_machine, launcher_source);
	int status;

	(void)revents;
	qube__source_remove(m->d->env.loop, s);
	drain(m);
	status = qube__child_reap(&m->launcher);
	m->launcher.pid = 0;
	if (status != 0 && m->state == QUBE__LOCAL_CREATING) {
		if (!m->failed && !m->killed) {
			qube__fail(QUBE_E_SYSTEM, "qube-box ended with status %d", status);
			qube__err_save(&m->err);
			m->failed = true;
		}
		qube__local_kill(m);
	}
	check_end(m);
}

static void on_box(struct qube__source *s, uint32_t revents)
{
	struct qube__local_machine *m =
		qube__container_of(s, struct qube__local_machine, box_source);
	int status;

	(void)revents;
	qube__source_remove(m->d->env.loop, s);
	drain(m);
	status = qube__child_reap(&m->box);
	m->box.pid = 0;
	if (m->status == 0 && status > 0)
		m->status = status;
	check_end(m);
}

void qube__local_expect(struct qube__local_machine *m)
{
	qube__timer_set(m->d->env.loop, &m->deadline, qube__now_ms() + CREATE_MS);
}

int qube__local_watch(struct qube__local_machine *m)
{
	struct qube__loop *l = m->d->env.loop;

	qube__timer_init(&m->deadline, on_deadline);
	if (m->box.pid) { /* adopted: there is no launcher, the log comes with the greeting */
		if (qube__source_add(l, &m->sock_source, m->sock, EPOLLIN, on_sock) < 0 ||
		    qube__source_add(l, &m->box_source, m->box.pidfd, EPOLLIN, on_box) < 0)
			return QUBE_E_SYSTEM;
		return 0;
	}
	if (qube__source_add(l, &m->sock_source, m->sock, EPOLLIN, on_sock) < 0 ||
	    qube__source_add(l, &m->log_source, m->log_fd, EPOLLIN, on_log) < 0 ||
	    qube__source_add(l, &m->launcher_source, m->launcher.pidfd, EPOLLIN, on_launcher) < 0)
		return QUBE_E_SYSTEM;
	if (!m->waits)
		qube__local_expect(m);
	return 0;
}

void qube__local_unwatch(struct qube__local_machine *m)
{
	struct qube__loop *l = m->d->env.loop;

	qube__source_remove(l, &m->sock_source);
	qube__source_remove(l, &m->log_source);
	qube__source_remove(l, &m->launcher_source);
	qube__source_remove(l, &m->box_source);
	if (m->deadline.fn)
		qube__timer_stop(l, &m->deadline);
	m->deadline.fn = NULL;
}
