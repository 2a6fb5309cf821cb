/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Calls of guests that take no descriptors: the channels are qube-vchan's, here over sockets. */
#include "qtest.h"
#include "rig.h"

#include "base/clock.h"
#include "rpc/agent_int.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char out[4096];

static int vchan_open(struct rig *r, bool agents, int raw[2])
{
	int n;

	rig_vchan = rig_tells_calls = true;
	n = rig_open(r, agents, raw, NULL);
	rig_vchan = rig_tells_calls = false;
	return n;
}

static bool holds_channels(const struct rig *r)
{
	return !qube__list_empty(&r->agent[0]->channels) ||
	       !qube__list_empty(&r->agent[1]->channels);
}

QTEST(vchan, input_output_and_exit_code_of_a_call_between_qubes)
{
	static char big[900000];
	static char back[1000000];
	uint64_t end;
	struct rig r;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 / 13);
	QT_INT(vchan_open(&r, true, NULL), 0);
	rig_service(&r, "test.Count", "wc -c; echo err >&2; exit 7");
	rig_service(&r, "test.Cat", "exec cat");
	QT_INT(rig_call(&r, 0, "test.Count", "hello", 5, out, sizeof(out)), 7);
	QT_STR(out, "5\n");
	QT_INT(rig_call(&r, 1, "test.Cat", big, sizeof(big), back, sizeof(back)), 0);
	QT_TRUE(memcmp(big, back, sizeof(big)) == 0);
	/* Nothing of it is left behind. */
	end = qube__now_ms() + 5000;
	while (holds_channels(&r) && qube__now_ms() < end)
		qube__loop_dispatch(&r.loop, 20);
	QT_TRUE(!holds_channels(&r));
	rig_close(&r);
}

QTEST(vchan, the_host_calls_and_is_called)
{
	struct rig r;

	QT_INT(vchan_open(&r, true, NULL), 0);
	QT_INT(rig_host_call(&r, 2, "root:read x; echo got $x; exit 9", "word\n", out, sizeof(out)),
	       9);
	QT_STR(out, "got word\n");
	QT_INT(rig_call(&r, 0, "host.Ask", "question", 8, out, sizeof(out)), 5);
	QT_STR(out, "ok\n");
	QT_STR(r.host_data, "question");
	QT_INT((int)r.n_host_channels, 2);
	rig_close(&r);
}

/* Its one word, the exit code, is said before there is a channel. */
QTEST(vchan, what_is_only_begun_says_so)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_HOST_CALL };
	struct rig r;

	QT_INT(vchan_open(&r, true, NULL), 0);
	m.host_call.call = 5;
	m.host_call.guest = 1;
	m.host_call.just_exec = true;
	m.host_call.command = "root:sleep 1";
	for (uint32_t i = 1; i <= 5; i++) {
		QT_INT(rig_send(&r, &m, NULL), 0);
		QT_INT(rig_until_count(&r, &r.ended, i), 0);
		QT_INT(r.end_code, 0);
	}
	rig_close(&r);
}

QTEST(vchan, a_call_whose_caller_dies_ends_the_service)
{
	struct qube__caller *c;
	struct rig r;
	char trigger[96];
	int in[2];
	struct qube__caller_opts o = { .agent_socket = trigger,
				       .target = "@default",
				       .service = "test.Wait",
				       .out = -1,
				       .err = -1 };

	QT_INT(vchan_open(&r, true, NULL), 0);
	rig_service(&r, "test.Wait", "exec cat >/dev/null");
	snprintf(trigger, sizeof(trigger), "%s/agent0", r.dir);
	QT_INT(pipe2(in, O_CLOEXEC), 0);
	o.in = in[0];
	QT_INT(qube__caller_create(&c, &r.loop, &o), 0);
	QT_INT(rig_until_count(&r, &r.decides, 1), 0);
	while (!qube__agent_has_children(r.agent[1]))
		QT_TRUE(qube__loop_dispatch(&r.loop, 1000) >= 0);
	qube__caller_destroy(c);
	QT_INT(rig_until_count(&r, &r.ended, 1), 0);
	QT_TRUE(!qube__agent_has_children(r.agent[1]));
	close(in[1]);
	rig_close(&r);
}

