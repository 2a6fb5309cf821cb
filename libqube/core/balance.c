/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A round makes a plan, then orders as much of it as is safe. The plan is made in steps: all get
 * their floor, then what they have and prefer, then what they prefer, then shares of the rest.
 * Where memory ends before a step does, each gets the same part of his step. */
#include "core/balance.h"

#include <qube/error.h>

enum {
	MIB = 1024,
	MARGIN = 350 * MIB,  /* for caches, beside three tenths of what is used */
	HEADROOM = 64 * MIB, /* above what is used, whatever happens: to be able to end something */
	STEP = 15 * MIB,     /* a smaller change is not worth the pages that it moves */
	STEP_PART = 50,	     /* nor one of less than this part of the target */
	STEP_NEEDED = 1 * MIB, /* where somebody needs it */
	LATE_ROUNDS = 10,
};

/* Sums of these, of as many guests as there may be, and products in `wide` do not overflow. */
static const uint64_t KIB_MAX = 1ull << 44;

__extension__ typedef unsigned __int128 wide;

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t part_of(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)((wide)a * b / c);
}

static bool takes_part(const struct qube__balance_guest *g)
{
	return g->reports && !g->paused && g->max > g->min;
}

/* What it has, or may take at any moment without being told more. */
static uint64_t held(const struct qube__balance_guest *g)
{
	return most(g->has, g->target);
}

static bool is_small(uint64_t a, uint64_t b)
{
	uint64_t change = a > b ? a - b : b - a;

	return change <= most(STEP, b / STEP_PART);
}

static void limit(struct qube__balance_guest *g)
{
	g->max = least(g->max, KIB_MAX);
	g->min = least(g->min, KIB_MAX);
	g->has = least(g->has, KIB_MAX);
	g->target = least(g->target, KIB_MAX);
}

/* Before anything else: all below may then rely on floor <= preferred, and on their sums. */
static void look(struct qube__balance_guest *g)
{
	uint64_t used;

	limit(g);
	g->floor = g->preferred = g->plan = held(g);
	if (!takes_part(g))
		return;
	used = least(g->untrusted_used, g->max);
	g->preferred = least(most(used + used / 10 * 3 + MARGIN, g->min), g->max);
	/* It cannot use what it does not have, whatever it says. */
	g->floor = most(g->min, least(least(used + HEADROOM, held(g)), g->max));
	if (g->late >= LATE_ROUNDS)
		g->floor = most(g->floor, g->has);
	g->preferred = most(g->preferred, g->floor);
	g->plan = g->floor;
}

/* One that was told to give and does not move is at some time believed to be unable to. */
static void note_lateness(struct qube__balance_guest *g)
{
	if (g->has <= g->target || is_small(g->has, g->target) || g->has < g->seen)
		g->late = 0;
	else if (g->late < LATE_ROUNDS)
		g->late++;
	g->seen = g->has;
}

/* What is free and promised to nobody; below zero where too much is. */
static int64_t budget_of(const struct qube__balance_host *host, const struct qube__balance_guest *g,
			 size_t n)
{
	int64_t budget = (int64_t)least(host->free, KIB_MAX) -
			 (int64_t)least(host->reserve, KIB_MAX) -
			 (int64_t)least(host->claimed, KIB_MAX);

	for (size_t i = 0; i < n; i++)
		budget -= (int64_t)(held(&g[i]) - g[i].has);
	return budget;
}

/* --- the plan --- */

enum step { KEPT, PREFERRED };

static uint64_t end_of(const struct qube__balance_guest *g, enum step step)
{
	return step == PREFERRED ? g->preferred : most(g->floor, least(g->preferred, held(g)));
}

/* Returns what is left. */
static uint64_t raise_to(struct qube__balance_guest *g, size_t n, enum step step, uint64_t left)
{
	uint64_t lack = 0;

	for (size_t i = 0; i < n; i++)
		lack += end_of(&g[i], step) - g[i].plan;
	for (size_t i = 0; i < n; i++) {
		uint64_t way = end_of(&g[i], step) - g[i].plan;

		g[i].plan += lack <= left ? way : part_of(way, left, lack);
	}
	return lack <= left ? left - lack : 0;
}

/* One that gives nothing back is given what it needs and no more. */
static bool can_have_more(const struct qube__balance_guest *g)
{
	return takes_part(g) && g->late < LATE_ROUNDS && g->plan < g->max;
}

