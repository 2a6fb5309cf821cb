/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A root by mmdebstrap, see debian.h. */
#include "debian.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_MAX_LEN = 512, ARGS_MAX = 12 };

/* The running program. */
struct maker {
	struct cli *c;
	pid_t pid;
	int out; /* what it tells, a line each */
	int signals;
	bool interrupted;
	char line[LINE_MAX_LEN];
	size_t len;
	char error[LINE_MAX_LEN]; /* the first line that is one: the others follow from it */
};

static const char *value_or_null(struct cli *c, int option)
{
	return cli_given(&c->o, option) ? c->o.value[option] : NULL;
}

static const char *suite_of(struct cli *c)
{
	return *c->o.value[O_DEBIAN] ? c->o.value[O_DEBIAN] : "stable";
}

/* Words of ours become arguments of a program that reads more into some of them: a path as a list
 * of sources, a dash as its input. */
int cli_debian_check(struct cli *c)
{
	static const int others[] = { O_FROM, O_KEY, O_SIGNATURE, O_UNSIGNED, O_HOST, O_DRY_RUN };
	const char *suite = suite_of(c);
	const char *mirror = value_or_null(c, O_MIRROR);
	const char *include = value_or_null(c, O_INCLUDE);

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (cli_given(&c->o, others[i]))
			return cli_usage(c, "--debian does not go with --%s",
					 cli_optdefs[others[i]].name);
	if (suite[0] == '-' || suite[strspn(suite, "abcdefghijklmnopqrstuvwxyz0123456789.-")])
		return cli_usage(c, "no suite is called '%s'", suite);
	if (mirror && (!strstr(mirror, "://") || strpbrk(mirror, " \t\n[]") || *mirror == '-'))
		return cli_usage(c, "--mirror is a URL");
	if (include && (!*include || *include == '-' ||
			include[strspn(include, "abcdefghijklmnopqrstuvwxyz0123456789.+-:,")]))
		return cli_usage(c, "--include is names of packages, separated by commas");
	if (cli_given(&c->o, O_KEYRING) && access(c->o.value[O_KEYRING], R_OK) < 0)
		return cli_fail_text(c, CLI_FAILED, "cannot read %s: %s", c->o.value[O_KEYRING],
				     strerror(errno));
	return 0;
}

static int spawn(struct maker *m, char *const argv[], int out)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int e;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	/* A group of its own: we tell it when to end, and then wait for it to clean up. */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
	e = posix_spawnp(&m->pid, argv[0], &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (e == ENOENT)
		return cli_fail_text(m->c, CLI_FAILED,
				     "--debian needs the program mmdebstrap, which is not "
				     "installed (package mmdebstrap)");
	return e ? cli_fail_text(m->c, CLI_FAILED, "cannot run mmdebstrap: %s", strerror(e)) : 0;
}

static void end_line(struct maker *m)
{
	m->line[m->len] = '\0';
	m->len = 0;
	if (!*m->error && strncmp(m->line, "E: ", 3) == 0)
		memcpy(m->error, m->line, sizeof(m->error));
	if (*m->line)
		cli_note(m->c, "%s: | %s", m->c->o.pos[0], m->line);
}

/* False: it has closed its output. */
static bool read_some(struct maker *m)
{
	char untrusted[4096];
	ssize_t n = read(m->out, untrusted, sizeof(untrusted));

	if (n < 0 && errno == EINTR)
		return true;
	for (ssize_t i = 0; i < n; i++) {
		if (untrusted[i] == '\n' || untrusted[i] == '\r')
			end_line(m);
		else if (m->len + 1 < sizeof(m->line))
			m->line[m->len++] = untrusted[i] ? untrusted[i] : ' ';
	}
	return n > 0;
}

/* A first signal lets it clean up, a second one kills it. */
static void interrupt(struct maker *m)
{
	kill(-m->pid, m->interrupted ? SIGKILL : SIGTERM);
	m->interrupted = true;
}

