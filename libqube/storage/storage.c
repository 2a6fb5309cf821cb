/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a driver mounts. */
#include "storage/storage.h"

#include <stdlib.h>
#include <string.h>

void qube__volume_run_fini(struct qube__volume_run *r)
{
	for (uint32_t i = 0; i < r->n_layers; i++)
		free(r->layers[i]);
	free(r->upper);
	free(r->work);
	memset(r, 0, sizeof(*r));
}
