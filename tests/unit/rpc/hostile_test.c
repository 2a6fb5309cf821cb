/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Guests that break the protocol: each ends its own session and harms nobody else. */
#include "qtest.h"
#include "rig.h"

#include "base/clock.h"
#include "base/rw.h"
#include "wire/qrexec.h"

#include <qube/error.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static uint8_t frame[70000];

static int hello(struct rig *r, int fd, uint32_t version, uint32_t id)
{
	int n = qube__qrexec_hello_put(frame, sizeof(frame), version);

	if (write(fd, frame, (size_t)n) != n)
		return -1;
	for (int i = 0; i < 100 && !(r->up & 1u << id); i++)
		qube__loop_dispatch(&r->loop, 50);
	return read(fd, frame, 12) == 12 ? 0 : -1;
}

static int down(struct rig *r, uint32_t id)
{
	uint64_t end = qube__now_ms() + 5000;

	while (!(r->down & 1u << id) && qube__now_ms() < end)
		qube__loop_dispatch(&r->loop, 50);
	return r->down & 1u << id ? 0 : -1;
}

static int put_trigger(uint32_t version, const char *service, const char *ident)
{
	return qube__qrexec_trigger_put(frame, sizeof(frame), version, "", "@default", service,
					ident);
}

QTEST(broker, greets_each_version_and_refuses_older_ones)
{
	for (uint32_t v = 2; v <= 5; v++) {
		struct rig r;
		int fd[2];

		QT_INT(rig_open(&r, false, fd, NULL), 0);
		QT_INT(hello(&r, fd[0], v, 1), 0);
		QT_INT(frame[8], v > 4 ? 4 : v);
		rig_close(&r);
		close(fd[0]);
		close(fd[1]);
	}
	{
		struct rig r;
		int fd[2];
		int n;

		QT_INT(rig_open(&r, false, fd, NULL), 0);
		n = qube__qrexec_hello_put(frame, sizeof(frame), 1);
		QT_INT(write(fd[0], frame, (size_t)n), n);
		QT_INT(down(&r, 1), 0);
		QT_INT(r.up, 0);
		rig_close(&r);
		close(fd[0]);
		close(fd[1]);
	}
}

static int put_calls(const uint32_t (*calls)[2], size_t n)
{
	qube__qrexec_header_put(frame, QUBE__QREXEC_CALLS, (uint32_t)(n * QUBE__QREXEC_CALL));
	memcpy(frame + QUBE__QREXEC_HEADER, calls, n * QUBE__QREXEC_CALL);
	return (int)(QUBE__QREXEC_HEADER + n * QUBE__QREXEC_CALL);
}

static int put_end(uint32_t domain, uint32_t port)
{
	return qube__qrexec_params_put(frame, sizeof(frame), QUBE__QREXEC_CONNECTION_TERMINATED,
				       domain, port, NULL);
}

QTEST(broker, threat_34_calls_from_before_are_told_and_their_last_end_is_seen)
{
	static const uint32_t calls[][2] = {
		{ 102, 513 }, { 103, 514 }, { 0, 515 }, { 102, 516 | QUBE__QREXEC_CALL_CALLER }
	};
	struct rig r;
	int fd[2];
	int n;

	rig_tells_calls = true;
	n = rig_open(&r, false, fd, NULL);
	rig_tells_calls = false;
	QT_INT(n, 0);
	n = qube__qrexec_hello_put(frame, sizeof(frame), 4 | QUBE__QREXEC_HELLO_CALLS);
	QT_INT(write(fd[0], frame, (size_t)n), n);
	rig_turn(&r, 20);
	QT_INT(r.up, 0); /* it has not told yet */
	QT_INT(read(fd[0], frame, 20), 20);
	QT_INT(qube__qrexec_header_get(frame + 12).type, QUBE__QREXEC_CALLS_ASK);
	n = put_calls(calls, 4);
	QT_INT(write(fd[0], frame, (size_t)n), n);
	rig_turn(&r, 20);
	QT_INT(r.up, 2);
	QT_INT(r.up_calls, 2); /* neither the host's nor what it called itself */
	for (int i = 0; i < 4; i++) {
		n = put_end(calls[3 - i][0], calls[3 - i][1] & 0xffff);
		QT_INT(write(fd[0], frame, (size_t)n), n);
		rig_turn(&r, 20);
		QT_INT(r.ended, i == 3);
	}
	QT_INT(r.end_origin, QUBE__RPC_BY_GUEST);
	rig_close(&r);
	close(fd[0]);
	close(fd[1]);
}

