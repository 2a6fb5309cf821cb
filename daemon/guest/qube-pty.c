/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-pty: runs a command on a terminal of its own inside the qube, so that no terminal of the
 * host is ever shared with one. */
#include <qube/error.h>
#include <qube/guest.h>

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, NOT_FOUND = 127 };

static void usage(FILE *to)
{
	fprintf(to, "usage: qube-pty [--rows N] [--cols N] -- COMMAND [ARGS...]\n");
}

static int number(uint16_t *out, const char *s)
{
	char *end;
	long v = strtol(s, &end, 10);

	if (!*s || *end || v < 1 || v > 4096)
		return -1;
	*out = (uint16_t)v;
	return 0;
}

static int find_program(const char *name, char *out, size_t cap)
{
	const char *p = getenv("PATH");

	if (strchr(name, '/'))
		return (size_t)snprintf(out, cap, "%s", name) < cap ? 0 : -1;
	if (!p)
		p = "/usr/local/bin:/usr/bin:/bin";
	while (*p) {
		size_t n = strcspn(p, ":");

		if ((size_t)snprintf(out, cap, "%.*s/%s", (int)n, p, name) < cap &&
		    access(out, X_OK) == 0)
			return 0;
		p += n;
		p += *p == ':';
	}
	return -1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rows", required_argument, NULL, 'r' },
		{ "cols", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static char path[4096];
	uint16_t rows = 0;
	uint16_t cols = 0;
	int32_t code;
	int c;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			return 0;
		}
		if ((c != 'r' && c != 'c') || number(c == 'r' ? &rows : &cols, optarg) < 0) {
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		usage(stderr);
		return EXIT_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	if (find_program(argv[optind], path, sizeof(path)) < 0) {
		fprintf(stderr, "qube-pty: no program %s\n", argv[optind]);
		return NOT_FOUND;
	}
	argv[optind] = path;
	if (!getenv("TERM"))
		setenv("TERM", "linux", 1);
	if (qube_guest_pty((const char *const *)argv + optind, (const char *const *)environ, rows,
			   cols, 0, 1, &code) < 0) {
		fprintf(stderr, "qube-pty: %s\n", qube_error_last()->message);
		return NOT_FOUND;
	}
	return code & 0xff;
}
