/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The terminal that we run in. */
#ifndef QUBE_CLI_TERM_H
#define QUBE_CLI_TERM_H

#include <stdbool.h>
#include <termios.h>

struct cli_term {
	bool raw;
	struct termios saved;
};

/* Every key to the guest, if standard input is a terminal; until cli_term_restore(). */
void cli_term_raw(struct cli_term *t);
void cli_term_restore(struct cli_term *t);
/* Its size; 24 x 80 where there is none. */
void cli_term_size(unsigned int *rows, unsigned int *cols);

#endif
