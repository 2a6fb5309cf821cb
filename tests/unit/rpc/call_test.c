/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whole calls: a caller in one qube, agent, broker, core's decision, agent, service. */
#include "qtest.h"
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char out[4096];

QTEST(call, goes_from_one_qube_to_the_other_and_back)
{
	struct rig r;

	QT_INT(rig_open(&r, true, NULL, NULL), 0);
	rig_service(&r, "test.Echo",
		    "echo \"$QREXEC_REMOTE_DOMAIN $QREXEC_SERVICE_FULL_NAME "
		    "[$QREXEC_SERVICE_ARGUMENT] $1\"; cat; exit 7");
	QT_INT(rig_call(&r, 0, "test.Echo+a", "hello", 5, out, sizeof(out)), 7);
	QT_STR(out, "work test.Echo+a [a] a\nhello");
	QT_STR(r.decide_line, "1|@default||test.Echo|1|a");
	QT_INT(rig_until_count(&r, &r.ended, 1), 0);
	QT_INT(r.end_code, -1);
	/* And the other way round, without an argument. */
	QT_INT(rig_call(&r, 1, "test.Echo", "", 0, out, sizeof(out)), 7);
	QT_STR(out, "vault test.Echo+ [] \n");
	QT_STR(r.decide_line, "2|@default||test.Echo|0|");
	rig_close(&r);
}

QTEST(call, policys_words_reach_the_service_and_core)
{
	struct rig r;
	char want[160];

	QT_INT(rig_open(&r, true, NULL, NULL), 0);
	rig_service(&r, "test.Echo", "echo $QREXEC_SERVICE_FULL_NAME $USER $(id -u) $HOME $(pwd)");
	QT_INT(rig_call(&r, 0, "disp.Any+x", "", 0, out, sizeof(out)), 0);
	snprintf(want, sizeof(want), "test.Echo+instead root 0 %s %s\n", r.dir, r.dir);
	QT_STR(out, want);
	QT_INT(rig_until_count(&r, &r.ended, 1), 0);
	QT_INT(r.end_flags, QUBE__RPC_DISPOSE);
	rig_close(&r);
}

QTEST(call, exit_codes_are_those_of_qrexec)
{
	struct rig r;

	QT_INT(rig_open(&r, true, NULL, NULL), 0);
	rig_service(&r, "test.Kill", "kill -9 $$");
	rig_service(&r, "test.Not", "exit 0");
	{
		char path[128];

		snprintf(path, sizeof(path), "%s/test.Not", r.dir);
		chmod(path, 0644);
	}
	QT_INT(rig_call(&r, 0, "test.Kill", "", 0, out, sizeof(out)), 137);
	QT_INT(rig_call(&r, 0, "test.Missing", "", 0, out, sizeof(out)), 127);
	QT_INT(rig_call(&r, 0, "test.Not", "", 0, out, sizeof(out)), 125);
	QT_INT(rig_call(&r, 0, "deny.It", "", 0, out, sizeof(out)), 126);
	QT_INT(rig_call(&r, 0, "fail.It", "", 0, out, sizeof(out)), 126);
	QT_INT(rig_until_count(&r, &r.ended, 4), 0);
	rig_close(&r);
}

QTEST(call, carries_megabytes_unchanged)
{
	enum { SIZE = 1000 * 1000 };
	static char in[SIZE];
	static char back[SIZE + 1];
	struct rig r;

	for (size_t i = 0; i < SIZE; i++)
		in[i] = (char)(i * 2654435761u >> 13);
	QT_INT(rig_open(&r, true, NULL, NULL), 0);
	rig_service(&r, "test.Cat", "cat; cat /dev/null >&2");
	QT_INT(rig_call(&r, 0, "test.Cat", in, SIZE, back, sizeof(back)), 0);
	QT_MEM(in, back, SIZE);
	rig_close(&r);
}

QTEST(call, a_service_that_reads_nothing_does_not_hang_its_caller)
{
	static char in[500000];
	struct rig r;

	QT_INT(rig_open(&r, true, NULL, NULL), 0);
	rig_service(&r, "test.Deaf", "exec <&-; echo done; exit 3");
	QT_INT(rig_call(&r, 0, "test.Deaf", in, sizeof(in), out, sizeof(out)), 3);
	QT_STR(out, "done\n");
	rig_close(&r);
}

QTEST(call, reaches_the_host_as_one_packet_and_streams_the_answer)
{
	static char big[400000];
	struct rig r;

	QT_INT(rig_open(&r, true, NULL, NULL), 0);
	QT_INT(rig_call(&r, 0, "host.List+x", "payload", 7, out, sizeof(out)), 5);
	QT_STR(out, "ok\n");
	QT_STR(r.host_line, "1|host.List+x|work|dom0");
	QT_STR(r.host_data, "payload");
	QT_INT(rig_until_count(&r, &r.ended, 1), 0);
	QT_INT(r.end_code, 5);
	r.reply_bytes = 300000;
	QT_INT(rig_call(&r, 0, "host.List", "", 0, big, sizeof(big)), 5);
	QT_INT(strlen(big), 300000);
	rig_close(&r);
}

