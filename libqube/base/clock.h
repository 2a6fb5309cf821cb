/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Monotonic time. */
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

#endif
