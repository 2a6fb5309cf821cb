/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is accepted is written back to something that reads the same, and its ids are entries. */
#include "storage/volume_file.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct qube__volume_file f;
	static struct qube__volume_file again;
	static char out[QUBE__VOLUME_FILE_MAX + 4096];
	int n;

	if (qube__volume_file_parse(&f, (const char *)data, size) < 0)
		return 0;
	assert(f.n_states >= 1 && f.n_states <= QUBE__REVISIONS_MAX);
	for (uint32_t i = 0; i < f.n_states; i++)
		for (uint32_t k = 0; k < f.states[i].n_layers; k++)
			assert(qube__layer_id_ok(f.states[i].layers[k]));
	n = qube__volume_file_encode(out, sizeof(out), &f);
	assert(n > 0);
	assert(qube__volume_file_parse(&again, out, (size_t)n) == 0);
	assert(memcmp(&f, &again, sizeof(f)) == 0);
	return 0;
}
