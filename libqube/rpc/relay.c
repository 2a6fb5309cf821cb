/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One end of a call's data channel. Frames are untrusted. Every event ends in pump(), which moves
 * what can be moved and then says what is waited for. What is not waited for is taken out of epoll,
 * not masked: a hung-up descriptor would report itself for ever. */
#include "rpc/relay.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

enum {
	SPLICE_BYTES = 1 << 20, /* in one turn */
	ENDS_MS = 20,		/* that the end of output waits for the exit code */
};

static void pump(struct qube__relay *r);

void qube__relay_pool_fini(struct qube__relay_pool *p)
{
	while (p->n_spare)
		free(p->spare[--p->n_spare]);
}

static uint8_t *take_buf(struct qube__relay *r)
{
	struct qube__relay_pool *p = r->pool;
	uint8_t *buf;

	if (r->quota && qube__quota_charge(r->quota, QUBE__Q_BYTES, QUBE__RELAY_BUF) < 0)
		return NULL;
	buf = p->n_spare ? p->spare[--p->n_spare] : malloc(QUBE__RELAY_BUF);
	if (!buf && r->quota)
		qube__quota_release(r->quota, QUBE__Q_BYTES, QUBE__RELAY_BUF);
	return buf;
}

static bool half_take(struct qube__relay *r, struct qube__relay_half *h)
{
	if (!h->buf)
		h->buf = take_buf(r);
	return h->buf != NULL;
}

static void half_drop(struct qube__relay *r, struct qube__relay_half *h)
{
	struct qube__relay_pool *p = r->pool;

	if (!h->buf)
		return;
	if (r->quota)
		qube__quota_release(r->quota, QUBE__Q_BYTES, QUBE__RELAY_BUF);
	if (p->n_spare < sizeof(p->spare) / sizeof(p->spare[0]))
		p->spare[p->n_spare++] = h->buf;
	else
		free(h->buf);
	*h = (struct qube__relay_half){ 0 };
}

static void unwatch(struct qube__relay *r, struct qube__relay_end *e)
{
	qube__source_remove(r->pool->loop, &e->src);
}

static void end_close(struct qube__relay *r, struct qube__relay_end *e)
{
	if (e->fd < 0)
		return;
	unwatch(r, e);
	/* For a socket that somebody else holds too (a service's connection) the end must be said.
	 */
	if (e == &r->end[QUBE__RELAY_OUT])
		shutdown(e->fd, SHUT_WR);
	if (e->flags >= 0)
		fcntl(e->fd, F_SETFL, e->flags);
	qube__close_fd(&e->fd);
	e->ready = false;
}

/* A stream that has ended. The peer waits for what is to be told of it, not for this. */
static void end_over(struct qube__relay *r, struct qube__relay_end *e)
{
	int *over = &r->over[e == &r->end[QUBE__RELAY_IN_ERR]];

	if (e->flags >= 0) {
		end_close(r, e);
		return;
	}
	unwatch(r, e);
	*over = qube__steal_fd(&e->fd);
	e->ready = false;
}

static void close_out(struct qube__relay *r)
{
	end_close(r, &r->end[QUBE__RELAY_OUT]);
	r->out_open = false;
}

static void lose(struct qube__relay *r)
{
	bool first = !r->lost;

	r->lost = true;
	r->mute = true;
	if (first && r->broken)
		r->broken(r);
}

static void on_event(struct qube__source *s, uint32_t revents)
{
	struct qube__relay_end *e = qube__container_of(s, struct qube__relay_end, src);
	struct qube__relay *r = e->r;

	e->ready = true;
	if (e == &r->chan_out)
		r->out_full = false;
	/* The other side does not read any more. A caller may still have output to read. */
	if (e == &r->chan_out && (revents & EPOLLERR)) {
		r->mute = true;
		if (r->role == QUBE__QREXEC_EXECUTOR)
			lose(r);
	}
	pump(r);
}

