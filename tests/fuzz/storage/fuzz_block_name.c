/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A name in a directory of images: what is taken for an old state is called exactly that. */
#include "storage/block.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char again[QUBE__BLOCK_FILE_MAX];
	char *file = malloc(size + 1);
	uint64_t number;
	int64_t time;

	assert(file);
	memcpy(file, data, size);
	file[size] = '\0';
	if (qube__block_parse_state(&number, &time, file, "root")) {
		assert(number < UINT64_MAX && time >= 0);
		qube__block_state_file(again, "root", number, time);
		assert(strcmp(file, again) == 0);
	}
	free(file);
	return 0;
}
