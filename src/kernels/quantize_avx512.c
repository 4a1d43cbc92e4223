// SPDX-License-Identifier: Apache-2.0
/* AVX-512 F, BW, DQ and VL: a register holds one of each lane. */
#include "platform/cpu.h"

#include <immintrin.h>
#include <stdint.h>

enum { WIDTH = 16 };
typedef float floats __attribute__((vector_size(64)));
typedef int32_t ints __attribute__((vector_size(64)));
typedef uint8_t bytes __attribute__((vector_size(64)));

#define FLOATS_MIN(a, b)       ((floats)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define FLOATS_MAX(a, b)       ((floats)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define INTS_MAX(a, b)         ((ints)_mm512_max_epi32((__m512i)(a), (__m512i)(b)))
#define NEAREST(x)             ((ints)_mm512_cvtps_epi32((__m512)(x)))
#define SHUFFLE(x, order)      ((bytes)_mm512_shuffle_epi8((__m512i)(x), (__m512i)(order)))
#define FLOATS_ANY_ABOVE(a, b) _mm512_cmp_ps_mask((__m512)(a), (__m512)(b), _CMP_GT_OQ)
#define BYTES_ANY_ABOVE(a, b)  _mm512_cmpgt_epu8_mask((__m512i)(a), (__m512i)(b))

/* In GCC's header this is a macro, when it does not optimize, and converts a mask to a signed type. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static floats larger_magnitude(floats a, floats b)
{
    enum { ABSMAX = 3, NO_SIGN = 2 << 2 };
    return (floats)_mm512_range_ps((__m512)a, (__m512)b, ABSMAX | NO_SIGN);
}
#pragma GCC diagnostic pop

static bytes narrow(const ints *r)
{
    /* The packs work within 128-bit lanes, and leave four codes of each register in each lane. */
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i low = _mm512_packs_epi32((__m512i)r[0], (__m512i)r[1]);
    __m512i high = _mm512_packs_epi32((__m512i)r[2], (__m512i)r[3]);
    return (bytes)_mm512_permutexvar_epi32(order, _mm512_packs_epi16(low, high));
}

static ints get_bytes(const int8_t *in)
{
    return (ints)_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)in));
}

static void put_nibbles(bytes codes, uint8_t *out)
{
    __m512i nibbles = _mm512_and_si512(_mm512_set1_epi8(15), (__m512i)codes);
    __m512i pairs = _mm512_maddubs_epi16(nibbles, _mm512_set1_epi16(16 << 8 | 1)); /* even + 16 * odd */
    _mm256_storeu_si256((void *)out, _mm512_cvtepi16_epi8(pairs));
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
    __m256i low = _mm256_loadu2_m128i((const void *)(in + stride), (const void *)in);
    __m256i high = _mm256_loadu2_m128i((const void *)(in + 3 * stride), (const void *)(in + 2 * stride));
    return (bytes)_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

static void store_lanes(bytes x, uint8_t *out, size_t stride)
{
    _mm_storeu_si128((void *)out, _mm512_castsi512_si128((__m512i)x));
    _mm_storeu_si128((void *)(out + stride), _mm512_extracti32x4_epi32((__m512i)x, 1));
    _mm_storeu_si128((void *)(out + 2 * stride), _mm512_extracti32x4_epi32((__m512i)x, 2));
    _mm_storeu_si128((void *)(out + 3 * stride), _mm512_extracti32x4_epi32((__m512i)x, 3));
}

static floats widen(const void *in)
{
    return (floats)_mm512_cvtph_ps(_mm256_loadu_si256(in));
}

#include "kernels/quantize_vector.h"

const struct i4q_kernels i4q_kernels_avx512 = {
    .name = "avx512",
    .needs = I4Q_CPU_AVX512,
    I4Q_VECTOR_KERNELS,
};
