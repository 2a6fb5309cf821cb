/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "wire/json.h"

#include <qube/error.h>

#include <stdlib.h>

static int parse(const char *text)
{
	qube__autojson *j = NULL;

	return qube__json_parse(&j, text, strlen(text), 65536, NULL);
}

QTEST(json, takes_what_the_standard_takes)
{
	static const char *const good[] = {
		"{}",
		"[]",
		" [ 1 , -0 , 2.5e+3 , true , false , null , \"\" ] ",
		"{\"a\":{\"b\":[]}}",
		"[\"\\u0041\\n\\\"\\\\\\/\\ud83d\\ude00\"]",
		"[\"\xc3\xa9\xe2\x82\xac\"]",
		"[9223372036854775807,-9223372036854775808]",
		"[[],[[]],{}]",
		"[\"\\u0000\"]",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (parse(good[i]) != 0)
			QT_FAIL("%s gave %d", good[i], parse(good[i]));
}

QTEST(json, refuses_what_the_standard_refuses)
{
	static const char *const bad[] = {
		"",
		" ",
		"1",
		"\"a\"",
		"null",
		"{",
		"[",
		"]",
		"{]",
		"[}",
		"[1,]",
		"{\"a\":1,}",
		"{a:1}",
		"{\"a\" 1}",
		"{\"a\":}",
		"[1 2]",
		"[01]",
		"[+1]",
		"[1.]",
		"[.5]",
		"[1e]",
		"[-]",
		"[tru]",
		"[\"a]",
		"[\"\t\"]",
		"[\"\\x\"]",
		"[\"\\u12\"]",
		"[\"\\ud800\"]",
		"[\"\\ud800\\u0041\"]",
		"[\"\\udc00\"]",
		"[\"\xff\"]",
		"[\"\xc0\x80\"]",
		"[\"\xed\xa0\x80\"]",
		"[\"\xf4\x90\x80\x80\"]",
		"[\"\xe2\x82\"]",
		"[] []",
		"{}x",
		"{\"a\":1,\"a\":2}",
		"{\"\\u0000\":1}",
		"[1e999]",
		"[9223372036854775808]",
		"['a']",
		"[NaN]",
		"// x\n[]",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(bad[i]) != QUBE_E_PROTO)
			QT_FAIL("%s gave %d", bad[i], parse(bad[i]));
}

QTEST(json, bytes_and_depth_have_a_ceiling)
{
	qube__autojson *j = NULL;
	char deep[2 * (QUBE__JSON_DEPTH_MAX + 1) + 1];

	QT_INT(qube__json_parse(&j, "[1]", 3, 2, NULL), QUBE_E_LIMIT);
	for (size_t n = QUBE__JSON_DEPTH_MAX; n <= QUBE__JSON_DEPTH_MAX + 1; n++) {
		memset(deep, '[', n);
		memset(deep + n, ']', n);
		deep[2 * n] = '\0';
		QT_INT(parse(deep), n <= QUBE__JSON_DEPTH_MAX ? 0 : QUBE_E_PROTO);
	}
}

QTEST(json, a_refusal_names_the_line)
{
	qube__autojson *j = NULL;
	uint32_t line = 0;

	QT_INT(qube__json_parse(&j, "{\n\"a\":\n1,\nx}", 13, 100, &line), QUBE_E_PROTO);
	QT_INT(line, 4);
	QT_INT(qube__json_parse(&j, "{\"a\":1,\n\"a\":2}", 14, 100, &line), QUBE_E_PROTO);
	QT_INT(line, 2);
	QT_TRUE(j == NULL);
}

QTEST(json, members_are_read_by_type)
{
	const char text[] =
		"{\"s\":\"x\",\"i\":7,\"b\":true,\"a\":[1],\"o\":{},\"z\":\"a\\u0000b\"}";
	qube__autojson *j = NULL;
	const struct qube__json *child = NULL;
	const char *s = NULL;
	int64_t i = 0;
	bool b = false;
	size_t n;

	QT_INT(qube__json_parse(&j, text, strlen(text), 1000, NULL), 0);
	QT_INT(qube__json_get_string(j, "s", &s), 0);
	QT_STR(s, "x");
	QT_INT(qube__json_get_int(j, "i", &i, 0, 7), 0);
	QT_INT(i, 7);
	QT_INT(qube__json_get_int(j, "i", &i, 0, 6), QUBE_E_INVALID);
	QT_INT(qube__json_get_int(j, "i", &i, 8, 9), QUBE_E_INVALID);
	QT_INT(qube__json_get_bool(j, "b", &b), 0);
	QT_TRUE(b);
	QT_INT(qube__json_get_array(j, "a", &child), 0);
	QT_INT(qube__json_size(child), 1);
	QT_INT(qube__json_get_array(j, "o", &child), QUBE_E_INVALID);
	QT_INT(qube__json_get_object(j, "o", &child), 0);
	QT_INT(qube__json_get_string(j, "i", &s), QUBE_E_INVALID);
	QT_INT(qube__json_get_bool(j, "i", &b), QUBE_E_INVALID);
	QT_INT(qube__json_get_int(j, "b", &i, 0, 9), QUBE_E_INVALID);
	QT_INT(qube__json_get_string(j, "none", &s), QUBE_E_NOENT);
	/* A C string would silently end at the NUL. */
	QT_INT(qube__json_get_string(j, "z", &s), QUBE_E_INVALID);
	QT_INT(qube__json_string(qube__json_get(j, "z"), &s, &n), 0);
	QT_INT(n, 3);
	/* Asking the wrong kind of thing is an answer, not a crash. */
	QT_TRUE(!qube__json_get(child, "x") && !qube__json_at(j, 0) && !qube__json_at(child, 0));
	QT_INT(qube__json_get_string(qube__json_get(j, "i"), "x", &s), QUBE_E_NOENT);
}

QTEST(json, what_is_built_is_dumped_in_order)
{
	qube__autojson *o = NULL;
	struct qube__json *a = NULL;
	const struct qube__json *value;
	const void *it = NULL;
	const char *key;
	size_t members = 0;
	char *text = NULL;
	size_t len = 0;

	QT_INT(qube__json_new_object(&o), 0);
	QT_INT(qube__json_new_array(&a), 0);
	QT_INT(qube__json_append_string(a, "x\"y"), 0);
	QT_INT(qube__json_append_int(a, -5), 0);
	QT_INT(qube__json_set(o, "b", a), 0);
	QT_INT(qube__json_set_bool(o, "a", true), 0);
	QT_INT(qube__json_set_null(o, "c"), 0);
	QT_INT(qube__json_set_string(o, "d", "bad \xff"), QUBE_E_INVALID);
	QT_INT(qube__json_set_string(o, "bad \xff", "d"), QUBE_E_INVALID);
	QT_INT(qube__json_set(o, "e", NULL), QUBE_E_NOMEM);
	QT_INT(qube__json_dump(&text, &len, o, 0), 0);
	QT_STR(text, "{\"b\":[\"x\\\"y\",-5],\"a\":true,\"c\":null}");
	QT_INT(len, strlen(text));
	free(text);
	QT_INT(qube__json_dump(&text, &len, o, QUBE__JSON_SORTED | QUBE__JSON_INDENT), 0);
	QT_STR(text, "{\n \"a\": true,\n \"b\": [\n  \"x\\\"y\",\n  -5\n ],\n \"c\": null\n}\n");
	free(text);
	while ((it = qube__json_next(o, it, &key, &value)))
		members++;
	QT_INT(members, 3);
}
