/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Connections: what is malformed, slow, too much or gone. */
#include "peer.h"
#include "qtest.h"

#include "base/io.h"
#include "core/host.h"
#include "wire/admin.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static bool silent(qube_ctx *ctx, const void *bytes, size_t len)
{
	ANSWER a = peer_ask(ctx, bytes, len);

	return a.closed && a.len == 0;
}

QTEST(serve, answers_with_the_bytes_of_the_admin_api)
{
	CTX ctx = rig_open();
	ANSWER ok = peer_ask(ctx, "admin.vm.feature.Set+gui dom0 name work", 40);
	ANSWER no = peer_ask(ctx, "admin.vm.List+ dom0 name nobody", 32);
	ANSWER percent = peer_call(ctx, "dom0", "admin.label.Get", "x", "dom0", NULL);
	static const char want[] = "2\0QubesVMNotFoundError\0\0No such domain: 'nobody'";

	QT_INT(ok.len, 2);
	QT_MEM(ok.bytes, "0", 2);
	QT_INT(no.len, sizeof(want));
	QT_MEM(no.bytes, want, sizeof(want));
	QT_INT(percent.bytes[0], '2');
}

QTEST(serve, the_keyword_adminvm_and_a_missing_plus_are_understood)
{
	CTX ctx = rig_open();
	ANSWER a = peer_ask(ctx, "admin.vmclass.List dom0 keyword adminvm", 40);
	ANSWER b = peer_ask(ctx, "admin.vmclass.List+ dom0 name dom0", 35);

	QT_INT(a.bytes[0], '0');
	QT_INT(a.len, b.len);
	QT_MEM(a.bytes, b.bytes, a.len);
}

QTEST(serve, a_percent_sign_is_doubled)
{
	CTX ctx = rig_open();
	ANSWER a = peer_call(ctx, "dom0", "admin.vm.Create.AppVM", "deb", "dom0",
			     "name=50%s label=red");
	size_t at = 2;

	QT_INT(a.bytes[0], '2');
	at += strlen((char *)a.bytes + at) + 2; /* the type, an empty traceback */
	for (const char *p = strchr((char *)a.bytes + at, '%'); p; p = strchr(p + 2, '%'))
		QT_INT(p[1], '%');
}

QTEST(serve, threat_28_what_is_malformed_is_closed_without_a_byte)
{
	static const char *const bad[] = {
		"",
		"\n",
		"admin.vm.List",
		"admin.vm.List+ dom0 name",
		"admin.vm.List+ dom0 thing dom0",
		"admin.vm.List+ dom0 keyword dom0",
		"admin.vm.List+  name dom0",
		"admin.vm.List+ dom0  dom0",
		" dom0 name dom0",
		"admin.vm.List+\xff dom0 name dom0",
		"admin.vm.List+ do\x01m0 name dom0",
	};
	CTX ctx = rig_open();
	char *text = calloc(1, 70000);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		QT_TRUE(silent(ctx, bad[i], strlen(bad[i]) + 1));
	/* No NUL behind the header. */
	QT_TRUE(silent(ctx, "admin.vm.List+ dom0 name dom0", 29));
	/* One byte more than there may be, and far more. */
	snprintf(text, 70000, "admin.vm.feature.Set+f dom0 name work");
	QT_TRUE(silent(ctx, text, 65537));
	QT_TRUE(silent(ctx, text, 70000));
	free(text);
	{
		ANSWER a = peer_ask(ctx, "admin.vmclass.List+ dom0 name dom0", 35);

		QT_INT(a.bytes[0], '0');
	}
	QT_INT(qube__host_of(ctx)->n_conns, 0);
}

QTEST(serve, a_source_must_be_somebody)
{
	CTX ctx = rig_open();
	ANSWER a = peer_call(ctx, "nobody", "admin.vmclass.List", "", "dom0", NULL);
	ANSWER b = peer_call(ctx, "uuid:00000000-0000-0000-0000-000000000000", "admin.vmclass.List",
			     "", "dom0", NULL);
	ANSWER c = peer_call(ctx, "uuid:0", "admin.vmclass.List", "", "dom0", NULL);

	QT_STR((char *)a.bytes + 2, "QubesVMNotFoundError");
	QT_INT(b.bytes[0], '0');
	QT_STR((char *)c.bytes + 2, "QubesVMInvalidUUIDError");
}

