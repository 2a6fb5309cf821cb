/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Files, limits and the watch, on folders made for each test. */
#include "qtest.h"

#include "fixture.h"

#include "base/text.h"

#include <qube/error.h>

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct tree {
	char root[64];
	char etc[96];
	char run[96];
	char legacy[96];
	struct qube__policy_dirs dirs;
};

static bool tree_make(struct tree *t)
{
	memcpy(t->root, "/tmp/qube-policy-XXXXXX", 24);
	if (!mkdtemp(t->root))
		return false;
	snprintf(t->etc, sizeof(t->etc), "%s/policy.d", t->root);
	snprintf(t->run, sizeof(t->run), "%s/run.d", t->root);
	snprintf(t->legacy, sizeof(t->legacy), "%s/legacy", t->root);
	t->dirs = (struct qube__policy_dirs){ t->etc, t->run, t->legacy };
	return !mkdir(t->etc, 0700) && !mkdir(t->run, 0700) && !mkdir(t->legacy, 0700);
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void tree_drop(struct tree *t)
{
	nftw(t->root, drop, 8, FTW_DEPTH | FTW_PHYS);
}

__attribute__((format(printf, 3, 4))) static bool put(const struct tree *t, const char *name,
						      const char *fmt, ...)
{
	char path[256];
	FILE *f;
	va_list ap;

	snprintf(path, sizeof(path), "%s/%s", t->root, name);
	f = fopen(path, "w");
	if (!f)
		return false;
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	return fclose(f) == 0;
}

static bool sub(const struct tree *t, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", t->root, name);
	return mkdir(path, 0700) == 0;
}

/* What is wrong with the tree: "STATE file:line", or "ok N"; the tree goes away. */
static char *verdict(struct tree *t)
{
	struct qube__policy_rules *rules = NULL;
	const char *file;
	uint32_t line;
	char *s = NULL;

	if (qube__policy_load(&rules, &t->dirs) == 0) {
		if (!qube__policy_rules_error(rules, &file, &line))
			s = qube__text_format("ok %zu", qube__policy_rules_count(rules));
		else
			s = qube__text_format("%s %s:%u",
					      qube__policy_rules_state(rules) ==
							      QUBE__POLICY_BAD_SYNTAX ?
						      "syntax" :
						      "config",
					      file ? file + strlen(t->root) + 1 : "", line);
	}
	qube__policy_rules_unref(rules);
	tree_drop(t);
	return s;
}

#define EXPECT_TREE(t, want)                                                                       \
	do {                                                                                       \
		char *got_text = verdict(t);                                                       \
		QT_STR(got_text, want);                                                            \
		free(got_text);                                                                    \
	} while (0)

QTEST(policy_load, a_missing_directory_refuses_everything)
{
	struct tree t;

	QT_TRUE(tree_make(&t));
	rmdir(t.run);
	EXPECT_TREE(&t, "config run.d:0");
}

QTEST(policy_load, a_dangling_link_is_not_skipped)
{
	struct tree t;
	char path[128];

	QT_TRUE(tree_make(&t));
	snprintf(path, sizeof(path), "%s/10-deny.policy", t.etc);
	QT_INT(symlink("nowhere", path), 0);
	EXPECT_TREE(&t, "config policy.d:0");
}

QTEST(policy_load, a_file_that_includes_itself_is_an_error)
{
	struct tree t;

	QT_TRUE(tree_make(&t) && put(&t, "policy.d/1.policy", "# x\n!include 1.policy\n"));
	EXPECT_TREE(&t, "syntax policy.d/1.policy:2");
}

QTEST(policy_load, a_loop_over_two_files_is_an_error)
{
	struct tree t;

	QT_TRUE(tree_make(&t) && put(&t, "policy.d/1.policy", "!include a\n") &&
		put(&t, "policy.d/a", "!include b\n") && put(&t, "policy.d/b", "!include a\n"));
	EXPECT_TREE(&t, "syntax policy.d/b:1");
}

QTEST(policy_load, the_depth_of_includes_is_limited)
{
	for (int depth = QUBE__POLICY_DEPTH_MAX; depth <= QUBE__POLICY_DEPTH_MAX + 1; depth++) {
		struct tree t;
		char name[32];

		QT_TRUE(tree_make(&t) && put(&t, "policy.d/1.policy", "!include f2\n"));
		for (int i = 2; i <= depth; i++) {
			snprintf(name, sizeof(name), "policy.d/f%d", i);
			if (i < depth)
				QT_TRUE(put(&t, name, "!include f%d\n", i + 1));
			else
				QT_TRUE(put(&t, name, "* * * * deny\n"));
		}
		EXPECT_TREE(&t, depth == QUBE__POLICY_DEPTH_MAX ? "ok 1" : "syntax policy.d/f8:1");
	}
}

/* 16 includes a file, so a level-6 file stands for 273 visits and a level-7 file for 17: the limit
 * of 4096 is spent on 5 + 14 * 273 + 1 + 15 * 17 + 1 files and 12 more. */
QTEST(policy_load, files_that_multiply_are_limited)
{
	struct tree t;
	char name[32];

	QT_TRUE(tree_make(&t) && put(&t, "policy.d/1.policy", "!include f2\n!include f2\n"));
	for (int i = 2; i < 8; i++) {
		char line[512] = "";

		for (int k = 0; k < 16; k++)
			snprintf(line + strlen(line), sizeof(line) - strlen(line), "!include f%d\n",
				 i + 1);
		snprintf(name, sizeof(name), "policy.d/f%d", i);
		QT_TRUE(put(&t, name, "%s", line));
	}
	QT_TRUE(put(&t, "policy.d/f8", "* * * * deny\n"));
	EXPECT_TREE(&t, "syntax policy.d/f7:13");
}

QTEST(policy_load, the_size_of_a_file_is_limited)
{
	struct tree t;

	QT_TRUE(tree_make(&t) &&
		put(&t, "policy.d/1.policy", "#%*s\n", QUBE__POLICY_FILE_MAX, "x"));
	EXPECT_TREE(&t, "config policy.d/1.policy:0");
}

QTEST(policy_load, the_length_of_a_line_is_limited)
{
	struct tree t;

	QT_TRUE(tree_make(&t) &&
		put(&t, "policy.d/1.policy", "a.B * x y%*s allow\n", QUBE__POLICY_LINE_MAX, " "));
	EXPECT_TREE(&t, "syntax policy.d/1.policy:1");
}

QTEST(policy_load, control_characters_and_broken_utf8_are_errors)
{
	static const char *const lines[] = {
		"# a\rb",	  "a.B * x\vy z allow", "# \xff",     "# \xc0\xaf",
		"# \xed\xa0\x80", "# \xf4\x90\x80\x80", "# \xe2\x82", "# \x7f",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct tree t;

		QT_TRUE(tree_make(&t) && put(&t, "policy.d/1.policy", "%s\n", lines[i]));
		EXPECT_TREE(&t, "syntax policy.d/1.policy:1");
	}
}

QTEST(policy_load, accepts_utf8_crlf_and_a_last_line_without_newline)
{
	struct tree t;

	QT_TRUE(tree_make(&t) && put(&t, "policy.d/1.policy",
				     "# \xc3\xa9 \xf0\x9f\x90\x9f\r\n"
				     "\ta.B\t* x  y allow\r\n"
				     "a.C * x y ask"));
	EXPECT_TREE(&t, "ok 2");
}

QTEST(policy_load, old_layout_knows_one_directive_only)
{
	static const char *const lines[] = { "!compat-4.0",  "!include-dir x",
					     "$include:",    ",,,",
					     "$include:a b", "!include-service a * b" };

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct tree t;

		QT_TRUE(tree_make(&t) && put(&t, "policy.d/1.policy", "!compat-4.0\n") &&
			put(&t, "legacy/a.B", "mail bank allow,user=x\n%s\n", lines[i]));
		EXPECT_TREE(&t, "syntax legacy/a.B:2");
	}
}

