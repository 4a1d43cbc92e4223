// SPDX-License-Identifier: Apache-2.0
#include "kernels/conv_activation.h"

#include "kernels/lanes_scalar.h"

#include "kernels/conv_activation_impl.h"

static i4q_conv_activate_fn *const functions[] = I4Q_CONV_ACTIVATIONS;

float i4q_conv_activate(const struct i4q_conv_activation *activation, float y)
{
    functions[activation->function](&y, 1, activation);
    return y;
}
