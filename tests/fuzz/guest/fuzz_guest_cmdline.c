/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A kernel's command line: names that are single entries of a directory, or refused. */
/* The assertions are the target's point, in every kind of build. */
#undef NDEBUG
#include "init.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct init_cmdline c;

	if (init_cmdline_parse(&c, (const char *)data, size) < 0)
		return 0;
	assert(strlen(c.name) < sizeof(c.name) && !strpbrk(c.name, "/ \n:"));
	assert(strlen(c.user) < sizeof(c.user) && !strpbrk(c.user, "/ \n:"));
	assert(strlen(c.services) < sizeof(c.services) && !strpbrk(c.services, "/,\n"));
	for (const char *p = c.services; *p; p += *p == ' ') {
		size_t n = strcspn(p, " ");

		assert(n > 0 && n <= ROOT_SERVICE_MAX && *p != '.');
		p += n;
	}
	return 0;
}
