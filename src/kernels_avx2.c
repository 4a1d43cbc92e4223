// SPDX-License-Identifier: Apache-2.0
/* AVX2 and F16C. The packs of this set work within 128-bit halves, hence the permutations. */
#include "int4q/cpu.h"

#include <immintrin.h>
#include <stdint.h>

enum { WIDTH = 8 };
typedef float floats __attribute__((vector_size(32)));
typedef int32_t ints __attribute__((vector_size(32)));

#define FLOATS_MIN(a, b) ((floats)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define FLOATS_MAX(a, b) ((floats)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define INTS_MAX(a, b)   ((ints)_mm256_max_epi32((__m256i)(a), (__m256i)(b)))

/* 16 ints as words, in their order. */
static __m256i to_words(const ints *group)
{
    return _mm256_permute4x64_epi64(_mm256_packs_epi32((__m256i)group[0], (__m256i)group[1]),
                                    _MM_SHUFFLE(3, 1, 2, 0));
}

static void put_bytes(const ints *group, int8_t *out)
{
    __m256i words = to_words(group);
    _mm_storeu_si128((void *)out,
                     _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

static void put_nibbles(const ints *group, uint8_t *out)
{
    /* even + 16 * odd in one multiply-add: the nibbles are 0 to 15 then, the sum at most 255. */
    __m256i nibbles = _mm256_and_si256(_mm256_set1_epi16(15), to_words(group));
    __m256i pairs = _mm256_madd_epi16(nibbles, _mm256_set1_epi32(16 << 16 | 1));
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    _mm_storel_epi64((void *)out, _mm_packus_epi16(words, words));
}

static ints get_bytes(const int8_t *in)
{
    return (ints)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)in));
}

static void pack_codes(const int8_t *in, uint8_t *out)
{
    __m256i nibbles = _mm256_and_si256(_mm256_set1_epi8(15), _mm256_loadu_si256((const void *)in));
    __m256i pairs = _mm256_maddubs_epi16(nibbles, _mm256_set1_epi16(16 << 8 | 1));
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

static floats widen(const void *in)
{
    return (floats)_mm256_cvtph_ps(_mm_loadu_si128(in));
}

#include "kernels_vector.h"

const struct i4q_kernels i4q_kernels_avx2 = {
    .name = "avx2",
    .needs = I4Q_CPU_AVX2 | I4Q_CPU_F16C,
    I4Q_VECTOR_KERNELS,
};
