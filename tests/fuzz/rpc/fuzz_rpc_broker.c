/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The broker driven by a guest's bytes, with a core that allows every call to the host. */
/* The assertions are the target's point, in every kind of build. */
#undef NDEBUG
#include "rpc/broker.h"
#include "rpc/proto.h"

#include <qube/error.h>

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(int sock, uint8_t *packet)
{
	struct qube__rpc_msg m;
	struct qube__rpc_msg d = { .type = QUBE__RPC_DECISION };
	int fds[QUBE__RPC_FDS_MAX];
	int r;

	while ((r = qube__rpc_recv(sock, &m, packet, QUBE__RPC_MSG_MAX, fds)) == 0) {
		if (m.type != QUBE__RPC_DECIDE)
			continue;
		d.decision.request = m.decide.request;
		d.decision.verdict = m.decide.has_argument ? QUBE__RPC_DENY : QUBE__RPC_ALLOW;
		d.decision.requested = "dom0";
		qube__rpc_send(sock, &d, NULL);
	}
	/* The broker never says what core would refuse. */
	assert(r != QUBE_E_PROTO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qube__rpc_msg m = { .type = QUBE__RPC_GUEST_ADD };
	uint8_t *packet = malloc(QUBE__RPC_MSG_MAX);
	struct qube__broker *b;
	struct qube__loop loop;
	int guest[2];
	int core[2];

	if (size > 200000 || qube__loop_init(&loop) < 0 || qube__rpc_pair(core) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, guest) < 0 ||
	    qube__broker_create(&b, &loop, core[1], NULL) < 0)
		abort();
	m.guest_add.guest = 1;
	m.guest_add.qid = 7;
	m.guest_add.name = "work";
	m.guest_add.user = "user";
	qube__rpc_send(core[0], &m, &guest[0]);
	close(guest[0]);
	while (size) {
		ssize_t n = send(guest[1], data, size, MSG_NOSIGNAL);

		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
		for (int i = 0; i < 8; i++)
			qube__loop_dispatch(&loop, 0);
		answer(core[0], packet);
		if (n <= 0)
			break;
	}
	for (int i = 0; i < 8; i++)
		qube__loop_dispatch(&loop, 0);
	qube__broker_destroy(b);
	qube__loop_fini(&loop);
	close(guest[1]);
	close(core[0]);
	free(packet);
	return 0;
}
