// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/convs.h"
#include "plan/planner.h"

#include <math.h>

static struct convs convs;

static void load(const struct test_conv *specs, size_t count)
{
    convs_load(&convs, specs, count);
}

static int teardown(void **state)
{
    convs_free(&convs);
    return 0;
}

static const struct test_conv four[] = {
    {"a", "wa", {4, 3, 3, 3}, NULL, false},
    {"b", "wb", {4, 8, 1, 1}, NULL, true},
    {"c", "wc", {8, 2, 1, 1}, NULL, false},
    {"d", "wd", {2, 64, 1, 1}, NULL, false},
};

/* Ranked as if measured: the third most sensitive, then the first; the second not at all. */
static const double losses[] = {2, NAN, 3, 1};

static void keep(size_t count)
{
    assert_true(i4q_plan_keep(&convs.plan, count, &convs.error));
}

static void every_weight_gets_the_recipe(void **state)
{
    load(four, 4);
    convs_plan(&convs);
    assert_string_equal(convs_reasons(&convs.plan), "- - - -");
    assert_int_equal(convs.plan.n_quantized, 4);
    assert_int_equal(convs.plan.n_stored, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct i4q_plan_weight *weight = &convs.plan.weights[i];
        assert_ptr_equal(weight->recipe, &convs.plan.target);
        assert_ptr_equal(i4q_plan_weight_of(&convs.plan, weight->fact->value), weight);
    }
    /* codes, scales of 4 bytes, zero points of half a byte */
    assert_int_equal(i4q_plan_weight_bytes(&convs.plan.weights[0]), 108 / 2 + 4 * 4 + 2);
}

static void ten_are_kept_unless_told(void **state)
{
    static struct test_conv many[12];
    static char names[12][2][8];
    double worth[12];
    for (size_t i = 0; i < 12; i++) {
        snprintf(names[i][0], 8, "c%zu", i);
        snprintf(names[i][1], 8, "w%zu", i);
        many[i] = (struct test_conv){names[i][0], names[i][1], {2, 2, 1, 1}, NULL, false};
        worth[i] = (double)i;
    }
    load(many, 12);
    convs.options.estimates = worth;
    convs_plan(&convs);
    assert_true(convs.plan.has_keep && convs.plan.keep_is_default);
    assert_int_equal(convs.plan.keep, 10);
    assert_int_equal(convs.plan.n_quantized, 2);
    assert_int_equal(convs.plan.rows[1].reason, I4Q_QUANTIZED);
    assert_int_equal(convs.plan.rows[2].reason, I4Q_REASON_SENSITIVE);
}

static void another_number_is_another_plan(void **state)
{
    load(four, 4);
    convs.options.estimates = losses;
    convs.options.ranking = (struct i4q_ranking){true, I4Q_RANK_KEEP, 1};
    convs_plan(&convs);
    assert_string_equal(convs_reasons(&convs.plan), "- - sensitive -");
    size_t used = convs.model.arena.used;
    keep(2);
    assert_string_equal(convs_reasons(&convs.plan), "sensitive - sensitive -");
    keep(9); /* what is not measured is never kept */
    assert_string_equal(convs_reasons(&convs.plan), "sensitive - sensitive sensitive");
    assert_int_equal(convs.plan.n_stored, 1);
    for (size_t i = 0; i < 5000; i++)
        keep(i % 4);
    keep(0);
    assert_string_equal(convs_reasons(&convs.plan), "- - - -");
    assert_int_equal(convs.model.arena.used, used);
}

static void kept_weights_get_their_own_recipe(void **state)
{
    load(four, 4);
    convs.options.estimates = losses;
    convs.options.kept.format = i4q_format_find("int8");
    convs.options.target.block = 16;
    convs.options.ranking = (struct i4q_ranking){true, I4Q_RANK_KEEP, 3};
    convs_plan(&convs);
    const struct i4q_plan_weight *weights = convs.plan.weights;
    assert_int_equal(convs.plan.n_quantized, 1);
    assert_int_equal(convs.plan.n_stored, 4);
    assert_ptr_equal(weights[3].recipe, &convs.plan.kept);
    assert_int_equal(weights[3].job->block, 0);
    assert_string_equal(weights[3].job->format->name, "int8");
}

static void the_other_way_round(void **state)
{
    load(four, 4);
    convs.options.estimates = losses;
    convs.options.ranking = (struct i4q_ranking){true, I4Q_RANK_QUANTIZE, 1};
    convs_plan(&convs);
    assert_string_equal(convs_reasons(&convs.plan), "sensitive unmeasured sensitive -");
    assert_false(convs.plan.has_keep);
    convs.options.ranking = (struct i4q_ranking){true, I4Q_RANK_QUANTIZE_PERCENT, 74}; /* of 4: 2 */
    convs_plan(&convs);
    assert_string_equal(convs_reasons(&convs.plan), "- unmeasured sensitive -");
}