QTEST(serve, a_request_of_the_largest_size_is_read_whole)
{
	CTX ctx = rig_open();
	char *text = malloc(65536);
	int n = snprintf(text, 65536, "admin.vm.feature.Set+f dom0 name work");
	ANSWER a = { 0 };

	memset(text + n + 1, 'x', 65536 - (size_t)n - 1);
	a = peer_ask(ctx, text, 65536);
	free(text);
	QT_TRUE(a.len > 0); /* an answer: whether the value may be so long is the model's */
}

QTEST(serve, half_a_request_ends_at_its_deadline)
{
	CTX ctx = rig_open();
	int fd;
	ANSWER a = { 0 };

	qube__host_of(ctx)->conn_read_ms = 30;
	fd = peer_open(ctx);
	QT_INT(send(fd, "admin.vm.Li", 11, 0), 11);
	a = peer_read(ctx, fd);
	QT_TRUE(a.closed);
	QT_INT(a.len, 0);
	close(fd);
	rig_drain(ctx);
	QT_INT(qube__host_of(ctx)->n_conns, 0);
}

QTEST(serve, threat_21_a_reader_that_never_reads_is_dropped)
{
	CTX ctx = rig_open();
	struct qube__host *h = qube__host_of(ctx);
	int small = 4096;
	int pair[2];
	char value[1800];
	DOMAIN d = rig_domain(ctx, "work");
	bool gone = false;

	h->conn_write_ms = 30;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 600; i++) {
		char name[32];

		snprintf(name, sizeof(name), "name-of-a-feature-%d", i);
		QT_INT(qube_domain_feature_set(d, name, "v"), 0);
	}
	QT_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	QT_INT(qube_admin_serve(ctx, pair[1]), 0);
	QT_INT(send(pair[0], "admin.vm.feature.List+ dom0 name work", 38, 0), 38);
	shutdown(pair[0], SHUT_WR);
	for (int i = 0; i < 200 && !gone; i++) {
		qube_ctx_dispatch(ctx, 20);
		gone = h->n_conns == 0;
	}
	QT_TRUE(gone);
	close(pair[0]);
}

QTEST(serve, threat_21_connections_have_a_ceiling)
{
	CTX ctx = rig_open();
	static int fds[520];
	int n = 0;

	while (n < 520 && (fds[n] = peer_open(ctx)) >= 0)
		n++;
	QT_INT(n, 512);
	QT_INT(qube_error_last()->code, QUBE_E_LIMIT);
	/* One that goes makes room. */
	close(fds[0]);
	rig_drain(ctx);
	fds[0] = peer_open(ctx);
	QT_TRUE(fds[0] >= 0);
	for (int i = 0; i < n; i++)
		close(fds[i]);
	rig_drain(ctx);
	QT_INT(qube__host_of(ctx)->n_conns, 0);
}

QTEST(serve, a_client_that_vanishes_takes_only_its_connection_along)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	int fd = peer_open(ctx);

	QT_INT(send(fd, "admin.vm.Start+ dom0 name work", 31, 0), 31);
	close(fd);
	rig_drain(ctx);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_RUNNING);
	fd = peer_open(ctx);
	QT_INT(send(fd, "qube.Start+ dom0 name dvm", 26, 0), 26);
	shutdown(fd, SHUT_WR);
	qube_ctx_dispatch(ctx, 0);
	close(fd);
	rig_drain(ctx);
	QT_INT(qube__host_of(ctx)->n_conns, 0);
}

