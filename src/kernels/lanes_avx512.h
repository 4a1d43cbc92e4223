// SPDX-License-Identifier: Apache-2.0
/* Registers of AVX-512, as conv_vector.h wants them. */
#ifndef INT4Q_KERNELS_LANES_AVX512_H
#define INT4Q_KERNELS_LANES_AVX512_H

#include <immintrin.h>
#include <stdint.h>

enum { WIDTH = 16 };
typedef float floats __attribute__((vector_size(64)));
typedef uint32_t words __attribute__((vector_size(64)));

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
    return (floats)_mm512_min_ps((__m512)a, (__m512)b);
}

static inline floats most(floats a, floats b)
{
    return (floats)_mm512_max_ps((__m512)a, (__m512)b);
}

static inline floats multiply_add(floats a, floats b, floats c)
{
    return (floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}

static inline words most_signed(words a, words b)
{
    return (words)_mm512_max_epi32((__m512i)a, (__m512i)b);
}

static inline words most_unsigned(words a, words b)
{
    return (words)_mm512_max_epu32((__m512i)a, (__m512i)b);
}

/* Keeps a register where it is, and its computation where it stands: see dense_vector.h. */
#if defined(__AVX512F__) /* tests emulate it */
#define PIN(x) __asm__ volatile("" : "+v"(x))
#else
#define PIN(x)
#endif

#endif
