// SPDX-License-Identifier: Apache-2.0
/* The definition of what a set has to offer for Convs, and of what the sets have in common. */
#include "kernels/conv_impl.h"

#include <math.h>

struct i4q_conv_grid i4q_conv_make_grid(const struct i4q_conv_range *range)
{
    struct i4q_conv_grid grid = {.scale = (range->high - range->low) / 255};
    if (range->high == range->low)
        grid.scale = 1;
    grid.possible = range->finite && isnormal(grid.scale);
    if (!grid.possible)
        return grid;
    grid.inverse = 1 / grid.scale;
    /* A sum with the second number is rounded to an integer; rintf may be a call, a part of all that a small
     * map takes. */
    float zero = -range->low * grid.inverse, rounder = 0x1.8p23f;
    grid.zero = (int)((zero < 255 ? zero : 255) + rounder - rounder);
    return grid;
}

uint8_t i4q_conv_quantize(const struct i4q_conv_grid *grid, float x)
{
    float low = (float)-grid->zero, high = (float)(255 - grid->zero), steps = x * grid->inverse;
    steps = steps < high ? steps : high; /* so a NaN, which only a grid that was given can meet, is high */
    return (uint8_t)((int)rintf(steps > low ? steps : low) + grid->zero);
}

static void find_range(const float *x, size_t n, struct i4q_conv_range *range)
{
    for (size_t i = 0; i < n; i++) {
        range->finite &= isfinite(x[i]) != 0;
        range->low = x[i] < range->low ? x[i] : range->low;
        range->high = x[i] > range->high ? x[i] : range->high;
    }
}

static void finish_row(const int32_t *sums, size_t n, const struct i4q_conv_finish *finish, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = i4q_conv_activate(finish->activation,
                                 fmaf((float)(sums[i] - finish->correction), finish->scale, finish->bias));
}

const struct i4q_conv_kernels i4q_conv_scalar = {
    .name = "scalar",
    .range = find_range,
    .finish = finish_row,
};
