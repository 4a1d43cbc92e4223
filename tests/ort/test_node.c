// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "int4q/ort.h"
#include "ort/node.h"

#include <math.h>

enum { FLOAT_TYPE = 1, UINT8_TYPE = 2, INT8_TYPE = 3, UINT4_TYPE = 21, INT4_TYPE = 22 };

static const float numbers[64];
static const uint8_t codes[64];

/* 4 outputs of 2 channels, a kernel of 3 x 2, and two groups. */
static struct i4q_node make_node(void)
{
    return (struct i4q_node){.weight_shape = {4, {4, 2, 3, 2}},
                             .bits = 4,
                             .group = 2,
                             .weight = {INT4_TYPE, 4, {4, 2, 3, 2}, codes},
                             .scales = {FLOAT_TYPE, 1, {4}, numbers}};
}

/* The same with 5 weights a scale: a row has 12 of them. */
static struct i4q_node make_blocks(void)
{
    struct i4q_node node = make_node();
    node.axis = 1;
    node.block_size = 5;
    node.weight = (struct i4q_node_tensor){INT4_TYPE, 2, {4, 12}, codes};
    node.scales = (struct i4q_node_tensor){FLOAT_TYPE, 2, {4, 3}, numbers};
    return node;
}

/* The same with 5 bits a weight, of which there are 48. */
static struct i4q_node make_stream(void)
{
    struct i4q_node node = make_node();
    node.bits = 5;
    node.weight = (struct i4q_node_tensor){UINT8_TYPE, 1, {30}, codes};
    node.zero_points = (struct i4q_node_tensor){UINT8_TYPE, 1, {4}, codes};
    return node;
}

static struct i4q_conv_spec read(const struct i4q_node *node, size_t *dimensions)
{
    struct i4q_error error = {0};
    struct i4q_conv_spec spec;
    if (!i4q_node_spec(node, &spec, dimensions, &error))
        fail_msg("%s", error.message);
    return spec;
}

static void two_dimensions(void **state)
{
    size_t dimensions;
    struct i4q_node node = make_node();
    node.strides = (struct i4q_node_ints){2, {2, 1}};
    node.dilations = (struct i4q_node_ints){2, {1, 3}};
    node.pads = (struct i4q_node_ints){4, {1, 2, 3, 4}};
    node.accuracy_level = 4;
    struct i4q_conv_spec spec = read(&node, &dimensions);
    const struct i4q_conv_shape expected = {.channels = 4,
                                            .outputs = 4,
                                            .groups = 2,
                                            .kernel = {3, 2},
                                            .strides = {2, 1},
                                            .dilations = {1, 3},
                                            .pads = {1, 2, 3, 4}};
    assert_int_equal(dimensions, 2);
    assert_memory_equal(&spec.shape, &expected, sizeof expected);
    assert_int_equal(spec.level, 4);
    assert_int_equal(spec.weights.bits, 4);
    assert_true(spec.weights.is_signed && spec.weights.block_size == 0);
    assert_null(spec.weights.zero_points);
}

static void a_stream(void **state)
{
    size_t dimensions;
    struct i4q_node node = make_stream();
    struct i4q_conv_spec spec = read(&node, &dimensions);
    assert_true(spec.weights.bits == 5 && spec.weights.zero_bits == 8 && !spec.weights.is_signed);
    assert_ptr_equal(spec.weights.zero_points, codes);
}

static void one_dimension(void **state)
{
    size_t dimensions;
    struct i4q_node node = make_node();
    node.weight_shape = (struct i4q_node_ints){3, {4, 2, 5}};
    node.weight = (struct i4q_node_tensor){UINT4_TYPE, 3, {4, 2, 5}, codes};
    node.strides = (struct i4q_node_ints){1, {3}};
    node.pads = (struct i4q_node_ints){2, {7, 8}};
    struct i4q_conv_spec spec = read(&node, &dimensions);
    const struct i4q_conv_shape expected = {.channels = 4,
                                            .outputs = 4,
                                            .groups = 2,
                                            .kernel = {1, 5},
                                            .strides = {1, 3},
                                            .dilations = {1, 1},
                                            .pads = {0, 7, 0, 8}};
    assert_int_equal(dimensions, 1);
    assert_memory_equal(&spec.shape, &expected, sizeof expected);
    assert_false(spec.weights.is_signed);
}

static void blocks(void **state)
{
    size_t dimensions;
    struct i4q_node node = make_blocks();
    node.zero_points = (struct i4q_node_tensor){INT4_TYPE, 2, {4, 3}, codes};
    node.bias = (struct i4q_node_tensor){FLOAT_TYPE, 1, {4}, numbers};
    struct i4q_conv_spec spec = read(&node, &dimensions);
    assert_int_equal(spec.weights.block_size, 5);
    assert_ptr_equal(spec.weights.zero_points, codes);
    assert_ptr_equal(spec.weights.bias, numbers);
}

