// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "quantize/squant.h"

static const struct i4q_grid unit = {1, 0, -8, 7};

/* Runs on one row with a scale of 1 from its nearest codes; returns how many moved. */
static size_t run(const float *weights, size_t count, size_t kernel, const struct i4q_grid *grid,
                  int8_t *codes)
{
    double errors[16];
    uint32_t heap[16], movable[16];
    const struct i4q_squant_room room = {errors, heap, movable};
    const struct i4q_row row = {weights, count, kernel, count, grid, codes};
    struct i4q_error error = {0};
    int8_t nearest[16];
    size_t moved = 0;
    i4q_kernels_choose("scalar", &error)->quantize(weights, count, grid, nearest);
    memcpy(codes, nearest, count);
    i4q_squant(&row, &room);
    for (size_t i = 0; i < count; i++)
        moved += codes[i] != nearest[i];
    return moved;
}

static void errors_of_a_kernel_cancel(void **state)
{
    (void)state;
    /* All rounded down by 0.4375: 1.75 too low together. The first goes up (ties by index), then the next. */
    static const float weights[] = {1.4375f, 2.4375f, 3.4375f, 0.4375f};
    int8_t codes[4];
    assert_int_equal(run(weights, 4, 4, &unit, codes), 2);
    assert_memory_equal(codes, "\x02\x03\x03\x00", 4);
}

static void the_largest_error_moves_first(void **state)
{
    (void)state;
    static const float weights[] = {0.1f, 0.3f, 0.45f, -0.2f};
    int8_t codes[4];
    assert_int_equal(run(weights, 4, 1, &unit, codes), 1);
    assert_memory_equal(codes, "\x00\x00\x01\x00", 4);
}

static void channels_balance_what_kernels_leave(void **state)
{
    (void)state;
    /* Each kernel is off by 0.45, within half a step; the channel by 1.8, so that two kernels give way. */
    static const float weights[] = {0.4f, 0.05f, 0.4f, 0.05f, 0.4f, 0.05f, 0.4f, 0.05f};
    int8_t codes[8];
    assert_int_equal(run(weights, 8, 2, &unit, codes), 2);
    assert_memory_equal(codes, "\x01\x00\x01\x00\x00\x00\x00\x00", 8);
}

static void codes_stay_on_the_grid(void **state)
{
    (void)state;
    /* Clipped at 7: nothing can go higher, whatever the sum. */
    static const float weights[] = {9.0f, 9.0f, 7.4f};
    int8_t codes[3];
    assert_int_equal(run(weights, 3, 3, &unit, codes), 0);
    assert_memory_equal(codes, "\x07\x07\x07", 3);
    const struct i4q_grid shifted = {1, 8, 0, 15};
    assert_int_equal(run(weights, 3, 3, &shifted, codes), 0);
    assert_memory_equal(codes, "\x0f\x0f\x0f", 3);
}

static void exact_weights_do_not_move(void **state)
{
    (void)state;
    static const float weights[] = {1, -2, 3, 0};
    int8_t codes[4];
    assert_int_equal(run(weights, 4, 2, &unit, codes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_of_a_kernel_cancel),
        cmocka_unit_test(the_largest_error_moves_first),
        cmocka_unit_test(channels_balance_what_kernels_leave),
        cmocka_unit_test(codes_stay_on_the_grid),
        cmocka_unit_test(exact_weights_do_not_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
