/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Volumes and pools. */
#include "cli.h"
#include "table.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* used: NULL when it was not counted. */
static void json_volume(struct cli_json *j, const char *name, const struct qube_volume_info *v,
			const uint64_t *used)
{
	cli_json_open_object(j, NULL);
	cli_json_string(j, "name", name);
	cli_json_string(j, "pool", v->pool);
	cli_json_string(j, "vid", v->vid);
	cli_json_string(j, "source", *v->source ? v->source : NULL);
	cli_json_uint(j, "max_bytes", v->max_bytes);
	cli_json_bool(j, "snap_on_start", v->flags & QUBE_VOLUME_SNAP_ON_START);
	cli_json_bool(j, "save_on_stop", v->flags & QUBE_VOLUME_SAVE_ON_STOP);
	cli_json_bool(j, "rw", v->flags & QUBE_VOLUME_RW);
	cli_json_bool(j, "ephemeral", v->flags & QUBE_VOLUME_EPHEMERAL);
	cli_json_bool(j, "outdated", v->flags & QUBE_VOLUME_OUTDATED);
	cli_json_bool(j, "dirty", v->flags & QUBE_VOLUME_DIRTY);
	cli_json_int(j, "revisions_to_keep", v->revisions_to_keep);
	if (used)
		cli_json_uint(j, "used_bytes", *used);
	cli_json_close_object(j);
}

/* What happens to what is written, in one word. */
static const char *kind_of(const struct qube_volume_info *v)
{
	if (v->flags & QUBE_VOLUME_SNAP_ON_START)
		return "snapshot";
	return v->flags & QUBE_VOLUME_SAVE_ON_STOP ? "persistent" : "volatile";
}

static void row_volume(struct cli_table *t, const char *name, const struct qube_volume_info *v,
		       const uint64_t *used)
{
	char size[32];
	char taken[32];

	cli_format_size(size, sizeof(size), v->max_bytes);
	cli_table_add(t, name);
	cli_table_add(t, kind_of(v));
	cli_table_add(t, v->flags & QUBE_VOLUME_RW ? "rw" : "ro");
	cli_table_add(t, size);
	cli_table_add(t, v->pool);
	cli_table_add(t, v->vid);
	cli_table_add(t, *v->source ? v->source : NULL);
	if (!used)
		return;
	cli_format_size(taken, sizeof(taken), *used);
	cli_table_add(t, taken);
}

/* Blocks no longer than a look at each file of it takes. */
static int count(struct cli *c, qube_domain *d, const char *name, uint64_t *out)
{
	struct qube_op_progress p = { .size = sizeof(p) };
	struct cli_op_opts watch = { .title = NULL };
	qube_op *op = NULL;
	qube_op *done = NULL;
	int r;

	if (qube_domain_volume_measure(d, name, &op) < 0)
		return cli_fail_last(c);
	r = cli_op_run(c, op, &watch, &done);
	if (r)
		return r;
	if (qube_op_progress_fetch(done, &p) < 0)
		r = cli_fail_last(c);
	*out = p.done_bytes;
	qube_op_unref(done);
	return r;
}

/* All volumes of a qube, or the one called only. */
static int show_volumes(struct cli *c, qube_domain *d, const char *only)
{
	static const char *const heads[] = { "NAME", "KIND", "MODE",   "SIZE",
					     "POOL", "VID",  "SOURCE", "USED" };
	const char *one[] = { only, NULL };
	struct cli_table t;
	struct cli_json j;
	char **names = NULL;
	int r = 0;

	if (!only && qube_domain_volume_list(&names, d) < 0)
		return cli_fail_last(c);
	cli_table_init(&t, heads, only ? 8 : 7);
	cli_json_init(&j, stdout);
	if (c->json && !only)
		cli_json_open_array(&j, NULL);
	for (size_t i = 0; r == 0 && (only ? one[i] : names[i]); i++) {
		struct qube_volume_info v = { .size = sizeof(v) };
		const char *name = only ? one[i] : names[i];
		uint64_t used = 0;

		if (qube_domain_volume_info_fetch(&v, d, name) < 0)
			r = cli_fail_last(c);
		else if (only)
			r = count(c, d, name, &used);
		if (r == 0 && c->json)
			json_volume(&j, name, &v, only ? &used : NULL);
		else if (r == 0)
			row_volume(&t, name, &v, only ? &used : NULL);
	}
	if (c->json && !only)
		cli_json_close_array(&j);
	qube_strings_free(names);
	return cli_list_end(c, &j, &t, r);
}

static int volume_command(struct cli *c, const char *only)
{
	qube_domain *d = NULL;
	int r = cli_domain(c, &d, c->o.pos[0]);

	if (r)
		return r;
	r = show_volumes(c, d, only);
	qube_domain_unref(d);
	return cli_finish_output(c, r);
}

