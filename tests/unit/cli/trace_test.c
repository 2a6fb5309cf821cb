/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The picture of an operation's stages, whole. */
#include "qtest.h"

#include "trace.h"

#include <stdlib.h>

static char *draw(const struct qube_op_stage *stages, size_t n)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	cli_trace_draw(f, stages, n);
	fclose(f);
	return text;
}

QTEST(cli_trace, draws_each_stage_where_it_ran)
{
	static const struct qube_op_stage stages[] = {
		{ "prepare", 0, 25000000 },
		{ "create", 25000000, 50000000 },
		{ "run", 75000000, 25000000 },
		{ "up\033", 100000000, 0 },
	};
	char *text = draw(stages, 4);

	QT_STR(text, "STAGE                     START ms   DURATION ms     %\n"
		     "prepare                      0.000        25.000    25  |##########"
		     "                              |\n"
		     "create                      25.000        50.000    50  |          "
		     "####################          |\n"
		     "run                         75.000        25.000    25  |          "
		     "                    ##########|\n"
		     "up\\x1b                     100.000         0.000     0  |          "
		     "                             .|\n"
		     "all                                      100.000\n");
	free(text);
}

QTEST(cli_trace, of_no_stages_is_empty)
{
	char *text = draw(NULL, 0);

	QT_STR(text, "STAGE                     START ms   DURATION ms     %\n"
		     "all                                        0.000\n");
	free(text);
}
