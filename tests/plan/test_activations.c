// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/activations.h"
#include "plan/convs.h"
#include "plan/histograms.h"
#include "plan/planner.h"
#include "plan/settle.h"

static struct convs convs;
static struct i4q_statistics statistics;

static int teardown(void **state)
{
    convs_free(&convs);
    i4q_statistics_close(&statistics);
    return 0;
}

/* `first` makes y_first, which `one` and `other` read; `one` makes y_one, which `last` reads. */
static const struct test_conv specs[] = {
    {"first", "w0", {4, 3, 1, 1}, NULL, false},
    {"one", "w1", {4, 4, 1, 1}, NULL, false, "y_first"},
    {"other", "w2", {4, 4, 1, 1}, NULL, false, "y_first"},
    {"last", "w3", {4, 4, 1, 1}, NULL, false, "y_one"},
};

static void load(bool per_channel)
{
    static const char *const values[] = {"y_first", "y_one"};
    convs_load(&convs, specs, sizeof specs / sizeof *specs);
    histograms_read(&statistics, values, 2);
    convs.options.statistics = &statistics;
    convs.options.activations = (struct i4q_activation_options){
        .levels = &i4q_levels[0], .rule = I4Q_RANGE_MINMAX, .per_channel = per_channel};
}

static const struct i4q_plan_activation *find(const char *value)
{
    for (size_t i = 0; i < convs.plan.n_activations; i++)
        if (strcmp(convs.plan.activations[i].value->name, value) == 0)
            return &convs.plan.activations[i];
    fail_msg("no '%s'", value);
    return NULL;
}

static void each_value_is_there_once(void **state)
{
    load(false);
    convs_plan(&convs);
    assert_int_equal(convs.plan.n_activations, 3);
    assert_int_equal(find("x")->reason, I4Q_INPUT_IMAGE);
    assert_int_equal(find("y_first")->reason, I4Q_INPUT_QUANTIZED);
    assert_ptr_equal(convs.plan.rows[1].input, convs.plan.rows[2].input);
    assert_true(find("y_one")->narrow.scale == 4.0f / 255 && find("y_one")->narrow.zero == 0);
    assert_null(find("y_one")->factors);
}

static void what_no_stored_weight_meets_stays_float(void **state)
{
    load(false);
    assert_true(i4q_patterns_add(&convs.model.arena, &convs.options.exclude, "last"));
    convs_plan(&convs);
    assert_int_equal(convs.plan.n_activations, 2);
    convs.plan.rows[1].reason = convs.plan.rows[2].reason = I4Q_REASON_UNMEASURED;
    assert_true(i4q_plan_settle(&convs.plan, &convs.error));
    assert_int_equal(find("y_first")->reason, I4Q_INPUT_UNREAD);
}

static void factors_reach_the_jobs(void **state)
{
    load(true);
    convs_plan(&convs);
    const struct i4q_plan_activation *input = find("y_first");
    assert_non_null(input->factors);
    assert_true(input->factors[0] < 1 && input->factors[3] > 1);
    assert_null(convs.plan.weights[0].job->factors);
    for (size_t i = 1; i < 3; i++) {
        const struct i4q_quantize_job *job = convs.plan.weights[i].job;
        float weights[] = {1, 1, 1, 1, 1, 1, 1, 1};
        assert_ptr_equal(job->factors, input->factors);
        i4q_job_multiply(job, 4, 8, weights);
        for (size_t k = 0; k < 8; k++)
            assert_true(weights[k] == input->factors[k % 4]);
    }
}

static void statistics_have_to_tell_something(void **state)
{
    static const char *const strange[] = {"elsewhere"};
    load(false);
    i4q_statistics_close(&statistics);
    histograms_read(&statistics, strange, 1);
    assert_false(i4q_plan_make(&convs.facts, &convs.options, &convs.plan, &convs.error));
    assert_failed(convs.error, I4Q_MODEL, "none of the 2 values");
    i4q_statistics_close(&statistics);
    histograms_read(&statistics, NULL, 0);
    convs.error = (struct i4q_error){0};
    assert_false(i4q_plan_make(&convs.facts, &convs.options, &convs.plan, &convs.error));
    assert_failed(convs.error, I4Q_MODEL, "no histograms");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_value_is_there_once, teardown),
        cmocka_unit_test_teardown(what_no_stored_weight_meets_stays_float, teardown),
        cmocka_unit_test_teardown(factors_reach_the_jobs, teardown),
        cmocka_unit_test_teardown(statistics_have_to_tell_something, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