QTEST(broker, an_agent_that_is_not_ours_is_not_asked_for_its_calls)
{
	struct rig r;
	int fd[2];
	int n;

	rig_tells_calls = true;
	n = rig_open(&r, false, fd, NULL);
	rig_tells_calls = false;
	QT_INT(n, 0);
	QT_INT(hello(&r, fd[0], 4, 1), 0);
	QT_INT(r.up, 2);
	QT_INT(recv(fd[0], frame, sizeof(frame), MSG_DONTWAIT), -1);
	rig_close(&r);
	close(fd[0]);
	close(fd[1]);
}

QTEST(broker, threat_03_calls_that_nobody_asked_for_or_cannot_be_end_the_session)
{
	static const uint32_t calls[][2] = { { 102, 513 }, { 102, 769 } };

	for (int asked = 0; asked < 2; asked++) {
		struct rig r;
		int fd[2];
		int n;

		rig_tells_calls = asked;
		n = rig_open(&r, false, fd, NULL);
		rig_tells_calls = false;
		QT_INT(n, 0);
		n = qube__qrexec_hello_put(frame, sizeof(frame), 4 | QUBE__QREXEC_HELLO_CALLS);
		QT_INT(write(fd[0], frame, (size_t)n), n);
		rig_turn(&r, 20);
		n = put_calls(calls, asked ? 2 : 1);
		QT_INT(write(fd[0], frame, (size_t)n), n);
		QT_INT(down(&r, 1), 0);
		rig_close(&r);
		close(fd[0]);
		close(fd[1]);
	}
}

/* Every type, at hello and after it, at each version: what the table does not list ends the link.
 */
QTEST(broker, threat_03_messages_in_the_wrong_direction_end_the_session)
{
	static const uint32_t types[] = { 0x190, 0x191, 0x192, 0x193, 0x200, 0x201, 0x202, 0x203,
					  0x210, 0x211, 0x212, 0x213, 0x300, 0x301, 0 };

	for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
		for (uint32_t v = 2; v <= 4; v++) {
			bool ok = qube__qrexec_accepts(QUBE__QREXEC_HOST, QUBE__QREXEC_AT_WORK, v,
						       types[t]);
			struct rig r;
			int fd[2];

			QT_INT(rig_open(&r, false, fd, NULL), 0);
			QT_INT(hello(&r, fd[0], v, 1), 0);
			memset(frame, 0, sizeof(frame));
			/* A header alone: a refused type ends it before any payload is read. */
			qube__qrexec_header_put(frame, types[t],
						types[t] == 0x210		       ? 128 :
						types[t] == 0x211		       ? 8 :
						types[t] == 0x193 || types[t] == 0x300 ? 4 :
						types[t] == 0x203		       ? 32 :
											 200);
			QT_INT(write(fd[0], frame, 8), 8);
			if (ok) {
				rig_turn(&r, 20);
				QT_INT(r.down, 0);
			} else {
				QT_INT(down(&r, 1), 0);
			}
			rig_close(&r);
			close(fd[0]);
			close(fd[1]);
		}
	}
}

QTEST(broker, threat_01_names_outside_the_alphabet_are_refused_not_repaired)
{
	struct rig r;
	int fd[2];

	QT_INT(rig_open(&r, false, fd, NULL), 0);
	QT_INT(hello(&r, fd[0], 4, 1), 0);
	for (int c = 1; c < 256; c++) {
		char service[8] = { 'a', (char)c, 'b' };
		bool ok = qube__qrexec_service_ok(service, 3);
		uint32_t before = r.decides;
		int n = put_trigger(4, service, "SOCKET1");

		r.hold = false;
		QT_INT(write(fd[0], frame, (size_t)n), n);
		/* Allowed ones fail later, for the other guest never said hello: also refused. */
		for (int i = 0; i < 100; i++) {
			struct pollfd p = { fd[0], POLLIN, 0 };

			qube__loop_dispatch(&r.loop, 0);
			if (poll(&p, 1, 0) == 1)
				break;
		}
		QT_INT(read(fd[0], frame, 40), 40);
		QT_INT(frame[0], 0x03);
		QT_MEM(frame + 8, "SOCKET1\0", 8);
		QT_INT(r.decides - before, ok ? 1 : 0);
		if (ok)
			QT_TRUE(strstr(r.decide_line, c == '+' ? "|a|1|b" : service) != NULL);
	}
	rig_close(&r);
	close(fd[0]);
	close(fd[1]);
}

