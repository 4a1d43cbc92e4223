// SPDX-License-Identifier: Apache-2.0
/* Convs with NEON. */
#include "kernels/conv_impl.h"

#include "platform/cpu.h"

const struct i4q_conv_kernels i4q_conv_neon = {
    .name = "neon",
    .needs = I4Q_CPU_NEON,
    .range = i4q_conv_scalar_range,
    .finish = i4q_conv_scalar_finish,
};
