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

/* NOT_THERE is asked again by who tells a size: the terminal may be about to come. */
enum { EXIT_USAGE = 2, NOT_THERE = 69, NOT_FOUND = 127 };

static void usage(FILE *to)
{
	fprintf(to, "usage: qube-pty [--rows N] [--cols N] -- COMMAND [ARGS...]\n"
		    "       qube-pty --resize ID --rows N --cols N\n"
		    "The terminal of a command has the ID that is in QUBE_PTY_ID.\n");
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

static int resize(const char *id, uint16_t rows, uint16_t cols)
{
	if (qube_guest_pty_resize(id, rows, cols) == 0)
		return 0;
	fprintf(stderr, "qube-pty: %s\n", qube_error_last()->message);
	return qube_error_last()->code == QUBE_E_NOENT ? NOT_THERE : EXIT_USAGE;
}

/* Of the environment and no option: one of before that knew none runs the command all the same. It
 * is ours, and not of what runs on the terminal. */
static const char *take_id(void)
{
	static char id[65];
	const char *given = getenv("QUBE_PTY_ID");

	if (!given || (size_t)snprintf(id, sizeof(id), "%s", given) >= sizeof(id))
		return NULL;
	unsetenv("QUBE_PTY_ID");
	return id;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "resize", required_argument, NULL, 's' },
		{ "rows", required_argument, NULL, 'r' },
		{ "cols", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static char path[4096];
	uint16_t rows = 0;
	uint16_t cols = 0;
	const char *which = NULL;
	const char *id;
	int32_t code;
	int c;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			return 0;
		}
		if (c == 's') {
			which = optarg;
			continue;
		}
		if ((c != 'r' && c != 'c') || number(c == 'r' ? &rows : &cols, optarg) < 0) {
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (which && optind == argc)
		return resize(which, rows, cols);
	if (which || optind == argc) {
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
	id = take_id();
	if (qube_guest_pty((const char *const *)argv + optind, (const char *const *)environ, rows,
			   cols, id, 0, 1, &code) < 0) {
		fprintf(stderr, "qube-pty: %s\n", qube_error_last()->message);
		return NOT_FOUND;
	}
	return code & 0xff;
}
