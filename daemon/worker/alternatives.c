/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Alternatives (update-alternatives(1)): links below /etc/alternatives, recreated for the targets
 * that are in the template; the host's choice does not come along, the highest priority wins. */
#include "import.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 1024 * 1024, SLAVES_MAX = 256 };

/* One file of the database: the mode, the link, names and links of slaves to an empty line, then
 * for each choice its path, its priority and one path (or nothing) for each slave. */
struct group {
	struct slice link;
	struct slice slave_name[SLAVES_MAX];
	struct slice slave_link[SLAVES_MAX];
	size_t n_slaves;
	struct slice choices; /* text of the choices */
};

struct choice {
	struct slice path;
	struct slice priority;
	struct slice slaves[SLAVES_MAX];
};

static bool plain_name(struct slice s)
{
	return s.len && s.len <= 200 && !memchr(s.p, '/', s.len) && s.p[0] != '.';
}

static bool parse_group(struct group *g, struct slice text)
{
	struct slice line;

	memset(g, 0, sizeof(*g));
	if (!worker_slice_next(&line, &text, '\n') ||
	    (!worker_slice_is(line, "auto") && !worker_slice_is(line, "manual")) ||
	    !worker_slice_next(&g->link, &text, '\n') || !worker_path_ok(g->link))
		return false;
	while (worker_slice_next(&line, &text, '\n') && line.len) {
		size_t n = g->n_slaves;

		if (n == SLAVES_MAX || !plain_name(line) ||
		    !worker_slice_next(&g->slave_link[n], &text, '\n') ||
		    !worker_path_ok(g->slave_link[n]))
			return false;
		g->slave_name[n] = line;
		g->n_slaves++;
	}
	g->choices = text;
	return true;
}

static bool next_choice(struct choice *c, const struct group *g, struct slice *rest)
{
	if (!worker_slice_next(&c->path, rest, '\n') || !worker_path_ok(c->path) ||
	    !worker_slice_next(&c->priority, rest, '\n'))
		return false;
	for (size_t i = 0; i < g->n_slaves; i++)
		if (!worker_slice_next(&c->slaves[i], rest, '\n') ||
		    (c->slaves[i].len && !worker_path_ok(c->slaves[i])))
			return false;
	return true;
}

/* "/bin/x" is at usr/bin/x where the template has it so. NULL: no memory. */
static char *place_of(const struct import *im, struct slice path)
{
	static const char *const dirs[6] = { "/bin/",	"/sbin/",  "/lib/",
					     "/lib32/", "/lib64/", "/libx32/" };
	bool under_usr = false;

	for (size_t i = 0; i < 6; i++)
		under_usr |= im->merged[i] && path.len > strlen(dirs[i]) &&
			     memcmp(path.p, dirs[i], strlen(dirs[i])) == 0;
	return qube__text_format("%s%.*s", under_usr ? "usr/" : "", (int)path.len - 1, path.p + 1);
}

static int is_in(struct import *im, struct slice path)
{
	qube__autofree char *place = place_of(im, path);

	return place ? worker_import_has(im, place) : qube__fail_nomem();
}

/* link -> /etc/alternatives/NAME -> target */
static int make_links(struct import *im, struct slice link, struct slice name, struct slice target)
{
	qube__autofree char *place = place_of(im, link);
	qube__autofree char *middle =
		qube__text_format("/etc/alternatives/%.*s", (int)name.len, name.p);
	qube__autofree char *end = strndup(target.p, target.len);
	int r;

	if (!place || !middle || !end)
		return qube__fail_nomem();
	r = worker_import_link(im, middle + 1, end);
	return r < 0 ? r : worker_import_link(im, place, middle);
}

static int append_choice(struct qube__buf *b, const struct group *g, const struct choice *c)
{
	int r = qube__buf_printf(b, "%.*s\n%.*s\n", (int)c->path.len, c->path.p,
				 (int)c->priority.len, c->priority.p);

	for (size_t i = 0; r == 0 && i < g->n_slaves; i++)
		r = qube__buf_printf(b, "%.*s\n", (int)c->slaves[i].len, c->slaves[i].p);
	return r;
}

