/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How the memory of a host is divided among the qubes that run. Pure: numbers in, targets out. What
 * a guest says of itself moves nothing but its own part, and that only between its min and max. */
#ifndef QUBE_CORE_BALANCE_H
#define QUBE_CORE_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All memory in KiB. */
struct qube__balance_guest {
	uint64_t min;
	uint64_t max; /* not above min: it takes no part */
	uint64_t has; /* as the host knows it */
	uint64_t untrusted_used;
	bool reports; /* else untrusted_used means nothing, and it takes no part */
	bool paused;  /* cannot give anything back now: takes no part */

	/* Kept from round to round; the caller gives the first target. */
	uint64_t target;
	uint64_t seen; /* what it had the last time */
	uint32_t late; /* rounds in which it gave nothing back though it was told */

	/* Of balance.c, within one call. */
	uint64_t floor;
	uint64_t preferred;
	uint64_t plan;
};

struct qube__balance_host {
	uint64_t free;
	uint64_t reserve; /* of it, for the host itself */
	uint64_t claimed; /* of it, for qubes that are being started */
};

/* A new target for each guest that takes part. Nobody is told to give up what it needs (its min, or
 * what it says it uses and has), and nobody is promised what is not free yet: what some give back
 * others get in a later round. */
void qube__balance_round(const struct qube__balance_host *host, struct qube__balance_guest *g,
			 size_t n);

/* Can `want` more be had? 0: it is free. 1: it is once the guests have given back what is missing,
 * as the next rounds, with it among the claims, tell them to. QUBE_E_LIMIT: that much is missing
 * even then; sets no message. */
int qube__balance_room(uint64_t *missing, const struct qube__balance_host *host,
		       struct qube__balance_guest *g, size_t n, uint64_t want);

#endif
