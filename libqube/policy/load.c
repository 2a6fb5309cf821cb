/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From files to rules: policy.md 1, 2 and 8. Everything has a limit, and one mistake anywhere makes
 * the whole policy unusable: it then remembers the file, the line and what is wrong, and refuses.
 */
#include "policy/names.h"
#include "policy/rules.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define ESCAPED_MAX 160
#define autonames   __attribute__((cleanup(qube__policy_names_fini)))

/* How the lines of a file are to be read. */
struct layout {
	const char *top;			  /* relative includes start here; NULL: no files */
	const struct qube__policy_token *service; /* old layout, else NULL */
	const struct qube__policy_token *argument;
};

struct visit {
	dev_t dev;
	ino_t ino;
};

struct loader {
	struct qube__policy_rules *rules;
	const char *legacy_dir;
	const char *file; /* where we are, for errors */
	uint32_t line;
	size_t files;
	size_t bytes;
	unsigned int depth;
	struct visit chain[QUBE__POLICY_DEPTH_MAX];
	char scratch[QUBE__POLICY_LINE_MAX + 1];
};

/* Each returns QUBE_E_PROTO, or QUBE_E_NOMEM if not even the text fits. */
static int bad(struct loader *l, enum qube__policy_state state, const char *file, uint32_t line,
	       const char *why, const char *what, size_t len)
{
	char shown[ESCAPED_MAX];
	struct qube__policy_rules *r = l->rules;

	if (what)
		r->error = qube__text_format("%s: \"%s\"", why,
					     qube__text_escape(shown, sizeof(shown), what, len));
	else
		r->error = qube__text_format("%s", why);
	if (!r->error)
		return QUBE_E_NOMEM;
	if (file &&
	    qube__policy_intern(r, NULL, &r->error_file, QUBE__PK_TEXT, file, strlen(file)) < 0)
		return QUBE_E_NOMEM;
	r->error_line = line;
	r->state = state;
	return QUBE_E_PROTO;
}

static int bad_line(struct loader *l, const char *why, const struct qube__policy_word *word)
{
	return bad(l, QUBE__POLICY_BAD_SYNTAX, l->file, l->line, why, word ? word->s : NULL,
		   word ? word->len : 0);
}

/* A file or folder that could not be read: the mistake of the line that names it, if one does. */
static int bad_path(struct loader *l, const char *path, int r, const char *why)
{
	if (r == QUBE_E_NOMEM)
		return r;
	if (l->file)
		return bad(l, QUBE__POLICY_BAD_SYNTAX, l->file, l->line, why, NULL, 0);
	return bad(l, QUBE__POLICY_BAD_CONFIG, path, 0, why, NULL, 0);
}

static int load_file(struct loader *l, const char *path, const struct layout *lay);
static int load_dir(struct loader *l, const char *path, const struct layout *lay);
static int load_legacy(struct loader *l);

static char *join(const char *dir, const char *name, size_t len)
{
	if (len && name[0] == '/')
		return qube__text_format("%.*s", (int)len, name);
	return qube__text_format("%s/%.*s", dir, (int)len, name);
}

static int include(struct loader *l, const struct layout *lay, const struct qube__policy_word *w,
		   bool dir)
{
	qube__autofree char *path = NULL;

	if (!lay->top)
		return bad_line(l, "cannot include here", w);
	path = join(lay->top, w->s, w->len);
	if (!path)
		return QUBE_E_NOMEM;
	if (strlen(path) >= PATH_MAX)
		return bad_line(l, "over-long path", w);
	return dir ? load_dir(l, path, lay) : load_file(l, path, lay);
}

static int include_service(struct loader *l, const struct layout *lay,
			   const struct qube__policy_word *w)
{
	struct qube__policy_token service;
	struct qube__policy_token argument;
	struct layout old = { .top = lay->top, .service = &service, .argument = &argument };
	const char *why = NULL;
	int r = qube__policy_line_service(l->rules, &service, &w[1], &why);

	if (r == QUBE_E_PROTO)
		return bad_line(l, why, &w[1]);
	if (r == 0)
		r = qube__policy_line_argument(l->rules, &argument, &service, &w[2], &why);
	if (r == QUBE_E_PROTO)
		return bad_line(l, why, &w[2]);
	return r < 0 ? r : include(l, &old, &w[3], false);
}

static bool word_is(const struct qube__policy_word *w, const char *s)
{
	return w->len == strlen(s) && !memcmp(w->s, s, w->len);
}

