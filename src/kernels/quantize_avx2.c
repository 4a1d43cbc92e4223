// SPDX-License-Identifier: Apache-2.0
/* AVX2 and F16C. */
#include "platform/cpu.h"

#include <immintrin.h>
#include <stdint.h>

enum { WIDTH = 8 };
typedef float floats __attribute__((vector_size(32)));
typedef int32_t ints __attribute__((vector_size(32)));
typedef uint8_t bytes __attribute__((vector_size(32)));

#define FLOATS_MIN(a, b)       ((floats)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define FLOATS_MAX(a, b)       ((floats)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define INTS_MAX(a, b)         ((ints)_mm256_max_epi32((__m256i)(a), (__m256i)(b)))
#define NEAREST(x)             ((ints)_mm256_cvtps_epi32((__m256)(x)))
#define SHUFFLE(x, order)      ((bytes)_mm256_shuffle_epi8((__m256i)(x), (__m256i)(order)))
#define FLOATS_ANY_ABOVE(a, b) _mm256_movemask_ps(_mm256_cmp_ps((__m256)(a), (__m256)(b), _CMP_GT_OQ))
/* Without what saturates to 0 nothing is left. */
#define BYTES_ANY_ABOVE(a, b)                                                                                \
    !_mm256_testz_si256(_mm256_subs_epu8((__m256i)(a), (__m256i)(b)), _mm256_set1_epi8(-1))

static floats larger_magnitude(floats a, floats b)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return (floats)_mm256_max_ps(_mm256_andnot_ps(sign, (__m256)a), _mm256_andnot_ps(sign, (__m256)b));
}

static bytes narrow(const ints *r)
{
    /* The packs work within 128-bit halves, and leave four codes of each register in each half. */
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i low = _mm256_packs_epi32((__m256i)r[0], (__m256i)r[1]);
    __m256i high = _mm256_packs_epi32((__m256i)r[2], (__m256i)r[3]);
    return (bytes)_mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
}

static ints get_bytes(const int8_t *in)
{
    return (ints)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)in));
}

static void put_nibbles(bytes codes, uint8_t *out)
{
    __m256i nibbles = _mm256_and_si256(_mm256_set1_epi8(15), (__m256i)codes);
    __m256i pairs = _mm256_maddubs_epi16(nibbles, _mm256_set1_epi16(16 << 8 | 1)); /* even + 16 * odd */
    _mm_storeu_si128((void *)out,
                     _mm_packus_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1)));
}

static void unpack_codes(const uint8_t *in, int8_t *out)
{
    /* Each byte to a word whose bytes are its nibbles; then one table look-up extends the signs. */
    const __m256i table =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1));
    __m256i words = _mm256_cvtepu8_epi16(_mm_loadu_si128((const void *)in));
    __m256i nibbles =
        _mm256_and_si256(_mm256_set1_epi8(15), _mm256_or_si256(words, _mm256_slli_epi16(words, 4)));
    _mm256_storeu_si256((void *)out, _mm256_shuffle_epi8(table, nibbles));
}

static bytes load_lanes(const uint8_t *in, size_t stride)
{
    return (bytes)_mm256_loadu2_m128i((const void *)(in + stride), (const void *)in);
}

static void store_lanes(bytes x, uint8_t *out, size_t stride)
{
    _mm_storeu_si128((void *)out, _mm256_castsi256_si128((__m256i)x));
    _mm_storeu_si128((void *)(out + stride), _mm256_extracti128_si256((__m256i)x, 1));
}

static floats widen(const void *in)
{
    return (floats)_mm256_cvtph_ps(_mm_loadu_si128(in));
}

#include "kernels/quantize_vector.h"

const struct i4q_kernels i4q_kernels_avx2 = {
    .name = "avx2",
    .needs = I4Q_CPU_AVX2 | I4Q_CPU_F16C,
    I4Q_VECTOR_KERNELS,
};
