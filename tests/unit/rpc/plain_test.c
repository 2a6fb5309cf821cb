/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Calls between agents that are both ours: the input is plain bytes, and a service may have the
 * call's pipes itself. */
#include "qtest.h"
#include "rig.h"

#include "base/io.h"
#include "rpc/agent_int.h"
#include "wire/qrexec.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char out[4096];

static int plain_open(struct rig *r, bool agents, int raw[2])
{
	int n;

	rig_tells_calls = true;
	n = rig_open(r, agents, raw, NULL);
	rig_tells_calls = false;
	return n;
}

static const char count[] = "wc -c; echo err >&2; exit 7";

QTEST(plain, input_output_and_exit_code_of_a_call_between_qubes)
{
	struct rig r;

	QT_INT(plain_open(&r, true, NULL), 0);
	rig_service(&r, "test.Count", count);
	QT_INT(rig_call(&r, 0, "test.Count", "hello", 5, out, sizeof(out)), 7);
	QT_STR(out, "5\n");
	QT_INT(rig_call(&r, 1, "test.Count", "", 0, out, sizeof(out)), 7);
	QT_STR(out, "0\n");
	rig_close(&r);
}

QTEST(plain, more_than_the_channel_holds_passes_both_ways)
{
	static char big[900000];
	static char back[1000000];
	struct rig r;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 / 13);
	QT_INT(plain_open(&r, true, NULL), 0);
	rig_service(&r, "test.Cat", "exec cat");
	QT_INT(rig_call(&r, 0, "test.Cat", big, sizeof(big), back, sizeof(back)), 0);
	QT_TRUE(memcmp(big, back, sizeof(big)) == 0);
	rig_close(&r);
}

/* Which nobody waits for: a reader may make room at any moment. */
QTEST(plain, a_file_as_input_passes_whole)
{
	struct rig r;

	QT_INT(plain_open(&r, true, NULL), 0);
	rig_service(&r, "test.Count", "exec wc -c");
	for (int i = 0; i < 20; i++) {
		int fd = memfd_create("input", MFD_CLOEXEC);

		QT_INT(ftruncate(fd, 24000000), 0);
		QT_INT(rig_call_from(&r, 0, "test.Count", fd, out, sizeof(out)), 0);
		QT_STR(out, "24000000\n");
	}
	rig_close(&r);
}

QTEST(plain, a_service_that_does_not_read_ends_as_it_likes)
{
	static char big[900000];
	struct rig r;

	QT_INT(plain_open(&r, true, NULL), 0);
	rig_service(&r, "test.Deaf", "exec <&-; echo done; exit 3");
	QT_INT(rig_call(&r, 0, "test.Deaf", big, sizeof(big), out, sizeof(out)), 3);
	QT_STR(out, "done\n");
	rig_close(&r);
}

QTEST(plain, what_cannot_be_run_has_its_exit_code)
{
	struct rig r;

	QT_INT(plain_open(&r, true, NULL), 0);
	QT_INT(rig_call(&r, 0, "test.None", "x", 1, out, sizeof(out)), 127);
	QT_INT(rig_call(&r, 0, "deny.It", "x", 1, out, sizeof(out)), 126);
	QT_INT(rig_host_call(&r, 1, "root:QUBESRPC test.None+ dom0", "x", out, sizeof(out)), 127);
	rig_close(&r);
}

/* It is told with the exit code if that comes at once, and without it if not. */
QTEST(plain, the_end_of_output_does_not_wait_for_a_program_that_goes_on)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_HOST_CALL };
	struct rig r;
	int fds[3];
	int in[2];
	int res[2];

	QT_INT(plain_open(&r, true, NULL), 0);
	QT_INT(pipe(in), 0);
	QT_INT(pipe(res), 0);
	fds[0] = in[0];
	fds[1] = fds[2] = res[1];
	m.host_call.call = 9;
	m.host_call.guest = 1;
	m.host_call.streams = 7;
	m.host_call.command = "root:echo all; exec >&- 2>&-; read line; exit 6";
	QT_INT(rig_send(&r, &m, fds), 0);
	close(in[0]);
	close(res[1]);
	QT_INT(rig_slurp(&r, res[0], out, sizeof(out)), 4);
	QT_STR(out, "all\n");
	QT_INT(r.ended, 0);
	close(in[1]);
	QT_INT(rig_until_count(&r, &r.ended, 1), 0);
	QT_INT(r.end_code, 6);
	close(res[0]);
	rig_close(&r);
}

