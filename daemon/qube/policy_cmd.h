/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * `qube policy`: what a policy says about a call, without making it. */
#ifndef QUBE_CLI_POLICY_CMD_H
#define QUBE_CLI_POLICY_CMD_H

/* argv[0] is "policy". Returns the exit status: 0 allow, 1 deny, 2 usage, 3 ask, 4 policy error. */
int cli_policy(int argc, char **argv);
/* argv[0] is "graph". 0, 1: failed, 2 usage, 4 policy error. */
int cli_policy_graph(int argc, char **argv);

#endif