QTEST(serve, a_context_closes_with_requests_under_way)
{
	qube_ctx *ctx = rig_open();
	int fd[3];

	for (int i = 0; i < 3; i++) {
		static const char *const rq[] = { "qube.Start+ dom0 name work",
						  "admin.Events+ dom0 name dom0",
						  "admin.vm.Start+ dom0 name dvm" };

		fd[i] = peer_open(ctx);
		QT_TRUE(send(fd[i], rq[i], strlen(rq[i]) + 1, 0) > 0);
		shutdown(fd[i], SHUT_WR);
	}
	for (int i = 0; i < 2; i++)
		qube_ctx_dispatch(ctx, 0);
	qube_ctx_unref(ctx);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

QTEST(serve, descriptors_that_nobody_asked_for_are_closed)
{
	CTX ctx = rig_open();
	int fd = peer_open(ctx);
	int pipes[2];
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = "admin", .iov_len = 5 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	char byte;
	ANSWER a = { 0 };

	QT_INT(pipe(pipes), 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pipes[1], sizeof(int));
	/* Once is for a method that takes some. */
	QT_INT(sendmsg(fd, &m, 0), 5);
	QT_INT(sendmsg(fd, &m, 0), 5);
	close(pipes[1]);
	a = peer_read(ctx, fd);
	QT_TRUE(a.closed && a.len == 0);
	/* The pipe's last writer is gone. */
	QT_INT(read(pipes[0], &byte, 1), 0);
	close(pipes[0]);
	close(fd);
}

/* What the host answers to a copy with this payload; with descriptors, or without. */
static struct answer copy_of(qube_ctx *ctx, const char *payload, size_t len, bool with_fds)
{
	static const char head[] = "qube.copy.Out dom0 name work";
	const int fds[3] = { 0, 0, 0 };
	int fd = peer_open(ctx);
	char text[256];
	struct answer a = { 0 };

	memcpy(text, head, sizeof(head));
	memcpy(text + sizeof(head), payload, len);
	if (qube__io_send_fds(fd, text, sizeof(head) + len, fds, with_fds ? 3 : 0) > 0 &&
	    shutdown(fd, SHUT_WR) == 0)
		a = peer_read(ctx, fd);
	close(fd);
	return a;
}

QTEST(serve, a_copy_is_asked_for_in_five_fields_with_a_descriptor)
{
	static const struct {
		const char *payload;
		size_t len;
		bool fds;
		const char *why;
	} cases[] = {
		{ "p\0n\0u\0003\0000\0", 10, true, "keeps no files" },
		{ "\0n\0\0"
		  "0\0"
		  "18446744073709551615\0",
		  27, true, "keeps no files" },
		{ "p\0n\0u\0003\0000\0", 10, false, "needs a descriptor" },
		{ "p\0n\0u\0003\0000", 9, true, "a field is missing" },
		{ "p\0n\0u\0003\0", 8, true, "a field is missing" },
		{ "p\0n\0u\0003\0000\0x", 11, true, "a field too many" },
		{ "p\0n\0u\0004\0000\0", 10, true, "bad numbers" },
		{ "p\0n\0u\0-1\0000\0", 11, true, "bad numbers" },
		{ "p\0n\0u\0000\0k\0", 10, true, "bad numbers" },
		{ "p\0a/b\0u\0000\0000\0", 12, true, "a bad name" },
		{ "p\0..\0u\0000\0000\0", 11, true, "a bad name" },
		{ "p\0\0u\0000\0000\0", 9, true, "a bad name" },
	};
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ANSWER a = copy_of(ctx, cases[i].payload, cases[i].len, cases[i].fds);

		QT_TRUE(a.len > 2 && a.bytes[0] == '2');
		if (!memmem(a.bytes, a.len, cases[i].why, strlen(cases[i].why)))
			QT_FAIL("case %zu: no \"%s\"", i, cases[i].why);
	}
	QT_TRUE(d != NULL);
}

/* --- events --- */

static int listen_to(qube_ctx *ctx, const char *dest)
{
	char text[64];
	int fd = peer_open(ctx);
	int n = snprintf(text, sizeof(text), "admin.Events+ dom0 name %s", dest);

	if (send(fd, text, (size_t)n + 1, 0) < 0 || shutdown(fd, SHUT_WR) < 0)
		return -1;
	rig_drain(ctx);
	return fd;
}

/* Asks for a stream of statistics; what came at once. */
static ssize_t stats_of(qube_ctx *ctx, const char *dest, char *out, size_t cap)
{
	char text[64];
	int fd = peer_open(ctx);
	int n = snprintf(text, sizeof(text), "admin.vm.Stats+ dom0 name %s", dest);
	ssize_t got;

	if (send(fd, text, (size_t)n + 1, 0) < 0 || shutdown(fd, SHUT_WR) < 0)
		return -1;
	rig_drain(ctx);
	rig_drain(ctx);
	got = recv(fd, out, cap, MSG_DONTWAIT);
	close(fd);
	return got;
}

