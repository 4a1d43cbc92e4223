// SPDX-License-Identifier: Apache-2.0
/* How many dimensions tensors have where the model does not say it. */
#include "testing.h"

#include "onnx/maker.h"
#include "onnx/ranks.h"

static struct maker maker;

static const int64_t KERNEL[4] = {4, 3, 1, 1}, MATRIX[4] = {3, 4}, SCALAR[4] = {0}, THREE[4] = {3},
                     NINE[4] = {9};
static const float NUMBERS[12] = {1};

static int setup(void **state)
{
    maker_open(&maker, 17);
    maker_input(&maker, "x", 4);
    maker_input(&maker, "row", 1);
    maker_input(&maker, "unknown", 0);
    maker_floats(&maker, "w", KERNEL, NUMBERS);
    maker_floats(&maker, "m", MATRIX, NUMBERS);
    maker_floats(&maker, "one", SCALAR, NUMBERS);
    return 0;
}

static int teardown(void **state)
{
    maker_close(&maker);
    return 0;
}

static void assert_rank(const char *op, const char *inputs, int64_t wanted)
{
    maker_node(&maker, op, inputs, "y");
    maker_load(&maker);
    const int64_t *ranks = i4q_find_ranks(&maker.model);
    assert_non_null(ranks);
    assert_int_equal(i4q_rank(ranks, maker_value(&maker, "y")), wanted);
    assert_int_equal(i4q_rank(ranks, maker_value(&maker, "x")), 4);
    assert_int_equal(i4q_rank(ranks, maker_value(&maker, "m")), 2);
    assert_int_equal(i4q_rank(ranks, maker_value(&maker, "unknown")), I4Q_RANK_UNKNOWN);
    assert_int_equal(i4q_rank(ranks, NULL), I4Q_RANK_UNKNOWN);
}

static void what_only_changes_numbers_keeps_the_rank(void **state)
{
    assert_rank("Relu", "row", 1);
}

static void a_conv_has_that_of_its_weight(void **state)
{
    assert_rank("Conv", "unknown w", 4);
}

static void a_window_has_two_less(void **state)
{
    static const int64_t window[] = {3};
    maker_ints(&maker, maker_node(&maker, "Conv", "unknown unknown", "c"), "kernel_shape", window, 1);
    assert_rank("Relu", "c", 3);
}

static void shapes_have_a_number_for_each(void **state)
{
    maker_floats(&maker, "shape", THREE, NUMBERS);
    assert_rank("Reshape", "unknown shape", 3);
}

static void claims_beyond_all_models_are_not_believed(void **state)
{
    maker_floats(&maker, "shape", NINE, NUMBERS);
    assert_rank("Reshape", "unknown shape", I4Q_RANK_UNKNOWN);
}

static void the_largest_of_those_that_are_broadcast(void **state)
{
    assert_rank("Mul", "row w", 4);
}

static void quant_is_broadcast_with_its_scale(void **state)
{
    assert_rank("Quant", "row m one one", 2);
}

static void one_that_is_unknown_may_be_larger(void **state)
{
    assert_rank("Add", "unknown x", I4Q_RANK_UNKNOWN);
}

static void matrices_have_two(void **state)
{
    assert_rank("Flatten", "unknown", 2);
}

static void unknown_operators_tell_nothing(void **state)
{
    assert_rank("Reshape", "x row", I4Q_RANK_UNKNOWN);
}

static void ranks_go_through_many_nodes(void **state)
{
    maker_node(&maker, "Conv", "unknown w", "a");
    maker_node(&maker, "BatchNormalization", "a one one one one", "b");
    maker_node(&maker, "MultiThreshold", "b m", "c");
    maker_node(&maker, "MaxPool", "c", "d");
    assert_rank("Mul", "d one", 4);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_only_changes_numbers_keeps_the_rank, setup, teardown),
        cmocka_unit_test_setup_teardown(a_conv_has_that_of_its_weight, setup, teardown),
        cmocka_unit_test_setup_teardown(a_window_has_two_less, setup, teardown),
        cmocka_unit_test_setup_teardown(shapes_have_a_number_for_each, setup, teardown),
        cmocka_unit_test_setup_teardown(claims_beyond_all_models_are_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(the_largest_of_those_that_are_broadcast, setup, teardown),
        cmocka_unit_test_setup_teardown(quant_is_broadcast_with_its_scale, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_is_unknown_may_be_larger, setup, teardown),
        cmocka_unit_test_setup_teardown(matrices_have_two, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_operators_tell_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(ranks_go_through_many_nodes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