static void reasons_of_their_own_come_first(void **state)
{
    load(four, 4);
    convs.options.estimates = losses;
    convs.options.min_weights = 20;
    convs.options.ranking = (struct i4q_ranking){true, I4Q_RANK_KEEP, 1};
    assert_true(i4q_patterns_add(&convs.model.arena, &convs.options.exclude, "a"));
    convs_plan(&convs);
    /* c is small, a is excluded: neither takes the place of one that is kept */
    assert_string_equal(convs_reasons(&convs.plan), "excluded - small sensitive");
}

static const struct test_conv shared[] = {
    {"a", "w", {4, 4, 1, 1}, NULL, false},
    {"b", "w", {4, 4, 1, 1}, NULL, false},
    {"c", "v", {4, 4, 1, 1}, NULL, false},
};

static void who_shares_a_weight_agrees(void **state)
{
    static const double first[] = {1, NAN, NAN};
    load(shared, 3);
    assert_int_equal(convs.facts.count, 2);
    convs.options.estimates = first;
    convs_plan(&convs);
    assert_string_equal(convs_reasons(&convs.plan), "sensitive shared -");
    assert_null(convs.plan.weights[0].recipe);
    convs.options.kept.format = i4q_format_find("int8");
    convs_plan(&convs);
    assert_string_equal(convs_reasons(&convs.plan), "sensitive shared -");
    assert_ptr_equal(convs.plan.weights[0].recipe, &convs.plan.kept);
    assert_true(i4q_patterns_add(&convs.model.arena, &convs.options.exclude, "b"));
    convs_plan(&convs); /* who leaves it alone wins */
    assert_string_equal(convs_reasons(&convs.plan), "sensitive excluded -");
    assert_null(convs.plan.weights[0].recipe);
}

static void what_is_known_to_be_bad_stays(void **state)
{
    load(four, 4);
    convs.facts.items[1].looked_through = true;
    convs_plan(&convs);
    assert_string_equal(convs_reasons(&convs.plan), "- non-finite - -");
    assert_null(convs.plan.weights[1].job);
    assert_int_equal(convs.plan.n_stored, 3);
}

static void plans_do_not_disturb_each_other(void **state)
{
    struct i4q_plan first;
    load(four, 4);
    assert_true(i4q_patterns_add(&convs.model.arena, &convs.options.notes, "told before"));
    convs_plan(&convs);
    first = convs.plan;
    convs.options.estimates = losses;
    convs.options.target.format = i4q_format_find("int8");
    convs_plan(&convs);
    assert_string_equal(first.weights[0].job->format->name, "int4");
    assert_string_equal(convs.plan.weights[1].job->format->name, "int8");
    assert_true(i4q_plan_note(&first, "of the first") && i4q_plan_note(&convs.plan, "of the second"));
    assert_string_equal(first.notes.items[1], "of the first");
    assert_string_equal(convs.plan.notes.items[1], "of the second");
    assert_int_equal(convs.options.notes.count, 1);
}

static void patterns_without_a_match_are_refused(void **state)
{
    load(four, 4);
    assert_true(i4q_patterns_add(&convs.model.arena, &convs.options.exclude, "e*"));
    assert_false(i4q_plan_make(&convs.facts, &convs.options, &convs.plan, &convs.error));
    assert_failed(convs.error, I4Q_USAGE, "'e*' matches no Conv (of 4)");
    convs.error = (struct i4q_error){0};
    convs.options.allow_unmatched = true;
    convs_plan(&convs);
    assert_int_equal(convs.plan.notes.count, 1);
}

static void lists_have_no_scores_to_count_by(void **state)
{
    static const char json[] = "{\"excluded_layers\": [\"b\"]}";
    load(four, 4);
    convs.options.topk = "list.json";
    convs.options.topk_json = VIEW(json);
    convs_plan(&convs);
    assert_string_equal(convs_reasons(&convs.plan), "- sensitive - -");
    assert_false(convs.plan.has_keep || convs.plan.keep_is_default);
    convs.options.ranking = (struct i4q_ranking){true, I4Q_RANK_KEEP, 1};
    assert_false(i4q_plan_make(&convs.facts, &convs.options, &convs.plan, &convs.error));
    assert_failed(convs.error, I4Q_USAGE, "without scores, which --keep or --target-size needs");
    assert_string_equal(convs.error.file, "list.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_weight_gets_the_recipe, teardown),
        cmocka_unit_test_teardown(ten_are_kept_unless_told, teardown),
        cmocka_unit_test_teardown(another_number_is_another_plan, teardown),
        cmocka_unit_test_teardown(kept_weights_get_their_own_recipe, teardown),
        cmocka_unit_test_teardown(the_other_way_round, teardown),
        cmocka_unit_test_teardown(reasons_of_their_own_come_first, teardown),
        cmocka_unit_test_teardown(who_shares_a_weight_agrees, teardown),
        cmocka_unit_test_teardown(what_is_known_to_be_bad_stays, teardown),
        cmocka_unit_test_teardown(plans_do_not_disturb_each_other, teardown),
        cmocka_unit_test_teardown(patterns_without_a_match_are_refused, teardown),
        cmocka_unit_test_teardown(lists_have_no_scores_to_count_by, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
