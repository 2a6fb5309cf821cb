/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/opts.h"
#include "base/quota.h"
#include "base/rw.h"
#include "base/spawn.h"
#include "base/text.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

QTEST(error, record_holds_code_text_and_errno)
{
	errno = ENOENT;
	QT_INT(qube__fail_os("cannot open %s", "x"), QUBE_E_SYSTEM);
	QT_INT(qube_error_last()->os_errno, ENOENT);
	QT_STR(qube_error_last()->message, "cannot open x: No such file or directory");
	QT_INT(qube__fail_rule(QUBE_E_DENIED, "p.policy", 7, "refused"), QUBE_E_DENIED);
	QT_STR(qube_error_last()->rule_file, "p.policy");
	QT_INT(qube_error_last()->rule_line, 7);
	QT_INT(qube__fail(QUBE_E_STATE, "plain"), QUBE_E_STATE);
	QT_TRUE(qube_error_last()->rule_file == NULL);
}

QTEST(error, a_saved_record_outlives_the_next_failure)
{
	struct qube__err saved;

	qube__fail_rule(QUBE_E_DENIED, "a", 1, "first");
	qube__err_save(&saved);
	qube__fail(QUBE_E_STATE, "second %s", qube_error_last()->message);
	QT_STR(qube_error_last()->message, "second first");
	QT_STR(saved.pub.message, "first");
	QT_STR(saved.pub.rule_file, "a");
	QT_INT(qube__err_restore(&saved), QUBE_E_DENIED);
	QT_STR(qube_error_last()->message, "first");
}

QTEST(error, names_every_code)
{
	QT_STR(qube_error_name(QUBE_E_CANCELED), "QUBE_E_CANCELED");
	QT_STR(qube_error_name(QUBE_E_AGAIN), "QUBE_E_AGAIN");
	QT_STR(qube_error_name(1), "QUBE_E_?");
	QT_STR(qube_error_name(-16), "QUBE_E_?");
}

QTEST(buf, grows_to_its_maximum_and_no_further)
{
	struct qube__buf b;
	char *s;

	qube__buf_init(&b, 1000);
	QT_INT(qube__buf_append(&b, "0123456789", 10), 0);
	qube__buf_consume(&b, 4);
	QT_INT(qube__buf_printf(&b, "%0900d", 7), 0);
	QT_INT(b.len, 906);
	QT_INT(qube__buf_append(&b, qube__buf_data(&b), 95), QUBE_E_LIMIT);
	QT_INT(b.len, 906);
	qube__buf_consume(&b, 900);
	QT_MEM(qube__buf_data(&b), "000007", 6);
	s = qube__buf_take_string(&b);
	QT_STR(s, "000007");
	free(s);
	QT_INT(b.len, 0);
}

struct opts_v2 {
	uint32_t size;
	uint32_t flags;
	uint64_t later;
};

QTEST(opts, import_fails_closed)
{
	struct {
		struct opts_v2 o;
		uint32_t newer;
	} big = { .o = { .size = 24, .flags = 1 }, .newer = 0 };
	struct opts_v2 old = { .size = 8, .flags = 3, .later = 99 };
	struct opts_v2 dst = { .flags = 77 };

	QT_INT(qube__opts_import(&dst, sizeof(dst), 8, &big), 0);
	QT_INT(dst.size, sizeof(dst));
	big.newer = 1;
	QT_INT(qube__opts_import(&dst, sizeof(dst), 8, &big), QUBE_E_NOTSUP);
	QT_INT(qube__opts_import(&dst, sizeof(dst), 8, &old), 0);
	QT_INT(dst.later, 0);
	QT_INT(dst.flags, 3);
	old.size = 4;
	QT_INT(qube__opts_import(&dst, sizeof(dst), 8, &old), QUBE_E_INVALID);
	old.size = 5000;
	QT_INT(qube__opts_import(&dst, sizeof(dst), 8, &old), QUBE_E_INVALID);
	QT_INT(dst.flags, 3);
}