QTEST(call, too_much_input_for_the_host_is_refused)
{
	static char in[65537];
	struct rig r;

	QT_INT(rig_open(&r, true, NULL, NULL), 0);
	QT_INT(rig_call(&r, 0, "host.Big", in, 65536, out, sizeof(out)), 5);
	QT_INT(r.host_len, 65536);
	QT_INT(rig_call(&r, 0, "host.Big", in, 65537, out, sizeof(out)), 125);
	rig_close(&r);
}

QTEST(call, the_host_runs_commands_and_services)
{
	struct rig r;

	QT_INT(rig_open(&r, true, NULL, NULL), 0);
	rig_service(&r, "test.Echo", "echo \"$QREXEC_REMOTE_DOMAIN:$(cat)\"; exit 2");
	QT_INT(rig_host_call(&r, 2, "DEFAULT:echo $((6 * 7)); cat", "in", out, sizeof(out)), 0);
	QT_STR(out, "42\nin");
	QT_INT(rig_host_call(&r, 2, "root:QUBESRPC test.Echo+ dom0", "x", out, sizeof(out)), 2);
	QT_STR(out, "dom0:x\n");
	QT_INT(rig_host_call(&r, 1, "root:kill -TERM $$", "", out, sizeof(out)), 143);
	QT_INT(rig_host_call(&r, 1, "nobody-of-that-name:true", "", out, sizeof(out)), 125);
	QT_INT(rig_host_call(&r, 9, "root:true", "", out, sizeof(out)), 125);
	rig_close(&r);
}

QTEST(call, the_host_starts_without_waiting)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_HOST_CALL };
	char path[128];
	char command[256];
	struct rig r;

	QT_INT(rig_open(&r, true, NULL, NULL), 0);
	snprintf(path, sizeof(path), "%s/made", r.dir);
	snprintf(command, sizeof(command), "root:mkdir %s", path);
	m.host_call.call = 1;
	m.host_call.guest = 1;
	m.host_call.just_exec = true;
	m.host_call.command = command;
	QT_INT(rig_send(&r, &m, NULL), 0);
	QT_INT(rig_until_count(&r, &r.ended, 1), 0);
	QT_INT(r.end_code, 0);
	for (int i = 0; i < 500 && access(path, F_OK) < 0; i++)
		qube__loop_dispatch(&r.loop, 10);
	QT_INT(access(path, F_OK), 0);
	rig_close(&r);
}

QTEST(call, a_socket_service_gets_its_descriptor_first)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct qube__rpc_msg m = { .type = QUBE__RPC_HOST_CALL };
	struct rig r;
	char got[64] = { 0 };
	int in[2];
	int res[2];
	int fds[3];
	int s;
	int c = -1;

	QT_INT(rig_open(&r, true, NULL, NULL), 0);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/test.Sock", r.dir);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	QT_INT(bind(s, (struct sockaddr *)&sa, sizeof(sa)), 0);
	QT_INT(listen(s, 1), 0);
	QT_INT(pipe(in), 0);
	QT_INT(pipe(res), 0);
	QT_INT(write(in[1], "abc", 3), 3);
	close(in[1]);
	fds[0] = in[0];
	fds[1] = res[1];
	fds[2] = res[1];
	m.host_call.call = 1;
	m.host_call.guest = 1;
	m.host_call.streams = 7;
	m.host_call.command = "root:QUBESRPC test.Sock+a dom0";
	QT_INT(rig_send(&r, &m, fds), 0);
	close(in[0]);
	close(res[1]);
	for (int i = 0; i < 200 && c < 0; i++) {
		qube__loop_dispatch(&r.loop, 10);
		c = accept(s, NULL, NULL);
	}
	QT_TRUE(c >= 0);
	QT_INT(rig_slurp(&r, c, got, sizeof(got)), 20);
	QT_MEM(got, "test.Sock+a dom0\0abc", 20);
	QT_INT(write(c, "reply", 5), 5);
	close(c);
	QT_INT(rig_slurp(&r, res[0], got, sizeof(got)), 5);
	QT_STR(got, "reply");
	QT_INT(rig_until_count(&r, &r.ended, 1), 0);
	QT_INT(r.end_code, 0);
	close(res[0]);
	close(s);
	rig_close(&r);
}

static bool appears(struct rig *r, const char *path)
{
	for (int i = 0; i < 500 && access(path, F_OK) < 0; i++)
		qube__loop_dispatch(&r->loop, 10);
	return access(path, F_OK) == 0;
}

