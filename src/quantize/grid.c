// SPDX-License-Identifier: Apache-2.0
#include "quantize/grid.h"

#include "base/half.h"

#include <float.h>
#include <math.h>

static const float HALF_SMALLEST = 0x1p-24f; /* the smallest positive FLOAT16 */
static const float HALF_LARGEST = 65504;

bool i4q_grid_needs_range(const struct i4q_method *method)
{
    return method->scale != I4Q_SCALE_ABSMAX;
}

/* A scale that can be divided by, in the type in which it is stored. */
static float sound_scale(float scale, bool half, float absmax)
{
    if (!half)
        return scale == 0 ? 1 : scale;
    float rounded = i4q_half_to_float(i4q_half_from_float(scale));
    return rounded != 0 ? rounded : absmax == 0 ? 1 : HALF_SMALLEST;
}

static float raw_scale(const struct i4q_format *format, const struct i4q_method *method,
                       const struct i4q_extent *extent)
{
    float qmax = (float)format->qmax, steps = (float)(format->code_max - format->code_min);
    if (method->scale == I4Q_SCALE_ABSMAX)
        return extent->absmax / qmax;
    if (!method->asymmetric)
        return fmaxf(extent->max / qmax, -extent->min / (qmax + 1));
    float span = extent->max - extent->min;
    return isfinite(span) ? span / steps : extent->max / steps - extent->min / steps;
}

/* The code of 0: the one that the smallest weight is -min / scale steps below. */
static int zero_point(const struct i4q_format *format, const struct i4q_method *method, float min,
                      float scale)
{
    if (!method->asymmetric)
        return format->zero;
    int steps = format->code_max - format->code_min, zero = (int)rintf(fminf(-min / scale, (float)steps));
    return format->code_min + zero;
}

struct i4q_grid i4q_grid_make(const struct i4q_format *format, const struct i4q_method *method, float scale,
                              int zero)
{
    struct i4q_grid grid = {scale, zero, format->code_min, format->code_max};
    if (method->scale == I4Q_SCALE_ABSMAX) {
        grid.low = zero - format->qmax;
        grid.high = zero + format->qmax;
    }
    return grid;
}

static bool overflows(float scale, float steps, bool half)
{
    return !isfinite(half ? i4q_half_to_float(i4q_half_from_float(scale * steps)) : scale * steps);
}

/* The next smaller number of the type in which the scale is stored. */
static float next_below(float scale, bool half)
{
    return half ? i4q_half_to_float((uint16_t)(i4q_half_from_float(scale) - 1)) : nextafterf(scale, 0);
}

/* Weights near the largest number of their type round to codes that would stand for infinity: the scale is
 * then the largest with which none does. */
static float finite_scale(float scale, const struct i4q_grid *grid, bool half)
{
    int above = grid->high - grid->zero, below = grid->zero - grid->low;
    float steps = (float)(above > below ? above : below), limit = (half ? HALF_LARGEST : FLT_MAX) / steps;
    if (!overflows(scale, steps, half))
        return scale;
    scale = sound_scale(limit, half, limit);
    while (overflows(scale, steps, half))
        scale = next_below(scale, half);
    return scale;
}

struct i4q_grid i4q_grid_choose(const struct i4q_format *format, const struct i4q_method *method, bool half,
                                const struct i4q_extent *extent)
{
    float scale = sound_scale(raw_scale(format, method, extent), half, extent->absmax);
    struct i4q_grid grid =
        i4q_grid_make(format, method, scale, zero_point(format, method, extent->min, scale));
    grid.scale = finite_scale(scale, &grid, half);
    return grid;
}

size_t i4q_grid_clipped(const struct i4q_grid *grid, const float *weights, size_t n)
{
    float low = (float)(grid->low - grid->zero) - 0.5f, high = (float)(grid->high - grid->zero) + 0.5f;
    size_t clipped = 0;
    for (size_t i = 0; i < n; i++) {
        float steps = weights[i] / grid->scale;
        clipped += steps < low || steps > high;
    }
    return clipped;
}
