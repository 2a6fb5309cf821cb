/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "wire/names.h"

#include <qube/error.h>

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static const struct field {
	const char *what;
	bool (*check)(const void *untrusted, size_t len);
	const char *good; /* a valid text; each byte is tried in its middle */
	const char *alphabet;
	size_t max;
} fields[] = {
	{ "qube", qube__name_is_qube, "a-a", ALNUM "_-.", 31 },
	{ "label", qube__name_is_label, "a-a", ALNUM "_-.", 63 },
	{ "tag", qube__name_is_tag, "a-a", ALNUM "_-", 127 },
	{ "feature", qube__name_is_feature, "a-a", ALNUM "_-.", 127 },
	{ "property", qube__name_is_property, "a_a", "abcdefghijklmnopqrstuvwxyz0123456789_", 63 },
	{ "pool", qube__name_is_pool, "a-a", ALNUM "_-.", 63 },
	{ "volume", qube__name_is_volume, "a-a", ALNUM "_-.", 31 },
	{ "service", qube__name_is_service, "a-a", ALNUM "_-.", 255 },
	{ "argument", qube__name_is_argument, "a-a", ALNUM "_-.+", 65000 },
	{ "descriptor", qube__name_is_descriptor, "a-a", ALNUM "_-.+", 255 },
	{ "colour", qube__name_is_colour, "0xaaaaaa", "0123456789abcdefABCDEF", 8 },
	{ "uuid", qube__name_is_uuid, "00000000-0000-0000-0000-000000000000", "0123456789abcdef",
	  36 },
};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

QTEST(names, threat_01_every_byte_of_every_field_is_in_its_alphabet_or_refused)
{
	for (size_t f = 0; f < FIELDS; f++) {
		size_t n = strlen(fields[f].good);
		size_t at = n > 3 ? n - 1 : 1;

		for (unsigned int c = 0; c < 256; c++) {
			char text[64];
			bool want = c && strchr(fields[f].alphabet, (int)c);

			memcpy(text, fields[f].good, n);
			text[at] = (char)c;
			if (fields[f].check(text, n) != want)
				QT_FAIL("%s: byte %u is %s", fields[f].what, c,
					want ? "refused" : "taken");
		}
	}
	for (unsigned int c = 0; c < 256; c++) {
		char byte = (char)c;

		QT_INT(qube__name_is_feature_value(&byte, 1), c >= 0x20 && c < 0x7f);
	}
}

QTEST(names, threat_02_lengths_are_exact)
{
	static char text[65002];

	memset(text, 'a', sizeof(text));
	for (size_t f = 0; f < FIELDS; f++) {
		bool fixed = fields[f].max == 8 || fields[f].max == 36;
		bool empty_ok = fields[f].check == qube__name_is_argument;

		if (!fixed) {
			QT_TRUE(fields[f].check(text, 1));
			QT_TRUE(fields[f].check(text, fields[f].max));
		} else {
			QT_TRUE(fields[f].check(fields[f].good, fields[f].max));
			QT_TRUE(!fields[f].check(fields[f].good, fields[f].max - 1));
		}
		QT_INT(fields[f].check(text, 0), empty_ok);
		QT_TRUE(!fields[f].check(text, fields[f].max + 1));
	}
	QT_TRUE(qube__name_is_feature_value(text, QUBE__FEATURE_VALUE_MAX));
	QT_TRUE(!qube__name_is_feature_value(text, QUBE__FEATURE_VALUE_MAX + 1));
}

static bool qube(const char *s)
{
	return qube__name_is_qube(s, strlen(s));
}

QTEST(names, a_qube_has_a_name_that_nothing_else_claims)
{
	QT_TRUE(qube("work") && qube("W.2_x-y") && qube("dom0") && qube("None"));
	QT_TRUE(!qube("none") && !qube("default") && !qube("Domain-0"));
	QT_TRUE(!qube("sys-net-dm") && qube("x-dmx"));
	QT_TRUE(!qube("1work") && !qube("-work") && !qube(".work") && !qube("_work"));
	QT_TRUE(!qube("@dispvm"));
	QT_TRUE(qube__name_qube_fault("work", 4) == NULL);
	QT_TRUE(strstr(qube__name_qube_fault("none", 4), "reserved"));
}

QTEST(names, dots_are_no_file_and_digits_are_no_label)
{
	QT_TRUE(!qube__name_is_pool("..", 2) && !qube__name_is_volume(".", 1));
	QT_TRUE(!qube__name_is_service("..", 2) && !qube__name_is_descriptor("..+a", 4));
	QT_TRUE(qube__name_is_service("...", 3));
	QT_TRUE(!qube__name_is_label("12", 2) && qube__name_is_label("1a", 2));
	QT_TRUE(!qube__name_is_descriptor("+a", 2));
	QT_TRUE(qube__name_is_descriptor("a+", 2) && qube__name_is_descriptor("a+b+c", 5));
}

QTEST(names, a_uuid_is_lower_case_and_dashed)
{
	const char good[] = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff";

	QT_TRUE(qube__name_is_uuid(good, 36));
	QT_TRUE(!qube__name_is_uuid("0F1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff", 36));
	QT_TRUE(!qube__name_is_uuid("0f1e2d3c04b5a-4978-8695-a4b3c2d1e0ff", 36));
	QT_TRUE(!qube__name_is_uuid("0f1e2d3-c4b5a-4978-8695-a4b3c2d1e0ff", 36));
}

QTEST(names, booleans_are_eight_words)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {
		{ "0", 0 },    { "no", 0 },	{ "False", 0 }, { "OFF", 0 },	{ "1", 1 },
		{ "yes", 1 },  { "TRUE", 1 },	{ "on", 1 },	{ "", -3 },	{ "2", -3 },
		{ "tru", -3 }, { "true ", -3 }, { "yess", -3 }, { "none", -3 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool v = rows[i].want == 0;
		int r = qube__name_bool(&v, rows[i].text, strlen(rows[i].text));

		if (rows[i].want < 0)
			QT_INT(r, QUBE_E_INVALID);
		else
			QT_INT(v, rows[i].want);
	}
}

QTEST(names, colours_are_24_bits_of_hex)
{
	static const char *const bad[] = { "",	       "0x",	   "0x12345", "0x1234567",
					   "0X123456", "0x12345g", "123456",  "0x 12345" };
	uint32_t rgb = 7;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (qube__name_colour(&rgb, bad[i], strlen(bad[i])) != QUBE_E_INVALID)
			QT_FAIL("'%s' was taken", bad[i]);
	QT_INT(rgb, 7);
	QT_INT(qube__name_colour(&rgb, "0x0aF9bE", 8), 0);
	QT_INT(rgb, 0x0af9be);
}

QTEST(names, numbers_are_canonical_and_fit)
{
	static const char *const bad[] = { "",
					   "-",
					   "+1",
					   "01",
					   "-0",
					   "1 ",
					   " 1",
					   "0x1",
					   "1.0",
					   "9223372036854775808",
					   "-9223372036854775809",
					   "99999999999999999999" };
	int64_t v = 7;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (qube__name_int(&v, bad[i], strlen(bad[i])) != QUBE_E_INVALID)
			QT_FAIL("'%s' was taken", bad[i]);
	QT_INT(v, 7);
	QT_INT(qube__name_int(&v, "-9223372036854775808", 20), 0);
	QT_TRUE(v == INT64_MIN);
	QT_INT(qube__name_int(&v, "9223372036854775807", 19), 0);
	QT_TRUE(v == INT64_MAX);
	QT_INT(qube__name_int(&v, "0", 1), 0);
	QT_INT(v, 0);
}
