// SPDX-License-Identifier: Apache-2.0
/* Dense Convs with AVX2: products of pixels of 8 bits and digits of 4 add up in 16 bits for a whole run. */
#include "kernels/lanes_avx2.h"

#include <string.h>

enum { BLOCK_ROWS = 4, BLOCK_COLUMNS = 2, ORIGIN = 0 };
#define EACH_ROW ROWS_4

typedef __m256i partial;
typedef __m256i quads;
#define PRODUCT(sum, x, w) add_products(sum, x, w)
#define widen(sum, shift)  ((ints)_mm256_madd_epi16(sum, _mm256_set1_epi16((int16_t)(1 << (shift)))))

/* Into the register where the sum is: GCC would add into another one and move it back, which takes a tenth of
 * the time of a block. */
static inline partial add_products(partial sum, quads x, quads w)
{
    __m256i products = _mm256_maddubs_epi16(x, w);
    __asm__("vpaddw %1, %0, %0" : "+x"(sum) : "x"(products));
    return sum;
}

static inline __m256i spread(const int8_t *weights)
{
    int32_t four;
    memcpy(&four, weights, sizeof four);
    return _mm256_set1_epi32(four);
}

#include "kernels/dense_vector.h"

const struct i4q_dense_kernels i4q_dense_avx2 = {
    I4Q_DENSE_KERNELS,
    .wide = false,
};
