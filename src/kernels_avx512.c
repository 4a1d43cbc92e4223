// SPDX-License-Identifier: Apache-2.0
/* AVX-512 F, BW and VL: a register is a whole group, and narrowing keeps the order. */
#include "int4q/cpu.h"

#include <immintrin.h>
#include <stdint.h>

enum { WIDTH = 16 };
typedef float floats __attribute__((vector_size(64)));
typedef int32_t ints __attribute__((vector_size(64)));

#define FLOATS_MIN(a, b) ((floats)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define FLOATS_MAX(a, b) ((floats)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define INTS_MAX(a, b)   ((ints)_mm512_max_epi32((__m512i)(a), (__m512i)(b)))

static void put_bytes(const ints *group, int8_t *out)
{
    _mm_storeu_si128((void *)out, _mm512_cvtepi32_epi8((__m512i)*group));
}

static void put_nibbles(const ints *group, uint8_t *out)
{
    /* In each 64-bit lane: the even code's nibble, and the odd one's moved down behind it. */
    __m512i even = _mm512_and_si512((__m512i)*group, _mm512_set1_epi64(0x0f));
    __m512i odd = _mm512_and_si512(_mm512_srli_epi64((__m512i)*group, 28), _mm512_set1_epi64(0xf0));
    _mm_storel_epi64((void *)out, _mm512_cvtepi64_epi8(_mm512_or_si512(even, odd)));
}

static ints get_bytes(const int8_t *in)
{
    return (ints)_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)in));
}

static void pack_codes(const int8_t *in, uint8_t *out)
{
    __m256i nibbles = _mm256_and_si256(_mm256_set1_epi8(15), _mm256_loadu_si256((const void *)in));
    __m256i pairs = _mm256_maddubs_epi16(nibbles, _mm256_set1_epi16(16 << 8 | 1)); /* even + 16 * odd */
    _mm_storeu_si128((void *)out, _mm256_cvtepi16_epi8(pairs));
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

static floats widen(const void *in)
{
    return (floats)_mm512_cvtph_ps(_mm256_loadu_si256(in));
}

#include "kernels_vector.h"

const struct i4q_kernels i4q_kernels_avx512 = {
    .name = "avx512",
    .needs = I4Q_CPU_AVX512,
    I4Q_VECTOR_KERNELS,
};
