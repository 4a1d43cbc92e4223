// SPDX-License-Identifier: Apache-2.0
/* Dense Convs with AVX-VNNI: dot products in registers of 256 bits. */
#include "kernels/lanes_avx2.h"

#include <string.h>

enum { BLOCK_ROWS = 4, BLOCK_COLUMNS = 3, ORIGIN = 0 };
#define EACH_ROW ROWS_4

typedef __m256i partial;
typedef __m256i quads;
#define PRODUCT(sum, x, w) _mm256_dpbusd_avx_epi32(sum, x, w)
#define widen(sum, shift)  ((ints)_mm256_slli_epi32(sum, (int)(shift)))

static inline __m256i spread(const int8_t *weights)
{
    int32_t four;
    memcpy(&four, weights, sizeof four);
    return _mm256_set1_epi32(four);
}

#include "kernels/dense_vector.h"

const struct i4q_dense_kernels i4q_dense_avxvnni = {
    I4Q_DENSE_KERNELS,
    .wide = true,
};