QTEST(stats, are_streamed_for_running_qubes_only)
{
	static const char hello[] = "1\0\0connection-established\0";
	static const char work[] = "1\0work\0vm-stats\0memory_kb\00065536\0";
	static const char cpu[] = "\0cpu_time\000250\0cpu_usage\0000\0online_vcpus\0";
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	char got[4096];

	QT_INT(stats_of(ctx, "dom0", got, sizeof(got)), sizeof(hello));
	QT_INT(qube_domain_start(d, NULL), 0);
	for (int i = 0; i < 2; i++) {
		ssize_t n = stats_of(ctx, i ? "work" : "dom0", got, sizeof(got));

		QT_TRUE(n > (ssize_t)(sizeof(hello) + sizeof(work)));
		QT_MEM(got, hello, sizeof(hello));
		QT_MEM(got + sizeof(hello), work, sizeof(work) - 1);
		QT_TRUE(memmem(got, (size_t)n, cpu, sizeof(cpu) - 1) != NULL);
	}
	QT_TRUE(stats_of(ctx, "dvm", got, sizeof(got)) > 0);
	QT_MEM(got, "2\0QubesVMNotStartedError", 24);
}

QTEST(events, are_streamed_frame_by_frame)
{
	static const char hello[] = "1\0\0connection-established\0";
	static const char tag[] = "1\0work\0domain-tag-add:x\0tag\0x\0";
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	DOMAIN other = rig_domain(ctx, "dvm");
	char got[4096];
	int all = listen_to(ctx, "dom0");
	int one = listen_to(ctx, "work");
	ssize_t n = recv(all, got, sizeof(got), 0);

	QT_INT(n, sizeof(hello));
	QT_MEM(got, hello, sizeof(hello));
	QT_INT(recv(one, got, sizeof(got), 0), sizeof(hello));
	QT_INT(qube_domain_tag_add(d, "x"), 0);
	QT_INT(qube_domain_tag_add(other, "x"), 0);
	n = recv(all, got, sizeof(got), 0);
	QT_INT(n, 2 * sizeof(tag) - 1);
	QT_MEM(got, tag, sizeof(tag));
	/* A stream for one qube has only its own. */
	QT_INT(recv(one, got, sizeof(got), 0), sizeof(tag));
	QT_MEM(got, tag, sizeof(tag));
	close(all);
	close(one);
	rig_drain(ctx);
	QT_INT(qube__host_of(ctx)->n_conns, 0);
}

QTEST(events, a_value_that_is_not_ascii_is_escaped_not_left_out)
{
	CTX ctx = rig_open();
	char got[4096];
	int fd = listen_to(ctx, "dom0");
	ssize_t n = recv(fd, got, sizeof(got), 0);

	qube__ctx_emit(ctx, "work", "domain-start-failed", "reason", "caf\xc3\xa9", NULL);
	n = recv(fd, got, sizeof(got), 0);
	QT_TRUE(n > 0);
	QT_MEM(got, "1\0work\0domain-start-failed\0reason\0caf\\xc3\\xa9\0", 47);
	close(fd);
}

QTEST(events, threat_21_a_reader_that_is_too_slow_loses_its_stream_and_nobody_else)
{
	CTX ctx = rig_open();
	struct qube__host *h = qube__host_of(ctx);
	int slow = listen_to(ctx, "dom0");
	int good = listen_to(ctx, "dom0");
	size_t heard = 0;
	char value[4000];
	char got[65536];

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	QT_INT(h->n_conns, 2);
	for (int i = 0; i < 3000; i++) {
		ssize_t n;

		qube__ctx_emit(ctx, "work", "test", "value", value, NULL);
		while ((n = recv(good, got, sizeof(got), MSG_DONTWAIT)) > 0)
			heard += (size_t)n;
	}
	rig_drain(ctx);
	QT_INT(h->n_conns, 1);
	QT_TRUE(heard > 3000 * 4000u);
	close(slow);
	close(good);
}

/* --- doors --- */

/* -1: none was given. */
static int door_open(qube_ctx *ctx)
{
	static const char ask[] = "qube.Door+ dom0 name dom0";
	int fd = peer_open(ctx);
	char answer[64];
	int door = -1;
	size_t n = 1;
	ssize_t len;

	send(fd, ask, sizeof(ask), MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 10; i++)
		qube_ctx_dispatch(ctx, 0);
	len = qube__io_recv_fds(fd, answer, sizeof(answer), &door, &n);
	close(fd);
	return len == 2 && n == 1 && !memcmp(answer, "0", 2) ? door : -1;
}

