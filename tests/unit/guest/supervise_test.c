/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-init as a supervisor, of scripts in a /run of its own. */
#include "qtest.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 20000 };

#define STAYS                                                                                      \
	"#!/bin/sh\ntrap 'echo told >&2; exit 0' TERM\necho \"up $*\" >&2\n"                       \
	"while :; do sleep 0.05; done\n"

struct supervised {
	pid_t pid;
	int said;
	char text[8192];
	size_t len;
};

static int put(const char *path, const char *text)
{
	FILE *f = text ? fopen(path, "we") : NULL;

	if (!f)
		return text ? -1 : 0;
	fputs(text, f);
	fclose(f);
	return chmod(path, 0755);
}

static void run(const char *agent, const char *meminfo)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("run", "/run", "tmpfs", 0, NULL) < 0 || mkdir("/run/qube", 0755) < 0 ||
	    mkdir("/run/qube/guest", 0755) < 0 || put("/run/qube/guest/qube-agent", agent) < 0 ||
	    put("/run/qube/guest/qube-meminfo", meminfo) < 0)
		_exit(99);
	execl(QUBE_TEST_BIN_DIR "/guest-xen/qube-init", "qube-init", "--supervise", NULL);
	_exit(98);
}

static int begin(struct supervised *s, const char *agent, const char *meminfo)
{
	int both[2];

	memset(s, 0, sizeof(*s));
	if (pipe2(both, O_CLOEXEC) < 0)
		return -1;
	s->pid = fork();
	if (s->pid == 0) {
		dup2(both[1], 2);
		run(agent, meminfo);
	}
	close(both[1]);
	s->said = both[0];
	return s->pid < 0 ? -1 : 0;
}

/* Reads until it says that; NULL: until it is silent for good. */
static int says(struct supervised *s, const char *what)
{
	struct pollfd p = { .fd = s->said, .events = POLLIN };

	while (!what || !strstr(s->text, what)) {
		ssize_t n = -1;

		if (poll(&p, 1, WAIT_MS) == 1)
			n = read(s->said, s->text + s->len, sizeof(s->text) - 1 - s->len);
		if (n <= 0)
			return !what && n == 0;
		s->len += (size_t)n;
		s->text[s->len] = '\0';
	}
	return 1;
}

/* Its exit status. */
static int end(struct supervised *s)
{
	int status = -1;

	if (!says(s, NULL))
		kill(s->pid, SIGKILL);
	close(s->said);
	waitpid(s->pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int count(const char *text, const char *what)
{
	int n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

#define NEED_ROOT()                                                                                \
	do {                                                                                       \
		if (geteuid() != 0)                                                                \
			QT_SKIP("only root can have a /run of its own");                           \
	} while (0)

QTEST(supervise, ends_with_an_agent_that_ends_again_and_again)
{
	struct supervised s;

	NEED_ROOT();
	QT_INT(begin(&s, "#!/bin/sh\nexit 3\n", NULL), 0);
	QT_INT(end(&s), 1);
	QT_INT(count(s.text, "qube-agent ended with status 3 and is started again"), 5);
	QT_INT(count(s.text, "qube-agent ends again and again, last with status 3"), 1);
	QT_INT(count(s.text, "there is no qube-vchan: nobody reaches this guest's agent"), 1);
}

QTEST(supervise, tells_the_agent_to_end)
{
	struct supervised s;

	NEED_ROOT();
	QT_INT(begin(&s, STAYS, NULL), 0);
	QT_TRUE(says(&s, "up --control-fd 3\n"));
	kill(s.pid, SIGTERM);
	QT_INT(end(&s), 0);
	QT_INT(count(s.text, "told"), 1);
}

QTEST(supervise, follows_an_agent_that_ends_in_order)
{
	struct supervised s;

	NEED_ROOT();
	QT_INT(begin(&s, "#!/bin/sh\n[ -S /dev/fd/3 ] && echo socket >&2\nexit 0\n", STAYS), 0);
	QT_INT(end(&s), 0);
	QT_INT(count(s.text, "socket"), 1);
	QT_INT(count(s.text, "started again"), 0);
}

QTEST(supervise, goes_on_without_meminfo)
{
	struct supervised s;

	NEED_ROOT();
	QT_INT(begin(&s, STAYS, "#!/bin/sh\nexit 1\n"), 0);
	QT_TRUE(says(&s, "qube-meminfo ends again and again"));
	QT_TRUE(says(&s, "up --control-fd 3\n"));
	QT_INT(kill(s.pid, 0), 0);
	QT_INT(count(s.text, "told"), 0);
	kill(s.pid, SIGTERM);
	QT_INT(end(&s), 0);
	QT_INT(count(s.text, "told"), 1);
}
