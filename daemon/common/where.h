/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where our other programs are: beside this one (a build tree), or where they are installed. */
#ifndef QUBE_CLI_WHERE_H
#define QUBE_CLI_WHERE_H

#include <stddef.h>

/* The directory of the helper programs: this program's own if it holds qube-box. */
void cli_where_helpers(char *out, size_t cap);
/* The path of qubed: beside this program, or the installed one. */
void cli_where_daemon(char *out, size_t cap);

#endif
