/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * cp. What is copied, and where to, is opened here, with our own rights; the rest is the host's. */
#include "cli.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct copy {
	struct cli *c;
	struct cli_json json;
	struct qube_copy_opts opts;
	char *qube; /* owned */
	qube_domain *d;
	bool left; /* something was left out */
};

/* Where PATH begins in QUBE:PATH; NULL: it is a path of the host, as ./a:b is. */
static const char *path_inside(const char *arg)
{
	size_t n = strcspn(arg, ":/");

	return n && arg[n] == ':' ? arg + n + 1 : NULL;
}

/* The last part of a path, without the slashes behind it; owned. NULL: it has no name. */
static char *base_name(const char *path)
{
	size_t end = strlen(path);
	size_t begin;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (begin = end; begin && path[begin - 1] != '/'; begin--)
		;
	if (begin == end || !strncmp(path + begin, ".", end - begin) ||
	    !strncmp(path + begin, "..", end - begin))
		return NULL;
	return strndup(path + begin, end - begin);
}

static void tell(struct copy *k, const char *from, const char *to, qube_op *op)
{
	struct qube_op_progress p = { .size = sizeof(p) };
	bool left = qube_op_get_exit_code(op) == 1;

	k->left = k->left || left;
	if (left)
		cli_note(k->c,
			 "%s: what is no file, directory or link to what is copied with it "
			 "was left out; the host's log names it",
			 from);
	if (!k->c->json || qube_op_progress_fetch(op, &p) < 0)
		return;
	cli_json_open_object(&k->json, NULL);
	cli_json_string(&k->json, "from", from);
	cli_json_string(&k->json, "to", to);
	cli_json_uint(&k->json, "bytes", p.done_bytes);
	cli_json_bool(&k->json, "left_out", left);
	cli_json_close_object(&k->json);
}

static int run(struct copy *k, bool in, const char *from, const char *to)
{
	struct cli_op_opts watch = { .title = from };
	qube_op *op = NULL;
	qube_op *done = NULL;
	int r = in ? qube_domain_copy_in(k->d, &k->opts, &op) :
		     qube_domain_copy_out(k->d, &k->opts, &op);

	if (r < 0)
		return cli_fail_last(k->c);
	r = cli_op_run(k->c, op, &watch, &done);
	if (r == 0)
		tell(k, from, to, done);
	qube_op_unref(done);
	return r;
}

static int copy_in(struct copy *k, const char *from, const char *to)
{
	char *real = realpath(from, NULL); /* "." has a name, too */
	char *name = real ? base_name(real) : NULL;
	char *given = base_name(from);
	const char *path = path_inside(to);
	char dir[PATH_MAX];
	int r;

	/* Several are for a directory, and nothing else of that name: a slash says so. */
	if (k->c->o.n_pos > 2 && *path && path[strlen(path) - 1] != '/' &&
	    snprintf(dir, sizeof(dir), "%s/", path) < (int)sizeof(dir))
		path = dir;
	k->opts.name = given ? given : name;
	k->opts.path = path;
	k->opts.fd = open(from, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (k->opts.fd < 0)
		r = cli_fail_text(k->c, CLI_FAILED, "cannot open %s: %s", from, strerror(errno));
	else if (!k->opts.name)
		r = cli_fail_text(k->c, CLI_FAILED, "'%s' has no name to be copied under", from);
	else
		r = run(k, true, from, to);
	if (k->opts.fd >= 0)
		close(k->opts.fd);
	free(real);
	free(name);
	free(given);
	return r;
}

/* The directory in which `to` is made, open, and its name there, owned. */
static int open_place(struct copy *k, char **name, const char *from, const char *to)
{
	char *slash = strrchr(to, '/');
	char parent[PATH_MAX];
	struct stat st;

	if (stat(to, &st) == 0 && S_ISDIR(st.st_mode)) {
		*name = base_name(path_inside(from));
		snprintf(parent, sizeof(parent), "%s", to);
	} else if (slash && !slash[1]) {
		return cli_fail_text(k->c, CLI_FAILED, "there is no directory %s", to);
	} else {
		*name = base_name(to);
		snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - to) : 1,
			 slash ? to : ".");
		if (slash == to)
			snprintf(parent, sizeof(parent), "/");
	}
	if (!*name)
		return cli_fail_text(k->c, CLI_FAILED,
				     "'%s' has no name to be copied under: name one that is not "
				     "there yet",
				     from);
	k->opts.fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->opts.fd < 0)
		return cli_fail_text(k->c, CLI_FAILED, "cannot open %s: %s", parent,
				     strerror(errno));
	return 0;
}

