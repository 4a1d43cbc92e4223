// SPDX-License-Identifier: Apache-2.0
/* Depthwise Convs with NEON: signed products, so pixels are less 128. */
#include "kernels/lanes_neon.h"

#include "kernels/lanes.h"

enum { PAIRS = 8, ORIGIN = 128 };
typedef int16_t shorts __attribute__((vector_size(16)));
typedef int8x8x2_t pixels, weights;

static inline pixels load_pixels(const uint8_t *source)
{
    uint8x8x2_t x = vld2_u8(source);
    const uint8x8_t high = vdup_n_u8(ORIGIN);
    return (pixels){
        {vreinterpret_s8_u8(veor_u8(x.val[0], high)), vreinterpret_s8_u8(veor_u8(x.val[1], high))}};
}

static inline weights spread(uint16_t pair)
{
    return (weights){{vdup_n_s8((int8_t)pair), vdup_n_s8((int8_t)(pair >> 8))}};
}

static inline shorts add_products(shorts sums, pixels x, weights w)
{
    return (shorts)vmlal_s8(vmlal_s8((int16x8_t)sums, x.val[0], w.val[0]), x.val[1], w.val[1]);
}

static inline void store_in_turn(shorts a, shorts b, int16_t *out)
{
    const int16x8x2_t both = {{(int16x8_t)a, (int16x8_t)b}};
    vst2q_s16(out, both);
}

static inline ints get_sums(const int16_t *sums)
{
    return (ints)vmovl_s16(vld1_s16(sums));
}

static inline ints nearest(floats x)
{
    return (ints)vcvtnq_s32_f32((float32x4_t)x);
}

static inline int16x8_t narrow(ints a, ints b, int zero)
{
    return vqaddq_s16(vcombine_s16(vqmovn_s32((int32x4_t)a), vqmovn_s32((int32x4_t)b)),
                      vdupq_n_s16((int16_t)zero));
}

static inline void put_bytes(const ints *r, int zero, uint8_t *out)
{
    vst1_u8(out, vqmovun_s16(narrow(r[0], r[1], zero)));
    vst1_u8(out + 8, vqmovun_s16(narrow(r[2], r[3], zero)));
}

#include "kernels/depthwise_vector.h"

const struct i4q_depthwise_kernels i4q_depthwise_neon = {I4Q_DEPTHWISE_KERNELS};
