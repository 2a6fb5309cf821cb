/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a template tells of its update: the same in one piece and in two. */
#include "update_report.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cli_update_report one = { .n_packages = 0 };
	struct cli_update_report two = { .n_packages = 0 };
	const char *text = (const char *)data;
	char why[2][CLI_UPDATE_LINE_MAX] = { "", "" };

	cli_update_report_feed(&one, text, size);
	cli_update_report_feed(&two, text, size / 2);
	cli_update_report_feed(&two, text + size / 2, size - size / 2);
	assert(one.nonsense == two.nonsense && one.n_packages == two.n_packages);
	assert(cli_update_report_judge(&one, 0, why[0], sizeof(why[0])) ==
	       cli_update_report_judge(&two, 0, why[1], sizeof(why[1])));
	assert(strcmp(why[0], why[1]) == 0);
	cli_update_report_fini(&one);
	cli_update_report_fini(&two);
	return 0;
}