QTEST(rw, reader_refuses_to_read_past_the_end)
{
	uint8_t bytes[] = { 1, 2, 3, 4, 5 };
	struct qube__rd r = qube__rd_init(bytes, sizeof(bytes));

	QT_INT(qube__rd_le32(&r), 0x04030201);
	QT_TRUE(!qube__rd_done(&r));
	QT_INT(qube__rd_le32(&r), 0);
	QT_TRUE(r.bad);
}

QTEST(rw, writer_pads_with_zeros_and_keeps_one)
{
	uint8_t out[8];
	struct qube__wr w = qube__wr_init(out, sizeof(out));

	memset(out, 0xff, sizeof(out));
	qube__wr_padded(&w, "abc", 8);
	QT_TRUE(!w.bad);
	QT_MEM(out, "abc\0\0\0\0\0", 8);
	w = qube__wr_init(out, 3);
	qube__wr_padded(&w, "abc", 3);
	QT_TRUE(w.bad);
}

QTEST(quota, refuses_without_charging)
{
	struct qube__quota q = { .max = { 10, 1, 1 } };

	QT_INT(qube__quota_charge(&q, QUBE__Q_BYTES, 8), 0);
	QT_INT(qube__quota_charge(&q, QUBE__Q_BYTES, 3), QUBE_E_LIMIT);
	QT_INT(qube__quota_charge(&q, QUBE__Q_BYTES, UINT64_MAX), QUBE_E_LIMIT);
	QT_INT(q.used[QUBE__Q_BYTES], 8);
}

QTEST(text, escape_makes_terminal_bytes_harmless)
{
	char out[64];
	char tiny[12];

	QT_STR(qube__text_escape(out, sizeof(out), "a\033[2J\n\x9b", 7), "a\\x1b[2J\\x0a\\x9b");
	QT_STR(qube__text_escape(tiny, sizeof(tiny), "aaaaaaaaaaaaaaaaaaaa", 20), "aaaaa...");
}

QTEST(text, numbers_are_whole_or_refused)
{
	uint64_t v = 5;

	QT_INT(qube__text_u64(&v, "18446744073709551615", UINT64_MAX), 0);
	QT_TRUE(v == UINT64_MAX);
	QT_INT(qube__text_u64(&v, "18446744073709551616", UINT64_MAX), QUBE_E_INVALID);
	QT_INT(qube__text_u64(&v, "", UINT64_MAX), QUBE_E_INVALID);
	QT_INT(qube__text_u64(&v, "12x", UINT64_MAX), QUBE_E_INVALID);
	QT_INT(qube__text_u64(&v, "-1", UINT64_MAX), QUBE_E_INVALID);
	QT_INT(qube__text_u64(&v, "11", 10), QUBE_E_INVALID);
}

QTEST(io, replaced_file_is_whole_and_leaves_no_temporary)
{
	char dir[] = "/tmp/qube-io-XXXXXX";
	qube__autofd fd = -1;
	char *text = NULL;
	size_t len;

	QT_TRUE(mkdtemp(dir) != NULL);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	QT_INT(qube__io_replace_file(fd, "a", "one", 3, 0600, 1), 0);
	QT_INT(qube__io_replace_file(fd, "a", "second", 6, 0600, 1), 0);
	QT_INT(qube__io_read_file(&text, &len, fd, "a", 6), 0);
	QT_STR(text, "second");
	free(text);
	text = NULL;
	QT_INT(qube__io_read_file(&text, &len, fd, "a", 5), QUBE_E_LIMIT);
	QT_INT(qube__io_read_file(&text, &len, fd, "b", 5), QUBE_E_NOENT);
	QT_TRUE(text == NULL);
	QT_INT(faccessat(fd, ".a.new", F_OK, 0), -1);
	unlinkat(fd, "a", 0);
	rmdir(dir);
}

