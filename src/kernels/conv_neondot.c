// SPDX-License-Identifier: Apache-2.0
/* Convs with NEON and its dot products. */
#include "kernels/lanes_neon.h"

#include "kernels/conv_dense.h"
#include "kernels/conv_depthwise.h"
#include "kernels/conv_vector.h"

#include "platform/cpu.h"

const struct i4q_conv_kernels i4q_conv_neondot = {
    .name = "neondot",
    .needs = I4Q_CPU_NEON | I4Q_CPU_DOTPROD,
    I4Q_CONV_ROWS,
    .dense = &i4q_dense_neondot,
    .depthwise = &i4q_depthwise_neon,
};
