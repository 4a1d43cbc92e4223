// SPDX-License-Identifier: Apache-2.0
#include "plan/allocation.h"

#include "base/checked.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CELLS = 1 << 23 };

static const struct i4q_offer *offers_of(const struct i4q_allocation *allocation, size_t item)
{
    return allocation->table + item * allocation->offers;
}

static size_t least_bytes(const struct i4q_allocation *allocation, size_t item)
{
    const struct i4q_offer *offers = offers_of(allocation, item);
    size_t least = offers[0].bytes;
    for (size_t i = 1; i < allocation->offers; i++)
        least = offers[i].bytes < least ? offers[i].bytes : least;
    return least;
}

/* The bytes between the cheapest and the dearest choice of all. */
static size_t span(const struct i4q_allocation *allocation)
{
    size_t bytes = 0;
    for (size_t item = 0; item < allocation->items; item++) {
        size_t most = 0;
        for (size_t i = 0; i < allocation->offers; i++)
            most = offers_of(allocation, item)[i].bytes > most ? offers_of(allocation, item)[i].bytes : most;
        bytes += most - least_bytes(allocation, item);
    }
    return bytes;
}

/* Units that each offer of an item costs. */
static void count_units(const struct i4q_allocation *allocation, size_t item, size_t *units)
{
    size_t least = least_bytes(allocation, item);
    for (size_t i = 0; i < allocation->offers; i++)
        units[i] = i4q_div_up(offers_of(allocation, item)[i].bytes - least, allocation->unit);
}

/* The best offer of an item on a rung, given the least losses of the items before it; of equals the first. */
static uint8_t best_offer(const struct i4q_allocation *allocation, const struct i4q_offer *offers,
                          const size_t *units, const double *before, size_t rung, double *loss)
{
    uint8_t best = 0;
    *loss = INFINITY;
    for (size_t i = 0; i < allocation->offers; i++) {
        double found = units[i] <= rung ? before[rung - units[i]] + offers[i].loss : INFINITY;
        if (found < *loss) {
            *loss = found;
            best = (uint8_t)i;
        }
    }
    return best;
}

/* From the highest rung on: those below still hold the losses without this item. */
static void add_item(struct i4q_allocation *allocation, size_t item, double *losses)
{
    size_t units[I4Q_OFFERS];
    uint8_t *taken = allocation->taken + item * (allocation->rungs + 1);
    count_units(allocation, item, units);
    for (size_t rung = allocation->rungs + 1; rung-- > 0;) {
        double loss;
        taken[rung] = best_offer(allocation, offers_of(allocation, item), units, losses, rung, &loss);
        losses[rung] = loss;
    }
}

bool i4q_allocate(const struct i4q_offer *table, size_t items, size_t offers, struct i4q_arena *arena,
                  struct i4q_allocation *allocation, struct i4q_error *error)
{
    *allocation = (struct i4q_allocation){.items = items, .offers = offers, .table = table};
    size_t most = MOST_CELLS / (items + 1), bytes = span(allocation);
    most = most < 1 ? 1 : most > I4Q_RUNGS ? I4Q_RUNGS : most;
    allocation->unit = bytes > most ? i4q_div_up(bytes, most) : 1;
    for (size_t item = 0; item < items; item++) {
        size_t units[I4Q_OFFERS], dearest = 0;
        count_units(allocation, item, units);
        for (size_t i = 0; i < offers; i++)
            dearest = units[i] > dearest ? units[i] : dearest;
        allocation->rungs += dearest;
    }
    allocation->taken = i4q_arena_alloc(arena, items, allocation->rungs + 1);
    double *losses = calloc(allocation->rungs + 1, sizeof *losses);
    for (size_t item = 0; allocation->taken && losses && item < items; item++)
        add_item(allocation, item, losses);
    bool ok = allocation->taken && losses;
    free(losses);
    return ok || i4q_fail_memory(error);
}

void i4q_allocation_take(const struct i4q_allocation *allocation, size_t rung, uint8_t *taken)
{
    for (size_t item = allocation->items; item-- > 0;) {
        size_t units[I4Q_OFFERS];
        count_units(allocation, item, units);
        taken[item] = allocation->taken[item * (allocation->rungs + 1) + rung];
        rung -= units[taken[item]];
    }
}

struct i4q_offer i4q_allocation_sum(const struct i4q_allocation *allocation, const uint8_t *taken)
{
    struct i4q_offer sum = {0};
    for (size_t item = 0; item < allocation->items; item++) {
        const struct i4q_offer *offer = &offers_of(allocation, item)[taken[item]];
        sum.bytes += offer->bytes;
        sum.loss += offer->loss;
    }
    return sum;
}