QTEST(io, descriptors_arrive_and_surplus_is_closed)
{
	int pair[2];
	int got[2];
	int three[3] = { 0, 1, 2 };
	size_t n = 2;
	char byte;

	QT_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	QT_INT(qube__io_send_fds(pair[0], "x", 1, three, 2), 1);
	QT_INT(qube__io_recv_fds(pair[1], &byte, 1, got, &n), 1);
	QT_INT(n, 2);
	QT_TRUE(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
	close(got[0]);
	close(got[1]);
	QT_INT(qube__io_send_fds(pair[0], "x", 1, three, 3), 1);
	n = 2;
	QT_INT(qube__io_recv_fds(pair[1], &byte, 1, got, &n), QUBE_E_PROTO);
	QT_INT(n, 0);
	QT_INT(qube__io_recv_fds(pair[1], &byte, 1, got, &n), QUBE_E_AGAIN);
	close(pair[0]);
	close(pair[1]);
}

static int wait_child(struct qube__child *c)
{
	struct pollfd p = { .fd = c->pidfd, .events = POLLIN };

	poll(&p, 1, 10000);
	return qube__child_reap(c);
}

QTEST(spawn, child_gets_its_descriptors_and_no_others)
{
	int pipefd[2];
	int stray = open("/dev/null", O_RDONLY); /* not close-on-exec */
	const char *const argv[] = { "sh", "-c", "ls /proc/self/fd; exit 7", NULL };
	const char *const envp[] = { "PATH=/usr/bin:/bin", NULL };
	struct qube__child c;
	char out[64] = "";
	ssize_t n;

	QT_INT(pipe2(pipefd, O_CLOEXEC), 0);
	{
		int fds[3] = { -1, pipefd[1], 2 };
		struct qube__spawn s = { .path = "/bin/sh",
					 .exec_fd = -1,
					 .argv = argv,
					 .envp = envp,
					 .fds = fds,
					 .n_fds = 3 };

		QT_INT(qube__spawn(&c, &s), 0);
	}
	close(pipefd[1]);
	QT_INT(wait_child(&c), 7);
	n = read(pipefd[0], out, sizeof(out) - 1);
	QT_TRUE(n > 0);
	QT_STR(out, "0\n1\n2\n3\n"); /* 3 is ls reading the folder */
	close(pipefd[0]);
	close(stray);
}

QTEST(spawn, names_the_reason_when_exec_fails)
{
	const char *const argv[] = { "none", NULL };
	struct qube__child c;
	struct qube__spawn s = { .path = "/nonexistent/none", .exec_fd = -1, .argv = argv };

	QT_INT(qube__spawn(&c, &s), QUBE_E_SYSTEM);
	QT_INT(qube_error_last()->os_errno, ENOENT);
	QT_STR(qube_error_last()->message,
	       "cannot start none: cannot execute it: No such file or directory");
}

QTEST(spawn, reports_the_killing_signal)
{
	const char *const argv[] = { "sleep", "60", NULL };
	struct qube__child c;
	struct qube__spawn s = { .path = "/bin/sleep", .exec_fd = -1, .argv = argv };

	QT_INT(qube__spawn(&c, &s), 0);
	kill(c.pid, SIGTERM);
	QT_INT(wait_child(&c), 128 + SIGTERM);
}

QTEST(clock, a_begin_that_was_noted_is_kept_while_it_fits)
{
	QT_INT(qube__wall_begin(1000000, 1005000, 5000), 1000000);
	QT_INT(qube__wall_begin(1000000, 1005000, 4001), 1000000);
	QT_INT(qube__wall_begin(1000000, 1005000, 6000), 1000000);
}

QTEST(clock, a_begin_goes_along_with_a_clock_that_is_set)
{
	QT_INT(qube__wall_begin(1000000, 4605000, 5000), 4600000);
	QT_INT(qube__wall_begin(1000000, 505000, 5000), 500000);
	QT_INT(qube__wall_begin(1000000, 3000, 5000), 0);
}
