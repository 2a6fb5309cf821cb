/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where an operation's time went, for people. Pure: a picture is a test's text. */
#ifndef QUBE_CLI_TRACE_H
#define QUBE_CLI_TRACE_H

#include <qube/op.h>

#include <stddef.h>
#include <stdio.h>

/* A row a stage: name, start, duration, share of the whole, and a bar at the time when it ran. One
 * that still runs lasts until the end of the picture and is drawn with dots. */
void cli_trace_draw(FILE *f, const struct qube_op_stage *stages, size_t n);

#endif
