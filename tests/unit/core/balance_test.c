/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Guests of many kinds on a host in numbers, for hundreds of rounds: what must hold in each of
 * them, and what must have come true in the end. */
#include "qtest.h"

#include "core/balance.h"

#include <qube/error.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MIB 1024ull

enum { GUESTS_MAX = 24 };

/* What a guest does when it is told a target, and what it says. */
enum kind {
	HONEST,
	GREEDY,	   /* says that it uses all there is */
	MODEST,	   /* says that it uses nothing */
	FLICKER,   /* says the one and the other in turn */
	SILENT,	   /* says nothing */
	UNMOVABLE, /* takes, and gives nothing back */
};

struct sim_guest {
	enum kind kind;
	uint64_t used; /* what it really needs */
	bool paused;
	bool was_raised;
};

struct sim {
	uint64_t total;
	uint64_t reserve;
	uint64_t claimed;
	uint64_t round;
	uint64_t random;
	size_t n;
	uint64_t changes; /* of targets, since it was set to 0 */
	struct sim_guest s[GUESTS_MAX];
	struct qube__balance_guest g[GUESTS_MAX];
};

static uint64_t any(struct sim *sim, uint64_t below)
{
	sim->random = sim->random * 6364136223846793005ull + 1442695040888963407ull;
	return (sim->random >> 33) % below;
}

static uint64_t free_of(const struct sim *sim)
{
	uint64_t has = 0;

	for (size_t i = 0; i < sim->n; i++)
		has += sim->g[i].has;
	return has > sim->total ? 0 : sim->total - has;
}

static size_t add(struct sim *sim, enum kind kind, uint64_t min, uint64_t max, uint64_t used)
{
	sim->s[sim->n] = (struct sim_guest){ .kind = kind, .used = used * MIB };
	sim->g[sim->n] = (struct qube__balance_guest){
		.min = min * MIB, .max = max * MIB, .has = min * MIB, .target = min * MIB
	};
	return sim->n++;
}

static void report(struct sim *sim, size_t i)
{
	struct qube__balance_guest *g = &sim->g[i];
	const struct sim_guest *s = &sim->s[i];

	g->reports = s->kind != SILENT;
	g->paused = s->paused;
	g->untrusted_used = s->used < g->has ? s->used : g->has;
	if (s->kind == GREEDY || (s->kind == FLICKER && sim->round % 2))
		g->untrusted_used = UINT64_MAX;
	if (s->kind == MODEST || (s->kind == FLICKER && sim->round % 2 == 0))
		g->untrusted_used = 0;
}

/* Some 200 MiB a round, and no further down than it really needs. */
static void follow(struct sim *sim, size_t i)
{
	struct qube__balance_guest *g = &sim->g[i];
	const struct sim_guest *s = &sim->s[i];
	uint64_t goal = g->target;
	uint64_t most = 200 * MIB;

	if (s->paused || (s->kind == UNMOVABLE && goal < g->has))
		return;
	if (goal < s->used && goal < g->has)
		goal = s->used < g->has ? s->used : g->has;
	if (goal > g->has)
		g->has += goal - g->has < most ? goal - g->has : most;
	else
		g->has -= g->has - goal < most ? g->has - goal : most;
}

/* The promises that can be called in at once never exceed what there is. */
static bool bounds_hold(const struct sim *sim)
{
	uint64_t promised = sim->reserve;

	for (size_t i = 0; i < sim->n; i++) {
		const struct qube__balance_guest *g = &sim->g[i];

		promised += g->has > g->target ? g->has : g->target;
		if (g->target < g->min || g->target > g->max)
			return false;
	}
	return promised <= sim->total;
}

static void balance(struct sim *sim)
{
	struct qube__balance_host host = { .free = free_of(sim),
					   .reserve = sim->reserve,
					   .claimed = sim->claimed };
	uint64_t before[GUESTS_MAX];

	for (size_t i = 0; i < sim->n; i++) {
		report(sim, i);
		before[i] = sim->g[i].target;
	}
	qube__balance_round(&host, sim->g, sim->n);
	for (size_t i = 0; i < sim->n; i++)
		sim->changes += before[i] != sim->g[i].target;
	sim->round++;
}

static bool turn(struct sim *sim, size_t rounds)
{
	while (rounds--) {
		balance(sim);
		if (!bounds_hold(sim))
			return false;
		for (size_t i = 0; i < sim->n; i++)
			follow(sim, i);
	}
	return true;
}

