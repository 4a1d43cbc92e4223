// SPDX-License-Identifier: Apache-2.0
/* Included before a kernel file, so that its intrinsics of AVX-512 and VNNI are made of what AVX2 has: then
 * the same source runs, slowly, on CPUs that have none of them. */
#ifndef INT4Q_EMULATED_H
#define INT4Q_EMULATED_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

#include <string.h>

/* What it lacks, in two halves. */
#define _mm256_dpbusd_avx_epi32 simde_mm256_dpbusd_epi32

#define EMULATED_HALVES(name, result, half_result, type, half_type, convert)                                 \
    static inline result emulated_##name(type source)                                                        \
    {                                                                                                        \
        half_type halves[2];                                                                                 \
        half_result converted[2];                                                                            \
        result all;                                                                                          \
        memcpy(halves, &source, sizeof halves);                                                              \
        for (int i = 0; i < 2; i++)                                                                          \
            converted[i] = convert(halves[i]);                                                               \
        memcpy(&all, converted, sizeof all);                                                                 \
        return all;                                                                                          \
    }

EMULATED_HALVES(cvtepi16_epi32, __m512i, __m256i, __m256i, __m128i, _mm256_cvtepi16_epi32)
EMULATED_HALVES(cvtps_epi32, __m512i, __m256i, __m512, __m256, _mm256_cvtps_epi32)
EMULATED_HALVES(cvtph_ps, __m512, __m256, __m256i, __m128i, _mm256_cvtph_ps)
#define _mm512_cvtepi16_epi32 emulated_cvtepi16_epi32
#define _mm512_cvtps_epi32    emulated_cvtps_epi32
#define _mm512_cvtph_ps       emulated_cvtph_ps

static inline __m512i emulated_cvtepi8_epi32(__m128i bytes)
{
    return emulated_cvtepi16_epi32(_mm256_cvtepi8_epi16(bytes));
}
#define _mm512_cvtepi8_epi32 emulated_cvtepi8_epi32

static inline __m128i emulated_cvtusepi32_epi8(__m512i words)
{
    uint32_t word[16];
    uint8_t byte[16];
    __m128i bytes;
    memcpy(word, &words, sizeof word);
    for (int i = 0; i < 16; i++)
        byte[i] = (uint8_t)(word[i] < UINT8_MAX ? word[i] : UINT8_MAX);
    memcpy(&bytes, byte, sizeof bytes);
    return bytes;
}
#define _mm512_cvtusepi32_epi8 emulated_cvtusepi32_epi8

#endif
