// SPDX-License-Identifier: Apache-2.0
/* What the kernel sets share: their names, for kernels.c, which lists them, and the scalar parts that finish
 * what vectors begin. */
#ifndef INT4Q_KERNELS_QUANTIZE_IMPL_H
#define INT4Q_KERNELS_QUANTIZE_IMPL_H

#include "kernels/sets.h"

extern const struct i4q_kernels i4q_kernels_scalar;
#if defined(__x86_64__)
extern const struct i4q_kernels i4q_kernels_avx2, i4q_kernels_avx512;
#elif defined(__aarch64__)
extern const struct i4q_kernels i4q_kernels_neon;
#endif

/* The partial sums of one call. */
struct i4q_lanes {
    float signal[I4Q_LANES], noise[I4Q_LANES], drift[I4Q_LANES];
    float max_error;
};

/* measure of the scalar set, without the last step. The first element goes to lane 0. */
void i4q_scalar_measure(const void *weights, const float *decoded, size_t n, float unit,
                        struct i4q_lanes *lanes);

/* The last step: adds the lanes to the sums. */
void i4q_lanes_add(const struct i4q_lanes *lanes, float unit, struct i4q_error_sums *sums);

#endif
