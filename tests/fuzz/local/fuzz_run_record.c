/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Whatever record is believed says the same when it is written again, and leads nowhere else. */
#include "driver/local/local.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct qube__local_record one;
	static struct qube__local_record two;
	char text[QUBE__LOCAL_RECORD_MAX];
	int n;

	if (qube__local_record_parse(&one, (const char *)data, size) < 0)
		return 0;
	check(one.name[0] && !strchr(one.name, '/') && one.pid > 1);
	check(!one.group[0] || (one.group[0] == '/' && !strstr(one.group, "/../")));
	for (uint32_t i = 0; i < one.n_layers; i++)
		check(one.layers[i][0] && !strchr(one.layers[i], '/') && one.layers[i][0] != '.');
	n = qube__local_record_encode(text, sizeof(text), &one);
	check(n > 0 && qube__local_record_parse(&two, text, (size_t)n) == 0);
	check(memcmp(&one, &two, sizeof(one)) == 0);
	return 0;
}
