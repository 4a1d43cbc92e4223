// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "base/half.h"

#include <math.h>

static void known_values(void **state)
{
    (void)state;
    static const struct {
        uint16_t half;
        float value;
    } pairs[] = {{0x0000, 0.0f},     {0x3c00, 1.0f},     {0xc000, -2.0f},      {0x7bff, 65504.0f},
                 {0x0400, 0x1p-14f}, {0x0001, 0x1p-24f}, {0x03ff, 0x3ffp-24f}, {0x3555, 0x1.554p-2f},
                 {0x7c00, INFINITY}, {0xfc00, -INFINITY}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_true(i4q_half_to_float(pairs[i].half) == pairs[i].value);
        assert_int_equal(i4q_half_from_float(pairs[i].value), pairs[i].half);
    }
    assert_true(signbit(i4q_half_to_float(0x8000)));
    assert_int_equal(i4q_half_from_float(-0.0f), 0x8000);
}

static void rounds_half_to_even(void **state)
{
    (void)state;
    static const struct {
        float value;
        uint16_t half;
    } pairs[] = {
        {0x1.002p0f, 0x3c00},      /* halfway between 1 and 1 + 2^-10: the even one */
        {0x1.006p0f, 0x3c02},      /* halfway, the upper one is even */
        {0x1.002002p0f, 0x3c01},   /* just above halfway */
        {0x1p-25f, 0x0000},        /* halfway between 0 and the smallest */
        {0x1.000002p-25f, 0x0001}, /* just above */
        {0x1.8p-24f, 0x0002},      /* subnormal tie */
        {65519.996f, 0x7bff},      /* just below what overflows */
        {65520.0f, 0x7c00},        /* rounds to infinity */
        {0x1.ffep-15f, 0x0400},    /* the largest subnormal's neighbour rounds up to a normal */
        {1e-30f, 0x0000},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (i4q_half_from_float(pairs[i].value) != pairs[i].half)
            fail_msg("%a gives %04x, not %04x", (double)pairs[i].value, i4q_half_from_float(pairs[i].value),
                     pairs[i].half);
}

/* Never below, never further than to the next one. */
static void the_next_above(void **state)
{
    static const float values[] = {1e-30f, 0x1p-24f, 0x1.8p-24f, 0x1.000002p-14f, 1, 1.0001f,
                                   0.1f,   65503,    65504};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        uint16_t half = i4q_half_above(values[i]);
        assert_true(i4q_half_to_float(half) >= values[i]);
        assert_true(half == 0 || i4q_half_to_float((uint16_t)(half - 1)) < values[i]);
    }
    assert_int_equal(i4q_half_above(65505), 0x7bff);
    assert_int_equal(i4q_half_above(INFINITY), 0x7bff);
}

static void every_half_survives(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 0x10000; half++) {
        float value = i4q_half_to_float((uint16_t)half);
        if (isnan(value))
            assert_true((half & 0x7c00) == 0x7c00 && (half & 0x3ff));
        else
            assert_int_equal(i4q_half_from_float(value), half);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(rounds_half_to_even),
        cmocka_unit_test(the_next_above),
        cmocka_unit_test(every_half_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
