// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/budget.h"
#include "plan/convs.h"
#include "plan/planner.h"

#include <math.h>

static struct convs convs;

/* A price that a test makes up: so many bytes with nothing kept, more with each that is. */
static struct {
    size_t base, each, calls;
    bool fails;
} shop;

static bool ask(void *context, const struct i4q_plan *plan, size_t *bytes, struct i4q_error *error)
{
    size_t kept = 0;
    shop.calls++;
    for (size_t i = 0; i < plan->n_rows; i++)
        kept += plan->rows[i].reason == I4Q_REASON_SENSITIVE;
    *bytes = shop.base + kept * shop.each;
    return !shop.fails || i4q_fail(error, I4Q_MODEL, "no price");
}

static const float bad[] = {1, NAN, 2, 3};

/* Twenty Convs, one weight of which is not finite. */
static int setup(void **state)
{
    static struct test_conv specs[20];
    static char names[20][2][8];
    static double losses[20];
    for (size_t i = 0; i < 20; i++) {
        snprintf(names[i][0], 8, "c%zu", i);
        snprintf(names[i][1], 8, "w%zu", i);
        specs[i] = (struct test_conv){names[i][0], names[i][1], {2, 2, 1, 1}, i == 7 ? bad : NULL, false};
        losses[i] = (double)i;
    }
    convs_load(&convs, specs, 20);
    convs.options.estimates = losses;
    convs.options.ranking = (struct i4q_ranking){true, I4Q_RANK_KEEP, 0};
    convs_plan(&convs);
    memset(&shop, 0, sizeof shop);
    shop.base = 1000;
    shop.each = 10;
    return 0;
}

static int teardown(void **state)
{
    convs_free(&convs);
    return 0;
}

static bool fit(size_t limit)
{
    const struct i4q_budget budget = {
        .option = "--target-size", .limit = limit, .price = ask, .kernels = convs_kernels(), .threads = 2};
    const struct i4q_ladder ladder = i4q_ladder_of_ranks(&convs.plan);
    return i4q_budget_fit(&convs.plan, &ladder, &budget, &convs.error);
}

static void as_many_are_kept_as_fit(void **state)
{
    static const size_t limits[][2] = {{1000, 0}, {1009, 0}, {1010, 1}, {1199, 19}, {1200, 20}, {99999, 20}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        shop.calls = 0;
        assert_true(fit(limits[i][0]));
        assert_int_equal(convs.plan.keep, limits[i][1]);
        assert_true(convs.plan.has_keep);
        assert_true(shop.calls <= 6); /* 1 + log2 of 21, rounded up */
    }
}

static void the_least_is_named_where_nothing_fits(void **state)
{
    assert_false(fit(999));
    assert_failed(convs.error, I4Q_UNMET, "the smallest possible output has 1000 bytes, more than the 999");
}

static void errors_of_the_price_go_on(void **state)
{
    shop.fails = true;
    assert_false(fit(5000));
    assert_failed(convs.error, I4Q_MODEL, "no price");
}

/* What is not finite has to stay, which the price must know. */
static void weights_are_looked_through_first(void **state)
{
    assert_true(fit(1000));
    assert_int_equal(convs.plan.rows[7].reason, I4Q_REASON_NON_FINITE);
    assert_int_equal(convs.plan.n_stored, 19);
    for (size_t i = 0; i < convs.facts.count; i++)
        assert_true(convs.facts.items[i].looked_through);
}

static void sizes_are_read(void **state)
{
    static const struct {
        const char *text;
        size_t limit; /* with an input of 1,000,000 bytes */
    } sizes[] = {{"8500000", 8500000}, {"8.5M", 8500000}, {"8Mi", 8 << 20}, {"12%", 120000}, {"0", 0}};
    static const char *const bad_sizes[] = {"", "%", "big", "-1", "1Mi%", "8.5 M", "1e9"};
    size_t limit;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_true(i4q_budget_parse(sizes[i].text, 1000000, &limit, &convs.error));
        assert_int_equal(limit, sizes[i].limit);
    }
    for (size_t i = 0; i < sizeof bad_sizes / sizeof *bad_sizes; i++) {
        struct i4q_error error = {0};
        assert_false(i4q_budget_parse(bad_sizes[i], 1000000, &limit, &error));
        assert_failed(error, I4Q_USAGE, "is no size");
    }
}

static void more_than_any_file_has_is_refused(void **state)
{
    static const char *const sizes[] = {"999999999999999%", "9999999G", "999999999999999999999999"};
    size_t limit;
    for (size_t i = 0; i < 3; i++) {
        struct i4q_error error = {0};
        assert_false(i4q_budget_parse(sizes[i], 1000000, &limit, &error));
        assert_failed(error, I4Q_USAGE, "more than any file");
    }
}

/* ---- stored bits a weight */

static bool fit_bits(double bits)
{
    const struct i4q_budget budget = {
        .option = "--bits", .bits = bits, .kernels = convs_kernels(), .threads = 1};
    const struct i4q_ladder ladder = i4q_ladder_of_ranks(&convs.plan);
    return i4q_budget_fit(&convs.plan, &ladder, &budget, &convs.error);
}

/* Each of 19 weights of 2 x 2 takes 2 bytes of codes, 8 of scales and 1 of zero points, or 16 of floats; the
 * one that is not finite does not count. */
static void bits_are_of_what_can_be_quantized(void **state)
{
    static const double bits[][2] = {
        {22, 0}, {22 + 10.0 / 19, 1}, {22 + 19.9 / 19, 1}, {31.99, 19}, {32, 20}};
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        assert_true(fit_bits(bits[i][0]));
        assert_int_equal(convs.plan.keep, bits[i][1]);
        struct i4q_tally tally = i4q_plan_tally(&convs.plan);
        assert_int_equal(tally.weights, 19 * 4);
        assert_true(i4q_tally_bits(&tally) <= bits[i][0]);
    }
    assert_false(fit_bits(21.9));
    assert_failed(convs.error, I4Q_UNMET,
                  "--bits: the least that is possible is 22.0000 bits a weight, more");
}

static void bits_are_read(void **state)
{
    static const char *const bad_bits[] = {"", "0", "-1", "4,5", "1e1", "4K", "64.1", "four", "1.2.3"};
    double bits;
    assert_true(i4q_budget_parse_bits("4.5", &bits, &convs.error));
    assert_true(bits == 4.5);
    for (size_t i = 0; i < sizeof bad_bits / sizeof *bad_bits; i++) {
        struct i4q_error error = {0};
        assert_false(i4q_budget_parse_bits(bad_bits[i], &bits, &error));
        assert_failed(error, I4Q_USAGE, "is no number of bits a weight");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_many_are_kept_as_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(the_least_is_named_where_nothing_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_of_the_price_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(weights_are_looked_through_first, setup, teardown),
        cmocka_unit_test_setup_teardown(sizes_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(more_than_any_file_has_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(bits_are_of_what_can_be_quantized, setup, teardown),
        cmocka_unit_test_setup_teardown(bits_are_read, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