static uint64_t preferred(const struct sim *sim, size_t i)
{
	uint64_t p = sim->s[i].used + sim->s[i].used / 10 * 3 + 350 * MIB;

	p = p < sim->g[i].min ? sim->g[i].min : p;
	return p > sim->g[i].max ? sim->g[i].max : p;
}

/* But for the steps that are too small to be made. */
static bool has_what_it_prefers(const struct sim *sim, size_t i)
{
	return sim->g[i].has + 16 * MIB >= preferred(sim, i);
}

static struct sim small_host(uint64_t total)
{
	return (struct sim){ .total = total * MIB, .reserve = 300 * MIB, .random = 20260101 };
}

QTEST(balance, what_is_left_over_is_shared_in_proportion)
{
	struct sim sim = small_host(8300);
	size_t a = add(&sim, HONEST, 400, 4000, 200);
	size_t b = add(&sim, HONEST, 400, 8000, 1500);
	uint64_t want = 8000 * preferred(&sim, a) / (preferred(&sim, a) + preferred(&sim, b));

	/* It cannot say more than it has before it has it: some rounds. */
	QT_TRUE(turn(&sim, 60));
	QT_TRUE(sim.g[a].has + 50 * MIB > want * MIB && sim.g[a].has < (want + 50) * MIB);
	/* But for the two hundredths that are not worth a change. */
	QT_TRUE(free_of(&sim) < (300 + 8000 / 50) * MIB);
	/* With the same loads nothing moves any more. */
	sim.changes = 0;
	QT_TRUE(turn(&sim, 500));
	QT_INT(sim.changes, 0);
}

QTEST(balance, nobody_has_more_than_its_most)
{
	struct sim sim = small_host(64000);
	size_t a = add(&sim, HONEST, 400, 1000, 200);
	size_t b = add(&sim, GREEDY, 400, 4000, 200);

	QT_TRUE(turn(&sim, 60));
	QT_INT(sim.g[a].has, 1000 * MIB);
	QT_INT(sim.g[b].has, 4000 * MIB);
}

QTEST(balance, who_needs_memory_gets_what_others_do_not)
{
	struct sim sim = small_host(5300);
	size_t a = add(&sim, HONEST, 400, 4000, 200);
	size_t b = add(&sim, HONEST, 400, 4000, 2000);

	QT_TRUE(turn(&sim, 60));
	QT_TRUE(has_what_it_prefers(&sim, b));
	/* The loads change places. */
	sim.s[a].used = 2000 * MIB;
	sim.s[b].used = 200 * MIB;
	QT_TRUE(turn(&sim, 30));
	QT_TRUE(has_what_it_prefers(&sim, a));
	QT_TRUE(has_what_it_prefers(&sim, b));
}

QTEST(balance, where_it_is_short_all_keep_what_they_use)
{
	struct sim sim = small_host(2300);
	size_t a = add(&sim, HONEST, 300, 4000, 700);
	size_t b = add(&sim, HONEST, 300, 4000, 900);

	QT_TRUE(turn(&sim, 60));
	QT_TRUE(sim.g[a].has >= 700 * MIB && sim.g[b].has >= 900 * MIB);
	QT_TRUE(!has_what_it_prefers(&sim, a) && !has_what_it_prefers(&sim, b));
	/* The rest is not left lying about, and does not go to and fro. */
	QT_TRUE(free_of(&sim) < 302 * MIB);
	sim.changes = 0;
	QT_TRUE(turn(&sim, 500));
	QT_INT(sim.changes, 0);
}

QTEST(balance, one_that_lies_gains_its_most_and_takes_nothing_that_others_need)
{
	for (uint64_t lie = 0; lie < 3; lie++) {
		enum kind kind = lie == 0 ? GREEDY : lie == 1 ? FLICKER : MODEST;
		struct sim sim = small_host(3300);
		size_t a = add(&sim, HONEST, 400, 4000, 500);
		size_t b = add(&sim, HONEST, 400, 4000, 300);
		size_t liar;

		QT_TRUE(turn(&sim, 30));
		liar = add(&sim, kind, 400, 2000, 100);
		sim.g[liar].has = 0; /* it is built from what is free by then */
		sim.claimed = 400 * MIB;
		sim.n--;
		QT_TRUE(turn(&sim, 30));
		QT_TRUE(free_of(&sim) >= sim.reserve + sim.claimed);
		sim.n++;
		sim.claimed = 0;
		sim.g[liar].has = 400 * MIB;
		for (int i = 0; i < 200; i++) {
			QT_TRUE(turn(&sim, 1));
			QT_TRUE(has_what_it_prefers(&sim, a) && has_what_it_prefers(&sim, b));
			QT_TRUE(sim.g[liar].has <= 2000 * MIB);
		}
	}
}

