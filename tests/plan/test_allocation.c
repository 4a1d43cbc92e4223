// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/allocation.h"

#include <math.h>
#include <stdlib.h>

enum { ITEMS = 6, OFFERS = 4, CASES = 60 };

static struct i4q_arena arena;
static struct i4q_allocation allocation;
static struct i4q_error error;

static int setup(void **state)
{
    i4q_arena_init(&arena, SIZE_MAX / 2);
    return 0;
}

static int teardown(void **state)
{
    i4q_arena_free(&arena);
    return 0;
}

/* Numbers that are the same everywhere. */
static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Offers in no order, some of them worse and dearer than others, some alike. */
static void make_offers(struct i4q_offer *table, size_t count, size_t most, uint32_t seed)
{
    for (size_t i = 0; i < count; i++)
        table[i] = (struct i4q_offer){next(&seed) % most, (double)(next(&seed) % 64)};
}

/* The least loss of all choices of at most so many bytes; INFINITY: none. */
static double brute_force(const struct i4q_offer *table, size_t items, size_t bytes)
{
    double best = INFINITY;
    size_t choices = 1;
    for (size_t i = 0; i < items; i++)
        choices *= OFFERS;
    for (size_t choice = 0; choice < choices; choice++) {
        struct i4q_offer sum = {0};
        for (size_t i = 0, rest = choice; i < items; i++, rest /= OFFERS) {
            sum.bytes += table[i * OFFERS + rest % OFFERS].bytes;
            sum.loss += table[i * OFFERS + rest % OFFERS].loss;
        }
        best = sum.bytes <= bytes && sum.loss < best ? sum.loss : best;
    }
    return best;
}

static struct i4q_offer on_rung(size_t rung)
{
    uint8_t taken[64];
    i4q_allocation_take(&allocation, rung, taken);
    return i4q_allocation_sum(&allocation, taken);
}

static void every_rung_is_the_best_of_all_choices(void **state)
{
    struct i4q_offer table[ITEMS * OFFERS];
    for (uint32_t seed = 0; seed < CASES; seed++) {
        size_t items = 1 + seed % ITEMS;
        make_offers(table, items * OFFERS, 20, seed);
        assert_true(i4q_allocate(table, items, OFFERS, &arena, &allocation, &error));
        assert_int_equal(allocation.unit, 1);
        size_t least = on_rung(0).bytes;
        assert_true(isinf(brute_force(table, items, least - 1)) || !least);
        for (size_t rung = 0; rung <= allocation.rungs; rung++) {
            assert_true(on_rung(rung).bytes <= least + rung);
            assert_true(on_rung(rung).loss == brute_force(table, items, least + rung));
        }
        assert_true(on_rung(allocation.rungs).loss == brute_force(table, items, SIZE_MAX));
    }
}

/* Where a unit is more than a byte: never more loss for more units, never more bytes than these, and close to
 * what they allow, but for the end, where little is left to choose from. */
static void larger_sums_are_told_in_units(void **state)
{
    enum { MANY = 50 };
    static struct i4q_offer table[MANY * OFFERS];
    uint32_t seed = 7;
    for (size_t i = 0; i < MANY; i++) {
        size_t bytes = 1000 + next(&seed) % 100000;
        double noise = 1 + next(&seed) % 9;
        for (size_t o = 0; o < OFFERS; o++)
            table[i * OFFERS + o] = (struct i4q_offer){bytes * (o + 3) / 8, exp2(-2.0 * (double)o) * noise};
    }
    assert_true(i4q_allocate(table, MANY, OFFERS, &arena, &allocation, &error));
    assert_true(allocation.unit > 1 && allocation.rungs <= I4Q_RUNGS + MANY);
    struct i4q_offer before = on_rung(0), first = before;
    for (size_t rung = 1; rung <= allocation.rungs; rung += 37) {
        struct i4q_offer here = on_rung(rung);
        size_t allowed = first.bytes + rung * allocation.unit;
        assert_true(here.loss <= before.loss);
        assert_true(here.bytes <= allowed);
        assert_true((double)here.bytes >= 0.995 * (double)allowed || rung > allocation.rungs / 20 * 19);
        before = here;
    }
}

/* The first of equal offers is taken, so that equal input gives equal plans. */
static void of_equals_the_first_is_taken(void **state)
{
    static const struct i4q_offer table[] = {{4, 1}, {4, 1}, {4, 1}, {9, 1}, {2, 3}, {2, 3}};
    uint8_t taken[2];
    assert_true(i4q_allocate(table, 2, 3, &arena, &allocation, &error));
    assert_int_equal(allocation.rungs, 7);
    i4q_allocation_take(&allocation, 7, taken);
    assert_int_equal(taken[0], 0);
    assert_int_equal(taken[1], 0);
    i4q_allocation_take(&allocation, 6, taken);
    assert_int_equal(taken[1], 1);
}

static void no_items_are_no_rungs(void **state)
{
    assert_true(i4q_allocate(NULL, 0, 3, &arena, &allocation, &error));
    assert_int_equal(allocation.rungs, 0);
    assert_int_equal(on_rung(0).bytes, 0);
}

static void memory_runs_out(void **state)
{
    static const struct i4q_offer table[] = {{0, 1}, {9999, 0}};
    i4q_arena_init(&arena, 1000);
    assert_false(i4q_allocate(table, 1, 2, &arena, &allocation, &error));
    assert_failed(error, I4Q_FAILED, "memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_rung_is_the_best_of_all_choices, setup, teardown),
        cmocka_unit_test_setup_teardown(larger_sums_are_told_in_units, setup, teardown),
        cmocka_unit_test_setup_teardown(of_equals_the_first_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(no_items_are_no_rungs, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_runs_out, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