static void on_hello_late(struct qube__timer *t)
{
	struct qube__relay *r = qube__container_of(t, struct qube__relay, hello);

	lose(r);
	pump(r);
}

static void on_ends(struct qube__timer *t)
{
	struct qube__relay *r = qube__container_of(t, struct qube__relay, ends);

	r->ends_due = true;
	pump(r);
}

static void on_again(struct qube__posted *p)
{
	pump(qube__container_of(p, struct qube__relay, again));
}

/* False: the loop could not watch it, which ends the link. */
static void watch(struct qube__relay *r, struct qube__relay_end *e, uint32_t events, bool wanted)
{
	if (e->fd < 0 || e->always)
		return;
	if (!wanted) {
		unwatch(r, e);
		return;
	}
	if (e->src.added) {
		qube__source_set(r->pool->loop, &e->src, events);
		return;
	}
	if (qube__source_add(r->pool->loop, &e->src, e->fd, events, on_event) == 0)
		return;
	if (qube_error_last()->os_errno == EPERM) {
		e->always = true;
		e->ready = true;
		qube__post(r->pool->loop, &r->again);
	} else {
		lose(r);
		qube__post(r->pool->loop, &r->again);
	}
}

static void frame_queue(struct qube__relay *r, uint32_t type, size_t len)
{
	qube__qrexec_header_put(r->tx.buf, type, (uint32_t)len);
	r->tx.start = 0;
	r->tx.end = QUBE__QREXEC_HEADER + len;
}

static uint32_t main_type(const struct qube__relay *r)
{
	return r->role == QUBE__QREXEC_CALLER ? QUBE__QREXEC_DATA_STDIN : QUBE__QREXEC_DATA_STDOUT;
}

static size_t chunk(const struct qube__relay *r)
{
	return r->version < 3 ? QUBE__QREXEC_CHUNK_V2 : QUBE__QREXEC_CHUNK;
}

static bool grow(struct qube__relay *r)
{
	bool first = !r->grown;

	r->grown = true;
	return first && qube__transport_channel_grow(r->chan_out.fd);
}

static bool tx_flush(struct qube__relay *r)
{
	ssize_t n = r->chan->ops->send(r->chan, r->tx.buf + r->tx.start, r->tx.end - r->tx.start);

	if (n == QUBE_E_AGAIN)
		return grow(r);
	if (n < 0) {
		r->mute = true;
		if (r->role == QUBE__QREXEC_EXECUTOR)
			lose(r);
		return true;
	}
	r->tx.start += (size_t)n;
	/* A short count means full: the next attempt would only say so. */
	return r->tx.start == r->tx.end || grow(r);
}

/* Reads one local stream into a frame. */
static bool tx_read(struct qube__relay *r, int which, uint32_t type)
{
	struct qube__relay_end *e = &r->end[which];
	ssize_t n;

	if (!half_take(r, &r->tx)) {
		lose(r);
		return true;
	}
	n = qube__io_read(e->fd, r->tx.buf + QUBE__QREXEC_HEADER, chunk(r));
	if (n == QUBE_E_AGAIN) {
		e->ready = false;
		half_drop(r, &r->tx);
		return false;
	}
	if (n > 0) {
		frame_queue(r, type, (size_t)n);
		if ((size_t)n < chunk(r) && !e->always)
			e->ready = false;
		return true;
	}
	end_over(r, e);
	if (which == QUBE__RELAY_IN && (r->flags & QUBE__RELAY_END_ON_SERVICE_EOF))
		close_out(r);
	/* tx_ends() tells it. */
	half_drop(r, &r->tx);
	if ((r->flags & QUBE__RELAY_PROGRAM) && !r->have_exit && qube__list_empty(&r->ends.link))
		qube__timer_set(r->pool->loop, &r->ends, qube__now_ms() + ENDS_MS);
	return true;
}

