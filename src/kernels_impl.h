// SPDX-License-Identifier: Apache-2.0
/* The kernel sets by name; for kernels.c, which lists them, and for the tails of the vector sets, which call
 * the scalar functions. */
#ifndef INT4Q_KERNELS_IMPL_H
#define INT4Q_KERNELS_IMPL_H

#include "int4q/kernels.h"

extern const struct i4q_kernels i4q_kernels_scalar;
#if defined(__x86_64__)
extern const struct i4q_kernels i4q_kernels_avx2;
#endif

#endif