/* In proportion to what each prefers; a pass gives all but what some may not have. */
static void share_rest(struct qube__balance_guest *g, size_t n, uint64_t left)
{
	uint64_t given;

	do {
		uint64_t all = 0;

		given = 0;
		for (size_t i = 0; i < n; i++)
			all += can_have_more(&g[i]) ? g[i].preferred : 0;
		for (size_t i = 0; i < n; i++) {
			uint64_t share;

			if (!can_have_more(&g[i]))
				continue;
			share = least(part_of(left, g[i].preferred, all), g[i].max - g[i].plan);
			g[i].plan += share;
			given += share;
		}
		left -= given;
	} while (left && given);
}

static void make_plan(struct qube__balance_guest *g, size_t n, int64_t budget)
{
	int64_t left = budget;

	for (size_t i = 0; i < n; i++)
		left += (int64_t)held(&g[i]) - (int64_t)g[i].floor;
	if (left > 0)
		share_rest(g, n, raise_to(g, n, PREFERRED, raise_to(g, n, KEPT, (uint64_t)left)));
}

/* --- orders --- */

static uint64_t above_held(const struct qube__balance_guest *g, uint64_t goal)
{
	return goal > held(g) ? goal - held(g) : 0;
}

static uint64_t needed(const struct qube__balance_guest *g)
{
	return above_held(g, least(g->plan, g->preferred));
}

/* Down, or up again within what it has not given back yet. step: the smallest change downwards. */
static void lower(struct qube__balance_guest *g, uint64_t step)
{
	uint64_t goal = least(g->plan, g->max);
	bool outside = g->target > g->max || g->target < g->min;

	/* One that does not move is left with its order, which it may still follow. */
	if (g->late >= LATE_ROUNDS && !outside)
		return;
	if (outside || !is_small(goal, g->target) || (goal < g->target && g->target - goal >= step))
		g->target = goal;
}

/* Of how much less any guest is told: that moves with all that happens on the host, but for a qube
 * that is being started each page counts. */
static uint64_t step_down(const struct qube__balance_host *host, int64_t budget, bool needed)
{
	if (budget < 0 && (host->claimed || -budget > STEP))
		return 1;
	return needed ? STEP_NEEDED : UINT64_MAX;
}

/* extra: beyond all that it may have had already. */
static void raise_by(struct qube__balance_guest *g, uint64_t extra)
{
	uint64_t goal = least(held(g) + extra, g->max);
	bool needs = g->target < g->preferred;

	if (goal > g->target && (needs ? goal - g->target >= STEP_NEEDED || goal == g->preferred :
					 !is_small(goal, g->target)))
		g->target = goal;
}

void qube__balance_round(const struct qube__balance_host *host, struct qube__balance_guest *g,
			 size_t n)
{
	uint64_t need = 0;
	uint64_t more = 0;
	uint64_t for_need;
	uint64_t for_more;
	uint64_t step;
	int64_t budget;

	for (size_t i = 0; i < n; i++) {
		limit(&g[i]);
		note_lateness(&g[i]);
		look(&g[i]);
	}
	budget = budget_of(host, g, n);
	make_plan(g, n, budget);
	for (size_t i = 0; i < n; i++) {
		need += needed(&g[i]);
		more += above_held(&g[i], g[i].plan) - needed(&g[i]);
	}
	for_need = budget > 0 ? least(need, (uint64_t)budget) : 0;
	for_more = budget > 0 ? least(more, (uint64_t)budget - for_need) : 0;
	step = step_down(host, budget, need > for_need);
	for (size_t i = 0; i < n; i++) {
		uint64_t mine = needed(&g[i]);
		uint64_t mine_more = above_held(&g[i], g[i].plan) - mine;

		if (!takes_part(&g[i]))
			continue;
		if (g[i].plan <= held(&g[i]))
			lower(&g[i], step);
		else
			raise_by(&g[i], (need ? part_of(mine, for_need, need) : 0) +
						(more ? part_of(mine_more, for_more, more) : 0));
	}
}

int qube__balance_room(uint64_t *missing, const struct qube__balance_host *host,
		       struct qube__balance_guest *g, size_t n, uint64_t want)
{
	int64_t lack;

	for (size_t i = 0; i < n; i++)
		look(&g[i]);
	lack = (int64_t)least(want, KIB_MAX) - budget_of(host, g, n);
	if (lack <= 0)
		return 0;
	*missing = (uint64_t)lack;
	for (size_t i = 0; i < n; i++)
		if (held(&g[i]) > g[i].floor)
			lack -= (int64_t)(held(&g[i]) - g[i].floor);
	if (lack <= 0)
		return 1;
	*missing = (uint64_t)lack;
	return QUBE_E_LIMIT;
}
