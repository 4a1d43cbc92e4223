// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/apply.h"
#include "plan/convs.h"
#include "plan/planner.h"
#include "report/rewrite_figures.h"
#include "report/rewrite_report.h"

#include <math.h>

static struct convs convs;
static struct i4q_rewrite rewrite;
static char *text;
static size_t text_size;
static json_t *json;

static int teardown(void **state)
{
    convs_free(&convs);
    free(text);
    json_decref(json);
    text = NULL;
    json = NULL;
    return 0;
}

static const struct test_conv specs[] = {
    {"a", "w", {4, 3, 3, 3}, NULL, false},
    {"b", "v", {4, 8, 1, 1}, NULL, false},
    {"c", "u", {2, 4, 1, 1}, NULL, false},
};

static const double losses[] = {1, 3, 2};

static void load(void)
{
    convs_load(&convs, specs, 3);
    convs.options.estimates = losses;
    convs.options.ranking = (struct i4q_ranking){true, I4Q_RANK_KEEP, 1};
}

/* Quantizes and tells, in both ways. */
static void tell(void)
{
    convs_plan(&convs);
    if (!i4q_plan_quantize(&convs.plan, convs_kernels(), 1, &convs.error) ||
        !i4q_rewrite_apply(&convs.plan, 0, &rewrite, &convs.error))
        fail_msg("%s", convs.error.message);
    const struct i4q_report report = {.plan = &convs.plan,
                                      .rewrite = &rewrite,
                                      .input_path = "in\x1b.onnx",
                                      .output_path = "out.onnx",
                                      .input_bytes = 1000,
                                      .output_bytes = 500,
                                      .dry_run = true,
                                      .table = true};
    FILE *stream = open_memstream(&text, &text_size);
    i4q_report_text(&report, stream);
    fclose(stream);
    json = i4q_report_json(&report);
    assert_non_null(json);
}

static void assert_told(const char *line)
{
    if (!strstr(text, line))
        fail_msg("\"%s\" is not in:\n%s", line, text);
}

static json_int_t total(const char *key)
{
    return json_integer_value(json_object_get(json_object_get(json, "totals"), key));
}

static void what_is_kept_is_told_by_its_option(void **state)
{
    load();
    tell();
    assert_told("convs      2 of 3 quantized to int4, 1 kept\n");
    assert_told("1 sensitive: kept by --rank or --choices\n");
    assert_told("rank       by estimated loss a byte, the 1 worst stay as they are;");
    assert_told("float32 (sensitive)");
    assert_int_equal(total("quantized"), 2);
    assert_int_equal(total("kept"), 1);
}

static void another_format_is_not_kept(void **state)
{
    load();
    convs.options.kept.format = i4q_format_find("int8");
    tell();
    assert_told("convs      2 of 3 quantized to int4, 1 to int8, 0 kept\n");
    assert_told("the 1 worst become int8;");
    assert_int_equal(total("kept"), 1); /* as it always was: what has not the chosen format */
    assert_int_equal(total("weights"), 108 + 32 + 8);
    assert_int_equal(total("weights_quantized"), 108 + 8);
}

static void defaults_are_told(void **state)
{
    load();
    convs.options.ranking.has_count = false;
    convs.options.kept.format = i4q_format_find("int8");
    tell();
    assert_told("the 3 worst become int8 (--keep is 10 by default);");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "topk"), "keep")), 10);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "output"), "bytes")), 500);
}

/* There is no size of an output then, and no hint how to run it. */
static void nothing_stored_has_no_output(void **state)
{
    load();
    convs.options.ranking.count = 3;
    tell();
    assert_told("convs      0 of 3 quantized to int4, 3 kept\n");
    assert_null(strstr(text, "hint"));
    assert_true(json_is_null(json_object_get(json_object_get(json, "output"), "bytes")));
}

static void figures_of_rows_are_their_own(void **state)
{
    load();
    tell();
    const json_t *rows = json_object_get(json, "convs"), *kept = json_array_get(rows, 1),
                 *stored = json_array_get(rows, 0);
    assert_string_equal(json_string_value(json_object_get(stored, "storage")), "int4");
    assert_true(json_is_null(json_object_get(stored, "reason")));
    assert_int_equal(json_integer_value(json_object_get(stored, "bytes_before")), 432);
    assert_int_equal(json_integer_value(json_object_get(stored, "bytes_after")), 54 + 16 + 2);
    assert_true(json_real_value(json_object_get(stored, "sqnr_db")) > 10);
    assert_string_equal(json_string_value(json_object_get(kept, "reason")), "sensitive");
    assert_int_equal(json_integer_value(json_object_get(kept, "bytes_after")), 128);
    assert_true(json_is_null(json_object_get(kept, "sqnr_db")));
    assert_true(json_real_value(json_object_get(kept, "sensitivity")) == 3);
}

static void averages_are_of_ratios(void **state)
{
    load();
    tell();
    double ratios = 0;
    for (size_t i = 0; i < 3; i += 2)
        ratios += convs.plan.weights[i].job->noise / convs.plan.weights[i].job->signal / 2;
    struct i4q_average average = i4q_average_error(&convs.plan);
    assert_true(fabs(average.weights_db + 10 * log10(ratios)) < 1e-9);
    assert_true(isnan(average.outputs_db));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_is_kept_is_told_by_its_option, teardown),
        cmocka_unit_test_teardown(another_format_is_not_kept, teardown),
        cmocka_unit_test_teardown(defaults_are_told, teardown),
        cmocka_unit_test_teardown(nothing_stored_has_no_output, teardown),
        cmocka_unit_test_teardown(figures_of_rows_are_their_own, teardown),
        cmocka_unit_test_teardown(averages_are_of_ratios, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
