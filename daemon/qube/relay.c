/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The streams of a call. Our own three descriptors are shared with other programs and stay
 * blocking: they are read and written only when poll says so, and written in pieces that a pipe
 * takes whole. */
#include "relay.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int make_pipe(struct cli_relay *r, int i)
{
	int ends[2];
	int ours = i == 0 ? 1 : 0;

	if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[ours], F_SETFL, O_NONBLOCK) < 0)
		return -1;
	r->guest_fd[i] = ends[1 - ours];
	if (i == 0) {
		r->stream[0].from = dup(STDIN_FILENO); /* -1 if we were started without one */
		r->stream[0].to = ends[ours];
		r->stream[0].close_to = true;
		if (r->stream[0].from < 0)
			close_fd(&r->stream[0].to);
	} else {
		r->stream[i].from = ends[ours];
		r->stream[i].to = dup(i);
		r->stream[i].filter = isatty(i);
	}
	return 0;
}

int cli_relay_init(struct cli_relay *r, unsigned int mode, bool separate_stderr)
{
	memset(r, 0, sizeof(*r));
	for (int i = 0; i < CLI_RELAY_STREAMS; i++) {
		r->stream[i].from = -1;
		r->stream[i].to = -1;
		r->guest_fd[i] = -1;
		cli_filter_init(&r->stream[i].state, i == 1 ? mode : CLI_FILTER_PLAIN);
	}
	for (int i = 0; i < (separate_stderr ? 3 : 2); i++)
		if (make_pipe(r, i) < 0)
			return -1;
	return 0;
}

void cli_relay_close_guest(struct cli_relay *r)
{
	for (int i = 0; i < CLI_RELAY_STREAMS; i++)
		close_fd(&r->guest_fd[i]);
}

/* What waits for the guest has waited for too long: keys are looked for all the same. */
static bool is_stuck(const struct cli_relay *r)
{
	const struct cli_stream *s = &r->stream[0];

	return r->keys && s->from >= 0 &&
	       (s->to < 0 || (s->at < s->len && cli_now_ms() - r->moved_ms >= CLI_RELAY_STUCK_MS));
}

int cli_relay_wait(const struct cli_relay *r)
{
	const struct cli_stream *s = &r->stream[0];
	int64_t left = r->moved_ms + CLI_RELAY_STUCK_MS - cli_now_ms();

	if (!r->keys || s->from < 0 || s->to < 0 || s->at == s->len || left <= 0)
		return -1;
	return (int)left;
}

size_t cli_relay_poll(const struct cli_relay *r, struct pollfd fds[CLI_RELAY_POLLFDS])
{
	size_t n = 0;

	for (int i = 0; i < CLI_RELAY_STREAMS; i++) {
		const struct cli_stream *s = &r->stream[i];

		if (s->at < s->len && s->to >= 0)
			fds[n++] = (struct pollfd){ .fd = s->to, .events = POLLOUT };
		else if (s->from >= 0)
			fds[n++] = (struct pollfd){ .fd = s->from, .events = POLLIN };
		if (i == 0 && s->at < s->len && is_stuck(r))
			fds[n++] = (struct pollfd){ .fd = s->from, .events = POLLIN };
		/* A guest that closed its input: told although nothing waits to be written. */
		if (i == 0 && s->at == s->len && s->to >= 0)
			fds[n++] = (struct pollfd){ .fd = s->to };
	}
	return n;
}

static void end_stream(struct cli_stream *s)
{
	close_fd(&s->from);
	close_fd(&s->to);
	s->at = 0;
	s->len = 0;
}

static void read_some(struct cli_stream *s)
{
	char untrusted[CLI_RELAY_PIECE];
	ssize_t n = read(s->from, s->filter ? untrusted : s->data, CLI_RELAY_PIECE);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_fd(&s->from);
		if (s->close_to)
			close_fd(&s->to);
		return;
	}
	s->at = 0;
	s->len = s->filter ? cli_filter(&s->state, s->data, untrusted, (size_t)n) : (size_t)n;
}

