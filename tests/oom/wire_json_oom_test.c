/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * JSON with each allocation failing in turn, those of jansson included: it is given our malloc. */
#include "qtest.h"

#include "base/error.h"
#include "wire/json.h"

#include <jansson.h>
#include <stdlib.h>

__attribute__((constructor)) static void lend_malloc(void)
{
	json_set_alloc_funcs(malloc, free);
}

static const char text[] =
	"{\"name\":\"work\",\"tags\":[\"a\",\"b\",17,true,null,1.5],"
	"\"long\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","
	"\"features\":{\"x\":\"1\",\"y\":\"\\u00e9\",\"z\":{}}}";

QTEST(oom, json_parse_survives_every_failed_allocation)
{
	struct qube__json *j = NULL;

	QT_EACH_OOM(qube__json_parse(&j, text, sizeof(text) - 1, 4096, NULL),
		    (qube__json_free(j), j = NULL));
	QT_TRUE(j == NULL);
	/* The tenth is jansson's own: it was lent our malloc. */
	qtest_oom_arm(10);
	QT_INT(qube__json_parse(&j, text, sizeof(text) - 1, 4096, NULL), QUBE_E_NOMEM);
	QT_INT(qtest_oom_disarm(), 1);
}

static int build(struct qube__json **out)
{
	qube__autojson *root = NULL;
	struct qube__json *list = NULL;
	int r = qube__json_new_object(&root);

	if (r == 0)
		r = qube__json_set_string(root, "name", "work");
	if (r == 0)
		r = qube__json_set_int(root, "format", 1);
	if (r == 0)
		r = qube__json_new_array(&list);
	for (int64_t i = 0; r == 0 && i < 20; i++)
		r = qube__json_append_int(list, i);
	if (r < 0) {
		qube__json_free(list);
		return r;
	}
	r = qube__json_set(root, "list", list);
	if (r == 0) {
		*out = root;
		root = NULL;
	}
	return r;
}

QTEST(oom, json_building_survives_every_failed_allocation)
{
	struct qube__json *j = NULL;

	QT_EACH_OOM(build(&j), (qube__json_free(j), j = NULL));
}

QTEST(oom, json_dump_survives_every_failed_allocation)
{
	qube__autojson *j = NULL;
	char *s = NULL;

	QT_INT(qube__json_parse(&j, text, sizeof(text) - 1, 4096, NULL), 0);
	QT_EACH_OOM(qube__json_dump(&s, NULL, j, QUBE__JSON_SORTED | QUBE__JSON_INDENT),
		    (free(s), s = NULL));
	QT_TRUE(s == NULL);
}
