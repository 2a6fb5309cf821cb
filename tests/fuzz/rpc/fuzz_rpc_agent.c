/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The agent driven by a host's bytes; a pair of pipe ends comes with the first. No user exists, so
 * nothing is executed. */
#include "base/io.h"
#include "rpc/agent.h"
#include "transport/transport.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qube__agent_opts o = { .service_path = "/nonexistent",
				      .config_path = "/nonexistent",
				      .trigger_socket = "",
				      .passwd_file = "/dev/null",
				      .group_file = "/dev/null" };
	struct qube__agent *a;
	struct qube__loop loop;
	int one[2];
	int other[2];
	int sv[2];

	if (qube__loop_init(&loop) < 0 || qube__transport_channel(one, other) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) < 0)
		abort();
	o.control_fd = sv[1];
	if (qube__agent_create(&a, &loop, &o) < 0)
		abort();
	if (size)
		qube__io_send_fds(sv[0], data, size > 100000 ? 100000 : size, other, 2);
	for (int i = 0; i < 12; i++)
		qube__loop_dispatch(&loop, 0);
	qube__agent_destroy(a);
	qube__loop_fini(&loop);
	close(sv[0]);
	for (int i = 0; i < 2; i++) {
		close(one[i]);
		close(other[i]);
	}
	return 0;
}
