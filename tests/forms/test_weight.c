// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "forms/weights.h"

#include <math.h>

static struct i4q_model model;
static struct i4q_weights weights;

static void load(const char *name)
{
    char path[512];
    struct i4q_error error = {0};
    snprintf(path, sizeof path, "%s/data/%s.onnx", TESTS, name);
    if (!i4q_model_load(&model, path, false, &error) ||
        !i4q_weights_find(&model, i4q_ops_conv(), false, &weights, &error))
        fail_msg("%s", error.message);
}

static int teardown(void **state)
{
    i4q_model_free(&model);
    return 0;
}

static void look_through(unsigned threads)
{
    struct i4q_error error = {0};
    bool *all = i4q_arena_alloc(&model.arena, weights.count, sizeof *all);
    memset(all, true, weights.count * sizeof *all);
    i4q_weights_look_through(&weights, all, i4q_kernels_choose(NULL, &error), threads);
}

static void weights_are_found_in_order(void **state)
{
    static const char *const names[] = {"model.0.conv.weight", "model.1.m.0.cv1.weight",
                                        "model.1.m.0.cv2.weight", "model.2.dfl.conv.weight"};
    load("good-detector");
    assert_int_equal(weights.n_convs, 4);
    assert_int_equal(weights.count, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct i4q_weight *weight = &weights.items[i];
        assert_string_equal(weight->value->name, names[i]);
        assert_ptr_equal(i4q_weight_of(&weights, weights.convs[i].weight), weight);
        assert_ptr_equal(i4q_weight_of(&weights, weight->value), weight);
        assert_false(weight->is_output || weight->other_reader || weight->looked_through);
        assert_int_equal(i4q_weight_is_dfl(weight), i == 3);
    }
    assert_null(i4q_weight_of(&weights, i4q_scope_resolve(model.graph.scopes, "x")));
    assert_null(i4q_weight_of(&weights, i4q_scope_resolve(model.graph.scopes, "model.0.conv.bias")));
}

static void shapes_are_split_at_the_channels(void **state)
{
    load("good-detector");
    const struct i4q_weight *weight = &weights.items[1]; /* [4, 1, 3, 3], each channel by itself */
    assert_int_equal(i4q_weight_channels(weight), 4);
    assert_int_equal(i4q_weight_inner(weight), 9);
    assert_int_equal(i4q_weight_groups(weight), 4);
    assert_int_equal(weight->tensor.count, 36);
    assert_int_equal(weight->payload.size, 36 * sizeof(float));
}

static void other_readers_are_noticed(void **state)
{
    load("good-identities"); /* which read the weight twice */
    assert_int_equal(weights.count, 1);
    assert_true(weights.items[0].other_reader);
}

static void numbers_are_looked_through(void **state)
{
    for (unsigned threads = 1; threads <= 3; threads++) {
        load("good-detector");
        look_through(threads);
        for (size_t i = 0; i < weights.count; i++)
            assert_true(weights.items[i].looked_through && weights.items[i].finite);
        teardown(state);
        load("good-non-finite");
        look_through(threads);
        assert_true(weights.items[0].looked_through && !weights.items[0].finite);
        if (threads < 3)
            teardown(state);
    }
}

/* Long enough for several runs; what is not finite stands at the end. FLOAT16 has its own numbers. */
static void the_last_number_counts(void **state)
{
    static uint16_t halves[10000];
    static float floats[10000];
    halves[9999] = 0x7c00; /* infinity */
    floats[9999] = NAN;
    load("good-detector");
    weights.items[0].tensor = (struct i4q_tensor){
        .type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16, .count = 10000, .bytes = sizeof halves};
    weights.items[0].payload = (struct i4q_view){(const uint8_t *)halves, sizeof halves};
    weights.items[1].tensor = (struct i4q_tensor){
        .type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, .count = 10000, .bytes = sizeof floats};
    weights.items[1].payload = (struct i4q_view){(const uint8_t *)floats, sizeof floats};
    look_through(2);
    assert_false(weights.items[0].finite || weights.items[1].finite);
    assert_true(weights.items[2].finite);
}

static void only_what_is_wanted_is_looked_at(void **state)
{
    struct i4q_error error = {0};
    const bool wanted[] = {false, true, false, false};
    load("good-detector");
    i4q_weights_look_through(&weights, wanted, i4q_kernels_choose("scalar", &error), 1);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(weights.items[i].looked_through, i == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(weights_are_found_in_order, teardown),
        cmocka_unit_test_teardown(shapes_are_split_at_the_channels, teardown),
        cmocka_unit_test_teardown(other_readers_are_noticed, teardown),
        cmocka_unit_test_teardown(numbers_are_looked_through, teardown),
        cmocka_unit_test_teardown(the_last_number_counts, teardown),
        cmocka_unit_test_teardown(only_what_is_wanted_is_looked_at, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