static bool tx_push(struct qube__relay *r)
{
	size_t n = r->push.len < chunk(r) ? r->push.len : chunk(r);

	if (!half_take(r, &r->tx)) {
		lose(r);
		return true;
	}
	memcpy(r->tx.buf + QUBE__QREXEC_HEADER, qube__buf_data(&r->push), n);
	qube__buf_consume(&r->push, n);
	if (!r->push.len)
		qube__buf_fini(&r->push);
	frame_queue(r, main_type(r), n);
	return true;
}

static bool is_plain_caller(const struct qube__relay *r)
{
	return r->role == QUBE__QREXEC_CALLER && (r->flags & QUBE__RELAY_PLAIN);
}

/* Of a plain call the end of the channel is the end of the input. */
static void plain_end(struct qube__relay *r)
{
	end_close(r, &r->end[QUBE__RELAY_IN]);
	if (r->eof_sent)
		return;
	r->eof_sent = true;
	unwatch(r, &r->chan_out);
	r->chan_out.fd = -1;
	r->chan->ops->end(r->chan);
}

static bool plain_splice(struct qube__relay *r, struct qube__relay_end *in)
{
	struct pollfd p[2] = { { .fd = in->fd, .events = POLLIN },
			       { .fd = r->chan_out.fd, .events = POLLOUT } };
	ssize_t n = splice(in->fd, NULL, r->chan_out.fd, NULL, SPLICE_BYTES, SPLICE_F_NONBLOCK);

	if (n > 0 || (n < 0 && errno == EINTR))
		return true;
	if (n == 0) {
		plain_end(r);
		return true;
	}
	if (errno == EPIPE) {
		r->mute = true;
		return true;
	}
	if (errno != EAGAIN) {
		/* Not every descriptor can. What cannot be read either says so there. */
		r->no_splice = true;
		return true;
	}
	/* Which of the two had no room, or nothing? */
	if (poll(p, 2, 0) < 0)
		return false;
	in->ready = in->always || p[0].revents;
	r->out_full = !p[1].revents && !grow(r);
	/* Of what is always ready nobody tells that it is, should there have come room since. */
	return in->always && !r->out_full;
}

static bool plain_read(struct qube__relay *r, struct qube__relay_end *in)
{
	ssize_t n;

	if (!half_take(r, &r->tx)) {
		lose(r);
		return true;
	}
	n = qube__io_read(in->fd, r->tx.buf, QUBE__QREXEC_CHUNK);
	if (n == QUBE_E_AGAIN) {
		in->ready = false;
		half_drop(r, &r->tx);
		return false;
	}
	if (n <= 0) {
		half_drop(r, &r->tx);
		plain_end(r);
		return true;
	}
	/* Nobody reads it any more: discarded, as in frames. */
	r->tx.start = 0;
	r->tx.end = r->mute ? 0 : (size_t)n;
	if (n < QUBE__QREXEC_CHUNK && !in->always)
		in->ready = false;
	return true;
}

static bool plain_push(struct qube__relay *r)
{
	size_t n = r->push.len < QUBE__RELAY_BUF ? r->push.len : QUBE__RELAY_BUF;

	if (!half_take(r, &r->tx)) {
		lose(r);
		return true;
	}
	memcpy(r->tx.buf, qube__buf_data(&r->push), n);
	qube__buf_consume(&r->push, n);
	if (!r->push.len)
		qube__buf_fini(&r->push);
	r->tx.start = 0;
	r->tx.end = n;
	return true;
}

/* A plain call's input: its bytes as they are. */
static bool plain_step(struct qube__relay *r)
{
	struct qube__relay_end *in = &r->end[QUBE__RELAY_IN];

	if (r->mute)
		r->tx.start = r->tx.end = 0;
	if (r->tx.start < r->tx.end) {
		if (!r->chan_out.ready || !tx_flush(r)) {
			r->chan_out.ready = false;
			return false;
		}
		return true;
	}
	if (r->push.len)
		return plain_push(r);
	if (in->fd < 0) {
		half_drop(r, &r->tx);
		if (!r->push_open && !r->eof_sent)
			plain_end(r);
		return false;
	}
	if (r->push_open || !in->ready || r->out_full) {
		half_drop(r, &r->tx);
		return false;
	}
	if (r->pool->splice && !r->no_splice && !r->mute)
		return plain_splice(r, in);
	return plain_read(r, in);
}

