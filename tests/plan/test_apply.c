// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/apply.h"
#include "plan/convs.h"
#include "plan/planner.h"

#include <math.h>

static struct convs convs;

static int teardown(void **state)
{
    convs_free(&convs);
    return 0;
}

static const float simple[] = {7, -7, 3, 0, 14, -2, 6, 1}, bad[] = {1, 2, NAN, 4};

static const struct test_conv specs[] = {
    {"a", "simple", {2, 4, 1, 1}, simple, false},
    {"b", "bad", {1, 4, 1, 1}, bad, false},
    {"c", "wave", {3, 5, 3, 3}, NULL, false},
};

static void quantize(void)
{
    if (!i4q_plan_quantize(&convs.plan, convs_kernels(), 2, &convs.error))
        fail_msg("%s", convs.error.message);
}

static void numbers_are_filled_in(void **state)
{
    static const uint8_t codes[] = {0x97, 0x03, 0xf7, 0x03}; /* 7 -7 3 0 by 1, 7 -1 3 0 by 2: .5 is to even */
    static const float scales[] = {1, 2};
    convs_load(&convs, specs, 3);
    convs_plan(&convs);
    assert_null(convs.plan.weights[0].job->codes); /* a plan has sizes, but no numbers */
    quantize();
    assert_memory_equal(convs.plan.weights[0].job->codes, codes, sizeof codes);
    assert_memory_equal(convs.plan.weights[0].job->scales, scales, sizeof scales);
    assert_null(convs.plan.weights[0].job->zero_points);
    assert_true(convs.plan.weights[2].job->sqnr_db > 10);
}

static void what_is_not_finite_stays(void **state)
{
    convs_load(&convs, specs, 3);
    convs_plan(&convs);
    assert_int_equal(convs.plan.n_quantized, 3); /* for all that anybody knows */
    quantize();
    assert_string_equal(convs_reasons(&convs.plan), "- non-finite -");
    assert_int_equal(convs.plan.n_quantized, 2);
    assert_int_equal(convs.plan.n_stored, 2);
    assert_true(convs.facts.items[1].looked_through && !convs.facts.items[1].finite);
    assert_true(convs.facts.items[0].looked_through && convs.facts.items[0].finite);
}

/* That it is not finite is the reason, also for a weight that could not have been stored. */
static void non_finite_comes_before_shared(void **state)
{
    static const struct test_conv shared[] = {
        {"a", "w", {1, 4, 1, 1}, bad, false},
        {"b", "w", {1, 4, 1, 1}, bad, false},
        {"c", "v", {1, 4, 1, 1}, NULL, false},
        {"d", "v", {1, 4, 1, 1}, NULL, false},
    };
    convs_load(&convs, shared, 4);
    assert_true(i4q_patterns_add(&convs.model.arena, &convs.options.exclude, "b"));
    assert_true(i4q_patterns_add(&convs.model.arena, &convs.options.exclude, "d"));
    convs_plan(&convs);
    assert_string_equal(convs_reasons(&convs.plan), "shared excluded shared excluded");
    quantize();
    assert_string_equal(convs_reasons(&convs.plan), "non-finite excluded shared excluded");
    assert_int_equal(convs.plan.n_stored, 0);
}

static void zero_points_have_room(void **state)
{
    convs_load(&convs, specs, 1);
    convs.options.target.method = i4q_methods[1]; /* squant, which has them */
    convs_plan(&convs);
    assert_true(convs.plan.weights[0].job->asymmetric);
    quantize();
    assert_non_null(convs.plan.weights[0].job->zero_points);
}

static void blocks_that_could_not_be_are_told(void **state)
{
    convs_load(&convs, specs, 3);
    convs.options.target.block = 8;
    convs.options.target.form = &i4q_form_cast;
    assert_true(i4q_patterns_add(&convs.model.arena, &convs.options.exclude, "b"));
    convs_plan(&convs);
    assert_int_equal(convs.plan.weights[0].job->block, 0); /* 4 inputs a channel */
    assert_ptr_equal(convs.plan.weights[0].form, &i4q_form_cast);
    assert_int_equal(convs.plan.weights[2].job->block, 8); /* 45, which is no multiple of 8 */
    assert_ptr_equal(convs.plan.weights[2].form, &i4q_form_dq);
    quantize();
    assert_int_equal(convs.plan.notes.count, 2);
    assert_non_null(strstr(convs.plan.notes.items[0], "--block 8: 1 weights of at most that many inputs"));
    assert_non_null(strstr(convs.plan.notes.items[1], "1 weights are decoded by DequantizeLinear"));
}

static void plans_of_one_model_have_numbers_of_their_own(void **state)
{
    convs_load(&convs, specs, 1);
    convs_plan(&convs);
    quantize();
    struct i4q_plan first = convs.plan;
    uint8_t codes[4];
    memcpy(codes, first.weights[0].job->codes, sizeof codes);
    convs.options.target.format = i4q_format_find("uint4");
    convs_plan(&convs);
    quantize();
    assert_memory_equal(first.weights[0].job->codes, codes, sizeof codes);
    assert_memory_not_equal(convs.plan.weights[0].job->codes, codes, sizeof codes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(numbers_are_filled_in, teardown),
        cmocka_unit_test_teardown(what_is_not_finite_stays, teardown),
        cmocka_unit_test_teardown(non_finite_comes_before_shared, teardown),
        cmocka_unit_test_teardown(zero_points_have_room, teardown),
        cmocka_unit_test_teardown(blocks_that_could_not_be_are_told, teardown),
        cmocka_unit_test_teardown(plans_of_one_model_have_numbers_of_their_own, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