QTEST(policy_load, legacy_arguments_end_with_denials)
{
	struct tree t;

	QT_TRUE(tree_make(&t) && put(&t, "policy.d/1.policy", "!compat-4.0\n") &&
		put(&t, "legacy/a.B", "$anyvm $dispvm allow\n") &&
		put(&t, "legacy/a.B+q", "# none\n"));
	EXPECT_TREE(&t, "ok 3");
}

QTEST(policy_load, a_folder_that_is_included_has_the_same_name_rules)
{
	struct tree t;

	QT_TRUE(tree_make(&t) && sub(&t, "policy.d/more") &&
		put(&t, "policy.d/1.policy", "!include-dir more\n") &&
		put(&t, "policy.d/more/A.policy", "# x\n"));
	EXPECT_TREE(&t, "config policy.d/more/A.policy:0");
}

QTEST(policy_load, relative_paths_of_a_file_in_run_start_in_run)
{
	struct tree t;

	QT_TRUE(tree_make(&t) && put(&t, "run.d/1.policy", "!include inc\n") &&
		put(&t, "run.d/inc", "a.B * x y allow\na.B * x z allow\n") &&
		put(&t, "policy.d/inc", "a.B * x y allow\n"));
	EXPECT_TREE(&t, "ok 2");
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 5000) == 1;
}

