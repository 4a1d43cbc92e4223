// SPDX-License-Identifier: Apache-2.0
/* Scales a channel in front of QuantizeLinear become a Mul, where ONNX Runtime would join the node before. */
#include "testing.h"

#include "base/half.h"
#include "onnx/dtype.h"
#include "onnx/maker.h"
#include "rewrite/divide.h"

enum { CHANNELS = 3 };

static struct maker maker;
static Onnx__NodeProto *conv, *quantize, *dequantize;
static size_t count;

static const int64_t ONE[4] = {0}, EACH[4] = {CHANNELS}, KERNEL[4] = {CHANNELS, 2, 1, 1};
static const float SCALE = 0.5f, SCALES[CHANNELS] = {0.25f, 0.5f, 2}, WEIGHTS[CHANNELS * 2] = {1};
static const uint8_t ZEROS[CHANNELS] = {7, 7, 7}, OTHER_ZEROS[CHANNELS] = {7, 8, 7};

/* x is dequantized for a Conv, whose output t is quantized by a scale a channel, and dequantized by one. */
static int setup(void **state)
{
    (void)state;
    maker_open(&maker, 21);
    maker_input(&maker, "x", 4);
    maker_floats(&maker, "w", KERNEL, WEIGHTS);
    maker_floats(&maker, "s", ONE, &SCALE);
    maker_floats(&maker, "each", EACH, SCALES);
    maker_bytes(&maker, "z", I4Q_TYPE(UINT8), ONE, ZEROS);
    maker_bytes(&maker, "zeros", I4Q_TYPE(UINT8), EACH, ZEROS);
    maker_node(&maker, "QuantizeLinear", "x s z", "codes");
    maker_node(&maker, "DequantizeLinear", "codes s z", "d");
    conv = maker_node(&maker, "Conv", "d w", "t");
    quantize = maker_node(&maker, "QuantizeLinear", "t each zeros", "q");
    maker_int(&maker, quantize, "axis", 1);
    dequantize = maker_node(&maker, "DequantizeLinear", "q s z", "r");
    maker_node(&maker, "Relu", "r", "y");
    maker_output(&maker, "y", 4);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    maker_close(&maker);
    return 0;
}

static void divide(void)
{
    maker_load(&maker);
    if (!i4q_divide_activations(&maker.model, &count, &maker.error))
        fail_msg("%s", maker.error.message);
}

static const Onnx__NodeProto *node_of(const char *output)
{
    const struct i4q_value *value = maker_value(&maker, output);
    assert_non_null(value->producer);
    return value->producer->proto;
}

static void check_divided(void)
{
    assert_int_equal(count, 1);
    const Onnx__NodeProto *mul = node_of("t_divided"), *behind = node_of("q");
    const Onnx__TensorProto *factor = maker_initializer(&maker, "r_factor");
    assert_string_equal(mul->op_type, "Mul");
    assert_string_equal(mul->input[0], "t");
    assert_string_equal(mul->input[1], "r_factor");
    assert_int_equal(factor->n_dims, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(factor->dims[i], i == 1 ? CHANNELS : 1);
    for (size_t c = 0; c < CHANNELS; c++)
        assert_true(i4q_real_load(factor->raw_data.data, false, c) == SCALE / SCALES[c]);
    assert_string_equal(behind->input[0], "t_divided");
    assert_string_equal(behind->input[1], "s");
    assert_string_equal(behind->input[2], "z");
    assert_int_equal(behind->n_attribute, 0);
    assert_ptr_equal(maker.model.proto->graph->node[3], mul); /* right behind the Conv */
}

static void scales_of_channels_go_into_a_mul(void **state)
{
    (void)state;
    divide();
    check_divided();
    assert_int_equal(maker.model.proto->graph->n_initializer, 4); /* without each and zeros */
}

static void axes_may_count_from_behind(void **state)
{
    (void)state;
    quantize->attribute[0]->i = -3;
    divide();
    check_divided();
}

/* What is done twice is done once. */
static void nothing_is_left_to_do(void **state)
{
    (void)state;
    divide();
    if (!i4q_divide_activations(&maker.model, &count, &maker.error))
        fail_msg("%s", maker.error.message);
    assert_int_equal(count, 0);
}

/* The graphs that stay. */
static void floats_before(void)
{
    conv->input[0] = (char *)"x";
}
static void weights_decoded(void)
{
    static const int8_t codes[CHANNELS * 2];
    static const int64_t window[] = {1, 1};
    maker_ints(&maker, conv, "kernel_shape", window, 2); /* which tells the rank then */
    maker_bytes(&maker, "wq", I4Q_TYPE(INT8), KERNEL, codes);
    maker_node(&maker, "DequantizeLinear", "wq s", "wd");
    conv->input[1] = (char *)"wd";
}
static void one_scale(void)
{
    quantize->input[1] = (char *)"s";
    quantize->input[2] = (char *)"z";
}
static void one_channel(void)
{
    static const int64_t single[4] = {1};
    maker_floats(&maker, "s1", single, &SCALE);
    maker_bytes(&maker, "z1", I4Q_TYPE(UINT8), single, ZEROS);
    quantize->input[1] = (char *)"s1";
    quantize->input[2] = (char *)"z1";
}
static void scales_on_both_sides(void)
{
    dequantize->input[1] = (char *)"each";
    dequantize->input[2] = (char *)"zeros";
    maker_int(&maker, dequantize, "axis", 1);
}
static void other_zeros(void)
{
    maker_bytes(&maker, "others", I4Q_TYPE(UINT8), EACH, OTHER_ZEROS);
    quantize->input[2] = (char *)"others";
}
static void codes_read_twice(void)
{
    maker_node(&maker, "DequantizeLinear", "q s z", "again");
    maker_output(&maker, "again", 4);
}
static void codes_as_output(void)
{
    maker_output(&maker, "q", 4);
}
static void no_zero_point(void)
{
    quantize->n_input = dequantize->n_input = 2;
}
static void not_a_channel(void)
{
    quantize->attribute[0]->i = 4;
}

static void what_need_not_or_cannot_be_divided_stays(void **state)
{
    static void (*const changes[])(void) = {
        floats_before, weights_decoded,  one_scale,       one_channel,   scales_on_both_sides,
        other_zeros,   codes_read_twice, codes_as_output, no_zero_point, not_a_channel};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        teardown(state);
        setup(state);
        changes[i]();
        divide();
        if (count)
            fail_msg("row %zu was divided", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scales_of_channels_go_into_a_mul, setup, teardown),
        cmocka_unit_test_setup_teardown(axes_may_count_from_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_left_to_do, setup, teardown),
        cmocka_unit_test_setup_teardown(what_need_not_or_cannot_be_divided_stays, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
