// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "plan/apply.h"
#include "plan/convs.h"
#include "plan/planner.h"
#include "rewrite/rewrite.h"

static struct convs convs;
static struct i4q_rewrite result;

static int teardown(void **state)
{
    convs_free(&convs);
    return 0;
}

static const struct test_conv specs[] = {
    {"a", "w", {4, 3, 3, 3}, NULL, true},
    {"b", "v", {4, 3, 1, 1}, NULL, false},
    {"c", "w", {4, 3, 3, 3}, NULL, false},
};

static bool rewrite(int64_t opset)
{
    convs_plan(&convs);
    return i4q_plan_quantize(&convs.plan, convs_kernels(), 1, &convs.error) &&
           i4q_rewrite_apply(&convs.plan, opset, &result, &convs.error);
}

static const Onnx__GraphProto *graph(void)
{
    return convs.model.proto->graph;
}

static void assert_initializers(const char *const *names, size_t count)
{
    assert_int_equal(graph()->n_initializer, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(graph()->initializer[i]->name, names[i]);
}

/* One decoder a weight, however many Convs read it; its initializers stand where the weight stood. */
static void weights_give_way_to_their_decoders(void **state)
{
    static const char *const names[] = {"w_quantized", "w_scale", "w_zero_point", "b_a",
                                        "v_quantized", "v_scale", "v_zero_point"};
    convs_load(&convs, specs, 3);
    assert_true(rewrite(0));
    assert_initializers(names, 7);
    assert_int_equal(graph()->n_node, 5);
    assert_string_equal(graph()->node[0]->op_type, "DequantizeLinear");
    assert_string_equal(graph()->node[0]->output[0], "w");
    assert_string_equal(graph()->node[1]->output[0], "v");
    assert_string_equal(graph()->node[2]->input[1], "w");
    assert_ptr_equal(graph()->initializer[0]->raw_data.data, convs.plan.weights[0].job->codes);
}

static void others_stay_as_they_are(void **state)
{
    static const char *const names[] = {"w", "b_a", "v_quantized", "v_scale", "v_zero_point"};
    convs_load(&convs, specs, 3);
    assert_true(i4q_patterns_add(&convs.model.arena, &convs.options.exclude, "a"));
    assert_true(rewrite(0));
    assert_string_equal(convs_reasons(&convs.plan), "excluded - shared");
    assert_initializers(names, 5);
    assert_ptr_equal(graph()->initializer[0], convs.facts.items[0].proto);
}

static void versions_rise_as_far_as_is_needed(void **state)
{
    convs_load(&convs, specs, 3);
    assert_true(rewrite(0));
    assert_int_equal(result.opset[0], 17);
    assert_int_equal(result.opset[1], 21);
    assert_int_equal(result.ir_version[0], 8);
    assert_int_equal(result.ir_version[1], 10);
}

static void versions_that_need_not_rise_stay(void **state)
{
    convs_load(&convs, specs, 3);
    convs.options.target.format = i4q_format_find("int8");
    assert_true(rewrite(0));
    assert_int_equal(result.opset[1], 17);
    assert_int_equal(result.ir_version[1], 8);
}

static void versions_may_be_asked_for(void **state)
{
    convs_load(&convs, specs, 3);
    assert_true(rewrite(23));
    assert_int_equal(result.opset[1], 23);
    teardown(state);
    convs_load(&convs, specs, 3);
    assert_false(rewrite(20));
    assert_failed(convs.error, I4Q_USAGE, "--opset 20 is below 21, which the result needs");
}

static void domains_are_imported(void **state)
{
    convs_load(&convs, specs, 3);
    convs.options.target.form = &i4q_form_dq_microsoft;
    assert_true(rewrite(0));
    assert_int_equal(result.opset[1], 17);
    assert_int_equal(convs.model.proto->n_opset_import, 2);
    assert_string_equal(convs.model.proto->opset_import[1]->domain, "com.microsoft");
    assert_string_equal(graph()->node[0]->domain, "com.microsoft");
}

static void nothing_to_store_changes_nothing(void **state)
{
    convs_load(&convs, specs, 3);
    size_t before = onnx__model_proto__get_packed_size(convs.model.proto);
    assert_true(i4q_patterns_add(&convs.model.arena, &convs.options.exclude, "*"));
    assert_true(rewrite(0));
    assert_int_equal(convs.plan.n_stored, 0);
    assert_int_equal(result.opset[1], 17);
    assert_int_equal(onnx__model_proto__get_packed_size(convs.model.proto), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(weights_give_way_to_their_decoders, teardown),
        cmocka_unit_test_teardown(others_stay_as_they_are, teardown),
        cmocka_unit_test_teardown(versions_rise_as_far_as_is_needed, teardown),
        cmocka_unit_test_teardown(versions_that_need_not_rise_stay, teardown),
        cmocka_unit_test_teardown(versions_may_be_asked_for, teardown),
        cmocka_unit_test_teardown(domains_are_imported, teardown),
        cmocka_unit_test_teardown(nothing_to_store_changes_nothing, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