static void activations(void **state)
{
    size_t dimensions;
    struct i4q_node node = make_node();
    node.activation = INT4Q_ORT_CLIP;
    node.alpha = -1;
    node.beta = 6;
    struct i4q_conv_spec spec = read(&node, &dimensions);
    assert_int_equal(spec.activation.function, I4Q_CONV_CLIP);
    assert_true(spec.activation.low == -1 && spec.activation.high == 6);
    node.activation = INT4Q_ORT_LEAKY_RELU;
    spec = read(&node, &dimensions);
    assert_int_equal(spec.activation.function, I4Q_CONV_LEAKY_RELU);
    assert_true(spec.activation.alpha == -1);
}

static void input_sizes(void **state)
{
    const struct i4q_conv_shape shape = {.channels = 4};
    struct i4q_error error = {0};
    struct i4q_conv_input input = {0};
    assert_true(i4q_node_input(&shape, 2, (int64_t[]){3, 4, 5, 6}, 4, &input, &error));
    assert_true(input.images == 3 && input.height == 5 && input.width == 6);
    assert_true(i4q_node_input(&shape, 1, (int64_t[]){3, 4, 5}, 3, &input, &error));
    assert_true(input.images == 3 && input.height == 1 && input.width == 5);
    assert_false(i4q_node_input(&shape, 2, (int64_t[]){3, 4, 5}, 3, &input, &error));
    assert_failed(error, I4Q_MODEL, "X has 3 dimensions, not 4");
    error = (struct i4q_error){0};
    assert_false(i4q_node_input(&shape, 1, (int64_t[]){3, 5, 5}, 3, &input, &error));
    assert_failed(error, I4Q_MODEL, "X has 5 channels, not 4");
}

/* ---- what cannot be: one change of a node that can, and what is said of it */

#define REFUSED(title, make, change, part)                                                                   \
    static void title(void **state)                                                                          \
    {                                                                                                        \
        struct i4q_node node = make();                                                                       \
        struct i4q_conv_spec spec;                                                                           \
        struct i4q_error error = {0};                                                                        \
        size_t dimensions;                                                                                   \
        change;                                                                                              \
        assert_false(i4q_node_spec(&node, &spec, &dimensions, &error));                                      \
        assert_failed(error, I4Q_MODEL, part);                                                               \
    }

REFUSED(no_weight_shape, make_node, node.weight_shape.count = 0, "weight_shape has 0 elements, not 3 or 4")
REFUSED(long_weight_shape, make_node, node.weight_shape.count = 5, "weight_shape has 5 elements")
REFUSED(empty_weight, make_node, node.weight_shape.values[2] = 0, "weight_shape is 0, not 1 to 2147483647")
REFUSED(no_groups, make_node, node.group = 0, "group is 0, not 1 to 4")
REFUSED(uneven_groups, make_node, node.group = 3, "group is 3, which does not divide 4 outputs")
REFUSED(short_strides, make_node, node.strides = ((struct i4q_node_ints){1, {1}}),
        "strides has 1 elements, not 2")
REFUSED(zero_stride, make_node, node.strides = ((struct i4q_node_ints){2, {1, 0}}), "strides is 0, not 1 to")
REFUSED(negative_pad, make_node, node.pads = ((struct i4q_node_ints){4, {0, 0, -1, 0}}),
        "pads is -1, not 0 to")
REFUSED(many_pads, make_node, node.pads.count = 6, "pads has 6 elements, not 4")
REFUSED(huge_dilation, make_node, node.dilations = ((struct i4q_node_ints){2, {1, INT64_MAX}}),
        "dilations is 9223372036854775807, not 1 to 2147483647")
REFUSED(other_axis, make_node, node.axis = 2, "axis is 2, not 0 to 1")
REFUSED(block_without_axis, make_node, node.block_size = 4, "block_size is 4, not 0 to 0")
REFUSED(axis_without_block, make_node, node.axis = 1, "block_size is 0, not 1 to")
REFUSED(float_weight, make_node, node.weight.type = FLOAT_TYPE, "W has the type 1 of TensorProto")
REFUSED(missing_weight, make_node, node.weight.type = 0, "W has the type 0 of TensorProto")
REFUSED(wrong_bits, make_node, node.bits = 8, "bits is 8, and W is int4")
REFUSED(wide_stream, make_stream, node.bits = 7, "bits is 7, and in bytes W has 2 to 6")
REFUSED(blocks_of_a_stream, make_stream, (node.axis = 1, node.block_size = 4), "in bytes W has no blocks")
REFUSED(short_stream, make_stream, node.weight.dims[0] = 29, "W has the shape [29], not [30]")
REFUSED(streamed_zero_points, make_stream, node.zero_points.dims[0] = 3,
        "zero_points has the shape [3], not [4]")
