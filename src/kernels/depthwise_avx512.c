// SPDX-License-Identifier: Apache-2.0
/* Depthwise Convs with AVX-512 F, BW, DQ and VL. */
#include "kernels/lanes_avx512.h"

#include "kernels/lanes.h"

enum { PAIRS = 32, ORIGIN = 0 };
typedef int16_t shorts __attribute__((vector_size(64)));
typedef __m512i pixels, weights;

static inline pixels load_pixels(const uint8_t *source)
{
    return _mm512_loadu_si512((const void *)source);
}

static inline weights spread(uint16_t pair)
{
    return _mm512_set1_epi16((int16_t)pair);
}

static inline shorts add_products(shorts sums, pixels x, weights w)
{
    return sums + (shorts)_mm512_maddubs_epi16(x, w);
}

static inline void store_in_turn(shorts a, shorts b, int16_t *out)
{
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    __m512i low = _mm512_unpacklo_epi16((__m512i)a, (__m512i)b);
    __m512i high = _mm512_unpackhi_epi16((__m512i)a, (__m512i)b);
    _mm512_storeu_si512((void *)out, _mm512_permutex2var_epi64(low, first, high));
    _mm512_storeu_si512((void *)(out + PAIRS), _mm512_permutex2var_epi64(low, second, high));
}

static inline ints get_sums(const int16_t *sums)
{
    return (ints)_mm512_cvtepi16_epi32(_mm256_loadu_si256((const void *)sums));
}

static inline ints nearest(floats x)
{
    return (ints)_mm512_cvtps_epi32((__m512)x);
}

/* The packs work within 128-bit lanes, and leave four bytes of each register in each lane. */
static inline void put_bytes(const ints *r, int zero, uint8_t *out)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i z = _mm512_set1_epi16((int16_t)zero);
    __m512i low = _mm512_adds_epi16(_mm512_packs_epi32((__m512i)r[0], (__m512i)r[1]), z);
    __m512i high = _mm512_adds_epi16(_mm512_packs_epi32((__m512i)r[2], (__m512i)r[3]), z);
    _mm512_storeu_si512((void *)out, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high)));
}

#include "kernels/depthwise_vector.h"

const struct i4q_depthwise_kernels i4q_depthwise_avx512 = {I4Q_DEPTHWISE_KERNELS};
