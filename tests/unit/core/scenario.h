/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One story told through the public calls alone, so that any kind of context can live it; what
 * came of each call is written down, and two contexts' stories can be compared. */
#ifndef TEST_CORE_SCENARIO_H
#define TEST_CORE_SCENARIO_H

#include "rig.h"

/* ctx has the rig's qubes. */
void scenario_life(qube_ctx *ctx, struct text *t);
void scenario_settings(qube_ctx *ctx, struct text *t);
void scenario_notes(qube_ctx *ctx, struct text *t);
void scenario_globals(qube_ctx *ctx, struct text *t);
void scenario_labels(qube_ctx *ctx, struct text *t);
void scenario_refusals(qube_ctx *ctx, struct text *t);

#endif