static int copy_out(struct copy *k, const char *from, const char *to)
{
	char *name = NULL;
	int r;

	k->opts.fd = -1;
	r = open_place(k, &name, from, to);
	k->opts.path = path_inside(from);
	k->opts.name = name;
	if (r == 0)
		r = run(k, false, from, to);
	if (k->opts.fd >= 0)
		close(k->opts.fd);
	free(name);
	return r;
}

static bool same_qube(const char *a, const char *b)
{
	size_t n = strcspn(a, ":");

	return n == strcspn(b, ":") && strncmp(a, b, n) == 0;
}

/* Which way, and which qube: 0, or an exit code. */
static int look(struct copy *k, bool *in)
{
	struct cli *c = k->c;
	const char *to = c->o.pos[c->o.n_pos - 1];
	const char *qube = path_inside(to);
	struct stat st;

	*in = qube != NULL;
	for (int i = 0; i < c->o.n_pos - 1; i++) {
		const char *from = c->o.pos[i];
		const char *inside = path_inside(from);

		if (inside && *in)
			return cli_usage(c, "from qube to qube files go by a service that the "
					    "policy allows (qubes.Filecopy), not past it by the "
					    "host");
		if (!inside && !*in)
			return cli_usage(c, "neither '%s' nor '%s' is in a qube: QUBE:PATH", from,
					 to);
		if (!*in && i && !same_qube(from, c->o.pos[0]))
			return cli_usage(c, "out of one qube at a time");
	}
	k->qube = *in ? strndup(to, (size_t)(qube - to - 1)) :
			strndup(c->o.pos[0], strcspn(c->o.pos[0], ":"));
	if (!*in && c->o.n_pos > 2 && (stat(to, &st) < 0 || !S_ISDIR(st.st_mode)))
		return cli_usage(c, "'%s' is no directory, and there are several to copy", to);
	return k->qube ? 0 : cli_fail_text(c, CLI_FAILED, "out of memory");
}

static int set_options(struct copy *k)
{
	struct cli *c = k->c;

	k->opts.size = sizeof(k->opts);
	k->opts.user = cli_given(&c->o, O_USER) ? c->o.value[O_USER] : NULL;
	if (cli_given(&c->o, O_NO_START))
		k->opts.flags |= QUBE_COPY_NO_START;
	if (cli_given(&c->o, O_FORCE))
		k->opts.flags |= QUBE_COPY_REPLACE;
	if (cli_given(&c->o, O_MAX_SIZE) &&
	    (!cli_parse_size(&k->opts.max_bytes, c->o.value[O_MAX_SIZE]) || !k->opts.max_bytes))
		return cli_usage(c, "--max-size is a number of bytes, or one with K, M, G or T "
				    "behind it");
	return 0;
}

static int copy_all(struct copy *k, bool in)
{
	struct cli *c = k->c;
	const char *to = c->o.pos[c->o.n_pos - 1];
	int r = cli_guest(c, &k->d, k->qube);

	if (r)
		return r;
	cli_json_init(&k->json, stdout);
	if (c->json)
		cli_json_open_array(&k->json, NULL);
	for (int i = 0; r == 0 && i < c->o.n_pos - 1; i++)
		r = in ? copy_in(k, c->o.pos[i], to) : copy_out(k, c->o.pos[i], to);
	if (c->json) {
		cli_json_close_array(&k->json);
		cli_json_end(&k->json);
	}
	qube_domain_unref(k->d);
	return r == 0 && k->left ? CLI_FAILED : r;
}

int cmd_copy(struct cli *c)
{
	struct copy k = { .c = c };
	bool in = false;
	int r = set_options(&k);

	if (r == 0)
		r = look(&k, &in);
	if (r == 0)
		r = copy_all(&k, in);
	free(k.qube);
	return cli_finish_output(c, r);
}