/* Of a stream that nobody wants there is nothing to wait for, and no end of it to be woken by. */
QTEST(plain, a_call_of_the_host_has_the_streams_that_are_wanted)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_HOST_CALL };
	struct rig r;
	int res[2];
	int in[2];

	QT_INT(plain_open(&r, true, NULL), 0);
	m.host_call.guest = 1;
	m.host_call.command =
		"root:seq 100000 | tr -d 0-8; echo error >&2; read x || exit 7; exit 8";
	for (uint32_t streams = 0; streams < 8; streams++) {
		int fds[3];
		int n = 0;
		ssize_t want = (streams & 2 ? 150000 : 0) + (streams & 4 ? 6 : 0);

		m.host_call.call = 1 + streams;
		m.host_call.streams = streams;
		QT_INT(pipe(in), 0);
		QT_INT(pipe(res), 0);
		QT_INT(write(in[1], "\n", 1), 1);
		close(in[1]);
		for (uint32_t i = 0; i < 3; i++)
			if (streams & 1u << i)
				fds[n++] = i ? res[1] : in[0];
		QT_INT(rig_send(&r, &m, fds), 0);
		close(in[0]);
		close(res[1]);
		QT_INT(rig_slurp(&r, res[0], out, sizeof(out)), want);
		close(res[0]);
		QT_INT(rig_until_count(&r, &r.ended, 1 + streams), 0);
		QT_INT(r.end_code, streams & 1 ? 8 : 7);
	}
	rig_close(&r);
}

/* It has no pipe of the agent's that would break. */
QTEST(plain, a_canceled_call_ends_a_program_whose_output_nobody_wants)
{
	for (uint32_t streams = 0; streams < 8; streams += 2) {
		struct qube__rpc_msg m = { .type = QUBE__RPC_HOST_CALL };
		int file = open("/dev/null", O_RDWR | O_CLOEXEC);
		int fds[3] = { file, file, file };
		char command[192];
		char mark[96];
		struct rig r;

		QT_INT(plain_open(&r, true, NULL), 0);
		snprintf(mark, sizeof(mark), "%s/mark", r.dir);
		snprintf(command, sizeof(command),
			 "root:echo > %s; while echo x; do sleep 0.01; done", mark);
		m.host_call.call = 5;
		m.host_call.guest = 1;
		m.host_call.streams = streams;
		m.host_call.command = command;
		QT_INT(rig_send(&r, &m, fds), 0);
		while (access(mark, F_OK) < 0)
			rig_turn(&r, 1);
		m = (struct qube__rpc_msg){ .type = QUBE__RPC_CALL_CANCEL };
		m.call_cancel.origin = QUBE__RPC_BY_CALL;
		m.call_cancel.id = 5;
		QT_INT(rig_send(&r, &m, NULL), 0);
		for (int i = 0; i < 500 && qube__agent_has_children(r.agent[0]); i++)
			qube__loop_dispatch(&r.loop, 10);
		QT_TRUE(!qube__agent_has_children(r.agent[0]));
		close(file);
		rig_close(&r);
	}
}

QTEST(plain, calls_from_and_to_the_host)
{
	struct rig r;

	QT_INT(plain_open(&r, true, NULL), 0);
	QT_INT(rig_host_call(&r, 2, "root:wc -c; exit 9", "hello", out, sizeof(out)), 9);
	QT_STR(out, "5\n");
	QT_INT(rig_call(&r, 0, "host.Any", "payload", 7, out, sizeof(out)), 5);
	QT_STR(out, "ok\n");
	QT_STR(r.host_data, "payload");
	rig_close(&r);
}

static void ignore(void *user, int32_t code, const char *why)
{
	(void)user;
	(void)code;
	(void)why;
}

