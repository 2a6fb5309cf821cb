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

QTEST(cli_trace, draws_parts_under_their_stage)
{
	static const struct qube_op_stage stages[] = {
		{ "create", 0, 80000000 },
		{ "/launch", 0, 20000000 },
		{ "/trees", 20000000, 60000000 },
		{ "run", 80000000, 20000000 },
	};
	char *text = draw(stages, 4);

	QT_STR(text, "STAGE                     START ms   DURATION ms     %\n"
		     "create                       0.000        80.000    80  |##########"
		     "######################        |\n"
		     "  launch                     0.000        20.000    20  |========"
		     "                                |\n"
		     "  trees                     20.000        60.000    60  |        "
		     "========================        |\n"
		     "run                         80.000        20.000    20  |          "
		     "                      ########|\n"
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
