/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A root of Debian, or of a distribution made like it, by mmdebstrap, which verifies the archive's
 * signatures: for template import --debian. */
#ifndef QUBE_CLI_DEBIAN_H
#define QUBE_CLI_DEBIAN_H

#include "cli.h"

#include <limits.h>

struct cli_debian {
	char dir[64];	     /* others can pass; "": none yet */
	char keyring[128];   /* in it, for apt's own user; "": none */
	char place[128];     /* in it, ours alone; "": none yet */
	char root[PATH_MAX]; /* a tar file in there */
};

/* What the command line asks for makes sense. 0 or an exit code after the failure was told. */
int cli_debian_check(struct cli *c);
/* Runs it to its end; Ctrl-C ends it. */
int cli_debian_make(struct cli *c, struct cli_debian *d);
void cli_debian_remove(struct cli_debian *d);

#endif
