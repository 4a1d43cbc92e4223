// SPDX-License-Identifier: Apache-2.0
/*
 * Bytes spent where they pay: each of some items gets one of its offers, so that the sum of the losses is the
 * least that so many bytes can buy. Knows numbers only.
 *
 * That is a knapsack with one choice an item (Kellerer, Pferschy, Pisinger 2004, chapter 11), solved by
 * dynamic programming for all budgets at once. Rung r of the ladder is the best of all choices of r units of
 * bytes above the cheapest one; so more units never mean more loss. Where the dearest choice is at most
 * I4Q_RUNGS bytes above the cheapest, a unit is a byte and every rung the optimum; else what an offer costs
 * is rounded up to units.
 */
#ifndef INT4Q_PLAN_ALLOCATION_H
#define INT4Q_PLAN_ALLOCATION_H

#include "base/arena.h"

#include <stdint.h>

enum { I4Q_RUNGS = 1 << 15, I4Q_OFFERS = 32 /* an item, at most */ };

struct i4q_offer {
    size_t bytes;
    double loss; /* finite, not negative */
};

struct i4q_allocation {
    size_t items, offers; /* offers an item has */
    size_t unit;          /* bytes */
    size_t rungs;         /* the highest; rung 0 is the cheapest choice of all */
    const struct i4q_offer *table;
    uint8_t *taken; /* [items][rungs + 1] of item i where items 0 to i have r units */
};

/* Solves it for the table [items][offers], which is borrowed; offers >= 1. Takes at most 8 MiB of the
 * arena, however many items there are, and as many bytes as items beyond. I4Q_FAILED: no memory. */
bool i4q_allocate(const struct i4q_offer *table, size_t items, size_t offers, struct i4q_arena *arena,
                  struct i4q_allocation *allocation, struct i4q_error *error) I4Q_MUST_CHECK;

/* The offer that each item takes on a rung. */
void i4q_allocation_take(const struct i4q_allocation *allocation, size_t rung, uint8_t *taken);

/* What these offers come to. */
struct i4q_offer i4q_allocation_sum(const struct i4q_allocation *allocation, const uint8_t *taken);

#endif
