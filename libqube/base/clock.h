/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Monotonic time, for all that waits or measures; and the time of the wall, which people and other
 * clocks set forwards and back: it is told, noted and shown, and nothing is decided by it. */
#ifndef QUBE_BASE_CLOCK_H
#define QUBE_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t qube__now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t qube__now_ms(void)
{
	return qube__now_ns() / 1000000u;
}

/* Since 1970; only to be told. */
static inline uint64_t qube__wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

static inline int64_t qube__wall_s(void)
{
	return (int64_t)(qube__wall_ms() / 1000u);
}

/* When what is age_ms old began, by the wall's clock of now. What was noted is kept while it fits:
 * two clocks are not read at one instant. */
static inline uint64_t qube__wall_begin(uint64_t noted_ms, uint64_t wall_ms, uint64_t age_ms)
{
	enum { FITS_MS = 1000 };
	uint64_t begin = wall_ms > age_ms ? wall_ms - age_ms : 0;
	uint64_t off = begin > noted_ms ? begin - noted_ms : noted_ms - begin;

	return off <= FITS_MS ? noted_ms : begin;
}

#endif
