// SPDX-License-Identifier: Apache-2.0
/* Convs with AVX-512 F, BW, DQ, VL and VNNI. */
#include "kernels/conv_impl.h"

#include "platform/cpu.h"

const struct i4q_conv_kernels i4q_conv_avx512vnni = {
    .name = "avx512vnni",
    .needs = I4Q_CPU_AVX512 | I4Q_CPU_AVX512VNNI,
    .range = i4q_conv_scalar_range,
    .finish = i4q_conv_scalar_finish,
};