static int directive(struct loader *l, const struct layout *lay, const struct qube__policy_word *w,
		     size_t n)
{
	static const struct {
		const char *name;
		size_t words;
		bool old_layout;
	} table[] = {
		{ "!include", 2, true },
		{ "!include-dir", 2, false },
		{ "!include-service", 4, false },
		{ "!compat-4.0", 1, false },
	};
	size_t i = 0;

	while (i < 4 && !word_is(&w[0], table[i].name))
		i++;
	if (i == 4 || (lay->service && !table[i].old_layout))
		return bad_line(l, "no such directive", &w[0]);
	if (n != table[i].words)
		return bad_line(l, "wrong number of operands", &w[0]);
	if (i == 2)
		return include_service(l, lay, w);
	return i == 3 ? load_legacy(l) : include(l, lay, &w[1], i == 1);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static size_t split(struct qube__policy_word *words, const char *s, size_t len)
{
	size_t n = 0;
	size_t at = 0;

	while (n < QUBE__POLICY_WORDS_MAX) {
		while (at < len && is_space(s[at]))
			at++;
		if (at == len)
			break;
		words[n].s = s + at;
		while (at < len && !is_space(s[at]))
			at++;
		words[n].len = (size_t)(s + at - words[n].s);
		n++;
	}
	return n;
}

/* "$" is "@" and "," is white space, everywhere in the line. */
static const char *old_line(struct loader *l, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		l->scratch[i] = (char)(s[i] == '$' ? '@' : s[i] == ',' ? ' ' : s[i]);
	return l->scratch;
}

static int load_line(struct loader *l, const struct layout *lay, const char *s, size_t len)
{
	static const char old_include[] = "@include:";
	struct qube__policy_word words[QUBE__POLICY_WORDS_MAX];
	struct qube__policy_line line = { .words = words };
	const struct qube__policy_word *word = NULL;
	const char *why = NULL;
	size_t skip = sizeof(old_include) - 1;
	int r;

	if (lay->service)
		s = old_line(l, s, len);
	line.n = split(words, s, len);
	if (!line.n)
		return bad_line(l, "too few columns", NULL); /* old layout: commas alone */
	if (s[0] == '!')
		return directive(l, lay, words, line.n);
	if (lay->service && words[0].len >= skip && !memcmp(words[0].s, old_include, skip)) {
		words[0].s += skip;
		words[0].len -= skip;
		if (line.n != 1 || !words[0].len)
			return bad_line(l, "wrong number of operands", NULL);
		return include(l, lay, &words[0], false);
	}
	if (line.n == QUBE__POLICY_WORDS_MAX)
		return bad_line(l, "too many columns", NULL);
	line.file = l->file;
	line.line = l->line;
	line.service = lay->service;
	line.argument = lay->argument;
	r = qube__policy_line_rule(l->rules, &line, &why, &word);
	if (r == QUBE_E_LIMIT)
		return bad_line(l, "too many rules", NULL);
	return r == QUBE_E_PROTO ? bad_line(l, why, word) : r;
}

/* UTF-8 without control characters but tabs: a lone CR or a NUL would hide a line from some reader.
 */
static bool is_text(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;
	const unsigned char *end = p + len;

	while (p < end) {
		size_t more = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
		uint32_t code = more ? *p & (0x3fu >> more) : *p;

		if ((*p >= 0x80 && *p < 0xc2) || *p > 0xf4 || (size_t)(end - p) <= more)
			return false;
		for (size_t i = 1; i <= more; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return false;
			code = code << 6 | (p[i] & 0x3f);
		}
		if ((code < 0x20 && code != '\t') || code == 0x7f ||
		    (more == 2 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff))) ||
		    (more == 3 && (code < 0x10000 || code > 0x10ffff)))
			return false;
		p += more + 1;
	}
	return true;
}

static int load_text(struct loader *l, const struct layout *lay, const char *text, size_t len)
{
	const char *end = text + len;

	for (l->line = 1; text < end; l->line++) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));
		const char *stop = eol ? eol : end;
		const char *s = text;
		int r = 0;

		text = eol ? eol + 1 : end;
		while (s < stop && is_space(*s))
			s++;
		while (stop > s && is_space(stop[-1]))
			stop--;
		if (!is_text(s, (size_t)(stop - s)))
			return bad_line(l, "a character that is not text", NULL);
		if (s == stop || *s == '#')
			continue;
		if (stop - s > QUBE__POLICY_LINE_MAX)
			return bad_line(l, "over-long line", NULL);
		r = load_line(l, lay, s, (size_t)(stop - s));
		if (r < 0)
			return r;
	}
	return 0;
}

