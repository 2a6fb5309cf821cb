/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The index of a folder of packages, see sums.h. */
#include "sums.h"

#include <qube/error.h>

#include <stdlib.h>
#include <string.h>

bool worker_sums_name_ok(const char *name, size_t len)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789._+~:%=@^-";

	if (!len || len > WORKER_SUMS_NAME_MAX || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!name[i] || !strchr(alphabet, name[i]))
			return false;
	return true;
}

bool worker_sums_is_package(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && (strcmp(name + n - 4, ".deb") == 0 || strcmp(name + n - 4, ".rpm") == 0);
}

int worker_sums_add(struct worker_sums *s, const char *name, size_t len)
{
	struct worker_sum *grown;

	if (!worker_sums_name_ok(name, len))
		return QUBE_E_PROTO;
	if (s->n == WORKER_SUMS_FILES_MAX)
		return QUBE_E_LIMIT;
	if (s->n == s->room) {
		grown = reallocarray(s->list, s->room * 2 + 16, sizeof(*grown));
		if (!grown)
			return QUBE_E_NOMEM;
		s->list = grown;
		s->room = s->room * 2 + 16;
	}
	s->list[s->n] = (struct worker_sum){ .name = "" };
	memcpy(s->list[s->n].name, name, len);
	if (worker_sums_is_package(s->list[s->n].name))
		s->n++;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct worker_sum *)a)->name, ((const struct worker_sum *)b)->name);
}

int worker_sums_sort(struct worker_sums *s)
{
	if (s->n)
		qsort(s->list, s->n, sizeof(*s->list), compare);
	for (size_t i = 1; i < s->n; i++)
		if (strcmp(s->list[i - 1].name, s->list[i].name) == 0)
			return QUBE_E_EXISTS;
	return 0;
}

struct worker_sum *worker_sums_find(const struct worker_sums *s, const char *name)
{
	struct worker_sum key = { .name = "" };

	if (!s->n || strlen(name) > WORKER_SUMS_NAME_MAX)
		return NULL;
	memcpy(key.name, name, strlen(name));
	return bsearch(&key, s->list, s->n, sizeof(key), compare);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "DIGEST  NAME" or "DIGEST *NAME". */
static int add_line(struct worker_sums *s, const char *at, size_t len)
{
	enum { HEX = 2 * WORKER_SUMS_DIGEST };
	uint8_t digest[WORKER_SUMS_DIGEST];
	size_t n = s->n;
	int r;

	if (len < HEX + 2 || at[HEX] != ' ' || (at[HEX + 1] != ' ' && at[HEX + 1] != '*'))
		return QUBE_E_PROTO;
	for (size_t i = 0; i < WORKER_SUMS_DIGEST; i++) {
		int high = digit(at[2 * i]);
		int low = digit(at[2 * i + 1]);

		if (high < 0 || low < 0)
			return QUBE_E_PROTO;
		digest[i] = (uint8_t)(high << 4 | low);
	}
	r = worker_sums_add(s, at + HEX + 2, len - HEX - 2);
	if (r == 0 && s->n > n)
		memcpy(s->list[n].digest, digest, sizeof(digest));
	return r;
}

int worker_sums_parse(struct worker_sums *out, size_t *line, const char *untrusted, size_t len)
{
	struct worker_sums s = { 0 };
	int r = len > WORKER_SUMS_TEXT_MAX ? QUBE_E_LIMIT : 0;

	*line = 0;
	for (size_t at = 0; r == 0 && at < len; ++*line) {
		const char *end = memchr(untrusted + at, '\n', len - at);

		/* A line without its end was cut. */
		r = end ? add_line(&s, untrusted + at, (size_t)(end - untrusted) - at) :
			  QUBE_E_PROTO;
		if (end)
			at = (size_t)(end - untrusted) + 1;
	}
	if (r == 0)
		r = worker_sums_sort(&s);
	if (r < 0) {
		worker_sums_fini(&s);
		return r;
	}
	*out = s;
	return 0;
}

void worker_sums_fini(struct worker_sums *s)
{
	free(s->list);
	*s = (struct worker_sums){ 0 };
}
