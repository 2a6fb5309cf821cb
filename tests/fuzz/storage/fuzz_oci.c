/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An image's index and manifest: what they name can only be a blob. */
#include "oci.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct oci_blob *b)
{
	assert(strlen(b->hex) == 64 && strspn(b->hex, "0123456789abcdef") == 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct oci_layers layers;
	struct oci_blob b;

	if (worker_oci_index_parse(&b, data, size, "amd64") == 0)
		check(&b);
	if (worker_oci_manifest_parse(&layers, data, size) == 0) {
		assert(layers.n && layers.n <= OCI_LAYERS_MAX);
		for (size_t i = 0; i < layers.n; i++)
			check(&layers.blob[i]);
	}
	return 0;
}
