/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-copy: the end of a copy that is inside the qube, with the rights of one of its users. Its
 * exit status is the code of what failed, without the sign. */
#include <qube/error.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "copy/copy.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { EXIT_USAGE = 64 };

static int usage(void)
{
	fprintf(stderr, "usage: qube-copy give PATH >STREAM\n"
			"       qube-copy take [--replace] PATH NAME <STREAM\n"
			"take makes PATH, or PATH/NAME if PATH is a directory.\n");
	return EXIT_USAGE;
}

static int give(const char *path)
{
	static struct qube__copy c = { .fd = STDOUT_FILENO };
	qube__autofd fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? qube__copy_fail("open", path) : qube__copy_send(&c, fd, "copy");
}

/* The directory in which path is made, and its name there. */
static int find_place(const char **name, char *path, const char *given)
{
	char *slash = strrchr(path, '/');
	struct stat st;
	int fd;

	*name = slash ? slash + 1 : path;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		*name = given;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else if (!**name) {
		return qube__fail(QUBE_E_NOENT, "there is no directory of that name");
	} else if (!slash) {
		fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else {
		*slash = '\0';
		fd = open(slash == path ? "/" : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return qube__copy_fail("open", path);
	if (qube__wire_copy_name(*name, strlen(*name)) < 0) {
		close(fd);
		return qube__fail(QUBE_E_INVALID, "the path does not end in a name");
	}
	return fd;
}

static int take(char *path, const char *given, bool replace)
{
	static struct qube__copy c = { .fd = STDIN_FILENO };
	const char *name;
	qube__autofd dir = find_place(&name, path, given);

	c.replace = replace;
	return dir < 0 ? dir : qube__copy_receive(&c, dir, name, NULL);
}

int main(int argc, char **argv)
{
	static char here[] = ".";
	bool replace = argc == 5 && strcmp(argv[2], "--replace") == 0;
	int r;

	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "give") == 0)
		r = give(*argv[2] ? argv[2] : here);
	else if ((argc == 4 || replace) && strcmp(argv[1], "take") == 0)
		r = take(*argv[argc - 2] ? argv[argc - 2] : here, argv[argc - 1], replace);
	else
		return usage();
	if (r < 0)
		fprintf(stderr, "%s\n", qube_error_last()->message);
	return -r;
}
