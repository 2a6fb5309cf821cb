/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Names of images. Pure code. */
#include "storage/block.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void qube__block_file(char out[QUBE__BLOCK_FILE_MAX], const char *name)
{
	snprintf(out, QUBE__BLOCK_FILE_MAX, "%.31s.img", name);
}

void qube__block_state_file(char out[QUBE__BLOCK_FILE_MAX], const char *name, uint64_t number,
			    int64_t time)
{
	snprintf(out, QUBE__BLOCK_FILE_MAX, "%.31s.%" PRIu64 "@%" PRId64 ".img", name, number,
		 time);
}

bool qube__block_parse_state(uint64_t *number, int64_t *time, const char *file, const char *name)
{
	size_t n = strlen(name);
	char again[QUBE__BLOCK_FILE_MAX];
	const char *sep;
	char text[24];
	uint64_t seconds;

	if (strncmp(file, name, n) != 0 || file[n] != '.' || !(sep = strchr(file + n, '@')) ||
	    (size_t)(sep - file) - n - 1 >= sizeof(text) || strlen(sep) >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)(sep - file - (ptrdiff_t)n - 1), file + n + 1);
	if (qube__text_u64(number, text, UINT64_MAX - 1) < 0)
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(sep + 1, "."), sep + 1);
	if (qube__text_u64(&seconds, text, INT64_MAX) < 0)
		return false;
	*time = (int64_t)seconds;
	qube__block_state_file(again, name, *number, *time);
	return strcmp(again, file) == 0;
}