/* A packet with n descriptors of which the first is the connection for the answer. */
static struct answer door_ask(qube_ctx *ctx, int door, const void *bytes, size_t len, size_t n)
{
	struct answer a = { 0 };
	int pair[2];
	int fds[8];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return a;
	for (size_t i = 0; i < n; i++)
		fds[i] = pair[1];
	a.closed = qube__io_send_fds(door, bytes, len, fds, n) < 0;
	close(pair[1]);
	if (!a.closed)
		a = peer_read(ctx, pair[0]);
	close(pair[0]);
	return a;
}

static const char list[] = "admin.vmclass.List+ dom0 name dom0";

QTEST(serve, a_door_takes_request_after_request)
{
	CTX ctx = rig_open();
	ANSWER want = peer_ask(ctx, list, sizeof(list));
	int door = door_open(ctx);

	QT_TRUE(door >= 0);
	for (int i = 0; i < 3; i++) {
		ANSWER a = door_ask(ctx, door, list, sizeof(list), 1);

		QT_INT(a.len, want.len);
		QT_MEM(a.bytes, want.bytes, want.len);
	}
	QT_INT(qube__host_of(ctx)->n_conns, 0);
	QT_INT(qube__host_of(ctx)->n_doors, 1);
	close(door);
	qube_ctx_dispatch(ctx, 0);
	QT_INT(qube__host_of(ctx)->n_doors, 0);
}

QTEST(serve, threat_28_what_is_malformed_in_a_packet_is_closed_without_a_byte)
{
	CTX ctx = rig_open();
	int door = door_open(ctx);
	ANSWER bad = door_ask(ctx, door, "admin.vm.List", 14, 1);
	ANSWER cut = door_ask(ctx, door, list, sizeof(list) - 1, 1);
	ANSWER good = door_ask(ctx, door, list, sizeof(list), 1);

	QT_TRUE(bad.closed && bad.len == 0);
	QT_TRUE(cut.closed && cut.len == 0);
	QT_INT(good.bytes[0], '0');
	close(door);
}

QTEST(serve, threat_28_a_door_that_is_misused_is_closed)
{
	static char big[QUBE__ADMIN_DOOR_MAX + 1];
	CTX ctx = rig_open();
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	int pair[2];

	memcpy(big, list, sizeof(list));
	for (size_t n = 0; n < 6; n++) {
		int door = door_open(ctx);
		ANSWER a = door_ask(ctx, door, list, sizeof(list), n);

		QT_TRUE(door >= 0);
		qube_ctx_dispatch(ctx, 0);
		QT_INT(a.len > 0, n >= 1 && n <= 4);
		QT_INT(qube__host_of(ctx)->n_doors, n >= 1 && n <= 4);
		close(door);
		qube_ctx_dispatch(ctx, 0);
	}
	for (int i = 0; i < 3; i++) {
		int door = door_open(ctx);
		int fd = file;

		QT_INT(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
		if (i == 1)
			fd = pair[0];
		if (i == 2) {
			ANSWER none = door_ask(ctx, door, big, sizeof(big), 1);

			QT_INT(none.len, 0);
		} else {
			QT_INT(qube__io_send_fds(door, list, sizeof(list), &fd, 1), sizeof(list));
		}
		qube_ctx_dispatch(ctx, 0);
		QT_INT(qube__host_of(ctx)->n_doors, 0);
		QT_INT(qube__host_of(ctx)->n_conns, 0);
		close(door);
		close(pair[0]);
		close(pair[1]);
	}
	close(file);
}

QTEST(serve, there_are_so_many_doors_and_no_more)
{
	CTX ctx = rig_open();
	int doors[256];

	for (int i = 0; i < 256; i++) {
		doors[i] = door_open(ctx);
		QT_TRUE(doors[i] >= 0);
	}
	QT_INT(door_open(ctx), -1);
	for (int i = 0; i < 256; i++)
		close(doors[i]);
	for (int i = 0; i < 20; i++)
		qube_ctx_dispatch(ctx, 0);
	QT_INT(qube__host_of(ctx)->n_doors, 0);
}