QTEST(broker, threat_02_lengths_at_and_beyond_their_bounds)
{
	static const struct {
		uint32_t type;
		uint32_t len;
		bool ok;
	} rows[] = {
		{ 0x213, 0, false },	 { 0x213, 160, false },	  { 0x213, 161, true },
		{ 0x213, 65160, true },	 { 0x213, 65161, false }, { 0x213, 0xffffffff, false },
		{ 0x212, 96, false },	 { 0x212, 97, true },	  { 0x212, 65096, true },
		{ 0x212, 65097, false }, { 0x211, 7, false },	  { 0x211, 8, true },
		{ 0x211, 9, false },	 { 0x300, 4, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig r;
		int fd[2];

		QT_INT(rig_open(&r, false, fd, NULL), 0);
		QT_INT(hello(&r, fd[0], 4, 1), 0);
		qube__qrexec_header_put(frame, rows[i].type, rows[i].len);
		QT_INT(write(fd[0], frame, 8), 8);
		if (rows[i].ok) {
			rig_turn(&r, 10);
			QT_INT(r.down, 0);
		} else {
			QT_INT(down(&r, 1), 0);
		}
		rig_close(&r);
		close(fd[0]);
		close(fd[1]);
	}
}

QTEST(broker, threat_21_half_a_message_ends_in_time_and_only_that_guest)
{
	struct qube__broker_limits limits = { .frame_ms = 50, .hello_ms = 5000 };
	struct rig r;
	int fd[2];
	int n;

	QT_INT(rig_open(&r, false, fd, &limits), 0);
	QT_INT(hello(&r, fd[0], 4, 1), 0);
	QT_INT(hello(&r, fd[1], 4, 2), 0);
	n = put_trigger(4, "a.B", "SOCKET1");
	QT_INT(write(fd[0], frame, (size_t)n - 1), n - 1);
	QT_INT(down(&r, 1), 0);
	QT_STR(r.down_reason, "it left a message unfinished");
	QT_INT(r.down, 2);
	rig_close(&r);
	close(fd[0]);
	close(fd[1]);
}

QTEST(broker, threat_21_silence_instead_of_hello_ends_in_time)
{
	struct qube__broker_limits limits = { .hello_ms = 30 };
	struct rig r;
	int fd[2];

	QT_INT(rig_open(&r, false, fd, &limits), 0);
	QT_INT(down(&r, 1), 0);
	QT_STR(r.down_reason, "it said no hello in time");
	rig_close(&r);
	close(fd[0]);
	close(fd[1]);
}

/* It asks and asks and never reads: it is no more read from, and the other one is served. */
QTEST(broker, threat_21_a_flooding_guest_that_never_reads_does_not_stop_another)
{
	struct rig r;
	uint32_t before;
	ssize_t n;
	int fd[2];
	int len;

	QT_INT(rig_open(&r, false, fd, NULL), 0);
	QT_INT(hello(&r, fd[0], 4, 1), 0);
	QT_INT(hello(&r, fd[1], 4, 2), 0);
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	len = put_trigger(4, "deny.It", "SOCKET1");
	for (int stuck = 0; stuck < 50;) {
		n = send(fd[0], frame, (size_t)len, MSG_DONTWAIT);
		/* Half a request would be a different test. */
		if (n > 0 && n < len)
			break;
		stuck = n < 0 ? stuck + 1 : 0;
		qube__loop_dispatch(&r.loop, 0);
	}
	before = r.decides;
	QT_TRUE(before > 256);
	len = put_trigger(4, "deny.Other", "SOCKET9");
	QT_INT(write(fd[1], frame, (size_t)len), len);
	QT_INT(rig_until_count(&r, &r.decides, before + 1), 0);
	rig_turn(&r, 5);
	QT_TRUE(strstr(r.decide_line, "deny.Other") != NULL);
	QT_INT(read(fd[1], frame, 40), 40);
	QT_INT(r.down, 0);
	rig_close(&r);
	close(fd[0]);
	close(fd[1]);
}

QTEST(broker, holds_no_more_than_its_limit_of_undecided_requests)
{
	struct qube__broker_limits limits = { .pending_max = 3 };
	struct rig r;
	int fd[2];
	int n;

	QT_INT(rig_open(&r, false, fd, &limits), 0);
	QT_INT(hello(&r, fd[0], 4, 1), 0);
	r.hold = true;
	n = put_trigger(4, "a.B", "SOCKET1");
	for (int i = 0; i < 4; i++)
		QT_INT(write(fd[0], frame, (size_t)n), n);
	rig_turn(&r, 50);
	QT_INT(r.decides, 3);
	QT_INT(read(fd[0], frame, 40), 40);
	QT_INT(frame[0], 0x03);
	QT_INT(r.down, 0);
	rig_close(&r);
	close(fd[0]);
	close(fd[1]);
}

static size_t count_fds(void)
{
	size_t n = 0;

	for (int i = 0; i < 512; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

static ssize_t send_with_fd(int sock, const void *data, size_t len, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0);
}

QTEST(broker, threat_31_a_guest_hands_over_no_descriptor)
{
	struct rig r;
	size_t before;
	int fd[2];
	int n;

	QT_INT(rig_open(&r, false, fd, NULL), 0);
	rig_turn(&r, 5);
	before = count_fds();
	n = qube__qrexec_hello_put(frame, sizeof(frame), 4);
	QT_INT(send_with_fd(fd[0], frame, (size_t)n, 0), n);
	rig_turn(&r, 20);
	QT_INT(r.up, 2);
	n = put_trigger(4, "deny.It", "SOCKET1");
	QT_INT(send_with_fd(fd[0], frame, (size_t)n, 0), n);
	rig_turn(&r, 20);
	QT_INT(r.decides, 1);
	QT_INT(count_fds(), before);
	rig_close(&r);
	close(fd[0]);
	close(fd[1]);
}

/* The two ends of a call are pipes: a pipe carries bytes and nothing else. */
QTEST(broker, threat_31_the_channel_between_qubes_is_two_pipes)
{
	struct rig r;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct iovec iov = { frame, sizeof(frame) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	int got[2];
	int fd[2];
	int n;

	QT_INT(rig_open(&r, false, fd, NULL), 0);
	QT_INT(hello(&r, fd[0], 4, 1), 0);
	QT_INT(hello(&r, fd[1], 4, 2), 0);
	n = put_trigger(4, "a.B", "SOCKET1");
	QT_INT(write(fd[0], frame, (size_t)n), n);
	for (int side = 0; side < 2; side++) {
		msg.msg_controllen = sizeof(control.bytes);
		QT_INT(rig_until_input(&r, fd[side]), 0);
		QT_TRUE(recvmsg(fd[side], &msg, 0) > 16);
		QT_INT(CMSG_FIRSTHDR(&msg)->cmsg_len, CMSG_LEN(2 * sizeof(int)));
		memcpy(got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(got));
		QT_INT(fcntl(got[0], F_GETFL) & O_ACCMODE, O_RDONLY);
		QT_INT(fcntl(got[1], F_GETFL) & O_ACCMODE, O_WRONLY);
		QT_TRUE(fcntl(got[0], F_GETPIPE_SZ) > 0);
		QT_INT(send(got[1], "x", 1, 0), -1);
		QT_INT(errno, ENOTSOCK);
		close(got[0]);
		close(got[1]);
	}
	rig_close(&r);
	close(fd[0]);
	close(fd[1]);
}

/* Of a message's two descriptors the second one's size, or -1. */
static int pipe_size(int sock)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct iovec iov = { frame, sizeof(frame) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	int got[2];
	int size;

	if (recvmsg(sock, &msg, 0) <= 16 || !CMSG_FIRSTHDR(&msg))
		return -1;
	memcpy(got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(got));
	size = fcntl(got[1], F_GETPIPE_SZ);
	close(got[0]);
	close(got[1]);
	return size;
}

QTEST(broker, threat_33_who_holds_many_calls_gets_small_pipes)
{
	struct rig r;
	int first = -1;
	int last = -1;
	int fd[2];
	int n;

	QT_INT(rig_open(&r, false, fd, NULL), 0);
	QT_INT(hello(&r, fd[0], 4, 1), 0);
	QT_INT(hello(&r, fd[1], 4, 2), 0);
	for (int i = 0; i < 20; i++) {
		n = put_trigger(4, "a.B", "SOCKET1");
		QT_INT(write(fd[0], frame, (size_t)n), n);
		QT_INT(rig_until_input(&r, fd[0]), 0);
		last = pipe_size(fd[0]);
		QT_INT(pipe_size(fd[1]), last);
		first = i ? first : last;
	}
	QT_TRUE(first > last);
	QT_INT(last, 8192);
	rig_close(&r);
	close(fd[0]);
	close(fd[1]);
}

QTEST(broker, a_port_outside_the_range_ends_the_session)
{
	struct rig r;
	int fd[2];
	int n;

	QT_INT(rig_open(&r, false, fd, NULL), 0);
	QT_INT(hello(&r, fd[0], 4, 1), 0);
	n = qube__qrexec_params_put(frame, sizeof(frame), QUBE__QREXEC_CONNECTION_TERMINATED, 102,
				    600, NULL);
	QT_INT(write(fd[0], frame, (size_t)n), n);
	rig_turn(&r, 10);
	QT_INT(r.down, 0);
	n = qube__qrexec_params_put(frame, sizeof(frame), QUBE__QREXEC_CONNECTION_TERMINATED, 102,
				    769, NULL);
	QT_INT(write(fd[0], frame, (size_t)n), n);
	QT_INT(down(&r, 1), 0);
	rig_close(&r);
	close(fd[0]);
	close(fd[1]);
}

/* The number is all by which the two ends of a vchan find each other: somebody may still be on the
 * way to the last one. */
QTEST(broker, the_number_of_a_call_that_ended_is_not_the_next_ones)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_HOST_CALL };
	uint32_t ports[300];
	struct rig r;
	int fd[2];

	QT_INT(rig_open(&r, false, fd, NULL), 0);
	QT_INT(hello(&r, fd[0], 4, 1), 0);
	m.host_call.guest = 1;
	m.host_call.command = "user:true";
	for (uint32_t i = 0; i < 300; i++) {
		struct qube__rd rd;
		int n;

		m.host_call.call = i + 1;
		QT_INT(rig_send(&r, &m, NULL), 0);
		QT_INT(rig_until_input(&r, fd[0]), 0);
		n = (int)read(fd[0], frame, sizeof(frame));
		QT_TRUE(n > QUBE__QREXEC_HEADER + QUBE__QREXEC_PARAMS);
		rd = qube__rd_init(frame + QUBE__QREXEC_HEADER, QUBE__QREXEC_PARAMS);
		QT_INT(qube__rd_le32(&rd), 0);
		ports[i] = qube__rd_le32(&rd) & 0xffff;
		n = put_end(0, ports[i]);
		QT_INT(write(fd[0], frame, (size_t)n), n);
		QT_INT(rig_until_count(&r, &r.ended, i + 1), 0);
	}
	/* Each has its turn before the first comes again. */
	for (uint32_t i = 0; i < 300; i++)
		for (uint32_t j = i < 255 ? 0 : i - 255; j < i; j++)
			QT_TRUE(ports[i] != ports[j]);
	QT_INT(ports[256], ports[0]);
	rig_close(&r);
	close(fd[0]);
	close(fd[1]);
}

/* A link that is the caller's: what an executor may not say ends it with "link lost". */
QTEST(broker, threat_03_a_host_call_does_not_take_callers_messages)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_HOST_CALL };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control;
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

	QT_INT(rig_open(&r, false, fd, NULL), 0);
	QT_INT(hello(&r, fd[0], 4, 1), 0);
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
	memcpy(got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(got));
	n = qube__qrexec_hello_put(frame, sizeof(frame), 4);
	qube__qrexec_header_put(frame + n, QUBE__QREXEC_DATA_STDIN, 1);
	QT_INT(write(got[1], frame, (size_t)n + 9), n + 9);
	QT_INT(rig_until_count(&r, &r.ended, 1), 0);
	QT_INT(r.end_code, -1);
	QT_STR(r.end_reason, "the link was lost");
	close(got[0]);
	close(got[1]);
	rig_close(&r);
	close(fd[0]);
	close(fd[1]);
}
