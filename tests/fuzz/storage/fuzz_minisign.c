/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Keys and signatures: whole or refused. */
#include "minisign.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct minisign_key key;
	struct minisign_sig sig;

	worker_minisign_key_parse(&key, text, size);
	if (worker_minisign_sig_parse(&sig, text, size) == 0)
		assert(sig.comment > text && sig.comment + sig.comment_len < text + size);
	return 0;
}
