// SPDX-License-Identifier: Apache-2.0
/* Registers of AVX2 and FMA, as conv_vector.h wants them. */
#ifndef INT4Q_KERNELS_LANES_AVX2_H
#define INT4Q_KERNELS_LANES_AVX2_H

#include <immintrin.h>
#include <stdint.h>

enum { WIDTH = 8 };
typedef float floats __attribute__((vector_size(32)));
typedef uint32_t words __attribute__((vector_size(32)));

static inline words bits_of(floats x)
{
    return (words)x;
}

static inline floats floats_of(words bits)
{
    return (floats)bits;
}

static inline floats least(floats a, floats b)
{
    return (floats)_mm256_min_ps((__m256)a, (__m256)b);
}

static inline floats most(floats a, floats b)
{
    return (floats)_mm256_max_ps((__m256)a, (__m256)b);
}

static inline floats multiply_add(floats a, floats b, floats c)
{
    return (floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

static inline words most_signed(words a, words b)
{
    return (words)_mm256_max_epi32((__m256i)a, (__m256i)b);
}

static inline words most_unsigned(words a, words b)
{
    return (words)_mm256_max_epu32((__m256i)a, (__m256i)b);
}

/* Keeps a register where it is, and its computation where it stands: see dense_vector.h. */
#define PIN(x) __asm__ volatile("" : "+x"(x))

#endif
