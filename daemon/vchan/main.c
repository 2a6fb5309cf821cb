/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-vchan: see vchan.h. Descriptor 3 is read from, 4 is written to. On the host it gives up all
 * rights once it is connected and before it has read a byte of what the guest says. */
#include "vchan.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "rpc/jail.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
	IN_FD = 3,
	OUT_FD = 4,
	CONTROL_PORT = 512,
	CONTROL_RING = 4096,
	DATA_RING = 65536,
	WAIT_S = 120,
	LINGER_MS = 30000,
};

struct args {
	struct vchan_opts o;
	const char *control; /* path of the agent's socket */
	bool jail;
	uint32_t uid;
	uint32_t gid;
};

static void usage(FILE *to)
{
	fputs("usage: qube-vchan (--server | --client) --peer DOMAIN --port PORT\n"
	      "                  [--wait SECONDS] [--ring BYTES] [--jail UID:GID]\n"
	      "       qube-vchan --control SOCKET\n"
	      "A channel to another domain, read from descriptor 3 and written to 4;\n"
	      "or the control channel of this one, for the agent at SOCKET.\n",
	      to);
}

static int number(uint32_t *out, const char *text, uint64_t max)
{
	uint64_t v;

	if (qube__text_u64(&v, text, max) < 0)
		return -1;
	*out = (uint32_t)v;
	return 0;
}

static int parse_jail(struct args *a, char *text)
{
	char *gid = strchr(text, ':');

	if (!gid)
		return -1;
	*gid++ = '\0';
	a->jail = true;
	return number(&a->uid, text, UINT32_MAX) < 0 ? -1 : number(&a->gid, gid, UINT32_MAX);
}

static int parse(struct args *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "server", no_argument, NULL, 's' },
		{ "client", no_argument, NULL, 'c' },
		{ "peer", required_argument, NULL, 'p' },
		{ "port", required_argument, NULL, 'P' },
		{ "wait", required_argument, NULL, 'w' },
		{ "ring", required_argument, NULL, 'r' },
		{ "jail", required_argument, NULL, 'j' },
		{ "control", required_argument, NULL, 'C' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	uint32_t wait_s = WAIT_S;
	int side = 0;
	int r = 0;
	int c;

	a->o.port = UINT32_MAX;
	a->o.peer = UINT32_MAX;
	a->o.ring = DATA_RING;
	while (r == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
		case 'c':
			side++;
			a->o.server = c == 's';
			break;
		case 'p':
			r = number(&a->o.peer, optarg, 0x7fef);
			break;
		case 'P':
			r = number(&a->o.port, optarg, INT32_MAX);
			break;
		case 'w':
			r = number(&wait_s, optarg, 86400);
			break;
		case 'r':
			r = number(&a->o.ring, optarg, 1 << 20);
			r = r || !a->o.ring ? -1 : 0;
			break;
		case 'j':
			r = parse_jail(a, optarg);
			break;
		case 'C':
			a->control = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			r = -1;
		}
	}
	a->o.wait_ms = (int)wait_s * 1000;
	if (a->control)
		return r || side || a->jail || a->o.peer != UINT32_MAX || optind != argc ? -1 : 0;
	return r || side != 1 || a->o.port == UINT32_MAX || a->o.peer == UINT32_MAX ||
			       optind != argc ?
		       -1 :
		       0;
}

static int connect_peer(struct qube__transport **peer, const struct vchan_opts *o)
{
	const char *dir = getenv("VCHAN_SOCKET_DIR");

	if (dir)
		return vchan_socket_open(peer, o, dir);
#ifdef QUBE_XEN
	return vchan_xen_open(peer, o);
#else
	return VCHAN_NOT_HERE;
#endif
}

/* Of all that may be done to a device it keeps the ringing of the peer's bell. */
static int confine(const struct args *a)
{
#ifdef QUBE_XEN
	uint32_t bell = vchan_xen_bell();
#else
	uint32_t bell = 0;
#endif
	int r = 0;

	if (a->jail)
		r = qube__jail_drop(a->uid, a->gid);
	if (a->jail && r == 0)
		r = qube__jail_filter(bell);
	return r < 0 ? VCHAN_FAILED : 0;
}

/* Who started it knows that the peer's domain is no more. Before there is a channel it is the end.
 */
static int signal_fd(int number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ?
		       -1 :
		       signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run(const struct args *a)
{
	/* They go with the process: a jailed one may not even ask for what closing needs. */
	static struct qube__loop loop;
	static struct vchan_pump pump;
	int r;

	pump = (struct vchan_pump){
		.loop = &loop, .buffer = a->o.ring, .linger_ms = LINGER_MS, .gone_fd = a->o.gone_fd
	};
	if (qube__loop_init(&loop) < 0 || qube__transport_pipe(&pump.local, IN_FD, OUT_FD) < 0)
		return VCHAN_FAILED;
	r = connect_peer(&pump.peer, &a->o);
	if (r == 0)
		r = confine(a);
	return r ? r : vchan_pump(&pump);
}

static int connect_agent(struct qube__transport **out, const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	qube__autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int twin;

	if (fd < 0 || qube__text_copy(sa.sun_path, sizeof(sa.sun_path), path) < 0 ||
	    connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -1;
	twin = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return twin < 0 ? -1 : qube__transport_pipe(out, qube__steal_fd(&fd), twin);
}

/* One host after the other: each gets a channel of its own, and the agent greets it anew. */
static int serve_control(const char *path)
{
	struct vchan_opts o = { .server = true,
				.port = CONTROL_PORT,
				.ring = CONTROL_RING,
				.wait_ms = -1,
				.local = -1,
				.gone_fd = -1 };
	struct qube__loop loop;
	int r = qube__loop_init(&loop) < 0 ? VCHAN_FAILED : 0;

	while (r == 0) {
		struct vchan_pump pump = { .loop = &loop, .buffer = CONTROL_RING, .gone_fd = -1 };

		r = connect_peer(&pump.peer, &o);
		if (r == 0 && connect_agent(&pump.local, path) < 0)
			r = VCHAN_FAILED;
		if (r == 0)
			r = vchan_pump(&pump);
		qube__transport_close(pump.local);
		qube__transport_close(pump.peer);
	}
	return r;
}

int main(int argc, char **argv)
{
	static const char *const whys[] = {
		[VCHAN_USAGE] = "no such channel can be",
		[VCHAN_NOT_HERE] = "this machine has no vchan, or not for this user",
		[VCHAN_LATE] = "the other domain did not come in time",
		[VCHAN_FAILED] = "it failed",
	};
	struct args a = { 0 };
	int r;

	if (parse(&a, argc, argv) < 0) {
		usage(stderr);
		return VCHAN_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	a.o.local = IN_FD;
	a.o.gone_fd = a.control ? -1 : signal_fd(SIGTERM);
	r = a.control ? serve_control(a.control) : run(&a);
	if (r < (int)(sizeof(whys) / sizeof(whys[0])) && whys[r])
		fprintf(stderr, "qube-vchan: %s (domain %u, port %u)\n", whys[r],
			a.control ? 0 : a.o.peer, a.control ? CONTROL_PORT : a.o.port);
	return r;
}
