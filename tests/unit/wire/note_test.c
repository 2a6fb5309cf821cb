/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What becomes of a note. */
#include "qtest.h"

#include "wire/note.h"

#include <qube/error.h>

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *text;
	const char *want; /* NULL: not UTF-8 */
} rows[] = {
	{ "", "" },
	{ "two lines\n\tand a tab", "two lines\n\tand a tab" },
	{ "gr\xc3\xbc\xc3\x9f"
	  "e \xe2\x82\xac \xf0\x9f\x98\x80",
	  "gr\xc3\xbc\xc3\x9f"
	  "e \xe2\x82\xac \xf0\x9f\x98\x80" },
	{ "\x1b]0;title\x07", "_]0;title_" },
	{ "a\rb\x7f\x01", "a_b__" },
	{ "\xc2\x9b"
	  "31m",
	  "_31m" },
	{ "\xe2\x80\xae"
	  "txt.exe\xe2\x80\xac",
	  "_txt.exe_" },
	{ "zero\xe2\x80\x8bwidth\xef\xbb\xbf", "zero_width_" },
	{ "\xe2\x81\xa6\xe2\x81\xa9\xd8\x9c", "___" },
	{ "\xe2\x80\xa8\xe2\x80\xa9", "__" },
	{ "\xf3\xa0\x81\x81", "_" },
	{ "\xee\x80\x80\xef\xbf\xbf", "__" },
	{ "\xc0\x80", NULL },
	{ "\xe0\x80\x80", NULL },
	{ "\xf0\x80\x80\x80", NULL },
	{ "\xed\xa0\x80", NULL },
	{ "\xf4\x90\x80\x80", NULL },
	{ "\xf8\x88\x80\x80\x80", NULL },
	{ "\x80", NULL },
	{ "\xff", NULL },
	{ "cut\xe2\x82", NULL },
	{ "\xe2"
	  "a\x80",
	  NULL },
};

QTEST(note, has_nothing_that_acts_on_a_terminal)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[64] = "untouched";
		size_t len = strlen(rows[i].text);
		int r = qube__wire_note_clean(out, rows[i].text, len);

		QT_INT(r, rows[i].want ? 0 : QUBE_E_INVALID);
		QT_INT(qube__wire_note_clean(NULL, rows[i].text, len), r);
		if (!rows[i].want)
			continue;
		QT_STR(out, rows[i].want);
		QT_INT(qube__wire_note_is_clean(rows[i].text, len), !strcmp(rows[i].text, out));
		QT_TRUE(qube__wire_note_is_clean(out, strlen(out)));
	}
	QT_TRUE(!qube__wire_note_is_clean("a\0b", 3));
}

QTEST(note, has_a_greatest_length)
{
	char *text = malloc(QUBE__NOTE_MAX + 2);

	QT_TRUE(text != NULL);
	memset(text, 'a', QUBE__NOTE_MAX + 1);
	QT_INT(qube__wire_note_clean(NULL, text, QUBE__NOTE_MAX), 0);
	QT_INT(qube__wire_note_clean(NULL, text, QUBE__NOTE_MAX + 1), QUBE_E_LIMIT);
	QT_TRUE(!qube__wire_note_is_clean(text, QUBE__NOTE_MAX + 1));
	free(text);
}