/* One file being visited may not visit itself again. */
static int enter(struct loader *l, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct stat st;

	if (l->depth == QUBE__POLICY_DEPTH_MAX)
		return bad_path(l, path, QUBE_E_LIMIT, "files include each other too deeply");
	if (l->files++ >= QUBE__POLICY_FILES_MAX)
		return bad_path(l, path, QUBE_E_LIMIT, "too many files");
	if (slash && qube__policy_rules_watched(l->rules, path, (size_t)(slash - path)) < 0)
		return QUBE_E_NOMEM;
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) &&
	    qube__policy_rules_watched(l->rules, path, strlen(path)) < 0)
		return QUBE_E_NOMEM;
	if (stat(path, &st) < 0)
		return 0; /* reading it says why */
	for (unsigned int i = 0; i < l->depth; i++)
		if (l->chain[i].dev == st.st_dev && l->chain[i].ino == st.st_ino)
			return bad_path(l, path, QUBE_E_LIMIT, "a file includes itself");
	l->chain[l->depth] = (struct visit){ st.st_dev, st.st_ino };
	return 0;
}

static int load_file(struct loader *l, const char *path, const struct layout *lay)
{
	qube__autofree char *text = NULL;
	const char *outer = l->file;
	uint32_t outer_line = l->line;
	size_t len = 0;
	int r = enter(l, path);

	if (r < 0)
		return r;
	r = qube__io_read_file(&text, &len, AT_FDCWD, path, QUBE__POLICY_FILE_MAX);
	if (r < 0)
		return bad_path(l, path, r, qube_error_last()->message);
	l->bytes += len;
	if (l->bytes > QUBE__POLICY_BYTES_MAX)
		return bad_path(l, path, QUBE_E_LIMIT, "the files are too large");
	if (qube__policy_intern(l->rules, NULL, &l->file, QUBE__PK_TEXT, path, strlen(path)) < 0)
		return QUBE_E_NOMEM;
	l->depth++;
	r = load_text(l, lay, text, len);
	l->depth--;
	if (r < 0)
		return r;
	l->file = outer;
	l->line = outer_line;
	return 0;
}

/* The folder or the name in it that could not be used; takes *wrong. */
static int bad_names(struct loader *l, const char *dir, int r, char **wrong)
{
	qube__autofree char *path = qube__steal(*wrong);

	/* A forbidden name is the folder's fault, whoever includes it. */
	if (path)
		return bad(l, QUBE__POLICY_BAD_CONFIG, path, 0, qube_error_last()->message, NULL,
			   0);
	return bad_path(l, dir, r, qube_error_last()->message);
}

/* top: where relative includes start; NULL: in each file's own directory. */
static int load_names(struct loader *l, const struct qube__policy_names *names, const char *top)
{
	int r = 0;

	for (size_t i = 0; i < names->n && r == 0; i++) {
		const struct qube__policy_name *at = &names->list[i];
		struct layout lay = { .top = top ? top : at->dir };
		qube__autofree char *path = NULL;

		if (i > 0 && !strcmp(at->name, at[-1].name))
			continue; /* hidden by the file of that name in the first directory */
		path = join(at->dir, at->name, strlen(at->name));
		r = path ? load_file(l, path, &lay) : QUBE_E_NOMEM;
	}
	return r;
}

static int read_names(struct loader *l, struct qube__policy_names *names, const char *dir)
{
	char *wrong = NULL;
	int r;

	if (qube__policy_rules_watched(l->rules, dir, strlen(dir)) < 0)
		return QUBE_E_NOMEM;
	r = qube__policy_names_read(names, dir, &wrong);
	return r < 0 ? bad_names(l, dir, r, &wrong) : 0;
}

static int load_dir(struct loader *l, const char *path, const struct layout *lay)
{
	autonames struct qube__policy_names names = { 0 };
	int r = read_names(l, &names, path);

	if (r < 0)
		return r;
	qube__policy_names_sort(&names);
	return load_names(l, &names, lay->top);
}

