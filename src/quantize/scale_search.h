// SPDX-License-Identifier: Apache-2.0
/*
 * The grid of weights at hand: what their extent tells, or what a search finds to make their error least.
 *
 * The search shrinks the extent to p percent of it: p = 100, 96, 92, ..., 20, then two to either side of the
 * best, then one to either side of the best so far. It takes the grid with the least sum |w - decoded|^2 or
 * ^2.4, of equals the one with the largest p. Errors, powers and sums are in binary64 and in a fixed order,
 * so the choice does not depend on kernels and threads.
 */
#ifndef INT4Q_QUANTIZE_SCALE_SEARCH_H
#define INT4Q_QUANTIZE_SCALE_SEARCH_H

#include "quantize/grid.h"

/* The grid of n weights; false if one of them is not finite. `half` as in i4q_grid_choose; decoded weights
 * are then rounded to binary16 as well. */
bool i4q_fit_grid(const struct i4q_kernels *kernels, const struct i4q_format *format,
                  const struct i4q_method *method, bool half, const float *weights, size_t n,
                  struct i4q_grid *grid) I4Q_MUST_CHECK;

/* |e|^2.4, given e^2, for e of binary32: relative error below 1e-14. Made of additions and multiplications
 * alone, so that it has the same bits everywhere, which pow() of the C library does not promise. */
double i4q_fit_power_2_4(double square);

#endif
