// SPDX-License-Identifier: Apache-2.0
/* Activations that run step by step: which nodes can, what stands in their place, and what inspection tells.
 */
#include "testing.h"

#include "forms/fakes.h"
#include "forms/origin_quant.h"
#include "forms/steps.h"
#include "forms/thresholds.h"
#include "onnx/dtype.h"
#include "onnx/maker.h"
#include "onnx/ranks.h"

#include <string.h>

enum { RANK = 4 };

static struct maker maker;

static const int64_t ONE[4] = {0}, BOTH[4] = {2, 3}, ROWS[4] = {2, 4}, ROW[4] = {1, 4};
static const float NUMBERS[8] = {0.25f, 0.5f, 1, 2, 4, 8, 16, 32}, NOTHING = 0, FOUR = 4, WIDE = 25;

static int setup(void **state)
{
    maker_open(&maker, 21);
    maker_input(&maker, "x", 4);
    maker_input(&maker, "unknown", 0);
    maker_floats(&maker, "s", ONE, NUMBERS);
    maker_floats(&maker, "many", BOTH, NUMBERS);
    maker_floats(&maker, "zero", ONE, &NOTHING);
    maker_floats(&maker, "one", ONE, &NUMBERS[2]);
    maker_floats(&maker, "four", ONE, &FOUR);
    maker_floats(&maker, "wide", ONE, &WIDE);
    maker_floats(&maker, "t", ROWS, NUMBERS);
    maker_floats(&maker, "t1", ROW, NUMBERS);
    maker_output(&maker, "y", 4);
    return 0;
}

static int teardown(void **state)
{
    maker_close(&maker);
    return 0;
}

static Onnx__NodeProto *node(const char *op, const char *inputs, const char *output)
{
    Onnx__NodeProto *made = maker_node(&maker, op, inputs, output);
    made->domain = (char *)"qonnx.custom_op.general";
    return made;
}

/* The model's only node. */
static const struct i4q_node *load(void)
{
    maker_load(&maker);
    return maker.model.graph.nodes;
}

static bool has_steps(void)
{
    const struct i4q_node *only = load();
    return i4q_has_steps(only, i4q_origin_of_quant(&maker.model.arena, only, true));
}

/* The operators of the emission, with a blank behind each. */
static void assert_operators(const struct i4q_emission *emission, const char *wanted)
{
    char found[256] = "";
    assert_false(emission->failed);
    for (size_t i = 0; i < emission->nodes.count; i++) {
        const Onnx__NodeProto *made = emission->nodes.items[i];
        strcat(strcat(found, made->op_type), " ");
    }
    assert_string_equal(found, wanted);
    const Onnx__NodeProto *last = emission->nodes.items[emission->nodes.count - 1];
    assert_string_equal(last->output[0], "y");
}

static void check_emitted(const char *wanted)
{
    Onnx__TensorProto plain = ONNX__TENSOR_PROTO__INIT; /* not external */
    const struct i4q_node *only = load();
    const struct i4q_weight value = {.value = maker_value(&maker, "y"), .proto = &plain};
    struct i4q_table shared;
    i4q_table_init(&shared, &maker.model.arena);
    struct i4q_emission emission = {.model = &maker.model, .weight = &value, .shared = &shared};
    if (i4q_is_multi_threshold(only->proto))
        i4q_emit_thresholds(&emission, only, RANK);
    else
        i4q_emit_steps(&emission, only, i4q_origin_of_quant(&maker.model.arena, only, true));
    assert_operators(&emission, wanted);
}

static void rounding_is_made_of_operators_that_there_are(void **state)
{
    static const char *const modes[][2] = {
        {"ROUND", "Div Clip Round Mul "},
        {"CEIL", "Div Clip Ceil Mul "},
        {"FLOOR", "Div Clip Floor Mul "},
        {"UP", "Div Clip Sign Abs Ceil Mul Mul "},
        {"DOWN", "Div Clip Sign Abs Floor Mul Mul "},
        {"HALF_UP", "Div Clip Sign Abs Add Floor Mul Mul "},
        {"HALF_DOWN", "Div Clip Sign Abs Add Ceil Mul Mul "},
    };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        maker_close(&maker);
        setup(state);
        maker_text(&maker, node("Quant", "x s zero four", "y"), "rounding_mode", modes[i][0]);
        check_emitted(modes[i][1]);
    }
}

