/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Labels: listed, made, removed. */
#include "cli.h"
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void json_label(struct cli_json *j, const char *name, const struct qube_label_info *info,
		       const char *colour)
{
	cli_json_open_object(j, NULL);
	cli_json_string(j, "name", name);
	cli_json_uint(j, "index", info->index);
	cli_json_string(j, "color", colour);
	cli_json_bool(j, "built_in", info->index <= QUBE_LABEL_BUILT_IN);
	cli_json_close_object(j);
}

/* Of those that are still there: one may go while they are asked about. */
static int list_labels(struct cli *c, struct cli_json *j, struct cli_table *t, char **names)
{
	for (char **name = names; *name; name++) {
		struct qube_label_info info = { .size = sizeof(info) };
		char colour[16];
		char index[16];

		if (qube_label_info_fetch(&info, c->ctx, *name) < 0) {
			if (qube_error_last()->code == QUBE_E_NOENT)
				continue;
			return cli_fail_last(c);
		}
		snprintf(colour, sizeof(colour), "0x%06x", info.rgb);
		snprintf(index, sizeof(index), "%u", info.index);
		if (c->json) {
			json_label(j, *name, &info, colour);
			continue;
		}
		cli_table_add(t, *name);
		cli_table_add(t, index);
		cli_table_add(t, colour);
	}
	return 0;
}

int cmd_label_ls(struct cli *c)
{
	static const char *const heads[] = { "NAME", "INDEX", "COLOUR" };
	struct cli_table t;
	struct cli_json j;
	char **names = NULL;
	int r = cli_ctx_open(c);

	if (r)
		return r;
	if (qube_label_list(&names, c->ctx) < 0)
		return cli_fail_last(c);
	cli_table_init(&t, heads, 3);
	cli_json_init(&j, stdout);
	if (c->json)
		cli_json_open_array(&j, NULL);
	r = list_labels(c, &j, &t, names);
	if (c->json)
		cli_json_close_array(&j);
	qube_strings_free(names);
	return cli_finish_output(c, cli_list_end(c, &j, &t, r));
}

static int parse_colour(uint32_t *out, const char *text)
{
	char *end;

	if (strlen(text) != 8 || strncmp(text, "0x", 2) != 0 ||
	    strspn(text + 2, "0123456789abcdefABCDEF") != 6)
		return -1;
	*out = (uint32_t)strtoul(text, &end, 16);
	return 0;
}

/* What was made, as it is listed. */
static int tell_label(struct cli *c, const char *name)
{
	struct qube_label_info info = { .size = sizeof(info) };
	struct cli_json j;
	char colour[16];

	if (qube_label_info_fetch(&info, c->ctx, name) < 0)
		return cli_fail_last(c);
	snprintf(colour, sizeof(colour), "0x%06x", info.rgb);
	cli_json_init(&j, stdout);
	json_label(&j, name, &info, colour);
	cli_json_end(&j);
	return 0;
}

int cmd_label_create(struct cli *c)
{
	uint32_t rgb;
	int r;

	if (parse_colour(&rgb, c->o.pos[1]) < 0)
		return cli_usage(c, "a colour is 0x and six hex digits, such as 0x3465a4");
	r = cli_ctx_open(c);
	if (r == 0 && qube_label_create(c->ctx, c->o.pos[0], rgb) < 0)
		r = cli_fail_last(c);
	if (r == 0 && c->json)
		r = tell_label(c, c->o.pos[0]);
	return cli_finish_output(c, r);
}

int cmd_label_rm(struct cli *c)
{
	int r = cli_ctx_open(c);

	if (r == 0 && qube_label_destroy(c->ctx, c->o.pos[0]) < 0)
		r = cli_fail_last(c);
	return cli_finish_output(c, r);
}
