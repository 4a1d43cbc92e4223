// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/convs.h"
#include "plan/fused.h"
#include "plan/histograms.h"
#include "plan/planner.h"

static struct convs convs;
static struct i4q_statistics statistics;

static int teardown(void **state)
{
    convs_free(&convs);
    i4q_statistics_close(&statistics);
    return 0;
}

/* y_tail is the output of the model. */
static const struct test_conv specs[] = {
    {"first", "w0", {4, 3, 1, 1}, NULL, true, NULL, "Relu"},
    {"one", "w1", {4, 4, 1, 1}, NULL, false, "z_first", "Add", "z_first"},
    {"other", "w2", {4, 4, 1, 1}, NULL, false, "z_one", "MaxPool"},
    {"last", "w3", {4, 4, 1, 1}, NULL, false, "z_other", "Softmax"},
    {"tail", "w4", {4, 4, 1, 1}, NULL, false, "z_last"},
};

static const char *const all[] = {"x",       "y_first", "z_first", "y_one", "z_one",
                                  "y_other", "z_other", "y_last",  "z_last"};

/* Without what the statistics then lack; NULL: nothing. */
static void load(const char *lacking)
{
    const char *values[sizeof all / sizeof *all];
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!lacking || strcmp(all[i], lacking) != 0)
            values[count++] = all[i];
    convs_load(&convs, specs, sizeof specs / sizeof *specs);
    histograms_read(&statistics, values, count);
    convs.options.statistics = &statistics;
    convs.options.target.form = &i4q_form_fused;
    convs.options.activations =
        (struct i4q_activation_options){.levels = &i4q_levels[0], .rule = I4Q_RANGE_MINMAX, .has_keep = true};
}

/* Of the Convs, a character each: 8 for those that compute in 8 bits. */
static const char *computing(void)
{
    static char marks[TEST_CONVS + 1];
    for (size_t i = 0; i < convs.plan.n_rows; i++)
        marks[i] = convs.plan.rows[i].computes ? '8' : 'f';
    marks[convs.plan.n_rows] = '\0';
    return marks;
}

/* The values that get codes, in their order, separated by blanks. */
static const char *quantized(void)
{
    static char names[256];
    *names = '\0';
    for (size_t i = 0; i < convs.plan.fused->n_values; i++) {
        size_t length = strlen(names);
        snprintf(names + length, sizeof names - length, "%s%s", i ? " " : "",
                 convs.plan.fused->values[i]->name);
    }
    return names;
}

static const struct i4q_value *value(const char *name)
{
    return i4q_scope_resolve(convs.model.graph.scopes, name);
}

static void assert_reason(size_t row, const char *part)
{
    assert_non_null(convs.plan.rows[row].why_float);
    assert_non_null(strstr(convs.plan.rows[row].why_float, part));
}

static void a_stretch_has_codes_of_all_but_what_relu_reads(void **state)
{
    load(NULL);
    convs_plan(&convs);
    assert_string_equal(computing(), "8888f");
    assert_string_equal(quantized(), "x z_first y_one z_one y_other z_other y_last");
    assert_int_equal(convs.plan.fused->n_convs, 4);
    assert_reason(4, "an output of the model");
    assert_null(convs.plan.rows[0].why_float);
    for (size_t i = 0; i < 5; i++)
        assert_ptr_equal(convs.plan.weights[i].form, i < 4 ? &i4q_form_fused : &i4q_form_cast);
}

static void what_moves_values_keeps_their_range(void **state)
{
    load("z_other");
    convs_plan(&convs);
    assert_ptr_equal(i4q_plan_fused_range(convs.plan.fused, value("z_other")),
                     i4q_plan_fused_range(convs.plan.fused, value("y_other")));
    assert_true(i4q_plan_fused_range(convs.plan.fused, value("z_other"))->scale == 4.0f / 255);
    assert_string_equal(computing(), "8888f");
}

static void what_is_not_measured_ends_a_stretch(void **state)
{
    load("z_one");
    convs_plan(&convs);
    assert_string_equal(computing(), "88f8f");
    assert_reason(2, "not in the statistics");
    assert_string_equal(quantized(), "x z_first y_one z_other y_last");
}

static void what_is_kept_stays_float_with_what_is_around(void **state)
{
    load(NULL);
    convs.options.activations.keep_path = "keep.json";
    convs.options.activations.keep_json = VIEW("{\"z_first\": 1}");
    convs.options.activations.keep = 1;
    convs_plan(&convs);
    assert_string_equal(computing(), "ff88f");
    assert_int_equal(convs.plan.fused->n_kept, 1);
    assert_reason(0, "stays float for what it would lose");
}

/* As often as a plan is concluded. */
static void concluding_again_changes_nothing(void **state)
{
    load("z_one");
    convs_plan(&convs);
    i4q_plan_fused_conclude(&convs.plan);
    assert_string_equal(computing(), "88f8f");
    assert_reason(2, "not in the statistics");
    assert_string_equal(quantized(), "x z_first y_one z_other y_last");
}

static void statistics_have_to_tell_of_what_convs_give(void **state)
{
    static const char *const inputs[] = {"z_first", "z_one", "z_other", "z_last"};
    load(NULL);
    i4q_statistics_close(&statistics);
    histograms_read(&statistics, inputs, 4);
    assert_false(i4q_plan_make(&convs.facts, &convs.options, &convs.plan, &convs.error));
    assert_failed(convs.error, I4Q_MODEL, "no value that a Conv gives");
}

static void other_forms_have_no_stretches(void **state)
{
    load(NULL);
    convs.options.target.form = &i4q_form_cast;
    convs_plan(&convs);
    assert_null(convs.plan.fused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_stretch_has_codes_of_all_but_what_relu_reads, teardown),
        cmocka_unit_test_teardown(what_moves_values_keeps_their_range, teardown),
        cmocka_unit_test_teardown(what_is_not_measured_ends_a_stretch, teardown),
        cmocka_unit_test_teardown(what_is_kept_stays_float_with_what_is_around, teardown),
        cmocka_unit_test_teardown(concluding_again_changes_nothing, teardown),
        cmocka_unit_test_teardown(statistics_have_to_tell_of_what_convs_give, teardown),
        cmocka_unit_test_teardown(other_forms_have_no_stretches, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