static int with_volume(struct cli *c, int (*fn)(struct cli *c, qube_domain *d, const char *volume))
{
	qube_domain *d = NULL;
	int r = cli_domain(c, &d, c->o.pos[0]);

	if (r)
		return r;
	r = fn(c, d, c->o.pos[1]);
	qube_domain_unref(d);
	return cli_finish_output(c, r);
}

int cmd_volume_ls(struct cli *c)
{
	return volume_command(c, NULL);
}

int cmd_volume_info(struct cli *c)
{
	return volume_command(c, c->o.pos[1]);
}

static int list_revisions(struct cli *c, qube_domain *d, const char *volume)
{
	struct cli_json j;
	char **list;

	if (qube_domain_volume_revisions(&list, d, volume) < 0)
		return cli_fail_last(c);
	cli_json_init(&j, stdout);
	if (c->json)
		cli_json_open_array(&j, NULL);
	for (char **s = list; *s; s++) {
		if (c->json)
			cli_json_string(&j, NULL, *s);
		else
			printf("%s\n", *s);
	}
	if (c->json) {
		cli_json_close_array(&j);
		cli_json_end(&j);
	}
	qube_strings_free(list);
	return 0;
}

int cmd_volume_revisions(struct cli *c)
{
	return with_volume(c, list_revisions);
}

static int revert(struct cli *c, qube_domain *d, const char *volume)
{
	const char *revision = c->o.n_pos > 2 ? c->o.pos[2] : NULL;
	char **list = NULL;
	int r = 0;

	if (!revision) {
		if (qube_domain_volume_revisions(&list, d, volume) < 0)
			return cli_fail_last(c);
		for (char **s = list; *s; s++)
			revision = *s; /* the newest is the last */
	}
	if (!revision)
		r = cli_fail_text(c, CLI_FAILED, "volume %s of %s has no revision to go back to",
				  volume, c->o.pos[0]);
	else if (qube_domain_volume_revert(d, volume, revision) < 0)
		r = cli_fail_last(c);
	else
		cli_note(c, "volume %s of %s is as it was in %s", volume, c->o.pos[0], revision);
	qube_strings_free(list);
	return r;
}

int cmd_volume_revert(struct cli *c)
{
	return with_volume(c, revert);
}

static int change(struct cli *c, qube_domain *d, const char *volume)
{
	const char *key = c->o.pos[2];
	const char *value = c->o.pos[3];
	char text[32];
	uint64_t bytes;

	/* What is no size is for the library to refuse. */
	if (strcmp(key, "size") == 0 && cli_parse_size(&bytes, value)) {
		snprintf(text, sizeof(text), "%" PRIu64, bytes);
		value = text;
	}
	return qube_domain_volume_set(d, volume, key, value) < 0 ? cli_fail_last(c) : 0;
}

int cmd_volume_set(struct cli *c)
{
	return with_volume(c, change);
}

static int clear(struct cli *c, qube_domain *d, const char *volume)
{
	char line[16] = "";

	if (!cli_given(&c->o, O_YES)) {
		if (!isatty(STDIN_FILENO))
			return cli_usage(c, "what is in the volume goes for good: say --yes");
		fprintf(stderr, "Remove all that is in volume %s of %s? [y/N] ", volume,
			c->o.pos[0]);
		if (!fgets(line, sizeof(line), stdin) || (line[0] != 'y' && line[0] != 'Y'))
			return cli_fail_text(c, CLI_CANCELED, "nothing was removed");
	}
	return qube_domain_volume_clear(d, volume) < 0 ? cli_fail_last(c) : 0;
}

int cmd_volume_clear(struct cli *c)
{
	return with_volume(c, clear);
}

static int run_stream(struct cli *c, qube_op *op)
{
	struct cli_op_opts watch = { .title = c->o.pos[1] };

	return cli_op_run(c, op, &watch, NULL);
}

static int export_to(struct cli *c, qube_domain *d, const char *volume, int fd)
{
	qube_op *op = NULL;

	return qube_domain_volume_export(d, volume, fd, &op) < 0 ? cli_fail_last(c) :
								   run_stream(c, op);
}

static int not_to_look_at(struct cli *c)
{
	return cli_usage(c, "a volume is nothing to look at: name a FILE");
}

/* A device or a pipe is written to; another file must not take its place. */
static int export_into(struct cli *c, qube_domain *d, const char *volume, const char *path)
{
	int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return cli_fail_text(c, CLI_FAILED, "cannot open %s: %s", path, strerror(errno));
	r = isatty(fd) ? not_to_look_at(c) : export_to(c, d, volume, fd);
	/* What cannot be flushed, as a pipe, says one of two. */
	if (r == 0 && fsync(fd) < 0 && errno != EINVAL && errno != EROFS)
		r = cli_fail_text(c, CLI_FAILED, "cannot write %s: %s", path, strerror(errno));
	close(fd);
	return r;
}

