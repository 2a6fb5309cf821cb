/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a template tells of its update, see update_report.h. */
#include "update_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The words of a line behind its first; false: too few, too many or too long. */
static bool take_words(char *text, size_t n, char (*const out[])[CLI_UPDATE_WORD_MAX])
{
	for (size_t i = 0; i < n; i++) {
		char *end = text + strcspn(text, " ");

		if ((*end == ' ') != (i + 1 < n) || end == text ||
		    end - text >= CLI_UPDATE_WORD_MAX)
			return false;
		*end = '\0';
		memcpy(*out[i], text, (size_t)(end - text) + 1);
		text = end + 1;
	}
	return true;
}

static bool add_package(struct cli_update_report *r, char *text)
{
	struct cli_update_package p = { .name = "" };
	char(*const words[])[CLI_UPDATE_WORD_MAX] = { &p.name, &p.from, &p.to };
	struct cli_update_package *grown;

	if (r->n_packages == CLI_UPDATE_PACKAGES_MAX || !take_words(text, 3, words))
		return false;
	grown = realloc(r->packages, (r->n_packages + 1) * sizeof(*grown));
	if (!grown)
		return false;
	r->packages = grown;
	r->packages[r->n_packages++] = p;
	return true;
}

/* Of a package that is offered twice both are told of. */
static bool set_now(struct cli_update_report *r, char *text)
{
	struct cli_update_package p = { .name = "" };
	char(*const words[])[CLI_UPDATE_WORD_MAX] = { &p.name, &p.now };
	bool found = false;

	if (!take_words(text, 2, words))
		return false;
	for (size_t i = 0; i < r->n_packages; i++)
		if (strcmp(r->packages[i].name, p.name) == 0) {
			memcpy(r->packages[i].now, p.now, sizeof(p.now));
			found = true;
		}
	return found;
}

static bool set_word(char (*out)[CLI_UPDATE_WORD_MAX], char *text)
{
	char(*const words[])[CLI_UPDATE_WORD_MAX] = { out };

	return !**out && take_words(text, 1, words);
}

static bool read_line(struct cli_update_report *r, bool *stage)
{
	char *rest = strchr(r->line, ' ');

	if (!rest)
		return false;
	*rest++ = '\0';
	if (strcmp(r->line, "stage") == 0) {
		r->stage[0] = '\0';
		*stage = true;
		return set_word(&r->stage, rest);
	}
	if (strcmp(r->line, "manager") == 0)
		return set_word(&r->manager, rest);
	if (strcmp(r->line, "result") == 0)
		return set_word(&r->result, rest);
	if (strcmp(r->line, "want") == 0)
		return add_package(r, rest);
	if (strcmp(r->line, "is") == 0)
		return set_now(r, rest);
	if (strcmp(r->line, "error") != 0 || *r->error)
		return false;
	memcpy(r->error, rest, strlen(rest) + 1);
	return true;
}

bool cli_update_report_feed(struct cli_update_report *r, const char *untrusted, size_t len)
{
	bool stage = false;

	for (size_t i = 0; i < len && !r->nonsense; i++) {
		if (untrusted[i] != '\n') {
			r->nonsense = !untrusted[i] || r->len + 1 == sizeof(r->line);
			if (!r->nonsense)
				r->line[r->len++] = untrusted[i];
			continue;
		}
		r->line[r->len] = '\0';
		r->len = 0;
		/* Nothing comes behind the result. */
		r->nonsense = *r->result || !read_line(r, &stage);
	}
	return stage && !r->nonsense;
}

enum cli_update_result cli_update_report_judge(const struct cli_update_report *r, int exit_code,
					       char *why, size_t cap)
{
	if (*r->error)
		snprintf(why, cap, "%s", r->error);
	else if (r->nonsense)
		snprintf(why, cap, "the template's answer is no report of an update");
	else if (exit_code != 0)
		snprintf(why, cap, "the update ended with status %d", exit_code);
	else if (strcmp(r->result, "none") == 0 && r->n_packages == 0)
		return CLI_UPDATE_NONE;
	else if (strcmp(r->result, "updated") != 0 || r->n_packages == 0)
		snprintf(why, cap, "the update ended without a result");
	else {
		for (size_t i = 0; i < r->n_packages; i++)
			if (!*r->packages[i].now) {
				snprintf(why, cap, "%s %s was not applied", r->packages[i].name,
					 r->packages[i].to);
				return CLI_UPDATE_FAILED;
			}
		return CLI_UPDATE_DONE;
	}
	return CLI_UPDATE_FAILED;
}

void cli_update_report_fini(struct cli_update_report *r)
{
	free(r->packages);
	*r = (struct cli_update_report){ .n_packages = 0 };
}