/* Of its own making, or as a host that is no broker of ours would: it has nothing to go with. */
QTEST(vchan, a_plain_call_breaks_the_protocol)
{
	uint8_t hello[QUBE__QREXEC_HEADER + 4];
	uint8_t msg[QUBE__QREXEC_HEADER + QUBE__QREXEC_PARAMS + 16];
	struct qube__agent_opts o = { .trigger_socket = "", .vchan = "/nowhere" };
	struct qube__agent *a;
	struct qube__loop loop;
	uint64_t end = qube__now_ms() + 5000;
	int pair[2];
	int n;

	QT_INT(qube__loop_init(&loop), 0);
	QT_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	o.control_fd = pair[1];
	QT_INT(qube__agent_create(&a, &loop, &o), 0);
	QT_INT(read(pair[0], hello, sizeof(hello)), (int)sizeof(hello));
	n = qube__qrexec_hello_put(hello, sizeof(hello), QUBE__QREXEC_VERSION);
	QT_INT(write(pair[0], hello, (size_t)n), n);
	n = qube__qrexec_params_put(msg, sizeof(msg), QUBE__QREXEC_EXEC_PLAIN, 1, 513, "root:true");
	QT_INT(write(pair[0], msg, (size_t)n), n);
	while (a->t && qube__now_ms() < end)
		qube__loop_dispatch(&loop, 50);
	QT_TRUE(!a->t);
	qube__agent_destroy(a);
	qube__loop_fini(&loop);
	close(pair[0]);
}

QTEST(vchan, without_the_program_the_call_ends_and_the_session_goes_on)
{
	uint8_t answer[QUBE__QREXEC_HEADER + QUBE__QREXEC_PARAMS];
	uint8_t hello[QUBE__QREXEC_HEADER + 4];
	uint8_t msg[QUBE__QREXEC_HEADER + QUBE__QREXEC_PARAMS + 16];
	struct qube__agent_opts o = { .trigger_socket = "", .vchan = "/nowhere" };
	struct qube__qrexec_header h;
	struct qube__agent *a;
	struct qube__loop loop;
	uint64_t end = qube__now_ms() + 5000;
	ssize_t got = 0;
	int pair[2];
	int n;

	QT_INT(qube__loop_init(&loop), 0);
	QT_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	o.control_fd = pair[1];
	QT_INT(qube__agent_create(&a, &loop, &o), 0);
	QT_INT(read(pair[0], hello, sizeof(hello)), (int)sizeof(hello));
	n = qube__qrexec_hello_put(hello, sizeof(hello), QUBE__QREXEC_VERSION);
	QT_INT(write(pair[0], hello, (size_t)n), n);
	n = qube__qrexec_params_put(msg, sizeof(msg), QUBE__QREXEC_EXEC_CMDLINE, 1, 513,
				    "root:true");
	QT_INT(write(pair[0], msg, (size_t)n), n);
	while (got <= 0 && qube__now_ms() < end) {
		qube__loop_dispatch(&loop, 50);
		got = recv(pair[0], answer, sizeof(answer), MSG_DONTWAIT);
	}
	QT_INT(got, (int)sizeof(answer));
	h = qube__qrexec_header_get(answer);
	QT_INT(h.type, QUBE__QREXEC_CONNECTION_TERMINATED);
	QT_TRUE(a->t != NULL);
	qube__agent_destroy(a);
	qube__loop_fini(&loop);
	close(pair[0]);
}

