/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A note: what is cleaned is clean, no longer than before, and stays as it is when cleaned again.
 */
#include "wire/note.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *once = malloc(size + 1);
	char *twice = malloc(size + 1);

	assert(once && twice);
	if (qube__wire_note_clean(once, data, size) == 0) {
		assert(strlen(once) <= size && qube__wire_note_is_clean(once, strlen(once)));
		assert(qube__wire_note_clean(twice, once, strlen(once)) == 0);
		assert(!strcmp(once, twice));
		for (const char *c = once; *c; c++)
			assert((unsigned char)*c >= 0x20 || *c == '\t' || *c == '\n');
		/* What is clean is not changed. */
		if (qube__wire_note_is_clean(data, size))
			assert(strlen(once) == size && !memcmp(once, data, size));
	} else {
		assert(!qube__wire_note_is_clean(data, size));
	}
	free(once);
	free(twice);
	return 0;
}