QTEST(call, stopping_the_agent_ends_its_services)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_HOST_CALL };
	char command[400];
	char ready[96];
	char got[96];
	struct rig r;

	QT_INT(rig_open(&r, true, NULL, NULL), 0);
	snprintf(ready, sizeof(ready), "%s/ready", r.dir);
	snprintf(got, sizeof(got), "%s/got", r.dir);
	snprintf(command, sizeof(command),
		 "root:trap 'mkdir %s; exit 0' TERM; mkdir %s; while :; do sleep 0.02; done", got,
		 ready);
	m.host_call.call = 1;
	m.host_call.guest = 1;
	m.host_call.just_exec = true;
	m.host_call.command = command;
	QT_INT(rig_send(&r, &m, NULL), 0);
	QT_TRUE(appears(&r, ready));
	qube__agent_stop(r.agent[0], 60000);
	QT_TRUE(appears(&r, got));
	rig_close(&r);
}

QTEST(call, many_at_once_and_again)
{
	struct rig r;

	QT_INT(rig_open(&r, true, NULL, NULL), 0);
	rig_service(&r, "test.True", "exit 0");
	/* More than there are numbers for channels: they come back. */
	for (int i = 0; i < 300; i++)
		QT_INT(rig_call(&r, i & 1, "test.True", "", 0, out, sizeof(out)), 0);
	QT_INT(rig_until_count(&r, &r.ended, 300), 0);
	rig_close(&r);
}

QTEST(call, ends_for_core_when_the_executing_qube_dies)
{
	struct rig r;
	struct qube__rpc_msg m = { .type = QUBE__RPC_HOST_CALL };
	int fds[3] = { 0, 1, 2 };
	int began[2];

	QT_INT(rig_open(&r, true, NULL, NULL), 0);
	m.host_call.call = 4;
	m.host_call.guest = 2;
	m.host_call.streams = 7;
	m.host_call.command = "root:echo begun; exec sleep 1000";
	QT_INT(pipe(fds), 0);
	QT_INT(pipe(began), 0);
	close(fds[1]);
	fds[1] = fds[2] = began[1];
	QT_INT(rig_send(&r, &m, fds), 0);
	close(fds[0]);
	close(fds[1]);
	QT_INT(rig_until_input(&r, began[0]), 0);
	close(began[0]);
	qube__agent_destroy(r.agent[1]);
	r.agent[1] = NULL;
	QT_INT(rig_until_count(&r, &r.ended, 1), 0);
	QT_TRUE(r.end_code != 0);
	QT_INT(rig_until_count(&r, &r.down, 4), 0);
	rig_close(&r);
}

QTEST(call, threat_16_the_broker_works_in_its_jail)
{
	static char big[400000];
	struct rig r;

	if (geteuid() != 0)
		QT_SKIP("needs root");
	rig_jailed = true;
	if (rig_open(&r, true, NULL, NULL) < 0)
		rig_jailed = false;
	QT_TRUE(rig_jailed);
	rig_jailed = false;
	chmod(r.dir, 0755);
	rig_service(&r, "test.Cat", "cat");
	QT_INT(rig_call(&r, 0, "test.Cat", big, sizeof(big), out, sizeof(out)), 0);
	QT_INT(rig_until_count(&r, &r.ended, 1), 0);
	QT_INT(rig_host_call(&r, 2, "root:cat; exit 4", "in", out, sizeof(out)), 4);
	QT_STR(out, "in");
	r.reply_bytes = 300000;
	QT_INT(rig_call(&r, 0, "host.List", "", 0, big, sizeof(big)), 5);
	QT_INT(strlen(big), 300000);
	QT_INT(rig_call(&r, 0, "deny.It", "", 0, out, sizeof(out)), 126);
	rig_close(&r);
	/* It ended because its host did, not by the filter. */
	QT_INT(r.broker_status, 0);
}

/* The soft limit of another process's descriptors; prlimit() would need CAP_SYS_RESOURCE. */
static unsigned long long soft_files(int pid)
{
	unsigned long long n = 0;
	char line[128];
	FILE *f;

	snprintf(line, sizeof(line), "/proc/%d/limits", pid);
	f = fopen(line, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Max open files %llu", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

QTEST(call, threat_33_the_jailed_broker_has_room_for_every_guests_calls)
{
	struct rlimit before;
	struct rlimit low;
	struct rig r;
	int opened;

	if (geteuid() != 0)
		QT_SKIP("needs root");
	QT_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = before.rlim_max < 1024 ? before.rlim_max / 2 : 512;
	QT_INT(setrlimit(RLIMIT_NOFILE, &low), 0);
	rig_jailed = true;
	opened = rig_open(&r, true, NULL, NULL);
	rig_jailed = false;
	setrlimit(RLIMIT_NOFILE, &before);
	QT_INT(opened, 0);
	chmod(r.dir, 0755);
	/* An answer: so it is in its jail by now. */
	QT_INT(rig_call(&r, 0, "deny.It", "", 0, out, sizeof(out)), 126);
	QT_TRUE(soft_files(r.broker_pid) == before.rlim_max);
	rig_close(&r);
}