/* A program that ends closes its output a moment before its exit code is known: they are told
 * together, and the peer is woken once. */
static bool waits_for_exit(const struct qube__relay *r)
{
	return (r->flags & QUBE__RELAY_PROGRAM) && !r->have_exit && !r->ends_due;
}

/* What is due when no local stream has data: ends of streams, then the code. */
static bool tx_ends(struct qube__relay *r)
{
	size_t frame = r->flags & QUBE__RELAY_QUIET ? 0 : QUBE__QREXEC_HEADER;
	bool executes = r->role == QUBE__QREXEC_EXECUTOR;
	bool in = r->end[QUBE__RELAY_IN].fd < 0 && !r->push_open && !r->eof_sent;
	/* A socket service never has errors: their end is told with that of its output. */
	bool err = executes && r->end[QUBE__RELAY_IN_ERR].fd < 0 && !r->eof_err_sent &&
		   (in || r->eof_sent || !(r->flags & QUBE__RELAY_SOCKET));
	bool code = executes && r->have_exit && (in || r->eof_sent) && (err || r->eof_err_sent) &&
		    !r->out_open && !r->exit_sent;
	size_t n = 0;

	if (waits_for_exit(r) || (!in && !err && !code))
		return false;
	if (!half_take(r, &r->tx)) {
		lose(r);
		return true;
	}
	if (in && frame)
		qube__qrexec_header_put(r->tx.buf, main_type(r), 0);
	n += in ? frame : 0;
	if (err && frame)
		qube__qrexec_header_put(r->tx.buf + n, QUBE__QREXEC_DATA_STDERR, 0);
	n += err ? frame : 0;
	if (code)
		n += (size_t)qube__qrexec_exit_put(r->tx.buf + n, QUBE__RELAY_BUF - n,
						   r->exit_code);
	r->eof_sent = r->eof_sent || in;
	r->eof_err_sent = r->eof_err_sent || err;
	r->exit_sent = r->exit_sent || code;
	r->tx.start = 0;
	r->tx.end = n;
	return true;
}

static bool tx_step(struct qube__relay *r)
{
	struct qube__relay_end *in = &r->end[QUBE__RELAY_IN];
	struct qube__relay_end *err = &r->end[QUBE__RELAY_IN_ERR];

	if (is_plain_caller(r))
		return plain_step(r);
	if (r->mute)
		return false;
	if (r->tx.start < r->tx.end) {
		if (!r->chan_out.ready || !tx_flush(r)) {
			r->chan_out.ready = false;
			return false;
		}
		if (r->tx.start < r->tx.end)
			return true;
	}
	if (!r->version) {
		half_drop(r, &r->tx);
		return false;
	}
	if (r->push.len)
		return tx_push(r);
	r->err_turn = !r->err_turn;
	if (r->err_turn && err->fd >= 0 && err->ready)
		return tx_read(r, QUBE__RELAY_IN_ERR, QUBE__QREXEC_DATA_STDERR);
	if (!r->push_open && in->fd >= 0 && in->ready)
		return tx_read(r, QUBE__RELAY_IN, main_type(r));
	if (err->fd >= 0 && err->ready)
		return tx_read(r, QUBE__RELAY_IN_ERR, QUBE__QREXEC_DATA_STDERR);
	if (tx_ends(r))
		return true;
	half_drop(r, &r->tx);
	return false;
}

static void filter(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((p[i] < 0x20 || p[i] > 0x7e) && p[i] != '\t' && p[i] != '\n' && p[i] != '\r' &&
		    p[i] != '\b' && p[i] != '\a')
			p[i] = '_';
}

/* Where the running frame's payload goes; NULL: nowhere. */
static struct qube__relay_end *rx_target(struct qube__relay *r)
{
	struct qube__relay_end *e = r->frame_type == QUBE__QREXEC_DATA_STDERR ?
					    &r->end[QUBE__RELAY_OUT_ERR] :
					    &r->end[QUBE__RELAY_OUT];

