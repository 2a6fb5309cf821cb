/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The daemon's end. */
#ifndef QUBED_STOP_H
#define QUBED_STOP_H

#include <qube/qube.h>

#include <stddef.h>

struct qubed_stop {
	void (*done)(void *user); /* all are down; from dispatch or from the call itself */
	void *user;
	size_t pending;
};

/* Asks every qube to stop and kills those that have not after timeout_ms. s stays in place until
 * done was called or the context is closed. */
void qubed_stop_qubes(struct qubed_stop *s, qube_ctx *ctx, int32_t timeout_ms);

#endif
