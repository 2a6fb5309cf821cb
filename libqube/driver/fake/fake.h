/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Memory for a fake host, for tests: without it the fake driver has none to divide. */
#ifndef QUBE_DRIVER_FAKE_FAKE_H
#define QUBE_DRIVER_FAKE_FAKE_H

#include "driver/driver.h"

/* All in KiB. Machines move towards their targets when they are looked at. */
struct qube__fake_memory {
	uint64_t total;
	uint64_t step; /* by so much a look; 0: all at once */
	void *user;
	/* What a guest says that it uses. NULL: 64 MiB. */
	uint64_t (*used)(void *user, const char *name);
	/* Whether it gives back what it is told to. NULL: yes. */
	bool (*gives)(void *user, const char *name);
};

/* Borrowed until the driver is closed. */
void qube__fake_memory(struct qube__driver *d, const struct qube__fake_memory *memory);
/* What a machine was told last, and what it has. */
uint64_t qube__fake_target_kb(struct qube__machine *m);
uint64_t qube__fake_has_kb(struct qube__machine *m);

#endif
