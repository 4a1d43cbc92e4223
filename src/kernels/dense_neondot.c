// SPDX-License-Identifier: Apache-2.0
/* Dense Convs with the dot products of NEON, of signed pixels. */
#include "kernels/lanes_neon.h"

#include <string.h>

enum { BLOCK_ROWS = 8, BLOCK_COLUMNS = 3, ORIGIN = 128 };
#define EACH_ROW ROWS_8

typedef int32x4_t partial;
typedef int8x16_t quads;
#define PRODUCT(sum, x, w) vdotq_s32(sum, x, w)
#define widen(sum, shift)  ((ints)vshlq_s32(sum, vdupq_n_s32((int32_t)(shift))))

static inline quads spread(const int8_t *weights)
{
    int32_t four;
    memcpy(&four, weights, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

#include "kernels/dense_vector.h"

const struct i4q_dense_kernels i4q_dense_neondot = {
    I4Q_DENSE_KERNELS,
    .wide = true,
};