/* Does the change make the watch's fd readable, and is it seen? A fresh watch sees nothing. */
static bool notices(struct tree *t, bool (*change)(struct tree *t))
{
	struct qube__policy_watch w = { .fd = -1 };
	struct qube__policy_rules *rules = NULL;
	bool seen = qube__policy_load_watched(&rules, &w, &t->dirs) == 0 &&
		    !qube__policy_watch_check(&w) && change(t) && readable(w.fd) &&
		    qube__policy_watch_check(&w);

	qube__policy_watch_fini(&w);
	qube__policy_rules_unref(rules);
	return seen;
}

static bool change_create(struct tree *t)
{
	return put(t, "run.d/9.policy", "# new\n");
}

static bool change_modify(struct tree *t)
{
	return put(t, "policy.d/1.policy", "# changed\n");
}

static bool change_move(struct tree *t)
{
	char from[128];
	char to[128];

	snprintf(from, sizeof(from), "%s/other", t->root);
	snprintf(to, sizeof(to), "%s/7.policy", t->etc);
	return put(t, "other", "# x\n") && rename(from, to) == 0;
}

static bool change_delete(struct tree *t)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/7.policy", t->etc);
	return unlink(path) == 0;
}

static bool change_included(struct tree *t)
{
	return put(t, "deep/inc", "# changed\n");
}

static bool change_linked(struct tree *t)
{
	return put(t, "elsewhere", "# changed\n");
}

static bool change_missing(struct tree *t)
{
	return rmdir(t->legacy) == 0;
}

static bool change_back(struct tree *t)
{
	return mkdir(t->legacy, 0700) == 0;
}

QTEST(policy_watch, notices_every_kind_of_change)
{
	static bool (*const changes[])(struct tree * t) = {
		change_create,	 change_modify, change_move,	change_delete,
		change_included, change_linked, change_missing, change_back,
	};
	struct tree t;
	char target[128];
	char path[128];

	QT_TRUE(tree_make(&t) && sub(&t, "deep") && put(&t, "deep/inc", "# x\n") &&
		put(&t, "elsewhere", "# x\n") && put(&t, "policy.d/1.policy", "# x\n") &&
		put(&t, "policy.d/2.policy", "!include %s/deep/inc\n", t.root));
	snprintf(target, sizeof(target), "%s/elsewhere", t.root);
	snprintf(path, sizeof(path), "%s/3.policy", t.etc);
	QT_INT(symlink(target, path), 0);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		if (!notices(&t, changes[i]))
			QT_FAIL("change %zu was not noticed", i);
	tree_drop(&t);
}
