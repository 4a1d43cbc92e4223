// SPDX-License-Identifier: Apache-2.0
/* Convs with AVX-512 F, BW, DQ, VL and VNNI. */
#include "kernels/lanes_avx512.h"

#include "kernels/conv_dense.h"
#include "kernels/conv_depthwise.h"
#include "kernels/conv_vector.h"

#include "platform/cpu.h"

const struct i4q_conv_kernels i4q_conv_avx512vnni = {
    .name = "avx512vnni",
    .needs = I4Q_CPU_AVX512 | I4Q_CPU_AVX512VNNI,
    I4Q_CONV_ROWS,
    .depthwise = &i4q_depthwise_avx512,
    .dense = &i4q_dense_avx512vnni,
};
