// SPDX-License-Identifier: Apache-2.0
/* Depthwise Convs with AVX2 and FMA. */
#include "kernels/lanes_avx2.h"

#include "kernels/lanes.h"

enum { PAIRS = 16, ORIGIN = 0 };
typedef int16_t shorts __attribute__((vector_size(32)));
typedef __m256i pixels, weights;

static inline pixels load_pixels(const uint8_t *source)
{
    return _mm256_loadu_si256((const void *)source);
}

static inline weights spread(uint16_t pair)
{
    return _mm256_set1_epi16((int16_t)pair);
}

static inline shorts add_products(shorts sums, pixels x, weights w)
{
    return sums + (shorts)_mm256_maddubs_epi16(x, w);
}

static inline void store_in_turn(shorts a, shorts b, int16_t *out)
{
    __m256i low = _mm256_unpacklo_epi16((__m256i)a, (__m256i)b);
    __m256i high = _mm256_unpackhi_epi16((__m256i)a, (__m256i)b);
    _mm256_storeu_si256((void *)out, _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256((void *)(out + PAIRS), _mm256_permute2x128_si256(low, high, 0x31));
}

static inline ints get_sums(const int16_t *sums)
{
    return (ints)_mm256_cvtepi16_epi32(_mm_loadu_si128((const void *)sums));
}

static inline ints nearest(floats x)
{
    return (ints)_mm256_cvtps_epi32((__m256)x);
}

/* The packs work within 128-bit lanes, and leave four bytes of each register in each lane. */
static inline void put_bytes(const ints *r, int zero, uint8_t *out)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7), z = _mm256_set1_epi16((int16_t)zero);
    __m256i low = _mm256_adds_epi16(_mm256_packs_epi32((__m256i)r[0], (__m256i)r[1]), z);
    __m256i high = _mm256_adds_epi16(_mm256_packs_epi32((__m256i)r[2], (__m256i)r[3]), z);
    _mm256_storeu_si256((void *)out, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order));
}

#include "kernels/depthwise_vector.h"

const struct i4q_depthwise_kernels i4q_depthwise_avx2 = {I4Q_DEPTHWISE_KERNELS};
