// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/convs.h"
#include "plan/rank.h"

#include <math.h>

static struct convs convs;
static struct i4q_arena arena;

static int teardown(void **state)
{
    convs_free(&convs);
    i4q_arena_free(&arena);
    return 0;
}

/* Multiples of a seventh of the largest lose nothing; what lies half way between loses most. */
static const float exact[] = {7, -7, 3, 1}, halves[] = {7, 0.5f, 1.5f, -2.5f}, bad[] = {INFINITY, 0, 1, 2};

static const struct test_conv specs[] = {
    {"exact", "w0", {1, 4, 1, 1}, exact, false},   {"halves", "w1", {1, 4, 1, 1}, halves, false},
    {"bad", "w2", {1, 4, 1, 1}, bad, false},       {"left", "w3", {1, 4, 1, 1}, halves, false},
    {"sharing", "w1", {1, 4, 1, 1}, NULL, false},  {"wave", "w5", {8, 16, 3, 3}, NULL, false},
    {"smaller", "w6", {2, 16, 3, 3}, NULL, false},
};

enum { CONVS = sizeof specs / sizeof *specs };

static const double *estimate(unsigned threads)
{
    const double *losses = NULL;
    const struct i4q_estimate how = {
        .facts = &convs.facts, .options = &convs.options, .kernels = convs_kernels(), .threads = threads};
    if (!i4q_estimate_losses(&how, &arena, &losses, &convs.error))
        fail_msg("%s", convs.error.message);
    return losses;
}

static void load(void)
{
    convs_load(&convs, specs, CONVS);
    i4q_arena_init(&arena, SIZE_MAX / 2);
    assert_true(i4q_patterns_add(&convs.model.arena, &convs.options.exclude, "left"));
}

static void losses_are_noise_by_signal_and_size(void **state)
{
    load();
    const double *losses = estimate(1);
    assert_true(losses[0] == 0);
    /* errors .5, .5, .5: rounding is to even */
    assert_true(fabs(losses[1] - 3 * 0.25 / (49 + 0.25 + 2.25 + 6.25) / 4) < 1e-8);
    assert_true(losses[4] == losses[1]);
    assert_true(losses[6] > losses[5]); /* as good, and fewer to pay for */
}

static void what_stays_anyway_has_none(void **state)
{
    load();
    const double *losses = estimate(2);
    assert_true(isnan(losses[2]) && isnan(losses[3]));
}

/* A column for each recipe, floats among them. */
static void recipes_are_forecast_side_by_side(void **state)
{
    load();
    struct i4q_prospect *table = NULL;
    struct i4q_recipe recipes[3] = {convs.options.target, {.format = NULL}, convs.options.target};
    const struct i4q_estimate how = {
        .facts = &convs.facts, .options = &convs.options, .kernels = convs_kernels(), .threads = 2};
    recipes[2].format = i4q_format_find("int8");
    if (!i4q_forecast(&how, recipes, 3, &arena, &table, &convs.error))
        fail_msg("%s", convs.error.message);
    assert_null(convs.model.trial);
    const struct i4q_prospect *row = table + 3; /* of 4 weights: codes, a scale, a zero point */
    assert_int_equal(row[0].bytes, 2 + 4 + 1);
    assert_int_equal(row[1].bytes, 16);
    assert_int_equal(row[2].bytes, 4 + 4 + 1);
    assert_true(fabs(row[0].loss - 3 * 0.25 / (49 + 0.25 + 2.25 + 6.25)) < 1e-7);
    assert_true(row[1].loss == 0);
    assert_true(row[2].loss > 0 && row[2].loss < row[0].loss / 100);
    for (size_t i = 0; i < 3; i++) /* of weights that are not finite, or excluded */
        assert_true(isnan(table[2 * 3 + i].loss) && isnan(table[3 * 3 + i].loss));
}

/* The ranking that is asked for, and the methods that need images, are of the plan to come. */
static void options_of_the_plan_to_come_do_not_matter(void **state)
{
    load();
    double before[CONVS];
    memcpy(before, estimate(1), sizeof before);
    convs.options.ranking = (struct i4q_ranking){true, I4Q_RANK_QUANTIZE, 1};
    convs.options.target.method.propagate = true;
    assert_memory_equal(before, estimate(1), sizeof before);
}

static void nothing_of_it_stays(void **state)
{
    load();
    size_t used = convs.model.arena.used;
    for (int i = 0; i < 50; i++)
        estimate(1);
    assert_int_equal(convs.model.arena.used, used);
    assert_null(convs.model.trial);
    for (size_t i = 0; i < convs.facts.count; i++)
        assert_int_equal(convs.facts.items[i].looked_through, i != 3);
    convs_plan(&convs); /* which now knows */
    assert_string_equal(convs_reasons(&convs.plan), "- - non-finite excluded - - -");
}

static void errors_go_on(void **state)
{
    load();
    const double *losses;
    const struct i4q_estimate how = {
        .facts = &convs.facts, .options = &convs.options, .kernels = convs_kernels(), .threads = 1};
    assert_true(i4q_patterns_add(&convs.model.arena, &convs.options.include, "nobody"));
    convs.options.only_included = true;
    assert_false(i4q_estimate_losses(&how, &arena, &losses, &convs.error));
    assert_failed(convs.error, I4Q_USAGE, "'nobody' matches no Conv");
    assert_null(convs.model.trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(losses_are_noise_by_signal_and_size, teardown),
        cmocka_unit_test_teardown(what_stays_anyway_has_none, teardown),
        cmocka_unit_test_teardown(recipes_are_forecast_side_by_side, teardown),
        cmocka_unit_test_teardown(options_of_the_plan_to_come_do_not_matter, teardown),
        cmocka_unit_test_teardown(nothing_of_it_stays, teardown),
        cmocka_unit_test_teardown(errors_go_on, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