	return e->fd >= 0 ? e : NULL;
}

static void rx_eof(struct qube__relay *r)
{
	if (r->frame_type == QUBE__QREXEC_DATA_STDERR) {
		end_close(r, &r->end[QUBE__RELAY_OUT_ERR]);
		return;
	}
	if (r->sink && r->out_open && !r->sink(r, NULL, 0))
		lose(r);
	close_out(r);
	if (r->role == QUBE__QREXEC_EXECUTOR && (r->flags & QUBE__RELAY_END_ON_CLIENT_EOF))
		end_close(r, &r->end[QUBE__RELAY_IN]);
}

/* Hands over what of the running frame is there. False: its taker is full. */
static bool rx_deliver(struct qube__relay *r)
{
	struct qube__relay_end *e = rx_target(r);
	size_t have = r->rx.end - r->rx.start;
	size_t n = have < r->frame_left ? have : r->frame_left;
	uint8_t *p = r->rx.buf + r->rx.start;
	ssize_t w = (ssize_t)n;

	if (r->frame_type != QUBE__QREXEC_DATA_STDERR && r->sink) {
		if (r->out_open && !r->sink(r, p, n))
			lose(r);
	} else if (e) {
		if (!e->ready)
			return false;
		if (r->flags & (e == &r->end[QUBE__RELAY_OUT] ? QUBE__RELAY_FILTER_OUT :
								QUBE__RELAY_FILTER_ERR))
			filter(p, n);
		w = qube__io_write(e->fd, p, n);
		if (w == QUBE_E_AGAIN) {
			e->ready = false;
			return false;
		}
		if (w < 0) {
			/* Its reader is gone: the rest is discarded, spec section 7. */
			if (e == &r->end[QUBE__RELAY_OUT])
				close_out(r);
			else
				end_close(r, e);
			w = (ssize_t)n;
		}
	}
	r->rx.start += (size_t)w;
	if (!r->plain_in)
		r->frame_left -= (uint32_t)w;
	return true;
}

/* From here on the received bytes are the main stream, up to the end of the channel. */
static void rx_plain(struct qube__relay *r)
{
	r->plain_in = true;
	r->frame_type =
		r->role == QUBE__QREXEC_CALLER ? QUBE__QREXEC_DATA_STDOUT : QUBE__QREXEC_DATA_STDIN;
	r->frame_left = UINT32_MAX;
}

static int rx_hello(struct qube__relay *r, const uint8_t *payload)
{
	if (qube__qrexec_hello_parse(&r->version, payload, 4) < 0)
		return QUBE_E_PROTO;
	r->state = QUBE__QREXEC_AT_WORK;
	qube__timer_stop(r->pool->loop, &r->hello);
	return 0;
}

/* Takes a header (and the whole payload of the two small messages). 1: taken, 0: incomplete. */
static int rx_header(struct qube__relay *r)
{
	uint8_t *p = r->rx.buf + r->rx.start;
	size_t have = r->rx.end - r->rx.start;
	struct qube__qrexec_header h;

	if (have < QUBE__QREXEC_HEADER)
		return 0;
	h = qube__qrexec_header_get(p);
	if (!qube__qrexec_accepts(r->role, r->state, r->version, h.type) ||
	    qube__qrexec_len_check(r->version, h.type, h.len) < 0)
		return QUBE_E_PROTO;
	if (h.type == QUBE__QREXEC_HELLO || h.type == QUBE__QREXEC_DATA_EXIT_CODE) {
		if (have < QUBE__QREXEC_HEADER + h.len)
			return 0;
		r->rx.start += QUBE__QREXEC_HEADER + h.len;
		if (h.type == QUBE__QREXEC_HELLO)
			return rx_hello(r, p + QUBE__QREXEC_HEADER) < 0 ? QUBE_E_PROTO : 1;
		r->state = QUBE__QREXEC_AT_END;
		r->have_exit = true;
		return qube__qrexec_exit_parse(&r->exit_code, p + QUBE__QREXEC_HEADER, 4) < 0 ?
			       QUBE_E_PROTO :
			       1;
	}
	r->rx.start += QUBE__QREXEC_HEADER;
	if (h.type == QUBE__QREXEC_DATA_PLAIN) {
		if (r->framed || !(r->flags & QUBE__RELAY_PLAIN))
			return QUBE_E_PROTO;
		rx_plain(r);
		return 1;
	}
	r->framed = true;
	r->frame_type = h.type;
	r->frame_left = h.len;
	if (!h.len)
		rx_eof(r);
	return 1;
}