QTEST(balance, a_word_too_large_does_not_overflow)
{
	struct qube__balance_host host = { .free = UINT64_MAX,
					   .reserve = UINT64_MAX - 5,
					   .claimed = UINT64_MAX };
	struct qube__balance_guest g[3] = {
		{ .min = 1,
		  .max = UINT64_MAX,
		  .has = UINT64_MAX,
		  .target = UINT64_MAX,
		  .reports = true,
		  .untrusted_used = UINT64_MAX },
		{ .min = UINT64_MAX, .max = UINT64_MAX, .target = UINT64_MAX, .reports = true },
		{ .max = 1, .reports = true, .untrusted_used = UINT64_MAX },
	};
	uint64_t missing = 0;

	for (int i = 0; i < 30; i++)
		qube__balance_round(&host, g, 3);
	QT_TRUE(g[0].target >= 1 && g[2].target <= 1);
	QT_INT(qube__balance_room(&missing, &host, g, 3, UINT64_MAX), QUBE_E_LIMIT);
	QT_TRUE(missing > 0);
}

QTEST(balance, who_says_nothing_or_is_paused_is_left_alone)
{
	struct sim sim = small_host(4700);
	size_t silent = add(&sim, SILENT, 400, 4000, 100);
	size_t paused = add(&sim, HONEST, 400, 4000, 100);
	size_t fixed = add(&sim, HONEST, 500, 500, 100);
	size_t none = add(&sim, HONEST, 600, 0, 100);
	size_t a = add(&sim, HONEST, 400, 4000, 1200);

	sim.s[paused].paused = true;
	sim.g[none].max = sim.g[none].min; /* as max 0 for the bounds of this test */
	QT_TRUE(turn(&sim, 60));
	QT_INT(sim.g[silent].target, 400 * MIB);
	QT_INT(sim.g[paused].target, 400 * MIB);
	QT_INT(sim.g[fixed].target, 500 * MIB);
	QT_INT(sim.g[none].target, 600 * MIB);
	QT_TRUE(has_what_it_prefers(&sim, a));
	sim.s[paused].paused = false;
	sim.s[paused].used = 700 * MIB;
	QT_TRUE(turn(&sim, 60));
	QT_TRUE(sim.g[paused].has > 700 * MIB);
}

QTEST(balance, who_gives_nothing_back_is_believed_to_need_it)
{
	struct sim sim = small_host(4300);
	size_t stuck = add(&sim, UNMOVABLE, 400, 3000, 1900);
	size_t a = add(&sim, HONEST, 400, 4000, 200);
	uint64_t stuck_has;

	QT_TRUE(turn(&sim, 60));
	sim.s[stuck].used = 100 * MIB;
	sim.s[a].used = 3000 * MIB;
	stuck_has = sim.g[stuck].has;
	QT_TRUE(turn(&sim, 60));
	QT_INT(sim.g[stuck].has, stuck_has);
	/* All else is with the one that needs it, and no order is repeated in vain. */
	QT_TRUE(sim.g[a].has + stuck_has + 302 * MIB > sim.total);
	sim.changes = 0;
	QT_TRUE(turn(&sim, 300));
	QT_INT(sim.changes, 0);
	/* Then it gives after all. */
	sim.s[stuck].kind = HONEST;
	QT_TRUE(turn(&sim, 60));
	QT_TRUE(has_what_it_prefers(&sim, stuck));
	QT_TRUE(sim.g[a].has > 3000 * MIB);
}

QTEST(balance, small_changes_are_not_followed)
{
	struct sim sim = small_host(4300);
	size_t a = add(&sim, HONEST, 400, 4000, 600);
	size_t b = add(&sim, HONEST, 400, 4000, 600);

	QT_TRUE(turn(&sim, 60));
	sim.changes = 0;
	for (int i = 0; i < 400; i++) {
		sim.s[a].used = (600 + any(&sim, 12)) * MIB;
		sim.s[b].used = (600 + any(&sim, 12)) * MIB;
		QT_TRUE(turn(&sim, 1));
	}
	QT_TRUE(sim.changes < 8);
}

