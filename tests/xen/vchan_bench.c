/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One end of a vchan, by libxenvchan alone ("bare") or by the library's transport ("lib"), and one
 * that does what no honest peer does.
 *
 *     vchan-bench serve bare|lib PEER PORT     answers pings, swallows bytes, until the other ends
 *     vchan-bench measure bare|lib PEER PORT   prints microseconds a ping and MB/s
 *     vchan-bench hostile PEER PORT            serves, and scribbles over the ring once it is open
 *     vchan-bench restless PEER PORT           serves, and changes all that its peer reads all the
 * time
 */
#include "base/error.h"
#include "transport/transport.h"

#include <libxenvchan.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xenstore.h>

enum { PINGS = 300, BYTES = 24 << 20, CHUNK = 32768, RING = 65536, STEP_US = 20000 };

/* A blocking end of either kind. */
struct end {
	struct libxenvchan *c;
	struct qube__transport *t; /* NULL: bare */
};

static void fail(const char *what)
{
	fprintf(stderr, "vchan-bench: %s\n", what);
	exit(1);
}

static void wait_for(struct end *e)
{
	int fd;
	int same;

	e->t->ops->get_fds(e->t, &fd, &same);
	poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, -1);
	e->t->ops->ack(e->t);
}

/* 0: the other side has ended. */
static size_t take(struct end *e, void *buf, size_t cap)
{
	ssize_t n;

	if (!e->t)
		n = libxenvchan_read(e->c, buf, cap);
	else
		while ((n = e->t->ops->recv(e->t, buf, cap)) == QUBE_E_AGAIN)
			wait_for(e);
	return n > 0 ? (size_t)n : 0;
}

static bool give(struct end *e, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = e->t ? e->t->ops->send(e->t, p, len) : libxenvchan_write(e->c, p, len);

		if (n == QUBE_E_AGAIN && e->t)
			wait_for(e);
		else if (n <= 0)
			return false;
		else {
			p += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static struct end open_end(bool serve, bool lib, int peer, int port)
{
	struct xs_handle *xs = xs_open(0);
	char *me = xs ? xs_read(xs, XBT_NULL, "domid", NULL) : NULL;
	struct end e = { 0 };
	char path[96];

	if (!me)
		fail("no xenstore");
	snprintf(path, sizeof(path), "data/vchan/%d/%d", peer, port);
	if (serve)
		e.c = libxenvchan_server_init(NULL, peer, path, RING, RING);
	snprintf(path, sizeof(path), "/local/domain/%d/data/vchan/%s/%d", peer, me, port);
	for (int i = 0; i < 600 && !serve && !e.c; i++) {
		e.c = libxenvchan_client_init(NULL, peer, path);
		if (!e.c)
			usleep(STEP_US);
	}
	if (!e.c)
		fail("no channel");
	e.c->blocking = -1; /* a field of one bit */
	if (lib && qube__transport_vchan(&e.t, e.c) < 0)
		fail("no transport");
	free(me);
	xs_close(xs);
	return e;
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The first byte says what it is: a ping comes back. Of bytes that flow the last comes back. */
static void serve(struct end *e)
{
	static char buf[CHUNK];
	size_t n;

	while ((n = take(e, buf, sizeof(buf))))
		if (buf[n - 1] == 'p' && !give(e, "p", 1))
			return;
}

static void measure(struct end *e)
{
	static char buf[CHUNK];
	double begin = now_us();
	double pinged;

	for (int i = 0; i < PINGS; i++)
		if (!give(e, "p", 1) || !take(e, buf, 1))
			fail("the channel broke");
	pinged = now_us();
	memset(buf, 'x', sizeof(buf));
	for (int left = BYTES; left > 0; left -= CHUNK) {
		if (left <= CHUNK)
			buf[CHUNK - 1] = 'p';
		if (!give(e, buf, CHUNK))
			fail("the channel broke");
	}
	if (!take(e, buf, 1))
		fail("the channel broke");
	printf("%.0f %.2f\n", (pinged - begin) / PINGS, BYTES / (now_us() - pinged));
}

/* A reader that believed the indices would copy from far outside of the ring, or never end. */
static void scribble(struct end *e)
{
	static const uint32_t lies[] = { 0xffffffff, 0x7fffffff, RING + 1, 0x80000000, 12345678 };
	char buf[16];

	take(e, buf, sizeof(buf));
	for (int i = 0; i < 2000; i++) {
		e->c->write.shr->prod = lies[i % 5] + (uint32_t)i;
		e->c->write.shr->cons = lies[(i + 2) % 5];
		e->c->read.shr->prod = lies[(i + 1) % 5];
		e->c->read.shr->cons = lies[(i + 3) % 5] - (uint32_t)i;
		xenevtchn_notify(e->c->event, (evtchn_port_t)e->c->event_port);
		usleep(1000);
	}
}

/* Indices that could be true, other ones and other bytes each time that one looks. */
static void change(struct end *e)
{
	double end = now_us() + 8e6;
	uint8_t *ring = e->c->write.buffer;
	uint32_t x = 1;
	char buf[16];

	take(e, buf, sizeof(buf));
	while (now_us() < end)
		for (int i = 0; i < 256; i++) {
			x = x * 1664525 + 1013904223;
			e->c->write.shr->prod = e->c->write.shr->cons + x % (RING + 1);
			e->c->read.shr->cons = e->c->read.shr->prod - (x >> 8) % (RING + 1);
			memset(ring + (x >> 4) % (RING - 64), (int)x, 64);
			if (i % 64 == 0)
				xenevtchn_notify(e->c->event, (evtchn_port_t)e->c->event_port);
		}
}

int main(int argc, char **argv)
{
	bool restless = argc == 4 && !strcmp(argv[1], "restless");
	bool hostile = restless || (argc == 4 && !strcmp(argv[1], "hostile"));
	bool serves = hostile || (argc == 5 && !strcmp(argv[1], "serve"));
	struct end e;

	if (!serves && (argc != 5 || strcmp(argv[1], "measure") != 0))
		fail("usage: see the source");
	e = open_end(serves, !hostile && !strcmp(argv[2], "lib"), atoi(argv[argc - 2]),
		     atoi(argv[argc - 1]));
	if (restless)
		change(&e);
	else if (hostile)
		scribble(&e);
	else if (serves)
		serve(&e);
	else
		measure(&e);
	libxenvchan_close(e.c);
	return 0;
}