static void zero_points_are_added_and_taken_off(void **state)
{
    node("Quant", "x s one four", "y");
    check_emitted("Div Add Clip Round Sub Mul ");
}

static void one_signed_bit_is_a_choice(void **state)
{
    node("Quant", "x s zero one", "y");
    check_emitted("Div GreaterOrEqual Where Mul ");
}

static void signs_take_scales_of_any_shape(void **state)
{
    node("BipolarQuant", "x many", "y");
    assert_true(has_steps());
}

static void low_bits_are_cut(void **state)
{
    node("Trunc", "x s zero four one", "y");
    check_emitted("Div Round Div Floor Mul ");
}

static void low_bits_are_cut_and_clamped(void **state)
{
    node("Trunc", "x s zero four one four", "y");
    check_emitted("Div Round Div Clip Floor Mul ");
}

static void scales_may_differ_along_all_axes(void **state)
{
    node("Quant", "x many zero four", "y");
    assert_true(has_steps());
}

static void codes_have_to_be_exact(void **state)
{
    node("Quant", "x s zero wide", "y");
    assert_false(has_steps());
}

static void trunc_has_no_zero_point(void **state)
{
    node("Trunc", "x s one four one", "y");
    assert_false(has_steps());
}

static void broken_nodes_have_no_steps(void **state)
{
    node("Quant", "x s zero", "y");
    assert_false(has_steps());
}

static void thresholds_of_channels_are_spread(void **state)
{
    node("MultiThreshold", "x t", "y");
    check_emitted("Unsqueeze Unsqueeze GreaterOrEqual Cast ReduceSum ");
}

static void thresholds_of_all_need_no_rank(void **state)
{
    node("MultiThreshold", "unknown t1", "y");
    check_emitted("Unsqueeze GreaterOrEqual Cast ReduceSum ");
    assert_true(i4q_has_thresholds(maker.model.graph.nodes, I4Q_RANK_UNKNOWN));
}

static void thresholds_of_channels_need_the_rank(void **state)
{
    node("MultiThreshold", "x t", "y");
    const struct i4q_node *only = load();
    assert_false(i4q_has_thresholds(only, I4Q_RANK_UNKNOWN));
    assert_false(i4q_has_thresholds(only, 1));
    assert_true(i4q_has_thresholds(only, RANK));
}

static void fakes_are_listed(void **state)
{
    struct i4q_fake *fakes;
    size_t count;
    node("Quant", "s one zero four", "a");
    maker_text(&maker, node("MultiThreshold", "x t1", "b"), "out_dtype", "INT6");
    node("Trunc", "b s zero four one", "y");
    maker_node(&maker, "Neg", "a", "c");
    maker_load(&maker);
    assert_true(i4q_fakes_find(&maker.model, &fakes, &count, &maker.error));
    assert_int_equal(count, 3);
    static const unsigned bits[] = {4, 6, 1};
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fakes[i].bits, bits[i]);
        assert_int_equal(fakes[i].is_activation, i > 0);
        assert_null(fakes[i].flaw);
    }
    assert_string_equal(fakes[1].tensor->name, "x");
    assert_string_equal(i4q_fake_op(fakes[2].op), "Trunc");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rounding_is_made_of_operators_that_there_are),
        TEST(zero_points_are_added_and_taken_off),
        TEST(one_signed_bit_is_a_choice),
        TEST(signs_take_scales_of_any_shape),
        TEST(low_bits_are_cut),
        TEST(low_bits_are_cut_and_clamped),
        TEST(scales_may_differ_along_all_axes),
        TEST(codes_have_to_be_exact),
        TEST(trunc_has_no_zero_point),
        TEST(broken_nodes_have_no_steps),
        TEST(thresholds_of_channels_are_spread),
        TEST(thresholds_of_all_need_no_rank),
        TEST(thresholds_of_channels_need_the_rank),
        TEST(fakes_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
