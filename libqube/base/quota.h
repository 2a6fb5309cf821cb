/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a guest makes us hold is charged to that guest and has a ceiling. */
#ifndef QUBE_BASE_QUOTA_H
#define QUBE_BASE_QUOTA_H

#include <qube/error.h>

#include <assert.h>
#include <stdint.h>

enum qube__quota_kind {
	QUBE__Q_BYTES,
	QUBE__Q_FDS,
	QUBE__Q_CALLS,
	QUBE__Q_COUNT,
};

struct qube__quota {
	uint64_t used[QUBE__Q_COUNT];
	uint64_t max[QUBE__Q_COUNT];
};

/* 0, or QUBE_E_LIMIT with nothing charged. */
static inline int qube__quota_charge(struct qube__quota *q, enum qube__quota_kind kind, uint64_t n)
{
	if (n > q->max[kind] - q->used[kind])
		return QUBE_E_LIMIT;
	q->used[kind] += n;
	return 0;
}

static inline void qube__quota_release(struct qube__quota *q, enum qube__quota_kind kind,
				       uint64_t n)
{
	assert(n <= q->used[kind]);
	q->used[kind] -= n;
}

#endif
