// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/apply.h"
#include "plan/bias.h"
#include "plan/convs.h"
#include "plan/jobs.h"
#include "plan/planner.h"

#include <math.h>

static struct convs convs;
static struct i4q_statistics statistics;
static uint8_t file[1024];

static int teardown(void **state)
{
    convs_free(&convs);
    i4q_statistics_close(&statistics);
    return 0;
}

static const struct test_conv specs[] = {
    {"a", "w", {2, 4, 1, 1}, NULL, true},
    {"b", "v", {2, 4, 3, 2}, NULL, false},
};

/* Statistics of w, whose inputs are 1 on average: [4] means, and what the bias is to gain, if told. */
static void measure(const char *shift)
{
    static const float data[] = {1, 1, 1, 1, 5, 6};
    char header[512];
    snprintf(header, sizeof header,
             "{\"__metadata__\": {\"images\": \"8\"},"
             "\"w|mu\": {\"dtype\": \"F32\", \"shape\": [4], \"data_offsets\": [0, 16]}%s}",
             shift);
    uint64_t length = strlen(header);
    memcpy(file, &length, sizeof length);
    memcpy(file + sizeof length, header, length);
    memcpy(file + sizeof length + length, data, sizeof data);
    struct i4q_view bytes = {file, sizeof length + length + sizeof data};
    if (!i4q_statistics_read(&statistics, bytes, &convs.error))
        fail_msg("%s", convs.error.message);
    convs.options.statistics = &statistics;
}

static void jobs_follow_shapes(void **state)
{
    convs_load(&convs, specs, 2);
    convs.options.target.block = 4;
    convs_plan(&convs);
    const struct i4q_quantize_job *one = convs.plan.weights[0].job, *other = convs.plan.weights[1].job;
    assert_int_equal(one->channels, 2);
    assert_int_equal(one->inner, 4);
    assert_int_equal(one->outer, 1);
    assert_int_equal(one->block, 0); /* no more than a block */
    assert_int_equal(other->inner, 24);
    assert_int_equal(other->block, 4);
    assert_int_equal(other->kernel, 6);
    assert_ptr_equal(other->weights, convs.facts.items[1].payload.data);
    assert_false(one->half || one->asymmetric);
    assert_int_equal(convs.plan.n_jobs, 2);
}

/* Biases are left alone beside codes of 8 bits by the plain method, and corrected beside those of another. */
static void fine_codes_have_the_method_of_their_recipe(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        convs_load(&convs, specs, 2);
        measure("");
        convs.options.target.format = i4q_format_find("int8");
        convs.options.target.method = i4q_methods[i];
        convs_plan(&convs);
        const struct i4q_quantize_job *job = convs.plan.weights[0].job;
        assert_ptr_equal(job->method, &convs.plan.target.method);
        assert_int_equal(job->asymmetric, i == 1);
        assert_int_equal(job->bias != NULL, i == 1);
        if (i == 0)
            teardown(state);
    }
}

static void forms_that_cannot_hold_a_weight_are_replaced(void **state)
{
    convs_load(&convs, specs, 2);
    convs.options.target.format = i4q_format_find("packed-u8");
    convs.options.target.form = &i4q_form_cast;
    convs_plan(&convs);
    assert_ptr_equal(convs.plan.weights[0].form, &i4q_form_packed);
}

static void statistics_are_looked_up_once(void **state)
{
    convs_load(&convs, specs, 2);
    measure("");
    convs_plan(&convs);
    const struct i4q_plan_weight *weight = &convs.plan.weights[0];
    const struct i4q_moments *moments = weight->job->moments;
    const double *bias = weight->job->bias;
    assert_true(moments && bias && weight->looked_up);
    assert_true(moments->shrinkage > 0);
    assert_null(convs.plan.weights[1].job->moments); /* not in the file */
    assert_true(i4q_plan_keep(&convs.plan, 0, &convs.error));
    assert_ptr_equal(weight->job->moments, moments);
    assert_ptr_equal(weight->job->bias, bias);
}