/* One read; a full-sized frame and nothing of the next, so that its payload goes out in one write.
 */
static bool rx_read(struct qube__relay *r)
{
	size_t want;
	ssize_t n;

	if (!half_take(r, &r->rx)) {
		lose(r);
		return true;
	}
	if (r->rx.start) {
		memmove(r->rx.buf, r->rx.buf + r->rx.start, r->rx.end - r->rx.start);
		r->rx.end -= r->rx.start;
		r->rx.start = 0;
	}
	want = QUBE__RELAY_BUF - r->rx.end;
	if (r->frame_left && r->frame_left < want)
		want = r->frame_left;
	n = r->chan->ops->recv(r->chan, r->rx.buf + r->rx.end, want);
	if (n == QUBE_E_AGAIN) {
		r->chan_in.ready = false;
		return false;
	}
	if (n == QUBE_E_CLOSED && r->plain_in) {
		half_drop(r, &r->rx);
		rx_eof(r);
		r->have_exit = r->have_exit || r->role == QUBE__QREXEC_CALLER;
		r->state = QUBE__QREXEC_AT_END;
		return true;
	}
	if (n < 0) {
		lose(r);
		return true;
	}
	r->rx.end += (size_t)n;
	/* A short count: the next read would most likely say "again". */
	if ((size_t)n < want && !r->chan->ops->pending(r->chan))
		r->chan_in.ready = false;
	return true;
}

static bool rx_step(struct qube__relay *r)
{
	bool moved = false;

	if (r->lost || r->state == QUBE__QREXEC_AT_END)
		return false;
	for (int turns = 0; turns < 64; turns++) {
		int got;

		if (r->frame_left && r->rx.start < r->rx.end) {
			if (!rx_deliver(r))
				return moved;
			moved = true;
			if (r->lost)
				return true;
			continue;
		}
		if (r->frame_left || !r->rx.buf)
			break;
		got = rx_header(r);
		if (got < 0) {
			lose(r);
			return true;
		}
		if (!got)
			break;
		moved = true;
		if (r->lost || r->state == QUBE__QREXEC_AT_END)
			return true;
	}
	if (r->frame_left && r->rx.start < r->rx.end)
		return true;
	if (r->rx.start == r->rx.end)
		half_drop(r, &r->rx);
	if (!r->chan_in.ready)
		return moved;
	return rx_read(r) || moved;
}

static bool is_finished(struct qube__relay *r)
{
	if (r->role == QUBE__QREXEC_CALLER) {
		if (r->state == QUBE__QREXEC_AT_END)
			return true;
		if (r->lost)
			r->exit_code = QUBE__QREXEC_EXIT_LOST;
		return r->lost;
	}
	if (r->lost) {
		for (int i = 0; i < QUBE__RELAY_ENDS; i++)
			end_close(r, &r->end[i]);
		return r->have_exit;
	}
	return r->exit_sent && r->tx.start == r->tx.end;
}

