/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What qubed says: lines on standard error, with the priority in front where systemd reads them. */
#ifndef QUBED_LOG_H
#define QUBED_LOG_H

#include <stdint.h>

/* The ctx's log callback. */
void qubed_log_line(void *user, int32_t priority, const char *line);
void qubed_log(int32_t priority, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Tells systemd, if it asked to be told: "READY=1". */
void qubed_notify(const char *state);

#endif
