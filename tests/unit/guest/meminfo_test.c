/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What of its memory a guest uses. */
#include "qtest.h"

#include "meminfo.h"

#include <qube/error.h>

#define TEXT(free_, cached_, swap_)                                                                \
	"MemTotal:         400000 kB\n"                                                            \
	"MemFree:          " free_ " kB\n"                                                         \
	"MemAvailable:     300000 kB\n"                                                            \
	"Buffers:            1000 kB\n"                                                            \
	"Cached:           " cached_ " kB\n"                                                       \
	"SwapCached:            7 kB\n"                                                            \
	"SwapTotal:         50000 kB\n"                                                            \
	"SwapFree:          " swap_ " kB\n"                                                        \
	"HugePages_Total:       0\n"

static int parse(uint64_t *out, const char *text)
{
	return guest_meminfo_parse(out, text, strlen(text));
}

QTEST(meminfo, is_what_is_neither_free_nor_a_cache_and_what_is_swapped)
{
	uint64_t used = 0;

	QT_INT(parse(&used, TEXT("200000", "99000", "49000")), 0);
	QT_INT(used, 101000);
}

QTEST(meminfo, is_never_below_zero)
{
	uint64_t used = 5;

	QT_INT(parse(&used, TEXT("300000", "120000", "60000")), 0);
	QT_INT(used, 0);
}

QTEST(meminfo, rejects_every_truncation)
{
	static const char whole[] = TEXT("200000", "99000", "49000");
	/* The last line is none of those that are wanted. */
	const char *last = strstr(whole, "HugePages");
	uint64_t used = 5;

	for (const char *end = whole; end < last; end++)
		QT_INT(guest_meminfo_parse(&used, whole, (size_t)(end - whole)), QUBE_E_PROTO);
	QT_INT(guest_meminfo_parse(&used, whole, (size_t)(last - whole)), 0);
}

QTEST(meminfo, rejects_what_is_no_number_of_kib)
{
	static const char *const bad[] = {
		TEXT("", "1", "1"),
		TEXT("-1", "1", "1"),
		TEXT("1 ", "1", "1"),
		TEXT("1k", "1", "1"),
		TEXT("99999999999999999999", "1", "1"),
		TEXT("1", "1", "1") "MemFree: 1 kB\n",
	};
	uint64_t used = 5;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		QT_INT(parse(&used, bad[i]), QUBE_E_PROTO);
	QT_INT(used, 5);
}

QTEST(meminfo, is_told_again_after_two_percent_and_a_mebibyte)
{
	QT_TRUE(!guest_meminfo_differs(10000, 11000));
	QT_TRUE(guest_meminfo_differs(10000, 11024));
	QT_TRUE(guest_meminfo_differs(11024, 10000));
	QT_TRUE(!guest_meminfo_differs(1000000, 1020000));
	QT_TRUE(guest_meminfo_differs(1000000, 1020001));
	QT_TRUE(guest_meminfo_differs(0, 1024));
}
