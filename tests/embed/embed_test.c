/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A context driven by a loop that is not ours: poll(), epoll by edges, libevent. Each of them runs
 * a host that a client in another thread works with, and operations of its own; and a connection
 * to such a host. */
#include "qtest.h"

#include <qube/admin.h>
#include <qube/qube.h>

#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DEADLINE_MS = 20000, ROUNDS = 25 };

/* What a loop watches: a context, a listening socket (or -1), and when to end. */
struct world {
	qube_ctx *ctx;
	int listener;
	int stop; /* eventfd */
	bool late;
};

typedef void run_fn(struct world *w);

static void greet(struct world *w)
{
	int fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		qube_admin_serve(w->ctx, fd);
}

static void run_poll(struct world *w)
{
	for (;;) {
		struct pollfd p[3] = {
			{ .fd = qube_ctx_get_fd(w->ctx), .events = POLLIN },
			{ .fd = w->listener, .events = POLLIN },
			{ .fd = w->stop, .events = POLLIN },
		};

		w->late = poll(p, 3, DEADLINE_MS) == 0;
		if (w->late || p[2].revents)
			return;
		if (p[1].revents)
			greet(w);
		if (p[0].revents)
			qube_ctx_dispatch(w->ctx, 0);
	}
}

static void watch(int epfd, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	if (fd >= 0)
		epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
}

/* Sees each readiness once: what it leaves undone it never hears of again. */
static void run_edges(struct world *w)
{
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	int ctx_fd = qube_ctx_get_fd(w->ctx);

	watch(epfd, ctx_fd, EPOLLIN | EPOLLET);
	watch(epfd, w->listener, EPOLLIN);
	watch(epfd, w->stop, EPOLLIN);
	for (;;) {
		struct epoll_event ev;

		w->late = epoll_wait(epfd, &ev, 1, DEADLINE_MS) == 0;
		if (w->late || ev.data.fd == w->stop)
			break;
		if (ev.data.fd == w->listener)
			greet(w);
		else
			while (qube_ctx_dispatch(w->ctx, 0) == 1)
				;
	}
	close(epfd);
}

static void on_ctx(evutil_socket_t fd, short what, void *arg)
{
	struct world *w = arg;

	(void)fd;
	(void)what;
	qube_ctx_dispatch(w->ctx, 0);
}

static void on_listener(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	greet(arg);
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	((struct world *)arg)->late = true;
}

static void run_libevent(struct world *w)
{
	const struct timeval limit = { DEADLINE_MS / 1000, 0 };
	struct event_base *base = event_base_new();
	struct event *ev[4] = { NULL };

	ev[0] = event_new(base, qube_ctx_get_fd(w->ctx), EV_READ | EV_PERSIST, on_ctx, w);
	ev[1] = event_new(base, w->stop, EV_READ, on_stop, base);
	ev[2] = event_new(base, -1, 0, on_late, w);
	if (w->listener >= 0)
		ev[3] = event_new(base, w->listener, EV_READ | EV_PERSIST, on_listener, w);
	for (int i = 0; i < 4; i++)
		if (ev[i])
			event_add(ev[i], i == 2 ? &limit : NULL);
	while (!w->late && !event_base_got_break(base))
		event_base_loop(base, EVLOOP_ONCE);
	for (int i = 0; i < 4; i++)
		if (ev[i])
			event_free(ev[i]);
	event_base_free(base);
}

/* --- a host, and where it is reached --- */

struct place {
	char dir[64];
	char path[96];
};

static int open_place(struct place *p)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(p->dir, sizeof(p->dir), "/tmp/qube-test-XXXXXX");
	if (!mkdtemp(p->dir))
		return -1;
	snprintf(p->path, sizeof(p->path), "%s/admin", p->dir);
	memcpy(sa.sun_path, p->path, strlen(p->path) + 1);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 64) < 0)
		return -1;
	return fd;
}

static void close_place(struct place *p, int fd)
{
	close(fd);
	unlink(p->path);
	rmdir(p->dir);
}

static qube_ctx *open_host(void)
{
	struct qube_ctx_opts o = QUBE_CTX_OPTS_INIT;
	struct qube_domain_create_opts c = {
		.size = sizeof(c),
		.name = "deb",
		.klass = "TemplateVM",
	};
	qube_ctx *ctx = NULL;
	qube_domain *d = NULL;

	o.mode = QUBE_MODE_FAKE;
	if (qube_ctx_open(&ctx, &o) < 0 || qube_domain_create(&d, ctx, &c) < 0)
		return NULL;
	qube_domain_unref(d);
	c.klass = "AppVM";
	c.template_name = "deb";
	for (int i = 0; i < 2; i++) {
		c.name = i ? "own" : "work";
		if (qube_domain_create(&d, ctx, &c) < 0)
			return NULL;
		qube_domain_unref(d);
	}
	return ctx;
}

static qube_ctx *open_connection(const char *path)
{
	struct qube_ctx_opts o = QUBE_CTX_OPTS_INIT;
	qube_ctx *ctx = NULL;

	o.mode = QUBE_MODE_CONNECTED;
	o.socket_path = path;
	return qube_ctx_open(&ctx, &o) == 0 ? ctx : NULL;
}

/* --- operations one after the other, each begun in the callback of the one before --- */

struct chain {
	qube_domain *d;
	int left;
	int failed;
	int stop; /* eventfd, told at the end; or -1 */
	uint64_t events;
};

