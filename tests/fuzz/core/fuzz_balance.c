/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The division of memory, with numbers that no host has: targets stay within their bounds, and no
 * more is promised than was free. */
/* The assertions are the target's point, in every kind of build. */
#undef NDEBUG
#include "core/balance.h"

#include <assert.h>
#include <string.h>

enum { GUESTS = 16, WORDS = 8, ROUNDS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef __int128 wide;

static uint64_t held(const struct qube__balance_guest *g)
{
	return g->has > g->target ? g->has : g->target;
}

static wide held_by_all(const struct qube__balance_guest *g, size_t n, wide *promised)
{
	wide sum = 0;

	*promised = 0;
	for (size_t i = 0; i < n; i++) {
		sum += held(&g[i]);
		*promised += held(&g[i]) - g[i].has;
	}
	return sum;
}

static void check(const struct qube__balance_host *host, struct qube__balance_guest *g, size_t n)
{
	struct qube__balance_guest old[GUESTS];
	wide promised;
	wide before = held_by_all(g, n, &promised);
	wide budget = (wide)host->free - host->reserve - host->claimed - promised;
	wide after;

	memcpy(old, g, sizeof(old));
	qube__balance_round(host, g, n);
	after = held_by_all(g, n, &promised);
	assert(after <= before + (budget > 0 ? budget : 0));
	for (size_t i = 0; i < n; i++) {
		if (g[i].target == old[i].target)
			continue;
		assert(g[i].reports && !g[i].paused && g[i].max > g[i].min);
		assert(g[i].target <= g[i].max);
		assert(g[i].target >= g[i].min || g[i].target > old[i].target);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qube__balance_guest g[GUESTS] = { 0 };
	struct qube__balance_host host;
	uint64_t w[WORDS];
	uint64_t missing = 0;
	size_t n = 0;
	int r;

	if (size < sizeof(w))
		return 0;
	memcpy(w, data, sizeof(w));
	/* The caller's numbers are a machine's; beyond that they are cut, which is not the claim.
	 */
	host = (struct qube__balance_host){ w[0] >> 20, w[1] >> 20, w[2] >> 20 };
	for (data += sizeof(w), size -= sizeof(w); size >= sizeof(w) && n < GUESTS; n++) {
		memcpy(w, data, sizeof(w));
		g[n] = (struct qube__balance_guest){
			.min = w[0] >> 20,
			.max = w[1] >> 20,
			.has = w[2] >> 20,
			.untrusted_used = w[3],
			.reports = w[4] & 1,
			.paused = w[4] & 2,
			.target = w[5] >> 20,
			.seen = w[6],
			.late = (uint32_t)w[7],
		};
		data += sizeof(w);
		size -= sizeof(w);
	}
	r = qube__balance_room(&missing, &host, g, n, w[1] >> 20);
	assert(r == 0 || r == 1 || missing > 0);
	for (int i = 0; i < ROUNDS; i++)
		check(&host, g, n);
	return 0;
}