/* Behind an argument's file: what it does not allow is denied. */
static int legacy_deny(struct loader *l, const char *path, const struct layout *lay)
{
	static const char *const targets[] = { "@anyvm", "@adminvm" };
	struct qube__policy_rule rule = {
		.service = *lay->service,
		.argument = *lay->argument,
		.action = QUBE__PA_DENY,
		.notify = true,
		.autostart = true,
	};
	const char *why = NULL;
	int r = qube__policy_token_make(l->rules, &rule.source, "@anyvm", strlen("@anyvm"),
					QUBE__PP_SOURCE, &why);

	if (r == 0)
		r = qube__policy_intern(l->rules, NULL, &rule.file, QUBE__PK_TEXT, path,
					strlen(path));
	for (size_t i = 0; i < 2 && r == 0; i++) {
		r = qube__policy_token_make(l->rules, &rule.target, targets[i], strlen(targets[i]),
					    QUBE__PP_TARGET, &why);
		if (r == 0)
			r = qube__policy_rules_add(l->rules, &rule);
	}
	return r == QUBE_E_LIMIT ? bad_line(l, "too many rules", NULL) : r;
}

static int load_legacy_file(struct loader *l, const struct qube__policy_name *name)
{
	size_t n = strcspn(name->name, "+");
	struct qube__policy_word service_word = { name->name, n };
	struct qube__policy_word argument_word = { "*", 1 };
	struct qube__policy_token service;
	struct qube__policy_token argument;
	struct layout old = { .top = name->dir, .service = &service, .argument = &argument };
	qube__autofree char *path = join(name->dir, name->name, strlen(name->name));
	const char *why = NULL;
	int r;

	if (!path)
		return QUBE_E_NOMEM;
	if (name->name[n])
		argument_word =
			(struct qube__policy_word){ name->name + n, strlen(name->name + n) };
	r = qube__policy_line_service(l->rules, &service, &service_word, &why);
	if (r == 0)
		r = qube__policy_line_argument(l->rules, &argument, &service, &argument_word, &why);
	if (r == QUBE_E_PROTO)
		return bad_line(l, why, &service_word);
	if (r == 0)
		r = load_file(l, path, &old);
	return r == 0 && name->name[n] ? legacy_deny(l, path, &old) : r;
}

static int load_legacy(struct loader *l)
{
	autonames struct qube__policy_names names = { 0 };
	char *wrong = NULL;
	int r;

	if (!l->legacy_dir)
		return bad_line(l, "there is no legacy directory", NULL);
	if (qube__policy_rules_watched(l->rules, l->legacy_dir, strlen(l->legacy_dir)) < 0)
		return QUBE_E_NOMEM;
	r = qube__policy_names_read_legacy(&names, l->legacy_dir, &wrong);
	if (r < 0)
		return bad_names(l, l->legacy_dir, r, &wrong);
	for (size_t i = 0; i < names.n && r == 0; i++)
		r = load_legacy_file(l, &names.list[i]);
	return r;
}

/* Rules that are unusable are rules too: they refuse, and say why. */
static int finish(struct qube__policy_rules **out, struct qube__policy_rules *rules, int r)
{
	if (r < 0 && r != QUBE_E_PROTO) {
		qube__policy_rules_unref(rules);
		return qube__fail_nomem();
	}
	*out = rules;
	return 0;
}

int qube__policy_load(struct qube__policy_rules **out, const struct qube__policy_dirs *dirs)
{
	autonames struct qube__policy_names names = { 0 };
	qube__autofree struct loader *l = calloc(1, sizeof(*l));
	int r;

	if (!l || qube__policy_rules_new(&l->rules) < 0)
		return qube__fail_nomem();
	l->legacy_dir = dirs->legacy_dir;
	r = read_names(l, &names, dirs->run_dir);
	if (r == 0)
		r = read_names(l, &names, dirs->etc_dir);
	qube__policy_names_sort(&names);
	if (r == 0)
		r = load_names(l, &names, NULL);
	return finish(out, l->rules, r);
}

int qube__policy_load_text(struct qube__policy_rules **out, const char *file, const char *dir,
			   const void *text, size_t len)
{
	qube__autofree struct loader *l = calloc(1, sizeof(*l));
	struct layout lay = { .top = dir };
	int r;

	if (!l || qube__policy_rules_new(&l->rules) < 0)
		return qube__fail_nomem();
	r = qube__policy_intern(l->rules, NULL, &l->file, QUBE__PK_TEXT, file, strlen(file));
	if (r == 0 && len > QUBE__POLICY_FILE_MAX)
		r = bad_path(l, file, QUBE_E_LIMIT, "the file is too large");
	if (r == 0)
		r = load_text(l, &lay, text, len);
	return finish(out, l->rules, r);
}
