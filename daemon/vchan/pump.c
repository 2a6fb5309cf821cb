/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Bytes both ways between a channel and a pair of descriptors. Nothing is queued beyond one buffer
 * each way. A side with two descriptors is watched for what is waited for; a vchan has one, which
 * fires when anything changed, and is watched always. */
#include "vchan.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdlib.h>

enum { TURNS = 16 };

struct pump;

struct side {
	struct pump *p;
	struct qube__transport *t;
	struct qube__source in;
	struct qube__source out;
	int in_fd;
	int out_fd; /* the same: one source for both */
};

struct flow {
	struct side *from;
	struct side *to;
	uint8_t *buf; /* only while something is in it */
	size_t cap;
	size_t start;
	size_t end;
	bool starved; /* `from` has nothing now */
	bool full;    /* `to` takes nothing now */
	bool ended;   /* `from` has closed */
	bool dead;    /* `to` has: what comes is dropped */
};

struct pump {
	const struct vchan_pump *o;
	struct side chan;
	struct side local;
	struct flow there; /* local to chan */
	struct flow back;
	struct qube__timer linger;
	struct qube__source gone;
	struct qube__posted again;
	bool over;
	bool last; /* nothing will come but what is there */
};

static void drop(struct flow *f)
{
	free(f->buf);
	f->buf = NULL;
	f->start = f->end = 0;
}

static bool fill(struct flow *f)
{
	ssize_t n;

	if (!f->buf)
		f->buf = malloc(f->cap);
	n = f->buf ? f->from->t->ops->recv(f->from->t, f->buf, f->cap) : QUBE_E_CLOSED;
	if (n <= 0) {
		f->starved = n == QUBE_E_AGAIN;
		f->ended = !f->starved;
		drop(f);
		return false;
	}
	f->start = 0;
	f->end = (size_t)n;
	return true;
}

/* Nobody takes any more. When the local side is gone, what it said may wait for the peer so long.
 */
static void lose(struct flow *f)
{
	struct pump *p = f->to->p;

	if (!f->dead && f->to == &p->local)
		qube__timer_set(p->o->loop, &p->linger, qube__now_ms() + p->o->linger_ms);
	f->dead = true;
}

/* True: something moved. */
static bool move(struct flow *f)
{
	ssize_t n;

	if (f->start == f->end && (f->starved || f->ended || !fill(f)))
		return false;
	if (f->dead) {
		drop(f);
		return true;
	}
	if (f->full)
		return false;
	n = f->to->t->ops->send(f->to->t, f->buf + f->start, f->end - f->start);
	if (n == QUBE_E_AGAIN) {
		f->full = true;
		return false;
	}
	if (n < 0) {
		lose(f);
		return true;
	}
	f->start += (size_t)n;
	return true;
}

static bool is_delivered(const struct flow *f)
{
	return f->ended && f->start == f->end;
}

static void on_in(struct qube__source *s, uint32_t revents);
static void on_out(struct qube__source *s, uint32_t revents);

static void watch_one(struct pump *p, struct qube__source *s, int fd, uint32_t events,
		      void (*fn)(struct qube__source *s, uint32_t revents))
{
	if (s->added)
		qube__source_set(p->o->loop, s, events);
	else if (qube__source_add(p->o->loop, s, fd, events, fn) < 0)
		p->over = true;
}

/* in: what comes from this side; out: what goes to it. */
static void watch(struct side *s, const struct flow *in, const struct flow *out)
{
	if (s->in_fd == s->out_fd) {
		watch_one(s->p, &s->in, s->in_fd, s->t->ops->events(s->t, true), on_in);
		return;
	}
	if (in->starved)
		watch_one(s->p, &s->in, s->in_fd, EPOLLIN, on_in);
	else
		qube__source_remove(s->p->o->loop, &s->in);
	/* Also when nothing is waited for: that its reader has gone is told without. */
	if (out->dead)
		qube__source_remove(s->p->o->loop, &s->out);
	else
		watch_one(s->p, &s->out, s->out_fd, out->full ? EPOLLOUT : 0, on_out);
}

static void turn(struct pump *p)
{
	bool moved = true;

	for (int i = 0; i < TURNS && moved; i++) {
		moved = move(&p->there);
		if (move(&p->back))
			moved = true;
	}
	/* Each closes both ways at once; what the other still had to say was passed on. */
	if (is_delivered(&p->there) || is_delivered(&p->back) || (p->last && p->back.starved))
		p->over = true;
	if (p->over)
		return;
	watch(&p->local, &p->there, &p->back);
	watch(&p->chan, &p->back, &p->there);
	if (moved)
		qube__post(p->o->loop, &p->again);
}

static struct flow *flow_from(struct side *s)
{
	return s == &s->p->local ? &s->p->there : &s->p->back;
}

static struct flow *flow_to(struct side *s)
{
	return s == &s->p->local ? &s->p->back : &s->p->there;
}

static void on_in(struct qube__source *src, uint32_t revents)
{
	struct side *s = qube__container_of(src, struct side, in);

	(void)revents;
	s->t->ops->ack(s->t);
	flow_from(s)->starved = false;
	if (s->in_fd == s->out_fd)
		flow_to(s)->full = false;
	turn(s->p);
}

static void on_out(struct qube__source *src, uint32_t revents)
{
	struct side *s = qube__container_of(src, struct side, out);
	struct pump *p = s->p;

	flow_to(s)->full = false;
	if (revents & (EPOLLERR | EPOLLHUP))
		lose(flow_to(s));
	turn(p);
}

static void on_linger(struct qube__timer *t)
{
	qube__container_of(t, struct pump, linger)->over = true;
}

/* What a peer wrote before it died is still passed on. */
static void on_gone(struct qube__source *src, uint32_t revents)
{
	struct pump *p = qube__container_of(src, struct pump, gone);

	(void)revents;
	qube__source_remove(p->o->loop, src);
	p->there.dead = true;
	p->last = true;
	p->back.starved = false;
	turn(p);
}

static void on_again(struct qube__posted *posted)
{
	turn(qube__container_of(posted, struct pump, again));
}

static void side_init(struct side *s, struct pump *p, struct qube__transport *t)
{
	s->p = p;
	s->t = t;
	t->ops->get_fds(t, &s->in_fd, &s->out_fd);
}

static void side_fini(struct side *s)
{
	qube__source_remove(s->p->o->loop, &s->in);
	qube__source_remove(s->p->o->loop, &s->out);
}

int vchan_pump(const struct vchan_pump *o)
{
	struct pump p = { .o = o };
	int r = 0;

	side_init(&p.chan, &p, o->peer);
	side_init(&p.local, &p, o->local);
	p.there = (struct flow){ .from = &p.local, .to = &p.chan, .cap = o->buffer };
	p.back = (struct flow){ .from = &p.chan, .to = &p.local, .cap = o->buffer };
	qube__timer_init(&p.linger, on_linger);
	qube__posted_init(&p.again, on_again);
	if (o->gone_fd >= 0)
		r = qube__source_add(o->loop, &p.gone, o->gone_fd, EPOLLIN, on_gone);
	qube__post(o->loop, &p.again);
	while (r >= 0 && !p.over)
		r = qube__loop_dispatch(o->loop, -1);
	side_fini(&p.chan);
	side_fini(&p.local);
	qube__timer_stop(o->loop, &p.linger);
	qube__source_remove(o->loop, &p.gone);
	qube__posted_cancel(&p.again);
	drop(&p.there);
	drop(&p.back);
	return r < 0 ? VCHAN_FAILED : VCHAN_OVER;
}