QTEST(balance, a_changed_minimum_or_maximum_counts_from_the_next_round_on)
{
	struct sim sim = small_host(4300);
	size_t a = add(&sim, HONEST, 400, 4000, 200);
	size_t b = add(&sim, HONEST, 400, 4000, 200);

	QT_TRUE(turn(&sim, 60));
	sim.g[a].max = 800 * MIB;
	QT_TRUE(turn(&sim, 60));
	QT_TRUE(sim.g[a].has <= 800 * MIB && sim.g[b].has > 3000 * MIB);
	sim.g[a].max = 3000 * MIB;
	sim.g[a].min = 2000 * MIB;
	/* The bound is only held again once there is memory for it. */
	for (int i = 0; i < 60; i++) {
		balance(&sim);
		for (size_t k = 0; k < sim.n; k++)
			follow(&sim, k);
	}
	QT_TRUE(sim.g[a].has >= 2000 * MIB);
	QT_TRUE(turn(&sim, 60));
}

/* Any guests, whose loads grow, jump and fall, that are paused and go on. */
static void random_world(struct sim *sim)
{
	static const enum kind kinds[] = { HONEST, HONEST, HONEST,  GREEDY,
					   MODEST, SILENT, FLICKER, UNMOVABLE };
	size_t n = 1 + any(sim, GUESTS_MAX - 1);

	for (size_t i = 0; i < n; i++) {
		uint64_t min = 100 + any(sim, 500);

		add(sim, kinds[any(sim, 8)], min, min + any(sim, 4000), 50 + any(sim, 300));
		sim->total += (min + any(sim, 900)) * MIB;
	}
}

static void random_load(struct sim *sim)
{
	size_t i = any(sim, sim->n);
	struct sim_guest *s = &sim->s[i];

	switch (any(sim, 8)) {
	case 0:
		s->used = any(sim, 5000) * MIB; /* a jump */
		break;
	case 1:
		s->used /= 2;
		break;
	case 2:
		s->paused = !s->paused;
		break;
	default:
		s->used += any(sim, 64) * MIB;
		break;
	}
	if (s->used > 6000 * MIB)
		s->used = 50 * MIB;
}

QTEST(balance, all_bounds_hold_in_every_round_of_any_world)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct sim sim = { .reserve = 300 * MIB, .total = 300 * MIB, .random = seed };

		random_world(&sim);
		for (int i = 0; i < 300; i++) {
			random_load(&sim);
			if (!turn(&sim, 1))
				QT_FAIL("seed %d, round %d", (int)seed, i);
		}
		/* Left alone, each comes to rest but for those who talk now so, now so. */
		for (size_t i = 0; i < sim.n; i++)
			if (sim.s[i].kind == FLICKER)
				sim.s[i].kind = GREEDY;
		if (!turn(&sim, 150))
			QT_FAIL("seed %d, at rest", (int)seed);
		sim.changes = 0;
		if (!turn(&sim, 300) || sim.changes > 2 * sim.n)
			QT_FAIL("seed %d: %d changes under the same loads", (int)seed,
				(int)sim.changes);
	}
}

/* A guest's word moves its own target; the others' only where it truly takes or leaves memory that
 * is not theirs: nobody is told to go below what he prefers for a word of another. */
QTEST(balance, no_word_of_one_lowers_another_below_what_it_prefers)
{
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct sim sim = { .reserve = 300 * MIB, .total = 300 * MIB, .random = seed };
		size_t liar;

		random_world(&sim);
		for (size_t i = 0; i < sim.n; i++)
			sim.s[i].kind = HONEST;
		liar = any(&sim, sim.n);
		QT_TRUE(turn(&sim, 80));
		sim.s[liar].kind = any(&sim, 2) ? GREEDY : FLICKER;
		for (int i = 0; i < 100; i++) {
			struct sim before = sim;

			QT_TRUE(turn(&sim, 1));
			for (size_t k = 0; k < sim.n; k++)
				if (k != liar && sim.g[k].target < before.g[k].target &&
				    sim.g[k].target + MIB < preferred(&before, k))
					QT_FAIL("seed %d: %d was robbed", (int)seed, (int)k);
		}
	}
}

/* --- room for another --- */

