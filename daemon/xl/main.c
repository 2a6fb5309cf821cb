/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-xl: see xl.h. Started by the xen driver with its end of the socket as descriptor 3; when the
 * driver goes away the domains stay, and the next helper finds them: also half a domain, so that it
 * is not in the way of who takes that away (ADR 23). */
#include "xl.h"

#include "base/error.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { SEND_S = 10 };

void xl_send(struct xl *x, const struct qube__xl_msg *m)
{
	uint8_t packet[QUBE__XL_PACKET_MAX];
	int n = qube__xl_encode(packet, sizeof(packet), m);
	ssize_t sent;

	if (x->gone)
		return;
	/* A domain's name may be anybody's. */
	if (n < 0) {
		fprintf(stderr, "qube-xl: a message of type %u cannot be told\n", m->type);
		return;
	}
	/* It has SEND_S seconds to take it. */
	do
		sent = send(QUBE__XL_FD, packet, (size_t)n, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent != n)
		x->gone = true;
}

static void on_driver(struct qube__source *s, uint32_t revents)
{
	struct xl *x = qube__container_of(s, struct xl, sock);
	uint8_t packet[QUBE__XL_PACKET_MAX];
	struct qube__xl_msg m;
	ssize_t n = recv(QUBE__XL_FD, packet, sizeof(packet), MSG_DONTWAIT | MSG_TRUNC);

	(void)revents;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		x->gone = true;
		return;
	}
	if ((size_t)n > sizeof(packet) || qube__xl_decode(&m, packet, (size_t)n) < 0 ||
	    m.type > QUBE__XL_WATCH) {
		fprintf(stderr, "qube-xl: an order that makes no sense\n");
		x->gone = true;
		return;
	}
	xl_order(x, &m);
}

static uint32_t host_has(const libxl_physinfo *p, const char *commandline)
{
	return (p->cap_hvm ? QUBE__XL_HAS_HVM : 0u) | (p->cap_hap ? QUBE__XL_HAS_HAP : 0u) |
	       (p->cap_hvm_directio ? QUBE__XL_HAS_IOMMU : 0u) |
	       (p->threads_per_core > 1 ? QUBE__XL_HAS_SMT : 0u) |
	       (strstr(commandline, "sched-gran=core") || strstr(commandline, "sched-gran=socket") ?
			QUBE__XL_HAS_CORE_SCHED :
			0u);
}

static int greet(struct xl *x)
{
	const libxl_version_info *v = libxl_get_version_info(x->ctx);
	struct qube__xl_msg m = { .type = QUBE__XL_HOST, .version = QUBE__XL_VERSION };
	libxl_physinfo p;
	uint64_t free_kb = 0;
	char text[128];

	libxl_physinfo_init(&p);
	if (!v || libxl_get_free_memory(x->ctx, &free_kb) || libxl_get_physinfo(x->ctx, &p))
		return -1;
	m.state = host_has(&p, v->commandline ? v->commandline : "");
	m.max_kb = p.total_pages * ((uint64_t)v->pagesize / 1024);
	libxl_physinfo_dispose(&p);
	snprintf(text, sizeof(text), "%d.%d%s", v->xen_version_major, v->xen_version_minor,
		 v->xen_version_extra);
	m.text = text;
	m.memory_kb = free_kb;
	xl_send(x, &m);
	return 0;
}

static int run(struct xl *x)
{
	if (qube__source_add(&x->loop, &x->sock, QUBE__XL_FD, EPOLLIN, on_driver) < 0)
		return -1;
	xl_sweep_init(x);
	while (!x->gone)
		if (qube__loop_dispatch(&x->loop, -1) < 0)
			return -1;
	return 0;
}

/* libxenlight may be at work for seconds, where no loop hears anything. */
static void *die_with_the_driver(void *unused)
{
	struct pollfd p = { .fd = QUBE__XL_FD, .events = POLLRDHUP };
	int n;

	(void)unused;
	do
		n = poll(&p, 1, -1);
	while (n == 0 || (n < 0 && errno == EINTR));
	_exit(0);
}

int main(void)
{
	static const struct timeval patience = { .tv_sec = SEND_S };
	struct xl x = { 0 };
	pthread_t thread;

	/* Not for the programs that libxenlight starts: who has it gives orders. */
	if (fcntl(QUBE__XL_FD, F_SETFD, FD_CLOEXEC) < 0 ||
	    setsockopt(QUBE__XL_FD, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0) {
		fprintf(stderr, "qube-xl: is started by the xen driver\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	x.log = xl_say_open();
	if (!x.log || pthread_create(&thread, NULL, die_with_the_driver, NULL) ||
	    qube__loop_init(&x.loop) < 0) {
		fprintf(stderr, "qube-xl: out of memory\n");
		return 1;
	}
	if (libxl_ctx_alloc(&x.ctx, LIBXL_VERSION, 0, x.log)) {
		fprintf(stderr, "qube-xl: cannot open libxenlight: is this the dom0 of a Xen?\n");
		return 1;
	}
	xl_hook(&x);
	if (xl_orders_init(&x) < 0 || xl_store_open(&x) < 0 || greet(&x) < 0 || run(&x) < 0) {
		fprintf(stderr, "qube-xl: %s\n", xl_say_last(x.log));
		return 1;
	}
	return 0;
}