static int wait_for(struct maker *m)
{
	int status = -1;
	bool open = true;

	while (open) {
		struct pollfd fds[2] = { { .fd = m->out, .events = POLLIN },
					 { .fd = m->signals, .events = POLLIN } };

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents && cli_signals_read(m->signals))
			interrupt(m);
		if (fds[0].revents)
			open = read_some(m);
	}
	if (m->len)
		end_line(m);
	while (waitpid(m->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (m->interrupted)
		return cli_fail_text(m->c, CLI_CANCELED, "interrupted: nothing was imported");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return cli_fail_text(m->c, CLI_FAILED, "mmdebstrap failed%s%s", *m->error ? ": " : "",
			     *m->error ? m->error + 3 : "");
}

static int run(struct maker *m, char *const argv[])
{
	int ends[2];
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return cli_fail_text(m->c, CLI_FAILED, "cannot make a pipe: %s", strerror(errno));
	m->out = ends[0];
	r = spawn(m, argv, ends[1]);
	close(ends[1]);
	if (r == 0)
		r = wait_for(m);
	close(ends[0]);
	return r;
}

enum { KEYRING_MAX = 8 << 20 };

/* apt verifies as a user of its own, who may not read where the file lies. */
static int copy_keyring(struct cli *c, struct cli_debian *d)
{
	const char *path = c->o.value[O_KEYRING];
	const char *end = strrchr(path, '.');
	char *data = malloc(KEYRING_MAX + 1);
	FILE *from = data ? fopen(path, "re") : NULL;
	size_t n = from ? fread(data, 1, KEYRING_MAX + 1, from) : 0;
	FILE *to = NULL;
	bool well = from && !ferror(from) && n <= KEYRING_MAX;

	/* By its name apt tells one form from the other. */
	snprintf(d->keyring, sizeof(d->keyring), "%s/keyring.%s", d->dir,
		 end && strcmp(end, ".asc") == 0 ? "asc" : "gpg");
	if (from)
		fclose(from);
	if (well)
		to = fopen(d->keyring, "wxe");
	if (to) {
		well = fwrite(data, 1, n, to) == n && fchmod(fileno(to), 0644) == 0;
		well = fclose(to) == 0 && well;
	}
	free(data);
	return well && to ? 0 : cli_fail_text(c, CLI_FAILED, "cannot copy %s", path);
}

static int make_place(struct cli *c, struct cli_debian *d)
{
	snprintf(d->dir, sizeof(d->dir), "/var/tmp/qube-debian.XXXXXX");
	if (!mkdtemp(d->dir)) {
		d->dir[0] = '\0';
		return cli_fail_text(c, CLI_FAILED, "cannot make a folder in /var/tmp: %s",
				     strerror(errno));
	}
	snprintf(d->place, sizeof(d->place), "%s/ours", d->dir);
	snprintf(d->root, sizeof(d->root), "%s/root.tar", d->place);
	if (mkdir(d->place, 0700) < 0 || chmod(d->dir, 0711) < 0)
		return cli_fail_text(c, CLI_FAILED, "cannot make %s: %s", d->place,
				     strerror(errno));
	return cli_given(&c->o, O_KEYRING) ? copy_keyring(c, d) : 0;
}

int cli_debian_make(struct cli *c, struct cli_debian *d)
{
	char *argv[ARGS_MAX] = { (char *)"mmdebstrap", (char *)"--variant=apt",
				 (char *)"--format=tar" };
	struct maker m = { .c = c };
	char keyring[160];
	char *include = NULL;
	int n = 3;
	int r = make_place(c, d);

	if (r)
		return r;
	if (cli_given(&c->o, O_INCLUDE)) {
		if (asprintf(&include, "--include=%s", c->o.value[O_INCLUDE]) < 0)
			return cli_fail_text(c, CLI_FAILED, "out of memory");
		argv[n++] = include;
	}
	if (*d->keyring) {
		snprintf(keyring, sizeof(keyring), "--keyring=%s", d->keyring);
		argv[n++] = keyring;
	}
	argv[n++] = (char *)suite_of(c);
	argv[n++] = d->root;
	if (cli_given(&c->o, O_MIRROR))
		argv[n++] = (char *)c->o.value[O_MIRROR];
	m.signals = cli_signals_open();
	cli_note(c, "%s: mmdebstrap %s", c->o.pos[0], suite_of(c));
	r = run(&m, argv);
	cli_signals_close(m.signals);
	free(include);
	return r;
}

void cli_debian_remove(struct cli_debian *d)
{
	if (!*d->dir)
		return;
	if (*d->place) {
		unlink(d->root);
		rmdir(d->place);
	}
	if (*d->keyring)
		unlink(d->keyring);
	rmdir(d->dir);
	d->dir[0] = '\0';
}