static void watch_all(struct qube__relay *r)
{
	bool rx_open = !r->lost && r->state != QUBE__QREXEC_AT_END;
	bool rx_stuck = r->frame_left && r->rx.start < r->rx.end;
	bool tx_full = r->tx.start < r->tx.end;
	bool plain = is_plain_caller(r);
	bool tx_open = (plain || !r->mute) && r->version && !tx_full && !r->out_full;
	struct qube__relay_end *target = rx_stuck ? rx_target(r) : NULL;

	watch(r, &r->chan_in, r->chan->ops->events(r->chan, false), rx_open && !rx_stuck);
	/* Stays in without events: a reader that goes away is then noticed at once. */
	watch(r, &r->chan_out, tx_full || r->out_full ? EPOLLOUT : 0, !r->mute);
	watch(r, &r->end[QUBE__RELAY_IN], EPOLLIN, tx_open && !r->push_open && !r->push.len);
	watch(r, &r->end[QUBE__RELAY_IN_ERR], EPOLLIN, tx_open);
	for (int i = QUBE__RELAY_OUT; i < QUBE__RELAY_ENDS; i++)
		watch(r, &r->end[i], EPOLLOUT, &r->end[i] == target);
}

/* Writing to a pipe without reader raises SIGPIPE, and there is no flag against it. */
static void guard(bool on, sigset_t *saved)
{
	static const struct timespec now = { 0, 0 };
	sigset_t only;

	sigemptyset(&only);
	sigaddset(&only, SIGPIPE);
	if (on) {
		pthread_sigmask(SIG_BLOCK, &only, saved);
		return;
	}
	if (sigismember(saved, SIGPIPE))
		return;
	while (sigtimedwait(&only, NULL, &now) < 0 && errno == EINTR)
		continue;
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

static void pump(struct qube__relay *r)
{
	uint32_t budget = r->pool->budget;
	bool moved = true;
	sigset_t saved;

	if (r->finished)
		return;
	if (r->pool->guard_sigpipe)
		guard(true, &saved);
	while (moved && budget--) {
		moved = rx_step(r);
		if (tx_step(r))
			moved = true;
	}
	if (r->role == QUBE__QREXEC_CALLER && r->mute && !is_plain_caller(r))
		end_close(r, &r->end[QUBE__RELAY_IN]);
	r->finished = is_finished(r);
	if (r->pool->guard_sigpipe)
		guard(false, &saved);
	if (r->finished) {
		r->done(r);
		return;
	}
	watch_all(r);
	if (moved)
		qube__post(r->pool->loop, &r->again);
}

static void free_fds(const struct qube__relay_opts *opts)
{
	for (int i = 0; i < QUBE__RELAY_ENDS; i++) {
		int fd = opts->fd[i];

		qube__close_fd(&fd);
	}
	qube__transport_close(opts->chan);
}

/* All flags are read before the first is changed: the descriptors may be one terminal thrice. */
static void take_ends(struct qube__relay *r, const struct qube__relay_opts *opts)
{
	for (int i = 0; i < QUBE__RELAY_ENDS; i++) {
		struct qube__relay_end *e = &r->end[i];

		e->r = r;
		e->fd = opts->fd[i];
		e->ready = true;
		e->flags = e->fd >= 0 ? fcntl(e->fd, F_GETFL) : -1;
	}
	for (int i = 0; i < QUBE__RELAY_ENDS; i++) {
		struct qube__relay_end *e = &r->end[i];

		if (e->fd >= 0 && e->flags >= 0)
			fcntl(e->fd, F_SETFL, e->flags | O_NONBLOCK);
		if (!(opts->flags & QUBE__RELAY_RESTORE))
			e->flags = -1;
	}
	r->chan_in.r = r->chan_out.r = r;
	r->chan_in.ready = r->chan_out.ready = true;
	r->chan_in.flags = r->chan_out.flags = -1;
	r->chan->ops->get_fds(r->chan, &r->chan_in.fd, &r->chan_out.fd);
	r->chan_in.ready = r->chan_in.fd >= 0;
	/* epoll takes a descriptor once, and each way is watched for itself. */
	if (r->chan_in.fd == r->chan_out.fd)
		r->chan_out.fd = r->own_fd = fcntl(r->chan_in.fd, F_DUPFD_CLOEXEC, 3);
}

/* What a hello would settle is known: no other agents take plain calls. */
static void begin_plain(struct qube__relay *r)
{
	r->version = QUBE__QREXEC_VERSION;
	r->state = r->chan_in.fd >= 0 ? QUBE__QREXEC_AT_WORK : QUBE__QREXEC_AT_END;
	if (r->role == QUBE__QREXEC_EXECUTOR)
		rx_plain(r);
	/* A pipe of the usual 16 pages changes hands at every few of them. Where the input is none,
	 * or it may not be larger, it is only slower. */
	else if (r->pool->splice)
		fcntl(r->end[QUBE__RELAY_IN].fd, F_SETPIPE_SZ, SPLICE_BYTES);
}

static int begin_hello(struct qube__relay *r, uint32_t hello_ms)
{
	if (!half_take(r, &r->tx)) {
		qube__relay_free(r);
		return qube__fail_nomem();
	}
	r->tx.end =
		(size_t)qube__qrexec_hello_put(r->tx.buf, QUBE__RELAY_BUF, QUBE__QREXEC_VERSION);
	if (hello_ms)
		qube__timer_set(r->pool->loop, &r->hello, qube__now_ms() + hello_ms);
	return 0;
}

int qube__relay_open(struct qube__relay **out, struct qube__relay_pool *pool,
		     const struct qube__relay_opts *opts)
{
	struct qube__relay *r = calloc(1, sizeof(*r));

	if (!r) {
		free_fds(opts);
		return qube__fail_nomem();
	}
	r->pool = pool;
	r->own_fd = r->over[0] = r->over[1] = -1;
	r->have_exit = opts->flags & QUBE__RELAY_SOCKET;
	r->chan = opts->chan;
	r->role = opts->role;
	r->flags = opts->flags;
	r->quota = opts->quota;
	r->user = opts->user;
	r->sink = opts->sink;
	r->broken = opts->broken;
	r->done = opts->done;
	r->push_open = opts->flags & QUBE__RELAY_PUSH;
	r->out_open = opts->fd[QUBE__RELAY_OUT] >= 0 || opts->sink;
	qube__buf_init(&r->push, opts->push_max);
	qube__timer_init(&r->hello, on_hello_late);
	qube__timer_init(&r->ends, on_ends);
	qube__posted_init(&r->again, on_again);
	take_ends(r, opts);
	if (opts->flags & QUBE__RELAY_PLAIN)
		begin_plain(r);
	else if (begin_hello(r, opts->hello_ms) < 0)
		return QUBE_E_NOMEM;
	qube__post(pool->loop, &r->again);
	*out = r;
	return 0;
}

void qube__relay_free(struct qube__relay *r)
{
	if (!r)
		return;
	r->finished = true;
	for (int i = 0; i < QUBE__RELAY_ENDS; i++)
		end_close(r, &r->end[i]);
	unwatch(r, &r->chan_in);
	unwatch(r, &r->chan_out);
	qube__close_fd(&r->own_fd);
	qube__close_fd(&r->over[0]);
	qube__close_fd(&r->over[1]);
	qube__timer_stop(r->pool->loop, &r->hello);
	qube__timer_stop(r->pool->loop, &r->ends);
	qube__posted_cancel(&r->again);
	half_drop(r, &r->tx);
	half_drop(r, &r->rx);
	qube__buf_fini(&r->push);
	qube__transport_close(r->chan);
	free(r);
}

void qube__relay_exit(struct qube__relay *r, int32_t code)
{
	if (r->have_exit)
		return;
	r->have_exit = true;
	r->exit_code = code;
	qube__timer_stop(r->pool->loop, &r->ends);
	close_out(r);
	qube__post(r->pool->loop, &r->again);
}

int qube__relay_push(struct qube__relay *r, const void *data, size_t len)
{
	int n = qube__buf_append(&r->push, data, len);

	if (n == 0)
		qube__post(r->pool->loop, &r->again);
	return n;
}

void qube__relay_push_end(struct qube__relay *r)
{
	r->push_open = false;
	qube__post(r->pool->loop, &r->again);
}
