// SPDX-License-Identifier: Apache-2.0
#include "testing.h"

#include "quantize/scale_search.h"

#include <float.h>
#include <math.h>

static const struct i4q_method mse = {.scale = I4Q_SCALE_MSE}, l24 = {.scale = I4Q_SCALE_L24};

static struct i4q_grid fit(const struct i4q_method *method, const float *weights, size_t n)
{
    struct i4q_error error = {0};
    struct i4q_grid grid;
    assert_true(
        i4q_fit_grid(i4q_kernels_choose("scalar", &error), i4q_formats, method, false, weights, n, &grid));
    return grid;
}

static void powers_are_exact(void **state)
{
    (void)state;
    assert_true(i4q_fit_power_2_4(0) == 0);
    assert_true(fabs(i4q_fit_power_2_4(1) - 1) < 1e-15);
    assert_true(fabs(i4q_fit_power_2_4(1024) - 4096) < 1e-11); /* 32^2.4 = 2^12 */
    for (double e = 0x1p-149; e < (double)FLT_MAX; e *= 1.0137) {
        double square = e * e, root = i4q_fit_power_2_4(square) / square; /* its fifth power is the square */
        assert_true(fabs(root * root * root * root * root / square - 1) < 5e-14);
    }
}

static void what_sticks_out_is_clipped(void **state)
{
    (void)state;
    float weights[101];
    for (int i = 0; i < 100; i++)
        weights[i] = (float)(i % 15 - 7) + 0.25f;
    weights[100] = 12;
    struct i4q_grid least = fit(&mse, weights, 101), other = fit(&l24, weights, 101);
    assert_true(least.scale < other.scale && other.scale < 12.0f / 7); /* large errors weigh more in L2.4 */
    assert_true(least.low == -8 && least.high == 7 && least.zero == 0);
}

static void the_largest_of_equals_is_taken(void **state)
{
    (void)state;
    /* None of the scales makes an error, or each the same. */
    static const float zeros[3] = {0}, tiny[3] = {0x1p-149f, 0, -0x1p-149f}, exact[3] = {7, -7, 7};
    assert_true(fit(&mse, zeros, 3).scale == 1 && fit(&l24, zeros, 3).scale == 1);
    assert_true(fit(&mse, tiny, 3).scale == 1);
    assert_true(fit(&mse, exact, 3).scale == 1);
}

static void the_largest_weights_have_a_scale(void **state)
{
    (void)state;
    static const struct i4q_method methods[] = {{.scale = I4Q_SCALE_MSE, .asymmetric = true},
                                                {.scale = I4Q_SCALE_L24, .asymmetric = true}};
    static const float weights[] = {FLT_MAX, -FLT_MAX, FLT_MAX / 3};
    for (int i = 0; i < 2; i++) {
        struct i4q_grid grid = fit(&methods[i], weights, 3);
        assert_true(isfinite(grid.scale * (float)(grid.low - grid.zero)));
        assert_true(isfinite(grid.scale * (float)(grid.high - grid.zero)));
    }
}

static void what_is_not_finite_is_told(void **state)
{
    (void)state;
    static const float bad[][2] = {{1, NAN}, {-INFINITY, 1}};
    struct i4q_error error = {0};
    struct i4q_grid grid;
    for (int i = 0; i < 2; i++)
        assert_false(
            i4q_fit_grid(i4q_kernels_choose(NULL, &error), i4q_formats, &mse, false, bad[i], 2, &grid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(powers_are_exact),
        cmocka_unit_test(what_sticks_out_is_clipped),
        cmocka_unit_test(the_largest_of_equals_is_taken),
        cmocka_unit_test(the_largest_weights_have_a_scale),
        cmocka_unit_test(what_is_not_finite_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