REFUSED(flat_weight, make_node, node.weight.rank = 2, "W has the shape [4, 2], not [4, 2, 3, 2]")
REFUSED(deep_weight, make_node, node.weight.rank = 7, "W has 7 dimensions, not the shape [4, 2, 3, 2]")
REFUSED(other_matrix, make_blocks, node.weight.dims[1] = 13, "W has the shape [4, 13], not [4, 12]")
REFUSED(few_scales, make_node, node.scales.dims[0] = 3, "scales has the shape [3], not [4]")
REFUSED(few_blocks, make_blocks, node.scales.dims[1] = 2, "scales has the shape [4, 2], not [4, 3]")
REFUSED(half_scales, make_node, node.scales.type = 10, "scales has the type 10 of TensorProto, not 1")
REFUSED(other_zero_points, make_node, node.zero_points = ((struct i4q_node_tensor){INT8_TYPE, 1, {4}, codes}),
        "zero_points has the type 3 of TensorProto, not 22")
REFUSED(scalar_zero_point, make_node, node.zero_points = ((struct i4q_node_tensor){INT4_TYPE, 0, {0}, codes}),
        "zero_points has the shape [], not [4]")
REFUSED(short_bias, make_node, node.bias = ((struct i4q_node_tensor){FLOAT_TYPE, 1, {2}, numbers}),
        "B has the shape [2], not [4]")
REFUSED(unknown_activation, make_node, node.activation = 7, "activation is 7, not 0 to 6")
REFUSED(nan_alpha, make_node, node.alpha = NAN, "alpha or beta is not a number")
REFUSED(unknown_level, make_node, node.accuracy_level = 5, "accuracy_level is 5, not 0 to 4")
REFUSED(negative_scale, make_node, node.input_scale = -1, "input_scale is -1, not positive")
REFUSED(nan_scale, make_node, node.input_scale = NAN, "not positive")
REFUSED(tiny_scale, make_node, node.input_scale = 0x1p-140f, "not positive")
REFUSED(large_zero, make_node, node.input_zero_point = 256, "input_zero_point is 256, not 0 to 255")

static void huge_row(void **state)
{
    struct i4q_node node = make_node();
    struct i4q_conv_spec spec;
    struct i4q_error error = {0};
    size_t dimensions;
    for (size_t i = 1; i < 4; i++)
        node.weight_shape.values[i] = INT32_MAX;
    assert_false(i4q_node_spec(&node, &spec, &dimensions, &error));
    assert_failed(error, I4Q_MODEL, "weight_shape is too large");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_dimensions),     cmocka_unit_test(a_stream),
        cmocka_unit_test(one_dimension),      cmocka_unit_test(blocks),
        cmocka_unit_test(activations),        cmocka_unit_test(input_sizes),
        cmocka_unit_test(no_weight_shape),    cmocka_unit_test(long_weight_shape),
        cmocka_unit_test(empty_weight),       cmocka_unit_test(no_groups),
        cmocka_unit_test(uneven_groups),      cmocka_unit_test(short_strides),
        cmocka_unit_test(zero_stride),        cmocka_unit_test(negative_pad),
        cmocka_unit_test(many_pads),          cmocka_unit_test(huge_dilation),
        cmocka_unit_test(other_axis),         cmocka_unit_test(block_without_axis),
        cmocka_unit_test(axis_without_block), cmocka_unit_test(float_weight),
        cmocka_unit_test(missing_weight),     cmocka_unit_test(wrong_bits),
        cmocka_unit_test(wide_stream),        cmocka_unit_test(blocks_of_a_stream),
        cmocka_unit_test(short_stream),       cmocka_unit_test(streamed_zero_points),
        cmocka_unit_test(flat_weight),        cmocka_unit_test(deep_weight),
        cmocka_unit_test(other_matrix),       cmocka_unit_test(few_scales),
        cmocka_unit_test(few_blocks),         cmocka_unit_test(half_scales),
        cmocka_unit_test(other_zero_points),  cmocka_unit_test(scalar_zero_point),
        cmocka_unit_test(short_bias),         cmocka_unit_test(unknown_activation),
        cmocka_unit_test(nan_alpha),          cmocka_unit_test(unknown_level),
        cmocka_unit_test(negative_scale),     cmocka_unit_test(nan_scale),
        cmocka_unit_test(tiny_scale),         cmocka_unit_test(large_zero),
        cmocka_unit_test(huge_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
