// SPDX-License-Identifier: Apache-2.0
/* What follows from the lanes_*.h that a file has included before, for any width. */
#ifndef INT4Q_KERNELS_LANES_H
#define INT4Q_KERNELS_LANES_H

#include <string.h>

typedef int32_t ints __attribute__((vector_size(WIDTH * sizeof(int32_t))));

static inline floats load(const float *x)
{
    floats y;
    memcpy(&y, x, sizeof y);
    return y;
}

static inline void store(float *x, floats y)
{
    memcpy(x, &y, sizeof y);
}

#endif
