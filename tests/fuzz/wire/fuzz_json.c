/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is taken can be dumped, and the dump means the same. NOMEM would say that the scan and the
 * library behind it disagree about the grammar. */
#include "wire/json.h"

#include <qube/error.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	qube__autojson *a = NULL;
	qube__autojson *b = NULL;
	uint32_t line = 0;
	char *first = NULL;
	char *second = NULL;
	size_t len = 0;
	int r = qube__json_parse(&a, data, size, 1 << 16, &line);

	assert(r != QUBE_E_NOMEM);
	if (r < 0) {
		assert(!a && (r != QUBE_E_PROTO || line >= 1));
		return 0;
	}
	assert(qube__json_dump(&first, &len, a, QUBE__JSON_SORTED | QUBE__JSON_INDENT) == 0);
	assert(len == strlen(first));
	assert(qube__json_parse(&b, first, len, 1 << 24, NULL) == 0);
	assert(qube__json_dump(&second, NULL, b, QUBE__JSON_SORTED | QUBE__JSON_INDENT) == 0);
	assert(strcmp(first, second) == 0);
	free(first);
	free(second);
	return 0;
}