static void biases_may_be_left_alone(void **state)
{
    convs_load(&convs, specs, 1);
    measure("");
    convs.options.correct_bias = false;
    convs_plan(&convs);
    assert_non_null(convs.plan.weights[0].job->moments);
    assert_null(convs.plan.weights[0].job->bias);
}

static void statistics_that_do_not_fit_are_refused(void **state)
{
    static const struct test_conv wider[] = {{"a", "w", {2, 5, 1, 1}, NULL, false}};
    convs_load(&convs, wider, 1);
    measure("");
    assert_false(i4q_plan_make(&convs.facts, &convs.options, &convs.plan, &convs.error));
    assert_failed(convs.error, I4Q_MODEL, "'w|mu' is not F32 of a shape that fits");
}

/* They are no business of Convs that stay as they are. */
static void statistics_of_others_do_not_matter(void **state)
{
    static const struct test_conv wider[] = {{"a", "w", {2, 5, 1, 1}, NULL, false},
                                             {"b", "v", {2, 4, 1, 1}, NULL, false}};
    convs_load(&convs, wider, 2);
    measure("");
    assert_true(i4q_patterns_add(&convs.model.arena, &convs.options.exclude, "a"));
    convs_plan(&convs);
    assert_int_equal(convs.plan.n_stored, 1);
}

/* The mean effect of the errors on an input of ones is their sum. */
static void corrections_are_the_mean_errors(void **state)
{
    static const float weights[] = {7, 0.5f, 0.5f, 0.5f, -7, 1.25f, 0, 0};
    static const struct test_conv one[] = {{"a", "w", {2, 4, 1, 1}, weights, true}};
    convs_load(&convs, one, 1);
    measure("");
    convs_plan(&convs);
    assert_true(i4q_plan_quantize(&convs.plan, convs_kernels(), 1, &convs.error));
    assert_true(convs.plan.weights[0].job->bias[0] == 1.5);
    assert_true(convs.plan.weights[0].job->bias[1] == 0.25);
    assert_true(i4q_bias_is_constant(&convs.plan, &convs.plan.rows[0]));
    assert_true(i4q_bias_apply(&convs.plan));
    const Onnx__TensorProto *bias = convs.model.proto->graph->initializer[1];
    float values[2];
    assert_string_equal(bias->name, "b_a");
    memcpy(values, bias->raw_data.data, sizeof values);
    assert_true(values[0] == 1.5f && values[1] == 0.25f);
}

static void convs_without_a_bias_get_one(void **state)
{
    convs_load(&convs, (struct test_conv[]){{"a", "w", {2, 4, 1, 1}, NULL, false}}, 1);
    measure("");
    convs_plan(&convs);
    assert_true(i4q_plan_quantize(&convs.plan, convs_kernels(), 1, &convs.error));
    assert_true(i4q_bias_apply(&convs.plan));
    const Onnx__GraphProto *graph = convs.model.proto->graph;
    assert_int_equal(graph->node[0]->n_input, 3);
    assert_string_equal(graph->node[0]->input[2], "w_bias");
    assert_string_equal(graph->initializer[1]->name, "w_bias");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(jobs_follow_shapes, teardown),
        cmocka_unit_test_teardown(fine_codes_have_the_method_of_their_recipe, teardown),
        cmocka_unit_test_teardown(forms_that_cannot_hold_a_weight_are_replaced, teardown),
        cmocka_unit_test_teardown(statistics_are_looked_up_once, teardown),
        cmocka_unit_test_teardown(biases_may_be_left_alone, teardown),
        cmocka_unit_test_teardown(statistics_that_do_not_fit_are_refused, teardown),
        cmocka_unit_test_teardown(statistics_of_others_do_not_matter, teardown),
        cmocka_unit_test_teardown(corrections_are_the_mean_errors, teardown),
        cmocka_unit_test_teardown(convs_without_a_bias_get_one, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
