/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-agent: a qube's agent. Started by the qube's init with the control
 * socket as a descriptor; SIGTERM ends its services and then itself. */
#include <qube/error.h>
#include <qube/guest.h>

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static void usage(FILE *to)
{
	fprintf(to, "usage: qube-agent --control-fd N [--user USER] [--service-path DIRS]\n"
		    "                  [--config-path DIRS] [--trigger-socket PATH]\n"
		    "                  [--vchan PROGRAM]\n");
}

static void print_line(void *user, int32_t priority, const char *line)
{
	(void)user;
	(void)priority;
	fprintf(stderr, "qube-agent: %s\n", line);
}

static int parse(struct qube_guest_agent_opts *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "control-fd", required_argument, NULL, 'c' },
		{ "user", required_argument, NULL, 'u' },
		{ "service-path", required_argument, NULL, 's' },
		{ "config-path", required_argument, NULL, 'C' },
		{ "trigger-socket", required_argument, NULL, 'a' },
		{ "vchan", required_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		char *end;

		switch (c) {
		case 'c':
			o->control_fd = (int32_t)strtol(optarg, &end, 10);
			if (!*optarg || *end)
				return -1;
			break;
		case 'u':
			o->default_user = optarg;
			break;
		case 's':
			o->service_path = optarg;
			break;
		case 'C':
			o->config_path = optarg;
			break;
		case 'a':
			o->trigger_socket = optarg;
			break;
		case 'V':
			o->vchan = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			return -1;
		}
	}
	return optind == argc && o->control_fd >= 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct qube_guest_agent_opts o;
	sigset_t stop;

	memset(&o, 0, sizeof(o));
	o.size = (uint32_t)sizeof(o);
	o.control_fd = -1;
	o.log = print_line;
	o.env = (const char *const *)environ;
	if (parse(&o, argc, argv) < 0) {
		usage(stderr);
		return EXIT_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	o.stop_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
	if (o.stop_fd < 0 || qube_guest_agent_run(&o) < 0) {
		fprintf(stderr, "qube-agent: %s\n", qube_error_last()->message);
		return 1;
	}
	return 0;
}
