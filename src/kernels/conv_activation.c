// SPDX-License-Identifier: Apache-2.0
#include "kernels/conv_activation.h"

#include "kernels/lanes_scalar.h"

#include "kernels/conv_activation_impl.h"

typedef floats function(floats y, const struct i4q_conv_activation *activation);

#define ENTRY(enumerator, function) [enumerator] = (function),

static function *const functions[] = {ACTIVATIONS(ENTRY)};

float i4q_conv_activate(const struct i4q_conv_activation *activation, float y)
{
    return functions[activation->function](y, activation);
}
