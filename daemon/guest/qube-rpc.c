/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-rpc: calls a service of another qube. Also takes the place of qrexec-client-vm. */
#include <qube/error.h>
#include <qube/guest.h>

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_LINK = 1, EXIT_USAGE = 2, REFUSED = 126 };

struct args {
	struct qube_guest_call_opts o;
	int filter_out; /* -1: when it is a terminal */
	int filter_err;
	bool use_socket;
};

static void usage(FILE *to)
{
	fprintf(to, "usage: qube-rpc [OPTIONS] TARGET SERVICE[+ARG] [PROGRAM [ARGS...]]\n"
		    "  -t, -T                     make stdout, stderr harmless for a terminal\n"
		    "  --no-filter-escape-chars-stdout, --no-filter-escape-chars-stderr\n"
		    "  -a, --agent-socket=PATH    the agent's socket\n"
		    "  -p, --prefix-data=DATA     sent before any input\n"
		    "  -s, --source-qube=NAME     speak for a remote qube (relays)\n"
		    "  --use-stdin-socket         descriptor 0 is a socket, used both ways\n"
		    "  --buffer-size=N            accepted; the channel has its own size\n");
}

static int parse(struct args *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "buffer-size", required_argument, NULL, 'b' },
		{ "no-filter-escape-chars-stdout", no_argument, NULL, 1 },
		{ "no-filter-escape-chars-stderr", no_argument, NULL, 2 },
		{ "filter-escape-chars-stdout", no_argument, NULL, 't' },
		{ "filter-escape-chars-stderr", no_argument, NULL, 'T' },
		{ "agent-socket", required_argument, NULL, 'a' },
		{ "prefix-data", required_argument, NULL, 'p' },
		{ "source-qube", required_argument, NULL, 's' },
		{ "use-stdin-socket", no_argument, NULL, 3 },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+tTa:p:s:h", options, NULL)) != -1) {
		char *end;

		switch (c) {
		case 'b':
			if (strtol(optarg, &end, 10) <= 0 || *end)
				return -1;
			break;
		case 't':
		case 1:
			a->filter_out = c == 't';
			break;
		case 'T':
		case 2:
			a->filter_err = c == 'T';
			break;
		case 'a':
			a->o.agent_socket = optarg;
			break;
		case 'p':
			a->o.prefix = optarg;
			a->o.prefix_len = strlen(optarg);
			break;
		case 's':
			a->o.source = optarg;
			break;
		case 3:
			a->use_socket = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			return -1;
		}
	}
	if (argc - optind < 2)
		return -1;
	a->o.target = argv[optind];
	a->o.service = argv[optind + 1];
	if (argc - optind > 2)
		a->o.program = (const char *const *)argv + optind + 2;
	return a->use_socket && a->o.program ? -1 : 0;
}

/* As a shell finds it; the library executes paths only. */
static int find_program(const char *name, char *out, size_t cap)
{
	const char *p = getenv("PATH");

	if (strchr(name, '/'))
		return (size_t)snprintf(out, cap, "%s", name) < cap ? 0 : -1;
	while (p && *p) {
		size_t n = strcspn(p, ":");

		if ((size_t)snprintf(out, cap, "%.*s/%s", (int)n, p, name) < cap &&
		    access(out, X_OK) == 0)
			return 0;
		p += n;
		p += *p == ':';
	}
	return -1;
}

static int set_up(struct args *a)
{
	struct stat st;

	a->o.stdin_fd = 0;
	a->o.stdout_fd = 1;
	a->o.stderr_fd = 2;
	a->o.env = (const char *const *)environ;
	if (a->use_socket) {
		if (fstat(0, &st) < 0 || !S_ISSOCK(st.st_mode)) {
			fprintf(stderr, "qube-rpc: descriptor 0 is no socket\n");
			return -1;
		}
		a->o.stdout_fd = 0;
	}
	/* Untrusted output does not reach a terminal unfiltered unless asked for. */
	if (a->filter_out > 0 || (a->filter_out < 0 && !a->o.program && isatty(1)))
		a->o.flags |= QUBE_GUEST_CALL_FILTER_STDOUT;
	if (a->filter_err > 0 || (a->filter_err < 0 && isatty(2)))
		a->o.flags |= QUBE_GUEST_CALL_FILTER_STDERR;
	return 0;
}

int main(int argc, char **argv)
{
	struct args a = { .filter_out = -1, .filter_err = -1 };
	static char path[4096];
	int32_t code = 0;

	a.o.size = (uint32_t)sizeof(a.o);
	if (parse(&a, argc, argv) < 0) {
		usage(stderr);
		return EXIT_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	if (set_up(&a) < 0)
		return EXIT_USAGE;
	if (a.o.program) {
		if (find_program(a.o.program[0], path, sizeof(path)) < 0) {
			fprintf(stderr, "qube-rpc: no program %s\n", a.o.program[0]);
			return 255;
		}
		((char **)(uintptr_t)a.o.program)[0] = path;
	}
	if (qube_guest_call(&a.o, &code) < 0) {
		fprintf(stderr, "qube-rpc: %s\n", qube_error_last()->message);
		return EXIT_LINK;
	}
	if (code == REFUSED)
		fprintf(stderr, "Request refused\n");
	return code & 0xff;
}
