/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A helper that misbehaves as the name of the entry in its job says. */
#include "event/proto.h"

#include "base/io.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

static void answer(uint32_t id, uint32_t kind)
{
	struct qube__job_reply reply = { .kind = kind, .id = id, .done = 1 };
	uint8_t buf[1024];
	int len = qube__job_reply_encode(buf, sizeof(buf), &reply);

	qube__io_send_fds(3, buf, (size_t)len, NULL, 0);
}

int main(void)
{
	static uint8_t buf[QUBE__JOB_MSG_MAX];
	struct pollfd p = { .fd = 3, .events = POLLIN };
	uint32_t waiting = 0;

	for (;;) {
		struct qube__job_request req;
		int fds[8];
		size_t n_fds = 8;
		ssize_t n;
		const char *what;

		poll(&p, 1, -1);
		n = qube__io_recv_fds(3, buf, sizeof(buf), fds, &n_fds);
		if (n <= 0 || qube__job_request_parse(&req, buf, (size_t)n) < 0)
			_exit(0);
		for (size_t i = 0; i < n_fds; i++)
			close(fds[i]);
		what = req.n_args ? req.args[0] : "";
		if (req.type == QUBE__JOB_CANCEL && waiting)
			_exit(7);
		if (strcmp(what, "die") == 0)
			_exit(42);
		if (strcmp(what, "hang") == 0) {
			waiting = req.id;
			continue;
		}
		if (strcmp(what, "garbage") == 0) {
			qube__io_send_fds(3, "garbage", 7, NULL, 0);
			continue;
		}
		if (strcmp(what, "other") == 0) {
			answer(req.id + 1, QUBE__JOB_DONE);
			continue;
		}
		for (int i = 0; i < 100; i++)
			answer(req.id, QUBE__JOB_PROGRESS);
		answer(req.id, QUBE__JOB_DONE);
		if (strcmp(what, "last") == 0)
			_exit(0);
	}
}
