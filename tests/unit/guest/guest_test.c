/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The guest's programs as they are shipped: agents and callers as processes, the broker here. */
#include "qtest.h"
#include "rig.h"

#include "base/spawn.h"

#include <qube/error.h>
#include <qube/guest.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BIN QUBE_TEST_BIN_DIR

static char out[4096];

struct guests {
	struct rig r;
	struct qube__child agent[2];
};

static int spawn(struct qube__child *c, const char *const *argv, const int *fds, size_t n)
{
	static const char *const env[] = { "PATH=/usr/bin:/bin", NULL };
	struct qube__spawn s = {
		.path = argv[0], .exec_fd = -1, .argv = argv, .envp = env, .fds = fds, .n_fds = n
	};

	return qube__spawn(c, &s);
}

static int guests_open(struct guests *g)
{
	int raw[2];

	if (rig_open(&g->r, false, raw, NULL) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		char trigger[96];
		const char *argv[] = { BIN "/qube-agent",  "--control-fd",  "3",
				       "--user",	   "root",	    "--service-path",
				       g->r.dir,	   "--config-path", "/nonexistent",
				       "--trigger-socket", trigger,	    NULL };
		int fds[4] = { -1, -1, 2, raw[i] };

		snprintf(trigger, sizeof(trigger), "%s/agent%d", g->r.dir, i);
		if (spawn(&g->agent[i], argv, fds, 4) < 0)
			return -1;
		close(raw[i]);
	}
	for (int i = 0; i < 200 && (g->r.up & 6) != 6; i++)
		qube__loop_dispatch(&g->r.loop, 50);
	return (g->r.up & 6) == 6 ? 0 : -1;
}

static int wait_child(struct rig *r, struct qube__child *c)
{
	struct pollfd p = { c->pidfd, POLLIN, 0 };

	for (int i = 0; i < 2000 && poll(&p, 1, 0) == 0; i++)
		qube__loop_dispatch(&r->loop, 5);
	if (!p.revents)
		kill(c->pid, SIGKILL);
	return qube__child_reap(c);
}

static void guests_close(struct guests *g, int codes[2])
{
	for (int i = 0; i < 2; i++) {
		kill(g->agent[i].pid, SIGTERM);
		codes[i] = wait_child(&g->r, &g->agent[i]);
	}
	rig_close(&g->r);
}

static int call(struct guests *g, const char *service, const char *input)
{
	char socket[96];
	const char *argv[] = { BIN "/qube-rpc", "-a", socket, "@default", service, NULL };
	struct qube__child c;
	int in[2];
	int res[2];
	int fds[3];

	snprintf(socket, sizeof(socket), "%s/agent0", g->r.dir);
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(res, O_CLOEXEC) < 0 ||
	    write(in[1], input, strlen(input)) < 0)
		return -1;
	close(in[1]);
	fds[0] = in[0];
	fds[1] = res[1];
	fds[2] = -1;
	if (spawn(&c, argv, fds, 3) < 0)
		return -1;
	close(in[0]);
	close(res[1]);
	rig_slurp(&g->r, res[0], out, sizeof(out));
	close(res[0]);
	return wait_child(&g->r, &c);
}

QTEST(guest, programs_call_each_other_and_stop_cleanly)
{
	struct guests g;
	int codes[2];

	memset(&g, 0, sizeof(g));
	QT_INT(guests_open(&g), 0);
	rig_service(&g.r, "test.Echo", "echo \"from $QREXEC_REMOTE_DOMAIN\"; cat; exit 9");
	QT_INT(call(&g, "test.Echo", "text"), 9);
	QT_STR(out, "from work\ntext");
	QT_INT(call(&g, "deny.It", ""), 126);
	QT_INT(call(&g, "test.None", ""), 127);
	QT_INT(call(&g, "bad/name", ""), 1);
	guests_close(&g, codes);
	QT_INT(codes[0], 0);
	QT_INT(codes[1], 0);
}

/* What a service finds open: its three streams and nothing of the agent's. */
QTEST(guest, threat_14_a_service_inherits_no_descriptor)
{
	struct guests g;
	int codes[2];

	memset(&g, 0, sizeof(g));
	QT_INT(guests_open(&g), 0);
	rig_service(&g.r, "test.Fds", "exec ls /proc/self/fd");
	QT_INT(call(&g, "test.Fds", ""), 0);
	/* 3 is the folder that ls reads. */
	QT_STR(out, "0\n1\n2\n3\n");
	guests_close(&g, codes);
	QT_INT(codes[1], 0);
}

static int pty(struct rig *r, const char *script, const char *input, bool keep_open)
{
	const char *argv[] = { BIN "/qube-pty", "--rows", "33", "--cols", "77", "--", "sh", "-c",
			       script,		NULL };
	struct qube__child c;
	int in[2];
	int res[2];
	int fds[3];
	int code;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(res, O_CLOEXEC) < 0 ||
	    write(in[1], input, strlen(input)) < 0)
		return -1;
	if (!keep_open)
		close(in[1]);
	fds[0] = in[0];
	fds[1] = res[1];
	fds[2] = -1;
	if (spawn(&c, argv, fds, 3) < 0)
		return -1;
	close(in[0]);
	close(res[1]);
	rig_slurp(r, res[0], out, sizeof(out));
	code = wait_child(r, &c);
	if (keep_open)
		close(in[1]);
	close(res[0]);
	return code;
}

