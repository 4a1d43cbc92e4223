// SPDX-License-Identifier: Apache-2.0
/* Registers of NEON, as conv_vector.h wants them. */
#ifndef INT4Q_KERNELS_LANES_NEON_H
#define INT4Q_KERNELS_LANES_NEON_H

#include <arm_neon.h>
#include <stdint.h>

enum { WIDTH = 4 };
typedef float floats __attribute__((vector_size(16)));
typedef uint32_t words __attribute__((vector_size(16)));

static inline words bits_of(floats x)
{
    return (words)x;
}

static inline floats floats_of(words bits)
{
    return (floats)bits;
}

/* Not vminq_f32 and vmaxq_f32: those tell zeros apart and prefer NaN. */
static inline floats least(floats a, floats b)
{
    return (floats)vbslq_f32(vcltq_f32((float32x4_t)a, (float32x4_t)b), (float32x4_t)a, (float32x4_t)b);
}

static inline floats most(floats a, floats b)
{
    return (floats)vbslq_f32(vcgtq_f32((float32x4_t)a, (float32x4_t)b), (float32x4_t)a, (float32x4_t)b);
}

static inline floats multiply_add(floats a, floats b, floats c)
{
    return (floats)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}

static inline words most_signed(words a, words b)
{
    return (words)vmaxq_s32((int32x4_t)a, (int32x4_t)b);
}

static inline words most_unsigned(words a, words b)
{
    return (words)vmaxq_u32((uint32x4_t)a, (uint32x4_t)b);
}

/* Keeps a register where it is, and its computation where it stands: see dense_vector.h. */
#define PIN(x) __asm__ volatile("" : "+w"(x))

#endif
