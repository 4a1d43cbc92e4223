// SPDX-License-Identifier: Apache-2.0
/* The activations against their formulas in double precision. */
#include "testing.h"

#include "kernels/conv_activation.h"

#include <math.h>
#include <string.h>

static const struct i4q_conv_activation parameters = {.alpha = 0.1f, .low = -0.5f, .high = 6};

static float activated(enum i4q_conv_function function, float y)
{
    struct i4q_conv_activation activation = parameters;
    activation.function = function;
    return i4q_conv_activate(&activation, y);
}

static double clamped(double y, double low, double high)
{
    return y < low ? low : y > high ? high : y;
}

static double expected(enum i4q_conv_function function, double y)
{
    const double alpha = (double)parameters.alpha, low = (double)parameters.low,
                 high = (double)parameters.high;
    switch (function) {
    case I4Q_CONV_SILU:
        return y / (1 + exp(-y));
    case I4Q_CONV_RELU:
        return y < 0 ? 0 : y;
    case I4Q_CONV_LEAKY_RELU:
        return y < 0 ? alpha * y : y;
    case I4Q_CONV_HARD_SWISH:
        return y * clamped(y * (double)(1.0f / 6) + 0.5, 0, 1);
    case I4Q_CONV_SIGMOID:
        return 1 / (1 + exp(-y));
    case I4Q_CONV_CLIP:
        return clamped(y, low, high);
    default:
        return y;
    }
}

static void functions_are_what_they_are_called(void **state)
{
    (void)state;
    for (enum i4q_conv_function function = 0; function < I4Q_CONV_FUNCTIONS; function++)
        for (int i = -87 * 512; i <= 200 * 512; i++) {
            float y = (float)i / 512;
            double right = expected(function, (double)y), got = (double)activated(function, y);
            /* near -3, HardSwish is a difference */
            double unit = function == I4Q_CONV_HARD_SWISH ? fabs((double)y) : fabs(right);
            if (fabs(got - right) > 1.5e-6 * unit)
                fail_msg("function %d of %g: %.9g, not %.9g", (int)function, (double)y, got, right);
        }
}

static void what_is_no_number_stays(void **state)
{
    (void)state;
    for (enum i4q_conv_function function = 0; function < I4Q_CONV_FUNCTIONS; function++)
        assert_true(isnan(activated(function, NAN)) && isnan(activated(function, -NAN)));
    assert_true(activated(I4Q_CONV_SILU, INFINITY) == INFINITY);
    assert_true(activated(I4Q_CONV_SIGMOID, INFINITY) == 1);
    assert_true(activated(I4Q_CONV_CLIP, -INFINITY) == parameters.low);
}

static void what_is_far_below_zero_is_next_to_nothing(void **state)
{
    (void)state;
    static const float far[] = {-87.5f, -1000, -0x1.fffffep127f, -INFINITY};
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        assert_true(activated(I4Q_CONV_SILU, far[i]) == activated(I4Q_CONV_SILU, -87));
        assert_true(activated(I4Q_CONV_SIGMOID, far[i]) == activated(I4Q_CONV_SIGMOID, -87));
    }
    assert_true(fabsf(activated(I4Q_CONV_SILU, -87)) < 1.5e-36f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_what_they_are_called),
        cmocka_unit_test(what_is_no_number_stays),
        cmocka_unit_test(what_is_far_below_zero_is_next_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
