// SPDX-License-Identifier: Apache-2.0
/* The factor between the two scales of an activation: its shape, its numbers, and whether zero points agree.
 */
#include "testing.h"

#include "base/half.h"
#include "onnx/maker.h"
#include "onnx/ranks.h"
#include "rewrite/factor.h"

enum { CHANNELS = 2 };

static struct maker maker;
static struct i4q_activation_pair *pair;
static Onnx__NodeProto *quantize, *dequantize;

static const int64_t ONE[4] = {0}, EACH[4] = {CHANNELS}, KERNEL[4] = {2, 2, 1};
static const float SCALE = 0.5f, SCALES[CHANNELS] = {0.25f, 2}, WEIGHTS[4] = {1};
static const uint8_t ZEROS[CHANNELS] = {7, 7}, OTHER_ZEROS[CHANNELS] = {7, 8};

static int setup(void **state)
{
    (void)state;
    maker_open(&maker, 21);
    maker_input(&maker, "x", 0); /* of unknown rank */
    maker_floats(&maker, "s", ONE, &SCALE);
    maker_floats(&maker, "each", EACH, SCALES);
    maker_bytes(&maker, "z", I4Q_TYPE(UINT8), ONE, ZEROS);
    maker_bytes(&maker, "zeros", I4Q_TYPE(UINT8), EACH, ZEROS);
    maker_floats(&maker, "w", KERNEL, WEIGHTS);
    maker_node(&maker, "Relu", "x", "t");
    quantize = maker_node(&maker, "QuantizeLinear", "t each zeros", "q");
    maker_int(&maker, quantize, "axis", 1);
    dequantize = maker_node(&maker, "DequantizeLinear", "q s z", "r");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    maker_close(&maker);
    return 0;
}

static void find(void)
{
    size_t count;
    maker_load(&maker);
    if (!i4q_activations_find(&maker.model, &pair, &count, &maker.error))
        fail_msg("%s", maker.error.message);
    assert_int_equal(count, 1);
}

static size_t find_rank(void)
{
    const int64_t *ranks = i4q_find_ranks(&maker.model);
    assert_non_null(ranks);
    return i4q_factor_rank(ranks, pair);
}

static void ranks_are_declared_or_those_of_convs(void **state)
{
    static const int64_t window[] = {3, 3};
    find();
    assert_int_equal(find_rank(), 0); /* nobody tells */
    Onnx__NodeProto *conv = maker_node(&maker, "Conv", "r w", "y");
    find();
    assert_int_equal(find_rank(), 3); /* of its weight */
    maker_ints(&maker, conv, "kernel_shape", window, 2);
    find();
    assert_int_equal(find_rank(), 4);
    conv->input[0] = (char *)"x";
    conv->input[1] = (char *)"r"; /* as a weight, of which the window tells nothing here */
    find();
    assert_int_equal(find_rank(), 0);
    maker_output(&maker, "r", 5);
    find();
    assert_int_equal(find_rank(), 5);
    teardown(state);
    setup(state);
    maker.graph.node[0]->op_type = (char *)"Conv"; /* that makes it */
    maker.graph.node[0]->input[maker.graph.node[0]->n_input++] = (char *)"w";
    find();
    assert_int_equal(find_rank(), 3);
}

/* Nobody has checked that there are as many dimensions as a shape says. */
static void ranks_of_shapes_are_bounded(void **state)
{
    static const int64_t counts[][2] = {{3, 3}, {8, 8}, {9, 0}, {(int64_t)1 << 40, 0}, {-1, 0}};
    static const int64_t three[4] = {3};
    maker_floats(&maker, "shape", three, WEIGHTS);
    maker_node(&maker, "Reshape", "w shape", "v");
    maker_node(&maker, "Conv", "r v", "y");
    find();
    int64_t *said = maker_initializer(&maker, "shape")->dims;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        *said = counts[i][0];
        assert_true(find_rank() == (size_t)counts[i][1]);
    }
}

static void axes_are_indices(void **state)
{
    (void)state;
    static const int64_t axes[] = {0, 3, -1, -4, 4, 5, -5, INT64_MIN, INT64_MAX};
    static const size_t expected[] = {0, 3, 3, 0, 4, 4, 4, 4, 4}; /* the rank: none */
    find();
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++) {
        pair->axis = axes[i];
        assert_int_equal(i4q_factor_axis(pair, 4), expected[i]);
    }
}

static void zero_points_may_differ(void **state)
{
    (void)state;
    find();
    assert_true(i4q_factor_has_same_zeros(pair)); /* though scales are others */
    assert_false(i4q_activation_is_plain(pair));
    maker_bytes(&maker, "others", I4Q_TYPE(UINT8), EACH, OTHER_ZEROS);
    quantize->input[2] = (char *)"others";
    find();
    assert_false(i4q_factor_has_same_zeros(pair));
}

static void factors_lie_along_the_axis(void **state)
{
    (void)state;
    maker_node(&maker, "Conv", "r w", "y");
    find();
    const char *name = i4q_factor_add(&maker.model, pair, find_rank());
    assert_string_equal(name, "r_factor");
    const Onnx__TensorProto *tensor = maker_initializer(&maker, name);
    assert_int_equal(tensor->data_type, I4Q_TYPE(FLOAT));
    assert_int_equal(tensor->n_dims, 3);
    assert_true(tensor->dims[0] == 1 && tensor->dims[1] == CHANNELS && tensor->dims[2] == 1);
    assert_true(i4q_real_load(tensor->raw_data.data, false, 0) == 2);
    assert_true(i4q_real_load(tensor->raw_data.data, false, 1) == 0.25f);
}

static void one_scale_gives_one_factor_of_its_type(void **state)
{
    (void)state;
    const uint16_t halves[] = {i4q_half_from_float(0.125f), i4q_half_from_float(0.5f)};
    maker_node(&maker, "Conv", "r w", "y");
    maker_bytes(&maker, "h", I4Q_TYPE(FLOAT16), ONE, &halves[0]);
    maker_bytes(&maker, "k", I4Q_TYPE(FLOAT16), ONE, &halves[1]);
    quantize->input[1] = (char *)"h";
    quantize->input[2] = (char *)"z";
    dequantize->input[1] = (char *)"k";
    find();
    const Onnx__TensorProto *tensor =
        maker_initializer(&maker, i4q_factor_add(&maker.model, pair, find_rank()));
    assert_int_equal(tensor->data_type, I4Q_TYPE(FLOAT16));
    assert_int_equal(tensor->n_dims, 0);
    assert_int_equal(tensor->raw_data.len, 2);
    assert_true(i4q_real_load(tensor->raw_data.data, true, 0) == 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ranks_are_declared_or_those_of_convs, setup, teardown),
        cmocka_unit_test_setup_teardown(ranks_of_shapes_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(axes_are_indices, setup, teardown),
        cmocka_unit_test_setup_teardown(zero_points_may_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(factors_lie_along_the_axis, setup, teardown),
        cmocka_unit_test_setup_teardown(one_scale_gives_one_factor_of_its_type, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
