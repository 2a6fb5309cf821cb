/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "transport/transport.h"

#include <qube/error.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* What holds for every kind: bytes in order, "again" when empty or full, "closed" at the end. */
static void behaves(struct qube__transport *a, struct qube__transport *b)
{
	static char block[65536];
	size_t sent = 0;
	size_t got = 0;
	ssize_t n;
	int rfd;
	int wfd;
	struct pollfd p = { .events = POLLIN };

	QT_INT(b->ops->recv(b, block, 10), QUBE_E_AGAIN);
	QT_INT(a->ops->send(a, "hello", 5), 5);
	b->ops->get_fds(b, &rfd, &wfd);
	p.fd = rfd;
	QT_INT(poll(&p, 1, 1000), 1);
	QT_INT(b->ops->recv(b, block, 3), 3);
	QT_MEM(block, "hel", 3);
	QT_INT(b->ops->recv(b, block, 10), 2);
	QT_INT(b->ops->send(b, "back", 4), 4);
	QT_INT(a->ops->recv(a, block, 10), 4);
	while ((n = a->ops->send(a, block, sizeof(block))) > 0)
		sent += (size_t)n;
	QT_INT(n, QUBE_E_AGAIN);
	QT_TRUE(sent >= 1000);
	qube__transport_close(a);
	while ((n = b->ops->recv(b, block, sizeof(block))) > 0)
		got += (size_t)n;
	QT_INT(n, QUBE_E_CLOSED);
	QT_INT(got, sent);
	qube__transport_close(b);
}

QTEST(transport, memory_behaves)
{
	struct qube__transport *t[2];

	QT_INT(qube__transport_mem(t, 5000), 0);
	behaves(t[0], t[1]);
}

QTEST(transport, pipes_behave)
{
	struct qube__transport *t[2];
	int one[2];
	int other[2];

	QT_INT(qube__transport_channel(one, other), 0);
	QT_INT(qube__transport_pipe(&t[0], one[0], one[1]), 0);
	QT_INT(qube__transport_pipe(&t[1], other[0], other[1]), 0);
	behaves(t[0], t[1]);
}

QTEST(transport, sockets_behave)
{
	struct qube__transport *t[2];
	int sv[2];

	QT_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	QT_INT(qube__transport_socket_host(&t[0], sv[0]), 0);
	QT_INT(qube__transport_socket_guest(&t[1], sv[1]), 0);
	behaves(t[0], t[1]);
}

QTEST(transport, descriptors_go_to_the_guest_only)
{
	struct qube__transport *t[2];
	int sv[2];
	int fds[4];
	size_t n = 4;
	char c[4];

	QT_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	QT_INT(qube__transport_socket_host(&t[0], sv[0]), 0);
	QT_INT(qube__transport_socket_guest(&t[1], sv[1]), 0);
	QT_TRUE(t[0]->ops->send_fds && !t[0]->ops->recv_fds);
	QT_TRUE(t[1]->ops->recv_fds && !t[1]->ops->send_fds);
	fds[0] = 0;
	fds[1] = 1;
	QT_INT(t[0]->ops->send_fds(t[0], "ab", 2, fds, 2), 2);
	QT_INT(t[1]->ops->recv_fds(t[1], c, 4, fds, &n), 2);
	QT_INT(n, 2);
	QT_TRUE(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	close(fds[0]);
	close(fds[1]);
	qube__transport_close(t[0]);
	qube__transport_close(t[1]);
}
