/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The streams of a call, with pipes in the place of our own three descriptors. */
#include "qtest.h"

#include "relay.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct rig {
	struct cli_relay *r;
	int saved[3];
	int in;	 /* writes to our standard input */
	int out; /* reads our standard output */
	int err;
};

static void rig_init(struct rig *g)
{
	int p[3][2];

	signal(SIGPIPE, SIG_IGN);
	g->r = calloc(1, sizeof(*g->r));
	for (int i = 0; i < 3; i++) {
		if (pipe2(p[i], O_CLOEXEC) < 0)
			return;
		g->saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
	}
	fflush(stdout);
	dup2(p[0][0], 0);
	dup2(p[1][1], 1);
	dup2(p[2][1], 2);
	cli_relay_init(g->r, CLI_FILTER_PLAIN, true);
	for (int i = 0; i < 3; i++) {
		dup2(g->saved[i], i);
		close(g->saved[i]);
	}
	close(p[0][0]);
	close(p[1][1]);
	close(p[2][1]);
	g->in = p[0][1];
	g->out = p[1][0];
	g->err = p[2][0];
}

static void rig_fini(struct rig *g)
{
	cli_relay_fini(g->r);
	free(g->r);
	close(g->in);
	close(g->out);
	close(g->err);
}

/* Serves until nothing happens for a while. */
static void serve(struct rig *g)
{
	struct pollfd fds[CLI_RELAY_POLLFDS];

	for (;;) {
		size_t n = cli_relay_poll(g->r, fds);

		if (n == 0 || poll(fds, (nfds_t)n, 20) <= 0)
			return;
		cli_relay_serve(g->r, fds, n);
	}
}

QTEST(cli_relay, carries_all_three_streams)
{
	struct rig g;
	char got[32] = "";

	rig_init(&g);
	QT_INT(write(g.in, "to guest", 8), 8);
	QT_INT(write(g.r->guest_fd[1], "from guest", 10), 10);
	QT_INT(write(g.r->guest_fd[2], "oops", 4), 4);
	serve(&g);
	QT_INT(read(g.r->guest_fd[0], got, sizeof(got)), 8);
	QT_MEM(got, "to guest", 8);
	QT_INT(read(g.out, got, sizeof(got)), 10);
	QT_MEM(got, "from guest", 10);
	QT_INT(read(g.err, got, sizeof(got)), 4);
	QT_MEM(got, "oops", 4);
	rig_fini(&g);
}

QTEST(cli_relay, passes_the_end_of_input_on_behind_the_last_byte)
{
	struct rig g;
	char got[32];

	rig_init(&g);
	QT_INT(write(g.in, "last", 4), 4);
	close(g.in);
	g.in = -1;
	serve(&g);
	QT_INT(read(g.r->guest_fd[0], got, sizeof(got)), 4);
	QT_INT(read(g.r->guest_fd[0], got, sizeof(got)), 0);
	rig_fini(&g);
}

QTEST(cli_relay, stops_reading_when_the_guest_closed_its_input)
{
	struct rig g;

	rig_init(&g);
	close(g.r->guest_fd[0]);
	g.r->guest_fd[0] = -1;
	serve(&g);
	QT_INT(g.r->stream[0].from, -1);
	QT_INT(g.r->stream[0].to, -1);
	rig_fini(&g);
}

QTEST(cli_relay, tells_the_guest_that_nobody_reads)
{
	struct rig g;

	rig_init(&g);
	close(g.out);
	g.out = -1;
	QT_INT(write(g.r->guest_fd[1], "x", 1), 1);
	serve(&g);
	QT_TRUE(g.r->broken);
	QT_INT(g.r->stream[1].from, -1);
	QT_INT(write(g.r->guest_fd[1], "y", 1), -1);
	rig_fini(&g);
}

QTEST(cli_relay, does_not_grow_while_the_reader_sleeps)
{
	struct rig g;
	char *block = calloc(1, 65536);
	struct pollfd fds[CLI_RELAY_POLLFDS];
	size_t written = 0;

	rig_init(&g);
	fcntl(g.r->guest_fd[1], F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 200; i++) {
		ssize_t n = write(g.r->guest_fd[1], block, 65536);
		size_t used = cli_relay_poll(g.r, fds);

		written += n > 0 ? (size_t)n : 0;
		if (poll(fds, (nfds_t)used, 0) > 0)
			cli_relay_serve(g.r, fds, used);
	}
	/* Two pipes and one piece in between. */
	QT_TRUE(written > 65536 && written <= 4 * 65536);
	free(block);
	rig_fini(&g);
}

QTEST(cli_relay, drains_what_is_on_its_way)
{
	struct rig g;
	char got[32];

	rig_init(&g);
	QT_INT(write(g.r->guest_fd[1], "late", 4), 4);
	cli_relay_drain(g.r, 2000);
	QT_INT(read(g.out, got, sizeof(got)), 4);
	rig_fini(&g);
}

QTEST(cli_relay, is_left_by_three_keys_in_a_row_where_that_is_asked_for)
{
	static const struct {
		const char *first;
		const char *second;
		bool left;
	} typed[] = { { "\x1d\x1d", "\x1d", true },
		      { "a\x1d\x1d\x1d"
			"b",
			"", true },
		      { "\x1d\x1d", "a\x1d", false },
		      { "\x1d\x1d"
			"a\x1d\x1d",
			"", false } };

	for (size_t i = 0; i < 2 * sizeof(typed) / sizeof(typed[0]); i++) {
		char got[16] = "";
		struct rig g;

		rig_init(&g);
		g.r->keys = i % 2 == 0;
		QT_TRUE(write(g.in, typed[i / 2].first, strlen(typed[i / 2].first)) > 0);
		serve(&g);
		QT_TRUE(write(g.in, typed[i / 2].second, strlen(typed[i / 2].second)) >= 0);
		serve(&g);
		QT_INT(g.r->left, i % 2 == 0 && typed[i / 2].left);
		/* The guest has every key, as it cannot be known what will follow. */
		QT_INT(read(g.r->guest_fd[0], got, sizeof(got)),
		       (ssize_t)(strlen(typed[i / 2].first) + strlen(typed[i / 2].second)));
		rig_fini(&g);
	}
}

/* Whatever the guest does with its input. */
QTEST(cli_relay, is_left_by_its_keys_though_the_guest_reads_nothing)
{
	static char block[400000];
	static const char keys[] = { CLI_RELAY_KEY, CLI_RELAY_KEY, CLI_RELAY_KEY };

	for (int closed = 0; closed < 2; closed++) {
		struct rig g;

		rig_init(&g);
		g.r->keys = true;
		fcntl(g.in, F_SETFL, O_NONBLOCK);
		for (int i = 0; i < 20; i++) {
			QT_TRUE(write(g.in, block, sizeof(block)) != 0);
			serve(&g);
		}
		if (closed) {
			close(g.r->guest_fd[0]);
			g.r->guest_fd[0] = -1;
		} else {
			QT_TRUE(cli_relay_wait(g.r) > 0);
			/* It is slow, perhaps: nothing is lost yet. */
			QT_TRUE(write(g.in, keys, 3) < 0);
			g.r->moved_ms -= CLI_RELAY_STUCK_MS;
		}
		serve(&g);
		QT_INT(g.r->left, false);
		QT_INT(cli_relay_wait(g.r), -1);
		QT_INT(write(g.in, keys, 3), 3);
		serve(&g);
		QT_INT(g.r->left, true);
		rig_fini(&g);
	}
}