/* Its channel would stay open for ever. */
QTEST(vchan, threat_21_a_call_ends_when_the_domain_at_its_other_end_is_gone)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_DOMAIN_GONE };
	struct qube__list *pos;
	struct rig r;
	pid_t stopped = 0;
	char trigger[96];
	int in[2];
	struct qube__caller *c;
	struct qube__caller_opts o = { .agent_socket = trigger,
				       .target = "@default",
				       .service = "test.Wait",
				       .out = -1,
				       .err = -1 };

	QT_INT(vchan_open(&r, true, NULL), 0);
	rig_service(&r, "test.Wait", "exec cat >/dev/null");
	snprintf(trigger, sizeof(trigger), "%s/agent0", r.dir);
	QT_INT(pipe2(in, O_CLOEXEC), 0);
	o.in = in[0];
	QT_INT(qube__caller_create(&c, &r.loop, &o), 0);
	while (!qube__agent_has_children(r.agent[1]))
		QT_TRUE(qube__loop_dispatch(&r.loop, 1000) >= 0);
	/* As if the domain were frozen and then no more: its end of the channel says nothing. */
	qube__list_foreach (pos, &r.agent[0]->channels) {
		stopped = qube__container_of(pos, struct achannel, link)->child.pid;
		kill(stopped, SIGSTOP);
	}
	QT_TRUE(stopped > 0);
	m.domain_gone.qid = 101;
	QT_INT(rig_send(&r, &m, NULL), 0);
	QT_INT(rig_until_count(&r, &r.ended, 1), 0);
	QT_TRUE(!qube__agent_has_children(r.agent[1]));
	kill(stopped, SIGCONT);
	qube__caller_destroy(c);
	close(in[1]);
	rig_close(&r);
}

/* Nothing but the holder could take it away. */
QTEST(vchan, threat_21_a_channel_that_does_not_end_with_its_domain_is_killed)
{
	struct qube__agent_opts o = { .trigger_socket = "", .control_fd = -1 };
	struct qube__agent *a;
	struct achannel *c;
	struct qube__loop loop;
	char program[64];
	char word[8] = "";
	uint64_t now;
	int pair[2];
	int fds[2];
	FILE *f;

	snprintf(program, sizeof(program), "/tmp/deaf.%d", (int)getpid());
	f = fopen(program, "we");
	QT_TRUE(f != NULL);
	fputs("#!/bin/sh\ntrap '' TERM\necho up >&4\nexec sleep 600\n", f);
	fclose(f);
	chmod(program, 0700);
	o.vchan = program;
	QT_INT(qube__loop_init(&loop), 0);
	QT_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	o.control_fd = pair[1];
	QT_INT(qube__agent_create(&a, &loop, &o), 0);
	QT_INT(qube__agent_channel(a, 7, 513, false, fds), 0);
	while (!word[0] && qube__loop_dispatch(&loop, 10) >= 0)
		if (read(fds[0], word, sizeof(word) - 1) == 0)
			break;
	unlink(program);
	QT_STR(word, "up\n");
	c = qube__container_of(a->channels.next, struct achannel, link);
	now = qube__now_ms();
	qube__agent_domain_gone(a, 7);
	QT_TRUE(c->too_long.at_ms >= now + 1000 && c->too_long.at_ms <= now + 60000);
	/* That it is asked again does not give it more time. */
	now = c->too_long.at_ms;
	qube__agent_domain_gone(a, 7);
	QT_TRUE(c->too_long.at_ms == now);
	for (int i = 0; i < 10; i++)
		qube__loop_dispatch(&loop, 10);
	QT_TRUE(!qube__list_empty(&a->channels));
	qube__timer_set(&loop, &c->too_long, qube__now_ms());
	now = qube__now_ms();
	while (!qube__list_empty(&a->channels) && qube__now_ms() < now + 10000)
		qube__loop_dispatch(&loop, 100);
	QT_TRUE(qube__list_empty(&a->channels));
	close(fds[0]);
	close(fds[1]);
	qube__agent_destroy(a);
	qube__loop_fini(&loop);
	close(pair[0]);
}
