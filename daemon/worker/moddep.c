/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which kernel modules to load, and in which order; see moddep.h. A line of modules.dep is "PATH:
 * PATH PATH ...", one of modules.builtin "PATH". */
#include "moddep.h"

#include <qube/error.h>

#include <string.h>

static const char *const endings[] = { ".ko", ".ko.gz", ".ko.xz", ".ko.zst" };

/* A piece of a text. */
struct span {
	const char *p;
	size_t len;
};

/* The length of path without its ending, or 0. */
static size_t stem_len(const char *path, size_t len)
{
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t n = strlen(endings[i]);

		if (len > n && memcmp(path + len - n, endings[i], n) == 0)
			return len - n;
	}
	return 0;
}

bool moddep_path_ok(const char *path, size_t len)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789._+,=@~-/";
	size_t stem = stem_len(path, len);
	bool at_begin = true;

	if (len > MODDEP_PATH_MAX || !stem || path[stem - 1] == '/')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!path[i] || !strchr(alphabet, path[i]))
			return false;
		/* Neither ".", ".." nor what is hidden, and no empty name. */
		if (at_begin && (path[i] == '.' || path[i] == '/'))
			return false;
		at_begin = path[i] == '/';
	}
	return true;
}

static struct span base_of(struct span path)
{
	for (size_t i = path.len; i > 0; i--)
		if (path.p[i - 1] == '/')
			return (struct span){ path.p + i, path.len - i };
	return path;
}

void moddep_file(char out[MODDEP_PATH_MAX + 1], const char *path)
{
	struct span base = base_of((struct span){ path, strlen(path) });
	size_t n = stem_len(base.p, base.len);

	memcpy(out, base.p, n);
	memcpy(out + n, ".ko", sizeof(".ko"));
}

static bool same_name(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		char x = a.p[i] == '-' ? '_' : a.p[i];
		char y = b.p[i] == '-' ? '_' : b.p[i];

		if (x != y)
			return false;
	}
	return true;
}

static bool is_module(struct span path, struct span name)
{
	struct span base = base_of(path);

	base.len = stem_len(base.p, base.len);
	return same_name(base, name);
}

static bool same_path(struct span path, struct span other)
{
	return path.len == other.len && memcmp(path.p, other.p, path.len) == 0;
}

/* The next line, without its end; false at the end of the text. */
static bool next_line(struct span *text, struct span *line)
{
	const char *stop;

	if (!text->len)
		return false;
	stop = memchr(text->p, '\n', text->len);
	line->p = text->p;
	line->len = stop ? (size_t)(stop - text->p) : text->len;
	text->p += line->len + (stop != NULL);
	text->len -= line->len + (stop != NULL);
	return true;
}

/* The first line whose path matches; deps is what stands behind its colon. */
static bool find(const struct moddep_texts *t, struct span key,
		 bool (*matches)(struct span path, struct span key), struct span *path,
		 struct span *deps)
{
	struct span text = { t->untrusted_dep, t->dep_len };
	struct span line;

	while (next_line(&text, &line)) {
		const char *colon = memchr(line.p, ':', line.len);

		if (!colon)
			continue;
		*path = (struct span){ line.p, (size_t)(colon - line.p) };
		if (!matches(*path, key))
			continue;
		*deps = (struct span){ colon + 1, line.len - path->len - 1 };
		return true;
	}
	return false;
}

static bool is_builtin(const struct moddep_texts *t, struct span name)
{
	struct span text = { t->untrusted_builtin, t->builtin_len };
	struct span line;

	while (next_line(&text, &line))
		if (is_module(line, name))
			return true;
	return false;
}

/* 1: it is listed already; 0: it is not; QUBE_E_PROTO: another file of its name is. */
static int is_listed(const struct moddep_list *out, struct span path)
{
	for (size_t i = 0; i < out->n; i++) {
		struct span have = { out->list[i].path, strlen(out->list[i].path) };
		struct span base = base_of(path);

		if (same_path(have, path))
			return 1;
		base.len = stem_len(base.p, base.len);
		if (is_module(have, base))
			return QUBE_E_PROTO;
	}
	return 0;
}

/* The next word of a line. */
static bool next_word(struct span *text, struct span *word)
{
	while (text->len && *text->p == ' ') {
		text->p++;
		text->len--;
	}
	word->p = text->p;
	word->len = 0;
	while (word->len < text->len && word->p[word->len] != ' ')
		word->len++;
	text->p += word->len;
	text->len -= word->len;
	return word->len > 0;
}

static int add(struct moddep_list *out, const struct moddep_texts *t, struct span path,
	       struct span deps, int depth)
{
	struct span word;
	size_t words = 0;
	int r;

	if (depth > MODDEP_DEPTH_MAX || !moddep_path_ok(path.p, path.len))
		return QUBE_E_PROTO;
	r = is_listed(out, path);
	if (r != 0)
		return r < 0 ? r : 0;
	while (next_word(&deps, &word)) {
		struct span its_path;
		struct span its_deps;

		if (++words > MODDEP_LIST_MAX)
			return QUBE_E_LIMIT;
		if (!moddep_path_ok(word.p, word.len))
			return QUBE_E_PROTO;
		r = is_listed(out, word);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		if (!find(t, word, same_path, &its_path, &its_deps))
			return QUBE_E_PROTO;
		r = add(out, t, its_path, its_deps, depth + 1);
		if (r < 0)
			return r;
	}
	/* A file of the same name may have been listed meanwhile. */
	r = is_listed(out, path);
	if (r != 0)
		return QUBE_E_PROTO;
	if (out->n == MODDEP_LIST_MAX)
		return QUBE_E_LIMIT;
	out->list[out->n] = (struct moddep_module){ .path = "" };
	memcpy(out->list[out->n++].path, path.p, path.len);
	return 0;
}

int moddep_add(struct moddep_list *out, const struct moddep_texts *t, const char *name)
{
	struct span key = { name, strlen(name) };
	struct span path;
	struct span deps;
	int r;

	if (!find(t, key, is_module, &path, &deps))
		return is_builtin(t, key) ? MODDEP_BUILTIN : MODDEP_MISSING;
	r = add(out, t, path, deps, 0);
	return r < 0 ? r : MODDEP_MODULE;
}
