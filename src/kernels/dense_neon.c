// SPDX-License-Identifier: Apache-2.0
/* Dense Convs with NEON: products of signed pixels and digits of 4 bits add up in 16 bits for a whole run. */
#include "kernels/lanes_neon.h"

#include <string.h>

enum { BLOCK_ROWS = 4, BLOCK_COLUMNS = 2, ORIGIN = 128 };
#define EACH_ROW ROWS_4

typedef int16x8x2_t partial; /* for each product of 2 pixels, then of the other 2 */
typedef int8x16_t quads;
#undef PIN /* a partial is two registers, which not every compiler takes for one operand */
#define PIN(x)
#define PRODUCT(sum, x, w)                                                                                   \
    (partial)                                                                                                \
    {                                                                                                        \
        {                                                                                                    \
            vmlal_s8((sum).val[0], vget_low_s8(x), vget_low_s8(w)), vmlal_high_s8((sum).val[1], x, w)        \
        }                                                                                                    \
    }

static inline int32x4_t shifted_sums(partial sum, unsigned shift)
{
    int32x4_t sums = vpaddq_s32(vpaddlq_s16(sum.val[0]), vpaddlq_s16(sum.val[1]));
    return vshlq_s32(sums, vdupq_n_s32((int32_t)shift));
}
#define widen(sum, shift) ((ints)shifted_sums(sum, shift))

static inline quads spread(const int8_t *weights)
{
    int32_t four;
    memcpy(&four, weights, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

#include "kernels/dense_vector.h"

const struct i4q_dense_kernels i4q_dense_neon = {
    I4Q_DENSE_KERNELS,
    .wide = false,
};
