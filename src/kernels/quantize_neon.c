// SPDX-License-Identifier: Apache-2.0
/* NEON, which every AArch64 CPU has. */
#include "platform/cpu.h"

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

enum { WIDTH = 4 };
typedef float floats __attribute__((vector_size(16)));
typedef int32_t ints __attribute__((vector_size(16)));
typedef uint8_t bytes __attribute__((vector_size(16)));

#define FLOATS_MIN(a, b)       ((floats)vminq_f32((float32x4_t)(a), (float32x4_t)(b)))
#define FLOATS_MAX(a, b)       ((floats)vmaxq_f32((float32x4_t)(a), (float32x4_t)(b)))
#define INTS_MAX(a, b)         ((ints)vmaxq_s32((int32x4_t)(a), (int32x4_t)(b)))
#define NEAREST(x)             ((ints)vcvtnq_s32_f32((float32x4_t)(x)))
#define SHUFFLE(x, order)      ((bytes)vqtbl1q_u8((uint8x16_t)(x), (uint8x16_t)(order)))
#define FLOATS_ANY_ABOVE(a, b) vmaxvq_u32(vcgtq_f32((float32x4_t)(a), (float32x4_t)(b)))
#define BYTES_ANY_ABOVE(a, b)  vmaxvq_u8(vcgtq_u8((uint8x16_t)(a), (uint8x16_t)(b)))

static floats larger_magnitude(floats a, floats b)
{
    return (floats)vmaxq_f32(vabsq_f32((float32x4_t)a), vabsq_f32((float32x4_t)b));
}

static bytes narrow(const ints *r)
{
    int16x8_t low = vcombine_s16(vqmovn_s32((int32x4_t)r[0]), vqmovn_s32((int32x4_t)r[1]));
    int16x8_t high = vcombine_s16(vqmovn_s32((int32x4_t)r[2]), vqmovn_s32((int32x4_t)r[3]));
    return (bytes)vcombine_s8(vqmovn_s16(low), vqmovn_s16(high));
}

/* Pairs of codes as words: the even one's nibble, and the odd one's moved down behind it. */
static void put_nibbles(bytes codes, uint8_t *out)
{
    uint16x8_t words = (uint16x8_t)codes;
    uint16x8_t even = vandq_u16(words, vdupq_n_u16(0x0f));
    uint16x8_t odd = vandq_u16(vshrq_n_u16(words, 4), vdupq_n_u16(0xf0));
    vst1_u8(out, vmovn_u16(vorrq_u16(even, odd)));
}

static ints get_bytes(const int8_t *in)
{
    int8_t bytes[8] = {0};
    memcpy(bytes, in, WIDTH);
    return (ints)vmovl_s16(vget_low_s16(vmovl_s8(vld1_s8(bytes))));
}

static void unpack_codes(const uint8_t *in, int8_t *out)
{
    /* A shift to the right of a signed byte extends the sign of its high nibble. */
    int8x16_t bytes = vreinterpretq_s8_u8(vld1q_u8(in));
    int8x16_t even = vshrq_n_s8(vshlq_n_s8(bytes, 4), 4), odd = vshrq_n_s8(bytes, 4);
    vst1q_s8(out, vzip1q_s8(even, odd));
    vst1q_s8(out + 16, vzip2q_s8(even, odd));
}

static bytes load_lanes(const uint8_t *in, size_t stride)
{
    (void)stride;
    return (bytes)vld1q_u8(in);
}

static void store_lanes(bytes x, uint8_t *out, size_t stride)
{
    (void)stride;
    vst1q_u8(out, (uint8x16_t)x);
}

static floats widen(const void *in)
{
    uint16x4_t halves;
    memcpy(&halves, in, sizeof halves);
    return (floats)vcvt_f32_f16(vreinterpret_f16_u16(halves));
}

#include "kernels/quantize_vector.h"

const struct i4q_kernels i4q_kernels_neon = {
    .name = "neon",
    .needs = I4Q_CPU_NEON,
    I4Q_VECTOR_KERNELS,
};
