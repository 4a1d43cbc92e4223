// SPDX-License-Identifier: Apache-2.0
/* Convs with AVX2 and FMA. */
#include "kernels/lanes_avx2.h"

#include "kernels/conv_dense.h"
#include "kernels/conv_depthwise.h"
#include "kernels/conv_vector.h"

#include "platform/cpu.h"

const struct i4q_conv_kernels i4q_conv_avx2 = {
    .name = "avx2",
    .needs = I4Q_CPU_AVX2 | I4Q_CPU_FMA,
    I4Q_CONV_ROWS,
    .depthwise = &i4q_depthwise_avx2,
    .dense = &i4q_dense_avx2,
};
