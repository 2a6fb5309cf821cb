/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The terminal that we run in. Signals that end us are read from a descriptor while it is raw
 * (op.c), so every way out but SIGKILL passes cli_term_restore(). */
#include "term.h"

#include <sys/ioctl.h>
#include <unistd.h>

void cli_term_raw(struct cli_term *t)
{
	struct termios raw;

	t->raw = false;
	if (tcgetattr(STDIN_FILENO, &t->saved) < 0)
		return;
	raw = t->saved;
	cfmakeraw(&raw);
	t->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

void cli_term_restore(struct cli_term *t)
{
	if (t->raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &t->saved);
	t->raw = false;
}

void cli_term_size(unsigned int *rows, unsigned int *cols)
{
	struct winsize w;

	*rows = 24;
	*cols = 80;
	for (int fd = 0; fd <= 2; fd++) {
		if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_row > 0 && w.ws_col > 0) {
			*rows = w.ws_row;
			*cols = w.ws_col;
			return;
		}
	}
}