/* The keys are passed on as they come: who stops after two meant the guest. */
static void look_for_keys(struct cli_relay *r, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		r->n_keys = data[i] == CLI_RELAY_KEY ? r->n_keys + 1 : 0;
		r->left = r->left || r->n_keys == CLI_RELAY_KEYS;
	}
}

/* What is typed while the guest is stuck, or reads no more, is for us or lost. */
static void read_input(struct cli_relay *r)
{
	struct cli_stream *s = &r->stream[0];
	char lost[256];
	ssize_t n;

	if (!is_stuck(r)) {
		/* It goes on, a part at a time. */
		if (s->at < s->len)
			return;
		read_some(s);
		r->moved_ms = cli_now_ms();
		if (r->keys)
			look_for_keys(r, s->data + s->at, s->len - s->at);
		return;
	}
	n = read(s->from, lost, sizeof(lost));
	if (n > 0)
		look_for_keys(r, lost, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_fd(&s->from);
}

/* Nobody reads any more: the other side must learn it too. But keys are ours as well. */
static void end_reader(struct cli_relay *r, struct cli_stream *s)
{
	if (s != &r->stream[0] || !r->keys)
		end_stream(s);
	close_fd(&s->to);
	s->at = s->len = 0;
}

static void write_some(struct cli_relay *r, struct cli_stream *s)
{
	size_t len = s->len - s->at;
	ssize_t n = write(s->to, s->data + s->at, len > PIPE_BUF ? PIPE_BUF : len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		end_reader(r, s);
		return;
	}
	s->at += (size_t)n;
	if (s == &r->stream[0])
		r->moved_ms = cli_now_ms();
	if (s->at == s->len && s->from < 0 && s->close_to) /* it ended while this waited */
		close_fd(&s->to);
}

void cli_relay_serve(struct cli_relay *r, const struct pollfd *fds, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		for (int i = 0; fds[k].revents && i < CLI_RELAY_STREAMS; i++) {
			struct cli_stream *s = &r->stream[i];

			if (fds[k].fd == s->to && (fds[k].events & POLLOUT)) {
				write_some(r, s);
				r->broken = r->broken || (i == 1 && s->to < 0);
			} else if (fds[k].fd == s->to && (fds[k].revents & (POLLERR | POLLHUP)))
				end_reader(r, s);
			else if (fds[k].fd == s->from && (fds[k].events & POLLIN)) {
				if (i == 0)
					read_input(r);
				else
					read_some(s);
			} else
				continue;
			break;
		}
	}
}

static bool is_busy(const struct cli_stream *s)
{
	return s->to >= 0 && (s->at < s->len || s->from >= 0);
}

void cli_relay_drain(struct cli_relay *r, int deadline_ms)
{
	struct pollfd fds[CLI_RELAY_POLLFDS];
	int64_t end = cli_now_ms() + deadline_ms;
	char undo[64];
	size_t n;

	cli_relay_close_guest(r);
	end_stream(&r->stream[0]);
	while (is_busy(&r->stream[1]) || is_busy(&r->stream[2])) {
		int64_t left = end - cli_now_ms();

		n = cli_relay_poll(r, fds);
		if (left <= 0 || n == 0 || poll(fds, (nfds_t)n, (int)left) <= 0)
			break;
		cli_relay_serve(r, fds, n);
	}
	n = cli_filter_reset(&r->stream[1].state, undo);
	if (n > 0 && r->stream[1].to >= 0 && write(r->stream[1].to, undo, n) < 0)
		return;
}

void cli_relay_fini(struct cli_relay *r)
{
	cli_relay_close_guest(r);
	for (int i = 0; i < CLI_RELAY_STREAMS; i++)
		end_stream(&r->stream[i]);
}
