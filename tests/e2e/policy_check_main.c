/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The policy command as a program of its own, for the vectors. */
#include "policy_cmd.h"

#include <qube/types.h>

#include <stdlib.h>

#ifdef POLICY_CHECK_NEEDS_FREE
void qube_free(void *ptr)
{
	free(ptr);
}
#endif

int main(int argc, char **argv)
{
	return cli_policy(argc, argv);
}
