/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Readings of a log. */
#include "log_tail.h"

#include <string.h>

const char *cli_log_tail(const char *text, uint64_t n)
{
	size_t len = strlen(text);
	const char *p = text + len;

	if (p > text && p[-1] == '\n')
		p--;
	if (n == 0)
		return text + len;
	for (; p > text; p--)
		if (p[-1] == '\n' && --n == 0)
			return p;
	return text;
}

/* Readings begin at the begin of a line. So now begins with a last part of seen, from one of its
 * lines on; the longest one is looked for. */
const char *cli_log_fresh(const char *seen, const char *now)
{
	size_t len = strlen(seen);

	if (!len)
		return now;
	for (const char *from = seen; from;) {
		size_t left = len - (size_t)(from - seen);

		if (left && strncmp(from, now, left) == 0)
			return now + left;
		from = strchr(from, '\n');
		from = from ? from + 1 : NULL;
	}
	return NULL;
}