/* Half a value must not be set. */
QTEST(plain, a_request_to_the_host_that_was_cut_off_is_not_carried_out)
{
	struct qube__caller_opts o = {
		.target = "dom0", .service = "host.Any", .err = -1, .done = ignore
	};
	struct qube__caller *c;
	char trigger[96];
	struct rig r;
	int in[2];

	QT_INT(plain_open(&r, true, NULL), 0);
	snprintf(trigger, sizeof(trigger), "%s/agent0", r.dir);
	o.agent_socket = trigger;
	QT_INT(pipe(in), 0);
	o.in = in[0];
	o.out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	QT_INT(qube__caller_create(&c, &r.loop, &o), 0);
	QT_INT(write(in[1], "half", 4), 4);
	for (int i = 0; i < 100; i++) {
		rig_turn(&r, 5);
		poll(NULL, 0, 1);
	}
	qube__caller_destroy(c);
	QT_INT(rig_until_count(&r, &r.ended, 1), 0);
	QT_STR(r.host_data, "");
	close(in[1]);
	QT_INT(rig_call(&r, 0, "host.Any", "whole", 5, out, sizeof(out)), 5);
	QT_STR(r.host_data, "whole");
	rig_close(&r);
}

QTEST(plain, the_broker_in_its_jail_can_do_it)
{
	struct rig r;

	if (geteuid() != 0)
		QT_SKIP("needs root");
	rig_jailed = true;
	QT_INT(plain_open(&r, true, NULL), 0);
	rig_jailed = false;
	chmod(r.dir, 0755);
	rig_service(&r, "test.Count", count);
	QT_INT(rig_call(&r, 0, "test.Count", "hello", 5, out, sizeof(out)), 7);
	QT_STR(out, "5\n");
	QT_INT(rig_until_count(&r, &r.ended, 1), 0);
	QT_INT(rig_host_call(&r, 2, "root:wc -c; exit 9", "hello", out, sizeof(out)), 9);
	QT_STR(out, "5\n");
	rig_close(&r);
	QT_INT(r.broker_status, 0);
}

/* A service's half: takes the pipes, counts what comes, answers with what it saw. */
static int serve_once(int listener)
{
	char bytes[512];
	size_t len = 0;
	size_t total = 0;
	int fds[2];
	size_t n_fds = 0;
	ssize_t n;
	int c = accept(listener, NULL, NULL);

	while (c >= 0 && !n_fds && len < sizeof(bytes)) {
		struct pollfd p = { .fd = c, .events = POLLIN };

		poll(&p, 1, RIG_WAIT_MS);
		n_fds = 2;
		n = qube__io_recv_fds(c, bytes + len, sizeof(bytes) - len, fds, &n_fds);
		if (n <= 0)
			return 1;
		len += (size_t)n;
	}
	if (n_fds != 2 || bytes[len - 1] != '\0')
		return 2;
	while ((n = read(fds[0], out, sizeof(out))) > 0)
		total += (size_t)n;
	dprintf(fds[1], "%s: %zu bytes", bytes, total);
	close(fds[1]);
	return 0;
}

static pid_t start_service(struct rig *r, const char *name, const char *config)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char path[200];
	FILE *f;
	pid_t pid;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s", r->dir, name);
	bind(fd, (struct sockaddr *)&sa, sizeof(sa));
	listen(fd, 4);
	snprintf(path, sizeof(path), "%s/conf", r->dir);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/conf/%s", r->dir, name);
	f = fopen(path, "we");
	fprintf(f, "%s\n", config);
	fclose(f);
	pid = fork();
	if (pid == 0)
		_exit(serve_once(fd));
	close(fd);
	return pid;
}

/* By a plain call the service has the channel between the qubes itself, else its agent relays:
 * it cannot tell. */
QTEST(plain, a_socket_service_can_have_the_channel)
{
	for (int plain = 0; plain < 2; plain++) {
		struct rig r;
		int status;
		pid_t pid;

		QT_INT(plain ? plain_open(&r, true, NULL) : rig_open(&r, true, NULL, NULL), 0);
		pid = start_service(&r, "test.Channel", "hand-over-channel = 1");
		QT_INT(rig_call(&r, 0, "test.Channel", "hello", 5, out, sizeof(out)), 0);
		QT_STR(out, "test.Channel+ work: 5 bytes");
		QT_INT(waitpid(pid, &status, 0), pid);
		QT_INT(status, 0);
		QT_INT(rig_until_count(&r, &r.ended, 1), 0);
		rig_close(&r);
	}
}