static void link_next(struct chain *c);

static void on_link(void *user, qube_op *op)
{
	struct chain *c = user;

	c->failed += qube_op_get_state(op) != QUBE_OP_DONE;
	if (--c->left > 0)
		link_next(c);
	else if (c->stop >= 0)
		eventfd_write(c->stop, 1);
}

static void link_next(struct chain *c)
{
	struct qube_op_callback cb = { .fn = on_link, .user = c };
	qube_op *op = NULL;
	int r = c->left % 2 ? qube_domain_kill(c->d, &op) : qube_domain_start(c->d, &op);

	if (r < 0) {
		c->failed++;
		c->left = 0;
		if (c->stop >= 0)
			eventfd_write(c->stop, 1);
		return;
	}
	qube_op_set_callback(op, &cb);
	qube_op_unref(op);
}

static void count_event(void *user, const struct qube_event *ev)
{
	(void)ev;
	((struct chain *)user)->events++;
}

/* --- a client in a thread: every call blocks --- */

struct client {
	const char *path;
	int stop;
	int failed;
};

static void *be_client(void *arg)
{
	struct client *c = arg;
	qube_ctx *ctx = open_connection(c->path);
	qube_domain *d = NULL;

	c->failed = !ctx || qube_domain_open(&d, ctx, "work") < 0;
	for (int i = 0; !c->failed && i < ROUNDS; i++) {
		struct qube_admin_request all = {
			.size = sizeof(all),
			.method = "qube.GetAll",
		};
		char *text = NULL;

		c->failed += qube_domain_start(d, NULL) < 0;
		c->failed += qube_admin_call(&text, NULL, ctx, &all) < 0;
		c->failed += qube_domain_kill(d, NULL) < 0;
		qube_free(text);
	}
	qube_domain_unref(d);
	qube_ctx_unref(ctx);
	eventfd_write(c->stop, 1);
	return NULL;
}

static void host_in(run_fn *run)
{
	struct place p;
	struct world w = { .listener = open_place(&p), .stop = eventfd(0, EFD_CLOEXEC) };
	struct client c = { .path = p.path, .stop = w.stop };
	struct chain own = { .left = 2 * ROUNDS, .stop = -1 };
	struct qube_callback cb = { .fn = count_event, .user = &own };
	qube_subscription *sub = NULL;
	pthread_t t;

	w.ctx = open_host();
	QT_TRUE(w.ctx && w.listener >= 0);
	QT_INT(qube_domain_open(&own.d, w.ctx, "own"), 0);
	QT_INT(qube_ctx_subscribe(&sub, w.ctx, &cb), 0);
	link_next(&own);
	QT_INT(pthread_create(&t, NULL, be_client, &c), 0);
	run(&w);
	if (w.late) /* the client waits for answers that will not come */
		qube_ctx_dispatch(w.ctx, 0);
	QT_TRUE(!w.late);
	pthread_join(t, NULL);
	QT_INT(c.failed, 0);
	QT_INT(own.failed, 0);
	QT_INT(own.left, 0);
	QT_TRUE(own.events >= 4 * 2 * ROUNDS);
	qube_subscription_unref(sub);
	qube_domain_unref(own.d);
	qube_ctx_unref(w.ctx);
	close_place(&p, w.listener);
	close(w.stop);
}

static void *be_host(void *arg)
{
	run_poll(arg);
	return NULL;
}

static void connection_in(run_fn *run)
{
	struct place p;
	struct world host = { .listener = open_place(&p), .stop = eventfd(0, EFD_CLOEXEC) };
	struct world w = { .listener = -1, .stop = eventfd(0, EFD_CLOEXEC) };
	struct chain c = { .left = 2 * ROUNDS, .stop = w.stop };
	struct qube_callback cb = { .fn = count_event, .user = &c };
	qube_subscription *sub = NULL;
	pthread_t t;

	host.ctx = open_host();
	QT_TRUE(host.ctx && host.listener >= 0);
	QT_INT(pthread_create(&t, NULL, be_host, &host), 0);
	w.ctx = open_connection(p.path);
	QT_TRUE(w.ctx != NULL);
	QT_INT(qube_domain_open(&c.d, w.ctx, "work"), 0);
	QT_INT(qube_ctx_subscribe(&sub, w.ctx, &cb), 0);
	link_next(&c);
	run(&w);
	QT_TRUE(!w.late);
	QT_INT(c.failed, 0);
	QT_INT(c.left, 0);
	QT_TRUE(c.events >= ROUNDS);
	qube_subscription_unref(sub);
	qube_domain_unref(c.d);
	qube_ctx_unref(w.ctx);
	eventfd_write(host.stop, 1);
	pthread_join(t, NULL);
	qube_ctx_unref(host.ctx);
	close_place(&p, host.listener);
	close(host.stop);
	close(w.stop);
}

QTEST(embed, a_host_in_poll)
{
	host_in(run_poll);
}

QTEST(embed, a_host_in_epoll_by_edges)
{
	host_in(run_edges);
}

QTEST(embed, a_host_in_libevent)
{
	host_in(run_libevent);
}

QTEST(embed, a_connection_in_poll)
{
	connection_in(run_poll);
}

QTEST(embed, a_connection_in_epoll_by_edges)
{
	connection_in(run_edges);
}

QTEST(embed, a_connection_in_libevent)
{
	connection_in(run_libevent);
}