/* The file is made under another name: what was there before stays when it fails. */
static int export_beside(struct cli *c, qube_domain *d, const char *volume, const char *path)
{
	char part[PATH_MAX];
	int fd;
	int r;

	if (snprintf(part, sizeof(part), "%s.part", path) >= (int)sizeof(part))
		return cli_usage(c, "the name of the file is too long");
	fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return cli_fail_text(c, CLI_FAILED, "cannot make %s: %s", part, strerror(errno));
	r = export_to(c, d, volume, fd);
	if (r == 0 && (fsync(fd) < 0 || rename(part, path) < 0))
		r = cli_fail_text(c, CLI_FAILED, "cannot write %s: %s", path, strerror(errno));
	if (r)
		unlink(part);
	close(fd);
	return r;
}

static int export(struct cli *c, qube_domain *d, const char *volume)
{
	const char *path = c->o.n_pos > 2 ? c->o.pos[2] : "-";
	char *real = NULL;
	struct stat st;
	int r;

	if (strcmp(path, "-") == 0)
		return isatty(STDOUT_FILENO) ? not_to_look_at(c) :
					       export_to(c, d, volume, STDOUT_FILENO);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return export_into(c, d, volume, path);
	real = realpath(path, NULL); /* what a link leads to is written, not the link */
	r = export_beside(c, d, volume, real ? real : path);
	free(real);
	return r;
}

int cmd_volume_export(struct cli *c)
{
	return with_volume(c, export);
}

static int import(struct cli *c, qube_domain *d, const char *volume)
{
	const char *path = c->o.n_pos > 2 ? c->o.pos[2] : "-";
	bool std = strcmp(path, "-") == 0;
	int fd = std ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	qube_op *op = NULL;
	int r;

	if (fd < 0)
		return cli_fail_text(c, CLI_FAILED, "cannot open %s: %s", path, strerror(errno));
	if (std && isatty(fd))
		return cli_usage(c, "nobody types a volume: name a FILE");
	r = qube_domain_volume_import(d, volume, fd, &op) < 0 ? cli_fail_last(c) :
								run_stream(c, op);
	if (!std)
		close(fd);
	return r;
}

int cmd_volume_import(struct cli *c)
{
	return with_volume(c, import);
}

static void json_pool(struct cli_json *j, const char *name, const struct qube_pool_info *p)
{
	cli_json_open_object(j, NULL);
	cli_json_string(j, "name", name);
	cli_json_string(j, "driver", p->driver);
	cli_json_uint(j, "total_bytes", p->total_bytes);
	cli_json_uint(j, "free_bytes", p->free_bytes);
	cli_json_close_object(j);
}

static void row_pool(struct cli_table *t, const char *name, const struct qube_pool_info *p)
{
	char total[32];
	char left[32];

	cli_format_size(total, sizeof(total), p->total_bytes);
	cli_format_size(left, sizeof(left), p->free_bytes);
	cli_table_add(t, name);
	cli_table_add(t, p->driver);
	cli_table_add(t, total);
	cli_table_add(t, left);
}

static int show_pools(struct cli *c, const char *only)
{
	static const char *const heads[] = { "NAME", "DRIVER", "SIZE", "FREE" };
	const char *one[] = { only, NULL };
	struct cli_table t;
	struct cli_json j;
	char **names = NULL;
	int r = cli_ctx_open(c);

	if (r)
		return r;
	if (!only && qube_pool_list(&names, c->ctx) < 0)
		return cli_fail_last(c);
	cli_table_init(&t, heads, 4);
	cli_json_init(&j, stdout);
	if (c->json && !only)
		cli_json_open_array(&j, NULL);
	for (size_t i = 0; r == 0 && (only ? one[i] : names[i]); i++) {
		struct qube_pool_info p = { .size = sizeof(p) };
		const char *name = only ? one[i] : names[i];

		if (qube_pool_info_fetch(&p, c->ctx, name) < 0)
			r = cli_fail_last(c);
		else if (c->json)
			json_pool(&j, name, &p);
		else
			row_pool(&t, name, &p);
	}
	if (c->json && !only)
		cli_json_close_array(&j);
	qube_strings_free(names);
	return cli_finish_output(c, cli_list_end(c, &j, &t, r));
}

int cmd_pool_ls(struct cli *c)
{
	return show_pools(c, NULL);
}

int cmd_pool_info(struct cli *c)
{
	return show_pools(c, c->o.pos[0]);
}
