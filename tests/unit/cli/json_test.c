/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The JSON writer. */
#include "qtest.h"

#include "json.h"

#include <stdio.h>
#include <stdlib.h>

struct doc {
	char *text;
	size_t len;
	struct cli_json j;
};

static void begin(struct doc *d)
{
	memset(d, 0, sizeof(*d));
	cli_json_init(&d->j, open_memstream(&d->text, &d->len));
}

static void end(struct doc *d)
{
	cli_json_end(&d->j);
	fclose(d->j.f);
}

QTEST(cli_json, writes_nested_values)
{
	struct doc d;

	begin(&d);
	cli_json_open_object(&d.j, NULL);
	cli_json_string(&d.j, "name", "work");
	cli_json_string(&d.j, "none", NULL);
	cli_json_open_array(&d.j, "list");
	cli_json_int(&d.j, NULL, -5);
	cli_json_uint(&d.j, NULL, UINT64_MAX);
	cli_json_open_object(&d.j, NULL);
	cli_json_close_object(&d.j);
	cli_json_close_array(&d.j);
	cli_json_bool(&d.j, "yes", true);
	cli_json_bool(&d.j, "no", false);
	cli_json_close_object(&d.j);
	end(&d);
	QT_STR(d.text, "{\"name\": \"work\", \"none\": null, "
		       "\"list\": [-5, 18446744073709551615, {}], \"yes\": true, \"no\": false}\n");
	free(d.text);
}

struct text_case {
	const char *in, *out;
};

static void check_strings(const struct text_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char want[256];
		struct doc d;

		begin(&d);
		cli_json_string(&d.j, NULL, cases[i].in);
		end(&d);
		snprintf(want, sizeof(want), "\"%s\"\n", cases[i].out);
		if (strcmp(d.text, want) != 0)
			qtest_fail(__FILE__, __LINE__, "case %zu: %s, expected %s", i, d.text,
				   want);
		free(d.text);
	}
}

QTEST(cli_json, escapes_strings)
{
	static const struct text_case cases[] = {
		{ "", "" },
		{ "a\"b\\c/d", "a\\\"b\\\\c/d" },
		{ "\n\r\t", "\\n\\r\\t" },
		{ "\001\037\177", "\\u0001\\u001f\\u007f" },
		{ "\xc3\xa9", "\xc3\xa9" },		    /* e with acute */
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" }, /* beyond the first plane */
	};

	check_strings(cases, sizeof(cases) / sizeof(cases[0]));
}

QTEST(cli_json, replaces_bytes_that_are_no_utf8)
{
	static const struct text_case cases[] = {
		{ "\x80", "\\ufffd" },
		{ "a\xc3", "a\\ufffd" },
		{ "\xc3(", "\\ufffd(" },
		{ "\xc0\xaf", "\\ufffd\\ufffd" }, /* overlong */
		{ "\xe0\x80\xaf", "\\ufffd\\ufffd\\ufffd" },
		{ "\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd" }, /* surrogate */
		{ "\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd" },
		{ "\xff\xfe", "\\ufffd\\ufffd" },
	};

	check_strings(cases, sizeof(cases) / sizeof(cases[0]));
}

/* JSON is shown on terminals too. */
QTEST(cli_json, threat_04_escapes_what_a_terminal_acts_on)
{
	static const struct text_case cases[] = {
		{ "\033]0;t\007", "\\u001b]0;t\\u0007" },
		{ "\xc2\x9b"
		  "31m",
		  "\\u009b31m" },			  /* C1 as a character */
		{ "\xe2\x80\xae", "\\u202e" },		  /* right-to-left override */
		{ "\xe2\x81\xa6", "\\u2066" },		  /* isolate */
		{ "\xf3\xa0\x80\xa1", "\\udb40\\udc21" }, /* tag */
	};

	check_strings(cases, sizeof(cases) / sizeof(cases[0]));
}
