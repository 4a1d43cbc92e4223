// SPDX-License-Identifier: Apache-2.0
/* The grid of codes for weights that share a scale, by the choices of a method. */
#ifndef INT4Q_QUANTIZE_GRID_H
#define INT4Q_QUANTIZE_GRID_H

#include "kernels/sets.h"
#include "quantize/format.h"
#include "quantize/method.h"

/* How far weights reach. min and max include 0, and are 0 where the method does not need them. */
struct i4q_extent {
    float absmax, min, max;
};

/* Whether a method looks at min and max. */
bool i4q_grid_needs_range(const struct i4q_method *method);

/* The grid for weights of this extent, all finite; where the method searches, its largest one. `half`: the
 * scale is rounded to binary16, to 2^-24 where that would give 0. A scale of 0 becomes 1, and one with which
 * a code would stand for infinity the largest with which none does. */
struct i4q_grid i4q_grid_choose(const struct i4q_format *format, const struct i4q_method *method, bool half,
                                const struct i4q_extent *extent);

/* The grid with this scale and zero point. */
struct i4q_grid i4q_grid_make(const struct i4q_format *format, const struct i4q_method *method, float scale,
                              int zero);

/* How many of n finite weights lie more than half a step beyond the grid. */
size_t i4q_grid_clipped(const struct i4q_grid *grid, const float *weights, size_t n);

#endif