QTEST(guest, threat_15_a_command_has_a_terminal_of_its_own)
{
	struct rig r;
	int raw[2];

	QT_INT(rig_open(&r, false, raw, NULL), 0);
	QT_INT(pty(&r, "stty size; test -t 0 -a -t 1 && read x && echo \"[$x]\"; exit 6", "line\n",
		   true),
	       6);
	QT_TRUE(strstr(out, "33 77") != NULL);
	QT_TRUE(strstr(out, "[line]") != NULL);
	/* The end of the input hangs it up. */
	QT_INT(pty(&r, "sleep 1000", "", false), 129);
	rig_close(&r);
	close(raw[0]);
	close(raw[1]);
}

/* A command on a terminal, that says "up" when it is. */
struct terminal {
	struct qube__child child;
	int in;
	int out;
};

static bool says(struct terminal *t, const char *text)
{
	ssize_t n = 0;

	for (out[0] = '\0'; n >= 0 && !strstr(out, text); out[n > 0 ? n : 0] = '\0') {
		n = read(t->out, out, sizeof(out) - 1);
		if (n == 0)
			return false;
	}
	return n >= 0;
}

static bool begin_terminal(struct terminal *t, const char *script, const char *env)
{
	const char *argv[] = { BIN "/qube-pty", "--rows", "33", "--cols", "77", "--", "sh", "-c",
			       script,		NULL };
	const char *envp[] = { "PATH=/usr/bin:/bin", env, NULL };
	int fds[3] = { -1, -1, -1 };
	struct qube__spawn s = {
		.path = argv[0], .exec_fd = -1, .argv = argv, .envp = envp, .fds = fds, .n_fds = 3
	};
	int in[2];
	int res[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(res, O_CLOEXEC) < 0)
		return false;
	fds[0] = in[0];
	fds[1] = res[1];
	if (qube__spawn(&t->child, &s) < 0)
		return false;
	close(in[0]);
	close(res[1]);
	t->in = in[1];
	t->out = res[0];
	return says(t, "up");
}

/* Its input ends: its exit code. */
static int end_terminal(struct terminal *t)
{
	close(t->in);
	while (read(t->out, out, sizeof(out)) > 0)
		;
	close(t->out);
	return qube__child_reap(&t->child);
}

QTEST(guest, a_terminal_gets_another_size)
{
	struct terminal t;
	char env[32];
	const char *id = env + strlen("QUBE_PTY_ID=");

	snprintf(env, sizeof(env), "QUBE_PTY_ID=t%d", (int)getpid());
	QT_INT(qube_guest_pty_resize(id, 10, 20), QUBE_E_NOENT);
	QT_TRUE(begin_terminal(&t, "trap 'stty size' WINCH; echo up; while :; do sleep 0.01; done",
			       env));
	QT_INT(qube_guest_pty_resize(id, 44, 55), 0);
	QT_TRUE(says(&t, "44 55"));
	QT_INT(qube_guest_pty_resize(id, 0, 55), QUBE_E_INVALID);
	QT_INT(qube_guest_pty_resize(id, 44, 4097), QUBE_E_INVALID);
	QT_INT(qube_guest_pty_resize("", 44, 40), QUBE_E_INVALID);
	QT_INT(qube_guest_pty_resize("a/b", 44, 40), QUBE_E_INVALID);
	QT_INT(end_terminal(&t), 129);
	QT_INT(qube_guest_pty_resize(id, 10, 20), QUBE_E_NOENT);
}

/* What is no size, and what another user sends, changes nothing. */
QTEST(guest, a_terminal_takes_no_other_message)
{
	static const uint8_t bad[][10] = { { 0 },
					   { 1, 0, 0, 0, 0, 0, 0, 0 },
					   { 1, 16, 0, 0, 1, 0, 0, 0 },
					   { 9, 0, 0, 0, 9, 0, 0, 0, 0 },
					   { 9, 0, 1, 0, 9 } };
	static const size_t len[] = { 0, 8, 8, 9, 7 };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct terminal t;
	char env[32];
	socklen_t a_len;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(env, sizeof(env), "QUBE_PTY_ID=b%d", (int)getpid());
	a_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			    (size_t)snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "qube-pty/%s",
					     env + strlen("QUBE_PTY_ID=")));
	QT_TRUE(begin_terminal(&t, "echo up; while read x; do stty size; done", env));
	for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++)
		QT_INT(sendto(fd, bad[i], len[i], 0, (struct sockaddr *)&a, a_len),
		       (ssize_t)len[i]);
	QT_INT(write(t.in, "x\n", 2), 2);
	QT_TRUE(says(&t, "33 77"));
	close(fd);
	end_terminal(&t);
}

/* Who does not get the signal, or not yet when he begins to read, sees the end anyway. */
QTEST(guest, a_terminal_that_is_hung_up_ends_a_read)
{
	struct terminal t;

	QT_TRUE(begin_terminal(&t, "trap '' HUP; echo up; while read x; do :; done; exit 7",
			       "LANG=C"));
	QT_INT(end_terminal(&t), 7);
}
