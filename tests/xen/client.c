/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"

#include <qube/error.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct client client = { .sock = -1 };
static uint8_t packet[QUBE__XL_PACKET_MAX];

void need(bool holds, const char *what)
{
	if (holds)
		return;
	printf("FAIL %s\n", what);
	if (client.helper > 0)
		kill(client.helper, SIGKILL);
	exit(1);
}

void must(bool holds, const char *what)
{
	need(holds, what);
	printf("ok   %s\n", what);
	fflush(stdout);
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint32_t next(struct qube__xl_msg *m, int ms)
{
	struct pollfd p = { .fd = client.sock, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, ms) != 1)
		return 0;
	n = recv(client.sock, packet, sizeof(packet), 0);
	if (n <= 0 || qube__xl_decode(m, packet, (size_t)n) < 0)
		return 0;
	if (m->type == QUBE__XL_SHUT)
		client.shut = *m;
	if (m->type == QUBE__XL_GONE)
		client.gone = *m;
	if (m->type == QUBE__XL_DOMAIN) {
		client.domain = *m;
		snprintf(client.domain_name, sizeof(client.domain_name), "%s", m->name);
		client.n_domains += !(m->state & QUBE__XL_IS_DYING);
	}
	return m->type;
}

void start_helper(void)
{
	struct qube__xl_msg m = { 0 };
	int pair[2];

	if (client.sock >= 0)
		close(client.sock);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		exit(1);
	client.helper = fork();
	if (client.helper == 0) {
		if (pair[0] != QUBE__XL_FD)
			close(pair[0]);
		dup2(pair[1], QUBE__XL_FD);
		if (client.preload)
			setenv("LD_PRELOAD", client.preload, 1);
		execl(client.program, client.program, (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	client.sock = pair[0];
	must(next(&m, SOON_MS) == QUBE__XL_HOST && m.version == QUBE__XL_VERSION &&
		     strncmp(m.text, "4.", 2) == 0 && m.memory_kb > 0,
	     "the helper greets with Xen's version and its free memory");
}

void end_helper(int signal)
{
	kill(client.helper, signal);
	waitpid(client.helper, NULL, 0);
}

struct qube__xl_msg ask(struct qube__xl_msg m)
{
	struct qube__xl_msg answer = { .code = -1000 };
	uint8_t out[QUBE__XL_PACKET_MAX];
	int n;

	m.id = ++client.last_id;
	if (m.type != QUBE__XL_LIST && m.type != QUBE__XL_MEMORY && !m.deadline_ms)
		m.deadline_ms = LONG_MS;
	n = qube__xl_encode(out, sizeof(out), &m);
	client.n_domains = 0;
	if (n < 0 || send(client.sock, out, (size_t)n, 0) != n)
		return answer;
	while (next(&answer, LONG_MS))
		if (answer.type == QUBE__XL_DONE && answer.id == m.id)
			return answer;
	answer.code = -1000;
	return answer;
}

struct qube__xl_msg of(uint32_t type, uint8_t number)
{
	struct qube__xl_msg m = { .type = type };

	memset(m.uuid, number, sizeof(m.uuid));
	return m;
}

struct qube__xl_msg creation(uint8_t number, const char *name, uint32_t kind)
{
	struct qube__xl_msg m = of(QUBE__XL_CREATE, number);

	m.kind = kind;
	m.vcpus = 1;
	m.memory_kb = m.max_kb = 224 * 1024;
	m.name = name;
	m.kernel = client.kernel;
	m.ramdisk = client.ramdisk;
	m.cmdline = "console=hvc0 loglevel=4";
	m.record = "r";
	return m;
}

bool list_has(int n)
{
	return ask((struct qube__xl_msg){ .type = QUBE__XL_LIST }).code == 0 &&
	       client.n_domains == n;
}

bool listed_within(int ms, int n)
{
	uint64_t end = now_ms() + (uint64_t)ms;

	while (!list_has(n)) {
		if (now_ms() > end)
			return false;
		usleep(200000);
	}
	return true;
}

bool xl_knows(const char *name)
{
	char command[96];

	snprintf(command, sizeof(command), "xl domid %s >/dev/null 2>&1", name);
	return system(command) == 0;
}

bool says(const char *name, const char *what, int ms)
{
	uint64_t end = now_ms() + (uint64_t)ms;
	char command[160];

	snprintf(command, sizeof(command), "grep -a -q '%s' /var/log/xen/guest-%s.log 2>/dev/null",
		 what, name);
	while (system(command) != 0) {
		if (now_ms() > end)
			return false;
		usleep(200000);
	}
	return true;
}

bool comes(struct qube__xl_msg *what, int ms)
{
	struct qube__xl_msg m;
	uint64_t end = now_ms() + (uint64_t)ms;

	while (!what->type && now_ms() < end)
		next(&m, 500);
	return what->type;
}
