// SPDX-License-Identifier: Apache-2.0
/* Dense Convs with AVX-512 VNNI: dot products in registers of 512 bits. */
#include "kernels/lanes_avx512.h"

#include <string.h>

enum { BLOCK_ROWS = 8, BLOCK_COLUMNS = 3, ORIGIN = 0 };
#define EACH_ROW ROWS_8

typedef __m512i partial;
typedef __m512i quads;
#define PRODUCT(sum, x, w) _mm512_dpbusd_epi32(sum, x, w)
#define widen(sum, shift)  ((ints)(sum) << (int32_t)(shift))

static inline __m512i spread(const int8_t *weights)
{
    int32_t four;
    memcpy(&four, weights, sizeof four);
    return _mm512_set1_epi32(four);
}

#include "kernels/dense_vector.h"

const struct i4q_dense_kernels i4q_dense_avx512vnni = {
    I4Q_DENSE_KERNELS,
    .wide = true,
};