static int room(struct sim *sim, uint64_t *missing, uint64_t want)
{
	struct qube__balance_host host = { .free = free_of(sim),
					   .reserve = sim->reserve,
					   .claimed = sim->claimed };

	for (size_t i = 0; i < sim->n; i++)
		report(sim, i);
	return qube__balance_room(missing, &host, sim->g, sim->n, want);
}

QTEST(balance, room_that_is_free_needs_nobody)
{
	struct sim sim = small_host(4300);
	uint64_t missing = 7;

	add(&sim, HONEST, 400, 4000, 200);
	QT_INT(room(&sim, &missing, 3600 * MIB), 0);
	/* Promised already, though not taken. */
	sim.g[0].target = 1400 * MIB;
	QT_INT(room(&sim, &missing, 2600 * MIB), 0);
	QT_INT(missing, 7);
	QT_INT(room(&sim, &missing, 2600 * MIB + 1), 1);
	QT_INT(missing, 1);
}

QTEST(balance, a_refusal_names_what_is_missing_to_the_last_kib)
{
	struct sim sim = small_host(4300);
	size_t a = add(&sim, HONEST, 400, 4000, 1000);
	size_t b = add(&sim, HONEST, 500, 4000, 200);
	size_t s = add(&sim, SILENT, 400, 4000, 200);
	uint64_t most;
	uint64_t missing = 0;

	QT_TRUE(turn(&sim, 60));
	/* a keeps what it uses and a little, b its minimum, and from s nothing can be had. */
	most = 4000 * MIB - (1000 + 64) * MIB - 500 * MIB - sim.g[s].has;
	QT_INT(room(&sim, &missing, most), 1);
	QT_INT(missing, most - (free_of(&sim) - sim.reserve));
	QT_INT(room(&sim, &missing, most + 1), QUBE_E_LIMIT);
	QT_INT(missing, 1);
	QT_INT(room(&sim, &missing, most + 300 * MIB), QUBE_E_LIMIT);
	QT_INT(missing, 300 * MIB);
	(void)a;
	(void)b;
}

QTEST(balance, what_is_promised_as_possible_comes_true)
{
	size_t waited = 0;

	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct sim sim = { .reserve = 300 * MIB, .total = 900 * MIB, .random = seed };
		uint64_t want;
		uint64_t missing = 0;
		int r;

		random_world(&sim);
		for (size_t i = 0; i < sim.n; i++)
			if (sim.s[i].kind != SILENT && sim.s[i].kind != GREEDY)
				sim.s[i].kind = HONEST; /* gives what it says it can */
		QT_TRUE(turn(&sim, 60));
		want = (50 + any(&sim, 3000)) * MIB;
		r = room(&sim, &missing, want);
		if (r < 0) {
			want -= missing;
			r = room(&sim, &missing, want);
		}
		QT_TRUE(r >= 0);
		waited += r == 1;
		sim.claimed = want;
		QT_TRUE(turn(&sim, 40));
		if (free_of(&sim) < sim.reserve + want)
			QT_FAIL("seed %d: %d KiB of %d", (int)seed,
				(int)(free_of(&sim) - sim.reserve), (int)want);
	}
	QT_TRUE(waited > 100);
}

QTEST(balance, who_gives_nothing_back_is_not_counted_on)
{
	struct sim sim = small_host(2300);
	uint64_t missing = 0;

	add(&sim, UNMOVABLE, 400, 3000, 100);
	QT_TRUE(turn(&sim, 60));
	QT_INT(room(&sim, &missing, 1000 * MIB), 1);
	sim.claimed = 1000 * MIB;
	QT_TRUE(turn(&sim, 20));
	sim.claimed = 0;
	QT_INT(room(&sim, &missing, 1000 * MIB), QUBE_E_LIMIT);
	QT_INT(missing, 1000 * MIB - (free_of(&sim) - sim.reserve));
}

QTEST(balance, bounds_and_claims_count_however_small_the_change_is)
{
	struct sim sim = small_host(2300);
	size_t a = add(&sim, HONEST, 400, 4000, 200);

	QT_TRUE(turn(&sim, 60));
	sim.claimed = 3 * MIB + 1;
	QT_TRUE(turn(&sim, 3));
	QT_TRUE(free_of(&sim) >= sim.reserve + sim.claimed);
	sim.claimed = 0;
	sim.g[a].max = sim.g[a].target - 2 * MIB;
	balance(&sim);
	QT_INT(sim.g[a].target, sim.g[a].max);
}