static int append_head(struct qube__buf *b, const struct group *g)
{
	int r = qube__buf_printf(b, "auto\n%.*s\n", (int)g->link.len, g->link.p);

	for (size_t i = 0; r == 0 && i < g->n_slaves; i++)
		r = qube__buf_printf(b, "%.*s\n%.*s\n", (int)g->slave_name[i].len,
				     g->slave_name[i].p, (int)g->slave_link[i].len,
				     g->slave_link[i].p);
	return r < 0 ? r : qube__buf_append(b, "\n", 1);
}

static int link_best(struct import *im, const struct group *g, const char *name,
		     const struct choice *best)
{
	int r = make_links(im, g->link, (struct slice){ name, strlen(name) }, best->path);

	for (size_t i = 0; r == 0 && i < g->n_slaves; i++) {
		if (!best->slaves[i].len)
			continue;
		r = is_in(im, best->slaves[i]);
		if (r > 0)
			r = make_links(im, g->slave_link[i], g->slave_name[i], best->slaves[i]);
	}
	return r;
}

struct scratch {
	struct group group;
	struct choice choice;
	struct choice best;
};

static int import_group(struct import *im, struct scratch *s, const char *name, struct slice text)
{
	struct slice rest;
	qube__autobuf b;
	char path[300];
	long best = -1;
	int r;

	if (!parse_group(&s->group, text))
		return 0;
	qube__buf_init(&b, FILE_MAX);
	r = append_head(&b, &s->group);
	rest = s->group.choices;
	while (r == 0 && next_choice(&s->choice, &s->group, &rest)) {
		char number[16];
		uint64_t priority;

		r = is_in(im, s->choice.path);
		if (r <= 0)
			continue;
		r = append_choice(&b, &s->group, &s->choice);
		snprintf(number, sizeof(number), "%.*s", (int)s->choice.priority.len,
			 s->choice.priority.p);
		if (qube__text_u64(&priority, number, 1000000) < 0)
			priority = 0;
		if ((long)priority > best) {
			best = (long)priority;
			s->best = s->choice;
		}
	}
	if (r == 0)
		r = qube__buf_append(&b, "\n", 1);
	if (r < 0)
		return r == QUBE_E_LIMIT ? qube__fail(r, "too many alternatives") : r;
	if (best < 0)
		return 0;
	snprintf(path, sizeof(path), "var/lib/dpkg/alternatives/%s", name);
	r = worker_import_text(im, path, (const char *)qube__buf_data(&b), b.len, 0644, 0);
	return r < 0 ? r : link_best(im, &s->group, name, &s->best);
}

static int import_file(struct import *im, struct scratch *s, const char *name)
{
	qube__autofree char *text = NULL;
	char path[300];
	size_t len;
	int r;

	if (!plain_name((struct slice){ name, strlen(name) }))
		return 0;
	snprintf(path, sizeof(path), "var/lib/dpkg/alternatives/%s", name);
	r = worker_host_read(im, &text, &len, path, FILE_MAX);
	if (r < 0)
		return r == QUBE_E_NOENT || r == QUBE_E_LIMIT ? 0 : r;
	return import_group(im, s, name, (struct slice){ text, len });
}

int worker_import_alternatives(struct import *im)
{
	int fd = worker_open(im->host, "var/lib/dpkg/alternatives", O_RDONLY | O_DIRECTORY, 0);
	struct scratch *s;
	struct dirent *e;
	int r = 0;
	DIR *d;

	if (fd < 0)
		return errno == ENOENT ? 0 : qube__fail_name("open", "the alternatives");
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return qube__fail_name("read", "the alternatives");
	}
	s = malloc(sizeof(*s));
	if (!s)
		r = qube__fail_nomem();
	while (r == 0 && (e = readdir(d)))
		r = import_file(im, s, e->d_name);
	free(s);
	closedir(d);
	return r;
}