QTEST(plain, a_channel_is_not_handed_over_with_what_needs_a_relay)
{
	struct rig r;
	pid_t pid;

	QT_INT(plain_open(&r, true, NULL), 0);
	pid = start_service(&r, "test.Both", "hand-over-channel = 1\nexit-on-client-eof = 1");
	QT_INT(rig_call(&r, 0, "test.Both", "hello", 5, out, sizeof(out)), 125);
	kill(pid, 9);
	waitpid(pid, NULL, 0);
	rig_close(&r);
}

/* An executor's agent that says `bytes` on the data channel of a host's call. */
static void host_call_answered(const void *bytes, size_t len, bool plain_hello, int32_t want)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_HOST_CALL };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control;
	uint8_t frame[512];
	struct iovec iov = { frame, sizeof(frame) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	struct rig r;
	int fds[3];
	int got[2];
	int fd[2];
	int n;

	QT_INT(plain_open(&r, false, fd), 0);
	n = qube__qrexec_hello_put(frame, sizeof(frame),
				   4 | QUBE__QREXEC_HELLO_CALLS |
					   (plain_hello ? QUBE__QREXEC_HELLO_PLAIN : 0));
	qube__qrexec_header_put(frame + n, QUBE__QREXEC_CALLS, 0);
	QT_INT(write(fd[0], frame, (size_t)n), n);
	QT_INT(rig_until_input(&r, fd[0]), 0);
	QT_INT(write(fd[0], frame + n, 8), 8);
	while (!(r.up & 2))
		rig_turn(&r, 1);
	QT_INT(read(fd[0], frame, sizeof(frame)), 20);
	fds[0] = open("/dev/null", O_RDWR);
	fds[1] = fds[2] = fds[0];
	m.host_call.call = 3;
	m.host_call.guest = 1;
	m.host_call.streams = 7;
	m.host_call.command = "user:true";
	QT_INT(rig_send(&r, &m, fds), 0);
	close(fds[0]);
	QT_INT(rig_until_input(&r, fd[0]), 0);
	QT_TRUE(recvmsg(fd[0], &msg, 0) > 16);
	QT_INT(qube__qrexec_header_get(frame).type,
	       plain_hello ? QUBE__QREXEC_EXEC_PLAIN : QUBE__QREXEC_EXEC_CMDLINE);
	memcpy(got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(got));
	QT_INT(write(got[1], bytes, len), (long)len);
	close(got[1]);
	QT_INT(rig_until_count(&r, &r.ended, 1), 0);
	QT_INT(r.end_code, want);
	close(got[0]);
	rig_close(&r);
	close(fd[0]);
	close(fd[1]);
}

QTEST(plain, only_agents_that_say_so_get_plain_calls)
{
	uint8_t bytes[64];
	int n = qube__qrexec_hello_put(bytes, sizeof(bytes), 4);

	n += qube__qrexec_exit_put(bytes + n, sizeof(bytes) - (size_t)n, 5);
	host_call_answered(bytes, (size_t)n, false, 5);
	n = qube__qrexec_exit_put(bytes, sizeof(bytes), 6);
	host_call_answered(bytes, (size_t)n, true, 6);
}

QTEST(plain, threat_03_what_an_executor_may_not_say_ends_the_link)
{
	uint8_t bytes[64];
	int n = qube__qrexec_hello_put(bytes, sizeof(bytes), 4);

	/* A hello, of a plain call. */
	host_call_answered(bytes, (size_t)n, true, -1);
	/* "Plain from here on", of a call with frames. */
	qube__qrexec_header_put(bytes + n, QUBE__QREXEC_DATA_PLAIN, 0);
	host_call_answered(bytes, (size_t)n + 8, false, -1);
	/* The same behind a frame. */
	qube__qrexec_header_put(bytes, QUBE__QREXEC_DATA_STDOUT, 0);
	qube__qrexec_header_put(bytes + 8, QUBE__QREXEC_DATA_PLAIN, 0);
	host_call_answered(bytes, 16, true, -1);
	/* With a length. */
	qube__qrexec_header_put(bytes, QUBE__QREXEC_DATA_PLAIN, 1);
	host_call_answered(bytes, 9, true, -1);
	/* An end without an exit code. */
	qube__qrexec_header_put(bytes, QUBE__QREXEC_DATA_STDOUT, 0);
	host_call_answered(bytes, 8, true, -1);
	/* And what it may. */
	qube__qrexec_header_put(bytes, QUBE__QREXEC_DATA_PLAIN, 0);
	host_call_answered(bytes, 8, true, 0);
}
